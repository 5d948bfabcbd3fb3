//! Clerk's webhook events: parses verified bytes into a typed event, or returns the path at which reading failed.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::lenient::{glimpse, lenient, text};
use super::objects;
use crate::core::controls::{Invariant, guards};
use crate::core::id::{EntityId, InstanceId, MembershipId, OrganizationId, UserId};
use crate::core::millis::Millis;

/// The outer part of every event. Source: Clerk, "Webhooks overview".
#[derive(Debug)]
pub struct Envelope {
    /// The type, such as `user.created`.
    pub kind: String,
    /// The instance that sent the event.
    pub instance_id: String,
    timestamp: Option<i64>,
    data: Option<Box<RawValue>>,
}

/// The types that Rollcall processes, and to which an endpoint in Clerk subscribes.
pub const SUBSCRIBED_EVENTS: [&str; 9] = [
    "user.created",
    "user.updated",
    "user.deleted",
    "organization.created",
    "organization.updated",
    "organization.deleted",
    "organizationMembership.created",
    "organizationMembership.updated",
    "organizationMembership.deleted",
];

/// Types after which many memberships may have changed: for the memberships with the role, Clerk sends no events. They
/// are only counted; the nightly run updates the permissions.
pub const OF_ROLES: [&str; 4] = ["role.updated", "role.deleted", "permission.updated", "permission.deleted"];

/// The contents of an event. `created` and `updated` mean the same: this is the current state of the entity.
#[derive(Debug)]
pub enum Event {
    /// `user.created`, `user.updated`.
    User(objects::User),
    /// `organization.created`, `organization.updated`.
    Organization(objects::Organization),
    /// `organizationMembership.created`, `organizationMembership.updated`.
    Membership(objects::Membership),
    /// `user.deleted`.
    UserDeleted(UserId),
    /// `organization.deleted`.
    OrganizationDeleted(OrganizationId),
    /// `organizationMembership.deleted`.
    MembershipDeleted(objects::DeletedMembership),
}

/// An event with the time at which Clerk sent it.
#[derive(Debug)]
pub struct Dated {
    pub event: Event,
    /// The envelope's `timestamp`: the version of a deletion. Without it, the age of a live event is unknown.
    pub sent_at: Option<Millis>,
}

/// A signed body that cannot be processed. It contains the place of the error but no value: the body may contain
/// personal data.
#[derive(Debug, PartialEq, Eq)]
pub struct Unprocessable {
    /// The path at which reading failed, such as `data.updated_at`; `.` for the whole body.
    pub failed_at: String,
    /// The event's type, if it could be read.
    pub kind: Option<String>,
    /// The instance, if it could be read.
    pub instance_id: Option<InstanceId>,
    /// Clerk's ids of the entity, if they could be read.
    pub entity: Option<String>,
}

impl Envelope {
    /// Reads the outer part.
    ///
    /// # Errors
    ///
    /// [`Unprocessable`] if the body is no JSON object with a `type` and an `instance_id`.
    pub fn parse(body: &[u8]) -> Result<Envelope, Unprocessable> {
        #[derive(Deserialize)]
        struct Outer {
            #[serde(rename = "type")]
            kind: String,
            instance_id: String,
            #[serde(default, deserialize_with = "lenient")]
            timestamp: Option<i64>,
            data: Option<Box<RawValue>>,
        }
        let Outer { kind, instance_id, timestamp, data } = read(body, &["type", "instance_id", "timestamp", "data"])
            .map_err(|failed_at| {
                // The other readable parts help to fetch the entity instead.
                let body = String::from_utf8_lossy(body);
                let mut data = None;
                glimpse(&body, |name, value| {
                    if name == "data" {
                        data = Some(value.to_owned());
                    }
                });
                let (kind, instance_id) = (text(&body, "type"), text(&body, "instance_id"));
                Unprocessable::note(failed_at, kind.as_deref(), instance_id.as_deref(), data.as_deref())
            })?;
        Ok(Envelope { kind, instance_id, timestamp, data })
    }

    /// Whether the event is from `instance`.
    pub fn is_from(&self, instance: &InstanceId) -> bool {
        self.instance_id == instance.as_str() || !guards(Invariant::I5)
    }

    /// Reads the inner part; nothing for a type that Rollcall does not process.
    ///
    /// # Errors
    ///
    /// [`Unprocessable`] with the path at which reading failed.
    pub fn open(&self) -> Result<Option<Dated>, Unprocessable> {
        let event = match self.kind.as_str() {
            "user.created" | "user.updated" => Event::User(self.data()?),
            "organization.created" | "organization.updated" => Event::Organization(self.data()?),
            "organizationMembership.created" | "organizationMembership.updated" => Event::Membership(self.data()?),
            "user.deleted" => Event::UserDeleted(self.data::<objects::Deleted<UserId>>()?.id),
            "organization.deleted" => Event::OrganizationDeleted(self.data::<objects::Deleted<OrganizationId>>()?.id),
            "organizationMembership.deleted" => Event::MembershipDeleted(self.data()?),
            _ => return Ok(None),
        };
        let sent_at = self.timestamp.and_then(|at| Millis::from_envelope(at).ok());
        if sent_at.is_none() && event.is_end() {
            return Err(self.failed("timestamp".to_owned()));
        }
        Ok(Some(Dated { event, sent_at }))
    }

