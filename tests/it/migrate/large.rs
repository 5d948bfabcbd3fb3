//! Many rows: the requests are those that the changes need, and memory grows by little. CI migrates some thousands; a
//! million by hand, with Clerk in a process of its own, so that the memory is that of the migration:
//! `ROLLCALL_ROWS=1000000 cargo test --workspace --test it -- --ignored --nocapture a1_as_many_rows_as_asked_for`.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use clerk_emulator::{Config, Emulator, Generated};
use rollcall::adapters::clerk::api::ClerkApi;
use rollcall_migrate::folder::{Folder, Run};
use rollcall_migrate::ids::{IdMap, write_map};
use rollcall_migrate::input::Options;
use rollcall_migrate::mapping::{Draft, Source};
use rollcall_migrate::matching::Rules;
use rollcall_migrate::metadata::apply::{JOURNAL, RESULTS, apply, changed_before};
use rollcall_migrate::metadata::decide::OnConflict;
use rollcall_migrate::metadata::plan::{Job, lines, plan};
use rollcall_migrate::metadata::survey::{Input, Survey};
use rollcall_migrate::metadata::values::OnNull;
use secrecy::SecretString;
use serde_json::{Value, json};

/// Rows in CI.
const ROWS: u64 = 3_000;
/// Users of a list request.
const PAGE: usize = 500;

async fn serve(users: u64) -> Emulator {
    let generated = Generated { users, organizations: 0, memberships: 0 };
    Emulator::start(Config { generated, ..Config::default() }).await.unwrap()
}

/// The most memory that this process has had, in MiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches("kB").trim_end().parse::<u64>().unwrap() / 1024
}

/// An export with a row for each user: the Clerk id, an ObjectId, a field. The old ids lead to nobody as external ids.
async fn export(url: &str, key: &str, users: u64, file: &Path) {
    rollcall::adapters::tls::use_ring();
    let client = reqwest::Client::new();
    let mut out = std::io::BufWriter::new(std::fs::File::create(file).unwrap());
    let mut number = 0;
    while number < users {
        let list = format!("{url}/v1/users?limit={PAGE}&offset={number}");
        let page: Vec<Value> = client.get(list).bearer_auth(key).send().await.unwrap().json().await.unwrap();
        assert!(!page.is_empty());
        for user in page {
            let id = format!("{number:024x}");
            let row = json!({ "_id": { "$oid": id }, "clerk": user["id"], "plan": format!("plan {}", number % 7) });
            writeln!(out, "{row}").unwrap();
            number += 1;
        }
    }
    out.flush().unwrap();
}

/// Migrates a field of every user, twice, and returns the requests of the first and the second time.
async fn migrate(url: &str, key: &str, rows: u64) -> (u64, u64) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users.json");
    export(url, key, rows, &file).await;
    let metadata = [("plan".to_owned(), Source::Field("plan".to_owned()))].into();
    let draft = Draft { clerk_id: Some("clerk".to_owned()), metadata, ..Draft::default() };
    let job = Job {
        input: Input { paths: vec![file], options: Options::default() },
        mapping: draft.checked(&[]).unwrap(),
        rules: Rules::default(),
        on_null: OnNull::Leave,
        on_conflict: OnConflict::Keep,
    };
    // Without a share of Clerk's rate, which would need hours.
    let clerk = || ClerkApi::new(url.parse().unwrap(), SecretString::from(key.to_owned()));
    let run = Run {
        command: "metadata".to_owned(),
        version: String::new(),
        input_sha256: job.input.digest().unwrap(),
        options: serde_json::to_string(&job.terms()).unwrap(),
        instance: String::new(),
        started: String::new(),
    };
    let (before, began) = (peak(), Instant::now());
    let mut requests = Vec::new();
    for changed in [rows, 0] {
        let clerk = clerk();
        let opened = Folder::open(&folder.path().join("migration"), &run).unwrap();
        let earlier = changed_before(&opened.file(JOURNAL)).unwrap();
        let survey = Survey::of(&job.input, &job.mapping, |_| ()).unwrap();
        let planned = plan(&job, &survey, &clerk, &opened, &earlier, |_| ()).await.unwrap();
        assert_eq!((planned.read, planned.of("changed")), (rows, changed));
        if changed > 0 {
            let done = apply(&job, &clerk, &opened, |_, _| ()).await.unwrap();
            assert_eq!((done.read, done.of("changed"), done.left()), (rows, rows, 0));
        }
        write_map(&opened, lines(&opened, RESULTS).unwrap()).unwrap();
        requests.push(clerk.calls());
        println!(
            "{rows} rows, {changed} changed: {} requests, {:.0} s, peak memory {} MiB ({before} MiB before)",
            clerk.calls(),
            began.elapsed().as_secs_f64(),
            peak()
        );
    }
    let map = IdMap::read(&folder.path().join("migration")).unwrap();
    assert_eq!(u64::try_from(map.len()).unwrap(), rows);
    println!("the map of {rows} pairs is read: peak memory {} MiB", peak());
    (requests[0], requests[1])
}

/// A read for each hundred ids of each kind (Clerk ids, external ids), and a change for each row; 1 % more at most, for
/// the reads right before the changes.
fn is_in_budget((first, second): (u64, u64), rows: u64) {
    let reads = 2 * rows.div_ceil(100);
    assert!(first <= (reads + rows) * 101 / 100, "{first} requests for {rows} rows");
    assert_eq!(second, reads, "a second run only reads");
}

#[tokio::test]
async fn a1_thousands_of_rows_need_no_more_requests_than_their_changes() {
    let emulator = serve(ROWS).await;
    is_in_budget(migrate(emulator.url(), emulator.secret_key(), ROWS).await, ROWS);
    let requests = emulator.requests();
    assert_eq!(requests["PATCH /v1/users/{user_id}/metadata"], ROWS);
}

#[expect(clippy::disallowed_methods, reason = "a number for a run by hand")]
fn asked_for() -> Option<u64> {
    std::env::var("ROLLCALL_ROWS").ok()?.parse().ok()
}

#[tokio::test]
#[ignore = "takes an hour with a million rows: run by hand, with ROLLCALL_ROWS"]
async fn a1_as_many_rows_as_asked_for_in_bounded_memory() {
    let rows = asked_for().expect("ROLLCALL_ROWS says how many");
    let mut server = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "migrate::large::clerk_in_a_process_of_its_own"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let mark = "emulator ";
    let place = lines.find_map(|line| line.unwrap().split_once(mark).map(|(_, place)| place.to_owned())).unwrap();
    let (url, key) = place.split_once(' ').unwrap();
    is_in_budget(migrate(url, key, rows).await, rows);
    drop(server.stdin.take());
    assert!(server.wait().unwrap().success());
}

/// Serves until its standard input ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "is the other process of the test before"]
async fn clerk_in_a_process_of_its_own() {
    let Some(rows) = asked_for() else { return };
    let emulator = serve(rows).await;
    println!("emulator {} {}", emulator.url(), emulator.secret_key());
    let waits = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    waits.await.unwrap().unwrap();
}
