//! `rollcall undo`: takes the end of a user, an organization or a membership back, as long as Clerk has it.

use rollcall::core::id::EntityId;
use rollcall::services::operator::undo::{Stands, Undo, UndoPlan};
use serde_json::json;

use super::context::{OperatorContext, must_say_yes};
use super::target::Environment;
use super::text::{counted, moment};
use super::{Screen, say};
use crate::args::UndoArgs;
use crate::{Clock, Status};

/// Undoes.
///
/// # Errors
///
/// If it cannot, with what to do about it.
pub async fn run(args: UndoArgs, environment: Environment, clock: Clock, screen: &Screen) -> anyhow::Result<Status> {
    if must_say_yes(args.yes, args.dry_run, args.json, screen) {
        return Ok(Status::Usage);
    }
    let context = OperatorContext::open(&args.target, environment, clock).await?;
    if args.dry_run || !args.yes {
        let UndoPlan { entity, stands } =
            context.operator.can_undo(&args.id).await.map_err(|error| context.explain(error))?;
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
            say(format_args!("{} {entity} {}", entity.kind().name(), plan(stands, &context.target.options)))?;
        }
        if args.dry_run {
            if !args.json {
                say("Nothing was written.")?;
            }
            return Ok(if does { Status::Left } else { Status::Done });
        }
        let question = match stands {
            Stands::Ahead { .. } => "Put what Clerk shows in its place?",
            Stands::Ended { .. } | Stands::Alive => "Let it live again, with the memberships that ended with it?",
        };
        if !screen.ask(question)? {
            say("Nothing was written.")?;
            return Ok(Status::Left);
        }
    }
    let undo = context.operator.undo(&args.id).await.map_err(|error| context.explain(error))?;
    if args.json {
        say(json!({
            "id": undo.entity.to_string(), "kind": undo.entity.kind().name(), "lived": undo.lived,
            "was_ahead": undo.was_ahead, "was_purged": undo.was_purged, "memberships": undo.memberships, "left": undo.left,
        }))?;
    } else {
        say(text(&undo, &context.target.options))?;
    }
    Ok(if undo.left > 0 { Status::Left } else { Status::Done })
}

fn stands_alive(stands: Stands) -> bool {
    !matches!(stands, Stands::Ended { .. })
}

fn plan(stands: Stands, options: &str) -> String {
    match stands {
        Stands::Ended { was_purged: false } => "has ended here, and lives in Clerk.".to_owned(),
        Stands::Ended { was_purged: true } => format!(
            "has ended here, and lives in Clerk. Its data were removed: first bring them back by \
             `rollcall restore FILE...{options}` with all backups of this user, and undo after that. The other way round new \
             records with your defaults are in the place of the old ones."
        ),
        Stands::Ahead { stored, clerk } => format!(
            "lives here, dated ahead of Clerk: the row says {}, Clerk says {}. Until then no change in Clerk is applied. \
             What Clerk shows takes its place.",
            moment(stored),
            moment(clerk)
        ),
        Stands::Alive => "lives already.".to_owned(),
    }
}

fn text(undo: &Undo, options: &str) -> String {
    let Undo { entity, lived, was_ahead, was_purged, memberships, left } = undo;
    let verb = match (was_ahead, lived) {
        (true, _) => "was dated ahead of Clerk, and is now as Clerk shows it",
        (false, true) => "lived already",
        (false, false) => "lives again",
    };
    let mut sentences = vec![format!("{} {entity} {verb}.", entity.kind().name())];
    if !matches!(entity, EntityId::Membership { .. }) && !was_ahead {
        sentences.push(format!("{} came back with it.", counted(*memberships, "membership")));
    }
    if *was_purged {
        sentences.push(format!(
            "Its data had been removed. If you have not restored them before this undo, new records with your defaults may be in \
             the place of the old ones: run `rollcall restore FILE... --replace{options}` with all backups of this user at \
             once. What your application has written into those rows since the undo is lost then."
        ));
    }
    if *left > 0 {
        sentences.push(format!("{} could not be brought back: the log names them.", counted(*left, "membership")));
    }
    sentences.join(" ")
}
