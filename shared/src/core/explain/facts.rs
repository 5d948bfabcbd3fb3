//! What is known of one entity.

use serde::Serialize;

use super::line::Line;
use crate::core::deletion::restore::Restoration;
use crate::core::id::{EntityId, Key};
use crate::core::millis::Millis;
use crate::core::mirror::item::Item;
use crate::core::mirror::tombstone::DeletionPolicy;
use crate::core::reconcile::run::{Mode, Run};
use crate::core::reconcile::run_id::RunId;

/// What is known of one entity.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Nothing for a tombstone without Clerk's id.
    pub entity: Option<EntityId>,
    /// The key of its row.
    pub key: Key,
    pub row: Stored,
    /// For a membership: its user and its organization, with their rows.
    pub parents: Vec<Parent>,
    pub clerk: InClerk,
    /// Notes of signed events about it that could not be processed, the latest first.
    pub quarantine: Vec<Note>,
    /// The latest runs, the latest first.
    pub runs: Vec<Run>,
    /// The run that found it absent, and whose deletions are pending approval.
    pub held_by: Option<RunId>,
    /// The note of a restoration of rows of this user, under whichever tombstone.
    pub restored: Option<Restoration>,
    pub log: Log,
    pub policies: Policies,
    pub now: Millis,
}

/// The user or the organization of a membership.
#[derive(Clone, Debug, PartialEq)]
pub struct Parent {
    pub entity: EntityId,
    pub stored: Stored,
    /// Clerk is asked only if no row is stored.
    pub clerk: InClerk,
}

impl Parent {
    /// Its tombstone.
    pub fn tombstone(&self) -> Option<&Item> {
        self.stored.row().filter(|row| row.is_deleted())
    }
}

/// A row of the Directory.
#[derive(Clone, Debug, PartialEq)]
pub enum Stored {
    Nothing,
    /// A row without a valid rank or digest.
    Unreadable,
    Row(Box<Item>),
}

impl Stored {
    /// The row, if it can be read.
    pub fn row(&self) -> Option<&Item> {
        match self {
            Stored::Row(row) => Some(row),
            Stored::Nothing | Stored::Unreadable => None,
        }
    }
}

/// The entity in Clerk.
#[derive(Clone, Debug, PartialEq)]
pub enum InClerk {
    /// Clerk's state, as a row.
    Has(Box<Item>),
    /// A membership without `created_at`, which cannot be stored.
    Undated,
    Nothing,
    /// Clerk was asked and did not answer; the error.
    Silent(String),
    /// The row has no Clerk id by which to ask.
    NotAsked,
}

/// A note of a signed event that could not be processed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    pub received_at: Millis,
    pub svix_id: String,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The path at which reading failed.
    pub failed_at: String,
}

/// What was read of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// From when on, in Unix ms.
    pub since: Millis,
    /// The lines about the entity, the oldest first.
    pub lines: Vec<Line>,
    /// Whether there were more lines than are read.
    pub is_cut: bool,
    /// Requests that were rejected before they were read: they may have been about anybody.
    pub untrusted: u64,
    /// Why a log was not read.
    pub problems: Vec<String>,
}

impl Log {
    /// Whether every line since this time was read.
    pub fn is_whole_since(&self, at: Millis) -> bool {
        self.since <= at && !self.is_cut && self.problems.is_empty()
    }

    /// A log of which nothing was read.
    pub fn none(since: Millis) -> Log {
        Log { since, lines: Vec::new(), is_cut: false, untrusted: 0, problems: Vec::new() }
    }
}

/// The settings that decide what would change a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policies {
    pub deletion: DeletionPolicy,
    /// Whether runs write.
    pub reconcile: Mode,
    /// Whether live users and memberships are stored.
    pub mirror: bool,
    /// From a deletion to the removal of the data, in hours.
    pub grace_hours: u64,
}
