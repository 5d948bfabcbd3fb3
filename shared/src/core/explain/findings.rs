//! Decides what the facts about one entity mean.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::facts::{Facts, InClerk, Note, Policies, Stored};
use super::line::Line;
use super::reason::Reason;
use crate::core::deletion::purge::due_at;
use crate::core::ensure::admission::{Refusal, admit};
use crate::core::id::{EntityId, Kind};
use crate::core::millis::Millis;
use crate::core::mirror::decide::AHEAD_AFTER;
use crate::core::mirror::item::{CONSEQUENCES_AT, Item, PURGING_AT, Writer};
use crate::core::mirror::rank::Rank;
use crate::core::mirror::tombstone::DeletionPolicy;
use crate::core::reconcile::presence::{Presence, SETTLED_AFTER, is_settled, presence};
use crate::core::reconcile::run::{Mode, RunState};
use crate::core::reconcile::run_id::RunId;

/// How long an event needs to arrive at most while nothing fails, in ms.
const ON_ITS_WAY: u64 = 2 * 60 * 1000;

/// One thing that the facts mean. Every variant has a sentence, and says whether something is left to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
pub enum Finding {
    // Where the row comes from.
    NoRow,
    RowUnreadable,
    Placeholder {
        applied_at: Millis,
    },
    Live {
        version: Millis,
        joined_at: Option<Millis>,
        by: Writer,
        applied_at: Millis,
        svix_id: Option<String>,
    },
    Deleted {
        version: Millis,
        by: Writer,
        applied_at: Millis,
        svix_id: Option<String>,
        policy: Kept,
    },
    /// Another program has written or changed the row.
    Incomplete,

    // Clerk now.
    ClerkSilent {
        error: String,
    },
    ClerkNotAsked,
    /// The contents are equal. `times` differ nevertheless: an event lacked them, and they are no part of the contents.
    InSync {
        times: Vec<String>,
    },
    /// Deleted here, and not in Clerk.
    BothGone,
    /// Nothing here, and nothing in Clerk.
    NeverKnown,
    NotStored {
        clerk: Millis,
    },
    Outdated {
        stored: Millis,
        clerk: Millis,
        fields: Vec<String>,
    },
    /// Only a placeholder is stored.
    OnlyPlaceholder {
        clerk: Millis,
    },
    /// The user has joined again.
    Rejoined {
        clerk: Millis,
    },
    Behind {
        stored: Millis,
        clerk: Millis,
    },
    Tied {
        version: Millis,
        fields: Vec<String>,
    },
    /// The stored state is later than Clerk's by so much that no lag explains it.
    Ahead {
        stored: Millis,
        clerk: Millis,
        fields: Vec<String>,
    },
    /// The stored state is a little later than Clerk's.
    Lagging {
        stored: Millis,
        clerk: Millis,
    },
    Conflict {
        deleted_at: Millis,
        is_final: bool,
    },
    /// Deleted here a moment ago, and still in Clerk.
    JustDeleted {
        deleted_at: Millis,
    },
    AbsentInClerk {
        is_settled: bool,
    },
    UndatedInClerk,
    /// `MIRROR=off` keeps entities of this kind out.
    NotMirrored,
    /// A live row from before `MIRROR=off`.
    LeftFromMirror,

    // What would change it.
    EventOnItsWay {
        since: Millis,
    },
    NextRun,
    /// Clerk does not have the entity: the next run asks once more, and marks the row as deleted.
    NextRunDeletes,
    /// Runs write nothing.
    ReportOnly,
    /// A run began after the change and did not repair the row.
    NotRepaired {
        run: RunId,
        state: RunState,
    },
    NoRunYet,
    Held {
        run: RunId,
    },

    // Effects of a deletion.
    ParentDeleted {
        parent: String,
    },
    ParentMissing {
        parent: String,
    },
    PurgeDue {
        at: Millis,
        /// Whether Clerk has the user, without whom nothing can be undone; `None` if Clerk was not asked or is silent.
        is_in_clerk: Option<bool>,
    },
    PurgeOverdue {
        since: Millis,
    },
    Purging {
        since: Option<Millis>,
    },
    Purged {
        at: Option<Millis>,
    },
    Retained,
    EffectsPending,
    EffectsComplete {
        at: Option<Millis>,
    },

    /// Every function turns the user away.
    TurnedAway {
        status: u16,
        code: &'static str,
    },

