//! The application's records of users and memberships that have come: created once, with defaults, and never touched again.

use crate::adapters::dynamo::error::StoreError;
use crate::adapters::dynamo::profiles::Profiles;
use crate::adapters::dynamo::profiles::write::OwnerState;
use crate::core::id::{EntityId, InstanceId, Key};
use crate::core::millis::Clock;
use crate::core::mirror::item::Item;
use crate::core::profile;
use crate::core::profile::{Defaults, Profile};

pub struct Provision {
    /// Where the records are.
    pub profiles: Profiles,
    /// Whose copy this is.
    pub instance: InstanceId,
    /// What new records hold.
    pub defaults: Defaults,
    /// What time it is.
    pub clock: Clock,
}

impl Provision {
    /// Where the record of an item is; nothing for an organization, a tombstone, and an item that says of nobody.
    pub fn key(&self, item: &Item) -> Option<Key> {
        match item.entity().filter(|_| !item.is_deleted())? {
            EntityId::User(user) => Some(profile::user_key(&self.instance, &user)),
            EntityId::Organization(_) => None,
            EntityId::Membership { user, organization } => {
                Some(profile::membership_key(&self.instance, &user, &organization))
            }
        }
    }

    /// Creates the records of items that have none. Answers how many it created: whoever has ended meanwhile gets none.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: what was created until then stays.
    pub async fn create(&self, items: impl IntoIterator<Item = &Item>) -> Result<u64, StoreError> {
        self.profiles.create_all(items.into_iter().filter_map(|item| self.record(item)).collect()).await
    }

    fn record(&self, item: &Item) -> Option<(Profile, Vec<(Key, OwnerState)>)> {
        let now = (self.clock)();
        let entity = item.entity().filter(|_| !item.is_deleted())?;
        // Of a membership's user and organization only the end is asked about: their own events may be on the way.
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
