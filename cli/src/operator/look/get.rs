//! `get`: prints one entity whole, with its record in Profiles.

use rollcall::core::deletion::purge::REDACTED_AT;
use rollcall::core::id::{Key, Kind};
use rollcall::core::look::{Seen, SeenState, position};
use rollcall::core::millis::Millis;
use rollcall::core::mirror::item::{CONSEQUENCES_AT, Item, PURGING_AT, Writer};
use rollcall::core::mirror::rank::Rank;
use rollcall::services::operator::look::one::One;
use serde_json::{Map, Value, json};

use super::LookContext;
use super::args::GetArgs;
use crate::Status;
use crate::operator::deployment::Environment;
use crate::operator::say;
use crate::operator::text::{exact, printable, texts};

/// The attributes that are times in Unix ms: Clerk's, Rollcall's, and those of the records that Rollcall has created.
const TIMES: [&str; 7] =
    ["created_at", "updated_at", "deleted_at", "applied_at", CONSEQUENCES_AT, PURGING_AT, REDACTED_AT];

/// Shows one entity.
pub(super) async fn run(kind: Kind, args: GetArgs, environment: Environment) -> anyhow::Result<Status> {
    let context = LookContext::open(&args.deployment, environment).await?;
    let one = context.look.one(kind, &args.id).await.map_err(|error| context.explain(error))?;
    let is_whole = one.seen.as_ref().is_none_or(Seen::is_whole);
    if args.json {
        say(to_json(&one, context.look.mirror))?;
    } else {
        say(text(&one, context.look.mirror))?;
    }
    Ok(if is_whole { Status::Done } else { Status::Left })
}

fn to_json(one: &One, mirror: bool) -> Value {
    let seen = one.seen.as_ref();
    let parents: Map<String, Value> = one.parents.iter().filter_map(parent).collect();
    let mut json = json!({
        "kind": one.kind.name(),
        "id": seen.map_or_else(|| position(&one.key), Seen::id),
        "state": seen.map_or("missing", |seen| seen.state().name()),
        "directory": seen.map(|seen| &seen.row),
        "rank": seen.and_then(|seen| seen.item.as_ref()).map(|item| rank(&item.rank)),
        "unreadable": seen.map(|seen| &seen.unreadable),
        "run": one.run,
        "profiles": one.record,
        "mirror": mirror,
    });
    if one.kind == Kind::Membership {
        json["parents"] = parents.into();
    }
    json
}

fn parent(seen: &Seen) -> Option<(String, Value)> {
    let kind = Kind::from_key(&seen.key)?.name();
    Some((kind.to_owned(), json!({ "id": seen.id(), "state": seen.state().name() })))
}

fn rank(rank: &Rank) -> Value {
    let state = if rank.is_deleted() { "deleted" } else { "live" };
    json!({ "generation": rank.generation, "state": state, "version": rank.version })
}

fn text(one: &One, mirror: bool) -> String {
    let mut parts = vec![title(one)];
    if let Some(seen) = &one.seen {
        parts.push(format!("Directory\n{}", attributes(&seen.row)));
        if let Some(item) = &seen.item {
            parts.push(format!("{} {}", decoded(item), written(one, item)));
        } else {
            parts.push(format!(
                "The functions cannot read this row ({}): its rank, its digest or its key is invalid. See \"Rows that cannot \
                 be read\" in docs/runbook.md.",
                printable(&format!("{} {}", seen.key.pk, seen.key.sk))
            ));
        }
        if !seen.unreadable.is_empty() {
            let names: Vec<String> = seen.unreadable.iter().map(|name| printable(name)).collect();
            parts.push(format!("The functions cannot read these attributes: {}.", names.join(", ")));
        }
        if !mirror && seen.state() == SeenState::Live && one.kind != Kind::Organization {
            parts.push("MIRROR=off: this row is from before and is not updated. Look in Clerk's dashboard.".to_owned());
        }
    } else if !mirror {
        parts.push("MIRROR=off: the Directory has no copy. Look in Clerk's dashboard.".to_owned());
    }
    match &one.record {
        Some(record) => parts.push(format!("Profiles\n{}", attributes(record))),
        None if one.kind == Kind::Organization => {}
        None => parts.push("Profiles has no record.".to_owned()),
    }
    parts.join("\n\n")
}

