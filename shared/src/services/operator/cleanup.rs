//! The clean-up: removes rows that a purge of a deleted user did not remove, because the application wrote them
//! afterwards or because their table was not in `OWNED_TABLES`.
//!
//! Only a proof counts: the tombstone, and for a Clerk id also Clerk's answer that this user does not exist, given by
//! the configured instance, beside a control user whom the same key finds. A list proves nothing.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, stream};

use super::patience::patient;
use super::{Operator, OperatorError};
use crate::adapters::clerk::lists::ClerkRow;
use crate::adapters::dynamo::owned::rows::{DynamoOwned, OwnedError, Place};
use crate::core::deletion::orphans::{Circumstances, Proof, Standing, owner, owner_of_partition, standing};
use crate::core::deletion::owned::IdKind;
use crate::core::deletion::purge::REDACTED_AT;
use crate::core::id::{AnyUserId, EntityId, InternalId, Key, UserId};
use crate::core::millis::Deadline;
use crate::core::mirror::item::Item;
use crate::core::mirror::tombstone::DeletionPolicy;
use crate::services::deletion::purge::{CleanUp, PurgeError, Removed, Rows};

/// Users about whom Clerk is asked before an answer about the control user confirms the key.
pub const PROVEN_TOGETHER: usize = 20;
/// Maximum number of concurrent requests to Clerk. The rate limiter decides how fast they are.
const PROOFS_AT_ONCE: usize = 4;
/// Possible control users that are tried.
const MAX_CONTROLS: usize = 5;

/// The owners of a page of a table.
#[derive(Debug, Default)]
pub struct OwnersPage {
    pub owners: BTreeMap<OwnerIds, Held>,
    /// Rows that name no user.
    pub nameless: u64,
    /// Rows in all.
    pub rows: u64,
    /// The start of the next page; nothing after the last page.
    pub next: Option<Place>,
}

/// The internal id of an owner, and the Clerk id if the rows have it.
pub type OwnerIds = (InternalId, Option<UserId>);

/// The rows of one owner in one table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    pub rows: u64,
    /// Those of them that are redacted, which only rows of Profiles are.
    pub redacted: u64,
}

/// Clerk's answer about a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// The user does not exist.
    Proven,
    /// The user exists, so nothing is removed.
    Exists,
    /// Clerk's answer proves nothing.
    Unproven,
}

/// An orphaned owner with rows.
#[derive(Clone, Debug)]
pub struct ToClean<'a> {
    pub user: InternalId,
    /// The user's Clerk id, if the proof needs Clerk.
    pub clerk: Option<UserId>,
    /// Whether the rows are only redacted.
    pub redacts: bool,
    /// The tables with rows of the user.
    pub tables: Vec<&'a DynamoOwned>,
    /// Whether rows that an operator has restored are removed, too.
    pub with_restored: bool,
    /// The run, which is part of the names of its backups.
    pub run: &'a str,
}

