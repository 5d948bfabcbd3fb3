//! What Rollcall reads of Clerk's objects, in webhooks and in the Backend API alike.
//!
//! Clerk's published examples break their own schema, so nearly everything is optional, unknown fields are ignored and
//! no list of values is closed. Only ids, and the times that a rank is made of, are insisted upon: any other field that is
//! missing, null or of another type counts as absent, and costs nothing but itself.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::lenient;
use super::lenient::{each, lenient};
use crate::core::id::{EntityId, MembershipId, OrganizationId, UserId};
use crate::core::millis::Millis;

/// A user. Source: schema `User` of the Backend API, version 2026-05-12.
#[derive(Clone, Debug, Deserialize)]
pub struct User {
    pub id: UserId,
    /// The application's own id, if it gave Clerk one.
    #[serde(default, deserialize_with = "lenient")]
    pub external_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub first_name: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub last_name: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub username: Option<String>,
    /// Which of the addresses is the primary one.
    #[serde(default, deserialize_with = "lenient")]
    pub primary_email_address_id: Option<String>,
    /// All addresses, in no order that means anything.
    #[serde(default, deserialize_with = "each")]
    pub email_addresses: Vec<EmailAddress>,
    /// Which of the numbers is the primary one.
    #[serde(default, deserialize_with = "lenient")]
    pub primary_phone_number_id: Option<String>,
    /// All phone numbers, likewise.
    #[serde(default, deserialize_with = "each")]
    pub phone_numbers: Vec<PhoneNumber>,
    #[serde(default, deserialize_with = "lenient")]
    pub image_url: Option<String>,
    /// Metadata that the frontend may read.
    #[serde(default)]
    pub public_metadata: Metadata,
    /// Whether an administrator banned the user.
    #[serde(default)]
    pub banned: Flag,
    /// Whether too many failed attempts locked the user out.
    #[serde(default)]
    pub locked: Flag,
    /// Whether a directory sync has removed the user.
    #[serde(default)]
    pub deprovisioned: Flag,
    /// Unix ms.
    #[serde(default, deserialize_with = "lenient")]
    pub created_at: Option<Millis>,
    /// Unix ms: the version.
    pub updated_at: Millis,
}

/// One address of a user.
#[derive(Clone, Debug, Deserialize)]
pub struct EmailAddress {
    #[serde(default, deserialize_with = "lenient")]
    pub id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub email_address: Option<String>,
    /// Whether it was proven to be the user's; null for one that an administrator has entered.
    #[serde(default, deserialize_with = "lenient")]
    pub verification: Verification,
}

/// One phone number of a user.
#[derive(Clone, Debug, Deserialize)]
pub struct PhoneNumber {
    #[serde(default, deserialize_with = "lenient")]
    pub id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub phone_number: Option<String>,
}

/// The proof of an address.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Verification {
    /// As `verified`, `unverified`, `expired`.
    #[serde(default, deserialize_with = "lenient")]
    pub status: Option<String>,
}

/// A yes or no on which it depends who is let in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flag {
    /// Not there, which is no.
    #[default]
    Absent,
    Evidence(bool),
    /// `null`. In an event it is a reason to ask Clerk; in Clerk's own answer it is no.
    Null,
    /// A value of another type.
    Unreadable,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Metadata {
    /// What can be read; empty for what is no object.
    Map(Map<String, Value>),
    /// The JSON text of an object that this process has no value for: nested deeper than 127 levels, with a number beyond a
    /// double, or with half a surrogate pair.
    Text(String),
}

/// An organization. Source: schema `Organization`.
#[derive(Clone, Debug, Deserialize)]
pub struct Organization {
    pub id: OrganizationId,
    #[serde(default, deserialize_with = "lenient")]
    pub name: Option<String>,
    /// Its part of a URL.
    #[serde(default, deserialize_with = "lenient")]
    pub slug: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub image_url: Option<String>,
    /// Metadata that the frontend may read.
    #[serde(default)]
    pub public_metadata: Metadata,
    /// Unix ms.
    #[serde(default, deserialize_with = "lenient")]
    pub created_at: Option<Millis>,
    /// Unix ms: the version.
    pub updated_at: Millis,
}

/// A membership. Source: schema `OrganizationMembership`.
#[derive(Clone, Debug, Deserialize)]
pub struct Membership {
    /// Clerk's id: another one after leaving and coming back.
    pub id: MembershipId,
    /// The organization, of which only the id is read: the rest is a copy that may be old.
    pub organization: OrganizationReference,
    pub public_user_data: UserReference,
    /// The role within the organization, as `org:admin`.
    #[serde(default, deserialize_with = "lenient")]
    pub role: Option<String>,
    /// What the role allows.
    #[serde(default, deserialize_with = "each")]
    pub permissions: Vec<String>,
    /// Metadata that the frontend may read.
    #[serde(default)]
    pub public_metadata: Metadata,
    /// Unix ms: the generation. A payload without it is fetched, never given generation 0.
    #[serde(default, deserialize_with = "lenient")]
    pub created_at: Option<Millis>,
    /// Unix ms: the version.
    pub updated_at: Millis,
}

