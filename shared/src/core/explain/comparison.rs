//! Compares the row with Clerk, and decides what repairs a difference.

use std::collections::BTreeMap;

use serde_json::Value;

use super::facts::{Facts, InClerk, Policies};
use super::finding::{Finding, Now};
use super::line::Line;
use super::reason::Reason;
use super::repair::later;
use crate::core::deletion::orphans::effective;
use crate::core::deletion::purge::due_at;
use crate::core::deletion::restore::Restoration;
use crate::core::id::Kind;
use crate::core::millis::Millis;
use crate::core::mirror::decide::AHEAD_AFTER;
use crate::core::mirror::item::{Item, Writer};
use crate::core::mirror::tombstone::DeletionPolicy;
use crate::core::reconcile::presence::{Presence, SETTLED_AFTER, is_settled, presence};
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
                    is_uncopied: !facts.policies.mirror && Kind::from_key(&facts.key) == Some(Kind::User),
                    alive_at: alive_at(facts),
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
        Presence::Conflict | Presence::Unchanged if stored.is_deleted() && has_deleted_parent(facts) => {
            below_deleted(facts, stored)
        }
        Presence::Conflict => Finding::Conflict {
            deleted_at: was,
            is_purged: is_purged(facts, stored),
            removal_at: removal_at(facts, stored).filter(|at| *at > facts.now && !is_purged(facts, stored)),
            changed_at: (version > was).then_some(version),
        },
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

/// When a function last met a user alive who has no row, if the deletion event may still be on its way: it had Clerk's
/// answer about the user.
fn alive_at(facts: &Facts) -> Option<Millis> {
    let is_user = Kind::from_key(&facts.key) == Some(Kind::User);
    let is_alive = |line: &&Line| {
        let is_admitted = matches!(line.outcome.as_deref(), Some("complete" | "created")) && line.reason.is_none();
        let is_refused = matches!(line.reason, Some(Reason::UserBanned | Reason::UserDeprovisioned));
        line.function == "ensure-profile" && (is_admitted || is_refused)
    };
    let met = facts.log.lines.iter().filter(|_| is_user && !facts.policies.mirror).filter(is_alive);
    met.map(|line| line.at).max().filter(|at| later(*at, SETTLED_AFTER) > facts.now)
}

fn has_deleted_parent(facts: &Facts) -> bool {
    facts.parents.iter().any(|parent| parent.tombstone().is_some())
}

/// A deleted membership that Clerk has, below a deleted parent, which Clerk then has, too.
fn below_deleted(facts: &Facts, row: &Item) -> Finding {
    let tombstones = || facts.parents.iter().filter_map(|parent| Some((&parent.entity, parent.tombstone()?)));
    let lagging = tombstones().filter(|(_, parent)| !is_settled(parent, facts.now));
    Finding::BelowDeleted {
        deleted_at: row.rank.version,
        parents: tombstones().map(|(entity, _)| entity.to_string()).collect(),
        comes_back: row.provenance.applied_by == Writer::Cascade || row.is_finished(),
        until: lagging.map(|(_, parent)| later(parent.provenance.applied_at, SETTLED_AFTER)).max(),
    }
}

/// When the data of a deleted user are removed; nothing if they are not.
fn removal_at(facts: &Facts, row: &Item) -> Option<Millis> {
    let Policies { deletion, reconcile, grace_hours, .. } = facts.policies;
    let is_removed = deletion != DeletionPolicy::Retain && reconcile == Mode::Repair;
    let is_user = Kind::from_key(&row.key) == Some(Kind::User);
    // The purge keeps restored rows.
    (is_user && is_removed && restoration(facts).is_none()).then(|| due_at(row, grace_hours))
}

/// The note of a restoration of rows that stay until an operator decides. Rows that a deletion policy keeps need nobody.
pub(super) fn restoration(facts: &Facts) -> Option<&Restoration> {
    let row = facts.row.row()?;
    let is_kept = effective(facts.policies.deletion, row) == DeletionPolicy::Retain;
    facts.restored.as_ref().filter(|note| !is_kept && note.is_under(row))
}

