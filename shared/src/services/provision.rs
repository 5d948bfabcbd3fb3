//! Provisioning: creates the records of new users and memberships, once, with default values.

use std::collections::{BTreeMap, BTreeSet};

use crate::adapters::dynamo::directory::Directory;
use crate::adapters::dynamo::error::StoreError;
use crate::adapters::dynamo::profiles::Profiles;
use crate::adapters::dynamo::profiles::write::OwnerState;
use crate::core::id::{EntityId, InstanceId, Key};
use crate::core::millis::Clock;
use crate::core::mirror::item::Item;
use crate::core::profile;
use crate::core::profile::{Defaults, Profile};

pub struct Provision {
    /// The Profiles table.
    pub profiles: Profiles,
    /// The configured instance.
    pub instance: InstanceId,
    /// The default attributes of new records.
    pub defaults: Defaults,
    /// The clock.
    pub clock: Clock,
}

impl Provision {
    /// The key of the record for a row; nothing for an organization, a tombstone, and a row without an entity.
    pub fn key(&self, item: &Item) -> Option<Key> {
        match item.entity().filter(|_| !item.is_deleted())? {
            EntityId::User(user) => Some(profile::user_key(&self.instance, &user)),
            EntityId::Organization(_) => None,
            EntityId::Membership { user, organization } => {
                Some(profile::membership_key(&self.instance, &user, &organization))
            }
        }
    }

    /// Creates the missing records of these rows. Returns how many it created: deleted owners get none.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: created records stay.
    pub async fn create(&self, items: impl IntoIterator<Item = &Item>) -> Result<u64, StoreError> {
        self.profiles.create_all(items.into_iter().filter_map(|item| self.record(item)).collect()).await
    }

    /// The rows without a record, and the used read units; `consistent` for twice the price. An inconsistent answer may
    /// also name rows whose record is new.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn missing<'a>(&self, live: &[&'a Item], consistent: bool) -> Result<(Vec<&'a Item>, f64), StoreError> {
        let wanted: BTreeMap<Key, &Item> = live.iter().filter_map(|item| Some((self.key(item)?, *item))).collect();
        let found = self.profiles.existing(&wanted.keys().cloned().collect::<Vec<_>>(), consistent).await?;
        let missing = wanted.into_iter().filter(|(key, _)| !found.keys.contains(key)).map(|(_, item)| item);
        Ok((missing.collect(), found.units))
    }

    /// Those of these rows that would get a record, and the used read units: memberships whose user or organization is
    /// deleted get none.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn owed<'a>(
        &self,
        missing: Vec<&'a Item>,
        directory: &Directory,
    ) -> Result<(Vec<&'a Item>, f64), StoreError> {
        let parents = |item: &Item| -> Vec<Key> {
            let parents = item.entity().map(|entity| entity.parents()).unwrap_or_default();
            parents.iter().map(|parent| parent.key(&self.instance)).collect()
        };
        let of_all: BTreeSet<Key> = missing.iter().flat_map(|item| parents(item)).collect();
        let found = directory.compare(&of_all.into_iter().collect::<Vec<_>>()).await?;
        let has_ended = |key: &Key| found.items.get(key).is_some_and(Item::is_deleted);
        let owed = missing.into_iter().filter(|item| !parents(item).iter().any(has_ended));
        Ok((owed.collect(), found.units))
    }

    fn record(&self, item: &Item) -> Option<(Profile, Vec<(Key, OwnerState)>)> {
        let now = (self.clock)();
        let entity = item.entity().filter(|_| !item.is_deleted())?;
        // The user and the organization of a membership need not be stored yet, only not deleted: their own events may
        // still arrive.
        let parents = entity.parents();
        let parents = parents.iter().map(|parent| (parent.key(&self.instance), OwnerState::HasNotEnded));
        let owners = std::iter::once((item.key.clone(), OwnerState::Lives)).chain(parents).collect();
        let record = match &entity {
            EntityId::User(user) => Profile::of_user(&self.instance, user, &self.defaults, now),
            EntityId::Organization(_) => return None,
            EntityId::Membership { user, organization } => {
                Profile::of_membership(&self.instance, user, organization, &self.defaults, now)
            }
        };
        Some((record, owners))
    }
}
