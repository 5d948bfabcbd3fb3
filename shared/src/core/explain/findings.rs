//! Decides what the facts about one entity mean.

use std::collections::BTreeMap;

use serde_json::Value;

use super::comparison::{agreement, compared, is_difference, restoration};
use super::facts::{Facts, InClerk, Parent, Policies, Stored};
use super::finding::{Finding, Kept, Now, ParentInClerk, Refused, Stage, Then};
use super::reason::{Asked, Reason};
use super::repair::{ON_ITS_WAY, finished_repairs, held, is_cause, is_recent, later, over, removal, repair};
use crate::core::deletion::orphans::effective;
use crate::core::deletion::pending::LATE_AFTER;
use crate::core::deletion::purge::due_at;
use crate::core::ensure::admission::{Refusal, admit};
use crate::core::id::{EntityId, Kind};
use crate::core::millis::Millis;
use crate::core::mirror::item::{CONSEQUENCES_AT, Item, PURGING_AT, Writer};
use crate::core::mirror::rank::Rank;
use crate::core::reconcile::presence::SETTLED_AFTER;
use crate::core::reconcile::run::{Mode, Run, RunState};

/// What the facts mean, in the order in which it is told.
pub fn findings(facts: &Facts) -> Vec<Finding> {
    if facts.row == Stored::Unreadable {
        return of_unreadable(facts);
    }
    let mut found = vec![provenance(facts)];
    if facts.row.row().is_some_and(|row| row.provenance.applied_by == Writer::Unknown) {
        found.push(Finding::Incomplete);
    }
    let clerk = compared(facts);
    let (differs, now) = (is_difference(&clerk), agreement(&clerk));
    let doubt = match &clerk {
        Finding::JustDeleted { until, .. } => Some(Doubt { until: Some(*until) }),
        Finding::Conflict { .. } => Some(Doubt { until: None }),
        _ => None,
    };
    found.push(clerk);
    let turned_away = turned_away(facts);
    let mut refused = grouped(facts, now, turned_away.is_some());
    let parents = parents(facts);
    // The deletion of a parent has its own remedy.
    let is_cascade = parents.iter().any(|parent| matches!(parent, Finding::ParentDeleted { .. }));
    found.extend(parents);
    if differs && !is_cascade {
        found.push(repair(facts, &mut refused));
    } else if !matches!(facts.clerk, InClerk::Has(_)) {
        found.extend(held(facts));
    }
    found.extend(effects(facts, doubt));
    found.extend(turned_away);
    found.extend(facts.quarantine.iter().cloned().map(|note| Finding::Quarantined { note, now }));
    found.extend(log(facts, refused));
    found
}

/// A row that cannot be read is one cause: it is not compared, and nothing but its removal is advised.
fn of_unreadable(facts: &Facts) -> Vec<Finding> {
    let quarantined = |note| Finding::Quarantined { note, now: Now::Unreadable };
    let mut found = vec![Finding::RowUnreadable { then: then(facts) }];
    found.extend(facts.quarantine.iter().cloned().map(quarantined));
    found.extend(log(facts, grouped(facts, Now::Unreadable, false)));
    found
}

/// What to do after the removal of the row.
fn then(facts: &Facts) -> Then {
    let kind = Kind::from_key(&facts.key);
    match &facts.clerk {
        InClerk::Has(_) if facts.policies.mirror || kind == Some(Kind::Organization) => Then::Sync,
        InClerk::Nothing if kind == Some(Kind::User) => Then::Erase,
        InClerk::Has(_) | InClerk::Undated | InClerk::Nothing => Then::Nothing,
        InClerk::Silent(_) => Then::AskAgain,
        InClerk::NotAsked => Then::Name,
    }
}

fn provenance(facts: &Facts) -> Finding {
    let row = match &facts.row {
        Stored::Nothing => return Finding::NoRow,
        Stored::Unreadable => return Finding::RowUnreadable { then: then(facts) },
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
        let mut parents = facts.parents.iter().filter(|parent| {
            parent.tombstone().is_some_and(|parent| by == Writer::Cascade && parent.rank.version == version)
        });
        let parent = parents.next().map(|parent| parent.entity.to_string());
        return Finding::Deleted { version, by, applied_at, svix_id, policy, parent };
    }
    Finding::Live { version, joined_at: (generation > Millis::ZERO).then_some(generation), by, applied_at, svix_id }
}

