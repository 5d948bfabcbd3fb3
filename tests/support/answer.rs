//! Converts requests to API Gateway's invocation events and reads the responses of functions.

use axum::body::to_bytes;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::events::Sent;

/// The response of a function.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: http::HeaderMap,
    /// The body as JSON; null if it is not JSON.
    pub body: Value,
    /// The raw body.
    pub text: String,
}

impl Answer {
    /// The status and the outcome or the problem code, for comparisons.
    pub fn brief(&self) -> (u16, &str) {
        let text = self.body["outcome"].as_str().or(self.body["code"].as_str());
        (self.status, text.unwrap_or_default())
    }

    /// The entities and records that `ensure` has created.
    pub fn created(&self) -> Vec<&str> {
        self.body["created"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// A header as text; `None` if it is absent.
    ///
    /// # Panics
    ///
    /// If the header is not text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Whether the response asks Svix to stop the retries.
    pub fn aborts(&self) -> bool {
        self.headers.get("webhook-delivery").is_some_and(|value| value == "abort-message")
    }
}

/// Reads a whole response.
///
/// # Panics
///
/// If the body is incomplete or not text.
pub async fn read(response: axum::response::Response) -> Answer {
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: serde_json::from_slice(&body).unwrap_or_default(),
        text: String::from_utf8_lossy(&body).into_owned(),
    }
}

/// The event with which API Gateway would invoke the function.
pub fn gateway_event(sent: &Sent, base64: bool) -> Value {
    let headers: serde_json::Map<String, Value> =
        sent.headers.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    let body = if base64 { STANDARD.encode(&sent.body) } else { String::from_utf8_lossy(&sent.body).into_owned() };
    json!({
        "version": "2.0",
        "routeKey": "POST /webhooks/clerk",
        "rawPath": "/webhooks/clerk",
        "rawQueryString": "",
        "headers": headers,
        "requestContext": {
            "http": { "method": "POST", "path": "/webhooks/clerk", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1" },
            "requestId": "the-request",
            "routeKey": "POST /webhooks/clerk",
            "stage": "$default",
        },
        "body": body,
        "isBase64Encoded": base64,
    })
}
