//! Decides whether a person must act on a finding, may wait, or has nothing to do.

use super::finding::{Finding, Now, ParentInClerk, Refused, Stage};
use super::reason::Reason;
use super::repair::later;
use crate::core::millis::Millis;
use crate::core::reconcile::presence::SETTLED_AFTER;

/// What a finding needs of a person. The greatest need of all findings is the headline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    Nothing,
    Wait(Until),
    /// The finding says what to do, and is marked.
    Act,
}

/// Until when a person waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Until {
    /// Nothing but the next change in Clerk changes it, which is harmless. The least: a person need not look again.
    NextChange,
    /// The row should be repaired at that time.
    Repaired(Millis),
    /// Clerk's answers may lag until then; the command must be run again.
    Settled(Millis),
    /// Svix delivers a failed event again.
    Delivered(Millis),
    /// The hourly purge.
    Purge(Millis),
    NextRun,
}

impl Need {
    /// Whether a person must act, or look again later: nothing proves that what should repair itself does so.
    fn is_left(self) -> bool {
        self > Need::Wait(Until::NextChange)
    }
}

impl Finding {
    /// What the finding needs of a person.
    pub fn need(&self) -> Need {
        match self {
            Finding::RowUnreadable { .. }
            | Finding::Incomplete
            | Finding::ClerkSilent { .. }
            | Finding::Ahead { .. }
            | Finding::Conflict { .. }
            | Finding::LeftFromMirror
            | Finding::ReportOnly { .. }
            | Finding::NotRepaired { .. }
            | Finding::NoRunYet { .. }
            | Finding::Held { is_past: false, .. }
            | Finding::BelowDeleted { until: None, .. }
            | Finding::Restored { is_in_clerk: Some(false) | None, .. } => Need::Act,

            Finding::EventOnItsWay { until, .. } => Need::Wait(Until::Repaired(*until)),
            Finding::Lagging { until, .. }
            | Finding::JustDeleted { until, .. }
            | Finding::BelowDeleted { until: Some(until), .. }
            | Finding::Unsettled { until, .. } => Need::Wait(Until::Settled(*until)),
            Finding::NeverKnown { alive_at: Some(at), .. } => Need::Wait(Until::Settled(later(*at, SETTLED_AFTER))),
            Finding::UndatedInClerk | Finding::NextRun { .. } | Finding::NextRunDeletes { .. } => {
                Need::Wait(Until::NextRun)
            }
            Finding::Behind { .. } => Need::Wait(Until::NextChange),
            // Other events fail, too, until a person has removed the cause.
            Finding::Refused(refused) if refused.may_last() && refused.now == Now::Differs => Need::Act,
            Finding::EventFailed { refused, until } => match is_mended_by_a_person(refused) {
                true => Need::Act,
                false => Need::Wait(Until::Delivered(*until)),
            },
            Finding::ParentDeleted { stage, .. } | Finding::EffectsPending { stage, .. } => match stage {
                Stage::Soon { until } => Need::Wait(Until::Repaired(*until)),
                Stage::NextRun => Need::Wait(Until::NextRun),
                Stage::Unsure { until } => until.map_or(Need::Nothing, |until| Need::Wait(Until::Settled(until))),
                Stage::Overdue { .. } | Stage::Off => Need::Act,
            },
            Finding::ParentMissing { clerk, .. } => match clerk {
                ParentInClerk::Unreadable | ParentInClerk::Has => Need::Act,
                ParentInClerk::Young { until } => Need::Wait(Until::Repaired(*until)),
                ParentInClerk::Nothing | ParentInClerk::Unknown => Need::Nothing,
            },
            Finding::PurgeOverdue { is_late, is_on, until, .. } => match *is_late || !is_on {
                true => Need::Act,
                false => Need::Wait(Until::Purge(*until)),
            },

            // The remedy of a difference is a finding of its own; so is the decision about a user whom Clerk still has.
            Finding::Restored { is_in_clerk: Some(true), .. }
            | Finding::NotStored { .. }
            | Finding::Outdated { .. }
            | Finding::OnlyPlaceholder { .. }
            | Finding::Rejoined { .. }
            | Finding::Tied { .. }
            | Finding::AbsentInClerk
            | Finding::Held { is_past: true, .. }
            | Finding::NoRow
            | Finding::Placeholder { .. }
            | Finding::Live { .. }
            | Finding::Deleted { .. }
            | Finding::ClerkNotAsked
            | Finding::InSync { .. }
            | Finding::BothGone
            | Finding::NeverKnown { alive_at: None, .. }
            | Finding::NotMirrored
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
            | Finding::LogMissing { .. } => Need::Nothing,
        }
    }

    /// Whether something is left: for one such finding the exit status is 2.
    pub fn is_left(&self) -> bool {
        self.need().is_left()
    }
}

