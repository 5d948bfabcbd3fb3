//! The fields of Clerk's objects that Rollcall reads, in webhooks and in the Backend API.
//!
//! Clerk's published examples violate their own schema, so nearly all fields are optional, unknown fields are ignored,
//! and unknown values of enumerations are allowed. Only ids and the times of the rank are required: any other field
//! that is missing, null or of another type counts as absent, and does not affect the others.

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
    /// The id that the application has set in Clerk, if any.
    #[serde(default, deserialize_with = "lenient")]
    pub external_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub first_name: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub last_name: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub username: Option<String>,
    /// The id of the primary address.
    #[serde(default, deserialize_with = "lenient")]
    pub primary_email_address_id: Option<String>,
    /// All addresses, in no particular order.
    #[serde(default, deserialize_with = "each")]
    pub email_addresses: Vec<EmailAddress>,
    /// The id of the primary number.
    #[serde(default, deserialize_with = "lenient")]
    pub primary_phone_number_id: Option<String>,
    /// All phone numbers, in no particular order.
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
    /// The verification; null for an address that an administrator has entered.
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

/// The verification of an address or a number.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Verification {
    /// Such as `verified`, `unverified`, `expired`.
    #[serde(default, deserialize_with = "lenient")]
    pub status: Option<String>,
}

/// A boolean that decides about admission.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flag {
    /// Absent, which means false.
    #[default]
    Absent,
    Evidence(bool),
    /// `null`. In an event, Clerk is asked; in Clerk's own response, it means false.
    Null,
    /// A value of another type.
    Unreadable,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Metadata {
    /// The readable keys; empty if the value is not an object.
    Map(Map<String, Value>),
    /// The JSON text of an object that Rust's types cannot represent: nested deeper than 127 levels, with a number
    /// beyond a double, or with half a surrogate pair.
    Text(String),
}

/// An organization. Source: schema `Organization`.
#[derive(Clone, Debug, Deserialize)]
pub struct Organization {
    pub id: OrganizationId,
    #[serde(default, deserialize_with = "lenient")]
    pub name: Option<String>,
    /// The organization's part of a URL.
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
    /// Clerk's id; a user who leaves and joins again gets another one.
    pub id: MembershipId,
    /// The organization. Only its id is read: the rest is a copy that may be outdated.
    pub organization: OrganizationReference,
    pub public_user_data: UserReference,
    /// The role within the organization, such as `org:admin`.
    #[serde(default, deserialize_with = "lenient")]
    pub role: Option<String>,
    /// The permissions of the role.
    #[serde(default, deserialize_with = "each")]
    pub permissions: Vec<String>,
    /// Metadata that the frontend may read.
    #[serde(default)]
    pub public_metadata: Metadata,
    /// Unix ms: the generation. A payload without it is fetched from Clerk, and never gets generation 0.
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

/// The payload of `user.deleted` or `organization.deleted`, of which only the id is used.
#[derive(Clone, Debug, Deserialize)]
pub struct Deleted<Id> {
    pub id: Id,
}

/// The parts of an `organizationMembership.deleted` that identify the membership. Its `updated_at` is not the time of
/// the deletion, so it is not read.
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
    /// Whether Clerk's response leaves open whether the user may be admitted: then the response is not usable.
    pub fn is_unreadable(&self) -> bool {
        matches!(self, Entity::User(user) if user.is_unreadable())
    }

    /// The id of the entity.
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
    /// Whether the event leaves open whether the user may be admitted: then Clerk must be asked.
    pub fn is_unclear(&self) -> bool {
        self.flags().any(|flag| matches!(flag, Flag::Null | Flag::Unreadable))
    }

    /// Whether Clerk's response leaves it open: then the response is not usable.
    pub fn is_unreadable(&self) -> bool {
        self.flags().any(|flag| flag == Flag::Unreadable)
    }

    fn flags(&self) -> impl Iterator<Item = Flag> {
        [self.banned, self.locked, self.deprovisioned].into_iter()
    }
}

impl EmailAddress {
    /// Whether it is verified.
    pub fn is_verified(&self) -> bool {
        self.verification.status.as_deref() == Some("verified")
    }
}

impl Flag {
    /// Whether the value is true.
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
    /// The text of a top-level key.
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

    /// As [`Self::Map`], with only these keys, as far as they can be read.
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
                        // An unreadable value counts as present.
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
