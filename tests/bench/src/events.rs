//! The events of a measurement: Clerk's sample, moved to now, signed, and wrapped as API Gateway hands it over.

use anyhow::Context;
use http::HeaderMap;
use rollcall::core::millis::Millis;
use serde_json::{Value, json};
use svix::webhooks::Webhook;

const SAMPLE: &str = include_str!("../../../events/user.updated.json");
/// Whose events they are.
pub(crate) const INSTANCE: &str = "ins_2nUcuErN3glWyZnAP6qLqp85VBT";
/// Of the measured processes only; it signs nothing else.
pub(crate) const WEBHOOK_SECRET: &str = "whsec_cm9sbGNhbGwgYmVuY2hlcyB3aXRoIHRoaXMgb25l";

/// A signed body.
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

    /// The event of Lambda. Source: AWS, "AWS Lambda integration payload format", version 2.0.
    pub(crate) fn gateway_event(&self) -> String {
        let event = json!({
            "version": "2.0",
            "routeKey": "POST /webhooks/clerk",
            "rawPath": "/webhooks/clerk",
            "rawQueryString": "",
            "headers": {
                "accept": "*/*",
                "content-length": self.body.len().to_string(),
                "content-type": "application/json",
                "host": "example.execute-api.us-east-1.amazonaws.com",
                "svix-id": self.id,
                "svix-signature": self.signature,
                "svix-timestamp": self.timestamp,
                "user-agent": "Svix-Webhooks/1.84.0",
                "x-forwarded-for": "192.0.2.10",
                "x-forwarded-port": "443",
                "x-forwarded-proto": "https",
            },
            "requestContext": {
                "accountId": "123456789012",
                "apiId": "example",
                "domainName": "example.execute-api.us-east-1.amazonaws.com",
                "domainPrefix": "example",
                "http": {
                    "method": "POST",
                    "path": "/webhooks/clerk",
                    "protocol": "HTTP/1.1",
                    "sourceIp": "192.0.2.10",
                    "userAgent": "Svix-Webhooks/1.84.0",
                },
                "requestId": "JKJaXmPLvHcESHA=",
                "routeKey": "POST /webhooks/clerk",
                "stage": "$default",
                "time": "21/Nov/2026:09:00:00 +0000",
                "timeEpoch": self.sent_at,
            },
            "body": self.body,
            "isBase64Encoded": false,
        });
        event.to_string()
    }
}
