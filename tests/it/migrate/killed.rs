//! A migration that is killed between an answer of Clerk and the line about it, with Clerk's rate limits on.

use std::process::Stdio;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use clerk_emulator::{ApiFaults, Config, RateLimits};
use rollcall_cli::dev::record;
use rollcall_tests::{Point, Wire, World};
use serde_json::{Value, json};
use tokio::process::Command;

use super::Old;
use crate::operator::commands::{self, binary, command};

const USERS: usize = 250;
/// The answer that the command does not get.
const KILLED_AT: usize = 120;
const PAUSE: Duration = Duration::from_secs(3);
const PATCH: &str = "PATCH /v1/users/{user_id}/metadata";

#[tokio::test]
async fn a1_a_killed_run_goes_on_after_the_120th_of_250_changes_and_waits_as_clerk_asks() {
    let clerk =
        Config { users: USERS, production: true, rate_limits: Some(RateLimits::PRODUCTION), ..Config::default() };
    let world = World::with_clerk(clerk, &[("METADATA_WRITEBACK", "off")]).await;
    let old = Old { world, folder: tempfile::tempdir().unwrap() };
    let users = old.world.clerk("GET", "/users?limit=500", Value::Null).await;
    let ids: Vec<&str> = users.as_array().unwrap().iter().map(|user| user["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), USERS);
    let row = |(number, id): (usize, &&str)| json!({ "_id": format!("a{number}"), "clerk": id, "plan": "pro" });
    let file = old.rows(&ids.iter().enumerate().map(row).collect::<Vec<_>>());

    let wire = Wire::start(old.world.stack.addresses.clerk.clone()).await;
    let folder = tempfile::tempdir().unwrap();
    let mut record = commands::record(&old.world);
    record.settings.insert("CLERK_API_URL".to_owned(), wire.url().to_owned());
    assert!(record.rate_limits, "the command keeps to its share");
    let _published = record::publish(&folder.path().join("rollcall"), &record).unwrap();
    let start = || -> Command {
        let mut command = command(binary().to_str().unwrap(), &[]);
        command.args(["migrate", "metadata", file.to_str().unwrap(), "--field", "plan", "--clerk-id", "clerk"]);
        command.args(["--yes", "--json", "--local"]).env("XDG_RUNTIME_DIR", folder.path());
        command
    };

    let mut held = wire.hold_at(Point::Answer);
    let mut first = start().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut answered = 0;
    while let Some(request) = held.recv().await {
        answered += usize::from(request.writes);
        if answered == KILLED_AT {
            first.kill().await.unwrap();
            break;
        }
        request.release();
    }
    drop(held);
    let journal = old.lines("journal.ndjson");
    let of_kind = |journal: &[Value], kind: &str| journal.iter().filter(|line| line["kind"] == kind).count();
    assert_eq!(of_kind(&journal, "intent"), 200, "two batches were noted before they were sent");
    assert_eq!(of_kind(&journal, "done"), 100, "the second batch was under way");
    // Requests under way at that moment reach Clerk, too.
    let mut so_far = 0;
    while so_far < old.patches() {
        so_far = old.patches();
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert!((120..130).contains(&so_far), "{so_far}");

    let mut held = wire.hold_at(Point::Request);
    let mut second = start().spawn().unwrap();
    let output = async {
        let mut out = String::new();
        tokio::io::AsyncReadExt::read_to_string(&mut second.stdout.take().unwrap(), &mut out).await.unwrap();
        (second.wait().await.unwrap(), out)
    };
    let pause = Mutex::new(Duration::ZERO);
    let refusals = async {
        let mut refused = false;
        while let Some(request) = held.recv().await {
            if request.writes && !refused {
                refused = true;
                let before = old.patches();
                old.world.set_faults(ApiFaults {
                    too_many_requests: 1.0,
                    retry_after_s: Some(PAUSE.as_secs()),
                    requests: vec![PATCH.to_owned()],
                    ..ApiFaults::default()
                });
                let began = Instant::now();
                request.release();
                while old.patches() == before {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                old.world.set_faults(ApiFaults::default());
                // Those that were sent before the refusal wait on the wire: they are not new.
                let mut waiting = Vec::new();
                while let Ok(Some(request)) = tokio::time::timeout(Duration::from_millis(500), held.recv()).await {
                    waiting.push(request);
                }
                assert!(waiting.len() < 8, "{} requests were under way", waiting.len());
                waiting.into_iter().for_each(rollcall_tests::Held::release);
                let next = held.recv().await.unwrap();
                *pause.lock().unwrap() = began.elapsed();
                next.release();
                continue;
            }
            request.release();
        }
    };
    let (status, out) = tokio::select! {
        output = output => output,
        () = refusals => unreachable!("the wire outlives the command"),
    };
    assert!(status.success(), "{out}");
    let pause = *pause.lock().unwrap();
    assert!(pause >= PAUSE, "the next request came after {pause:?}");
    let report: Value = serde_json::from_str(&out).unwrap();
    let results = &report["done"]["by_result"];
    let of = |result: &str| results[result].as_u64().unwrap_or_default();
    assert_eq!((of("changed") + of("changed_before"), of("changed_before")), (250, so_far), "{results}");
    // Each of the 250 has the value, so each was sent once.
    assert_eq!(old.patches(), 251, "and the refused one");
    for user in old.world.clerk("GET", "/users?limit=500", Value::Null).await.as_array().unwrap() {
        assert_eq!(user["public_metadata"]["plan"], "pro");
    }
}
