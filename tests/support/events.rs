//! Creates events as Clerk sends them, signed as Svix signs them.

use rollcall::core::millis::Millis;
use serde_json::{Value, json};
use svix::webhooks::Webhook;

/// The time of the sample events, in Unix ms: a minute after the first event.
pub const SAMPLE_TIME: u64 = 1_767_225_660_000;

#[derive(Clone, Debug)]
pub struct Sent {
    /// The headers, as names and values.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Sent {
    /// Signs raw bytes.
    ///
    /// # Panics
    ///
    /// If the secret is not `whsec_` followed by base64, or the body is not UTF-8.
    pub fn signed(body: Vec<u8>, id: &str, secret: &str, now: Millis) -> Sent {
        let seconds = i64::try_from(now.get() / 1000).unwrap();
        let signature = Webhook::new(secret).unwrap().sign(id, seconds, &body).unwrap();
        let headers = [
            ("content-type", "application/json".to_owned()),
            ("svix-id", id.to_owned()),
            ("svix-timestamp", seconds.to_string()),
            ("svix-signature", signature),
        ];
        Sent { headers: headers.map(|(name, value)| (name.to_owned(), value)).into(), body }
    }

    /// The same message with one header set, or removed.
    #[must_use]
    pub fn with(mut self, name: &str, value: Option<&str>) -> Sent {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        if let Some(value) = value {
            self.headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }
}

/// A sample event of `events/`.
///
/// # Panics
///
/// If no sample has this name.
pub fn sample(name: &str) -> Value {
    rollcall_cli::trigger::sample(name).unwrap()
}

/// An event of the local instance around any data.
pub fn event(kind: &str, data: &Value, at: u64) -> Value {
    let instance = clerk_emulator::INSTANCE_ID;
    json!({ "object": "event", "type": kind, "instance_id": instance, "timestamp": at, "data": data })
}

/// `user.created` or `user.updated` of a user of one name, changed at `updated_at`.
pub fn user_event(kind: &str, id: &str, name: &str, updated_at: u64) -> Value {
    let mut event = sample("user.created");
    event["type"] = kind.into();
    event["timestamp"] = updated_at.into();
    event["data"]["id"] = id.into();
    event["data"]["first_name"] = name.into();
    event["data"]["updated_at"] = updated_at.into();
    event
}

/// `organization.created` or `organization.updated`, likewise.
pub fn organization_event(kind: &str, id: &str, name: &str, updated_at: u64) -> Value {
    let mut event = sample("organization.created");
    event["type"] = kind.into();
    event["timestamp"] = updated_at.into();
    event["data"]["id"] = id.into();
    event["data"]["name"] = name.into();
    event["data"]["updated_at"] = updated_at.into();
    event
}

/// A membership event of the sample user and organization.
pub fn membership_event(kind: &str, id: &str, created_at: u64, updated_at: u64, sent_at: u64) -> Value {
    let mut event = sample("organizationMembership.created");
    event["type"] = kind.into();
    event["timestamp"] = sent_at.into();
    event["data"]["id"] = id.into();
    event["data"]["created_at"] = created_at.into();
    event["data"]["updated_at"] = updated_at.into();
    event
}

/// `user.deleted` or `organization.deleted`.
pub fn deletion_event(kind: &str, id: &str, at: u64) -> Value {
    let mut event = sample(kind);
    event["timestamp"] = at.into();
    event["data"]["id"] = id.into();
    event
}