impl Operator {
    /// Prepares a clean-up: whether the settings and the secret key allow one, and whether the tables agree with
    /// `OWNED_TABLES`. Returns the tables that do not exist.
    ///
    /// # Errors
    ///
    /// [`PurgeError`], [`OperatorError`].
    pub async fn check_tables(&self, tables: &[DynamoOwned]) -> Result<Vec<String>, CleanupError> {
        self.check_instance().await?;
        let mut missing = Vec::new();
        for table in tables {
            match table.describe().await {
                Ok(_) => {}
                Err(OwnedError::Missing(table)) => missing.push(table),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(missing)
    }

    /// The owners of the rows of a page.
    ///
    /// # Errors
    ///
    /// [`OwnedError`].
    pub async fn owners(&self, table: &DynamoOwned, from: Option<&Place>) -> Result<OwnersPage, OwnedError> {
        let setting = table.setting();
        let attributes = BTreeSet::from([setting.key.clone(), REDACTED_AT.to_owned()]);
        let page = patient(|| table.scan(&attributes, from)).await?;
        let mut owners = OwnersPage { next: page.next, ..OwnersPage::default() };
        for row in page.rows {
            owners.rows += 1;
            let found = row.text(&setting.key).and_then(|text| {
                if table.is_by_partition() {
                    owner_of_partition(text).map(|id| (id, None))
                } else {
                    owner(setting.id, text).map(|id| match id {
                        AnyUserId::Clerk(user) => (self.applier.instance.internal_id(&user), Some(user)),
                        AnyUserId::Internal(id) => (id, None),
                    })
                }
            });
            let Some(found) = found else {
                owners.nameless += 1;
                continue;
            };
            let held = owners.owners.entry(found).or_default();
            held.rows += 1;
            held.redacted += u64::from(table.is_by_partition() && row.has(REDACTED_AT));
        }
        Ok(owners)
    }

    /// What may be done with the rows of these owners, 100 at most, and the Clerk ids of live ones.
    ///
    /// # Errors
    ///
    /// [`OperatorError`].
    pub async fn standings(
        &self,
        owners: &[OwnerIds],
        with_restored: bool,
    ) -> Result<(Vec<Standing>, Vec<UserId>), OperatorError> {
        let keys: Vec<Key> = owners.iter().map(|(user, _)| user.user_key()).collect();
        let rows = patient(|| self.stores.directory.read(&keys)).await?;
        let is_deleted = |key: &Key| rows.items.get(key).is_some_and(Item::is_deleted);
        let deleted = owners.iter().zip(&keys).filter(|(_, key)| is_deleted(key));
        let deleted: Vec<InternalId> = deleted.map(|((user, _), _)| *user).collect();
        let restored = patient(|| self.stores.operations.restorations(&deleted)).await?;
        let mut controls = Vec::new();
        let judge = |((user, named), key): (&OwnerIds, &Key)| {
            let stored = rows.items.get(key);
            if let Some(EntityId::User(user)) = stored.filter(|it| !it.is_deleted()).and_then(Item::entity)
                && controls.len() < MAX_CONTROLS
            {
                controls.push(user);
            }
            standing(Circumstances {
                stored,
                named: named.as_ref(),
                policy: self.removal_policy(),
                waits: stored.is_some_and(|stored| self.deletions.waits(stored)),
                mirror: self.mirror,
                restored: restored.get(user),
                with_restored,
            })
        };
        let standings = owners.iter().zip(&keys).map(judge).collect();
        Ok((standings, controls))
    }

    /// Without a place for backups nothing is removed.
    fn removal_policy(&self) -> DeletionPolicy {
        match self.deletions.purger {
            Some(_) => self.deletions.cascade.deletion,
            None => DeletionPolicy::Retain,
        }
    }

    /// A user whom Clerk has, to show that the secret key finds users. These are asked for first, then some of Clerk's
    /// list; nothing if there is none.
    ///
    /// # Errors
    ///
    /// [`OperatorError`].
    pub async fn control_user(&self, candidates: &[UserId]) -> Result<Option<UserId>, OperatorError> {
        for user in candidates {
            if self.exists(user).await? {
                return Ok(Some(user.clone()));
            }
        }
        let listed = self.applier.clerk.users(None, None).await?.rows;
        let listed = listed.into_iter().filter_map(|row| match row {
            ClerkRow::Read(entity) => Some(entity.id()),
            ClerkRow::Unreadable(id) => id,
        });
        for entity in listed.take(MAX_CONTROLS) {
            if let EntityId::User(user) = entity
                && self.exists(&user).await?
            {
                return Ok(Some(user));
            }
        }
        Ok(None)
    }

    async fn exists(&self, user: &UserId) -> Result<bool, OperatorError> {
        match self.applier.clerk.fetch(&EntityId::User(user.clone())).await {
            Ok(found) => Ok(found.is_some()),
            Err(error) if error.concerns_one() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Asks Clerk about each of these users, [`PROVEN_TOGETHER`] at most. An absence counts only if after it the same
    /// key finds the control user, and the key belongs to the instance.
    ///
    /// # Errors
    ///
    /// [`OperatorError`].
    pub async fn prove_absence(
        &self,
        users: Vec<UserId>,
        control: Option<&UserId>,
    ) -> Result<BTreeMap<UserId, Absence>, OperatorError> {
        let ask = |user: UserId| async move {
            let answer = self.applier.clerk.fetch(&EntityId::User(user.clone())).await;
            (user, answer)
        };
        let asked: Vec<_> = users.into_iter().map(ask).collect();
        let mut asked = stream::iter(asked).buffer_unordered(PROOFS_AT_ONCE);
        let mut absences = BTreeMap::new();
        while let Some((user, answer)) = asked.next().await {
            let absence = match answer {
                Ok(Some(_)) => Absence::Exists,
                Ok(None) => Absence::Proven,
                Err(error) if error.concerns_one() => Absence::Unproven,
                Err(error) => return Err(error.into()),
            };
            absences.insert(user, absence);
        }
        drop(asked);
        let has_control = match control {
            Some(control) => self.exists(control).await?,
            None => false,
        };
        self.applier.clerk.prove().await?;
        if !has_control {
            absences.values_mut().filter(|it| **it == Absence::Proven).for_each(|it| *it = Absence::Unproven);
        }
        Ok(absences)
    }

    /// Removes the rows of an owner whose absence was just proven, and adds to `removed` what is done, also if it fails or
    /// is interrupted. Returns false if the deletion is not proven any more; then the remaining rows stay.
    ///
    /// Each row is removed in one transaction with a check of the tombstone, and only while the row is as its backup has
    /// it: an undo, a restoration and a change of the row in between lose nothing.
    ///
    /// # Errors
    ///
    /// [`CleanupError`]: what is removed stays removed.
    pub async fn clean(&self, of: &ToClean<'_>, removed: &mut Removed) -> Result<bool, CleanupError> {
        let Some(purger) = &self.deletions.purger else { return Ok(false) };
        let key = of.user.user_key();
        let stored = patient(|| self.stores.directory.get(&key)).await.map_err(OperatorError::from)?;
        let noted = patient(|| self.stores.operations.restoration(of.user)).await.map_err(OperatorError::from)?;
        let by_clerk = |table: &&DynamoOwned| !table.is_by_partition() && table.setting().id == IdKind::Clerk;
        let about = Circumstances {
            stored: stored.as_ref(),
            named: of.clerk.as_ref().filter(|_| of.tables.iter().any(by_clerk)),
            policy: self.removal_policy(),
            waits: stored.as_ref().is_some_and(|stored| self.deletions.waits(stored)),
            mirror: self.mirror,
            restored: noted.as_ref(),
            with_restored: of.with_restored,
        };
        // An undo, a restoration, or another policy, may have been faster.
        let (Standing::Orphaned(found), Some(tombstone)) = (standing(about), &stored) else { return Ok(false) };
        let is_proven = match &found.proof {
            Proof::Tombstone => true,
            // Clerk was asked about exactly this user.
            Proof::Clerk(user) => of.clerk.as_ref() == Some(user),
            Proof::Impossible => false,
        };
        if !is_proven {
            return Ok(false);
        }
        let mut holdings = Vec::new();
        for table in of.tables.iter().filter(|table| table.is_by_partition() || !found.redacts) {
            let id = match (&of.clerk, by_clerk(table)) {
                (_, false) if table.is_by_partition() => format!("USER#{}", of.user),
                (_, false) => of.user.to_string(),
                (Some(user), true) => user.to_string(),
                (None, true) => continue,
            };
            holdings.push((*table, id));
        }
        let unless_restored = (!of.with_restored).then_some(&self.stores.operations);
        let clean_up = Some(CleanUp { run: of.run, unless_restored });
        let rows = Rows { user: of.user, holdings, redacts: found.redacts, clean_up };
        let cascade = &self.deletions.cascade;
        let is_done = purger.remove_from(rows, tombstone, cascade, Deadline::NONE, removed).await?;
        if let Some(note) = noted.filter(|_| is_done && of.with_restored) {
            let forget = || self.stores.operations.forget_this_restoration(of.user, &note);
            patient(forget).await.map_err(OperatorError::from)?;
        }
        Ok(is_done)
    }
}

/// Why a clean-up stopped. What is removed stays removed, and the clean-up can be repeated.
#[derive(Debug, thiserror::Error)]
pub enum CleanupError {
    #[error(transparent)]
    Operator(#[from] OperatorError),
    #[error(transparent)]
    Owned(#[from] OwnedError),
    #[error(transparent)]
    Purge(#[from] PurgeError),
}
