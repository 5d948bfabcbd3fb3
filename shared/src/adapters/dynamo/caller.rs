//! Reads all rows and records of one caller, from two tables in one request.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::batch;
use super::error::StoreError;
use super::item;
use super::profiles::record::Record;
use super::row::{key_of, profile};
use super::stores::Stores;
use crate::core::id::{EntityId, InstanceId, Key, PerKind};
use crate::core::mirror::item::Item;
use crate::core::profile;
use crate::core::profile::{Profile, RecordId};

/// Maximum number of requests for unprocessed keys, which DynamoDB returns when it is short of capacity.
const MAX_REQUESTS: u32 = 3;

/// The stored rows and records of a caller.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stored {
    pub copies: PerKind<Option<Item>>,
    /// The record of the user in Profiles.
    pub profile: Option<Profile>,
    /// The record of the membership in Profiles.
    pub membership_profile: Option<Profile>,
}

/// A record, and the rows of its owners.
#[derive(Debug)]
pub struct OwnedRecord {
    pub copies: PerKind<Option<Item>>,
    pub record: Option<Record>,
}

impl Stores {
    /// Reads all rows and records of a caller, strongly consistent: a deletion takes effect at once.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn caller(
        &self,
        instance: &InstanceId,
        caller: &PerKind<Option<EntityId>>,
    ) -> Result<Stored, StoreError> {
        let keys = caller.as_ref().map(|entity| entity.as_ref().map(|entity| entity.key(instance)));
        let profile_key = |entity: &Option<EntityId>| match entity {
            Some(EntityId::User(user)) => Some(profile::user_key(instance, user)),
            Some(EntityId::Membership { user, organization }) => {
                Some(profile::membership_key(instance, user, organization))
            }
            Some(EntityId::Organization(_)) | None => None,
        };
        let profile_keys = (profile_key(&caller.user), profile_key(&caller.membership));
        let copies: Vec<&Key> = keys.as_ref().into_array().into_iter().flatten().collect();
        let profiles: Vec<&Key> = profile_keys.0.iter().chain(&profile_keys.1).collect();
        let mut found = self.fetch(&copies, &profiles).await?;
        let mut item = |key: Option<Key>| key.and_then(|key| found.remove(&(&*self.directory.table, key)));
        let copies = keys.map(&mut item);
        let copies = PerKind {
            user: copies.user.map(item::item).transpose()?,
            organization: copies.organization.map(item::item).transpose()?,
            membership: copies.membership.map(item::item).transpose()?,
        };
        let mut record =
            |key: Option<Key>| key.and_then(|key| found.remove(&(&*self.profiles.table, key))).map(profile);
        Ok(Stored { copies, profile: record(profile_keys.0), membership_profile: record(profile_keys.1) })
    }

    /// Reads the record of a user, or of the user's membership of an organization, with the rows of its owners, strongly
    /// consistent: one request.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn owned_record(&self, instance: &InstanceId, record: &RecordId) -> Result<OwnedRecord, StoreError> {
        let owners = record.owners(instance);
        let keys: Vec<&Key> = owners.as_ref().into_array().into_iter().flatten().collect();
        let record = record.key(instance);
        let mut found = self.fetch(&keys, &[&record]).await?;
        let mut item = |key: Option<Key>| {
            let row = key.and_then(|key| found.remove(&(&*self.directory.table, key)));
            row.map(item::item).transpose()
        };
        let PerKind { user, organization, membership } = owners;
        let copies = PerKind { user: item(user)?, organization: item(organization)?, membership: item(membership)? };
        let record = found.remove(&(&*self.profiles.table, record)).map(Record::new);
        Ok(OwnedRecord { copies, record })
    }

    async fn fetch(
        &self,
        directory: &[&Key],
        profiles: &[&Key],
    ) -> Result<HashMap<(&str, Key), HashMap<String, AttributeValue>>, StoreError> {
        let whole = batch::whole;
        let wanted = HashMap::from([
            (self.directory.table.clone(), whole(directory)?),
            (self.profiles.table.clone(), whole(profiles)?),
        ]);
        let (rows, _) = batch::get(&self.directory.client, wanted, MAX_REQUESTS).await?;
        let named = rows.into_iter().filter_map(|(table, row)| {
            let table = if table == self.directory.table { &*self.directory.table } else { &*self.profiles.table };
            Some(((table, key_of(&row)?), row))
        });
        Ok(named.collect())
    }
}
