//! Clerk's webhook events: from verified bytes to a typed event, or to the place where reading failed.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use super::clerk;
use super::id::{EntityId, InstanceId, MembershipId, OrganizationId, UserId};
use super::millis::Millis;

/// The outer part of every event. Source: Clerk, "Webhooks overview".
#[derive(Debug)]
pub struct Envelope {
    /// As `user.created`.
    pub kind: String,
    /// Which instance sent it.
    pub instance_id: String,
    timestamp: Option<i64>,
    data: Option<Box<RawValue>>,
}

/// What an event says. `created` and `updated` say the same: this is the entity now.
#[derive(Debug)]
pub enum Event {
    /// `user.created`, `user.updated`.
    User(clerk::User),
    /// `organization.created`, `organization.updated`.
    Organization(clerk::Organization),
    /// `organizationMembership.created`, `organizationMembership.updated`.
    Membership(clerk::Membership),
    /// `user.deleted`.
    UserDeleted(UserId),
    /// `organization.deleted`.
    OrganizationDeleted(OrganizationId),
    /// `organizationMembership.deleted`.
    MembershipDeleted(clerk::DeletedMembership),
}

/// An event with the moment at which Clerk sent it.
#[derive(Debug)]
pub struct Dated {
    /// The event.
    pub event: Event,
    /// The envelope's `timestamp`: the version of a deletion.
    pub sent_at: Millis,
}

/// A signed body that cannot be processed. Says where, never what: the body may hold personal data.
#[derive(Debug, PartialEq, Eq)]
pub struct Unprocessable {
    /// The path at which reading failed, as `data.updated_at`; `.` for the whole body.
    pub failed_at: String,
    /// The event's type, if it could be read.
    pub kind: Option<String>,
    /// The instance, if it could be read.
    pub instance_id: Option<String>,
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
            kind: Option<String>,
            instance_id: Option<String>,
            timestamp: Option<i64>,
            data: Option<Box<RawValue>>,
        }
        let failed = |failed_at: String, outer: Option<&Outer>| Unprocessable {
            failed_at,
            kind: outer.and_then(|outer| outer.kind.clone()),
            instance_id: outer.and_then(|outer| outer.instance_id.clone()),
            entity: None,
        };
        let outer: Outer = read(body).map_err(|path| failed(path, None))?;
        match (&outer.kind, &outer.instance_id) {
            (None, _) => Err(failed("type".to_owned(), Some(&outer))),
            (_, None) => Err(failed("instance_id".to_owned(), Some(&outer))),
            (Some(kind), Some(instance_id)) => Ok(Envelope {
                kind: kind.clone(),
                instance_id: instance_id.clone(),
                timestamp: outer.timestamp,
                data: outer.data,
            }),
        }
    }

    /// Whether `instance` sent it.
    #[must_use]
    pub fn is_from(&self, instance: &InstanceId) -> bool {
        self.instance_id == instance.as_str()
    }

    /// Reads the inner part; nothing for a type that Rollcall does not follow.
    ///
    /// # Errors
    ///
    /// [`Unprocessable`] with the path at which reading failed.
    pub fn open(&self) -> Result<Option<Dated>, Unprocessable> {
        let event = match self.kind.as_str() {
            "user.created" | "user.updated" => Event::User(self.data()?),
            "organization.created" | "organization.updated" => Event::Organization(self.data()?),
            "organizationMembership.created" | "organizationMembership.updated" => Event::Membership(self.data()?),
            "user.deleted" => Event::UserDeleted(self.data::<clerk::Deleted<UserId>>()?.id),
            "organization.deleted" => Event::OrganizationDeleted(self.data::<clerk::Deleted<OrganizationId>>()?.id),
            "organizationMembership.deleted" => Event::MembershipDeleted(self.data()?),
            _ => return Ok(None),
        };
        let sent_at = self.timestamp.and_then(|timestamp| Millis::try_from(timestamp).ok());
        let sent_at = sent_at.ok_or_else(|| self.failed("timestamp".to_owned()))?.from_envelope();
        Ok(Some(Dated { event, sent_at }))
    }

    fn data<T: DeserializeOwned>(&self) -> Result<T, Unprocessable> {
        let data = self.data.as_ref().ok_or_else(|| self.failed("data".to_owned()))?;
        read(data.get().as_bytes())
            .map_err(|path| self.failed(if path == "." { "data".to_owned() } else { format!("data.{path}") }))
    }

    fn failed(&self, failed_at: String) -> Unprocessable {
        Unprocessable {
            failed_at,
            kind: Some(self.kind.clone()),
            instance_id: Some(self.instance_id.clone()),
            entity: self.data.as_ref().and_then(|data| entity_of(&self.kind, data)).map(|entity| entity.to_string()),
        }
    }
}

/// The entity that a broken payload is about, as far as its ids can be read: enough to fetch it from Clerk instead.
fn entity_of(kind: &str, data: &RawValue) -> Option<EntityId> {
    let data: Value = serde_json::from_str(data.get()).ok()?;
    let text = |path: &str| data.pointer(path).and_then(Value::as_str);
    match kind.split('.').next()? {
        "user" => text("/id")?.parse().ok().map(EntityId::User),
        "organization" => text("/id")?.parse().ok().map(EntityId::Organization),
        "organizationMembership" => Some(EntityId::Membership {
            user: text("/public_user_data/user_id")?.parse().ok()?,
            organization: text("/organization/id")?.parse().ok()?,
        }),
        _ => None,
    }
}

fn read<T: DeserializeOwned>(json: &[u8]) -> Result<T, String> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| error.path().to_string())?;
    deserializer.end().map_err(|_| ".".to_owned())?;
    Ok(value)
}

impl Event {
    /// Whose event it is.
    #[must_use]
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

    /// Which membership it is about, for memberships.
    #[must_use]
    pub fn membership_id(&self) -> Option<&MembershipId> {
        match self {
            Event::Membership(membership) => Some(&membership.id),
            Event::MembershipDeleted(membership) => Some(&membership.id),
            _ => None,
        }
    }
}
