//! What goes into a function and what comes out of it, as API Gateway has it.

use axum::body::to_bytes;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::events::Sent;

/// What the function answered.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: http::HeaderMap,
    /// The body, as JSON; null if it is none.
    pub body: Value,
    /// The body as it came.
    pub text: String,
}

impl Answer {
    /// The status and the outcome or code: what a test compares.
    pub fn brief(&self) -> (u16, &str) {
        let text = self.body["outcome"].as_str().or(self.body["code"].as_str());
        (self.status, text.unwrap_or_default())
    }

    /// What `ensure` says that it created.
    pub fn created(&self) -> Vec<&str> {
        self.body["created"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// A header as text; nothing if it is not there.
    ///
    /// # Panics
    ///
    /// If it is no text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Whether Svix was told to stop repeating the message.
    pub fn aborts(&self) -> bool {
        self.headers.get("webhook-delivery").is_some_and(|value| value == "abort-message")
    }
}

/// Reads an answer whole.
///
/// # Panics
///
/// If it breaks off, or its body is no text.
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
