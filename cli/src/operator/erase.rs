//! `rollcall erase`: deletes a user in Clerk and removes the user's data from the tables.

use anyhow::anyhow;
use clap::Args;
use rollcall::adapters::dynamo::owned::rows::OwnedError;
use rollcall::core::deletion::subject::Subject;
use rollcall::core::mirror::tombstone::DeletionPolicy;
use rollcall::services::deletion::Own;
use rollcall::services::deletion::purge::{PurgeError, Removed};
use rollcall::services::operator::erase::{EraseError, ToErase};
use serde_json::json;

use super::context::{OperatorContext, lacks_confirmation};
use super::deployment::Environment;
use super::reconcile::store;
use super::text::{count, counted, moment, table};
use super::{Screen, say};
use crate::args::DeploymentArgs;
use crate::{Clock, Status};

/// `rollcall erase`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  rollcall erase user_2nNG9rEYQoliquKw5eHQ9eFeurU --stack rollcall")]
pub struct EraseArgs {
    /// Clerk id or internal id of the user
    pub id: Subject,
    /// Remove the data without the grace period. Only a backup can bring the data back
    #[arg(long)]
    pub now: bool,
    /// Write a tombstone for an id that exists neither in Clerk nor in the tables. Rollcall then never stores a user
    /// with this id: later events are answered `superseded`
    #[arg(long)]
    pub even_if_unknown: bool,
    /// Show what would be deleted and delete nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Skip the confirmation prompt
    #[arg(long, short)]
    pub yes: bool,
    /// Print one JSON object; requires --yes or --dry-run
    #[arg(long)]
    pub json: bool,
    /// The deployment to work on.
    #[command(flatten)]
    pub deployment: DeploymentArgs,
}

/// Erases a user.
///
/// # Errors
///
/// If the erasure fails. The error has advice.
pub async fn run(args: EraseArgs, environment: Environment, clock: Clock, screen: &Screen) -> anyhow::Result<Status> {
    if lacks_confirmation(args.yes, args.dry_run, args.json, screen) {
        return Ok(Status::Usage);
    }
    let context = OperatorContext::open(&args.deployment, environment, clock).await?;
    let explain = |error| explain(&context, error);
    let ToErase { user, name, stored, is_unknown } =
        context.operator.to_erase(&args.id, &context.holdings(), args.even_if_unknown).await.map_err(explain)?;
    if !args.json {
        let stands = match &stored {
            None if is_unknown => "exists neither in Clerk nor in the tables",
            None => "is not in the Directory",
            Some(stored) if stored.is_finished() => "is deleted, and the data were removed",
            Some(stored) if stored.is_deleted() => "is deleted",
            Some(_) => "is live",
        };
        let name = name.map(|name| format!(" ({name})")).unwrap_or_default();
        say(format_args!("user {user}{name} {stands}. {}", plan(&context, args.now)))?;
    }
    if args.dry_run {
        if args.json {
            let lives = stored.is_some_and(|stored| !stored.is_deleted());
            let plan = plan_json(&context, args.now);
            say(json!({
                "dry_run": true, "clerk_user_id": user, "lives": lives, "unknown": is_unknown, "removal": plan,
            }))?;
        } else {
            say("Nothing was deleted.")?;
        }
        return Ok(Status::Left);
    }
    if !args.yes && !screen.ask_on(&context.deployment, "Delete the user in Clerk and in the tables?")? {
        say("Nothing was deleted.")?;
        return Ok(Status::Left);
    }
    let erasure = context.operator.erase(&user, args.now).await.map_err(explain)?;
    let missing = matches!(&erasure.own, Own::Removed(removed) if !removed.missing.is_empty());
    if args.json {
        let (waits_until, removed) = match &erasure.own {
            Own::Nothing | Own::Restored => (None, None),
            Own::Waits(until) => (Some(until), None),
            Own::Removed(removed) => (None, Some(removed)),
        };
        say(json!({
            "clerk_user_id": user, "was_in_clerk": erasure.was_in_clerk, "waits_until": waits_until,
            "removed": removed.map(|removed| &removed.rows), "backups": removed.map(|removed| &removed.backups),
            "missing_tables": removed.map(|removed| &removed.missing), "left": erasure.is_left, "unknown": is_unknown,
        }))?;
    } else {
        let clerk = if erasure.was_in_clerk { "deleted in Clerk" } else { "already absent in Clerk" };
        say(format_args!("user {user} is {clerk} and deleted in the Directory."))?;
        match &erasure.own {
            Own::Nothing if erasure.is_left => {
                say(
                    "The erasure is incomplete: see the cause in the log. The schedule continues the erasure; or run \
                     this command again.",
                )?;
            }
            Own::Nothing => say("DELETION_POLICY=retain: all data are kept.")?,
            Own::Waits(until) => say(format_args!("The data will be removed after {}.", moment(*until)))?,
            Own::Removed(removed) => say(removed_text(removed, &context))?,
            Own::Restored => {
                say("The data stay: another operator has restored rows meanwhile. Run this command again.")?;
            }
        }
    }
    Ok(if missing || erasure.is_left { Status::Left } else { Status::Done })
}