fn title(one: &One) -> String {
    let kind = one.kind.name();
    let Some(seen) = &one.seen else {
        return format!("{kind} {}: the Directory has no row, but Profiles has a record.", position(&one.key));
    };
    let name = seen.text("name").map(|name| format!(" ({})", printable(name))).unwrap_or_default();
    let state = match seen.state() {
        SeenState::Live if seen.row.get("banned") == Some(&Value::Bool(true)) => "is live and banned",
        SeenState::Live => "is live",
        SeenState::Placeholder => "is a placeholder: only the id is known",
        SeenState::Deleted => "is deleted",
        SeenState::Unreadable => "has a row that cannot be read",
    };
    let mut title = format!("{kind} {}{name} {state}.", printable(&seen.id()));
    if one.kind == Kind::Membership {
        title.push_str(&ended(one));
    }
    title
}

/// Which of the user and the organization of a membership is not live.
fn ended(one: &One) -> String {
    let parents = rollcall::services::operator::look::parents(&one.key);
    let stands = |(key, kind): (&Key, Kind)| {
        let state = one.parents.iter().find(|seen| seen.key == *key).map(Seen::state);
        let kind = kind.name();
        match state {
            Some(SeenState::Deleted) => Some(format!(" Its {kind} is deleted, so readers treat it as deleted.")),
            Some(SeenState::Unreadable) => Some(format!(" The row of its {kind} cannot be read.")),
            None => Some(format!(" The Directory has no row of its {kind}.")),
            Some(SeenState::Live | SeenState::Placeholder) => None,
        }
    };
    parents.iter().zip([Kind::User, Kind::Organization]).filter_map(stands).collect()
}

/// The rank in words.
fn decoded(item: &Item) -> String {
    let Rank { generation, version, .. } = item.rank;
    let (state, version_is) = match (item.is_deleted(), item.is_placeholder()) {
        (true, _) => ("deleted", "the time of the deletion"),
        (false, true) => return "The rank is that of a placeholder: every state of Clerk replaces it.".to_owned(),
        (false, false) => ("live", "Clerk's updated_at"),
    };
    let generation = match (Kind::from_key(&item.key), generation) {
        (Some(Kind::Membership), generation) if generation > Millis::ZERO => {
            format!("generation {} (Clerk's created_at)", exact(generation))
        }
        (_, generation) => format!("generation {}", generation.get()),
    };
    format!("The rank says: {generation}, {state}, version {} ({version_is}).", exact(version))
}

/// Who has written the row, and when.
fn written(one: &One, item: &Item) -> String {
    let Some(at) = item.stored_at() else {
        return "It is unknown who wrote the row, because applied_at or applied_by cannot be read.".to_owned();
    };
    let message = item.provenance.delivery_id.as_ref();
    let by = match (item.provenance.applied_by, &one.run) {
        (Writer::Webhook, _) => match message {
            Some(message) => format!("the webhook, from message {message}"),
            None => "the webhook".to_owned(),
        },
        (Writer::Ensure, _) => "ensure-profile, for the user, whose row was missing".to_owned(),
        (Writer::Reconcile, Some(run)) => format!("reconcile, in run {run}"),
        (Writer::Reconcile, None) => "reconcile, in a run that is not stored any more".to_owned(),
        (Writer::Cascade, _) => "the cascade, after the deletion of its user or organization".to_owned(),
        (Writer::Operator, _) => "a command of an operator".to_owned(),
        (Writer::Unknown, _) => "an unknown writer".to_owned(),
    };
    format!("The row was written at {} by {by}.", exact(at))
}

/// All attributes, one a line, in the order of their names; the key first.
fn attributes(row: &Map<String, Value>) -> String {
    let first = ["pk", "sk"];
    let keys = first.iter().filter_map(|name| row.get_key_value(*name));
    let mut others: Vec<_> = row.iter().filter(|(name, _)| !first.contains(&name.as_str())).collect();
    others.sort_by_key(|(name, _)| *name);
    let line = |(name, value): (&String, &Value)| vec![printable(name), shown(name, value)];
    texts(&[], &keys.chain(others).map(line).collect::<Vec<_>>(), None)
}

fn shown(name: &str, value: &Value) -> String {
    let time = value.as_i64().filter(|_| TIMES.contains(&name)).and_then(|at| Millis::try_from(at).ok());
    match (time, value) {
        (Some(time), _) => exact(time),
        (None, Value::String(text)) => printable(text),
        (None, value) => printable(&value.to_string()),
    }
}
