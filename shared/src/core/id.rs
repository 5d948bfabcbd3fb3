//! Clerk's ids, the internal id of a user, and the Directory's key of an entity.

use std::fmt;

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;
use thiserror::Error;
use uuid::Uuid;

/// A string that is not a valid id of Clerk.
#[derive(Debug, Error)]
#[error("an id must have 1 to 255 letters, digits, '_' or '-'")]
pub struct InvalidId;

/// Ids become parts of keys, URLs and log lines, so their alphabet is limited: no `#`, `/`, space or control character.
fn is_id(text: &str) -> bool {
    (1..=255).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(value_type = String))]
        pub struct $name(String);

        impl $name {
            /// The id as Clerk writes it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                if is_id(&text) { Ok(Self(text)) } else { Err(InvalidId) }
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                text.to_owned().try_into()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }
    };
}

id!(
    /// Clerk's id of a user, such as `user_…`.
    UserId
);
id!(
    /// Clerk's id of an organization, such as `org_…`.
    OrganizationId
);
id!(
    /// Clerk's id of one membership, such as `orgmem_…`; a user who joins again gets another one.
    MembershipId
);
id!(
    /// Clerk's id of an instance (one application in one environment), such as `ins_…`.
    InstanceId
);
id!(
    /// The `svix-id` of a message: the same for all retries and replays.
    DeliveryId
);

impl InstanceId {
    /// The internal id of a user, computed from Clerk's id: creating a user twice writes the same row, and a look-up by
    /// either id is a `GetItem`.
    pub fn internal_id(&self, user: &UserId) -> InternalId {
        let namespace = Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("clerk:{self}").as_bytes());
        InternalId(Uuid::new_v5(&namespace, user.as_str().as_bytes()))
    }
}

/// The internal id of a user (UUIDv5). A pseudonym: it can be computed from the instance and the Clerk id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(value_type = String, format = "uuid"))]
pub struct InternalId(Uuid);

impl std::str::FromStr for InternalId {
    type Err = InvalidId;

    /// Only in the form that Rollcall writes: hyphens, lower case.
    fn from_str(text: &str) -> Result<InternalId, InvalidId> {
        let id = Uuid::parse_str(text).map_err(|_| InvalidId)?;
        if id.to_string() == text { Ok(InternalId(id)) } else { Err(InvalidId) }
    }
}

impl fmt::Display for InternalId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// The kinds of entities. Each may depend on the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, IntoStaticStr, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase", const_into_str)]
pub enum Kind {
    User,
    Organization,
    /// Memberships, each of a user in an organization.
    Membership,
}

impl Kind {
    pub const ALL: [Kind; 3] = [Kind::User, Kind::Organization, Kind::Membership];

    /// The name of the kind, in logs, events and digests.
    pub const fn name(self) -> &'static str {
        self.into_str()
    }

    /// The kind of the row with this key in the Directory; nothing for a key that Rollcall does not make.
    pub fn from_key(key: &Key) -> Option<Kind> {
        match (key.pk.split_once('#')?.0, key.sk.as_str()) {
            ("USER", "USER") => Some(Kind::User),
            ("ORG", "ORG") => Some(Kind::Organization),
            ("USER", sk) if sk.starts_with("ORG#") => Some(Kind::Membership),
            _ => None,
        }
    }
}

/// One entity of Clerk, by its ids in Clerk and in the Directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntityId {
    User(UserId),
    Organization(OrganizationId),
    /// The membership of a user in an organization, whatever its generation.
    Membership {
        user: UserId,
        organization: OrganizationId,
    },
}

/// Either id of a user, as callers of the API name one: Clerk's, or the application's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnyUserId {
    Clerk(UserId),
    Internal(InternalId),
}

impl std::str::FromStr for AnyUserId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<AnyUserId, InvalidId> {
        if text.starts_with("user_") {
            text.parse().map(AnyUserId::Clerk)
        } else {
            text.parse().map(AnyUserId::Internal)
        }
    }
}

