//! Projections: the fields of Clerk's objects that the Directory keeps.
//!
//! Counts, activity times, nested copies, `private_metadata` and `unsafe_metadata` are never kept: they change without
//! meaning, have no size limit, or are private.

use serde::Serialize;
use serde_json::{Map, Number, Value, json};

use super::digest::Digest;
use super::item::{Item, Provenance};
use super::rank::Rank;
use super::roles;
use super::roles::Roles;
use crate::core::clerk::objects;
use crate::core::controls::{Invariant, guards};
use crate::core::id::{EntityId, InstanceId, InternalId, MembershipId, OrganizationId, UserId, user_pk};
use crate::core::millis::Millis;
use crate::core::session::claims::Session;

/// The projected fields of a user.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct User {
    /// The internal id.
    pub id: InternalId,
    pub clerk_user_id: UserId,
    /// The id that the application has set in Clerk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The full name, else the first name, else the last name, else the user name, else `User`.
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Whether the e-mail address is verified. Only present with `email`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email_verified: Option<bool>,
    /// The primary phone number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_url: Option<String>,
    /// The role in the application, by `public_metadata.role` and `ROLES`.
    pub role: String,
    /// Metadata that the frontend may read.
    #[cfg_attr(feature = "openapi", schema(value_type = serde_json::Map<String, serde_json::Value>))]
    pub public_metadata: Metadata,
    /// Whether an administrator banned the user.
    pub banned: bool,
    /// Whether too many failed attempts locked the user out.
    pub locked: bool,
    /// Whether a directory sync has removed the user; absent means false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deprovisioned: Option<bool>,
}

/// The projected fields of an organization.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Organization {
    pub organization_id: OrganizationId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The organization's part of a URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slug: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_url: Option<String>,
    /// Metadata that the frontend may read.
    #[cfg_attr(feature = "openapi", schema(value_type = serde_json::Map<String, serde_json::Value>))]
    pub public_metadata: Metadata,
}

/// The projected fields of a membership.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Membership {
    /// Clerk's id of this membership.
    pub membership_id: MembershipId,
    /// The organization; with `user_pk` the key of the index `members`.
    pub organization_id: OrganizationId,
    /// The user's partition key. Only live memberships have it, so only they are in the index.
    pub user_pk: String,
    /// Clerk's id of the user.
    pub clerk_user_id: UserId,
    /// The role within the organization.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The permissions of the role.
    pub permissions: Vec<String>,
    /// Metadata that the frontend may read.
    #[cfg_attr(feature = "openapi", schema(value_type = serde_json::Map<String, serde_json::Value>))]
    pub public_metadata: Metadata,
}

/// Public metadata: a map if DynamoDB can store it as one, else its JSON text.
///
/// Clerk's metadata may be nested deeper than 32 levels, or contain numbers beyond DynamoDB's range, half a surrogate
/// pair or empty keys. Such a user is stored like all others. Numbers are 64-bit integers or doubles here: further
/// digits are rounded, as in all JavaScript programs that read Clerk's responses.
#[derive(Clone, Debug, PartialEq)]
pub struct Metadata(pub objects::Metadata);

/// The name of a user without a name.
const NAMELESS_USER: &str = "User";
/// The name of an organization of which only the id is known.
const NAMELESS_ORGANIZATION: &str = "Organization";

/// One less than a map may have, as it lies inside an item.
/// Source: AWS, "Service, account, and table quotas in Amazon DynamoDB", nested attribute depth.
const DEEPEST: usize = 31;

impl Serialize for Metadata {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            objects::Metadata::Map(map) if is_storable(map) => map.serialize(serializer),
            objects::Metadata::Map(map) => Value::Object(map.clone()).to_string().serialize(serializer),
            objects::Metadata::Text(text) => text.serialize(serializer),
        }
    }
}

/// Whether DynamoDB can store this as a map, one level down in an item.
pub fn is_storable(map: &Map<String, Value>) -> bool {
    map.iter().all(|(key, value)| !key.is_empty() && fits(value, DEEPEST - 1))
}

fn fits(value: &Value, levels: usize) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => true,
        Value::Number(number) => number_fits(number),
        Value::Array(values) => levels > 0 && values.iter().all(|value| fits(value, levels - 1)),
        Value::Object(map) => levels > 0 && map.iter().all(|(key, value)| !key.is_empty() && fits(value, levels - 1)),
    }
}

/// DynamoDB stores magnitudes from 1e-130 to 9.99e+125 and zero. Source: AWS, "Naming rules and data types", Number.
fn number_fits(number: &Number) -> bool {
    number.as_i64().is_some()
        || number.as_u64().is_some()
        || number.as_f64().is_some_and(|double| double == 0.0 || (1e-130..1e125).contains(&double.abs()))
}

/// The parts of a row that no payload contains.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    /// The configured instance.
    pub instance: &'a InstanceId,
    /// The allowed roles.
    pub roles: &'a Roles,
    /// When and by which path the state was applied.
    pub provenance: &'a Provenance,
}

