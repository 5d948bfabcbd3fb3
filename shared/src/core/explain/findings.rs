//! Decides what the facts about one entity mean.

use std::collections::BTreeMap;

use serde_json::Value;

use super::comparison::{compared, is_agreement, is_difference, remedy};
use super::facts::{Facts, InClerk, Policies, Stored};
use super::finding::{Finding, Kept, Refused, Removal};
use super::reason::Reason;
use crate::core::deletion::purge::due_at;
use crate::core::ensure::admission::{Refusal, admit};
use crate::core::id::{EntityId, Kind};
use crate::core::millis::Millis;
use crate::core::mirror::item::{CONSEQUENCES_AT, PURGING_AT, Writer};
use crate::core::mirror::rank::Rank;
use crate::core::mirror::tombstone::DeletionPolicy;
use crate::core::reconcile::run::Mode;

/// What the facts mean, in the order in which it is told.
pub fn findings(facts: &Facts) -> Vec<Finding> {
    let mut found = vec![provenance(facts)];
    if facts.row.row().is_some_and(|row| row.provenance.applied_by == Writer::Unknown) {
        found.push(Finding::Incomplete);
    }
    let clerk = compared(facts);
    let (differs, is_repaired) = (is_difference(&clerk), is_agreement(&clerk));
    found.push(clerk);
    let parents: Vec<Finding> = parents(facts).collect();
    // The deletion of a parent and an approval are remedies of their own.
    let is_cascade = parents.iter().any(|parent| matches!(parent, Finding::ParentDeleted { .. }));
    found.extend(parents);
    if differs && !is_cascade && facts.held_by.is_none() {
        found.push(remedy(facts));
    }
    found.extend(facts.held_by.clone().map(|run| Finding::Held { run }));
    found.extend(effects(facts));
    found.extend(turned_away(facts));
    let noted = facts.quarantine.iter().cloned();
    found.extend(noted.map(|note| Finding::Quarantined { note, is_repaired }));
    found.extend(log(facts));
    found
}

fn provenance(facts: &Facts) -> Finding {
    let row = match &facts.row {
        Stored::Nothing => return Finding::NoRow,
        Stored::Unreadable => return Finding::RowUnreadable,
        Stored::Row(row) => row,
    };
    let Rank { generation, version, .. } = row.rank;
    let (by, applied_at) = (row.provenance.applied_by, row.provenance.applied_at);
    let svix_id = row.provenance.delivery_id.as_ref().map(ToString::to_string);
    if row.is_placeholder() {
        return Finding::Placeholder { applied_at };
    }
    if row.is_deleted() {
        let keeps = row.created_at.is_some() || row.updated_at.is_some();
        let policy = if keeps { Kept::Fields } else { Kept::Ids };
        return Finding::Deleted { version, by, applied_at, svix_id, policy };
    }
    Finding::Live { version, joined_at: (generation > Millis::ZERO).then_some(generation), by, applied_at, svix_id }
}

fn parents(facts: &Facts) -> impl Iterator<Item = Finding> + '_ {
    let is_live = facts.row.row().is_some_and(|row| !row.is_deleted());
    let parents = facts.parents.iter().filter(move |_| is_live);
    parents.filter_map(|(parent, stored)| {
        let is_kept = facts.policies.mirror || matches!(parent, EntityId::Organization(_));
        let parent = parent.to_string();
        match stored {
            Stored::Row(row) if row.is_deleted() => Some(Finding::ParentDeleted { parent }),
            Stored::Row(_) => None,
            Stored::Nothing | Stored::Unreadable => is_kept.then_some(Finding::ParentMissing { parent }),
        }
    })
}

/// The effects of a deletion.
fn effects(facts: &Facts) -> Option<Finding> {
    let row = facts.row.row().filter(|row| row.is_deleted())?;
    let mark = |name: &str| row.fields.get(name).and_then(Value::as_i64).and_then(|at| Millis::try_from(at).ok());
    let Policies { deletion, grace_hours, reconcile, .. } = facts.policies;
    let removal = match deletion {
        _ if reconcile == Mode::Report => Removal::Off,
        DeletionPolicy::Redact => Removal::Redacted,
        DeletionPolicy::Purge | DeletionPolicy::Retain => Removal::Removed,
    };
    Some(match Kind::from_key(&row.key)? {
        Kind::Membership => return None,
        Kind::Organization if row.is_finished() => Finding::EffectsComplete { at: mark(CONSEQUENCES_AT) },
        Kind::Organization => Finding::EffectsPending,
        Kind::User if deletion == DeletionPolicy::Retain && row.is_finished() => Finding::Retained,
        Kind::User if deletion == DeletionPolicy::Retain => Finding::EffectsPending,
        Kind::User if row.is_finished() => Finding::Purged { at: mark(CONSEQUENCES_AT) },
        Kind::User if row.is_purging() => Finding::Purging { since: mark(PURGING_AT) },
        Kind::User => match due_at(row, grace_hours) {
            due if due > facts.now => Finding::PurgeDue { at: due, is_in_clerk: is_in_clerk(&facts.clerk), removal },
            due => Finding::PurgeOverdue { since: due, removal },
        },
    })
}

fn is_in_clerk(clerk: &InClerk) -> Option<bool> {
    match clerk {
        InClerk::Has(_) | InClerk::Undated => Some(true),
        InClerk::Nothing => Some(false),
        InClerk::Silent(_) | InClerk::NotAsked => None,
    }
}

/// What callers are told who are this user.
fn turned_away(facts: &Facts) -> Option<Finding> {
    if Kind::from_key(&facts.key) != Some(Kind::User) || !facts.policies.mirror && facts.row.row().is_none() {
        return None;
    }
    let refusal = admit(facts.row.row()).err()?;
    // A missing row and a placeholder have a sentence of their own.
    if refusal == Refusal::NotSynced {
        return None;
    }
    let problem = refusal.problem();
    Some(Finding::TurnedAway { status: problem.status, code: problem.code })
}

fn log(facts: &Facts) -> Vec<Finding> {
    let log = &facts.log;
    let mut by_reason: BTreeMap<Reason, Refused> = BTreeMap::new();
    for line in &log.lines {
        let Some(reason) = line.reason else { continue };
        let seen = by_reason.entry(reason).or_insert_with(|| Refused {
            reason,
            count: 0,
            first: line.at,
            last: line.at,
            line: line.clone(),
        });
        seen.count += 1;
        seen.first = seen.first.min(line.at);
        if line.at >= seen.last {
            (seen.last, seen.line) = (line.at, line.clone());
        }
    }
    let mut refused: Vec<Refused> = by_reason.into_values().collect();
    refused.sort_by_key(|refused| refused.last);
    let mut found: Vec<Finding> = refused.into_iter().map(|refused| Finding::Refused(Box::new(refused))).collect();
    if found.is_empty() && log.problems.is_empty() {
        found.push(Finding::NothingRefused { since: log.since });
    }
    if log.untrusted > 0 {
        found.push(Finding::UntrustedRequests { count: log.untrusted, since: log.since });
    }
    if log.is_cut {
        found.push(Finding::LogCut { since: log.since });
    }
    found.extend(log.problems.iter().cloned().map(|problem| Finding::LogMissing { problem }));
    found
}