impl AnyUserId {
    /// The application's own id.
    pub fn internal(&self, instance: &InstanceId) -> InternalId {
        match self {
            AnyUserId::Clerk(user) => instance.internal_id(user),
            AnyUserId::Internal(id) => *id,
        }
    }
}

impl InternalId {
    /// Where the Directory keeps the user.
    pub fn user_key(self) -> Key {
        Key { pk: format!("USER#{self}"), sk: "USER".to_owned() }
    }

    /// Where the Directory keeps the membership of the user in an organization.
    pub fn membership_key(self, organization: &OrganizationId) -> Key {
        Key { pk: format!("USER#{self}"), sk: format!("ORG#{organization}") }
    }
}

impl EntityId {
    /// The kind of the entity.
    pub fn kind(&self) -> Kind {
        match self {
            EntityId::User(_) => Kind::User,
            EntityId::Organization(_) => Kind::Organization,
            EntityId::Membership { .. } => Kind::Membership,
        }
    }

    /// The entities without which it cannot exist: the user and the organization of a membership.
    pub fn parents(&self) -> Vec<EntityId> {
        match self {
            EntityId::User(_) | EntityId::Organization(_) => Vec::new(),
            EntityId::Membership { user, organization } => {
                vec![EntityId::User(user.clone()), EntityId::Organization(organization.clone())]
            }
        }
    }

    /// The key of this entity in the Directory.
    pub fn key(&self, instance: &InstanceId) -> Key {
        match self {
            EntityId::User(user) => Key { pk: user_pk(instance, user), sk: "USER".to_owned() },
            EntityId::Organization(organization) => Key { pk: format!("ORG#{organization}"), sk: "ORG".to_owned() },
            EntityId::Membership { user, organization } => {
                Key { pk: user_pk(instance, user), sk: format!("ORG#{organization}") }
            }
        }
    }
}

impl fmt::Display for EntityId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EntityId::User(user) => user.fmt(out),
            EntityId::Organization(organization) => organization.fmt(out),
            EntityId::Membership { user, organization } => write!(out, "{organization}/{user}"),
        }
    }
}

/// One value for each kind of entity; for a caller: for the user, the active organization and the membership in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PerKind<T> {
    /// For users, or the user.
    pub user: T,
    /// For organizations, or the active one.
    pub organization: T,
    /// For memberships, or the user's in that organization.
    pub membership: T,
}

impl<T> PerKind<T> {
    /// The value for a kind.
    pub fn get(&self, kind: Kind) -> &T {
        match kind {
            Kind::User => &self.user,
            Kind::Organization => &self.organization,
            Kind::Membership => &self.membership,
        }
    }

    /// The value for a kind, mutable.
    pub fn get_mut(&mut self, kind: Kind) -> &mut T {
        match kind {
            Kind::User => &mut self.user,
            Kind::Organization => &mut self.organization,
            Kind::Membership => &mut self.membership,
        }
    }

    /// The same three values, borrowed.
    pub fn as_ref(&self) -> PerKind<&T> {
        PerKind { user: &self.user, organization: &self.organization, membership: &self.membership }
    }

    /// The three values, each converted.
    pub fn map<U>(self, mut change: impl FnMut(T) -> U) -> PerKind<U> {
        PerKind {
            user: change(self.user),
            organization: change(self.organization),
            membership: change(self.membership),
        }
    }

    /// Pairs of the values of two.
    pub fn zip<U>(self, other: PerKind<U>) -> PerKind<(T, U)> {
        PerKind {
            user: (self.user, other.user),
            organization: (self.organization, other.organization),
            membership: (self.membership, other.membership),
        }
    }

    /// The three values in order.
    pub fn into_array(self) -> [T; 3] {
        [self.user, self.organization, self.membership]
    }
}

