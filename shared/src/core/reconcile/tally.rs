//! The counts of a run: what it found, what it did, and what that cost.

use std::ops::Add;

use serde::{Deserialize, Serialize};

use super::presence::Presence;
use crate::core::mirror::rule::Outcome;

/// What a run found and did for one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    /// Rows that agree with Clerk.
    pub unchanged: u64,
    /// Rows that were created.
    pub created: u64,
    /// Rows that replaced older ones.
    pub updated: u64,
    /// Tombstones that were written after a confirmed absence.
    pub deleted: u64,
    /// Memberships deleted because their user or organization is deleted.
    pub cascade_deleted: u64,
    /// Deletions that are pending approval.
    pub pending_approval: u64,
    /// Live rows that were stored less than 15 minutes before the run, and that Clerk's list does not contain: the list
    /// may lag, or the deletion event is still being delivered. A later run checks them again.
    pub unconfirmed: u64,
    /// The differences, repaired or not.
    pub drift: Drift,
}

/// Defines the kinds of drift in the order of the report, and who resolves each: a run, or an operator.
macro_rules! kinds_of_drift {
    ($($(#[$meaning:meta])* $kind:ident by $who:ident,)*) => {
        /// The differences by kind of drift. A run repairs most kinds, unless it only reports.
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

/// Who resolves a difference.
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
    /// The number of differences that a run repairs.
    pub fn repairable(&self) -> u64 {
        self.ended_by(EndedBy::Run)
    }

    /// The number of differences that only an operator can resolve.
    pub fn for_operators(&self) -> u64 {
        self.ended_by(EndedBy::Operator)
    }

    /// Whether there are differences that only an operator can resolve.
    pub fn is_for_operators(&self) -> bool {
        self.for_operators() > 0
    }
}

impl Tally {
    /// Counts the result for one row.
    pub fn count(&mut self, found: Presence) {
        *self.counter(found) += 1;
    }

    /// Removes the count of a row that could not be repaired after all; the reason is counted instead.
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

    /// Counts the outcome of a repair.
    pub fn settle(&mut self, found: Presence, outcome: Outcome) {
        match (outcome, found) {
            (Outcome::Applied, Presence::Missing) => self.created += 1,
            (Outcome::Applied, _) => self.updated += 1,
            // Another writer was faster, or Clerk's state has changed.
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

/// The pending effects, such as after a failure of the stream, and how many of them the run could not complete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PendingEffects {
    /// Users and memberships without their record in Profiles.
    pub profiles: u64,
    /// Deleted users and organizations whose effects are not complete.
    pub tombstones: u64,
    /// Users whose metadata in Clerk lacks the id or the role.
    pub links: u64,
    /// Those of them about whom Clerk was asked, and who lack nothing any more.
    pub linked: u64,
    /// Those of them that a run with a limit leaves to the next one. That is normal as long as the number decreases
    /// from run to run.
    pub backlog: u64,
    /// Users whom Clerk did not have any more when their metadata should be written.
    pub gone: u64,
    /// Users whose metadata contains another internal id: an operator must check them.
    pub conflicts: u64,
    /// The number of these effects that the run did not complete.
    pub left: u64,
    /// Deleted users within the grace period: that is normal.
    pub waiting: u64,
    /// Deleted users whose grace period was over, and who were purged.
    pub purged: u64,
}

impl PendingEffects {
    /// Whether effects remain, for another run or for an operator.
    pub fn is_left(&self) -> bool {
        self.left + self.conflicts > 0
    }

    /// Whether there were effects that should have been complete before this run.
    pub fn is_any(&self) -> bool {
        *self != PendingEffects { waiting: self.waiting, gone: self.gone, ..PendingEffects::default() }
    }
}

/// The cost of a run, for all its invocations together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cost {
    /// Requests to Clerk, with repeats.
    pub clerk_calls: u64,
    /// DynamoDB read units.
    pub read_units: f64,
    /// DynamoDB write units.
    pub write_units: f64,
    /// Working time, in ms.
    pub milliseconds: u64,
}