    Quarantined {
        #[serde(flatten)]
        note: Note,
        /// Whether the row does not differ from Clerk any more.
        is_repaired: bool,
    },

    // The log.
    Refused(Box<Refused>),
    NothingRefused {
        since: Millis,
    },
    UntrustedRequests {
        count: u64,
        since: Millis,
    },
    LogCut {
        since: Millis,
    },
    LogMissing {
        problem: String,
    },
}

/// What a tombstone has kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// The stored fields.
    Fields,
    /// The ids, and fields that say nothing about the person.
    Ids,
}

/// Lines of the log with the same reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    pub reason: Reason,
    pub count: u64,
    pub first: Millis,
    pub last: Millis,
    /// The last of the lines.
    #[serde(skip)]
    pub line: Line,
}

/// What the facts mean, in the order in which it is told.
pub fn findings(facts: &Facts) -> Vec<Finding> {
    let mut found = vec![provenance(facts)];
    if facts.row.row().is_some_and(|row| row.provenance.applied_by == Writer::Unknown) {
        found.push(Finding::Incomplete);
    }
    let clerk = compared(facts);
    let differs = is_difference(&clerk);
    found.push(clerk);
    found.extend(parents(facts));
    if differs {
        found.push(remedy(facts));
    }
    found.extend(facts.held_by.clone().map(|run| Finding::Held { run }));
    found.extend(effects(facts));
    found.extend(turned_away(facts));
    let noted = facts.quarantine.iter().cloned();
    found.extend(noted.map(|note| Finding::Quarantined { note, is_repaired: !differs }));
    found.extend(log(facts));
    found
}

