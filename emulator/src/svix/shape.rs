//! Endpoints, messages and attempts as Svix shows them.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    faults::SvixFaults,
    webhooks::{
        DeliveryState,
        message::{Followed, Kept, Message},
        registered::Registered,
    },
};

/// A time in RFC 3339.
pub(super) fn time(ms: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000);
    time.ok().and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()
}

/// A time in unix ms.
pub(super) fn ms(text: &str) -> Option<i64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000_000)).ok()
}

/// An endpoint. Two names changed on 2026-07-21; both are shown, or the old ones alone.
pub(super) fn endpoint(endpoint: &Registered, faults: &SvixFaults) -> Value {
    let mut shown = Map::new();
    let mut add = |name: &str, value: Value| drop(shown.insert(name.to_owned(), value));
    add("id", json!(endpoint.id));
    add("url", json!(endpoint.url));
    add("description", json!(endpoint.description));
    add("version", json!(1));
    add("disabled", json!(endpoint.disabled));
    add("metadata", json!(endpoint.metadata));
    add("createdAt", json!(time(endpoint.created_at)));
    add("updatedAt", json!(time(endpoint.updated_at)));
    if let Some(uid) = &endpoint.uid {
        add("uid", json!(uid));
    }
    let names = |new: &'static str, old: &'static str| if faults.old_names { vec![old] } else { vec![old, new] };
    for name in names("eventTypes", "filterTypes") {
        add(name, json!(endpoint.event_types));
    }
    for name in names("throttleRate", "rateLimit") {
        add(name, json!(endpoint.throttle_rate));
    }
    add("channels", json!(endpoint.channels));
    if faults.unknown_values {
        add("aFieldOfTomorrow", json!({ "x": 1 }));
    }
    Value::Object(shown)
}

/// A message; without its payload after the retention.
pub(super) fn message(message: &Message, with_content: bool, is_expired: bool) -> Value {
    let payload = match with_content && !is_expired {
        true => serde_json::from_str(&message.body).unwrap_or_default(),
        false => json!({}),
    };
    json!({ "id": message.svix_id, "eventType": message.event_type, "payload": payload, "timestamp": time(message.at) })
}

/// Svix's number and word for a state. A message that was never sent has none.
pub(super) fn status(state: DeliveryState) -> (u8, &'static str) {
    match state {
        DeliveryState::Delivered => (0, "success"),
        DeliveryState::Pending | DeliveryState::Dropped => (1, "pending"),
        DeliveryState::Failed | DeliveryState::Aborted => (2, "fail"),
    }
}

/// An attempt.
pub(super) fn attempt(followed: &Followed, kept: &Kept, endpoint: &Registered, faults: &SvixFaults) -> Value {
    let code = kept.attempt.status.unwrap_or_default();
    let (number, word) = if (200..300).contains(&code) { (0, "success") } else { (2, "fail") };
    let (number, word) = if faults.unknown_values { (9, "postponed") } else { (number, word) };
    json!({
        "id": kept.id,
        "msgId": followed.message.svix_id,
        "endpointId": endpoint.id,
        "url": kept.url,
        "status": number,
        "statusText": word,
        "response": kept.response,
        "responseStatusCode": code,
        "responseDurationMs": kept.duration_ms,
        "triggerType": u8::from(kept.is_manual),
        "timestamp": time(kept.attempt.at),
    })
}

/// A page of a list in Svix's form: the rows behind the iterator, which is the id of a row.
pub(super) fn page(rows: &[(String, Value)], iterator: Option<&str>, limit: usize) -> Value {
    let from = iterator.and_then(|iterator| rows.iter().position(|(id, _)| id == iterator)).map_or(0, |at| at + 1);
    let shown: Vec<(String, Value)> = rows.iter().skip(from).take(limit.max(1)).cloned().collect();
    let (first, last) = (shown.first().map(|(id, _)| id.clone()), shown.last().map(|(id, _)| id.clone()));
    let done = from + shown.len() >= rows.len();
    let data: Vec<Value> = shown.into_iter().map(|(_, row)| row).collect();
    json!({ "data": data, "iterator": last, "prevIterator": first.map(|first| format!("-{first}")), "done": done })
}

/// Whether the payload of a message is gone.
pub(super) fn is_expired(message: &Arc<Message>, faults: &SvixFaults, now: i64) -> bool {
    faults.retention_ms.is_some_and(|retention| now - message.at >= i64::try_from(retention).unwrap_or(i64::MAX))
}
