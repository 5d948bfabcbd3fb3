//! `rollcall undo`: takes the end of a user, an organization or a membership back, as long as Clerk has it.

use rollcall::core::id::EntityId;
use rollcall::services::undo::Undo;
use serde_json::json;

use super::desk::{Desk, must_say_yes};
use super::target::Environment;
use super::text::counted;
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
    let desk = Desk::open(&args.target, environment, clock).await?;
    let reconciler = desk.reconcile.reconciler();
    if args.dry_run || !args.yes {
        let (entity, found) = reconciler.can_undo(&args.id).await.map_err(|error| desk.explain(error))?;
        let stands = if found { "has ended here, and lives in Clerk" } else { "lives already" };
        if args.json {
            say(json!({ "dry_run": true, "id": entity.to_string(), "kind": entity.kind().name(), "lived": !found }))?;
        } else {
            say(format_args!("{} {entity} {stands}.", entity.kind().name()))?;
        }
        if args.dry_run {
            if !args.json {
                say("Nothing was written.")?;
            }
            return Ok(if found { Status::Left } else { Status::Done });
        }
        if !screen.ask("Let it live again, with the memberships that ended with it?")? {
            say("Nothing was written.")?;
            return Ok(Status::Left);
        }
    }
    let undo = reconciler.undo(&args.id).await.map_err(|error| desk.explain(error))?;
    if args.json {
        say(json!({
            "id": undo.entity.to_string(), "kind": undo.entity.kind().name(), "lived": undo.lived,
            "was_purged": undo.was_purged, "memberships": undo.memberships, "left": undo.left,
        }))?;
    } else {
        say(text(&undo, &desk.target.options))?;
    }
    Ok(if undo.left > 0 { Status::Left } else { Status::Done })
}

fn text(undo: &Undo, options: &str) -> String {
    let Undo { entity, lived, was_purged, memberships, left } = undo;
    let verb = if *lived { "lived already" } else { "lives again" };
    let mut sentences = vec![format!("{} {entity} {verb}.", entity.kind().name())];
    if !matches!(entity, EntityId::Membership { .. }) {
        sentences.push(format!("{} came back with it.", counted(*memberships, "membership")));
    }
    if *was_purged {
        sentences.push(format!("Its data had been removed: `rollcall restore FILE{options}` brings its rows back."));
    }
    if *left > 0 {
        sentences.push(format!("{} could not be brought back: the log names them.", counted(*left, "membership")));
    }
    sentences.join(" ")
}
