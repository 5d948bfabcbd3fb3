//! I19: SIGINT at every request of every command. The command stops with exit status 2 and a sentence, has done each
//! request or not, holds no lease, and the same command completes the work afterwards.

use std::collections::BTreeSet;
use std::time::Duration;

use rollcall_tests::owned::Row;
use rollcall_tests::{Point, alive, projected};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::at_every_request::{Office, Stopped};
use super::endpoint::Portal;
use super::every_command::CALLS;
use super::look_operations::machine_time;
use super::system_e::{deleted, of, rows, tombstoned};
use crate::operator::commands::Evidence;
use crate::user;

/// The commands of which each has a test here.
pub(super) const PLAYED: [&str; 14] = [
    "reconcile",
    "analyze",
    "fix-profiles",
    "cleanup",
    "fix-duplicates",
    "full-sync",
    "sync",
    "set-role",
    "undo",
    "restore",
    "erase",
    "migrate",
    "owned-tables",
    "endpoint",
];

const DUPLICATES: &str = "moods:user_id,day:made_at";

/// No command of these tests makes so many requests.
const MOST: usize = 400;

const EACH: (usize, usize) = (1, 1);

/// What a command has to do in one round.
pub(super) struct Work {
    pub(super) args: Vec<String>,
    /// The user concerned.
    user: String,
    round: usize,
    /// The keys of the rows that belong to somebody, before the command.
    keys: Vec<String>,
}

