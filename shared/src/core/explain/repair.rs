//! Decides what repairs a difference between the row and Clerk, or why nothing has: one finding for one cause.

use super::facts::{Facts, InClerk, Stored};
use super::finding::{Finding, Over, Refused, Removal, Why};
use super::line::Line;
use super::reason::Reason;
use crate::core::id::Kind;
use crate::core::millis::Millis;
use crate::core::mirror::item::{Item, Writer};
use crate::core::mirror::tombstone::DeletionPolicy;
use crate::core::reconcile::presence::{SETTLED_AFTER, is_settled};
use crate::core::reconcile::run::{Mode, Run, RunState};

/// How long an event needs to arrive at most while nothing fails, in ms.
pub(super) const ON_ITS_WAY: u64 = 2 * 60 * 1000;
/// How long Svix repeats a delivery that failed, in ms.
/// Source: Svix, "Retries": after 5 seconds, 5 and 30 minutes, 2, 5, 10 and 10 hours.
const REPEATED_FOR: u64 = (5 + 5 * 60 + 30 * 60 + (2 + 5 + 10 + 10) * 3600) * 1000;

/// What repairs the difference. `refused` are the groups of the log, of which the cause is taken out.
pub(super) fn repair(facts: &Facts, refused: &mut Vec<Refused>) -> Finding {
    let failed = |refused: &mut Vec<Refused>| {
        let refused = refused.remove(refused.iter().rposition(|refused| refused.is_cause)?);
        let until = later(refused.last, REPEATED_FOR);
        Some(Finding::EventFailed { refused: Box::new(refused), until })
    };
    match &facts.clerk {
        InClerk::Has(clerk) => failed(refused).unwrap_or_else(|| of_change(facts, clerk.rank.version)),
        _ => held(facts).or_else(|| failed(refused)).unwrap_or_else(|| of_deletion(facts)),
    }
}

/// The run whose deletion of the entity is pending approval.
pub(super) fn held(facts: &Facts) -> Option<Finding> {
    let is_past = match &facts.row {
        Stored::Nothing => true,
        Stored::Unreadable => false,
        Stored::Row(row) => row.is_deleted(),
    };
    facts.held_by.clone().map(|run| Finding::Held { run, is_past })
}

/// What proves that failures are over. A write without a question to Clerk proves nothing about the secret key, and a
/// write of another function nothing about permissions.
pub(super) fn over(facts: &Facts, refused: &Refused) -> Option<Over> {
    let Refused { reason, last, line, .. } = refused;
    let stored = |by: Option<Writer>| {
        let later = facts.row.row().map(|row: &Item| &row.provenance).filter(|row| row.applied_at > *last);
        later.filter(|row| by.is_none_or(|by| by == row.applied_by)).map(|_| Over::Stored)
    };
    let later = |proves: &dyn Fn(&Line) -> bool, what: Over| {
        let mut lines = facts.log.lines.iter().filter(|other| other.at > *last && other.function == line.function);
        lines.any(proves).then_some(what)
    };
    match reason {
        Reason::ClerkUnauthorized | Reason::ClerkForeign => {
            let answered = |other: &Line| matches!(other.reason, Some(Reason::Gone | Reason::NothingNewer));
            later(&answered, Over::Answered)
        }
        Reason::StoreRejected => {
            // These outcomes without a question to Clerk are answers of DynamoDB to a write.
            let reached = |other: &Line| match other.reason {
                Some(Reason::Duplicate | Reason::LaterState | Reason::AlreadyDeleted | Reason::LaterMembership) => {
                    other.asked.is_none()
                }
                None => other.outcome.as_deref() == Some("applied"),
                Some(_) => false,
            };
            let writer = match line.function.as_str() {
                "webhook" => Some(Writer::Webhook),
                "ensure-profile" => Some(Writer::Ensure),
                "reconcile" => Some(Writer::Reconcile),
                "react" => Some(Writer::Cascade),
                _ => None,
            };
            writer.and_then(|writer| stored(Some(writer))).or_else(|| later(&reached, Over::Reached))
        }
        _ if reason.is_failure() => stored(None),
        _ => None,
    }
}

