//! `rollcall undo`: undoes the deletion of a user, an organization or a membership that still exists in Clerk, and
//! replaces a live row whose version is later than Clerk's with Clerk's state. `undo_run` undoes all conflicts of a run.

use anyhow::bail;
use clap::Args;
use rollcall::core::deletion::subject::Subject;
use rollcall::core::id::EntityId;
use rollcall::core::reconcile::run_id::RunId;
use rollcall::services::operator::undo::{Stands, Undo, UndoPlan};
use serde_json::json;

use super::context::{OperatorContext, lacks_confirmation};
use super::deployment::Environment;
use super::text::{count, counted, moment};
use super::{Screen, say, undo_run};
use crate::args::DeploymentArgs;
use crate::{Clock, Status, Usage};

/// `rollcall undo`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  rollcall undo user_2nNG9rEYQoliquKw5eHQ9eFeurU --stack rollcall
  rollcall undo --run 2026-11-25T03:00:00.000Z --stack rollcall --dry-run")]
pub struct UndoArgs {
    /// Clerk id of a user or an organization, internal id of a user, or a membership as org_…/user_… (as in logs)
    #[arg(required_unless_present = "run", conflicts_with = "run")]
    pub id: Option<Subject>,
    /// Undo all conflicts of this run: the entities that it found deleted in the Directory and existing in Clerk
    #[arg(long, value_name = "RUN")]
    pub run: Option<RunId>,
    /// Show what the undo would change and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Skip the confirmation prompt
    #[arg(long, short)]
    pub yes: bool,
    /// Print one JSON object, with --run one line for each conflict before it; requires --yes or --dry-run
    #[arg(long)]
    pub json: bool,
    /// The deployment to work on.
    #[command(flatten)]
    pub deployment: DeploymentArgs,
}

/// Undoes a deletion.
///
/// # Errors
///
/// If the undo fails. The error has advice.
pub async fn run(args: UndoArgs, environment: Environment, clock: Clock, screen: &Screen) -> anyhow::Result<Status> {
    if lacks_confirmation(args.yes, args.dry_run, args.json, screen) {
        return Ok(Status::Usage);
    }
    let context = OperatorContext::open(&args.deployment, environment, clock).await?;
    let id = match (&args.id, &args.run) {
        (Some(id), _) => id,
        (None, Some(run)) => return Box::pin(undo_run::run(run, &args, &context, screen)).await,
        (None, None) => bail!(Usage("name an id or a run".to_owned())),
    };
    if args.dry_run || !args.yes {
        let UndoPlan { entity, stands } =
            context.operator.can_undo(id).await.map_err(|error| context.explain(error))?;
        let does = stands != Stands::Alive;
        if args.json {
            let (was_purged, ahead) = match stands {
                Stands::Ended { was_purged } => (was_purged, None),
                Stands::Ahead { stored, clerk } => (false, Some(json!({ "stored": stored, "clerk": clerk }))),
                Stands::Alive => (false, None),
            };
            say(json!({
                "dry_run": true, "id": entity.to_string(), "kind": entity.kind().name(), "lived": stands_alive(stands),
                "was_purged": was_purged, "ahead": ahead,
            }))?;
        } else {
            say(format_args!("{} {entity} {}", entity.kind().name(), plan(stands, &context.deployment.options)))?;
        }
        if args.dry_run {
            if !args.json {
                say("Nothing was written.")?;
            }
            return Ok(if does { Status::Left } else { Status::Done });
        }
        let question = match stands {
            Stands::Ahead { .. } => "Replace the Directory row with Clerk's state?",
            Stands::Ended { .. } => "Undo the deletion, including the memberships deleted by the cascade?",
            // A membership has nothing below it.
            Stands::Alive if matches!(entity, EntityId::Membership { .. }) => {
                say("Nothing to do.")?;
                return Ok(Status::Done);
            }
            // An undo that was interrupted, or a cascade that ran at the same time.
            Stands::Alive => "Make memberships live again that are still deleted by the cascade, if Clerk has them?",
        };
        if !screen.ask_on(&context.deployment, question)? {
            say("Nothing was written.")?;
            return Ok(Status::Left);
        }
    }
    let undo = context.operator.undo(id).await.map_err(|error| context.explain(error))?;
    if args.json {
        say(json!({
            "id": undo.entity.to_string(), "kind": undo.entity.kind().name(), "lived": undo.lived,
            "was_ahead": undo.was_ahead, "was_purged": undo.was_purged, "memberships": undo.memberships, "left": undo.left,
        }))?;
    } else {
        say(text(&undo, &context.deployment.options))?;
    }
    Ok(if undo.left > 0 { Status::Left } else { Status::Done })
}

fn stands_alive(stands: Stands) -> bool {
    !matches!(stands, Stands::Ended { .. })
}

fn plan(stands: Stands, options: &str) -> String {
    match stands {
        Stands::Ended { was_purged: false } => "is deleted in the Directory, but exists in Clerk.".to_owned(),
        Stands::Ended { was_purged: true } => format!(
            "is deleted in the Directory, but exists in Clerk. The data were removed: first run `rollcall restore \
             FILE...{options}` with all backups of this user, then run undo. In the other order, new records with \
             your default values occupy the keys of the old records."
        ),
        Stands::Ahead { stored, clerk } => format!(
            "is live, but its version ({}) is later than Clerk's version ({}), so changes in Clerk are not applied until \
             Clerk's version is later. An undo replaces the row with Clerk's state.",
            moment(stored),
            moment(clerk)
        ),
        Stands::Alive => "is already live.".to_owned(),
    }
}

fn text(undo: &Undo, options: &str) -> String {
    let Undo { entity, lived, was_ahead, was_purged, memberships, left } = undo;
    let verb = match (was_ahead, lived) {
        (true, _) => "had a later version than Clerk and now has Clerk's state",
        (false, true) => "was already live",
        (false, false) => "is live again",
    };
    let mut sentences = vec![format!("{} {entity} {verb}.", entity.kind().name())];
    if !matches!(entity, EntityId::Membership { .. }) && !was_ahead {
        sentences.push(format!("Memberships that are live again: {}.", count(*memberships)));
    }
    if *was_purged {
        sentences.push(format!(
            "The data had been removed. If the rows were not restored before this undo, new records with your default \
             values may occupy the keys of the old records: run `rollcall restore FILE... --replace{options}` with \
             all backups of this user at once. This overwrites what your application has written into those rows \
             since the undo."
        ));
    }
    if *left > 0 {
        sentences.push(format!(
            "The deletion of {} could not be undone: see the ids in the log.",
            counted(*left, "membership")
        ));
    }
    sentences.join(" ")
}