/// Whether the failure of an event lasts until a person has removed its cause.
pub(super) fn is_mended_by_a_person(refused: &Refused) -> bool {
    !matches!(
        refused.reason,
        Reason::StoreUnavailable
            | Reason::ClerkUnavailable
            | Reason::ClerkUnreadable
            | Reason::ClerkBehind
            | Reason::Contended
    )
}

/// What all findings together need of a person, as a sentence.
pub fn headline(found: &[Finding]) -> String {
    let acts = found.iter().filter(|finding| finding.need() == Need::Act).count();
    match found.iter().map(Finding::need).max().unwrap_or(Need::Nothing) {
        Need::Nothing => nothing(found),
        Need::Act if acts == 1 => "Something to do: see the line that is marked with !".to_owned(),
        Need::Act => format!("Something to do: see the {acts} lines that are marked with !"),
        Need::Wait(until) => wait(until) + earlier_failure(found),
    }
}

fn wait(until: Until) -> String {
    match until {
        Until::NextChange => "Nothing to do: a time differs, which is harmless.".to_owned(),
        Until::Repaired(at) => format!("Nothing to do yet: this should repair itself by {}.", at.utc()),
        Until::Settled(at) => format!("Nothing to do until {}; then run this command again.", at.utc()),
        Until::Delivered(at) => format!(
            "Nothing to do yet: Svix delivers the failed event again and again, until {} at the latest; the first success \
             repairs the row.",
            at.utc()
        ),
        Until::Purge(at) => format!("Nothing to do yet: this should be complete by {}.", at.utc()),
        Until::NextRun => "Nothing to do yet: the next run of reconcile repairs this.".to_owned(),
    }
}

/// The headline if nothing has to be done, with what nevertheless stays as it is.
fn nothing(found: &[Finding]) -> String {
    let keeps_data = |finding: &Finding| matches!(finding, Finding::PurgeDue { is_on: false, .. });
    if found.iter().any(keeps_data) {
        "Nothing to do for this row. But the user's data stay while RECONCILE_POLICY=report."
    } else if found.iter().any(may_last) {
        "Nothing to do for this row."
    } else {
        "Nothing to do."
    }
    .to_owned()
        + earlier_failure(found)
}

/// Whether the finding is a failure that other rows may have, too.
fn may_last(finding: &Finding) -> bool {
    matches!(finding, Finding::Refused(refused) if refused.may_last())
}