fn plan(context: &OperatorContext, now: bool) -> String {
    let removal = &context.settings.removal;
    let Some(deletions) = &context.operator.deletions.purger else {
        return "All stored data are kept (DELETION_POLICY=retain).".to_owned();
    };
    let tables = match removal.policy {
        DeletionPolicy::Purge => {
            format!("the record in Profiles and all rows in {}", counted(count_of(removal.owned.len()), "owned table"))
        }
        _ => "the personal data in Profiles".to_owned(),
    };
    let when = if now || removal.grace_hours == 0 {
        "at once".to_owned()
    } else {
        format!("in {} hours", removal.grace_hours)
    };
    format!("Erasing removes {tables} {when}; backups go to {}.", deletions.backups.place())
}

/// What the erasure removes, after how many hours; null if all data are kept.
fn plan_json(context: &OperatorContext, now: bool) -> serde_json::Value {
    let removal = &context.settings.removal;
    let Some(deletions) = &context.operator.deletions.purger else { return serde_json::Value::Null };
    let profiles = &context.settings.tables.profiles;
    let owned: &[_] = if removal.policy == DeletionPolicy::Purge { &removal.owned } else { &[] };
    let tables: Vec<&String> = std::iter::once(profiles).chain(owned.iter().map(|table| &table.table)).collect();
    json!({
        "policy": removal.policy.name(), "tables": tables, "after_hours": if now { 0 } else { removal.grace_hours },
        "backups": deletions.backups.place(),
    })
}

fn count_of(tables: usize) -> u64 {
    u64::try_from(tables).unwrap_or(u64::MAX)
}

fn removed_text(removed: &Removed, context: &OperatorContext) -> String {
    let rows: Vec<Vec<String>> = removed.rows.iter().map(|(table, rows)| vec![table.clone(), count(*rows)]).collect();
    let mut lines = vec![if rows.is_empty() {
        "No data were left to remove.".to_owned()
    } else {
        format!("Removed:\n{}", table(&["table", "rows"], &rows, 1))
    }];
    if let Some(purger) = &context.operator.deletions.purger {
        lines.extend(removed.backups.iter().map(|backup| format!("Backup: {}/{backup}", purger.backups.place())));
    }
    lines.extend(removed.missing.iter().map(|table| format!("Table {table} does not exist: check OWNED_TABLES.")));
    lines.join("\n")
}

fn explain(context: &OperatorContext, error: EraseError) -> anyhow::Error {
    match error {
        EraseError::Operator(error) => context.explain(error),
        EraseError::Purge(PurgeError::Store(error)) | EraseError::Owned(OwnedError::Store(error)) => {
            store(&error, &context.deployment.options)
        }
        EraseError::Purge(error) => {
            anyhow!(error).context("the user is deleted, but some data remain: run the command again to continue")
        }
        error @ (EraseError::Owned(_) | EraseError::Unknown | EraseError::NotAUser) => anyhow!(error),
    }
}
