//! The hot path of a function: what it is handed, what it asks of AWS, and what it must answer.

use std::time::Duration;

use rollcall::core::millis::Millis;
use serde_json::{Value, json};

use crate::runtime_api::Answer;

/// The tables of a measurement.
pub(crate) const DIRECTORY_TABLE: &str = "rollcall-directory";
/// See [`DIRECTORY_TABLE`].
pub(crate) const PROFILES_TABLE: &str = "rollcall-profiles";
/// See [`DIRECTORY_TABLE`].
pub(crate) const OPERATIONS_TABLE: &str = "rollcall-operations";

/// What an invocation may take where somebody waits for the answer.
pub(crate) const SOMEBODY_WAITS: Duration = Duration::from_secs(10);
/// The same for react, whose answer is for nobody.
pub(crate) const NOBODY_WAITS: Duration = Duration::from_mins(5);

const DOMAIN: &str = "example.execute-api.us-east-1.amazonaws.com";

/// One function on the path that nearly all of its invocations take.
pub(crate) struct HotPath {
    /// Its name, which is its binary's, too.
    pub(crate) function: &'static str,
    pub(crate) settings: Vec<(&'static str, String)>,
    /// What an invocation may take, as template.yaml has it. A function that is about to run out of time begins nothing.
    pub(crate) limit: Duration,
    /// What each event must ask of AWS, in this order, and nothing else.
    pub(crate) asks: Vec<Asked>,
    /// Its answer, whatever the event's number.
    pub(crate) answer: Answered,
    /// So many events for one process, sent now.
    pub(crate) events: fn(Millis, usize) -> anyhow::Result<Vec<String>>,
}

/// A request to AWS.
pub(crate) struct Asked {
    pub(crate) operation: &'static str,
    /// What AWS says to it, as JSON.
    pub(crate) answer: String,
}

impl Asked {
    /// This operation, answered so.
    pub(crate) fn new(operation: &'static str, answer: impl Into<String>) -> Asked {
        Asked { operation, answer: answer.into() }
    }
}

/// What a function must answer.
pub(crate) enum Answered {
    /// To API Gateway: status 200 and this body.
    Body(Value),
    /// To whoever invokes it: just this.
    Plain(Value),
    /// The same, with a text at the place `age`, where `whole` has null: whole seconds since the event was made, fewer than `below`.
    Aged { whole: Value, age: &'static str, below: u64 },
}

impl Answered {
    /// Whether this is it.
    pub(crate) fn is(&self, answer: &Answer) -> bool {
        match self {
            Answered::Body(body) => answer.status == 200 && answer.body == *body,
            Answered::Plain(whole) => answer.whole == *whole,
            Answered::Aged { whole, age, below } => {
                let mut rest = answer.whole.clone();
                let seconds = rest.pointer_mut(age).map(Value::take);
                let seconds = seconds.as_ref().and_then(Value::as_str).and_then(|text| text.parse::<u64>().ok());
                seconds.is_some_and(|seconds| seconds < *below) && rest == *whole
            }
        }
    }
}

/// The event of Lambda for a route, such as `POST /sync`, at the moment `at`. Source: AWS, "AWS Lambda integration payload format",
/// version 2.0.
pub(crate) fn gateway_event<const N: usize>(
    route: &str,
    headers: [(&str, &str); N],
    body: Option<&str>,
    at: Millis,
) -> String {
    let (method, path) = route.split_once(' ').unwrap_or(("GET", route));
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
        "routeKey": route,
        "rawPath": path,
        "rawQueryString": "",
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "example",
            "domainName": DOMAIN,
            "domainPrefix": "example",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.10",
                "userAgent": all["user-agent"],
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": route,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_whole_seconds_and_everything_else_is_exact() {
        let wanted = Answered::Aged { whole: json!({ "a": 1, "in": { "age": null } }), age: "/in/age", below: 600 };
        let is = |whole: Value| wanted.is(&Answer { latency: Duration::ZERO, status: 0, body: Value::Null, whole });
        assert!(is(json!({ "a": 1, "in": { "age": "0" } })) && is(json!({ "a": 1, "in": { "age": "599" } })));
        for age in [json!("600"), json!("-1"), json!("1.5"), json!(""), json!(0), Value::Null] {
            assert!(!is(json!({ "a": 1, "in": { "age": age } })), "{age}");
        }
        assert!(!is(json!({ "a": 2, "in": { "age": "0" } })));
        assert!(!is(json!({ "a": 1, "in": { "age": "0", "b": 2 } })));
        assert!(!is(json!({ "a": 1, "in": {} })) && !is(json!({ "a": 1 })));
    }
}
