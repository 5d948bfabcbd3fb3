//! The rows that Clerk's samples leave: projected by Rollcall itself, and written as DynamoDB's JSON.

use anyhow::Context as _;
use rollcall::core::clerk::event::{Envelope, Event};
use rollcall::core::id::{InstanceId, UserId};
use rollcall::core::millis::Millis;
use rollcall::core::mirror::item::{Item, Provenance, Writer};
use rollcall::core::mirror::projection::Context;
use rollcall::core::mirror::roles::Roles;
use serde_json::{Map, Value, json};

use crate::events::INSTANCE;

/// A sample as JSON.
///
/// # Errors
///
/// If it is none.
pub(crate) fn sample(text: &str) -> anyhow::Result<Value> {
    serde_json::from_str(text).context("a sample in events/")
}

/// When Clerk sent a sample.
///
/// # Errors
///
/// If it does not say so.
pub(crate) fn sent_at(event: &Value) -> anyhow::Result<Millis> {
    Ok(serde_json::from_value(event["timestamp"].clone())?)
}

/// Whom a sample is about.
///
/// # Errors
///
/// If it is about no user.
pub(crate) fn user_id(event: &Value) -> anyhow::Result<UserId> {
    Ok(serde_json::from_value(event["data"]["id"].clone())?)
}

/// The row that an event about a live entity leaves.
///
/// # Errors
///
/// If its data cannot be read, or it is about something else.
pub(crate) fn item(event: &Value) -> anyhow::Result<Item> {
    let instance: InstanceId = INSTANCE.parse()?;
    let delivery_id = Some("msg_2nYgKkHKhA1dlGO7rC4b0000000".parse()?);
    let provenance = Provenance { applied_at: sent_at(event)?, applied_by: Writer::Webhook, delivery_id };
    let context = Context { instance: &instance, roles: Roles::usual(), provenance: &provenance };
    let dated = Envelope::parse(event.to_string().as_bytes()).ok().and_then(|envelope| envelope.open().ok().flatten());
    let item = match dated.context("the data of the sample event cannot be read")?.event {
        Event::User(user) => Some(context.user(user)),
        Event::Organization(organization) => Some(context.organization(organization)),
        Event::Membership(membership) => context.membership(membership),
        _ => None,
    };
    item.with_context(|| format!("{} is not an event about a live entity", event["type"]))
}

/// A row as DynamoDB writes it.
///
/// # Errors
///
/// If it cannot be written so.
pub(crate) fn stored(attributes: &Map<String, Value>) -> anyhow::Result<Value> {
    Ok(json!(serde_dynamo::to_item::<_, serde_dynamo::Item>(attributes)?))
}