/// The organization of a membership.
#[derive(Clone, Debug, Deserialize)]
pub struct OrganizationReference {
    pub id: OrganizationId,
}

/// The user of a membership.
#[derive(Clone, Debug, Deserialize)]
pub struct UserReference {
    pub user_id: UserId,
}

/// What a `user.deleted` or `organization.deleted` carries: nothing but the id is of use.
#[derive(Clone, Debug, Deserialize)]
pub struct Deleted<Id> {
    pub id: Id,
}

/// The parts of an `organizationMembership.deleted` that say which membership ended. Its `updated_at` is not the time
/// of the deletion, so it is not read.
#[derive(Clone, Debug, Deserialize)]
pub struct DeletedMembership {
    pub id: MembershipId,
    pub organization: OrganizationReference,
    pub public_user_data: UserReference,
    /// Unix ms: the generation.
    #[serde(default, deserialize_with = "lenient")]
    pub created_at: Option<Millis>,
}

/// An entity fetched from the Backend API.
#[derive(Clone, Debug)]
pub enum Entity {
    User(User),
    Organization(Organization),
    Membership(Membership),
}

impl Entity {
    /// Whether it leaves open, in Clerk's own answer, who is let in: then it is no answer.
    pub fn is_unreadable(&self) -> bool {
        matches!(self, Entity::User(user) if user.is_unreadable())
    }

    /// Which one it is.
    pub fn id(&self) -> EntityId {
        match self {
            Entity::User(user) => EntityId::User(user.id.clone()),
            Entity::Organization(organization) => EntityId::Organization(organization.id.clone()),
            Entity::Membership(membership) => EntityId::Membership {
                user: membership.public_user_data.user_id.clone(),
                organization: membership.organization.id.clone(),
            },
        }
    }
}

impl User {
    /// Whether the event that brought this leaves open who is let in: then Clerk must be asked.
    pub fn is_unclear(&self) -> bool {
        self.flags().any(|flag| matches!(flag, Flag::Null | Flag::Unreadable))
    }

    /// Whether Clerk's own answer leaves it open: then it is no answer.
    pub fn is_unreadable(&self) -> bool {
        self.flags().any(|flag| flag == Flag::Unreadable)
    }

    fn flags(&self) -> impl Iterator<Item = Flag> {
        [self.banned, self.locked, self.deprovisioned].into_iter()
    }
}

impl EmailAddress {
    /// Whether it was proven to be the user's.
    pub fn is_verified(&self) -> bool {
        self.verification.status.as_deref() == Some("verified")
    }
}

impl Flag {
    /// Whether it is a yes.
    pub fn is_set(self) -> bool {
        self == Flag::Evidence(true)
    }
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(raw: D) -> Result<Flag, D::Error> {
        Ok(match Box::<RawValue>::deserialize(raw)?.get() {
            "true" => Flag::Evidence(true),
            "false" => Flag::Evidence(false),
            "null" => Flag::Null,
            _ => Flag::Unreadable,
        })
    }
}

impl Default for Metadata {
    fn default() -> Metadata {
        Metadata::Map(Map::new())
    }
}

impl Metadata {
    /// The text under a key at the top.
    pub fn text(&self, name: &str) -> Option<String> {
        match self {
            Metadata::Map(map) => map.get(name)?.as_str().map(str::to_owned),
            Metadata::Text(text) => lenient::text(text, name),
        }
    }

    /// The metadata in this JSON text.
    pub fn from_json(json: &str) -> Metadata {
        match serde_json::from_str(json) {
            Ok(map) => Metadata::Map(map),
            Err(_) if json.starts_with('{') => Metadata::Text(lenient::compact(json)),
            Err(_) => Metadata::default(),
        }
    }

    /// As [`Self::Map`], with no more than these keys, of what can be read of them.
    pub fn keys(&self, names: &[&str]) -> Map<String, Value> {
        match self {
            Metadata::Map(map) => {
                let wanted = map.iter().filter(|(name, _)| names.contains(&name.as_str()));
                wanted.map(|(name, value)| (name.clone(), value.clone())).collect()
            }
            Metadata::Text(text) => {
                let mut found = Map::new();
                lenient::glimpse(text, |name, value| {
                    if names.contains(&name) {
                        // What cannot be read is there all the same.
                        found.insert(name.to_owned(), serde_json::from_str(value).unwrap_or(Value::Bool(true)));
                    }
                });
                found
            }
        }
    }
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(raw: D) -> Result<Metadata, D::Error> {
        Ok(Metadata::from_json(Box::<RawValue>::deserialize(raw)?.get()))
    }
}
