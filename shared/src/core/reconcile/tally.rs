//! What a run counts: what it found, what it did about it, what that has cost.

use std::ops::Add;

use serde::{Deserialize, Serialize};

use super::presence::Presence;
use crate::core::mirror::rule::Outcome;

/// What a run found and did about one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    /// Rows that were stored as Clerk shows them.
    pub unchanged: u64,
    /// Rows written that were not stored before.
    pub created: u64,
    /// Rows written over older ones.
    pub updated: u64,
    /// Tombstones written after a proof of absence.
    pub deleted: u64,
    /// Memberships deleted because their user or organization is deleted.
    pub cascade_deleted: u64,
    /// Absences that wait for an operator.
    pub pending_approval: u64,
    /// Live rows that were stored within a quarter of an hour before the run, and that Clerk's list does not show: the list
    /// may lag, or the event of the end is on its way. A later run looks again.
    pub unconfirmed: u64,
    /// What was found wrong, repaired or not.
    pub drift: Drift,
}

/// Names the kinds of drift, in the order in which they are shown, and who ends each: a run, or an operator.
macro_rules! kinds_of_drift {
    ($($(#[$meaning:meta])* $kind:ident by $who:ident,)*) => {
        /// What was found wrong, by kind of drift. A run repairs most kinds, unless it only reports.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct Drift {
            $($(#[$meaning])* pub $kind: u64,)*
        }

        impl Drift {
            /// Each kind of drift by its name.
            pub fn by_name(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($kind), self.$kind),)*]
            }

            fn ended_by(&self, who: EndedBy) -> u64 {
                let kinds = [$((EndedBy::$who, self.$kind),)*];
                kinds.into_iter().filter(|(ended_by, _)| *ended_by == who).map(|(_, count)| count).sum()
            }
        }

        impl Add for Drift {
            type Output = Drift;

            fn add(self, other: Drift) -> Drift {
                Drift { $($kind: self.$kind + other.$kind,)* }
            }
        }
    };
}

/// Who ends a difference.
#[derive(Clone, Copy, PartialEq, Eq)]
enum EndedBy {
    Run,
    Operator,
}

kinds_of_drift! {
    /// In Clerk, not in the Directory.
    missing by Run,
    /// Older in the Directory than in Clerk.
    outdated by Run,
    /// The same in the Directory as in Clerk, under a lower rank.
    behind by Run,
    /// Of the same rank in the Directory as in Clerk, and different.
    tied by Run,
    /// Live in the Directory, and confirmed to be absent from Clerk.
    absent by Run,
    /// Memberships that were live in the Directory although their user or organization was deleted.
    orphaned by Run,
    /// Deleted in the Directory, and present in Clerk.
    conflict by Operator,
    /// Newer in the Directory than in Clerk, for longer than Clerk may lag.
    ahead by Operator,
    /// An absence candidate of which Clerk gave neither a confirmation nor the entity.
    unproven by Operator,
    /// Rows of Clerk's listing, or of the Directory, that cannot be read.
    unreadable by Operator,
    /// Live rows of a kind that `MIRROR=off` keeps out.
    unmirrored by Operator,
}

impl Drift {
    /// How many differences a run ends.
    pub fn repairable(&self) -> u64 {
        self.ended_by(EndedBy::Run)
    }

    /// How many differences only an operator ends.
    pub fn for_operators(&self) -> u64 {
        self.ended_by(EndedBy::Operator)
    }

    /// Whether there are differences that only an operator ends.
    pub fn is_for_operators(&self) -> bool {
        self.for_operators() > 0
    }
}

impl Tally {
    /// Counts what was found of one row.
    pub fn count(&mut self, found: Presence) {
        *self.counter(found) += 1;
    }

    /// Takes back what was counted of a row that could not be repaired after all, and that is counted as what keeps it from
    /// that.
    pub fn take_back(&mut self, found: Presence) {
        let of = self.counter(found);
        *of = of.saturating_sub(1);
    }

    fn counter(&mut self, found: Presence) -> &mut u64 {
        match found {
            Presence::Unchanged => &mut self.unchanged,
            Presence::Missing => &mut self.drift.missing,
            Presence::Outdated => &mut self.drift.outdated,
            Presence::Behind => &mut self.drift.behind,
            Presence::Tied => &mut self.drift.tied,
            Presence::Conflict => &mut self.drift.conflict,
            Presence::Ahead => &mut self.drift.ahead,
        }
    }

    /// Counts what became of what was found.
    pub fn settle(&mut self, found: Presence, outcome: Outcome) {
        match (outcome, found) {
            (Outcome::Applied, Presence::Missing) => self.created += 1,
            (Outcome::Applied, _) => self.updated += 1,
            // Somebody was faster, or Clerk has changed its mind.
            (Outcome::Duplicate | Outcome::Superseded | Outcome::Tie | Outcome::Unproven, _) => self.unchanged += 1,
        }
    }
}

impl Add for Tally {
    type Output = Tally;

    fn add(self, other: Tally) -> Tally {
        Tally {
            unchanged: self.unchanged + other.unchanged,
            created: self.created + other.created,
            updated: self.updated + other.updated,
            deleted: self.deleted + other.deleted,
            cascade_deleted: self.cascade_deleted + other.cascade_deleted,
            pending_approval: self.pending_approval + other.pending_approval,
            unconfirmed: self.unconfirmed + other.unconfirmed,
            drift: self.drift + other.drift,
        }
    }
}

/// What should have followed from changes, as a lost stream leaves it, and how much of it a run could not do either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PendingEffects {
    /// Users and memberships without their record in Profiles.
    pub profiles: u64,
    /// Ended users and organizations whose consequences were not all done.
    pub tombstones: u64,
    /// Users whose metadata in Clerk lacks the id or the role.
    pub links: u64,
    /// Those of them about whom Clerk was asked, and who lack nothing any more.
    pub linked: u64,
    /// Those of them whom a run that writes back so many at most leaves to the next one. As long as they become fewer from run
    /// to run, that is as it should be.
    pub backlog: u64,
    /// Users whom Clerk did not have any more when their metadata were to be written.
    pub gone: u64,
    /// Users whose metadata holds another id: an operator must look.
    pub conflicts: u64,
    /// Of all this, what is left to the next run.
    pub left: u64,
    /// Deleted users whose data wait for the end of the grace period: that is as it should be.
    pub waiting: u64,
    /// Deleted users whose grace period was over, and whose data were removed.
    pub purged: u64,
}

impl PendingEffects {
    /// Whether something is left, for another run or for an operator.
    pub fn is_left(&self) -> bool {
        self.left + self.conflicts > 0
    }

    /// Whether anything should have been done before, by this run or by a better one.
    pub fn is_any(&self) -> bool {
        *self != PendingEffects { waiting: self.waiting, gone: self.gone, ..PendingEffects::default() }
    }
}

/// What a run has cost, all its invocations together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cost {
    /// Requests to Clerk, repeated ones included.
    pub clerk_calls: u64,
    /// DynamoDB read units.
    pub read_units: f64,
    /// DynamoDB write units.
    pub write_units: f64,
    /// Time at work, in ms.
    pub milliseconds: u64,
}
