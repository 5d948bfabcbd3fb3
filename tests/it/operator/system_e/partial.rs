//! Repairs that fail or are interrupted in the middle: what they say of what is done.

use std::process::{Output, Stdio};

use rollcall_cli::dev::record;
use rollcall_tests::{Fault, World};
use serde_json::{Value, json};
use tokio::process::Command;

use super::{deleted, office, over_the_wire, ran, rows, text_row};
use crate::operator::commands::{self, binary};

/// Requests of one backup that a restoration makes at once.
const IN_FLIGHT: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Ctrl-C while the request is on its way.
    Interrupted,
    /// DynamoDB refuses the request.
    Refused,
}

/// Runs a command over the wire, and ends it at its nth transaction, counted from 0.
async fn ended_at(world: &World, args: &[&str], nth: usize, end: End) -> Output {
    let mut record = commands::record(world);
    world.wire.url().clone_into(&mut record.addresses.dynamodb);
    let folder = tempfile::tempdir().unwrap();
    let _published = record::publish(&folder.path().join("rollcall"), &record).unwrap();
    let mut command = commands::command(binary().to_str().unwrap(), &[]);
    command.args(args).arg("--local").env("XDG_RUNTIME_DIR", folder.path());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut held = world.wire.hold();
    let process = command.spawn().unwrap();
    let pid = process.id().unwrap();
    let output = process.wait_with_output();
    tokio::pin!(output);
    let mut transactions = 0;
    loop {
        tokio::select! {
            output = &mut output => return output.unwrap(),
            request = held.recv() => {
                let request = request.unwrap();
                if request.operation == "TransactWriteItems" {
                    transactions += 1;
                    match end {
                        End::Interrupted if transactions == nth + 1 => {
                            let kill = Command::new("kill").args(["-INT", &pid.to_string()]).status();
                            assert!(kill.await.unwrap().success());
                            let output = output.await.unwrap();
                            drop(request);
                            return output;
                        }
                        End::Refused if transactions == nth => world.wire.fail_after(1, [Fault::AccessDenied; 9]),
                        _ => {}
                    }
                }
                request.release();
            }
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn e5_a_clean_up_that_ends_in_the_middle_says_what_is_done() {
    for end in [End::Interrupted, End::Refused] {
        let (world, users, _) = office(9).await;
        for user in &users[1..4] {
            deleted(&world, user).await;
        }
        let before = rows(&world).await.len();
        let args = ["cleanup", "--yes", "--approve", "3"];
        let output = ended_at(&world, &[&args[..], &["--json"]].concat(), 1, end).await;
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        let status = if end == End::Refused { 1 } else { 2 };
        assert_eq!(output.status.code(), Some(status), "{out} {err}");
        let json: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out} {err}"));
        let done = &json["done"];
        assert_eq!((&done["complete"], &done["users"]), (&json!(false), &json!(1)), "{json}");
        let removed: u64 = done["removed"].as_object().unwrap().values().map(|rows| rows.as_u64().unwrap()).sum();
        assert_eq!(removed, u64::try_from(before - rows(&world).await.len()).unwrap(), "{json}");
        assert!(!done["backups"].as_array().unwrap().is_empty() && done["run"].is_string(), "{json}");
        world.wire.fail([]);
        // The same command continues: the rest is a part of what was approved.
        let rest = ran(&world, &args, 0).await;
        assert_eq!((&rest["done"]["users"], &rest["done"]["complete"]), (&json!(2), &json!(true)), "{rest}");
    }
}

#[tokio::test]
async fn e6_a_removal_of_duplicates_that_ends_in_the_middle_says_what_is_done() {
    for end in [End::Interrupted, End::Refused] {
        let (world, users, _) = office(3).await;
        let row = |at: usize| {
            let (id, day) = (format!("d{at:03}"), format!("{}", at % 60));
            text_row(&[("mood_id", &id), ("user_id", &users[0]), ("day", &day), ("at", "2024-01-01T00:00:00Z")])
        };
        let others = rows(&world).await.iter().filter(|(table, _)| table == "moods").count();
        world.put_rows((0..200).map(|at| ("moods", row(at))).collect()).await;
        let args = ["fix-duplicates", "--table", "moods", "--by", "day", "--oldest", "at", "--approve", "140", "--yes"];
        let output = ended_at(&world, &args, 3, end).await;
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(if end == End::Refused { 1 } else { 2 }), "{out} {err}");
        assert!(out.contains("Not complete") && out.contains("Run the command again"), "{out} {err}");
        assert!(out.contains("restore --run"), "{out}");
        world.wire.fail([]);
        assert_eq!(ran(&world, &args, 0).await["complete"], true);
        assert_eq!(rows(&world).await.iter().filter(|(table, _)| table == "moods").count(), others + 60);
    }
}

#[tokio::test]
async fn e7_a_full_sync_that_ends_in_the_middle_says_which_steps_are_done() {
    let (world, users, _) = office(9).await;
    for user in &users[1..4] {
        deleted(&world, user).await;
    }
    world.follow().await;
    world.wait_hours(25);
    assert_eq!(world.purge_due().await.purges.unwrap().purged, 3);
    for user in &users[1..4] {
        world.give_rows(user, 1, "late").await;
    }
    let output = ended_at(&world, &["full-sync", "--yes", "--json"], 1, End::Refused).await;
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{out} {err}");
    let json: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out} {err}"));
    let done = &json["done"];
    assert_eq!((&done["complete"], &done["reconcile"]["state"]), (&json!(false), &json!("done")), "{json}");
    assert!(done["profiles"].is_object(), "{json}");
    assert_eq!((&done["cleanup"]["complete"], &done["cleanup"]["users"]), (&json!(false), &json!(1)), "{json}");
    world.wire.fail([]);
    let rest = ran(&world, &["full-sync", "--yes"], 0).await;
    assert_eq!(rest["done"]["cleanup"]["users"], 2, "{rest}");
}

