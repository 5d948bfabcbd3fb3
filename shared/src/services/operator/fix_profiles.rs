//! Creates the missing records of live users and memberships, by the same code as react and reconcile. An existing
//! record is never changed, so it can be interrupted and repeated.

use serde::Serialize;

use super::patience::patient;
use super::{Operator, OperatorError};
use crate::core::id::{Key, Kind, PerKind};
use crate::core::mirror::item::Item;

/// The result for the rows of one page of the Directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordsPage {
    /// Rows of the Directory.
    pub rows: u64,
    /// Rows that cannot be read, so that a missing record is not found.
    pub unreadable: u64,
    /// Rows whose record was missing.
    pub missing: PerKind<u64>,
    /// Records that were created.
    pub created: u64,
    /// The start of the next page; nothing after the last page.
    pub next: Option<Key>,
}

/// The sums over all pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Records {
    /// Rows of the Directory that were read.
    pub rows: u64,
    /// Rows that cannot be read, so that a missing record is not found.
    pub unreadable: u64,
    /// Live users without a record.
    pub users: u64,
    /// Live memberships without a record.
    pub memberships: u64,
    /// Records that were created.
    pub created: u64,
}

impl Records {
    /// Adds a page.
    pub fn add(&mut self, page: &RecordsPage) {
        self.rows += page.rows;
        self.unreadable += page.unreadable;
        self.users += page.missing.user;
        self.memberships += page.missing.membership;
        self.created += page.created;
    }

    /// The records that are or were missing.
    pub fn missing(&self) -> u64 {
        self.users + self.memberships
    }
}

impl Operator {
    /// Finds the missing records for a page of the Directory, and creates them if `creates`.
    ///
    /// # Errors
    ///
    /// [`OperatorError`]: created records stay.
    pub async fn fix_records(&self, from: Option<&Key>, creates: bool) -> Result<RecordsPage, OperatorError> {
        let page = patient(|| self.stores.directory.scan_presence(from)).await?;
        let live: Vec<&Item> = page.items.values().filter(|item| !item.is_deleted()).collect();
        // A record may be newer than what an inconsistent read shows.
        let mut missing = live;
        for consistent in [false, true] {
            missing = patient(|| self.provision.missing(&missing, consistent)).await?.0;
        }
        let (owed, _) = patient(|| self.provision.owed(missing.clone(), &self.stores.directory)).await?;
        let mut counts = PerKind::<u64>::default();
        for item in &owed {
            if let Some(kind) = Kind::from_key(&item.key) {
                *counts.get_mut(kind) += 1;
            }
        }
        let created = if creates { patient(|| self.provision.create(owed.iter().copied())).await? } else { 0 };
        let count = |rows: usize| u64::try_from(rows).unwrap_or(u64::MAX);
        let (rows, unreadable) = (count(page.items.len()), count(page.unreadable.len()));
        Ok(RecordsPage { rows: rows + unreadable, unreadable, missing: counts, created, next: page.next })
    }
}
