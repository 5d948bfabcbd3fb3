//! Facts for tests: ten in the morning of a user, a membership, a run.

use serde_json::{Map, Value, json};

use super::facts::{Facts, InClerk, Log, Note, Policies, Stored};
use super::finding::Finding;
use super::findings::findings;
use super::line::Line;
use crate::core::id::{EntityId, InstanceId};
use crate::core::millis::Millis;
use crate::core::mirror::digest::Digest;
use crate::core::mirror::item::{Item, Provenance, Writer};
use crate::core::mirror::rank::Rank;
use crate::core::mirror::tombstone::DeletionPolicy;
use crate::core::reconcile::run::{Mode, Run, RunState};

/// 2026-01-01T10:00:00Z.
const TEN: i64 = 1_767_261_600_000;

/// So many minutes after ten.
pub(super) fn at(minutes: i64) -> Millis {
    Millis::try_from(TEN + minutes * 60_000).unwrap()
}

/// The row, stored at the time of its version.
pub(super) fn row(entity: &EntityId, rank: Rank) -> Item {
    let digest = if rank.is_deleted() { Digest::tombstone() } else { Digest::new(&rank.to_string(), &Map::new()) };
    Item {
        key: entity.key(&"ins_1".parse::<InstanceId>().unwrap()),
        rank,
        digest,
        provenance: Provenance { applied_at: rank.version, applied_by: Writer::Webhook, delivery_id: None },
        created_at: None,
        updated_at: None,
        deleted_at: None,
        fields: json!({ "name": rank.version.get() }).as_object().unwrap().clone(),
    }
}

/// A live state of that minute.
pub(super) fn live(minutes: i64) -> Rank {
    Rank::live(Millis::ZERO, at(minutes))
}

/// A deletion in that minute.
pub(super) fn deleted(minutes: i64) -> Rank {
    Rank::deleted(Millis::ZERO, at(minutes))
}

/// An entity `now` minutes after ten, with the rank in the Directory and that in Clerk.
pub(super) fn facts(id: &str, now: i64, stored: Option<Rank>, clerk: Option<Rank>) -> Facts {
    let entity: EntityId = match id.split_once('/') {
        Some((organization, user)) => {
            EntityId::Membership { user: user.parse().unwrap(), organization: organization.parse().unwrap() }
        }
        None if id.starts_with("org_") => EntityId::Organization(id.parse().unwrap()),
        None => EntityId::User(id.parse().unwrap()),
    };
    Facts {
        key: entity.key(&"ins_1".parse::<InstanceId>().unwrap()),
        row: stored.map_or(Stored::Nothing, |rank| Stored::Row(Box::new(row(&entity, rank)))),
        parents: Vec::new(),
        clerk: clerk.map_or(InClerk::Nothing, |rank| InClerk::Has(Box::new(row(&entity, rank)))),
        entity: Some(entity),
        quarantine: Vec::new(),
        runs: Vec::new(),
        held_by: None,
        restored: None,
        log: Log::none(at(-24 * 60)),
        policies: Policies { deletion: DeletionPolicy::Redact, reconcile: Mode::Repair, mirror: true, grace_hours: 24 },
        now: at(now),
    }
}

/// A line of the webhook about an event.
#[expect(clippy::needless_pass_by_value, reason = "the callers build it in place")]
pub(super) fn line(minutes: i64, fields: Value) -> Line {
    let mut line = json!({ "target": "webhook", "message": "event", "level": "ERROR", "svix_id": "msg_1" });
    line.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    Line::read(&line.to_string(), Some(at(minutes))).unwrap()
}

/// A note of an event that could not be read.
pub(super) fn note(minutes: i64) -> Note {
    Note {
        received_at: at(minutes),
        svix_id: "msg_2".to_owned(),
        kind: Some("user.updated".to_owned()),
        failed_at: "data.updated_at".to_owned(),
    }
}

/// A run that began in that minute, and is finished.
pub(super) fn run(minutes: i64) -> Run {
    let mut run = Run::begin(at(minutes), Mode::Repair, true);
    run.state = RunState::Done;
    run
}

/// The names of the findings.
pub(super) fn names(facts: &Facts) -> Vec<String> {
    findings(facts).iter().map(|finding| json!(finding)["finding"].as_str().unwrap().to_owned()).collect()
}

/// The finding with this name, in words.
pub(super) fn told(facts: &Facts, name: &str) -> String {
    let id = facts.entity.as_ref().unwrap().to_string();
    let of_name = |finding: &Finding| json!(finding)["finding"] == name;
    let found = findings(facts).into_iter().find(of_name);
    found.unwrap_or_else(|| panic!("no {name} in {:?}", names(facts))).sentence(
        &id,
        " --local",
        facts.policies.reconcile,
    )
}
