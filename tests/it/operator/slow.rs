//! I19: a DynamoDB and a Clerk that answer slowly, or not within the time limit.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::join_all;

use super::at_every_request::Office;
use super::every_command::CALLS;
use super::interrupted::PLAYED;
use super::system_e::rows;
use crate::operator::commands::Evidence;

/// The commands with over 30 requests, whose answers are delayed less.
const LONG: [&str; 6] = ["reconcile", "analyze", "cleanup", "full-sync", "explain", "export"];
const SLOW: Duration = Duration::from_millis(1_000);
/// The steps of which each is shown while it lasts.
const STEPS: [(&str, &[&str]); 6] = [
    ("reconcile", &["calling Clerk", "searching the Directory"]),
    ("analyze", &["calling Clerk", "comparing the tables"]),
    ("fix-profiles", &["looking for missing records", "creating records"]),
    ("cleanup", &["reading ", "removing rows"]),
    ("fix-duplicates", &["reading moods", "removing duplicates"]),
    ("full-sync", &["calling Clerk", "creating records", "removing duplicates"]),
];

/// The ways to look at an office.
fn looks(office: &Office) -> impl Iterator<Item = Vec<String>> {
    let looks = CALLS.iter().filter(|call| !call.changes && !PLAYED.contains(&call.args[0]));
    looks.map(|call| {
        let fill = |arg: &&str| arg.replace("{user}", &office.users[0]).replace("{organization}", &office.organization);
        call.args.iter().map(fill).collect()
    })
}

/// Runs a command that changes something, on a terminal if it shows its progress.
async fn slowly(command: &str) {
    let office = Office::open(4).await;
    let work = office.work(command, 0, true).await;
    let delay = if LONG.contains(&command) { SLOW / 5 } else { SLOW };
    office.world.wire.slow(delay);
    office.clerk.slow(delay);
    let (status, out) = if let Some((_, steps)) = STEPS.iter().find(|(name, _)| *name == command) {
        let process = office.on_a_terminal(&work.args);
        let output = tokio::time::timeout(Duration::from_mins(2), process.wait_with_output()).await;
        let output = output.expect("it ends").unwrap();
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        for step in *steps {
            assert!(out.contains(step), "{command} does not show {step:?}");
        }
        (output.status.code(), out)
    } else {
        let Evidence { status, out, err } = office.run(&work.args).await;
        (status, out + &err)
    };
    assert_eq!(status, Some(0), "{command}: {out}");
    office.world.wire.slow(Duration::ZERO);
    office.clerk.slow(Duration::ZERO);
    office.is_done(&work).await;
}

#[tokio::test]
async fn i19_every_command_works_with_a_slow_dynamodb_and_a_slow_clerk_and_shows_its_progress() {
    join_all(PLAYED.iter().map(|command| Box::pin(slowly(command)))).await;
}

#[tokio::test]
async fn i19_every_look_works_with_a_slow_dynamodb_and_a_slow_clerk() {
    let office = Office::open(2).await;
    let looks: Vec<_> = looks(&office).collect();
    let usual = join_all(looks.iter().map(async |args| (args, office.run(args).await))).await;
    let usual: HashMap<_, _> = usual.into_iter().collect();
    let mut slow = Vec::new();
    for is_long in [false, true] {
        let delay = if is_long { SLOW / 10 } else { SLOW };
        office.world.wire.slow(delay);
        office.clerk.slow(delay);
        let some = looks.iter().filter(|args| LONG.contains(&args[0].as_str()) == is_long);
        slow.extend(join_all(some.map(async |args| (args, office.run(args).await))).await);
    }
    for (args, slow) in slow {
        let usual = &usual[args];
        assert_eq!((slow.status, &slow.err), (usual.status, &usual.err), "{args:?}");
        assert_eq!(slow.out.lines().count(), usual.out.lines().count(), "{args:?}");
    }
}

#[tokio::test]
async fn i19_a_dynamodb_that_does_not_answer_in_time_is_named_and_nothing_is_written() {
    let office = Office::open(4).await;
    let mut all: Vec<_> = looks(&office).filter(|args| args[0] != "tail").collect();
    for (round, command) in PLAYED.iter().enumerate() {
        all.push(office.work(command, round, true).await.args);
    }
    let before = (rows(&office.world).await, office.world.directory().await, office.world.operations().await);
    office.world.wire.slow(Duration::from_secs(10));
    let said = join_all(all.iter().map(|args| office.run(args))).await;
    for (args, said) in all.iter().zip(said) {
        assert_eq!((said.status, said.out.as_str()), (Some(1), ""), "{args:?}: {}", said.err);
        assert!(said.err.contains("DynamoDB") && said.err.contains("check that"), "{args:?}: {}", said.err);
    }
    // Requests that nobody waits for any more arrive.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let after = (rows(&office.world).await, office.world.directory().await, office.world.operations().await);
    assert!(after == before, "something was written");
}
