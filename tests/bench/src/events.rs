//! The webhook's hot path: a live event that replaces an older state. Clerk's sample, moved to now, signed, and wrapped as
//! API Gateway hands it over.

use anyhow::Context;
use http::HeaderMap;
use rollcall::core::millis::Millis;
use serde_json::{Value, json};
use svix::webhooks::Webhook;

use crate::hot_path::{self, Answered, Asked, DIRECTORY_TABLE, HotPath, OPERATIONS_TABLE, SOMEBODY_WAITS};

const SAMPLE: &str = include_str!("../../../events/user.updated.json");
/// Whose events they are.
pub(crate) const INSTANCE: &str = "ins_2nUcuErN3glWyZnAP6qLqp85VBT";
/// Of the measured processes only; it signs nothing else.
pub(crate) const WEBHOOK_SECRET: &str = "whsec_cm9sbGNhbGwgYmVuY2hlcyB3aXRoIHRoaXMgb25l";

/// `1.0` and not `1`: DynamoDB writes units as decimals.
const STORED: &str = r#"{"ConsumedCapacity":{"TableName":"rollcall-directory","CapacityUnits":1.0}}"#;

/// The path: one write, stored at once.
pub(crate) fn hot_path() -> HotPath {
    let settings = [
        ("DIRECTORY_TABLE", DIRECTORY_TABLE),
        ("OPERATIONS_TABLE", OPERATIONS_TABLE),
        ("CLERK_INSTANCE_ID", INSTANCE),
        ("CLERK_SECRET_KEY", "sk_test_invented"),
        ("CLERK_WEBHOOK_SECRET", WEBHOOK_SECRET),
    ];
    HotPath {
        function: "webhook",
        settings: settings.map(|(name, value)| (name, value.to_owned())).to_vec(),
        limit: SOMEBODY_WAITS,
        asks: vec![Asked::new("PutItem", STORED)],
        answer: Answered::Body(json!({ "outcome": "applied" })),
        events: |now, count| (0..count).map(|number| Ok(user_updated(now, now, number)?.gateway_event())).collect(),
    }
}

pub(crate) struct Signed {
    /// The body, as Clerk sends it.
    pub(crate) body: String,
    id: String,
    timestamp: String,
    signature: String,
    sent_at: Millis,
}

/// The sample as the state of its user at `updated_at`, signed and sent at `sent_at` as message number `number`.
///
/// An event must be fresh, or another write is measured: a late one creates nothing.
///
/// # Errors
///
/// If the sample is no JSON, or cannot be signed.
pub(crate) fn user_updated(updated_at: Millis, sent_at: Millis, number: usize) -> anyhow::Result<Signed> {
    let mut payload: Value = serde_json::from_str(SAMPLE).context("events/user.updated.json")?;
    payload["instance_id"] = INSTANCE.into();
    payload["data"]["updated_at"] = updated_at.get().into();
    payload["timestamp"] = sent_at.get().into();
    let body = payload.to_string();
    let id = format!("msg_2nYgKkHKhA1dlGO7rC4b{number:07}");
    let timestamp = i64::try_from(sent_at.get() / 1000)?;
    let signature = Webhook::new(WEBHOOK_SECRET)?.sign(&id, timestamp, body.as_bytes())?;
    Ok(Signed { body, id, timestamp: timestamp.to_string(), signature, sent_at })
}

impl Signed {
    /// The headers that carry the signature.
    ///
    /// # Errors
    ///
    /// Never: all three are ASCII.
    pub(crate) fn headers(&self) -> anyhow::Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        headers.insert("svix-id", self.id.parse()?);
        headers.insert("svix-timestamp", self.timestamp.parse()?);
        headers.insert("svix-signature", self.signature.parse()?);
        Ok(headers)
    }

    /// The event of Lambda.
    pub(crate) fn gateway_event(&self) -> String {
        let headers = [
            ("content-type", "application/json"),
            ("svix-id", &*self.id),
            ("svix-signature", &self.signature),
            ("svix-timestamp", &self.timestamp),
            ("user-agent", "Svix-Webhooks/1.84.0"),
        ];
        hot_path::gateway_event("POST /webhooks/clerk", headers, Some(&self.body), self.sent_at)
    }
}