#[tokio::test]
async fn a_restoration_that_fails_in_the_middle_says_what_is_done_and_goes_on() {
    let (world, users, _) = office(9).await;
    for user in &users[1..4] {
        deleted(&world, user).await;
    }
    let before = rows(&world).await.len();
    let run = ran(&world, &["cleanup", "--yes"], 0).await["done"]["run"].as_str().unwrap().to_owned();
    let args = ["restore", "--run", &run, "--yes", "--json"];
    let removed = rows(&world).await.len();
    world.wire.fail_after(25, [Fault::AccessDenied; 99]);
    let said = over_the_wire(&world, &args).await;
    world.wire.fail([]);
    let json: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{} {}", said.out, said.err));
    assert_eq!((said.status, &json["complete"]), (Some(1), &json!(false)), "{json}");
    assert!((removed..before).contains(&rows(&world).await.len()), "{json}");
    let again = ran(&world, &args[..args.len() - 1], 0).await;
    assert_eq!((&again["complete"], rows(&world).await.len()), (&json!(true), before), "{again}");
}

#[tokio::test]
async fn a_restoration_that_fails_in_the_middle_of_several_backups_counts_the_rows_of_all() {
    let (world, users, _) = office(9).await;
    for user in &users[1..4] {
        world.give_rows(user, 40, "more").await;
        deleted(&world, user).await;
    }
    let run = ran(&world, &["cleanup", "--yes"], 0).await["done"]["run"].as_str().unwrap().to_owned();
    let removed = rows(&world).await.len();
    world.wire.fail_after(150, [Fault::AccessDenied; 200]);
    let said = over_the_wire(&world, &["restore", "--run", &run, "--yes", "--json"]).await;
    world.wire.fail([]);
    let json: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{} {}", said.out, said.err));
    let back = rows(&world).await.len() - removed;
    let counted: u64 = json["restored"].as_object().unwrap().values().map(|rows| rows.as_u64().unwrap()).sum();
    let counted = usize::try_from(counted).unwrap();
    assert_eq!((said.status, &json["complete"]), (Some(1), &json!(false)), "{json}");
    // Some requests of each of the three backups were on their way.
    assert!(counted <= back && back > 60 && back - counted <= 3 * IN_FLIGHT, "{counted} of {back} rows: {json}");
}