/// The parents of a live membership that are deleted, or else that have no row.
fn parents(facts: &Facts) -> Vec<Finding> {
    if facts.row.row().is_none_or(Item::is_deleted) {
        return Vec::new();
    }
    let is_kept = |parent: &&Parent| facts.policies.mirror || matches!(parent.entity, EntityId::Organization(_));
    let missing = facts.parents.iter().filter(is_kept).filter(|parent| parent.stored.row().is_none());
    let deleted: Vec<(&EntityId, &Item)> =
        facts.parents.iter().filter_map(|parent| Some((&parent.entity, parent.tombstone()?))).collect();
    let Some(since) = deleted.iter().map(|(_, row)| row.provenance.applied_at).min() else {
        return missing.map(|parent| parent_missing(facts, parent)).collect();
    };
    let is_there = |parent: &Parent| parent.tombstone().is_some() && matches!(parent.clerk, InClerk::Has(_));
    let settled = later(since, SETTLED_AFTER);
    let doubt = facts.parents.iter().any(is_there).then(|| Doubt { until: (settled > facts.now).then_some(settled) });
    vec![Finding::ParentDeleted {
        parents: deleted.iter().map(|(parent, _)| parent.to_string()).collect(),
        missing: missing.map(|parent| parent.entity.to_string()).collect(),
        since,
        stage: stage(facts, since, doubt),
    }]
}

/// Clerk has what the Directory says is deleted.
#[derive(Clone, Copy)]
struct Doubt {
    /// Until when Clerk's answers may lag; nothing if an operator must decide.
    until: Option<Millis>,
}

fn parent_missing(facts: &Facts, parent: &Parent) -> Finding {
    let clerk = match &parent.clerk {
        _ if parent.stored == Stored::Unreadable => ParentInClerk::Unreadable,
        InClerk::Has(clerk) if is_recent(facts, clerk.rank.version) => {
            ParentInClerk::Young { until: later(clerk.rank.version, ON_ITS_WAY) }
        }
        InClerk::Has(_) => ParentInClerk::Has,
        InClerk::Nothing => ParentInClerk::Nothing,
        InClerk::Undated | InClerk::Silent(_) | InClerk::NotAsked => ParentInClerk::Unknown,
    };
    Finding::ParentMissing { parent: parent.entity.to_string(), clerk }
}

/// How far an effect is of a deletion that was stored at this time.
fn stage(facts: &Facts, since: Millis, doubt: Option<Doubt>) -> Stage {
    let is_complete = |run: &&Run| run.started_at > since && run.state != RunState::Incomplete;
    match finished_repairs(facts).find(is_complete) {
        _ if facts.policies.reconcile == Mode::Report => match doubt {
            Some(Doubt { until }) => Stage::Unsure { until },
            None => Stage::Off,
        },
        Some(run) => Stage::Overdue { run: run.run.clone() },
        None if is_recent(facts, since) => Stage::Soon { until: later(since, ON_ITS_WAY) },
        None => Stage::NextRun,
    }
}

/// The effects of a deletion.
fn effects(facts: &Facts, doubt: Option<Doubt>) -> Option<Finding> {
    let row = facts.row.row().filter(|row| row.is_deleted())?;
    let mark = |name: &str| row.fields.get(name).and_then(Value::as_i64).and_then(|at| Millis::try_from(at).ok());
    let Policies { deletion, grace_hours, reconcile, .. } = facts.policies;
    let (is_on, since) = (reconcile == Mode::Repair, row.provenance.applied_at);
    let pending = || Finding::EffectsPending { since, stage: stage(facts, since, doubt) };
    Some(match Kind::from_key(&row.key)? {
        Kind::Membership => return None,
        Kind::Organization if row.is_finished() => Finding::EffectsComplete { at: mark(CONSEQUENCES_AT) },
        Kind::Organization => pending(),
        Kind::User => {
            let Some(removal) = removal(deletion) else {
                return Some(if row.is_finished() { Finding::Retained } else { pending() });
            };
            let due = due_at(row, grace_hours);
            if let Some(restored) = restored(facts, row, due) {
                restored
            } else if row.is_finished() {
                Finding::Purged { at: mark(CONSEQUENCES_AT) }
            } else if row.is_purging() {
                Finding::Purging { since: mark(PURGING_AT) }
            } else if due > facts.now {
                Finding::PurgeDue { at: due, is_in_clerk: is_in_clerk(&facts.clerk), removal, is_on }
            } else {
                let until = later(due, LATE_AFTER);
                Finding::PurgeOverdue { since: due, until, removal, is_late: facts.now > until, is_on }
            }
        }
    })
}

