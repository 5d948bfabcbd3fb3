//! `rollcall undo --run`: undoes all conflicts of a run.

use anyhow::anyhow;
use rollcall::core::id::{EntityId, Kind};
use rollcall::core::reconcile::run_id::RunId;
use rollcall::services::operator::undo_run::{ConflictNow, RunConflict, UndoRunError};
use serde_json::json;

use super::context::OperatorContext;
use super::fix::{INCOMPLETE, until_stopped};
use super::progress::Progress;
use super::text::{count, counted};
use super::undo::UndoArgs;
use super::{Screen, say};
use crate::Status;

/// The conflicts of a run by their state.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    deleted: u64,
    purged: u64,
    resolved: u64,
    unreadable: u64,
}

/// The result, also of an undo that did not end.
#[derive(Clone, Copy, Debug, Default)]
struct Done {
    undone: u64,
    memberships: u64,
    left: u64,
}

/// Undoes the conflicts of a run, a page at a time. An interrupted undo continues where it stopped, because resolved
/// conflicts are skipped.
///
/// # Errors
///
/// If the run is unknown, or a store or Clerk fails. The error has advice.
pub(super) async fn run(
    run: &RunId,
    args: &UndoArgs,
    context: &OperatorContext,
    screen: &Screen,
) -> anyhow::Result<Status> {
    let options = &context.deployment.options;
    context.operator.can_undo_run(run).await.map_err(|error| match error {
        UndoRunError::Operator(error) => context.explain(error),
        error @ UndoRunError::Unknown(_) => anyhow!("{error}: see the runs with `rollcall status{options}`"),
        error @ UndoRunError::Expired(_) => {
            anyhow!("{error}: start a new run with `rollcall reconcile --dry-run{options}`")
        }
    })?;
    let mut counts = Counts::default();
    for_each(run, context, async |conflict| {
        match conflict.now {
            ConflictNow::Deleted => counts.deleted += 1,
            ConflictNow::Purged => counts.purged += 1,
            ConflictNow::Resolved => counts.resolved += 1,
            ConflictNow::Unreadable => counts.unreadable += 1,
        }
        if args.json && !args.dry_run {
            return Ok(());
        }
        show(&conflict.entity, planned_state(conflict.now), args.json)
    })
    .await?;
    let Counts { deleted, purged, resolved, unreadable } = counts;
    let is_nothing = deleted + purged + unreadable == 0;
    if !args.json {
        say(format_args!(
            "Run {run}: {} to undo, {} whose data were removed, {} resolved. Clerk is asked about each before the undo.",
            counted(deleted, "deletion"),
            count(purged),
            count(resolved)
        ))?;
        if unreadable > 0 {
            say(format_args!(
                "{} cannot be read, so their deletions are not undone: see `rollcall explain ID{options}`.",
                counted(unreadable, "row")
            ))?;
        }
        if purged > 0 {
            say(format_args!(
                "If the data were removed, restore all backups of the user first, then run `rollcall undo ID{options}`."
            ))?;
        }
    }
    let stop = |status| {
        if args.json {
            say(json!({
                "dry_run": args.dry_run, "run": run, "to_undo": deleted, "purged": purged, "resolved": resolved,
                "unreadable": unreadable,
            }))
        } else {
            say("Nothing was written.")
        }
        .map(|()| status)
    };
    if args.dry_run || deleted == 0 {
        return Ok(stop(if is_nothing { Status::Done } else { Status::Left })?);
    }
    let question = format!("Undo {}, including the memberships deleted by the cascade?", counted(deleted, "deletion"));
    if !args.yes && !screen.ask_on(&context.deployment, &question)? {
        return Ok(stop(Status::Left)?);
    }
    let mut done = Done { left: purged + unreadable, ..Done::default() };
    let ended = until_stopped(Box::pin(carry_out(run, args, context, screen, deleted, &mut done))).await;
    let is_complete = matches!(ended, Ok(Some(())));
    let Done { undone, memberships, left } = done;
    if args.json {
        say(json!({
            "run": run, "undone": undone, "memberships": memberships, "left": left, "complete": is_complete,
        }))?;
    } else {
        say(format_args!(
            "{} undone, {} live again, {} left.",
            counted(undone, "deletion"),
            counted(memberships, "membership"),
            count(left)
        ))?;
        if !is_complete {
            say(INCOMPLETE)?;
        }
    }
    ended?;
    Ok(if left > 0 || !is_complete { Status::Left } else { Status::Done })
}

/// Undoes the conflicts, and adds to `done` what is done.
async fn carry_out(
    run: &RunId,
    args: &UndoArgs,
    context: &OperatorContext,
    screen: &Screen,
    planned: u64,
    done: &mut Done,
) -> anyhow::Result<()> {
    let progress = Progress::start(screen, !args.json);
    for_each(run, context, async |conflict| {
        let RunConflict { entity, now } = conflict;
        match now {
            ConflictNow::Deleted => {}
            ConflictNow::Resolved => return Ok(()),
            now if args.json => return show(&entity, planned_state(now), true),
            _ => return Ok(()),
        }
        let result = match context.operator.undo_conflict(&entity).await.map_err(|error| context.explain(error))? {
            // The undo of a user or an organization brings memberships of this list back, too.
            Ok(one) => {
                done.undone += u64::from(!one.lived);
                done.memberships += one.memberships;
                done.left += one.left;
                if one.lived { "resolved" } else { "undone" }
            }
            Err(error) => {
                tracing::warn!(id = %entity, %error, "the deletion cannot be undone");
                done.left += 1;
                "refused"
            }
        };
        progress.count("undoing deletions", done.undone, planned);
        if args.json { show(&entity, result, true) } else { Ok(()) }
    })
    .await
}

/// Users and organizations come before their memberships, whose deletions cannot be undone before theirs.
async fn for_each(
    run: &RunId,
    context: &OperatorContext,
    mut with: impl AsyncFnMut(RunConflict) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    for kind in Kind::ALL {
        let mut after = None;
        loop {
            let page = context.operator.conflicts(run, kind, after.as_ref()).await;
            let Some(page) = page.map_err(|error| context.explain(error.into()))? else { break };
            for conflict in page.conflicts {
                with(conflict).await?;
            }
            after = Some(page.place);
        }
    }
    Ok(())
}

fn planned_state(now: ConflictNow) -> &'static str {
    match now {
        ConflictNow::Deleted => "to undo",
        ConflictNow::Purged => "purged",
        ConflictNow::Resolved => "resolved",
        ConflictNow::Unreadable => "unreadable",
    }
}

/// One line about one conflict.
fn show(entity: &EntityId, state: &str, json: bool) -> anyhow::Result<()> {
    let kind = entity.kind().name();
    if json {
        say(json!({ "kind": kind, "id": entity.to_string(), "state": state.replace(' ', "_") }))?;
    } else {
        say(format_args!("{kind} {entity} {state}"))?;
    }
    Ok(())
}
