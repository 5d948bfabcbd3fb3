//! A whole instance reconciled by the release binary of the function, invoked as Lambda would: into an empty Directory, and
//! once more with nothing changed.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use crate::process::{self, Process, Program};
use crate::requests::{self, Addresses};
use crate::runtime_api::Clock;

/// What an invocation may take, as template.yaml has it.
pub(crate) const LIMIT: Duration = Duration::from_mins(15);
/// Longer than that, because what is killed has no figures.
const PATIENCE: Duration = Duration::from_mins(16);
/// When to give up on a run.
const LONGEST: Duration = Duration::from_hours(3);
/// Memory that the function may ever have had: all that template.yaml gives it.
pub(crate) const MAX_MEMORY: f64 = 256.0;
/// Rows of a page of Clerk's lists.
const PAGE: u64 = 500;

/// Reconciles so many users, prints the figures, and answers whether all budgets hold.
///
/// # Errors
///
/// If something cannot be started, or a run does not end.
pub(crate) async fn measure(function: &Path, rollcall: &Path, users: u64, clock: Clock) -> anyhow::Result<bool> {
    rollcall::adapters::tls::use_ring();
    eprintln!("starting the local stack with {users} users …");
    let (_stack, addresses) = requests::start(rollcall, users).await?;
    let environment = environment(&addresses);
    let program = Program { path: function.to_owned(), arguments: Vec::new(), environment, limit: LIMIT };
    let mut holds = true;
    let mut rows = None;
    for (name, is_empty) in [("into an empty Directory", true), ("with nothing changed", false)] {
        eprintln!("reconciling {name} …");
        let (kept, all) = one(&program, clock, name, is_empty).await?;
        holds &= kept;
        ensure!(rows.is_none_or(|rows| rows == all), "the two runs have not seen the same");
        rows = Some(all);
    }
    Ok(holds)
}

/// One run, in as many invocations as it takes; whether it kept to its budgets, and how many entities it has seen.
async fn one(program: &Program, clock: Clock, name: &str, is_empty: bool) -> anyhow::Result<(bool, u64)> {
    let began = Instant::now();
    let mut process = Process::start(program, clock).await?;
    let mut invocations = 0_u64;
    let report = loop {
        ensure!(began.elapsed() < LONGEST, "the run did not end in {} minutes", LONGEST.as_secs() / 60);
        let answer = process.invoke_within("{}".to_owned(), PATIENCE).await?;
        invocations += 1;
        match answer.whole["state"].as_str() {
            Some("continue") => eprintln!("  {} so far, {} s", seen(&answer.whole["run"])?, began.elapsed().as_secs()),
            Some("done") => break answer.whole,
            state => bail!("the run ended as {state:?}"),
        }
    };
    let seconds = began.elapsed().as_secs_f64();
    let memory = crate::starts::megabytes(process.memory()?.peak);
    process.end().await?;

    let run = &report["run"];
    let counted = |kind: &str| run["listings"][kind]["seen"].as_u64().with_context(|| format!("no count of {kind}s"));
    let kinds = [counted("user")?, counted("organization")?, counted("membership")?];
    let all: u64 = kinds.iter().sum();
    let number = |pointer: &str| run.pointer(pointer).and_then(Value::as_u64).unwrap_or_default();
    let of_all =
        |what: &str| ["user", "organization", "membership"].map(|kind| number(&format!("/tally/{kind}/{what}")));
    let changes: u64 = ["created", "updated", "deleted", "cascade_deleted"].iter().flat_map(|what| of_all(what)).sum();
    let calls = number("/cost/clerk_calls");
    // Each invocation after the first asks once more whose key it has.
    // Before a page that differs is written, Clerk is asked whose it is.
    let pages: u64 = kinds.iter().map(|rows| rows.div_ceil(PAGE)).sum();
    let most_calls = pages + if is_empty { pages } else { 0 } + 5 + (invocations - 1);
    let wanted = if is_empty { all } else { 0 };
    println!("{all} entities, {name}:");
    println!("  {seconds:.0} s, {invocations} invocations");
    let budgets = [
        (format!("{changes} written"), changes == wanted, format!("{wanted}")),
        (format!("{calls} requests to Clerk"), calls <= most_calls, format!("at most {most_calls}")),
        (format!("{memory:.1} MB at most"), memory <= MAX_MEMORY, format!("at most {MAX_MEMORY} MB")),
    ];
    for (what, kept, budget) in &budgets {
        println!("  {what} ({budget}){}", if *kept { "" } else { "  OVER" });
    }
    println!("  {} read and {} write units", run["cost"]["read_units"], run["cost"]["write_units"]);
    Ok((budgets.iter().all(|(_, kept, _)| *kept), all))
}

fn seen(run: &Value) -> anyhow::Result<u64> {
    let listings = run["listings"].as_object().context("a report without listings")?;
    Ok(listings.values().filter_map(|listing| listing["seen"].as_u64()).sum())
}

/// What Lambda and template.yaml set, and all of Clerk's rate: nobody else asks here.
fn environment(addresses: &Addresses) -> Vec<(&'static str, String)> {
    let set = [
        ("CLERK_API_URL", addresses.clerk.as_str()),
        ("CLERK_INSTANCE_ID", &addresses.clerk_instance_id),
        ("CLERK_SECRET_KEY", &addresses.clerk_secret_key),
        ("CLERK_RATE_SHARE", "100"),
        ("DIRECTORY_TABLE", &addresses.directory_table),
        ("PROFILES_TABLE", &addresses.profiles_table),
        ("OPERATIONS_TABLE", &addresses.operations_table),
        ("BACKUP_BUCKET", &addresses.backups),
        // Two requests for each user: that is another budget.
        ("METADATA_WRITEBACK", "off"),
    ];
    let mut environment = process::environment("reconcile", &addresses.dynamodb);
    environment.extend(set.map(|(name, value)| (name, value.to_owned())));
    environment
}
