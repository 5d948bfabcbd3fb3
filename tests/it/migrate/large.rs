//! Many rows in bounded memory, with as few requests as possible. CI migrates two thousand; by hand:
//! `ROLLCALL_ROWS=1000000 cargo test --workspace --test it -- --ignored --nocapture as_many_rows_as_asked_for`.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use clerk_emulator::{Config, Generated};
use rollcall_tests::World;
use serde_json::{Value, json};

use super::Old;
use crate::operator::commands::{binary, command, on};
use crate::operator::system_e::large::peak;

/// Rows that are matched by the Clerk id; the others by the e-mail address.
const BY_ID: usize = 2;
/// One row of so many has something new for Clerk.
const CHANGED: usize = 8;
/// Memory beside that of a run with ten rows: this, in KiB, and the ids.
const MORE: u64 = 16 * 1024;
/// Bytes for the ids of a row: 40 MB for a million.
const OF_ROW: u64 = 40;

/// What a run has cost.
struct Cost {
    report: Value,
    status: Option<i32>,
    /// In KiB.
    memory: u64,
    /// By operation.
    requests: BTreeMap<String, u64>,
}

impl Cost {
    fn of(&self, operation: &str) -> u64 {
        self.requests.get(operation).copied().unwrap_or_default()
    }

    fn lists(&self) -> u64 {
        self.of("GET /v1/users")
    }

    fn patches(&self) -> u64 {
        self.of("PATCH /v1/users/{user_id}/metadata")
    }
}

async fn measured(old: &Old, file: &Path, options: &[&str]) -> Cost {
    let args = [&["migrate", "metadata", file.to_str().unwrap(), "--yes", "--json"], options].concat();
    let before = old.world.stack.clerk.requests();
    let began = Instant::now();
    let mut command = command(binary().to_str().unwrap(), &[]);
    let process = command.args(on(&old.world, &args)).stderr(Stdio::inherit()).spawn().unwrap();
    let pid = process.id().unwrap();
    let output = process.wait_with_output();
    tokio::pin!(output);
    let mut memory = 0;
    let output = loop {
        tokio::select! {
            output = &mut output => break output.unwrap(),
            () = tokio::time::sleep(Duration::from_millis(20)) => memory = memory.max(peak(pid).unwrap_or_default()),
        }
    };
    let now = old.world.stack.clerk.requests();
    let since = |(name, number): (String, u64)| {
        let more = number - before.get(&name).copied().unwrap_or_default();
        (more > 0).then_some((name, more))
    };
    let requests: BTreeMap<String, u64> = now.into_iter().filter_map(since).collect();
    println!("{options:?}: {:.0} s, peak memory {memory} KiB, {requests:?}", began.elapsed().as_secs_f64());
    let report = serde_json::from_slice(&output.stdout).unwrap();
    Cost { report, status: output.status.code(), memory, requests }
}

/// Writes a row for each of the generated users, and gives back the users of the first rows.
async fn export(old: &Old, rows: usize, path: &Path) {
    let mut file = BufWriter::new(std::fs::File::create(path).unwrap());
    let mut number = 0;
    while number < rows {
        let path = format!("/users?limit=500&offset={number}&order_by=%2Bcreated_at");
        for user in old.world.clerk("GET", &path, Value::Null).await.as_array().unwrap() {
            let mut row = json!({ "_id": { "$oid": format!("{number:024x}") } });
            if number % BY_ID == 0 {
                row["clerk"] = user["id"].clone();
            } else {
                row["email"] = user["email_addresses"][0]["email_address"].clone();
                row["proven"] = true.into();
            }
            if number % CHANGED < 2 {
                row["plan"] = "pro".into();
            }
            writeln!(file, "{row}").unwrap();
            number += 1;
            if number == rows {
                break;
            }
        }
    }
}

fn hundreds(ids: usize) -> u64 {
    u64::try_from(ids.div_ceil(100)).unwrap()
}

async fn play(rows: usize) {
    let users = u64::try_from(rows).unwrap();
    let generated = Generated { users, ..Generated::default() };
    let clerk = Config { generated, ..Config::default() };
    let world = World::with_clerk(clerk, &[("METADATA_WRITEBACK", "off")]).await;
    let old = Old { world, folder: tempfile::tempdir().unwrap() };
    let options =
        ["--field", "plan", "--clerk-id", "clerk", "--email", "email", "--email-proof", "proven", "--match-email"];
    let few = old.folder.path().join("few.json");
    export(&old, 10, &few).await;
    let base = measured(&old, &few, &[&options[..], &["--dry-run"]].concat()).await.memory;
    let file = old.folder.path().join("users.json");
    export(&old, rows, &file).await;
    let most = base + MORE + OF_ROW * users / 1024;

    let changed = (0..rows).filter(|number| number % CHANGED < 2).count();
    let by_id = rows.div_ceil(BY_ID);
    let lists = hundreds(by_id) + hundreds(rows) + hundreds(rows - by_id);
    let changes = u64::try_from(changed).unwrap();
    let first = measured(&old, &file, &options).await;
    let done = &first.report["done"];
    assert_eq!((first.status, &done["read"]), (Some(0), &json!(rows)));
    assert_eq!(done["by_result"], json!({ "changed": changed, "unchanged": rows - changed }));
    assert_eq!(done["by_rule"], json!({ "clerk_id": by_id, "email": rows - by_id }));
    // Each user is read again right before the write.
    assert_eq!((first.lists(), first.patches()), (lists + hundreds(changed), changes));
    let sent: u64 = first.requests.values().sum();
    let floor = lists + hundreds(changed) + changes;
    assert!(sent * 100 <= floor * 101, "{sent} requests, and {floor} are necessary");

    let second = measured(&old, &file, &options).await;
    assert_eq!((second.status, second.lists(), second.patches()), (Some(0), lists, 0));
    let undone = measured(&old, &file, &["--undo"]).await;
    assert_eq!((undone.status, undone.lists(), undone.patches()), (Some(0), hundreds(changed), changes));
    assert_eq!(undone.report["undone"]["restored"], changed);
    for cost in [&first, &second, &undone] {
        assert!(cost.memory <= most, "{} KiB, and {most} KiB are allowed", cost.memory);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a1_two_thousand_rows_cost_the_fewest_requests() {
    play(2_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: run by hand"]
async fn a1_as_many_rows_as_asked_for_in_bounded_memory() {
    #[expect(clippy::disallowed_methods, reason = "a number for a run by hand")]
    let rows = std::env::var("ROLLCALL_ROWS").ok().and_then(|number| number.parse().ok());
    play(rows.unwrap_or(100_000)).await;
}