/// The partition key of a user and of all rows of the user.
pub fn user_pk(instance: &InstanceId, user: &UserId) -> String {
    format!("USER#{}", instance.internal_id(user))
}

/// The primary key of an item.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    pub pk: String,
    pub sk: String,
}

impl Key {
    /// The key, if Rollcall makes keys of this form: only such keys may be logged, because any other may be an e-mail
    /// address.
    pub fn made_here(&self) -> Option<&Key> {
        let is_organization = |id: &str| id.parse::<OrganizationId>().is_ok();
        let is_ours = match (self.pk.split_once('#')?, self.sk.split_once('#')) {
            (("USER", id), None) => id.parse::<InternalId>().is_ok() && self.sk == "USER",
            (("USER", id), Some(("ORG", organization))) => {
                id.parse::<InternalId>().is_ok() && is_organization(organization)
            }
            (("ORG", id), None) => is_organization(id) && self.sk == "ORG",
            _ => false,
        };
        is_ours.then_some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_that_are_made_here_are_said_aloud() {
        let id = "1c1157ac-33d3-5114-bbd8-09b23e2ca922";
        let user = format!("USER#{id}");
        for (pk, sk, ours) in [
            (user.as_str(), "USER", true),
            (&user, "ORG#org_1", true),
            ("ORG#org_1", "ORG", true),
            (&user, "ada@example.com", false),
            (&user, "ORG#ada@example.com", false),
            ("USER#ada@example.com", "USER", false),
            ("ORG#ada@example.com", "ORG", false),
            ("ada@example.com", "USER", false),
            (&user, "ORG", false),
        ] {
            let key = Key { pk: pk.to_owned(), sk: sk.to_owned() };
            assert_eq!(key.made_here().is_some(), ours, "{key:?}");
        }
    }

    #[test]
    fn the_internal_id_depends_on_the_instance_and_the_user_alone() {
        let (one, other): (InstanceId, InstanceId) = ("ins_one".parse().unwrap(), "ins_other".parse().unwrap());
        let user: UserId = "user_2nNG9rEYQoliquKw5eHQ9eFeurU".parse().unwrap();
        // Computed with Python's uuid module: uuid5(uuid5(NAMESPACE_URL, "clerk:ins_one"),
        // "user_2nNG9rEYQoliquKw5eHQ9eFeurU").
        assert_eq!(one.internal_id(&user).to_string(), "1c1157ac-33d3-5114-bbd8-09b23e2ca922");
        assert_ne!(one.internal_id(&user), other.internal_id(&user));
    }

    #[test]
    fn an_id_cannot_smuggle_a_separator_into_a_key() {
        for bad in ["", "user 1", "user#1", "user/1", "user\n1", "üser", &"u".repeat(256)] {
            assert!(bad.parse::<UserId>().is_err(), "{bad:?}");
        }
        for good in ["user_2nNG9rEYQoliquKw5eHQ9eFeurU", "msg_p5jXN8AQM9LWM0D4loKWxJek", "a-1", &"u".repeat(255)] {
            assert!(good.parse::<DeliveryId>().is_ok(), "{good:?}");
        }
    }

    #[test]
    fn every_entity_has_its_key() {
        let instance: InstanceId = "ins_one".parse().unwrap();
        let (user, organization): (UserId, OrganizationId) = ("user_1".parse().unwrap(), "org_1".parse().unwrap());
        let id = instance.internal_id(&user);
        let membership = EntityId::Membership { user: user.clone(), organization: organization.clone() };
        for (entity, pk, sk) in [
            (EntityId::User(user), format!("USER#{id}"), "USER"),
            (EntityId::Organization(organization), "ORG#org_1".to_owned(), "ORG"),
            (membership, format!("USER#{id}"), "ORG#org_1"),
        ] {
            assert_eq!(entity.key(&instance), Key { pk, sk: sk.to_owned() });
        }
    }
}