    fn data<T: DeserializeOwned>(&self) -> Result<T, Unprocessable> {
        let data = self.data.as_ref().ok_or_else(|| self.failed("data".to_owned()))?;
        read(data.get().as_bytes(), &[]).map_err(|path| match path.as_str() {
            "." => self.failed("data".to_owned()),
            path => self.failed(format!("data.{path}")),
        })
    }

    /// The error for an event that was read but cannot be processed, with the path of what is missing.
    pub fn failed(&self, failed_at: String) -> Unprocessable {
        let data = self.data.as_ref().map(|data| data.get());
        Unprocessable::note(failed_at, Some(&self.kind), Some(&self.instance_id), data)
    }
}

impl Unprocessable {
    /// Takes from a body only values in the expected form.
    fn note(failed_at: String, kind: Option<&str>, instance_id: Option<&str>, data: Option<&str>) -> Unprocessable {
        let is_kind =
            |kind: &&str| kind.len() <= 64 && kind.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'.');
        let kind = kind.filter(is_kind);
        Unprocessable {
            failed_at,
            kind: kind.map(str::to_owned),
            instance_id: instance_id.and_then(|id| id.parse().ok()),
            entity: data.and_then(|data| entity_of(kind, data)).map(|entity| entity.to_string()),
        }
    }

    /// Whether the body names another instance than `instance`.
    pub fn is_foreign_to(&self, instance: &InstanceId) -> bool {
        self.instance_id.as_ref().is_some_and(|id| id != instance)
    }
}

/// The entity of an invalid payload, as far as its ids can be read: enough to fetch it from Clerk. Without an event
/// type, the payload's field `object` names the kind.
fn entity_of(kind: Option<&str>, data: &str) -> Option<EntityId> {
    let object = text(data, "object");
    let kind = kind.or(object.as_deref())?.split('.').next()?;
    match kind {
        "user" => text(data, "id")?.parse().ok().map(EntityId::User),
        "organization" => text(data, "id")?.parse().ok().map(EntityId::Organization),
        "organizationMembership" | "organization_membership" => {
            let (mut user, mut organization) = (None, None);
            glimpse(data, |name, value| match name {
                "public_user_data" => user = text(value, "user_id"),
                "organization" => organization = text(value, "id"),
                _ => {}
            });
            Some(EntityId::Membership { user: user?.parse().ok()?, organization: organization?.parse().ok()? })
        }
        _ => None,
    }
}

/// Reads a value, or returns the path at which reading failed. Keys of metadata are chosen by the application and may
/// be personal data: a path ends before the first key that is not in `known`.
fn read<T: DeserializeOwned>(json: &[u8], known: &[&str]) -> Result<T, String> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        match path.split_once("_metadata") {
            Some((field, _)) => format!("{field}_metadata"),
            None if known.is_empty() || known.contains(&path.as_str()) => path,
            None => ".".to_owned(),
        }
    })?;
    deserializer.end().map_err(|_| ".".to_owned())?;
    Ok(value)
}

impl Event {
    /// Whether the event is a deletion.
    pub fn is_end(&self) -> bool {
        matches!(self, Event::UserDeleted(_) | Event::OrganizationDeleted(_) | Event::MembershipDeleted(_))
    }

    /// The entity of the event.
    pub fn entity(&self) -> EntityId {
        match self {
            Event::User(user) => EntityId::User(user.id.clone()),
            Event::UserDeleted(user) => EntityId::User(user.clone()),
            Event::Organization(organization) => EntityId::Organization(organization.id.clone()),
            Event::OrganizationDeleted(organization) => EntityId::Organization(organization.clone()),
            Event::Membership(membership) => EntityId::Membership {
                user: membership.public_user_data.user_id.clone(),
                organization: membership.organization.id.clone(),
            },
            Event::MembershipDeleted(membership) => EntityId::Membership {
                user: membership.public_user_data.user_id.clone(),
                organization: membership.organization.id.clone(),
            },
        }
    }

    /// The id of the membership, for memberships.
    pub fn membership_id(&self) -> Option<&MembershipId> {
        match self {
            Event::Membership(membership) => Some(&membership.id),
            Event::MembershipDeleted(membership) => Some(&membership.id),
            _ => None,
        }
    }
}
