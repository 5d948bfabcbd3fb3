//! `rollcall deletions`: shows which deleted users wait for their purge, and which purges have failed.

use anyhow::bail;
use clap::Args;
use rollcall::core::deletion::pending::PurgeState;
use rollcall::core::id::Key;
use rollcall::core::millis::Millis;
use rollcall::core::mirror::tombstone::DeletionPolicy;
use rollcall::core::reconcile::run::{Mode, Run};
use rollcall::core::tables::bare_table_name;
use rollcall::services::operator::look::purges::PendingPurge;
use rollcall::settings::deletion::{BackupPlace, Removal};
use rollcall::settings::tables::Tables;
use rollcall::settings::variables::{InvalidSettings, RECONCILE_POLICY, Reader, reconcile_policy};
use serde_json::{Value, json};

use super::deployment::{Deployment, Environment};
use super::look::{LookContext, SHOWN, columns, still_read};
use super::report;
use super::status::{MAX_RECENT, waiting};
use super::text::{counted, moment, printable, texts};
use crate::args::DeploymentArgs;
use crate::{Clock, Status, Usage};

/// `rollcall deletions`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  rollcall deletions --stack rollcall\n  rollcall deletions --failed --json --stack rollcall"
)]
pub struct DeletionsArgs {
    /// Only purges that an operator should look at: failed, late, or with a tombstone that cannot be read
    #[arg(long)]
    pub failed: bool,
    /// Show so many [default: 50; with --json: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// Show all
    #[arg(long, conflicts_with = "limit")]
    pub all: bool,
    /// Show what follows this position, which the command has printed
    #[arg(long, value_name = "HOUR/ID")]
    pub after: Option<String>,
    /// Print one JSON object on each line
    #[arg(long)]
    pub json: bool,
    /// The deployment to work on.
    #[command(flatten)]
    pub deployment: DeploymentArgs,
}

/// The purges of one table on a terminal.
const TABLE: usize = 500;

struct Rules {
    removal: Removal,
    mode: Mode,
}

/// What was shown so far.
#[derive(Default)]
struct Seen {
    rows: Vec<PendingPurge>,
    shown: u64,
    problems: u64,
    obsolete: u64,
    /// The position after the last purge, if more follow it.
    next: Option<String>,
    is_closed: bool,
}

/// Shows the deletions.
///
/// # Errors
///
/// If the tables cannot be read. The error has advice.
pub async fn run(args: DeletionsArgs, environment: Environment, clock: Clock) -> anyhow::Result<Status> {
    let after = args.after.as_deref().map(position).transpose()?;
    let deployment = Deployment::find(&args.deployment, environment, false).await?.with_owned_tables().await?;
    let rules = deployment.settings(rules)?;
    let context = LookContext::over(deployment).await?;
    let now = clock();
    let runs = context.look.stores.operations.latest_runs(MAX_RECENT).await;
    let pending = waiting(&runs.map_err(|error| context.store(&error))?, now).cloned();
    let seen = purges(&context, &args, &rules, after, now).await?;
    if seen.is_closed {
        return Ok(status(&seen, pending.as_ref()));
    }
    if args.json {
        if let Some(run) = &pending {
            still_read(
                json!({ "state": "pending_approval", "run": run.run, "pending_approval": run.tally.as_ref().map(|tally| tally.pending_approval) }),
            )?;
        }
    } else {
        let mut parts = Vec::new();
        if seen.shown == 0 {
            let which = if args.failed { "No failed purges." } else { "No deletions wait for their purge." };
            parts.push(which.to_owned());
        }
        parts.extend(conclusion(&seen, &rules, pending.as_ref(), context.options()));
        let space = if seen.shown == 0 { "" } else { "\n" };
        still_read(format_args!("{space}{}", parts.join("\n\n")))?;
    }
    Ok(status(&seen, pending.as_ref()))
}

fn status(seen: &Seen, pending: Option<&Run>) -> Status {
    if seen.problems > 0 || pending.is_some() { Status::Left } else { Status::Done }
}