/// What a person must look at although the row itself waits or is in sync.
fn earlier_failure(found: &[Finding]) -> &'static str {
    if found.iter().any(may_last) { " But the cause of an earlier failure may still exist: see below." } else { "" }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::core::explain::facts::{Facts, InClerk, Parent, Stored};
    use crate::core::explain::findings::findings;
    use crate::core::explain::samples::{at, deleted, facts, line, live, names, row, run, told};
    use crate::core::id::EntityId;
    use crate::core::mirror::item::{CONSEQUENCES_AT, Writer};
    use crate::core::mirror::rank::Rank;
    use crate::core::mirror::tombstone::DeletionPolicy;
    use crate::core::reconcile::run::Mode;
    use crate::core::reconcile::run_id::RunId;

    fn head(facts: &Facts) -> String {
        headline(&findings(facts))
    }

    /// A live membership of `org_1` and `user_1`, which Clerk does not have, at ten; with the ranks of both parents.
    fn member(now: i64, user: Option<Rank>, organization: Option<Rank>, has_organization: bool) -> Facts {
        let mut facts = facts("org_1/user_1", now, Some(live(-60)), None);
        let parent = |entity: EntityId, rank: Option<Rank>, has: bool| Parent {
            stored: rank.map_or(Stored::Nothing, |rank| Stored::Row(Box::new(row(&entity, rank)))),
            clerk: if has { InClerk::Has(Box::new(row(&entity, live(-60)))) } else { InClerk::Nothing },
            entity,
        };
        facts.parents = vec![
            parent(EntityId::User("user_1".parse().unwrap()), user, false),
            parent(EntityId::Organization("org_1".parse().unwrap()), organization, has_organization),
        ];
        facts
    }

    #[test]
    fn a_deleted_parent_is_one_cause_with_the_missing_one_and_has_a_deadline() {
        let mut facts = member(1, Some(deleted(0)), None, false);
        assert_eq!(names(&facts), ["live", "absent_in_clerk", "parent_deleted", "nothing_refused"]);
        let text = told(&facts, "parent_deleted");
        for part in [
            "user_1 is deleted in the Directory (since 2026-01-01T10:00:00.000Z), and the Directory has no row of org_1.",
            "After 2026-01-01T10:02:00.000Z, run `rollcall explain org_1/user_1 --local` again. If the row is still live then, \
             the next run of reconcile marks the row as deleted;",
            "search the log of the function react for `user_1`.",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(head(&facts), "Nothing to do yet: this should repair itself by 2026-01-01T10:02:00.000Z.");
        facts.now = at(3);
        // A run that began before the deletion says nothing about it.
        facts.runs = vec![run(-1)];
        assert_eq!(head(&facts), "Nothing to do yet: the next run of reconcile repairs this.");
        facts.runs = vec![run(2)];
        assert_eq!(head(&facts), "Something to do: see the line that is marked with !");
        assert!(told(&facts, "parent_deleted").ends_with("search the log of the function reconcile for `user_1`."));
        facts.policies.reconcile = Mode::Report;
        assert!(told(&facts, "parent_deleted").contains("while RECONCILE_POLICY=report"));
    }

    /// The row waits for Clerk, but other events fail until a person has corrected the permissions.
    #[test]
    fn a_cause_that_may_last_is_marked_while_the_row_waits() {
        let failed = |minute: i64, reason: &str| {
            let fields = json!({ "type": "user.updated", "outcome": "failed", "reason": reason, "rank": live(-1) });
            let mut facts = facts("user_1", 14, Some(live(0)), None);
            facts.log.lines = vec![line(minute, fields)];
            head(&facts)
        };
        let wait = "Nothing to do until 2026-01-01T10:15:00.000Z; then run this command again.";
        assert_eq!(failed(10, "store_rejected"), "Something to do: see the line that is marked with !");
        assert_eq!(failed(10, "store_unavailable"), wait);
        assert_eq!(failed(-1, "store_rejected"), wait, "the row was stored later");
    }

    #[test]
    fn a_missing_parent_is_looked_up_in_clerk() {
        let missing = |has: bool| member(1, Some(live(-60)), None, has);
        assert!(
            told(&missing(true), "parent_missing")
                .contains("which says why the row is missing; then `rollcall sync org_1 --local` stores")
        );
        assert!(told(&missing(false), "parent_missing").ends_with("Clerk does not have org_1 either."));
        let need = |facts: &Facts| {
            let of_parent = |finding: &&Finding| matches!(finding, Finding::ParentMissing { .. });
            findings(facts).iter().find(of_parent).map(Finding::need)
        };
        assert_eq!((need(&missing(true)), need(&missing(false))), (Some(Need::Act), Some(Need::Nothing)));
        let mut unreadable = missing(true);
        unreadable.parents[1].stored = Stored::Unreadable;
        assert!(told(&unreadable, "parent_missing").contains("a row of org_1 that no function can read"));
    }

    #[test]
    fn a_purge_says_its_policy_and_who_must_act() {
        let hours = |hours: i64| 60 * hours;
        let due = |now: i64, report: bool| {
            let mut facts = facts("user_1", now, Some(deleted(0)), None);
            facts.policies.deletion = DeletionPolicy::Purge;
            facts.policies.reconcile = if report { Mode::Report } else { Mode::Repair };
            facts
        };
        let stay = "Nothing to do for this row. But the user's data stay while RECONCILE_POLICY=report.";
        assert_eq!((head(&due(1, true)).as_str(), head(&due(1, false)).as_str()), (stay, "Nothing to do."));
        let text = told(&due(1, true), "purge_due");
        for part in [
            "RECONCILE_POLICY is `report` now. Therefore nothing is changed: the user's rows in Profiles and in",
            "they are removed, after 2026-01-02T10:00:00.000Z at the earliest (DELETION_POLICY=purge).",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!told(&due(1, false), "purge_due").contains("report"));
        assert!(head(&due(hours(25), true)).starts_with("Something to do"));
        assert!(told(&due(hours(25), true), "purge_overdue").ends_with("set RECONCILE_POLICY=repair."));
        assert_eq!(
            head(&due(hours(25), false)),
            "Nothing to do yet: this should be complete by 2026-01-02T12:00:00.000Z."
        );
        assert!(head(&due(hours(27), false)).starts_with("Something to do"));
    }

    #[test]
    fn a_pending_approval_of_a_deletion_that_is_stored_already_needs_nobody() {
        for (stored, clerk, is_marked) in
            [(Some(live(-60)), None, true), (Some(deleted(0)), None, false), (None, None, false)]
        {
            let mut facts = facts("org_1/user_1", 60, stored, clerk);
            facts.held_by = Some(RunId::at(at(-9)));
            assert_eq!(head(&facts).starts_with("Something to do"), is_marked, "{stored:?}");
            let text = told(&facts, "held");
            assert_eq!(text.contains("`rollcall reconcile --approve 2026-01-01T09:51:00.000Z --local`"), is_marked);
            assert_eq!(text.contains("this membership needs no approval any more"), !is_marked, "{text}");
            assert_eq!(text.contains("First check in Clerk's dashboard"), is_marked, "{text}");
        }
    }

    #[test]
    fn a_membership_below_a_deleted_user_is_decided_with_the_user() {
        let below = |now: i64, writer: Writer| {
            let mut facts = member(now, Some(deleted(0)), Some(live(-60)), true);
            let Stored::Row(row) = &mut facts.row else { panic!("row") };
            // The cascade stored it later than the user's deletion.
            (row.rank, row.provenance.applied_by, row.provenance.applied_at) = (deleted(0), writer, at(10));
            let mut clerk = row.clone();
            clerk.rank = live(-60);
            facts.clerk = InClerk::Has(clerk);
            facts
        };
        let facts = below(14, Writer::Cascade);
        assert_eq!(head(&facts), "Nothing to do until 2026-01-01T10:15:00.000Z; then run this command again.");
        assert!(findings(&facts).iter().any(Finding::is_left), "the exit status is 2: a person must look again");
        // The user's deletion is settled, and the membership's is not.
        let facts = below(16, Writer::Cascade);
        assert_eq!(head(&facts), "Something to do: see the line that is marked with !");
        let text = told(&facts, "below_deleted");
        assert!(text.contains("Run `rollcall explain user_1 --local`, and decide there."), "{text}");
        assert!(text.contains("An undo of user_1 makes this membership live again, too."), "{text}");
        assert!(!text.contains("rollcall undo org_1/user_1"), "{text}");
        let text = told(&below(60, Writer::Webhook), "below_deleted");
        assert!(
            text.ends_with("After an undo of user_1, run `rollcall explain org_1/user_1 --local` again."),
            "{text}"
        );
    }

    #[test]
    fn the_exit_status_follows_the_headline() {
        let at = at(1);
        let waits = [
            Until::NextChange,
            Until::Repaired(at),
            Until::Settled(at),
            Until::Delivered(at),
            Until::Purge(at),
            Until::NextRun,
        ];
        for until in waits {
            let text = wait(until);
            let is_settled = text.starts_with("Nothing to do: ");
            assert!(is_settled || text.starts_with("Nothing to do yet: ") || text.starts_with("Nothing to do until "));
            assert_eq!(Need::Wait(until).is_left(), !is_settled, "{text}");
        }
        assert!(Need::Act.is_left() && !Need::Nothing.is_left());
        // A harmless difference does not hide what a person must look at again.
        assert!(waits[1..].iter().all(|until| *until > Until::NextChange));
    }

    #[test]
    fn an_approval_under_report_has_the_option_without_which_it_is_rejected() {
        let mut facts = facts("org_1/user_1", 60, Some(live(-60)), None);
        facts.held_by = Some(RunId::at(at(-9)));
        facts.policies.reconcile = Mode::Report;
        let text = told(&facts, "held");
        for option in ["", " --dry-run"] {
            let command = format!(
                "`rollcall reconcile --approve 2026-01-01T09:51:00.000Z{option} --override RECONCILE_POLICY=repair --local`"
            );
            assert!(text.contains(&command), "{command}: {text}");
        }
    }

    #[test]
    fn a_tombstone_names_the_parent_with_which_it_was_deleted() {
        let mut facts = member(60, Some(deleted(0)), Some(live(-60)), true);
        let Stored::Row(row) = &mut facts.row else { panic!("row") };
        (row.rank, row.provenance.applied_by) = (deleted(0), Writer::Cascade);
        let text = told(&facts, "deleted");
        assert!(text.contains("user_1 was deleted at that time, and the membership with it."), "{text}");
        assert!(text.contains("; until then the row was live."), "{text}");
    }

    #[test]
    fn a_ban_of_a_user_whom_clerk_does_not_have_is_told_without_advice() {
        let banned = |clerk: Option<Rank>| {
            let mut facts = facts("user_1", 60, Some(live(0)), clerk);
            let Stored::Row(row) = &mut facts.row else { panic!("row") };
            row.fields.insert("banned".to_owned(), true.into());
            told(&facts, "turned_away")
        };
        assert!(banned(Some(live(0))).ends_with("unban the user in Clerk."));
        assert!(banned(None).ends_with("then requests are rejected with 410 `user_deleted`."));
    }

    #[test]
    fn pending_effects_of_an_organization_name_it() {
        let mut facts = facts("org_1", 3, Some(deleted(0)), None);
        assert!(told(&facts, "effects_pending").contains("search the log of the function reconcile for `org_1`"));
        let Stored::Row(row) = &mut facts.row else { panic!("row") };
        row.fields.insert(CONSEQUENCES_AT.to_owned(), at(1).get().into());
        assert_eq!(
            told(&facts, "effects_complete"),
            "All effects of the deletion have been complete since 2026-01-01T10:01:00.000Z."
        );
        assert_eq!(head(&facts), "Nothing to do.");
    }
}
