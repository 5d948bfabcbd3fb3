//! Turns each change into an event and delivers the event to the endpoints, as Clerk does through Svix.
//!
//! `registered` is an endpoint with its rules, `lane` its messages that wait, `message` what is kept of each; `queue` decides without IO what is sent next, `sender` sends it over HTTP.

mod lane;
pub(crate) mod message;
pub(crate) mod queue;
pub(crate) mod registered;
pub(crate) mod sender;

use serde::Serialize;
use serde_json::{Value, json};

/// A change of an entity that webhooks report.
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

/// One message to one endpoint, as `GET /_emulator/deliveries` returns it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Delivery {
    /// The message id, the same for every attempt, repetition, replay and endpoint.
    pub svix_id: String,
    /// For example `user.created`.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The id of the user, the organization or the membership of the event.
    pub entity_id: String,
    /// The URL of the endpoint.
    pub endpoint: String,
    /// The state of the delivery.
    pub state: DeliveryState,
    /// Every attempt, in order.
    pub attempts: Vec<Attempt>,
}

/// The state of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    /// An attempt is in progress or will follow.
    Pending,
    /// The endpoint answered with 2xx.
    Delivered,
    /// The last attempt of the schedule failed.
    Failed,
    /// The endpoint answered `webhook-delivery: abort-message`.
    Aborted,
    /// Not sent because of the fault setting `drop`.
    Dropped,
}

/// One attempt to deliver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// Unix ms by the emulator's clock; its seconds were signed as `svix-timestamp`.
    pub at: i64,
    /// The HTTP status; `None` if no response came in time.
    pub status: Option<u16>,
}

#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Endpoint {
    /// `ep_` and 27 letters and digits.
    pub id: String,
    /// The URL to which messages are posted.
    pub url: String,
    /// The signing secret.
    pub secret: String,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("id", &self.id).field("url", &self.url).finish_non_exhaustive()
    }
}

/// The reasons for which an endpoint cannot be added.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The text is no URL, or not an HTTP URL.
    #[error("the endpoint URL must look like http://127.0.0.1:4400/webhooks/clerk")]
    Url,
    /// The secret is not `whsec_` followed by base64.
    #[error("the endpoint secret must be whsec_ followed by base64")]
    Secret(#[source] svix::webhooks::WebhookError),
}
