//! Creates records in the Profiles table. An existing record is not changed here: [`super::record`] does that for its owner.

use super::Profiles;
use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::{
    CancellationReason, ConditionCheck, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
};

use crate::adapters::dynamo::batch::attributes;
use crate::adapters::dynamo::error::StoreError;
use crate::adapters::dynamo::item;
use crate::adapters::dynamo::row::profile;
use crate::adapters::dynamo::transaction::{Transacted, condition_failed, transact};
use crate::core::controls::{Invariant, guards};
use crate::core::id::Key;
use crate::core::profile::Profile;

/// Maximum number of actions in one transaction. Source: AWS, API reference of `TransactWriteItems`.
const MAX_ACTIONS: usize = 100;

/// The condition on an owner under which a record is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnerState {
    /// The Directory has a live row of the owner.
    Lives,
    /// The Directory has no tombstone of the owner: under `MIRROR=off` it has no live rows.
    HasNotEnded,
}

/// The result of creating a record.
#[derive(Debug)]
pub enum Provisioned {
    /// The record is stored, by this call or by an earlier one.
    Stored {
        profile: Profile,
        /// Whether this call created it.
        created: bool,
    },
    /// An owner is deleted; contains its index among the owners.
    Ended(usize),
    /// The Directory has no row of an owner.
    Ownerless,
}

impl Profiles {
    /// Creates a record unless it exists, in a transaction that checks all of its owners: a concurrent deletion leaves
    /// no record behind.
    ///
    /// # Errors
    ///
    /// [`StoreError`], never for a deleted owner or an existing record.
    pub async fn create(&self, profile: Profile, owners: &[(Key, OwnerState)]) -> Result<Provisioned, StoreError> {
        match transact(&self.client, self.items(&profile, owners)?).await? {
            Transacted::Done { .. } => Ok(Provisioned::Stored { profile, created: true }),
            Transacted::ConditionFailed(reasons) => refusal(&reasons, owners.len()),
        }
    }

    /// Creates many records as [`Self::create`] does, in as few transactions as possible. Returns how many records it
    /// created; owners that are missing or deleted get none.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: the records that are already created stay.
    pub async fn create_all(&self, records: Vec<(Profile, Vec<(Key, OwnerState)>)>) -> Result<u64, StoreError> {
        let mut created = 0;
        let mut together: Vec<(Profile, Vec<(Key, OwnerState)>)> = Vec::new();
        for record in records {
            if actions(&together) + 1 + record.1.len() > MAX_ACTIONS {
                created += self.create_together(std::mem::take(&mut together)).await?;
            }
            together.push(record);
        }
        created += self.create_together(together).await?;
        Ok(created)
    }

    async fn create_together(&self, records: Vec<(Profile, Vec<(Key, OwnerState)>)>) -> Result<u64, StoreError> {
        if records.is_empty() {
            return Ok(0);
        }
        // An item may occur only once in a transaction.
        let mut owners = BTreeMap::<&Key, OwnerState>::new();
        for (key, owner) in records.iter().flat_map(|(_, owners)| owners) {
            let strictest = owners.entry(key).or_insert(*owner);
            *strictest = if *owner == OwnerState::Lives { OwnerState::Lives } else { *strictest };
        }
        let mut items = Vec::new();
        for (key, owner) in owners {
            items.push(self.check(key, owner)?);
        }
        for (profile, _) in &records {
            items.push(self.put(profile)?);
        }
        if let Transacted::Done { .. } = transact(&self.client, items).await? {
            return Ok(u64::try_from(records.len()).unwrap_or(u64::MAX));
        }
        // One of them makes the whole transaction fail, so each is created separately.
        let mut created = 0;
        for (profile, owners) in records {
            let one = self.create(profile, &owners).await?;
            created += u64::from(matches!(one, Provisioned::Stored { created: true, .. }));
        }
        Ok(created)
    }

    fn items(&self, profile: &Profile, owners: &[(Key, OwnerState)]) -> Result<Vec<TransactWriteItem>, StoreError> {
        let checks = owners.iter().map(|(key, owner)| self.check(key, *owner));
        let mut items = checks.collect::<Result<Vec<_>, StoreError>>()?;
        items.push(self.put(profile)?);
        Ok(items)
    }

    pub(super) fn check(&self, key: &Key, owner: OwnerState) -> Result<TransactWriteItem, StoreError> {
        let condition = match owner {
            OwnerState::Lives => "attribute_exists(pk) AND attribute_not_exists(deleted_at)",
            OwnerState::HasNotEnded => "attribute_not_exists(deleted_at)",
        };
        let check = ConditionCheck::builder()
            .table_name(&self.directory)
            .set_key(Some(attributes(key)))
            .condition_expression(condition)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let check = check.build().map_err(|error| StoreError::Unreadable(error.into()))?;
        Ok(TransactWriteItem::builder().condition_check(check).build())
    }

    fn put(&self, profile: &Profile) -> Result<TransactWriteItem, StoreError> {
        let attributes = serde_dynamo::to_item(&profile.0).map_err(|error| StoreError::Unreadable(error.into()))?;
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(attributes))
            .set_condition_expression(guards(Invariant::I6).then(|| "attribute_not_exists(pk)".to_owned()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let put = put.build().map_err(|error| StoreError::Unreadable(error.into()))?;
        Ok(TransactWriteItem::builder().put(put).build())
    }
}

/// The number of actions that these records need in one transaction.
fn actions(records: &[(Profile, Vec<(Key, OwnerState)>)]) -> usize {
    let owners: BTreeSet<&Key> = records.iter().flat_map(|(_, owners)| owners).map(|(key, _)| key).collect();
    records.len() + owners.len()
}

/// The reasons are in the order of the transaction's items: the owners, then the record.
fn refusal(reasons: &[CancellationReason], owners: usize) -> Result<Provisioned, StoreError> {
    let (of_owners, of_record) = reasons.split_at(owners.min(reasons.len()));
    if let Some(at) = of_owners.iter().position(condition_failed) {
        let item = of_owners[at].item().filter(|item| !item.is_empty());
        let item = item.map(|item| item::item(item.clone())).transpose()?;
        let has_ended = item.is_some_and(|item| item.is_deleted());
        return Ok(if has_ended { Provisioned::Ended(at) } else { Provisioned::Ownerless });
    }
    let stored = of_record.iter().filter(|reason| condition_failed(reason)).find_map(CancellationReason::item);
    Ok(Provisioned::Stored { profile: profile(stored.cloned().unwrap_or_default()), created: false })
}
