//! From a change to a signed request, the way Clerk's events travel through Svix.
//!
//! `queue` decides (plain values in, plain values out), `sender` does what was decided over HTTP.

pub(crate) mod queue;
pub(crate) mod sender;

use serde::Serialize;
use serde_json::{Value, json};

/// Something that happened, before anybody is told.
#[derive(Debug)]
pub(crate) struct Event {
    /// For example `user.created`.
    pub(crate) kind: &'static str,
    pub(crate) entity_id: String,
    pub(crate) data: Value,
}

impl Event {
    /// The envelope of every Clerk event. `timestamp` is in ms, as in real deliveries, though Clerk's published
    /// examples have seconds.
    pub(crate) fn envelope(&self, instance_id: &str, timestamp: i64, user_agent: &str) -> Value {
        json!({
            "data": self.data,
            "event_attributes": {"http_request": {"client_ip": "127.0.0.1", "user_agent": user_agent}},
            "instance_id": instance_id,
            "object": "event",
            "timestamp": timestamp,
            "type": self.kind,
        })
    }
}

/// One message on its way to one endpoint, as `GET /_emulator/deliveries` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Delivery {
    /// The same for every attempt, every repetition, every replay and every endpoint.
    pub svix_id: String,
    /// For example `user.created`.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The id of the user, the organization or the membership that the event is about.
    pub entity_id: String,
    /// The URL that the message goes to.
    pub endpoint: String,
    /// How far it has come.
    pub state: DeliveryState,
    /// Every attempt, in order.
    pub attempts: Vec<Attempt>,
}

/// How far a delivery has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    /// An attempt is under way or will follow.
    Pending,
    /// The endpoint answered with 2xx.
    Delivered,
    /// The last attempt of the schedule failed.
    Failed,
    /// The endpoint answered `webhook-delivery: abort-message`.
    Aborted,
    /// Lost on purpose: the `drop` dial.
    Dropped,
}

/// One attempt to deliver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// Unix ms by the emulator's clock; its seconds were signed as `svix-timestamp`.
    pub at: i64,
    /// The HTTP status, or nothing if none came in time.
    pub status: Option<u16>,
}

#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Endpoint {
    /// `ep_` and 27 letters and digits.
    pub id: String,
    /// Where messages are posted to.
    pub url: String,
    /// What they are signed with.
    pub secret: String,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("id", &self.id).field("url", &self.url).finish_non_exhaustive()
    }
}

/// An endpoint that could not be added.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The URL is none, or not one of HTTP.
    #[error("endpoint URL must look like http://127.0.0.1:3000/webhooks/clerk")]
    Url,
    /// The secret is not base64 behind `whsec_`.
    #[error("endpoint secret must be whsec_ followed by base64")]
    Secret(#[source] svix::webhooks::WebhookError),
}
