//! `rollcall reset`: brings a running local stack back to its start: empty tables, new sample users.

use std::time::Duration;

use anyhow::{Context, bail};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{DeleteRequest, WriteRequest};
use clap::Args;
use clerk_emulator::output::{note, say};
use rollcall::adapters::tls::HttpsClient;
use serde_json::json;

use super::record::{self, Record};
use super::stack::{self, Addresses};
use crate::Status;
use crate::args::LocalArgs;
use crate::operator::Screen;
use crate::operator::context::lacks_confirmation;
use crate::operator::deployment::{Environment, local};
use crate::operator::text::counted;
use crate::signals::{self, Ended};

/// The emulator makes many sample users at most.
const TIMEOUT: Duration = Duration::from_mins(1);

/// `rollcall reset`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  rollcall reset --local --yes")]
pub struct ResetArgs {
    /// Confirm that the stack is a local one. There is no reset of a deployed stack
    #[arg(long, required = true)]
    pub local: bool,
    /// Show what would be removed
    #[arg(long)]
    pub dry_run: bool,
    /// Skip the confirmation prompt
    #[arg(long, short)]
    pub yes: bool,
    /// Print one JSON object; requires --yes or --dry-run
    #[arg(long)]
    pub json: bool,
    /// Which local stack.
    #[command(flatten)]
    pub which: LocalArgs,
}

/// Rows in one request of `BatchWriteItem`. Source: AWS, API reference of `BatchWriteItem`.
const TOGETHER: usize = 25;
/// Between two passes: react may still process a change of the pass before.
const PAUSE: Duration = Duration::from_millis(300);

/// Empties the tables and the emulator.
///
/// # Errors
///
/// If no stack runs, or one of its parts does not answer.
pub async fn run(args: ResetArgs, environment: Environment, screen: &Screen) -> anyhow::Result<Status> {
    match signals::interruptible(Box::pin(reset(args, environment, screen))).await? {
        Ended::Done(status) => return Ok(status),
        Ended::Asking => note("Interrupted. Nothing was removed."),
        Ended::Working => note("Interrupted. Some data may be removed already; run the command again to continue."),
    }
    Ok(Status::Left)
}

async fn reset(args: ResetArgs, environment: Environment, screen: &Screen) -> anyhow::Result<Status> {
    if lacks_confirmation(args.yes, args.dry_run, args.json, screen) {
        return Ok(Status::Usage);
    }
    let record = local::find(&args.which, record::folder(environment).as_deref())?;
    let Record { addresses, data, .. } = &record;
    let place = data.as_ref().map_or_else(|| "in memory".to_owned(), |data| format!("in {}", data.display()));
    let plan = format!(
        "The local stack on port {} ({place}) loses:\n  all rows of the tables {}, {} and {}\n  all users, \
         organizations and sessions of the Clerk emulator\n  all events in {}\n  all backups of removed rows, in {}\nThe \
         emulator gets new sample users. Owned tables stay.",
        record.port().unwrap_or_default(),
        addresses.directory_table,
        addresses.profiles_table,
        addresses.operations_table,
        addresses.event_bus,
        addresses.backups
    );
    if !args.json {
        say(&plan)?;
    }
    if args.dry_run || (!args.yes && !screen.ask("Remove these data?")?) {
        say(if args.json {
            json!({ "dry_run": true, "events": addresses.event_bus, "backups": addresses.backups }).to_string()
        } else {
            "Nothing was removed.".to_owned()
        })?;
        return Ok(Status::Left);
    }
    rollcall::adapters::tls::use_ring();
    // A delivery in progress would create a row again.
    ask(addresses, "settle").await?;
    let rows = empty(addresses).await?;
    std::fs::write(&addresses.event_bus, "").with_context(|| format!("emptying {}", addresses.event_bus))?;
    remove_backups(addresses)?;
    ask(addresses, "reset").await?;
    ask(addresses, "settle").await?;
    if args.json {
        say(json!({ "removed": rows }))?;
    } else {
        say(format_args!("{} removed. The stack is as after its start.", counted(rows, "row")))?;
    }
    Ok(Status::Done)
}

/// Removes all rows of the three tables, until a pass finds none.
async fn empty(addresses: &Addresses) -> anyhow::Result<u64> {
    let client = stack::client(&addresses.dynamodb).await;
    let tables = [&addresses.directory_table, &addresses.profiles_table, &addresses.operations_table];
    let mut all = 0;
    loop {
        let mut removed = 0;
        for table in tables {
            removed += empty_table(&client, table).await.with_context(|| format!("emptying table {table}"))?;
        }
        if removed == 0 {
            return Ok(all);
        }
        all += removed;
        tokio::time::sleep(PAUSE).await;
    }
}

async fn empty_table(client: &Client, table: &str) -> anyhow::Result<u64> {
    let pages = client.scan().table_name(table).projection_expression("pk, sk").consistent_read(true);
    let mut pages = pages.into_paginator().send();
    let mut removed = 0;
    while let Some(page) = pages.next().await {
        let keys = page?.items.unwrap_or_default();
        removed += u64::try_from(keys.len())?;
        for keys in keys.chunks(TOGETHER) {
            let mut requests = Vec::new();
            for key in keys {
                let delete = DeleteRequest::builder().set_key(Some(key.clone())).build()?;
                requests.push(WriteRequest::builder().delete_request(delete).build());
            }
            client.batch_write_item().request_items(table, requests).send().await?;
        }
    }
    Ok(removed)
}

/// Removes what is in the folder of the backups; the stack expects the folder itself.
fn remove_backups(addresses: &Addresses) -> anyhow::Result<()> {
    let remove = || -> std::io::Result<()> {
        if !std::path::Path::new(&addresses.backups).exists() {
            return Ok(());
        }
        for entry in std::fs::read_dir(&addresses.backups)? {
            let path = entry?.path();
            if path.is_dir() {
                std::fs::remove_dir_all(path)?;
            } else {
                std::fs::remove_file(path)?;
            }
        }
        Ok(())
    };
    remove().with_context(|| format!("removing the backups in {}", addresses.backups))
}

async fn ask(addresses: &Addresses, what: &str) -> anyhow::Result<()> {
    let url = format!("{}/_emulator/{what}", addresses.clerk);
    let client = HttpsClient::of(&url.parse()?, TIMEOUT);
    let request = client.get()?.post(&url).header("content-type", "application/json").body("{}");
    let answer = request
        .send()
        .await
        .with_context(|| format!("no response from {url}: check that `rollcall dev` is running"))?;
    if !answer.status().is_success() {
        bail!("{url} answered {}: start the stack again with this release of `rollcall dev`", answer.status());
    }
    Ok(())
}
