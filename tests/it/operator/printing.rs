//! How the command prints, and how it ends: a result that cannot be written is a failure, a reader who has enough is
//! none.

use std::fs::File;
use std::io;
use std::process::Stdio;
use std::time::SystemTime;

use rollcall::core::millis::Millis;
use rollcall_cli::dev::record::Record;
use rollcall_tests::World;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::operator::commands::{binary, command, elsewhere, on, people, run};

fn with_output(args: &[String], output: impl Into<Stdio>) -> Command {
    let mut command = command(binary().to_str().unwrap(), &[]);
    command.args(args).stdout(output);
    command
}

/// Its exit status, and standard error.
async fn ended(mut command: Command) -> (Option<i32>, String) {
    // Not `output()`, which would put a pipe in the place of standard output.
    let output = command.spawn().unwrap().wait_with_output();
    let output = tokio::time::timeout(std::time::Duration::from_mins(1), output).await.expect("it ends").unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// The day by the machine's clock, by which the binary goes.
#[expect(clippy::disallowed_methods, reason = "the binary reads the same clock")]
fn today() -> String {
    Millis::from(SystemTime::now()).utc_date()
}

fn owned(args: &[&str]) -> Vec<String> {
    args.iter().map(|arg| (*arg).to_owned()).collect()
}

#[tokio::test]
async fn fault_a9_a_result_that_cannot_be_written_is_a_failure_and_a_closed_pipe_is_not() {
    let world = World::start().await;
    let (users, _) = people(&world, 2).await;
    world.reconcile().await;
    let ada = users[0].as_str();
    let note = json!({ "pk": format!("QUARANTINE#{}", today()), "sk": "msg_1" });
    world.put(&world.stack.addresses.operations_table, &note).await;
    let printing = [
        owned(&["settings"]),
        owned(&["settings", "--json"]),
        owned(&["trigger", "--list"]),
        owned(&["trigger", "user.created", "--print"]),
        owned(&["--help"]),
        owned(&["--version"]),
        on(&world, &["export", ada]),
        on(&world, &["reconcile", "--yes"]),
        on(&world, &["reconcile", "--yes", "--json"]),
        on(&world, &["status"]),
        on(&world, &["status", "--json"]),
        on(&world, &["undo", ada, "--dry-run"]),
        on(&world, &["users", "list"]),
        on(&world, &["users", "list", "--json"]),
        on(&world, &["users", "get", ada]),
        on(&world, &["members", "find", "--name", "somebody", "--json"]),
        on(&world, &["deletions"]),
        on(&world, &["quarantine", "get", "msg_1"]),
        on(&world, &["fix-profiles", "--yes"]),
        on(&world, &["cleanup", "--yes"]),
        on(&world, &["cleanup", "--yes", "--json"]),
        on(&world, &["full-sync", "--yes"]),
    ];
    for args in &printing {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let (status, err) = ended(with_output(args, full)).await;
        assert_eq!(status, Some(1), "{args:?} {err}");
        let is_help = args[0].starts_with("--");
        assert!(is_help || err.contains("standard output cannot be written"), "{args:?} {err}");
    }
    for args in &printing {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let (status, err) = ended(with_output(args, writer)).await;
        assert_eq!(status, Some(0), "{args:?} {err}");
        assert!(!err.contains("panicked") && !err.contains("rollcall: "), "{args:?} {err}");
    }
    // Nobody would know what was about to be deleted.
    let full = File::options().write(true).open("/dev/full").unwrap();
    let (status, err) = ended(with_output(&on(&world, &["erase", ada, "--yes", "--now"]), full)).await;
    assert_eq!(status, Some(1), "{err}");
    let found = world.clerk("GET", &format!("/users?user_id={ada}"), Value::Null).await;
    assert_eq!(found.as_array().unwrap().len(), 1, "nothing was deleted");
}

#[tokio::test]
async fn fault_a9_a_stack_whose_addresses_cannot_be_written_does_not_run() {
    let args = owned(&["dev", "--json", "--port", "0", "--clerk-port", "0", "--dynamodb-port", "0", "--users", "1"]);
    let full = File::options().write(true).open("/dev/full").unwrap();
    let (status, err) = ended(with_output(&args, full)).await;
    assert!(status == Some(1) && err.contains("standard output cannot be written"), "{status:?} {err}");
}

#[tokio::test]
async fn fault_a9_a_closed_standard_error_does_not_end_a_command() {
    let mut command = with_output(&owned(&["trigger", "user.nonsense"]), Stdio::piped());
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let status = command.stderr(writer).status().await.unwrap();
    assert_eq!(status.code(), Some(64), "no panic");
}

#[tokio::test]
async fn fault_c6_a_command_that_makes_no_sense_ends_with_64_and_missing_settings_are_one_a_line() {
    for args in [
        &["dev", "--users", "10000", "--data", "x"][..],
        &["dev", "--preset", "nothing"],
        &["status", "--local", "--override", "NOTHING=x"],
        &["status"],
        &["status", "--local", "--stack", "production"],
        &["trigger", "user.nonsense"],
        &["trigger"],
        &["nonsense"],
        &["erase"],
        &["reconcile", "--approve", "yesterday"],
        &["undo", "user_1", "--json", "--local"],
    ] {
        let said = run(args, &[]).await;
        assert_eq!((said.status, said.out.as_str()), (Some(64), ""), "{args:?} {}", said.err);
    }
    let world = World::start().await;
    let broken = |record: &mut Record| record.settings = [("MIRROR".to_owned(), "maybe".to_owned())].into();
    let said = elsewhere(&world, &["reconcile", "--dry-run"], broken).await;
    assert_eq!((said.status, said.out.as_str()), (Some(1), ""));
    for name in ["DIRECTORY_TABLE", "PROFILES_TABLE", "OPERATIONS_TABLE", "CLERK_INSTANCE_ID", "CLERK_SECRET_KEY"] {
        let line = format!("  {name} is missing: expected ");
        assert_eq!(said.err.lines().filter(|said| said.starts_with(&line)).count(), 1, "{}", said.err);
    }
    assert!(said.err.lines().any(|line| line.starts_with("  MIRROR is invalid")), "{}", said.err);
}
