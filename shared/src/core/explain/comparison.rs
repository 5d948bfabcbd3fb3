//! Compares the row with Clerk, and decides what repairs a difference.

use std::collections::BTreeMap;

use serde_json::Value;

use super::facts::{Facts, InClerk, Policies};
use super::finding::{Finding, Now};
use super::repair::later;
use crate::core::deletion::purge::due_at;
use crate::core::id::Kind;
use crate::core::millis::Millis;
use crate::core::mirror::decide::AHEAD_AFTER;
use crate::core::mirror::item::Item;
use crate::core::mirror::tombstone::DeletionPolicy;
use crate::core::reconcile::presence::{Presence, SETTLED_AFTER, presence};
use crate::core::reconcile::run::Mode;

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
                None => Finding::NeverKnown {
                    is_seen: !facts.log.lines.is_empty() || !facts.quarantine.is_empty(),
                    since: facts.log.since,
                },
                Some(stored) if stored.is_deleted() => Finding::BothGone,
                Some(_) => Finding::AbsentInClerk,
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
    let until = later(stored.provenance.applied_at, SETTLED_AFTER);
    match presence(clerk, Some(stored), facts.now) {
        Presence::Missing => Finding::NotStored { clerk: version },
        Presence::Outdated if stored.is_deleted() => Finding::Rejoined { clerk: version },
        Presence::Outdated if stored.is_placeholder() => Finding::OnlyPlaceholder { clerk: version },
        Presence::Outdated => Finding::Outdated { stored: was, clerk: version, fields: fields() },
        // A late deletion of the earlier membership would be applied to such a row.
        Presence::Behind if clerk.rank.generation > stored.rank.generation => {
            Finding::Outdated { stored: was, clerk: version, fields: fields() }
        }
        Presence::Behind => {
            let by_run = facts.policies.reconcile == Mode::Repair;
            Finding::Behind { stored: was, clerk: version, by_run }
        }
        Presence::Tied => Finding::Tied { version, fields: fields() },
        Presence::Conflict => Finding::Conflict { deleted_at: was, is_purged: is_purged(facts, stored) },
        Presence::Unchanged if stored.is_deleted() => {
            Finding::JustDeleted { deleted_at: was, until, removal_at: removal_at(facts, stored) }
        }
        Presence::Ahead if was.since(version) > AHEAD_AFTER => {
            Finding::Ahead { stored: was, clerk: version, fields: fields() }
        }
        Presence::Ahead => Finding::Lagging { stored: was, clerk: version, until },
        Presence::Unchanged if stored.digest != clerk.digest => Finding::Lagging { stored: was, clerk: version, until },
        Presence::Unchanged => Finding::InSync { times: differing(stored, clerk, true) },
    }
}

/// When the data of a deleted user are removed; nothing if they are not.
fn removal_at(facts: &Facts, row: &Item) -> Option<Millis> {
    let Policies { deletion, reconcile, grace_hours, .. } = facts.policies;
    let is_removed = deletion != DeletionPolicy::Retain && reconcile == Mode::Repair;
    let is_user = Kind::from_key(&row.key) == Some(Kind::User);
    (is_user && is_removed).then(|| due_at(row, grace_hours))
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
            | Finding::Tied { .. }
            | Finding::AbsentInClerk
    )
}

/// What the comparison found, for whatever depends on it.
pub(super) fn agreement(clerk: &Finding) -> Now {
    match clerk {
        Finding::InSync { .. } | Finding::BothGone | Finding::NeverKnown { .. } | Finding::NotMirrored => Now::Agrees,
        Finding::ClerkSilent { .. } | Finding::ClerkNotAsked => Now::Unknown,
        _ => Now::Differs,
    }
}