fn rules(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Rules, InvalidSettings> {
    let mut reader = Reader::new(lookup);
    let tables = Tables::read(&mut reader);
    let removal = Removal::read(&mut reader, tables.as_ref());
    let mode = reader.read(&RECONCILE_POLICY, reconcile_policy).unwrap_or_default();
    reader.finish(|| Some(Rules { removal, mode }))
}

fn position(text: &str) -> anyhow::Result<Key> {
    match text.split_once('/') {
        Some((hour, id)) => Ok(Key { pk: format!("PURGE#{hour}"), sk: id.to_owned() }),
        None => bail!(Usage("--after expects HOUR/ID, such as 2026-12-01T05/2d649aef-…".to_owned())),
    }
}

async fn purges(
    context: &LookContext,
    args: &DeletionsArgs,
    rules: &Rules,
    after: Option<Key>,
    now: Millis,
) -> anyhow::Result<Seen> {
    let most = args.limit.or((!args.all && !args.json).then_some(SHOWN));
    let hours = context.look.purge_hours().await.map_err(|error| context.store(&error))?;
    let mut seen = Seen::default();
    for hour in hours.iter().filter(|hour| after.as_ref().is_none_or(|after| **hour >= after.pk)) {
        let mut from = after.clone().filter(|after| after.pk == *hour);
        loop {
            let page = context.look.purges(hour, from.as_ref(), rules.removal.grace_hours, now).await;
            let page = page.map_err(|error| context.store(&error))?;
            seen.obsolete += page.obsolete;
            for purge in page.purges.into_iter().filter(|purge| !args.failed || purge.state.is_problem()) {
                if most.is_some_and(|most| seen.shown >= most) {
                    seen.next = seen.rows.last().map(|last| said(&last.note));
                    print(&mut seen, args.json, rules, 0)?;
                    return Ok(seen);
                }
                seen.shown += 1;
                seen.problems += u64::from(purge.state.is_problem());
                seen.rows.push(purge);
                if seen.rows.len() >= TABLE {
                    print(&mut seen, args.json, rules, 1)?;
                }
            }
            from = page.next;
            if from.is_none() || seen.is_closed {
                break;
            }
        }
        if seen.is_closed {
            return Ok(seen);
        }
    }
    print(&mut seen, args.json, rules, 0)?;
    Ok(seen)
}

/// Prints the purges, except the last `kept`, which is needed for the position after it.
fn print(seen: &mut Seen, json: bool, rules: &Rules, kept: usize) -> anyhow::Result<()> {
    let kept = seen.rows.split_off(seen.rows.len().saturating_sub(kept));
    let rows = std::mem::replace(&mut seen.rows, kept);
    if rows.is_empty() {
        return Ok(());
    }
    let text = if json {
        rows.iter().map(|purge| line(purge, rules).to_string()).collect::<Vec<_>>().join("\n")
    } else {
        let header = ["user", "deleted", "removed from", "state", "undo", "reason"];
        texts(&header, &rows.iter().map(row).collect::<Vec<_>>(), columns())
    };
    seen.is_closed = !still_read(text)?;
    Ok(())
}

fn said(note: &Key) -> String {
    let hour = note.pk.split_once('#').map_or(note.pk.as_str(), |(_, hour)| hour);
    format!("{hour}/{}", note.sk)
}

/// Until when an undo is possible, if Clerk still has the user.
fn undo(purge: &PendingPurge) -> String {
    match (purge.has_begun, purge.state, purge.due_at) {
        (_, PurgeState::Unreadable, _) => String::new(),
        (true, ..) => "no more".to_owned(),
        (false, PurgeState::Restored, _) => "possible".to_owned(),
        (false, PurgeState::Waiting, Some(due)) => format!("until {}", moment(due)),
        (false, ..) => "until the purge begins".to_owned(),
    }
}

fn reason(purge: &PendingPurge) -> String {
    match (&purge.failure, purge.state) {
        (Some(failure), _) => format!("{} ({})", printable(&failure.error), moment(failure.failed_at)),
        (None, PurgeState::Late) => "no attempt is noted: is the schedule enabled?".to_owned(),
        (None, PurgeState::Restored) => "rows were restored, so the purge removes nothing".to_owned(),
        (None, PurgeState::Unreadable) => "the note or the tombstone cannot be read".to_owned(),
        _ => String::new(),
    }
}

fn row(purge: &PendingPurge) -> Vec<String> {
    let id = purge.clerk_user_id.as_ref().map_or_else(|| purge.id.clone(), ToString::to_string);
    let at = |at: Option<Millis>| at.map(moment).unwrap_or_default();
    vec![
        printable(&id),
        at(purge.deleted_at),
        at(purge.due_at),
        purge.state.name().to_owned(),
        undo(purge),
        reason(purge),
    ]
}

fn line(purge: &PendingPurge, rules: &Rules) -> Value {
    let can_undo = !purge.has_begun && purge.state != PurgeState::Unreadable;
    json!({
        "id": purge.id,
        "clerk_user_id": purge.clerk_user_id,
        "state": purge.state.name(),
        "deleted_at": purge.deleted_at,
        "due_at": purge.due_at,
        "can_undo": can_undo,
        "policy": rules.removal.policy.name(),
        "tables": tables(rules),
        "error": purge.failure.as_ref().map(|failure| &failure.error),
        "failed_at": purge.failure.as_ref().map(|failure| failure.failed_at),
        "position": said(&purge.note),
    })
}

/// The owned tables whose rows are removed.
fn tables(rules: &Rules) -> Vec<&str> {
    let owned = rules.removal.owned.iter().filter(|_| rules.removal.policy == DeletionPolicy::Purge);
    owned.map(|owned| bare_table_name(&owned.table)).collect()
}

/// What a purge removes under the settings of now.
fn removes(rules: &Rules) -> String {
    if rules.mode == Mode::Report {
        return "RECONCILE_POLICY=report: nothing is removed.".to_owned();
    }
    let removal = &rules.removal;
    let what = match removal.policy {
        DeletionPolicy::Retain => return "DELETION_POLICY=retain: nothing is removed.".to_owned(),
        DeletionPolicy::Redact => "personal data in Profiles are redacted".to_owned(),
        DeletionPolicy::Purge => {
            let names = tables(rules);
            let owned = if names.is_empty() { String::new() } else { format!(" and in {}", names.join(", ")) };
            format!("the rows in Profiles{owned} are removed")
        }
    };
    let backup = match &removal.backups {
        Some(BackupPlace::Bucket(place) | BackupPlace::Folder(place)) => {
            format!(" A backup is written to {place} before; it is kept for {}.", counted(removal.backup_days, "day"))
        }
        None => String::new(),
    };
    format!(
        "DELETION_POLICY={}, PURGE_AFTER_HOURS={}: {what} within an hour after the grace period.{backup}",
        removal.policy.name(),
        removal.grace_hours
    )
}

fn conclusion(seen: &Seen, rules: &Rules, pending: Option<&Run>, options: &str) -> Vec<String> {
    let mut parts = Vec::new();
    if let Some(next) = &seen.next {
        let shown = counted(seen.shown, "deletion");
        parts.push(format!("{shown} shown; there are more: pass `--after {next}` or `--all`."));
    }
    parts.push(removes(rules));
    if seen.shown > 0 {
        parts.push(
            "`rollcall undo ID` undoes a deletion as long as Clerk still has the user. After the purge only \
             `rollcall restore` brings rows back."
                .to_owned(),
        );
    }
    if seen.problems > 0 {
        parts.push(format!(
            "{} an operator: see \"A purge that is stuck\" in docs/operations.md.",
            if seen.problems == 1 { "1 purge needs".to_owned() } else { format!("{} purges need", seen.problems) }
        ));
    }
    parts.extend(pending.map(|run| {
        let what = report::pending_approval(run);
        format!("Deletions pending approval: {what}. Run `rollcall reconcile --approve {}{options}`", run.run)
    }));
    parts
}