impl Context<'_> {
    /// The row of a live user.
    pub fn user(&self, user: objects::User) -> Item {
        let entity = EntityId::User(user.id.clone());
        let (created_at, updated_at) = (user.created_at, user.updated_at);
        let (email, phone) = (primary_email(&user), primary_phone(&user));
        let role = self.roles.named(user.public_metadata.text("role").as_deref()).to_owned();
        let fields = User {
            id: self.instance.internal_id(&user.id),
            name: display_name(&user),
            email: email.and_then(|email| email.email_address.clone()),
            email_verified: email.map(objects::EmailAddress::is_verified),
            phone,
            role,
            clerk_user_id: user.id,
            external_id: user.external_id,
            first_name: user.first_name,
            last_name: user.last_name,
            username: user.username,
            image_url: user.image_url,
            public_metadata: Metadata(user.public_metadata),
            banned: user.banned.is_set(),
            locked: user.locked.is_set(),
            deprovisioned: user.deprovisioned.is_set().then_some(true),
        };
        self.live(&entity, object(&fields), Millis::ZERO, created_at, updated_at)
    }

    /// The row of a live organization.
    pub fn organization(&self, organization: objects::Organization) -> Item {
        let entity = EntityId::Organization(organization.id.clone());
        let fields = Organization {
            organization_id: organization.id,
            name: organization.name,
            slug: organization.slug,
            image_url: organization.image_url,
            public_metadata: Metadata(organization.public_metadata),
        };
        self.live(&entity, object(&fields), Millis::ZERO, organization.created_at, organization.updated_at)
    }

    /// The row of a live membership; nothing if the payload lacks the `created_at` of its generation.
    pub fn membership(&self, membership: objects::Membership) -> Option<Item> {
        let generation = membership.created_at?;
        let (user, organization) = (membership.public_user_data.user_id, membership.organization.id);
        let entity = EntityId::Membership { user: user.clone(), organization: organization.clone() };
        let fields = Membership {
            membership_id: membership.id,
            organization_id: organization,
            user_pk: user_pk(self.instance, &user),
            clerk_user_id: user,
            role: membership.role,
            permissions: membership.permissions,
            public_metadata: Metadata(membership.public_metadata),
        };
        Some(self.live(&entity, object(&fields), generation, Some(generation), membership.updated_at))
    }

    /// The row of an entity in a response of Clerk; nothing under the same condition.
    pub fn entity(&self, entity: objects::Entity) -> Option<Item> {
        match entity {
            objects::Entity::User(user) => Some(self.user(user)),
            objects::Entity::Organization(organization) => Some(self.organization(organization)),
            objects::Entity::Membership(membership) => self.membership(membership),
        }
    }

    /// The placeholder of an entity while Clerk cannot be asked, made from a verified session: the id, and the slug of
    /// an organization. It grants nothing: its user is no administrator, its membership has no role and is not listed
    /// among the organization's members.
    pub fn placeholder(&self, entity: &EntityId, session: &Session) -> Item {
        let fields = match entity {
            EntityId::User(user) => {
                let id = self.instance.internal_id(user);
                json!({ "id": id, "clerk_user_id": user, "name": NAMELESS_USER, "role": roles::USER })
            }
            EntityId::Organization(organization) => {
                let slug = session.organization.as_ref().and_then(|active| active.slug.as_deref());
                let name = slug.unwrap_or(NAMELESS_ORGANIZATION);
                json!({ "organization_id": organization, "name": name, "slug": slug })
            }
            EntityId::Membership { user, organization } => {
                let claimed = session.organization.as_ref().and_then(|active| active.role.as_deref());
                let granted = claimed.filter(|_| !guards(Invariant::I8));
                json!({ "organization_id": organization, "clerk_user_id": user, "role": granted })
            }
        };
        let fields = object(&fields).into_iter().filter(|(_, value)| !value.is_null()).collect();
        Item { created_at: None, updated_at: None, ..self.live(entity, fields, Millis::ZERO, None, Millis::ZERO) }
    }

    fn live(
        &self,
        entity: &EntityId,
        fields: Map<String, Value>,
        generation: Millis,
        created_at: Option<Millis>,
        updated_at: Millis,
    ) -> Item {
        Item {
            key: entity.key(self.instance),
            rank: Rank::live(generation, updated_at),
            digest: Digest::new(entity.kind().name(), &fields),
            provenance: self.provenance.clone(),
            created_at,
            updated_at: Some(updated_at),
            deleted_at: None,
            fields,
        }
    }
}

/// The fields of a projection as a map.
pub(in crate::core) fn object(fields: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(fields) {
        Ok(Value::Object(map)) => map,
        other => unreachable!("a projection is a struct with string keys, not {other:?}"),
    }
}

/// The primary address, if its entry contains one.
fn primary_email(user: &objects::User) -> Option<&objects::EmailAddress> {
    let primary = user.primary_email_address_id.as_ref()?;
    let mut entries = user.email_addresses.iter();
    entries.find(|entry| entry.id.as_ref() == Some(primary)).filter(|entry| entry.email_address.is_some())
}

fn primary_phone(user: &objects::User) -> Option<String> {
    let primary = user.primary_phone_number_id.as_ref()?;
    let mut entries = user.phone_numbers.iter();
    entries.find(|entry| entry.id.as_ref() == Some(primary))?.phone_number.clone()
}

fn display_name(user: &objects::User) -> String {
    let given =
        |name: &Option<String>| name.as_deref().map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
    match (given(&user.first_name), given(&user.last_name)) {
        (Some(first), Some(last)) => format!("{first} {last}"),
        (Some(name), None) | (None, Some(name)) => name,
        (None, None) => given(&user.username).unwrap_or_else(|| NAMELESS_USER.to_owned()),
    }
}
