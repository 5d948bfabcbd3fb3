//! Large tables in bounded memory. CI runs a small table; the large one is run by hand:
//! `cargo test --workspace --test it -- --ignored --nocapture a_hundred_thousand_rows`.

use std::process::Stdio;
use std::time::{Duration, Instant};

use rollcall_cli::dev::record;
use rollcall_tests::World;
use serde_json::Value;

use super::{PURGE, text_row};
use crate::operator::commands::{self, binary};

/// The most memory that the command may have, in KiB.
const MAX_MEMORY: u64 = 160 * 1024;
/// Rows of each group.
const GROUP: usize = 5;
/// Rows of each user.
const OF_USER: usize = 100;

/// The most memory that a process has ever had, in KiB; nothing once it has ended.
pub(crate) fn peak(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches("kB").trim_end().parse().ok()
}

/// Runs a command over the wire and prints its figures.
async fn measured(world: &World, args: &[&str]) -> Value {
    let mut record = commands::record(world);
    world.wire.url().clone_into(&mut record.addresses.dynamodb);
    let folder = tempfile::tempdir().unwrap();
    let _published = record::publish(&folder.path().join("rollcall"), &record).unwrap();
    let mut command = commands::command(binary().to_str().unwrap(), &[]);
    command.args(args).arg("--local").env("XDG_RUNTIME_DIR", folder.path()).stderr(Stdio::inherit());
    let _ = world.wire.take();
    let began = Instant::now();
    let process = command.spawn().unwrap();
    let pid = process.id().unwrap();
    let output = process.wait_with_output();
    tokio::pin!(output);
    let (mut memory, mut requests) = (0, 0);
    let output = loop {
        tokio::select! {
            output = &mut output => break output.unwrap(),
            () = tokio::time::sleep(Duration::from_millis(50)) => {
                memory = memory.max(peak(pid).unwrap_or_default());
                requests += world.wire.take().len();
            }
        }
    };
    requests += world.wire.take().len();
    println!(
        "{args:?}: {:.0} s, {requests} requests, peak memory {} MiB",
        began.elapsed().as_secs_f64(),
        memory / 1024
    );
    assert!(memory <= MAX_MEMORY, "{memory} KiB");
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn table(world: &World, rows: usize) {
    world.make_owned_tables().await;
    let row = |at: usize| {
        let (user, group) = (format!("user_{}", at / OF_USER), format!("{}", at / GROUP));
        let made_at = format!("{}", 1_700_000_000 + (at * 7919) % rows);
        let text = "x".repeat(at % 300);
        let id = format!("{at:08}");
        text_row(&[("user_id", &user), ("task_id", &id), ("day", &group), ("made_at", &made_at), ("text", &text)])
    };
    for from in (0..rows).step_by(1_000) {
        world.put_rows((from..(from + 1_000).min(rows)).map(|at| ("tasks", row(at))).collect()).await;
    }
}

async fn play_duplicates(rows: usize) {
    let world = World::with(&PURGE).await;
    table(&world, rows).await;
    let args = ["fix-duplicates", "--table", "tasks", "--by", "day", "--oldest", "made_at", "--yes", "--json"];
    let approve = format!("{}", rows - rows / GROUP);
    let done = measured(&world, &[&args[..], &["--approve", &approve]].concat()).await;
    assert_eq!((done["rows"].as_u64(), done["groups"].as_u64()), (Some(rows as u64), Some((rows / GROUP) as u64)));
    assert_eq!(done["removed"].as_u64(), Some((rows - rows / GROUP) as u64), "{}", done["complete"]);
    let again = measured(&world, &args).await;
    assert_eq!((again["duplicates"].as_u64(), again["rows"].as_u64()), (Some(0), Some((rows / GROUP) as u64)));
}

/// A clean-up of so many rows of users whose purge never came, a second one, and the restoration of its run.
async fn play_cleanup(rows: usize) {
    let world = World::with(&PURGE).await;
    table(&world, rows).await;
    for user in (0..rows / OF_USER).map(|at| format!("user_{at}")) {
        world.put_rows(crate::deletion::large::ended(&world, &user).into()).await;
    }
    // Clerk has somebody, so that an absence can be proven.
    world.clerk("POST", "/users", serde_json::json!({ "email_address": ["control@example.com"] })).await;
    let approve = format!("{}", rows / OF_USER);
    let args = ["cleanup", "--yes", "--json", "--override", "CLERK_RATE_SHARE=100"];
    let done = measured(&world, &[&args[..], &["--approve", &approve]].concat()).await;
    let users = Some((rows / OF_USER) as u64);
    assert_eq!((done["done"]["users"].as_u64(), done["done"]["removed"]["tasks"].as_u64()), (users, Some(rows as u64)));
    assert!(world.owned().await.is_empty());
    let again = measured(&world, &args).await;
    assert_eq!((again["users"].as_u64(), &again["done"]), (Some(0), &Value::Null));
    let back = measured(&world, &["restore", "--run", done["done"]["run"].as_str().unwrap(), "--yes", "--json"]).await;
    assert_eq!((back["restored"]["tasks"].as_u64(), &back["complete"]), (Some(rows as u64), &Value::Bool(true)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e6_two_thousand_rows_in_bounded_memory() {
    play_duplicates(2_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: run by hand"]
async fn e6_a_hundred_thousand_rows_in_bounded_memory() {
    play_duplicates(100_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e5_two_thousand_rows_in_bounded_memory() {
    play_cleanup(2_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: run by hand"]
async fn e5_a_hundred_thousand_rows_in_bounded_memory() {
    play_cleanup(100_000).await;
}