/// Whether the line is about a failed event that has the state that Clerk has and the row has not.
pub(super) fn is_cause(facts: &Facts, line: &Line) -> bool {
    let is_failed = line.function == "webhook" && line.reason.is_some_and(Reason::is_failure);
    let row = facts.row.row();
    is_failed
        && match &facts.clerk {
            InClerk::Has(clerk) => {
                let is_stored = row.is_some_and(|row| row.rank >= clerk.rank && row.digest == clerk.digest);
                !is_stored
                    && match line.rank {
                        Some(rank) => rank == clerk.rank,
                        None => line.at >= clerk.rank.version && !is_deletion(line.kind.as_deref()),
                    }
            }
            InClerk::Nothing => {
                let generation = row.filter(|row| !row.is_deleted()).map(|row| row.rank.generation);
                is_deletion(line.kind.as_deref())
                    && generation.is_some_and(|of_row| line.rank.is_none_or(|rank| rank.generation == of_row))
            }
            InClerk::Undated | InClerk::Silent(_) | InClerk::NotAsked => false,
        }
}

fn of_change(facts: &Facts, changed: Millis) -> Finding {
    let is_unreadable = facts.quarantine.iter().any(|note| note.received_at >= changed);
    let why = match is_unreadable {
        true => Why::Quarantined,
        false if facts.log.is_whole_since(changed) => Why::NotArrived,
        false => Why::Unknown,
    };
    let repairs = || finished_repairs(facts);
    let missed = repairs().find(|run| run.started_at > changed);
    match missed {
        _ if facts.policies.reconcile == Mode::Report && (missed.is_some() || !is_recent(facts, changed)) => {
            Finding::ReportOnly { why }
        }
        Some(run) => Finding::NotRepaired { run: run.run.clone(), state: run.state, why },
        None if is_recent(facts, changed) && !is_unreadable => {
            Finding::EventOnItsWay { since: changed, until: later(changed, ON_ITS_WAY) }
        }
        None if facts.policies.reconcile == Mode::Report => Finding::ReportOnly { why },
        None if repairs().next().is_none() => Finding::NoRunYet { why },
        None => Finding::NextRun { why },
    }
}

/// The time of a deletion in Clerk is unknown, so no run is known to have missed it.
fn of_deletion(facts: &Facts) -> Finding {
    let is_unreadable = facts.quarantine.iter().any(|note| is_deletion(note.kind.as_deref()));
    let why = match is_unreadable {
        true => Why::Quarantined,
        false if facts.log.is_whole_since(facts.log.since) => Why::NoDeletion { since: facts.log.since },
        false => Why::Unknown,
    };
    let young = facts.row.row().filter(|row| !is_settled(row, facts.now));
    match young.map(|row| row.provenance.applied_at) {
        Some(stored_at) => Finding::Unsettled { stored_at, until: later(stored_at, SETTLED_AFTER) },
        None if facts.policies.reconcile == Mode::Report => Finding::ReportOnly { why },
        None => {
            let is_user = Kind::from_key(&facts.key) == Some(Kind::User);
            let removal = removal(facts.policies.deletion).filter(|_| is_user);
            Finding::NextRunDeletes { why, removal, grace_hours: facts.policies.grace_hours }
        }
    }
}

/// What happens to the data of a deleted user.
pub(super) fn removal(policy: DeletionPolicy) -> Option<Removal> {
    match policy {
        DeletionPolicy::Redact => Some(Removal::Redacted),
        DeletionPolicy::Purge => Some(Removal::Removed),
        DeletionPolicy::Retain => None,
    }
}

/// The finished runs that were allowed to write, the latest first.
pub(super) fn finished_repairs(facts: &Facts) -> impl Iterator<Item = &Run> {
    facts.runs.iter().filter(|run| run.mode == Mode::Repair && run.state != RunState::Running)
}

pub(super) fn is_recent(facts: &Facts, at: Millis) -> bool {
    facts.now.since(at) <= ON_ITS_WAY
}

/// So many ms later.
pub(super) fn later(at: Millis, by: u64) -> Millis {
    i64::try_from(at.get().saturating_add(by)).ok().and_then(|at| Millis::try_from(at).ok()).unwrap_or(Millis::MAX)
}

fn is_deletion(kind: Option<&str>) -> bool {
    kind.is_some_and(|kind| kind.ends_with(".deleted"))
}

impl Refused {
    /// Whether the cause, a setting or a permission, may make other events fail.
    pub(super) fn may_last(&self) -> bool {
        self.over.is_none() && self.has_lasting_cause()
    }