/// Whether data of a deleted user were removed, or are being removed, and are not restored.
fn is_purged(facts: &Facts, row: &Item) -> bool {
    let is_kept = facts.policies.deletion == DeletionPolicy::Retain;
    Kind::from_key(&row.key) == Some(Kind::User)
        && !is_kept
        && (row.is_finished() || row.is_purging())
        && restoration(facts).is_none()
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::core::explain::findings::findings;
    use crate::core::explain::need::headline;
    use crate::core::explain::samples::{at, deleted, facts, line, live, names, told};

    fn head(facts: &Facts) -> String {
        headline(&findings(facts))
    }

    #[test]
    fn a_conflict_says_until_when_and_what_speaks_for_an_undo() {
        let conflict = |clerk: i64| told(&facts("user_1", 60, Some(deleted(0)), Some(live(clerk))), "conflict");
        let text = conflict(-60);
        assert!(text.contains("an operator must decide before 2026-01-02T10:00:00.000Z, when the removal"), "{text}");
        assert!(!text.contains("suggests"), "{text}");
        assert!(conflict(5).contains("at 2026-01-01T10:05:00.000Z, which suggests that the deletion was wrong."));
        let mut retained = facts("user_1", 60, Some(deleted(0)), Some(live(-60)));
        retained.policies.deletion = DeletionPolicy::Retain;
        assert!(told(&retained, "conflict").contains("an operator must decide. If"), "no data are removed");
    }

    #[test]
    fn a_user_who_was_alive_a_moment_ago_may_have_a_deletion_on_its_way() {
        let met = |now: i64, outcome: &str| {
            let mut facts = facts("user_1", now, None, None);
            facts.policies.mirror = false;
            facts.log.lines = vec![line(0, json!({ "target": "ensure_profile", "outcome": outcome }))];
            facts
        };
        for alive in ["user_banned", "complete"] {
            let facts = met(14, alive);
            assert_eq!(head(&facts), "Nothing to do until 2026-01-01T10:15:00.000Z; then run this command again.");
            assert!(findings(&facts).iter().any(Finding::is_left), "the exit status is 2: a person must look again");
        }
        for (now, outcome) in [(15, "user_banned"), (14, "user_not_found")] {
            assert_eq!(head(&met(now, outcome)), "Nothing to do.", "{now} {outcome}");
            let text = told(&met(now, outcome), "never_known");
            assert!(text.contains("no run removes them; `rollcall erase user_1 --local` removes them"), "{text}");
        }
    }

    #[test]
    fn a_time_that_is_behind_is_harmless() {
        let mut facts = facts("user_1", 60, Some(live(0)), Some(live(30)));
        let InClerk::Has(clerk) = &mut facts.clerk else { panic!("has") };
        clerk.digest = facts.row.row().unwrap().digest.clone();
        assert_eq!(names(&facts)[1..], ["behind", "nothing_refused"]);
        assert!(told(&facts, "behind").contains("or the next run of reconcile, corrects"));
        for mode in [Mode::Repair, Mode::Report] {
            facts.policies.reconcile = mode;
            assert_eq!(head(&facts), "Nothing to do: a time differs, which is harmless.");
            assert!(!findings(&facts).iter().any(Finding::is_left), "nobody must look again");
        }
        assert!(!told(&facts, "behind").contains("reconcile"));
    }

    #[test]
    fn a_deletion_that_clerk_does_not_show_yet_is_settled_at_a_time() {
        let mut facts = facts("user_1", 1, Some(deleted(0)), Some(live(-60)));
        let settled = "Nothing to do until 2026-01-01T10:15:00.000Z; then run this command again.";
        assert_eq!(head(&facts), settled);
        assert!(findings(&facts).iter().any(Finding::is_left), "the exit status is 2: a person must look again");
        let text = told(&facts, "just_deleted");
        assert!(text.contains("before 2026-01-02T10:00:00.000Z, when the removal of the user's data begins"), "{text}");
        assert_eq!(text.matches("rollcall undo").count(), 1, "{text}");
        facts.now = at(16);
        assert!(head(&facts).starts_with("Something to do"));
    }
}
