//! A hundred thousand users. Reconcile is a process of its own here, the real `rollcall` binary, so that its peak
//! memory is its own, too.

use std::process::Stdio;
use std::time::{Duration, Instant};

use clerk_emulator::Generated;
use rollcall_cli::dev::record::{self, Published};
use rollcall_tests::{Call, World};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::operator::commands::{binary, record};

const GENERATED: Generated = Generated { users: 100_000, organizations: 20, memberships: 2_000 };
const ALL: u64 = GENERATED.users + GENERATED.organizations + GENERATED.memberships;
/// Kibibytes that a run may ever have in memory. The first run of the unoptimised binary was seen to need 32 MiB: this
/// is twice that.
const MAX_MEMORY: u64 = 64 * 1024;
/// How often is looked. The kernel keeps the peak itself; only one of the last moments can be missed.
const LOOK: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_mins(4);

/// One run, and what was seen of it from outside.
struct ListedSet {
    run: Value,
    /// Requests that the emulator has answered.
    clerk_calls: u64,
    /// Requests that may write to the Directory.
    writes: u64,
}

/// `rollcall reconcile` on the world's stack, with a DynamoDB whose requests are counted, and what must live as long.
fn command(world: &World) -> (Command, TempDir, Published) {
    let mut record = record(world);
    world.wire.url().clone_into(&mut record.addresses.dynamodb);
    let folder = tempfile::tempdir().unwrap();
    let published = record::publish(&folder.path().join("rollcall"), &record).unwrap();
    let mut command = Command::new(binary());
    command.args(["reconcile", "--yes", "--json", "--local"]).env_clear().env("XDG_RUNTIME_DIR", folder.path());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    (command, folder, published)
}

/// The most memory that a process has ever had, in KiB; nothing once it has ended, or where there is no Linux.
fn peak(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches("kB").trim_end().parse().ok()
}

/// Requests since the last time that may write to the Directory. What has been counted is forgotten: there are many.
fn writes(world: &World) -> u64 {
    let is_write = |call: &Call| match call.operation.as_str() {
        "PutItem" | "UpdateItem" | "DeleteItem" | "TransactWriteItems" => {
            call.table.as_deref() == Some(&world.stack.addresses.directory_table)
        }
        operation => operation == "BatchWriteItem",
    };
    world.wire.take().iter().map(|call| u64::from(is_write(call))).sum()
}

async fn reconcile(world: &World, name: &str) -> ListedSet {
    let (before, began) = (world.clerk_calls(), Instant::now());
    let _ = world.wire.take();
    let (mut command, _folder, _published) = command(world);
    let process = command.spawn().expect("the rollcall binary is built by `make test` before this runs");
    let pid = process.id().unwrap();
    let output = tokio::time::timeout(PATIENCE, process.wait_with_output());
    tokio::pin!(output);
    let (mut memory, mut written) = (None, 0);
    let output = loop {
        tokio::select! {
            output = &mut output => break output.expect("it ends").unwrap(),
            () = tokio::time::sleep(LOOK) => {
                memory = memory.max(peak(pid));
                written += writes(world);
            }
        }
    };
    let (seconds, text) = (began.elapsed().as_secs_f64(), String::from_utf8_lossy(&output.stderr));
    assert_eq!((output.status.code(), text.as_ref()), (Some(0), ""), "{name}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["in_sync"], true, "{name}: {report}");
    let memory_text = memory.map_or_else(|| "not measured: no Linux".to_owned(), |kib| format!("{} MiB", kib / 1024));
    println!("{name}: {seconds:.0} s, peak memory {memory_text}");
    assert!(memory.is_none_or(|kib| kib <= MAX_MEMORY), "{name} had {memory:?} KiB");
    assert!(memory.is_some() || !cfg!(target_os = "linux"), "{name}: its memory was never seen");
    ListedSet { run: report["run"].clone(), clerk_calls: world.clerk_calls() - before, writes: written + writes(world) }
}

fn total(run: &Value, count: &str) -> u64 {
    ["user", "organization", "membership"].iter().map(|kind| run["tally"][kind][count].as_u64().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e11_a_hundred_thousand_users_in_bounded_memory() {
    let clerk = clerk_emulator::Config { generated: GENERATED, production: true, ..clerk_emulator::Config::default() };
    let world = World::with_clerk(clerk, &[]).await;
    let Generated { users, organizations, memberships } = GENERATED;
    let pages: u64 = [users, organizations, memberships].iter().map(|rows| rows.div_ceil(500)).sum();
    let is_in_budget_of = |seen: &ListedSet, pages: u64| {
        assert!(seen.clerk_calls <= pages + 5, "{} calls, {pages} pages", seen.clerk_calls);
        assert_eq!(seen.run["cost"]["clerk_calls"], seen.clerk_calls);
    };

    let is_in_budget = |seen: &ListedSet| is_in_budget_of(seen, pages);

    let first = reconcile(&world, "100,000 users into an empty Directory").await;
    // Before a page is written Clerk is asked once more whose it is.
    is_in_budget_of(&first, 2 * pages);
    assert_eq!((total(&first.run, "created"), total(&first.run, "unchanged")), (ALL, 0));
    assert_eq!(first.writes, ALL, "each entity is written once");
    assert_eq!(
        first.run["effects"]["profiles"],
        users + memberships,
        "nothing follows the stream here, so reconcile provisions"
    );

    let unchanged = reconcile(&world, "100,000 users, unchanged").await;
    is_in_budget(&unchanged);
    assert_eq!((total(&unchanged.run, "unchanged"), unchanged.writes), (ALL, 0));
    assert_eq!(unchanged.run["effects"]["profiles"], 0);

    let page = world.clerk("GET", "/users?limit=10&offset=50000", Value::Null).await;
    for row in page.as_array().unwrap() {
        let path = format!("/users/{}", row["id"].as_str().unwrap());
        world.clerk("PATCH", &path, json!({ "first_name": "Changed" })).await;
    }
    let changed = reconcile(&world, "100,000 users, 10 of them changed").await;
    is_in_budget(&changed);
    assert_eq!((total(&changed.run, "updated"), total(&changed.run, "unchanged")), (10, ALL - 10));
    assert_eq!(changed.writes, 10);
}
