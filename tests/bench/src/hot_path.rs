//! The hot path of a function: what it is handed, what it asks of the store, and what it must answer.

use rollcall::core::millis::Millis;
use serde_json::{Value, json};

use crate::runtime_api::Answer;

/// The tables of a measurement.
pub(crate) const DIRECTORY_TABLE: &str = "rollcall-directory";
/// See [`DIRECTORY_TABLE`].
pub(crate) const PROFILES_TABLE: &str = "rollcall-profiles";
/// See [`DIRECTORY_TABLE`].
pub(crate) const OPERATIONS_TABLE: &str = "rollcall-operations";

const DOMAIN: &str = "example.execute-api.us-east-1.amazonaws.com";

/// One function on the path that nearly all of its invocations take.
pub(crate) struct HotPath {
    /// Its name, which is its binary's, too.
    pub(crate) function: &'static str,
    /// Its own settings.
    pub(crate) settings: Vec<(&'static str, String)>,
    /// The operation of AWS that each event must ask for, and no other.
    pub(crate) operation: &'static str,
    /// How often.
    pub(crate) times: usize,
    /// What AWS says to it, as JSON.
    pub(crate) stored: String,
    /// Its answer, whatever the event's number.
    pub(crate) answer: Answered,
    /// So many events for one process, sent now.
    pub(crate) events: fn(Millis, usize) -> anyhow::Result<Vec<String>>,
}

/// What a function must answer.
pub(crate) enum Answered {
    /// To API Gateway: status 200 and this body.
    Body(Value),
    /// To whoever invokes it: just this.
    Plain(Value),
}

impl Answered {
    /// Whether this is it.
    pub(crate) fn is(&self, answer: &Answer) -> bool {
        match self {
            Answered::Body(body) => answer.status == 200 && answer.body == *body,
            Answered::Plain(whole) => answer.whole == *whole,
        }
    }
}

/// The event of Lambda for a `POST` to `path` at the moment `at`. Source: AWS, "AWS Lambda integration payload format",
/// version 2.0.
pub(crate) fn gateway_event<const N: usize>(
    path: &str,
    headers: [(&str, &str); N],
    body: Option<&str>,
    at: Millis,
) -> String {
    let mut all = json!({
        "accept": "*/*",
        "content-length": body.unwrap_or_default().len().to_string(),
        "host": DOMAIN,
        "x-forwarded-for": "192.0.2.10",
        "x-forwarded-port": "443",
        "x-forwarded-proto": "https",
    });
    for (name, value) in headers {
        all[name] = value.into();
    }
    let mut event = json!({
        "version": "2.0",
        "routeKey": format!("POST {path}"),
        "rawPath": path,
        "rawQueryString": "",
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "example",
            "domainName": DOMAIN,
            "domainPrefix": "example",
            "http": {
                "method": "POST",
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.10",
                "userAgent": all["user-agent"],
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": format!("POST {path}"),
            "stage": "$default",
            "time": "21/Nov/2026:09:00:00 +0000",
            "timeEpoch": at,
        },
        "isBase64Encoded": false,
    });
    event["headers"] = all;
    // API Gateway leaves the member out where there is no body.
    if let Some(body) = body {
        event["body"] = body.into();
    }
    event.to_string()
}
