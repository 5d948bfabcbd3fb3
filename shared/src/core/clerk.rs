//! What Rollcall reads of Clerk's objects, in webhooks and in the Backend API alike.
//!
//! Clerk's published examples break their own schema, so nearly everything is optional, unknown fields are ignored and
//! no list of values is closed. Only ids, and the times that a rank is made of, are insisted upon.

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::id::{EntityId, MembershipId, OrganizationId, UserId};
use super::millis::Millis;

/// A user. Source: schema `User` of the Backend API, version 2026-05-12.
#[derive(Clone, Debug, Deserialize)]
pub struct User {
    /// Clerk's id.
    pub id: UserId,
    /// The application's own id, if it gave Clerk one.
    pub external_id: Option<String>,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// User name.
    pub username: Option<String>,
    /// Which of the addresses is the primary one.
    pub primary_email_address_id: Option<String>,
    /// All addresses, in no order that means anything.
    #[serde(default, deserialize_with = "null_as_default")]
    pub email_addresses: Vec<EmailAddress>,
    /// The picture.
    pub image_url: Option<String>,
    /// Metadata that the frontend may read.
    #[serde(default, deserialize_with = "null_as_default")]
    pub public_metadata: Map<String, Value>,
    /// Whether an administrator banned the user.
    #[serde(default, deserialize_with = "null_as_default")]
    pub banned: bool,
    /// Whether too many failed attempts locked the user out.
    #[serde(default, deserialize_with = "null_as_default")]
    pub locked: bool,
    /// Whether a directory sync has removed the user.
    pub deprovisioned: Option<bool>,
    /// Unix ms.
    pub created_at: Option<Millis>,
    /// Unix ms: the version.
    pub updated_at: Millis,
}

/// One address of a user.
#[derive(Clone, Debug, Deserialize)]
pub struct EmailAddress {
    /// Its id.
    pub id: Option<String>,
    /// The address.
    pub email_address: String,
}

/// An organization. Source: schema `Organization`.
#[derive(Clone, Debug, Deserialize)]
pub struct Organization {
    /// Clerk's id.
    pub id: OrganizationId,
    /// Its name.
    pub name: Option<String>,
    /// Its part of a URL.
    pub slug: Option<String>,
    /// Its logo.
    pub image_url: Option<String>,
    /// Metadata that the frontend may read.
    #[serde(default, deserialize_with = "null_as_default")]
    pub public_metadata: Map<String, Value>,
    /// Unix ms.
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
    /// The user, likewise.
    pub public_user_data: UserReference,
    /// The role within the organization, as `org:admin`.
    pub role: Option<String>,
    /// What the role allows.
    #[serde(default, deserialize_with = "null_as_default")]
    pub permissions: Vec<String>,
    /// Metadata that the frontend may read.
    #[serde(default, deserialize_with = "null_as_default")]
    pub public_metadata: Map<String, Value>,
    /// Unix ms: the generation. A payload without it is fetched, never given generation 0.
    pub created_at: Option<Millis>,
    /// Unix ms: the version.
    pub updated_at: Millis,
}

/// The organization of a membership.
#[derive(Clone, Debug, Deserialize)]
pub struct OrganizationReference {
    /// Clerk's id.
    pub id: OrganizationId,
}

/// The user of a membership.
#[derive(Clone, Debug, Deserialize)]
pub struct UserReference {
    /// Clerk's id.
    pub user_id: UserId,
}

/// What a `user.deleted` or `organization.deleted` carries: nothing but the id is of use.
#[derive(Clone, Debug, Deserialize)]
pub struct Deleted<Id> {
    /// Clerk's id.
    pub id: Id,
}

/// The parts of an `organizationMembership.deleted` that say which membership ended. Its `updated_at` is not the time
/// of the deletion, so it is not read.
#[derive(Clone, Debug, Deserialize)]
pub struct DeletedMembership {
    /// Clerk's id.
    pub id: MembershipId,
    /// The organization.
    pub organization: OrganizationReference,
    /// The user.
    pub public_user_data: UserReference,
    /// Unix ms: the generation.
    pub created_at: Option<Millis>,
}

/// An entity fetched from the Backend API.
#[derive(Clone, Debug)]
pub enum Entity {
    /// A user.
    User(User),
    /// An organization.
    Organization(Organization),
    /// A membership.
    Membership(Membership),
}

impl Entity {
    /// Which one it is.
    #[must_use]
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

fn null_as_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}