/// The restoration of rows of a deleted user, if the rows wait for a decision. The purge keeps them, so it takes the place
/// of everything about the purge.
fn restored(facts: &Facts, row: &Item, due: Millis) -> Option<Finding> {
    let note = restoration(facts)?;
    let finished_at = row.fields.get(CONSEQUENCES_AT).and_then(Value::as_i64).and_then(|at| Millis::try_from(at).ok());
    Some(Finding::Restored {
        at: note.restored_at,
        backup: note.backup.clone(),
        // A tombstone that was finished later has lost no rows.
        removed_at: finished_at.filter(|at| row.is_finished() && *at <= note.restored_at),
        removal: removal(effective(facts.policies.deletion, row))?,
        is_in_clerk: is_in_clerk(&facts.clerk),
        kept_until: (!row.is_finished() && due > facts.now).then_some(due),
        is_stopping: row.is_purging() && !row.is_finished(),
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
    Some(Finding::TurnedAway { status: problem.status, code: problem.code, is_in_clerk: is_in_clerk(&facts.clerk) })
}

/// The lines of the log by reason, the group with the latest line last.
fn grouped(facts: &Facts, now: Now, is_turned_away: bool) -> Vec<Refused> {
    let mut groups: BTreeMap<(bool, Reason, Option<Asked>), Refused> = BTreeMap::new();
    for line in &facts.log.lines {
        let Some(reason) = line.reason else { continue };
        let is_cause = is_cause(facts, line);
        let (asked, advises) = (line.asked, advises(facts, reason, now, is_turned_away));
        let seen = groups.entry((is_cause, reason, asked)).or_insert_with(|| Refused {
            reason,
            asked,
            count: 0,
            first: line.at,
            last: line.at,
            line: line.clone(),
            now,
            is_cause,
            has_changed: false,
            over: None,
            advises,
        });
        seen.count += 1;
        seen.first = seen.first.min(line.at);
        if line.at >= seen.last {
            (seen.last, seen.line) = (line.at, line.clone());
        }
    }
    let mut groups: Vec<Refused> = groups.into_values().collect();
    for group in &mut groups {
        let met = group.line.stored;
        group.over = over(facts, group);
        group.advises &= group.over.is_none();
        group.has_changed = met.is_some() && met != facts.row.row().map(|row| row.rank);
    }
    groups.sort_by_key(|group| group.last);
    groups
}

/// Whether the advice about a reason still applies.
fn advises(facts: &Facts, reason: Reason, now: Now, is_turned_away: bool) -> bool {
    let is_set = |name: &str| match &facts.clerk {
        InClerk::Has(clerk) => clerk.fields.get(name) == Some(&Value::Bool(true)),
        _ => false,
    };
    match reason {
        // The present state of the user has a sentence of its own.
        Reason::UserBanned => !is_turned_away && is_set("banned"),
        Reason::UserDeprovisioned => !is_turned_away && is_set("deprovisioned"),
        // The row that cannot be read has a sentence of its own.
        Reason::StoreUnreadable | Reason::RowUnreadable => !matches!(now, Now::Agrees | Now::Unreadable),
        _ => now != Now::Agrees,
    }
}

fn log(facts: &Facts, refused: Vec<Refused>) -> Vec<Finding> {
    let log = &facts.log;
    let is_clean = log.lines.iter().all(|line| line.reason.is_none());
    let mut found: Vec<Finding> = refused.into_iter().map(|refused| Finding::Refused(Box::new(refused))).collect();
    if is_clean && log.problems.is_empty() {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::core::deletion::restore::Restoration;
    use crate::core::explain::need::{Need, headline};
    use crate::core::explain::samples::{at, deleted, facts, line, live, names, note, run, told};
    use crate::core::mirror::tombstone::DeletionPolicy;
    use crate::core::reconcile::run_id::RunId;

    fn marks(facts: &Facts) -> usize {
        findings(facts).iter().filter(|finding| finding.need() == Need::Act).count()
    }

    #[test]
    fn a_row_that_cannot_be_read_is_one_cause_with_one_mark() {
        let unreadable = |id: &str, clerk: Option<Rank>| {
            let mut facts = facts(id, 60, None, clerk);
            facts.row = Stored::Unreadable;
            facts.runs = vec![run(30)];
            facts.held_by = Some(RunId::at(at(9)));
            facts.quarantine = vec![note(1)];
            let failed = json!({ "type": "user.updated", "outcome": "failed", "reason": "store_unreadable" });
            facts.log.lines = vec![line(1, failed)];
            facts
        };
        let there = unreadable("user_1", Some(live(0)));
        assert_eq!(names(&there), ["row_unreadable", "quarantined", "refused"]);
        assert_eq!((marks(&there), findings(&there).iter().filter(|finding| finding.is_left()).count()), (1, 1));
        assert!(headline(&findings(&there)).starts_with("Something to do: see the line"));
        assert!(told(&there, "quarantined").ends_with("because the row cannot be read."));
        assert!(!told(&there, "refused").contains("runbook"), "told once");
        let advice = |facts: &Facts| told(facts, "row_unreadable");
        let remove = "Remove the row from the table by hand";
        for (id, clerk, expected) in [
            ("user_1", Some(live(0)), format!("Clerk has the user. {remove}, then run `rollcall sync user_1 --local`")),
            ("user_1", None, format!("{remove}, then run `rollcall erase user_1 --even-if-unknown --local`")),
            ("org_1", None, format!("{remove}. No other row is expected")),
        ] {
            let text = advice(&unreadable(id, clerk));
            assert!(text.contains(&expected), "{expected}: {text}");
        }
        let mut facts = there;
        facts.policies.reconcile = Mode::Report;
        let command = "`rollcall sync user_1 --override RECONCILE_POLICY=repair --local`";
        assert!(advice(&facts).contains(command), "{}", advice(&facts));
        facts.policies.mirror = false;
        assert!(advice(&facts).contains("No other row is expected"), "{}", advice(&facts));
        facts.clerk = InClerk::Silent("timeout".to_owned());
        assert!(!advice(&facts).contains(remove), "what replaces the row is unknown: {}", advice(&facts));
        assert_eq!(marks(&facts), 1);
    }

    /// A user whose data were removed at eleven and restored at twelve, seen at one.
    fn restored(clerk: Option<Rank>) -> Facts {
        let mut facts = facts("user_1", 180, Some(deleted(0)), clerk);
        let Stored::Row(row) = &mut facts.row else { panic!("row") };
        row.fields.insert(CONSEQUENCES_AT.to_owned(), at(60).get().into());
        facts.restored = Some(Restoration {
            rank: row.rank,
            applied_at: row.provenance.applied_at,
            restored_at: at(120),
            backup: "s3://backups/1.ndjson".to_owned(),
        });
        facts.policies.deletion = DeletionPolicy::Purge;
        facts
    }

    #[test]
    fn restored_rows_of_a_deleted_user_wait_for_an_operator() {
        let gone = restored(None);
        assert_eq!(names(&gone), ["deleted", "both_gone", "restored", "turned_away", "nothing_refused"]);
        assert_eq!(headline(&findings(&gone)), "Something to do: see the line that is marked with !");
        let text = told(&gone, "restored");
        for part in [
            "The user's data were removed at 2026-01-01T11:00:00.000Z. Rows of the deleted user were restored at \
             2026-01-01T12:00:00.000Z from s3://backups/1.ndjson.",
            "the rows stay until an operator undoes the deletion, runs `cleanup --restored`, or erases the user.",
            "Clerk does not have the user, so the deletion cannot be undone.",
            "run `rollcall erase user_1 --local`, which removes the user's rows in Profiles and in OWNED_TABLES.",
            " `rollcall cleanup --restored --local` removes the data of all deleted users whose rows were restored.",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("rollcall undo"), "an undo refuses: {text}");
        // Clerk has the user: one decision, and the data are not said to be missing.
        let there = restored(Some(live(-60)));
        assert_eq!(marks(&there), 1);
        let text = told(&there, "conflict");
        assert!(text.contains("`rollcall undo user_1 --local`") && !text.contains("first restore"), "{text}");
        let report = Facts { policies: Policies { reconcile: Mode::Report, ..there.policies }, ..there };
        assert!(
            told(&report, "conflict").contains("`rollcall undo user_1 --override RECONCILE_POLICY=repair --local`")
        );
    }

    #[test]
    fn a_restoration_counts_under_its_tombstone_and_while_the_policy_removes_rows() {
        let is_told = |facts: &Facts| names(facts).contains(&"restored".to_owned());
        let mut other = restored(None);
        other.restored.as_mut().unwrap().applied_at = at(-1);
        assert!(is_told(&restored(None)) && !is_told(&other));
        assert!(told(&other, "purged").contains("Only a backup has the data"));
        let mut retained = restored(None);
        retained.policies.deletion = DeletionPolicy::Retain;
        assert!(!is_told(&retained) && marks(&retained) == 0, "the policy keeps the rows");
        // Within the grace period a clean-up keeps them, too, and no purge takes them away afterwards.
        let mut waits = restored(Some(live(-60)));
        let Stored::Row(row) = &mut waits.row else { panic!("row") };
        row.fields.remove(CONSEQUENCES_AT);
        assert!(!names(&waits).contains(&"purge_due".to_owned()), "{:?}", names(&waits));
        let text = told(&waits, "restored");
        assert!(text.starts_with("Rows of the deleted user were restored"), "nothing was removed: {text}");
        assert!(text.contains("After 2026-01-02T10:00:00.000Z, `rollcall cleanup --restored --local`"), "{text}");
        assert!(!told(&waits, "conflict").contains("when the removal of the user's data begins"));
    }
}
