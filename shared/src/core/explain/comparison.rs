//! Compares the row with Clerk, and decides what repairs a difference.

use std::collections::BTreeMap;

use serde_json::Value;

use super::facts::{Facts, InClerk};
use super::finding::Finding;
use crate::core::id::Kind;
use crate::core::mirror::decide::AHEAD_AFTER;
use crate::core::mirror::item::Item;
use crate::core::mirror::tombstone::DeletionPolicy;
use crate::core::reconcile::presence::{Presence, is_settled, presence};
use crate::core::reconcile::run::{Mode, RunState};

/// How long an event needs to arrive at most while nothing fails, in ms.
const ON_ITS_WAY: u64 = 2 * 60 * 1000;

/// The names of the fields in which two rows differ, with both values; a missing field is null.
pub fn side_by_side(stored: Option<&Item>, clerk: Option<&Item>) -> BTreeMap<String, (Value, Value)> {
    let (stored, clerk) = (stored.map(Item::shown), clerk.map(Item::shown));
    let names = stored.iter().chain(&clerk).flat_map(|fields| fields.keys().cloned());
    let value = |fields: &Option<serde_json::Map<String, Value>>, name: &str| {
        fields.as_ref().and_then(|fields| fields.get(name)).cloned().unwrap_or_default()
    };
    names.map(|name| (name.clone(), (value(&stored, &name), value(&clerk, &name)))).collect()
}

/// The row compared with Clerk.
pub(super) fn compared(facts: &Facts) -> Finding {
    let stored = facts.row.row();
    let clerk = match &facts.clerk {
        InClerk::Silent(error) => return Finding::ClerkSilent { error: error.clone() },
        InClerk::NotAsked => return Finding::ClerkNotAsked,
        InClerk::Undated => return Finding::UndatedInClerk,
        InClerk::Nothing => {
            return match stored {
                None => Finding::NeverKnown,
                Some(stored) if stored.is_deleted() => Finding::BothGone,
                Some(stored) => {
                    let is_deleted = |row: &Item| row.is_deleted();
                    let with_parent = facts.parents.iter().any(|(_, parent)| parent.row().is_some_and(is_deleted));
                    Finding::AbsentInClerk { is_settled: is_settled(stored, facts.now), with_parent }
                }
            };
        }
        InClerk::Has(clerk) => clerk,
    };
    let is_kept = facts.policies.mirror || Kind::from_key(&facts.key) == Some(Kind::Organization);
    match stored {
        Some(stored) if !is_kept && !stored.is_deleted() => return Finding::LeftFromMirror,
        None if !is_kept => return Finding::NotMirrored,
        _ => {}
    }
    let version = clerk.rank.version;
    let Some(stored) = stored else { return Finding::NotStored { clerk: version } };
    let fields = || differing(stored, clerk, false);
    let was = stored.rank.version;
    match presence(clerk, Some(stored), facts.now) {
        Presence::Missing => Finding::NotStored { clerk: version },
        Presence::Outdated if stored.is_deleted() => Finding::Rejoined { clerk: version },
        Presence::Outdated if stored.is_placeholder() => Finding::OnlyPlaceholder { clerk: version },
        Presence::Outdated => Finding::Outdated { stored: was, clerk: version, fields: fields() },
        Presence::Behind => Finding::Behind { stored: was, clerk: version },
        Presence::Tied => Finding::Tied { version, fields: fields() },
        Presence::Conflict => Finding::Conflict { deleted_at: was, is_purged: is_purged(facts, stored) },
        Presence::Unchanged if stored.is_deleted() => Finding::JustDeleted { deleted_at: was },
        Presence::Ahead if was.since(version) > AHEAD_AFTER => {
            Finding::Ahead { stored: was, clerk: version, fields: fields() }
        }
        Presence::Ahead => Finding::Lagging { stored: was, clerk: version },
        Presence::Unchanged if stored.digest != clerk.digest => Finding::Lagging { stored: was, clerk: version },
        Presence::Unchanged => Finding::InSync { times: differing(stored, clerk, true) },
    }
}

/// Whether data of a deleted user were removed, or are being removed.
fn is_purged(facts: &Facts, row: &Item) -> bool {
    let is_kept = facts.policies.deletion == DeletionPolicy::Retain;
    Kind::from_key(&row.key) == Some(Kind::User) && !is_kept && (row.is_finished() || row.is_purging())
}

/// The names of the fields that differ: of the contents, or of Clerk's times.
fn differing(stored: &Item, clerk: &Item, of_times: bool) -> Vec<String> {
    let both = side_by_side(Some(stored), Some(clerk)).into_iter();
    let times = ["created_at", "updated_at"];
    let differs = both.filter(|(name, (row, clerk))| row != clerk && times.contains(&name.as_str()) == of_times);
    differs.map(|(name, _)| name).collect()
}

/// Whether the comparison found a difference that an event or a run repairs.
pub(super) fn is_difference(clerk: &Finding) -> bool {
    matches!(
        clerk,
        Finding::NotStored { .. }
            | Finding::Outdated { .. }
            | Finding::OnlyPlaceholder { .. }
            | Finding::Rejoined { .. }
            | Finding::Behind { .. }
            | Finding::Tied { .. }
            | Finding::AbsentInClerk { .. }
    )
}

/// Whether the comparison found that there is nothing to repair.
pub(super) fn is_agreement(clerk: &Finding) -> bool {
    matches!(clerk, Finding::InSync { .. } | Finding::BothGone | Finding::NeverKnown | Finding::NotMirrored)
}

/// What repairs a difference, or that nothing has.
pub(super) fn remedy(facts: &Facts) -> Finding {
    // The time of a deletion in Clerk is unknown, so no run is known to have missed it.
    let changed = match &facts.clerk {
        InClerk::Has(clerk) => Some(clerk.rank.version),
        InClerk::Undated | InClerk::Nothing | InClerk::Silent(_) | InClerk::NotAsked => None,
    };
    let repairs = facts.runs.iter().filter(|run| run.mode == Mode::Repair && run.state != RunState::Running);
    let missed = changed.and_then(|changed| repairs.clone().find(|run| run.started_at > changed));
    match (missed, changed) {
        _ if facts.policies.reconcile == Mode::Report => Finding::ReportOnly,
        (Some(run), _) => Finding::NotRepaired { run: run.run.clone(), state: run.state },
        (_, Some(since)) if facts.now.since(since) <= ON_ITS_WAY => Finding::EventOnItsWay { since },
        (_, None) => Finding::NextRunDeletes,
        (None, _) if repairs.count() == 0 => Finding::NoRunYet,
        (_, Some(_)) => Finding::NextRun,
    }
}
