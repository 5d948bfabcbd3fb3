//! The operator's commands, played with the real binary against a world's stack. The binary goes by the machine's
//! clock, the world by its own, which is long before: whatever the world has stored is settled.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use clerk_emulator::ApiFaults;
use rollcall::core::millis::Millis;
use rollcall_cli::dev::record::{self, Record};
use rollcall_cli::dev::stack::{Config, Stack};
use rollcall_tests::World;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::ensure::profiles::with_clerk;

/// What a command has said.
pub(crate) struct Evidence {
    pub(crate) status: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Evidence {
    /// The one JSON object on standard output, with nothing on standard error.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.err, "", "with --json only errors are said otherwise");
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}

pub(crate) fn binary() -> std::path::PathBuf {
    // Cargo puts the binaries of the workspace beside the tests' folder.
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.join("rollcall")
}

pub(crate) fn command(program: &str, environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program);
    command.env_clear().envs(environment.iter().copied());
    // The records of running stacks and the backups of a stack in memory lie there.
    command.env("XDG_RUNTIME_DIR", rollcall_tests::runtime_folder()).env("TMPDIR", std::env::temp_dir());
    // A guard that is missing here is missing there (make controls).
    #[expect(clippy::disallowed_methods, reason = "the test plays the part of a shell here")]
    if let Some(control) = std::env::var_os("ROLLCALL_CONTROL") {
        command.env("ROLLCALL_CONTROL", control);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// A command on this world's stack.
pub(crate) fn on(world: &World, args: &[&str]) -> Vec<String> {
    let port = world.stack.addresses.api.rsplit(':').next().unwrap();
    args.iter().chain(&["--local", "--port", port]).map(|arg| (*arg).to_owned()).collect()
}

pub(crate) async fn finish(mut command: Command) -> Evidence {
    command.stdout(Stdio::piped());
    finish_as(command).await
}

/// The same, with standard output where the command has it.
pub(crate) async fn finish_as(mut command: Command) -> Evidence {
    let output = async { command.spawn()?.wait_with_output().await };
    let output = tokio::time::timeout(Duration::from_mins(1), output);
    let output = output.await.expect("it ends").expect("the rollcall binary is built by `make test` before this runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Evidence { status: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// Runs a command on this world's stack, with other settings than those of the stack.
pub(crate) async fn rollcall(world: &World, args: &[&str], settings: &[(&str, &str)]) -> Evidence {
    let mut command = command(binary().to_str().unwrap(), &[]);
    command.args(on(world, args));
    for (name, value) in settings {
        if *name == "CLERK_SECRET_KEY" {
            // No secret in the arguments.
            command.env(name, value).arg("--override").arg(name);
        } else {
            command.arg("--override").arg(format!("{name}={value}"));
        }
    }
    finish(command).await
}

/// Runs a command on whatever it names.
pub(crate) async fn run(args: &[&str], environment: &[(&str, &str)]) -> Evidence {
    let mut command = command(binary().to_str().unwrap(), environment);
    command.args(args);
    finish(command).await
}

/// Runs it as if somebody typed at a terminal.
pub(crate) async fn typed(world: &World, args: &[&str], keys: &str) -> Evidence {
    typed_with(world, args, keys, "").await
}

/// The same with a value of `NO_COLOR`.
pub(crate) async fn typed_with(world: &World, args: &[&str], keys: &str, no_color: &str) -> Evidence {
    const TERMINAL: &str = "import os, pty, sys; os.environ.clear(); os.environ.update(TERM='xterm', \
                            XDG_RUNTIME_DIR=sys.argv.pop(1), NO_COLOR=sys.argv.pop(1)); \
                            sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
    let mut command = Command::new("python3");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
        .args(["-c", TERMINAL])
        .arg(rollcall_tests::runtime_folder())
        .arg(no_color)
        .arg(binary())
        .args(on(world, args));
    let mut process = command.spawn().expect("Python is on the path");
    let mut stdin = process.stdin.take().unwrap();
    stdin.write_all(keys.as_bytes()).await.unwrap();
    let output = tokio::time::timeout(Duration::from_mins(1), process.wait_with_output()).await.expect("it ends");
    drop(stdin);
    let output = output.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Evidence { status: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// So many users in Clerk, of whom nothing has arrived, all in one organization.
pub(crate) async fn people(world: &World, number: usize) -> (Vec<String>, String) {
    let mut users = Vec::new();
    for number in 0..number {
        let user = json!({ "first_name": "Somebody", "email_address": [format!("somebody{number}@example.com")] });
        users.push(world.clerk("POST", "/users", user).await["id"].as_str().unwrap().to_owned());
    }
    let acme = json!({ "name": "Acme", "created_by": users[0] });
    let acme = world.clerk("POST", "/organizations", acme).await["id"].as_str().unwrap().to_owned();
    for user in &users[1..] {
        let path = format!("/organizations/{acme}/memberships");
        world.clerk("POST", &path, json!({ "user_id": user, "role": "org:member" })).await;
    }
    (users, acme)
}

fn row<'a>(text: &'a str, kind: &str) -> Vec<&'a str> {
    let row = text.lines().find(|line| line.trim_start().starts_with(kind));
    row.unwrap_or_else(|| panic!("no row of {kind} in {text}")).split_whitespace().skip(1).collect()
}

#[tokio::test]
async fn b9_a_first_sync_is_shown_then_written_and_then_all_is_in_step() {
    let world = World::start().await;
    people(&world, 3).await;
    let plan = rollcall(&world, &["reconcile", "--dry-run", "--json"], &[]).await;
    let json = plan.json();
    assert_eq!((plan.status, &json["state"], &json["in_sync"]), (Some(2), &json!("done"), &json!(false)));
    assert_eq!(json["run"]["mode"], "report");
    for (kind, missing) in [("user", 3), ("organization", 1), ("membership", 3)] {
        assert_eq!(json["run"]["tally"][kind]["drift"]["missing"], missing, "{kind}");
    }
    let plan = rollcall(&world, &["reconcile", "--dry-run", "--verbose"], &[]).await;
    assert_eq!((plan.status, row(&plan.out, "users")), (Some(2), vec!["3", "0", "3", "0", "0", "0", "0"]));
    assert!(
        plan.out.starts_with("Plan of run ")
            && plan.out.contains(
                "7 differences: run `rollcall reconcile \
                                                                       --local"
            )
    );
    assert!(plan.err.contains("listing organizations: "), "each step is told: {}", plan.err);
    let brief = rollcall(&world, &["reconcile", "--dry-run"], &[]).await;
    assert_eq!((brief.status, brief.err.as_str()), (Some(2), ""), "nothing is told of so short a run");
    assert_eq!(world.directory().await, Vec::<Value>::new(), "a plan writes nothing");
    assert_eq!(rollcall(&world, &["status"], &[]).await.status, Some(2));

    let done = rollcall(&world, &["reconcile", "--yes"], &[]).await;
    assert_eq!((done.status, row(&done.out, "memberships")), (Some(0), vec!["3", "0", "3", "0", "0", "0", "0"]));
    assert!(done.out.ends_with("In sync: 7 rows written.\n"), "{}", done.out);
    assert_eq!(world.directory().await.len(), 7);
    let again = rollcall(&world, &["reconcile", "--yes", "--json"], &[]).await;
    assert_eq!((again.status, &again.json()["in_sync"]), (Some(0), &json!(true)));
    let status = rollcall(&world, &["status"], &[]).await;
    assert_eq!(status.status, Some(0));
    assert!(status.out.contains("\n  20") && status.out.contains("In sync, as of 20"), "{}", status.out);
    for said in [plan, done, status] {
        assert!(!said.out.contains('@') && !said.err.contains('@'), "nobody's address: {} {}", said.out, said.err);
        assert!(!said.out.contains("Somebody") && !said.err.contains("Somebody"), "nobody's name");
    }
}

#[tokio::test]
async fn nothing_is_written_without_consent() {
    let world = World::start().await;
    people(&world, 1).await;
    for args in [&["reconcile"][..], &["reconcile", "--json"]] {
        let said = rollcall(&world, args, &[]).await;
        assert_eq!((said.status, said.out.as_str()), (Some(64), ""), "{args:?}");
        assert!(said.err.contains("--yes") && said.err.contains("--dry-run"), "{}", said.err);
    }
    assert!(world.directory().await.is_empty() && world.operations().await.is_empty());
    // A policy that writes nothing needs no consent.
    let policy = [("RECONCILE_POLICY", "report")];
    let said = rollcall(&world, &["reconcile"], &policy).await;
    assert_eq!(said.status, Some(2), "{}", said.err);
    assert!(said.err.contains("RECONCILE_POLICY=report") && said.out.starts_with("Plan of run"), "{}", said.out);
    assert!(world.directory().await.is_empty());
    for args in [&["reconcile", "--approve", "yesterday"][..], &["reconcile", "--port", "http://127.0.0.1:1"]] {
        let mut command = command(binary().to_str().unwrap(), &[]);
        command.args(args);
        assert_eq!(finish(command).await.status, Some(64), "{args:?}");
    }
}

#[tokio::test]
async fn somebody_at_a_terminal_is_shown_the_plan_and_asked() {
    let world = World::start().await;
    people(&world, 2).await;
    for (keys, status, rows) in [("n\n", 2, 0), ("\n", 2, 0), ("y\n", 0, 5)] {
        let said = typed(&world, &["reconcile"], keys).await;
        assert_eq!(said.status, Some(status), "{keys:?} {} {}", said.out, said.err);
        assert!(said.out.contains("Plan of run ") && said.out.contains("Apply this plan?"), "{}", said.out);
        assert_eq!(world.directory().await.len(), rows, "{keys:?}");
        assert_eq!(said.out.contains("In sync: 5 rows written."), rows > 0);
    }
    // Where nothing is to be done nothing is asked.
    let said = typed(&world, &["reconcile"], "").await;
    assert!(said.status == Some(0) && !said.out.contains("Apply"), "{}", said.out);
}

#[tokio::test]
async fn held_deletions_are_shown_and_approved() {
    let world = World::start().await;
    let (users, _) = people(&world, 4).await;
    world.reconcile().await;
    for user in &users[1..] {
        world.clerk("DELETE", &format!("/users/{user}"), Value::Null).await;
    }
    let held = rollcall(&world, &["reconcile", "--yes"], &[]).await;
    assert_eq!(held.status, Some(2), "{}", held.out);
    let status = rollcall(&world, &["status", "--json"], &[]).await;
    let waiting = status.json()["waiting"].clone();
    assert_eq!((status.status, &waiting["pending_approval"]["user"]), (Some(2), &json!(3)), "{waiting}");
    let run = waiting["run"].as_str().unwrap();
    let approve = format!("`rollcall reconcile --approve {run} --local ");
    assert!(held.out.contains("pending approval: ") && held.out.contains(&approve), "{}", held.out);
    let status = rollcall(&world, &["status"], &[]).await;
    assert!(
        status.out.contains("Deletions pending approval: 3 users") && status.out.contains(&approve),
        "{}",
        status.out
    );

    let live = async || world.directory().await.iter().filter(|row| row["deleted_at"].is_null()).count();
    let before = live().await;
    for (args, environment, expected) in [
        (&["reconcile", "--approve", run][..], &[][..], 64),
        (&["reconcile", "--approve", run, "--dry-run"], &[], 2),
        (&["reconcile", "--approve", run, "--yes"], &[("RECONCILE_POLICY", "report")], 1),
        (&["reconcile", "--approve", "2026-01-01T00:00:00.123Z", "--yes"], &[], 1),
    ] {
        let said = rollcall(&world, args, environment).await;
        assert_eq!((said.status, live().await), (Some(expected), before), "{args:?} {}", said.err);
    }
    let said = typed(&world, &["reconcile", "--approve", run], "n\n").await;
    assert!(
        said.status == Some(2) && said.out.contains("the deletion of 3 users, 3 memberships is pending approval"),
        "{}",
        said.out
    );
    assert_eq!(live().await, before);

    let approved = rollcall(&world, &["reconcile", "--approve", run, "--yes", "--json"], &[]).await;
    let json = approved.json();
    assert_eq!((approved.status, &json["run"]["approved"]), (Some(0), &json!(true)), "{json}");
    assert_eq!(json["run"]["tally"]["user"]["deleted"], 3);
    assert_eq!(live().await, 3, "one user, the organization, the membership");
    assert_eq!(rollcall(&world, &["status"], &[]).await.status, Some(0));
    let again = rollcall(&world, &["reconcile", "--approve", run, "--yes"], &[]).await;
    assert_eq!((again.status, again.out.as_str()), (Some(1), ""));
    assert!(again.err.contains("rollcall status"), "{}", again.err);
}

#[tokio::test]
async fn what_ended_here_and_lives_in_clerk_is_named_in_the_log_and_left_alone() {
    let world = World::start().await;
    let (users, _) = people(&world, 2).await;
    world.reconcile().await;
    let data = json!({ "id": users[1], "object": "user", "deleted": true });
    let event = rollcall_tests::event("user.deleted", &data, world.now().get());
    assert_eq!(world.post(&event).await.status, 200);
    let said = rollcall(&world, &["reconcile", "--yes"], &[]).await;
    assert_eq!(said.status, Some(2), "{}", said.out);
    assert!(said.out.contains("conflict") && said.out.contains("docs/operations.md"), "{}", said.out);
    assert!(said.err.contains(&users[1]) && !said.out.contains(&users[1]), "{}", said.err);
}

#[tokio::test]
async fn another_run_is_waited_for_by_nobody() {
    let world = World::start().await;
    people(&world, 1).await;
    let said = rollcall(&world, &["status"], &[]).await;
    assert_eq!(said.status, Some(2));
    assert!(said.out.starts_with("No runs yet"), "{}", said.out);
    // Until 2286.
    let late = Millis::try_from(9_999_000_000_000).unwrap();
    assert_eq!(world.reconciler().await.operations().acquire_lease("somebody", late).await.unwrap(), None);
    let said = rollcall(&world, &["reconcile", "--yes"], &[]).await;
    assert!(said.status == Some(2) && said.out.contains("Another run is active"), "{}", said.out);
    let said = rollcall(&world, &["reconcile", "--yes", "--json"], &[]).await;
    assert_eq!((said.status, &said.json()["state"]), (Some(2), &json!("busy")));
    assert_eq!(rollcall(&world, &["status", "--json"], &[]).await.json()["lease"]["holder"], "somebody");
}

#[tokio::test]
async fn an_interrupted_run_gives_its_lease_back_and_is_gone_on_with() {
    let world = World::start().await;
    people(&world, 2).await;
    with_clerk(&world, ApiFaults { slow_ms: 700, ..ApiFaults::default() });
    let mut command = command(binary().to_str().unwrap(), &[]);
    command.args(on(&world, &["reconcile", "--yes"]));
    let process = command.spawn().unwrap();
    let kill = format!("kill -INT {}", process.id().unwrap());
    let reconciler = world.reconciler().await;
    let operations = reconciler.operations();
    while operations.latest_runs(1).await.unwrap().iter().all(|run| run.pages == 0) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(Command::new("sh").args(["-c", &kill]).status().await.unwrap().success());
    let output = tokio::time::timeout(Duration::from_secs(20), process.wait_with_output()).await.unwrap().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("Interrupted"));
    let said = rollcall(&world, &["status"], &[]).await;
    assert!(said.out.contains("interrupted") && !said.out.contains("A run is active"), "{}", said.out);
    with_clerk(&world, ApiFaults::default());
    let said = rollcall(&world, &["reconcile", "--yes", "--json"], &[]).await;
    assert_eq!((said.status, said.json()["run"]["tally"]["user"]["created"].as_u64()), (Some(0), Some(2)));
    assert_eq!(operations.latest_runs(9).await.unwrap().len(), 1, "the same run");
}

#[tokio::test]
async fn a_failure_says_what_to_do() {
    let world = World::start().await;
    for (args, environment, expected) in [
        (&["reconcile", "--yes"][..], &[("CLERK_INSTANCE_ID", "ins_other")][..], "CLERK_INSTANCE_ID"),
        (&["reconcile", "--yes"], &[("CLERK_SECRET_KEY", "sk_test_wrong")], "CLERK_SECRET_KEY"),
        (&["reconcile", "--yes"], &[("MIRROR", "maybe"), ("DELETION_POLICY", "none")], "MIRROR is invalid"),
    ] {
        let said = rollcall(&world, args, environment).await;
        assert_eq!((said.status, said.out.as_str()), (Some(1), ""), "{environment:?}");
        assert!(said.err.contains(expected) && !said.err.contains("sk_test_wrong"), "{}", said.err);
        assert_eq!(said.err.lines().filter(|line| line.contains("rollcall: ")).count(), 1, "said once: {}", said.err);
    }
    let unreachable = |record: &mut Record| "http://127.0.0.1:1".clone_into(&mut record.addresses.dynamodb);
    let said = elsewhere(&world, &["status"], unreachable).await;
    assert_eq!((said.status, said.out.as_str()), (Some(1), ""));
    assert!(said.err.contains("check that `rollcall dev` is running"), "{}", said.err);
    let said = run(&["status", "--stack", "production"], &[]).await;
    assert_eq!((said.status, said.out.as_str()), (Some(1), ""));
    assert!(said.err.contains("AWS_REGION"), "{}", said.err);
}

/// Runs a command on a stack whose record differs from that of this world's stack.
pub(crate) async fn elsewhere(world: &World, args: &[&str], change: impl FnOnce(&mut Record)) -> Evidence {
    let mut record = record(world);
    change(&mut record);
    let folder = tempfile::tempdir().unwrap();
    let _published = record::publish(&folder.path().join("rollcall"), &record).unwrap();
    let mut command = command(binary().to_str().unwrap(), &[]);
    command.args(args).arg("--local").env("XDG_RUNTIME_DIR", folder.path());
    finish(command).await
}

/// The record of a world's stack.
pub(crate) fn record(world: &World) -> Record {
    let running = record::running(&rollcall_tests::runtime_folder().join("rollcall")).unwrap();
    let record = running.into_iter().find(|record| record.addresses.api == world.stack.addresses.api);
    record.expect("the stack runs")
}

#[tokio::test]
async fn the_local_stack_reconciles_at_night() {
    // Half a second before three o'clock, UTC.
    let now = Arc::new(AtomicI64::new(1_767_225_600_000 + 3 * 60 * 60 * 1000 - 500));
    let reading = now.clone();
    let mut config = Config::new(Arc::new(move || Millis::try_from(reading.load(Ordering::SeqCst)).unwrap()));
    config.clerk.users = 3;
    config.clerk.faults.webhooks.drop = 1.0;
    let stack = Box::pin(Stack::start(config)).await.unwrap();
    assert!(stack.reconcile.operations().latest_runs(1).await.unwrap().is_empty());
    now.fetch_add(1_000, Ordering::SeqCst);
    let waited = async {
        while !stack.reconcile.operations().latest_runs(1).await.unwrap().iter().any(|run| run.finished_at.is_some()) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waited).await.expect("it runs");
    let run = stack.reconcile.operations().latest_runs(1).await.unwrap().remove(0);
    assert_eq!((run.tally.user.created, run.is_in_sync()), (3, true));
    stack.stop().await.unwrap();
}
