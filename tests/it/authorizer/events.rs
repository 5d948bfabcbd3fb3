//! Which kind of API sends an event, and the answers to events that no API sends.

use serde_json::{Value, json};

use super::{Event, KINDS, appsync, payload_1, read, rest_request, rest_token, simple, with_ada};

const NONE: &str = "the event is not an authorizer request";

#[tokio::test]
async fn an_event_of_a_route_or_of_another_kind_is_an_error() {
    let (world, ada, _) = with_ada().await;
    let token = world.session(&ada, None);
    let changed = |event: Event, change: fn(&mut Value)| {
        let mut event = event(&token);
        change(&mut event);
        event
    };
    let remove = |event: Event, name: &str| {
        let mut event = event(&token);
        event.as_object_mut().unwrap().remove(name).unwrap();
        event
    };
    for event in [
        // Events of routes that name this function by mistake.
        remove(simple, "type"),
        remove(payload_1, "methodArn"),
        remove(rest_request, "methodArn"),
        changed(simple, |event| event["type"] = "TOKEN".into()),
        changed(simple, |event| event["version"] = "3.0".into()),
        changed(simple, |event| event["version"] = json!(2.0)),
        changed(rest_request, |event| event["type"] = "request".into()),
        changed(rest_request, |event| event["methodArn"] = "*".into()),
        changed(rest_request, |event| event["methodArn"] = "arn:aws:execute-api:us-east-1:1:*/*/*/*".into()),
        remove(rest_token, "methodArn"),
        remove(rest_token, "type"),
        remove(appsync, "authorizationToken"),
        remove(appsync, "requestContext"),
        changed(appsync, |event| event["requestContext"] = "x".into()),
        changed(appsync, |event| event["authorizationToken"] = Value::Null),
    ] {
        assert_eq!(world.authorize(event.clone()).await.unwrap_err(), NONE, "{event}");
    }
    assert!(world.wire.take().is_empty());
}

#[tokio::test]
async fn the_fields_decide_in_a_fixed_order() {
    let (world, ada, _) = with_ada().await;
    let token = world.session(&ada, None);
    // If a field is in several of them, the first one counts.
    let all = |events: &[Value]| {
        let fields = events.iter().rev().flat_map(|event| event.as_object().unwrap().clone());
        Value::Object(fields.collect())
    };
    // Version 2.0 is checked before the ARN of a method, and the ARN of a method before a token.
    let (two, rest, sync) = (simple(&token), rest_request(&token), appsync(&token));
    assert!(world.authorize(all(&[two, rest.clone(), sync.clone()])).await.unwrap()["isAuthorized"].is_boolean());
    assert!(world.authorize(all(&[rest, sync])).await.unwrap()["policyDocument"].is_object());
}

/// The pointers of all values in an event.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.replace('/', "~1"), value)).collect(),
        Value::Array(values) => values.iter().enumerate().map(|(at, value)| (at.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    for (name, value) in children {
        let pointer = format!("{at}/{name}");
        pointers(value, &pointer, found);
        found.push(pointer);
    }
}

/// Copies of an event, each with one value replaced.
fn mutilated(event: &Value) -> Vec<Value> {
    let mut found = Vec::new();
    pointers(event, "", &mut found);
    let long = "x".repeat(70_000);
    let values = [
        Value::Null,
        json!(-1.5e300),
        json!(true),
        json!(""),
        json!("\u{0}\r\n\u{7f}\u{e9}\u{1f600}"),
        json!(long),
        json!([]),
        json!([null, 1, "x", ["y"]]),
        json!({}),
        json!({ "": null, "a b": "c", "authorization": ["Bearer", 1], "cookie": { "x": 1 } }),
    ];
    let with = |pointer: &String, value: &Value| {
        let mut event = event.clone();
        *event.pointer_mut(pointer).unwrap() = value.clone();
        event
    };
    found.iter().flat_map(|pointer| values.iter().map(move |value| with(pointer, value))).collect()
}

#[tokio::test]
async fn no_event_whatever_its_parts_makes_the_function_panic_or_lets_a_stranger_in() {
    let (world, ada, _) = with_ada().await;
    let (mut tried, mut allowed) = (0, 0);
    for (kind, event) in KINDS {
        // A caller of whom only the token's signature is right, and an admitted caller.
        for (token, may) in [(world.session("user_nobody", None), false), (world.session(&ada, None), true)] {
            for event in mutilated(&event(&token)) {
                tried += 1;
                let Ok(answer) = world.authorize(event.clone()).await else { continue };
                // The ARN may be a replaced value, so the test checks only the decision.
                let effect = &answer["policyDocument"]["Statement"][0]["Effect"];
                let is_allowed = answer["isAuthorized"] == true || effect == "Allow";
                assert!(may || !is_allowed, "{kind}: {answer}");
                assert!(!is_allowed || read(&answer).1["clerk_user_id"] == json!(ada), "{kind}: {answer}");
                allowed += usize::from(is_allowed);
            }
        }
    }
    assert!(tried > 2_000 && allowed > 500, "{tried} {allowed}");
}
