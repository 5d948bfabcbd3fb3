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
    /// Memberships ended because their user or organization has.
    pub ended: u64,
    /// Absences that wait for an operator.
    pub held: u64,
    /// Live rows that were stored within a quarter of an hour before the run, and that Clerk's list does not show: the list
    /// may lag, or the event of the end is on its way. A later run looks again.
    pub unconfirmed: u64,
    /// What was found wrong, repaired or not.
    pub drift: Drift,
}

/// What was found wrong, by kind of drift. All but the last five is repaired, unless the run only reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Drift {
    /// In Clerk, not here.
    pub missing: u64,
    /// Older here than in Clerk.
    pub outdated: u64,
    /// The same here as in Clerk, under a lower rank.
    pub behind: u64,
    /// Of the same rank here as in Clerk, and different.
    pub tied: u64,
    /// Here, and proven to be in Clerk no more.
    pub absent: u64,
    /// Memberships that lived here although their user or organization had ended.
    pub orphaned: u64,
    /// Ended here, alive in Clerk: an operator must look.
    pub conflict: u64,
    /// Newer here than in Clerk, for longer than Clerk may lag: an operator must look.
    pub ahead: u64,
    /// In doubt, and Clerk gave neither proof nor the entity.
    pub unproven: u64,
    /// Rows of Clerk's listing, or of the Directory, that could not be read.
    pub unreadable: u64,
    /// Live rows of a kind that `MIRROR=off` keeps out.
    pub unmirrored: u64,
}

impl Drift {
    /// Each kind of drift by its name, in the order in which they are shown.
    pub fn by_name(&self) -> [(&'static str, u64); 11] {
        [
            ("missing", self.missing),
            ("outdated", self.outdated),
            ("behind", self.behind),
            ("tied", self.tied),
            ("absent", self.absent),
            ("orphaned", self.orphaned),
            ("conflict", self.conflict),
            ("ahead", self.ahead),
            ("unproven", self.unproven),
            ("unreadable", self.unreadable),
            ("unmirrored", self.unmirrored),
        ]
    }

    /// What no run repairs.
    pub fn is_for_operators(&self) -> bool {
        self.for_operators() > 0
    }

    /// How many those are.
    pub fn for_operators(&self) -> u64 {
        self.conflict + self.ahead + self.unmirrored + self.unreadable + self.unproven
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
            ended: self.ended + other.ended,
            held: self.held + other.held,
            unconfirmed: self.unconfirmed + other.unconfirmed,
            drift: self.drift + other.drift,
        }
    }
}

impl Add for Drift {
    type Output = Drift;

    fn add(self, other: Drift) -> Drift {
        Drift {
            missing: self.missing + other.missing,
            outdated: self.outdated + other.outdated,
            behind: self.behind + other.behind,
            tied: self.tied + other.tied,
            absent: self.absent + other.absent,
            orphaned: self.orphaned + other.orphaned,
            conflict: self.conflict + other.conflict,
            ahead: self.ahead + other.ahead,
            unproven: self.unproven + other.unproven,
            unreadable: self.unreadable + other.unreadable,
            unmirrored: self.unmirrored + other.unmirrored,
        }
    }
}

/// What should have followed from changes, as a lost stream leaves it, and how much of it a run could not do either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Undone {
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
    /// Deleted users whose data wait for the end of the hold: that is as it should be.
    pub waiting: u64,
    /// Deleted users whose hold was over, and whose data were removed.
    pub purged: u64,
}

impl Undone {
    /// Whether something is left, for another run or for an operator.
    pub fn is_left(&self) -> bool {
        self.left + self.conflicts > 0
    }

    /// Whether anything should have been done before, by this run or by a better one.
    pub fn is_any(&self) -> bool {
        *self != Undone { waiting: self.waiting, gone: self.gone, ..Undone::default() }
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