/// The names of the fields in which two rows differ, with both values; a missing field is null.
pub fn side_by_side(stored: Option<&Item>, clerk: Option<&Item>) -> BTreeMap<String, (Value, Value)> {
    let (stored, clerk) = (stored.map(Item::shown), clerk.map(Item::shown));
    let names = stored.iter().chain(&clerk).flat_map(|fields| fields.keys().cloned());
    let value = |fields: &Option<serde_json::Map<String, Value>>, name: &str| {
        fields.as_ref().and_then(|fields| fields.get(name)).cloned().unwrap_or_default()
    };
    names.map(|name| (name.clone(), (value(&stored, &name), value(&clerk, &name)))).collect()
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

/// The row compared with Clerk.
fn compared(facts: &Facts) -> Finding {
    let stored = facts.row.row();
    let clerk = match &facts.clerk {
        InClerk::Silent(error) => return Finding::ClerkSilent { error: error.clone() },
        InClerk::NotAsked => return Finding::ClerkNotAsked,
        InClerk::Undated => return Finding::UndatedInClerk,
        InClerk::Nothing => {
            return match stored {
                None => Finding::NeverKnown,
                Some(stored) if stored.is_deleted() => Finding::BothGone,
                Some(stored) => Finding::AbsentInClerk { is_settled: is_settled(stored, facts.now) },
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
        Presence::Conflict => Finding::Conflict { deleted_at: was, is_final: is_final(stored) },
        Presence::Unchanged if stored.is_deleted() => Finding::JustDeleted { deleted_at: was },
        Presence::Ahead if was.since(version) > AHEAD_AFTER => {
            Finding::Ahead { stored: was, clerk: version, fields: fields() }
        }
        Presence::Ahead => Finding::Lagging { stored: was, clerk: version },
        Presence::Unchanged if stored.digest != clerk.digest => Finding::Lagging { stored: was, clerk: version },
        Presence::Unchanged => Finding::InSync { times: differing(stored, clerk, true) },
    }
}

fn is_final(row: &Item) -> bool {
    row.is_finished() || row.is_purging()
}

/// The names of the fields that differ: of the contents, or of Clerk's times.
fn differing(stored: &Item, clerk: &Item, of_times: bool) -> Vec<String> {
    let both = side_by_side(Some(stored), Some(clerk)).into_iter();
    let times = ["created_at", "updated_at"];
    let differs = both.filter(|(name, (row, clerk))| row != clerk && times.contains(&name.as_str()) == of_times);
    differs.map(|(name, _)| name).collect()
}

/// Whether the comparison found a difference that an event or a run repairs.
fn is_difference(clerk: &Finding) -> bool {
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

/// What repairs a difference, or that nothing has.
fn remedy(facts: &Facts) -> Finding {
    let changed = match &facts.clerk {
        InClerk::Has(clerk) => clerk.rank.version,
        // The time of a deletion in Clerk is unknown; the row was live when it was stored.
        _ => facts.row.row().map_or(Millis::ZERO, |row| row.provenance.applied_at),
    };
    let repairs = facts.runs.iter().filter(|run| run.mode == Mode::Repair && run.state != RunState::Running);
    // A run that began within the settling time has not looked at an absence.
    let settling = if matches!(facts.clerk, InClerk::Has(_)) { 0 } else { SETTLED_AFTER };
    let missed = repairs.clone().find(|run| run.started_at.since(changed) > settling);
    match missed {
        _ if facts.policies.reconcile == Mode::Report => Finding::ReportOnly,
        Some(run) if facts.held_by.is_none() => Finding::NotRepaired { run: run.run.clone(), state: run.state },
        _ if matches!(facts.clerk, InClerk::Has(_)) && facts.now.since(changed) <= ON_ITS_WAY => {
            Finding::EventOnItsWay { since: changed }
        }
        None if repairs.count() == 0 => Finding::NoRunYet,
        None | Some(_) if matches!(facts.clerk, InClerk::Nothing) => Finding::NextRunDeletes,
        None | Some(_) => Finding::NextRun,
    }
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
    let Policies { deletion, grace_hours, .. } = facts.policies;
    Some(match Kind::from_key(&row.key)? {
        Kind::Membership => return None,
        Kind::Organization if row.is_finished() => Finding::EffectsComplete { at: mark(CONSEQUENCES_AT) },
        Kind::Organization => Finding::EffectsPending,
        Kind::User if deletion == DeletionPolicy::Retain && row.is_finished() => Finding::Retained,
        Kind::User if deletion == DeletionPolicy::Retain => Finding::EffectsPending,
        Kind::User if row.is_finished() => Finding::Purged { at: mark(CONSEQUENCES_AT) },
        Kind::User if row.is_purging() => Finding::Purging { since: mark(PURGING_AT) },
        Kind::User => match due_at(row, grace_hours) {
            due if due > facts.now => Finding::PurgeDue { at: due, is_in_clerk: is_in_clerk(&facts.clerk) },
            due => Finding::PurgeOverdue { since: due },
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

impl Finding {
    /// Whether something is left to do, or could not be found out.
    pub fn is_left(&self) -> bool {
        match self {
            Finding::RowUnreadable
            | Finding::Placeholder { .. }
            | Finding::Incomplete
            | Finding::ClerkSilent { .. }
            | Finding::NotStored { .. }
            | Finding::Outdated { .. }
            | Finding::OnlyPlaceholder { .. }
            | Finding::Rejoined { .. }
            | Finding::Behind { .. }
            | Finding::Tied { .. }
            | Finding::Ahead { .. }
            | Finding::Conflict { .. }
            | Finding::AbsentInClerk { .. }
            | Finding::UndatedInClerk
            | Finding::LeftFromMirror
            | Finding::ReportOnly
            | Finding::NotRepaired { .. }
            | Finding::Held { .. }
            | Finding::ParentDeleted { .. }
            | Finding::ParentMissing { .. }
            | Finding::PurgeOverdue { .. }
            | Finding::EffectsPending => true,
            Finding::NoRow
            | Finding::Live { .. }
            | Finding::Deleted { .. }
            | Finding::ClerkNotAsked
            | Finding::InSync { .. }
            | Finding::BothGone
            | Finding::NeverKnown
            | Finding::Lagging { .. }
            | Finding::JustDeleted { .. }
            | Finding::NotMirrored
            | Finding::EventOnItsWay { .. }
            | Finding::NextRun
            | Finding::NextRunDeletes
            | Finding::NoRunYet
            | Finding::PurgeDue { .. }
            | Finding::Purging { .. }
            | Finding::Purged { .. }
            | Finding::Retained
            | Finding::EffectsComplete { .. }
            | Finding::TurnedAway { .. }
            | Finding::Quarantined { .. }
            | Finding::Refused(_)
            | Finding::NothingRefused { .. }
            | Finding::UntrustedRequests { .. }
            | Finding::LogCut { .. }
            | Finding::LogMissing { .. } => false,
        }
    }
}