    /// Whether the cause is a setting or a permission, which does not go away by itself.
    pub(super) fn has_lasting_cause(&self) -> bool {
        matches!(self.reason, Reason::StoreRejected | Reason::ClerkUnauthorized | Reason::ClerkForeign)
    }
}

impl Reason {
    /// Whether an event with this reason failed, and is delivered again.
    pub(super) fn is_failure(self) -> bool {
        matches!(
            self,
            Reason::StoreUnavailable
                | Reason::StoreRejected
                | Reason::StoreUnreadable
                | Reason::ClerkUnavailable
                | Reason::ClerkUnauthorized
                | Reason::ClerkRejected
                | Reason::ClerkUnreadable
                | Reason::ClerkForeign
                | Reason::ClerkBehind
                | Reason::Contended
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::core::explain::findings::findings;
    use crate::core::explain::need::{Need, headline};
    use crate::core::explain::samples::{at, deleted, facts, line, live, names, note, run, told};
    use crate::core::mirror::rank::Rank;
    use crate::core::reconcile::run_id::RunId;

    /// A user who changed in Clerk at ten, seen so many minutes later.
    fn changed(now: i64) -> Facts {
        facts("user_1", now, Some(live(-60)), Some(live(0)))
    }

    fn remedy(facts: &Facts) -> String {
        names(facts)[2].clone()
    }

    #[test]
    fn a_change_is_repaired_by_its_event_a_run_or_a_person() {
        let report = |facts: &mut Facts| facts.policies.reconcile = Mode::Report;
        let unreadable = |facts: &mut Facts| facts.quarantine = vec![note(1)];
        let ran = |facts: &mut Facts, minutes: i64| facts.runs = vec![run(minutes)];
        for (now, change, expected) in [
            (2, &(|_: &mut Facts| ()) as &dyn Fn(&mut Facts), "event_on_its_way"),
            (3, &|_: &mut Facts| (), "no_run_yet"),
            (3, &|facts: &mut Facts| ran(facts, -9), "next_run"),
            (3, &|facts: &mut Facts| ran(facts, 1), "not_repaired"),
            (2, &|facts: &mut Facts| report(facts), "event_on_its_way"),
            (3, &|facts: &mut Facts| report(facts), "report_only"),
            (2, &|facts: &mut Facts| unreadable(facts), "no_run_yet"),
        ] {
            let mut facts = changed(now);
            change(&mut facts);
            assert_eq!(remedy(&facts), expected, "{now}");
            let marked = findings(&facts)
                .iter()
                .filter(|finding| finding.need() == crate::core::explain::need::Need::Act)
                .count();
            let is_marked = !["event_on_its_way", "next_run"].contains(&expected);
            assert_eq!(marked, usize::from(is_marked), "one mark for one cause: {expected}");
        }
        let waits = changed(1);
        assert_eq!(
            headline(&findings(&waits)),
            "Nothing to do yet: this should repair itself by 2026-01-01T10:02:00.000Z."
        );
        assert!(told(&waits, "event_on_its_way").contains("Wait until 2026-01-01T10:02:00.000Z, then run"));
    }

    #[test]
    fn the_cause_of_a_difference_is_told_as_far_as_the_log_shows_it() {
        let mut facts = changed(9);
        assert!(told(&facts, "no_run_yet").starts_with("No event about this change has arrived."));
        facts.log.since = at(1);
        assert!(told(&facts, "no_run_yet").starts_with("It is unknown why"));
        facts.quarantine = vec![note(1)];
        assert!(told(&facts, "no_run_yet").starts_with("An event that arrived after the change could not be read"));
        facts.quarantine = vec![note(-1)];
        assert!(told(&facts, "no_run_yet").starts_with("It is unknown why"), "the note is of an earlier event");
    }

    #[test]
    fn a_failed_event_about_the_missing_state_is_the_cause_and_no_other() {
        let failed = |rank: Option<Rank>, kind: &str, reason: &str| {
            line(
                1,
                json!({ "type": kind, "outcome": "failed", "reason": reason, "rank": rank,
                            "error": "DynamoDB rejected the operation (AccessDeniedException)" }),
            )
        };
        for (rank, kind, expected) in [
            (Some(live(0)), "user.updated", "event_failed"),
            (None, "user.updated", "event_failed"),
            (Some(live(-1)), "user.updated", "event_on_its_way"),
            (None, "user.deleted", "event_on_its_way"),
        ] {
            let mut facts = changed(2);
            facts.log.lines = vec![failed(rank, kind, "store_rejected")];
            assert_eq!(remedy(&facts), expected, "{rank:?} {kind}");
        }
        let mut facts = changed(2);
        facts.log.lines = vec![failed(Some(live(0)), "user.updated", "store_rejected")];
        let text = told(&facts, "event_failed");
        for part in [
            "(user.updated, message msg_1) arrived at 2026-01-01T10:01:00.000Z, and failed: DynamoDB denied access",
            "Check the permissions of the function webhook",
            "Svix then delivers the event again, until 2026-01-02T13:36:05.000Z",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!names(&facts).contains(&"refused".to_owned()), "told once");
        assert!(headline(&findings(&facts)).starts_with("Something to do: see the line"));
        // A failure that ends by itself.
        facts.log.lines = vec![failed(Some(live(0)), "user.updated", "clerk_unavailable")];
        assert!(headline(&findings(&facts)).starts_with("Nothing to do yet: Svix delivers"));
        // A deletion.
        let mut gone = super::super::samples::facts("user_1", 60, Some(live(-60)), None);
        gone.log.lines = vec![failed(None, "user.deleted", "store_rejected")];
        assert_eq!(remedy(&gone), "event_failed");
        gone.log.lines = vec![failed(None, "user.updated", "store_rejected")];
        assert_eq!(remedy(&gone), "next_run_deletes");
    }

    /// The memberships of an organization wait for the decision about the organization: one cause has one mark.
    #[test]
    fn under_report_no_effect_is_completed_while_the_deletion_may_be_wrong() {
        let deleted_at_ten = |now: i64, clerk: Option<Rank>| {
            let mut facts = facts("org_1", now, Some(deleted(0)), clerk);
            facts.policies.reconcile = Mode::Report;
            facts
        };
        let marked = |facts: &Facts| {
            let found = findings(facts);
            let marks = found.iter().filter(|finding| finding.need() == Need::Act);
            (headline(&found), marks.map(|finding| json!(finding)["finding"].clone()).collect::<Vec<_>>())
        };
        let (head, marks) = marked(&deleted_at_ten(1, Some(live(-60))));
        assert_eq!(head, "Nothing to do until 2026-01-01T10:15:00.000Z; then run this command again.");
        assert!(marks.is_empty(), "{marks:?}");
        let (_, marks) = marked(&deleted_at_ten(16, Some(live(-60))));
        assert_eq!(marks, [json!("conflict")]);
        let gone = deleted_at_ten(16, None);
        assert_eq!(marked(&gone).1, [json!("effects_pending")]);
        assert!(told(&gone, "effects_pending").contains("ask the person responsible"));
        // A command with --override says what the setting means.
        let text = told(&deleted_at_ten(16, Some(live(-60))), "conflict");
        assert!(text.contains("--override RECONCILE_POLICY=repair") && text.contains("ask the person"), "{text}");
    }

    #[test]
    fn an_absence_waits_for_clerk_then_for_a_run_unless_a_person_decides() {
        let absent = |now: i64| facts("user_1", now, Some(live(0)), None);
        assert_eq!(remedy(&absent(14)), "unsettled");
        let text = told(&absent(14), "unsettled");
        assert!(text.contains("Wait until 2026-01-01T10:15:00.000Z") && !text.contains("rollcall sync"), "{text}");
        assert_eq!(
            headline(&findings(&absent(14))),
            "Nothing to do until 2026-01-01T10:15:00.000Z; then run this command again."
        );
        assert_eq!(remedy(&absent(15)), "next_run_deletes");
        let text = told(&absent(15), "next_run_deletes");
        assert!(text.contains("No deletion event has arrived since 2025-12-31T10:00:00.000Z."), "{text}");
        assert!(text.contains("in Profiles after 24 hours (DELETION_POLICY=redact)"), "{text}");
        let mut report = absent(15);
        report.policies.reconcile = Mode::Report;
        assert_eq!(remedy(&report), "report_only");
        report.held_by = Some(RunId::at(at(9)));
        assert_eq!(remedy(&report), "held");
    }
}