impl Office {
    /// Makes work for a command. With `deletes`, a sweep also finds a deletion.
    pub(super) async fn work(&self, command: &str, round: usize, deletes: bool) -> Work {
        let (world, name) = (&self.world, format!("newcomer{round}"));
        let rename = async |user: &str| {
            world.clerk("PATCH", &format!("/users/{user}"), json!({ "first_name": format!("Renamed{round}") })).await;
        };
        let mut user = self.users[1].clone();
        let mut args = vec![command.to_owned()];
        match command {
            "reconcile" | "full-sync" => {
                let gone = self.newcomer(&name).await;
                if command == "full-sync" {
                    let lost = self.newcomer(&format!("lost{round}")).await;
                    deleted(world, &lost).await;
                    self.lose_records(&user).await;
                    self.give_duplicates(round).await;
                    args.extend(["--duplicates".to_owned(), DUPLICATES.to_owned()]);
                }
                if deletes {
                    world.clerk("DELETE", &format!("/users/{gone}"), Value::Null).await;
                }
                rename(&user).await;
                user = self.stranger(&format!("stranger{round}")).await;
            }
            "analyze" => {}
            "fix-profiles" => self.lose_records(&user).await,
            "cleanup" => {
                user = self.newcomer(&name).await;
                deleted(world, &user).await;
            }
            "fix-duplicates" => {
                self.give_duplicates(round).await;
                let rule = ["--table", "moods", "--by", "user_id,day", "--oldest", "made_at"];
                args.extend(rule.map(str::to_owned));
            }
            "sync" => {
                rename(&user).await;
                args.push(user.clone());
            }
            "set-role" => args.extend([user.clone(), ["admin", "user"][round % 2].to_owned()]),
            "undo" => {
                user = self.newcomer(&name).await;
                tombstoned(world, &user).await;
                args.push(user.clone());
            }
            "restore" => {
                user = self.newcomer(&name).await;
                let erased = ["erase", &user, "--now", "--yes", "--json"].map(str::to_owned);
                let erased: Value = serde_json::from_str(&self.run(&erased).await.out).unwrap();
                let backup = erased["backups"][0].as_str().unwrap();
                args.push(format!("{}/{backup}", world.stack.addresses.backups));
            }
            "erase" => {
                user = self.newcomer(&name).await;
                args.extend([user.clone(), "--now".to_owned()]);
            }
            "migrate" => {
                let file = self.folder.path().join(format!("old{round}.json"));
                let row = |user: &String| json!({ "_id": user, "clerk": user, "plan": format!("plan{round}") });
                let rows: Vec<Value> = self.users.iter().map(row).collect();
                std::fs::write(&file, json!(rows).to_string()).unwrap();
                let options = ["--clerk-id", "clerk", "--field", "plan", "--on-conflict", "source"];
                args.extend(["metadata".to_owned(), file.to_string_lossy().into_owned()]);
                args.extend(options.map(str::to_owned));
            }
            // Each round writes another attribute into all moods.
            "rekey-table" => {
                let map = self.folder.path().join("mapped");
                std::fs::create_dir_all(&map).unwrap();
                let instance = &self.world.stack.addresses.clerk_instance_id;
                let run = json!({ "command": "metadata", "version": "", "input_sha256": "", "options": "",
                                  "instance": instance, "started": "" });
                let pair = |user: &String| {
                    format!("{}\n", json!({ "legacy_id": format!("str:{user}"), "clerk_user_id": user }))
                };
                let pairs: String = self.users.iter().map(pair).collect();
                for (name, text) in [
                    ("run.json", run.to_string()),
                    ("report.json", json!({ "done": 1 }).to_string()),
                    ("map.ndjson", pairs),
                ] {
                    std::fs::write(map.join(name), text).unwrap();
                }
                let path = |name: &str| self.folder.path().join(name).to_string_lossy().into_owned();
                args = ["migrate", "rekey-table", "moods", "--map"].map(str::to_owned).into();
                args.extend([path("mapped"), "--folder".to_owned(), path(&format!("moods{round}"))]);
                args.extend(["--reference".to_owned(), format!("user_id=clerk_{round}")]);
            }
            // Each round deletes the endpoint of the stack.
            "endpoint" => {
                let portal = Portal::open(&self.world).await;
                for endpoint in portal.endpoints().await {
                    let is_own = endpoint["uid"].is_string() || endpoint["url"] == portal.url();
                    if is_own {
                        portal.call("DELETE", &format!("/{}", endpoint["id"].as_str().unwrap()), Value::Null).await;
                    }
                }
                portal.call("POST", "", json!({ "url": "http://127.0.0.1:1/" })).await;
                args.push("ensure".to_owned());
            }
            "owned-tables" => {
                let file = self.folder.path().join("owned.json");
                std::fs::write(&file, r#"[{"table":"tasks","key":"user_id"}]"#).unwrap();
                args.push(file.to_string_lossy().into_owned());
            }
            other => unreachable!("{other}"),
        }
        if !["analyze", "owned-tables"].contains(&command) {
            args.push("--yes".to_owned());
        }
        Work { args, user, round, keys: self.keys().await }
    }

    /// The state that the command reaches when nothing stops it.
    pub(super) async fn is_done(&self, work: &Work) {
        let (world, command, at) = (&self.world, work.args[0].as_str(), work.round);
        let stored = rows(world).await;
        let of_user = of(world, &stored, &work.user);
        if ["reconcile", "full-sync", "sync", "undo", "erase", "set-role"].contains(&command) {
            assert_eq!(alive(world).await, projected(world).await, "{command} {at}");
        }
        match command {
            "fix-profiles" => assert!(of_user.iter().any(|(table, _)| table.contains("profiles")), "{at}"),
            "cleanup" | "erase" => assert_eq!(of_user, Vec::<&_>::new(), "{command} {at}"),
            "migrate" if work.args[1] == "rekey-table" => {
                let moods: Vec<_> = stored.iter().filter(|(table, _)| table == "moods").collect();
                let has = |row: &Row| row["user_id"] == row[&format!("clerk_{at}")];
                assert!(!moods.is_empty() && moods.iter().all(|(_, row)| has(row)), "{at}: {moods:?}");
            }
            "migrate" => {
                for user in &self.users {
                    let clerk = world.clerk("GET", &format!("/users/{user}"), Value::Null).await;
                    assert_eq!(clerk["public_metadata"]["plan"], format!("plan{at}"));
                }
            }
            "endpoint" => {
                let portal = Portal::open(world).await;
                let own = portal.own().await;
                assert_eq!((own.len(), &own[0]["url"]), (1, &json!(portal.url())), "{at}");
                let all = portal.endpoints().await;
                let others = all.iter().filter(|endpoint| endpoint["url"] == "http://127.0.0.1:1/").count();
                assert!(others > 0 && others + 1 == all.len(), "{at}: others are left alone: {all:?}");
            }
            "restore" => assert!(of_user.len() >= 6, "{at}: {of_user:?}"),
            "set-role" => {
                let clerk = world.clerk("GET", &format!("/users/{}", work.user), Value::Null).await;
                assert_eq!(clerk["public_metadata"]["role"], work.args[2], "{at}");
                assert_eq!(world.item(&user(&work.user)).await.unwrap()["role"], work.args[2], "{at}");
            }
            _ => {}
        }
        if ["full-sync", "fix-duplicates"].contains(&command) {
            let ids = stored.iter().filter_map(|(_, row)| row.get("mood_id")?.as_s().ok());
            let ids: Vec<_> = ids.filter(|id| id.starts_with(&format!("{at}-"))).collect();
            assert_eq!(ids, [&format!("{at}-1")], "{command}");
        }
    }

    /// Whether each row is in its table or in a backup.
    pub(super) async fn nothing_is_lost(&self, work: &Work, at: usize) {
        let now: BTreeSet<String> = self.keys().await.into_iter().collect();
        let backups: Vec<String> = self.world.backups().into_values().collect();
        for key in work.keys.iter().filter(|key| !now.contains(*key)) {
            let (table, parts) = key.split_once(' ').unwrap();
            let parts: Vec<Value> = serde_json::from_str(parts).unwrap();
            let is_kept = |line: &str| {
                line.contains(&format!("\"{table}\""))
                    && parts.iter().filter(|part| !part.is_null()).all(|part| line.contains(&part.to_string()))
            };
            let is_kept = backups.iter().any(|backup| backup.lines().any(is_kept));
            assert!(is_kept, "{} at request {at}: {key} is in no table and no backup", work.args[0]);
        }
    }

    /// Stops the command at one request, and runs it again.
    async fn play(&self, command: &str, (round, deletes): (usize, bool), request: usize, point: Point) -> Stopped {
        let work = self.work(command, round, deletes).await;
        let stopped = self.stopped(&work.args, request, point).await;
        let Stopped { said, is_reached, .. } = &stopped;
        assert!(!said.err.contains("panicked"), "{command} at request {request}: {}", said.err);
        if *is_reached {
            assert_eq!(said.status, Some(2), "{command} at request {request}, {point:?}: {}", said.err);
            assert_eq!(said.err.matches("Interrupted. ").count(), 1, "{command} at request {request}: {}", said.err);
        } else {
            assert_eq!(said.status, Some(0), "{command} of {request} requests: {} {}", said.out, said.err);
        }
        self.nothing_is_lost(&work, request).await;
        let now = i64::try_from(machine_time()).unwrap().try_into().unwrap();
        let lease = self.world.reconciler().await.operations().lease(now).await.unwrap();
        assert_eq!(lease, None, "{command} at request {request}, {point:?}");
        if *is_reached {
            let again = self.run(&work.args).await;
            // A row that a restoration had written is there already.
            let is_right = again.status == Some(0) || (command == "restore" && again.status == Some(2));
            assert!(is_right, "{command} after request {request}, {point:?}: {} {}", again.out, again.err);
            self.nothing_is_lost(&work, request).await;
        }
        self.is_done(&work).await;
        stopped
    }
}

/// Stops a command at each of its requests, and at the answer to each that writes. A long command is
/// stopped at its first requests and then at every `step`th.
async fn at_every_request(command: &str, at_least: usize, (first, step): (usize, usize)) {
    let office = Office::open(4).await;
    let mut round = 0;
    for (turn, request) in (1..first).chain((first..MOST).step_by(step)).enumerate() {
        // A sweep asks Clerk about every tombstone, so there is not one more in each round. A sweep that finds a
        // deletion makes about twenty requests more, and thus the last of these rounds ends the test.
        let deletes = turn.is_multiple_of(3);
        let stopped = Box::pin(office.play(command, (round, deletes), request, Point::Request)).await;
        round += 1;
        if !stopped.is_reached && deletes {
            assert!(request > at_least, "{command} made fewer than {request} requests");
            return;
        }
        if stopped.writes {
            let again = Box::pin(office.play(command, (round, deletes), request, Point::Answer)).await;
            assert!(again.is_reached, "{command} made fewer than {request} requests");
            round += 1;
        }
    }
    panic!("{command} made {MOST} requests");
}

#[test]
fn i19_every_command_that_changes_something_is_stopped_here() {
    for call in CALLS.iter().filter(|call| call.changes) {
        assert!(PLAYED.contains(&call.args[0]), "{} is missing in PLAYED", call.args[0]);
    }
}

#[tokio::test]
async fn i19_a_signal_at_any_request_of_migrate_is_continued() {
    at_every_request("migrate", 6, EACH).await;
    at_every_request("rekey-table", 6, EACH).await;
}

#[tokio::test]
async fn i19_a_signal_at_any_request_of_endpoint_leaves_one_endpoint() {
    at_every_request("endpoint", 10, EACH).await;
}

#[tokio::test]
async fn i19_a_signal_at_any_request_of_reconcile_leaves_a_run_that_continues() {
    at_every_request("reconcile", 50, (30, 3)).await;
}

#[tokio::test]
async fn i19_a_signal_at_any_request_of_analyze_changes_nothing() {
    at_every_request("analyze", 10, EACH).await;
}

#[tokio::test]
async fn i19_a_signal_at_any_request_of_fix_profiles_leaves_whole_records() {
    at_every_request("fix-profiles", 5, EACH).await;
}

#[tokio::test]
async fn i19_a_signal_at_any_request_of_cleanup_leaves_each_row_or_its_backup() {
    at_every_request("cleanup", 10, EACH).await;
}

#[tokio::test]
async fn i19_a_signal_at_any_request_of_fix_duplicates_leaves_each_row_or_its_backup() {
    at_every_request("fix-duplicates", 5, EACH).await;
}

#[tokio::test]
async fn i19_a_signal_at_any_request_of_full_sync_leaves_whole_steps() {
    at_every_request("full-sync", 100, (1, 9)).await;
}

#[tokio::test]
async fn i19_a_signal_at_any_request_of_sync_or_set_role_leaves_a_row_that_follows() {
    at_every_request("sync", 5, EACH).await;
    at_every_request("set-role", 5, EACH).await;
}

#[tokio::test]
async fn i19_a_signal_at_any_request_of_undo_leaves_a_deletion_that_can_be_undone() {
    at_every_request("undo", 5, EACH).await;
}

#[tokio::test]
async fn i19_a_signal_at_any_request_of_erase_or_restore_leaves_each_row_or_its_backup() {
    at_every_request("erase", 10, EACH).await;
    at_every_request("restore", 5, EACH).await;
}

#[tokio::test]
async fn i19_a_signal_at_any_request_of_owned_tables_leaves_a_list_or_none() {
    at_every_request("owned-tables", 2, EACH).await;
}

#[tokio::test]
async fn i19_a_signal_at_any_request_of_a_command_that_looks_ends_it_without_an_answer() {
    let office = Office::open(2).await;
    let before = (rows(&office.world).await, office.world.directory().await, office.world.operations().await);
    let doctor = ["doctor"];
    let looks = CALLS.iter().filter(|call| !call.changes && !PLAYED.contains(&call.args[0])).map(|call| call.args);
    for args in looks.chain([&doctor[..]]) {
        let fill = |arg: &&str| arg.replace("{user}", &office.users[0]).replace("{organization}", &office.organization);
        let args: Vec<String> = args.iter().map(fill).collect();
        for request in 1..MOST {
            let Stopped { said, is_reached, .. } = office.stopped(&args, request, Point::Request).await;
            if !is_reached {
                // The log is not in DynamoDB. The note does not exist.
                assert!(request > 1 || args[0] == "tail", "{args:?} makes no request");
                break;
            }
            let expected = (Some(2), "", "Interrupted. Nothing was written.\n");
            assert_eq!((said.status, said.out.as_str(), said.err.as_str()), expected, "{args:?} at request {request}");
        }
    }
    assert_eq!((rows(&office.world).await, office.world.directory().await, office.world.operations().await), before);
}

/// What happens at a question.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Key(&'static [u8]),
    Signal(&'static str),
}

const CTRL_C: Answer = Answer::Key(b"\x03");
const CTRL_D: Answer = Answer::Key(b"\x04");

/// Runs a command on a terminal, and answers its question.
async fn at_the_question(office: &Office, args: &[String], answer: Answer) -> Evidence {
    let mut process = office.on_a_terminal(args);
    let (mut stdin, mut stdout) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
    let mut shown = Vec::new();
    let asked = async {
        while !String::from_utf8_lossy(&shown).contains("[y/N] ") {
            assert_ne!(stdout.read_buf(&mut shown).await.unwrap(), 0, "{args:?}: {}", String::from_utf8_lossy(&shown));
        }
    };
    tokio::time::timeout(Duration::from_secs(30), asked).await.expect("it asks");
    match answer {
        Answer::Key(key) => stdin.write_all(key).await.unwrap(),
        Answer::Signal(signal) => {
            // The terminal has one child, which is the command.
            let parent = process.id().unwrap().to_string();
            assert!(Command::new("pkill").args([signal, "-P", &parent]).status().await.unwrap().success());
        }
    }
    let ended = tokio::time::timeout(Duration::from_secs(30), async {
        stdout.read_to_end(&mut shown).await.unwrap();
        process.wait().await.unwrap()
    });
    let status = ended.await.unwrap_or_else(|_| panic!("{args:?} goes on")).code();
    Evidence { status, out: String::from_utf8_lossy(&shown).into_owned(), err: String::new() }
}

#[tokio::test]
async fn i19_a_signal_at_the_question_is_no_consent_in_any_command() {
    for command in PLAYED.iter().filter(|command| !["analyze", "owned-tables"].contains(*command)) {
        let office = Office::open(4).await;
        let mut work = office.work(command, 0, true).await;
        work.args.retain(|arg| arg != "--yes");
        let before = (rows(&office.world).await, office.world.directory().await);
        for answer in [CTRL_C, Answer::Signal("-TERM"), CTRL_D] {
            let said = at_the_question(&office, &work.args, answer).await;
            assert_eq!(said.status, Some(2), "{command} {answer:?}: {}", said.out);
            // The terminal shows the key.
            let shown = said.out.rsplit_once("[y/N] ").unwrap().1;
            let shown = shown.trim_start_matches("^D\u{8}\u{8}").trim_start_matches("^C");
            let is_no = matches!(answer, Answer::Key(b"\x04"));
            let end = if is_no { "Nothing was" } else { "Interrupted. Nothing was written." };
            let is_right = shown.starts_with("\r\n") && shown.trim_start().starts_with(end);
            assert!(is_right, "{command} {answer:?}: {shown:?}");
            assert_eq!((rows(&office.world).await, office.world.directory().await), before, "{command} {answer:?}");
        }
        work.args.push("--yes".to_owned());
        let again = office.run(&work.args).await;
        assert_eq!(again.status, Some(0), "{command}: {} {}", again.out, again.err);
        office.is_done(&work).await;
    }
}

#[tokio::test]
async fn i19_a_second_signal_ends_a_command_that_still_cleans_up() {
    let office = Office::open(1).await;
    office.stranger("stranger").await;
    let mut held = office.world.wire.hold();
    let process = office.command(&["reconcile", "--yes"].map(str::to_owned)).spawn().unwrap();
    let id = process.id().unwrap().to_string();
    let signal = || assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let mut kept = Vec::new();
    loop {
        let one = held.recv().await.unwrap();
        let is_lease = one.operation == "PutItem";
        one.release();
        if is_lease {
            break;
        }
    }
    kept.push(held.recv().await.unwrap());
    // `timeout` of coreutils sends a signal to the process and to its group: these are one.
    signal();
    signal();
    let release = held.recv().await.unwrap();
    assert_eq!(release.operation, "DeleteItem");
    kept.push(release);
    tokio::time::sleep(Duration::from_secs(1)).await;
    signal();
    let output = tokio::time::timeout(Duration::from_secs(10), process.wait_with_output()).await.expect("it ends");
    assert_eq!(output.unwrap().status.code(), Some(130));
}
