//! The hot path of authorizer: an HTTP API with payload 2.0 asks whether a request may pass. The caller is that of
//! ensure-profile, active in an organization.

use anyhow::Context as _;
use rollcall::core::account::context::Context;
use rollcall::core::millis::Millis;
use rollcall::core::mirror::item::Item;
use serde_json::{Value, json};

use crate::callers::{self, Caller, LIFETIME};
use crate::hot_path::{Answered, Asked, DIRECTORY_TABLE, HotPath, SOMEBODY_WAITS};

/// A route of the application's own API.
const ROUTE: &str = "GET /invoices";
const ROUTE_ARN: &str = "arn:aws:execute-api:us-east-1:123456789012:example/$default/GET/invoices";
/// Where the answer says how long ago the token was issued.
const AGE: &str = "/context/claims_age";

/// The path: one read of the caller's rows in the Directory.
///
/// # Errors
///
/// If a sample is not what it was.
pub(crate) fn hot_path() -> anyhow::Result<HotPath> {
    let caller = Caller::of_samples()?;
    let copies = json!({ "Responses": { DIRECTORY_TABLE: caller.copies()? }, "UnprocessedKeys": {} });
    Ok(HotPath {
        function: "authorizer",
        settings: callers::settings(&[]),
        limit: SOMEBODY_WAITS,
        asks: vec![Asked::new("BatchGetItem", copies.to_string())],
        answer: Answered::Aged { whole: answer(&caller)?, age: AGE, below: LIFETIME },
        events,
    })
}

/// Source: AWS, "Control access to HTTP APIs with AWS Lambda authorizers", payload format 2.0: the event of the route, without
/// a body and with what the authorizer is asked about.
fn events(now: Millis, count: usize) -> anyhow::Result<Vec<String>> {
    let call = callers::calls(ROUTE, now, 1)?.pop().context("no call")?;
    let mut event: Value = serde_json::from_str(&call)?;
    let token = event["headers"]["authorization"].clone();
    let members = event.as_object_mut().context("the event is no object")?;
    members.remove("isBase64Encoded");
    members.insert("type".to_owned(), "REQUEST".into());
    members.insert("routeArn".to_owned(), ROUTE_ARN.into());
    members.insert("identitySource".to_owned(), json!([token]));
    Ok(vec![event.to_string(); count])
}

/// Everything but the age of the claims.
fn answer(caller: &Caller) -> anyhow::Result<Value> {
    let text = |item: &Item, name: &str| item.fields.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (user, membership) = (&caller.user, &caller.membership);
    let permissions = membership.fields.get("permissions").cloned().unwrap_or_default();
    let permissions: Vec<String> = serde_json::from_value(permissions).context("the permissions of the sample")?;
    let mut answer = json!({
        "isAuthorized": true,
        "context": Context {
            user_id: text(user, "id"),
            clerk_user_id: text(user, "clerk_user_id"),
            role: text(user, "role"),
            organization_id: text(&caller.organization, "organization_id"),
            organization_role: text(membership, "role"),
            permissions: permissions.join(" "),
            claims_age: String::new(),
            copy: None,
        },
    });
    *answer.pointer_mut(AGE).context("no age")? = Value::Null;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caller_is_active_in_an_organization_with_permissions() {
        let answer = answer(&Caller::of_samples().unwrap()).unwrap();
        let context = answer["context"].as_object().unwrap();
        assert_eq!(context.len(), 7);
        for (name, value) in context.iter().filter(|(name, _)| *name != "claims_age") {
            assert!(value.as_str().is_some_and(|text| !text.is_empty()), "{name}");
        }
    }

    #[test]
    fn the_event_is_the_one_of_an_authorizer() {
        let now = Millis::try_from(1_767_225_900_000).unwrap();
        let events = events(now, 2).unwrap();
        let event: Value = serde_json::from_str(&events[1]).unwrap();
        assert_eq!(
            (&*events[0], event["version"].as_str(), event["type"].as_str()),
            (&*events[1], Some("2.0"), Some("REQUEST"))
        );
        assert_eq!(event["identitySource"], json!([event["headers"]["authorization"]]));
        assert!(event["identitySource"][0].as_str().unwrap().starts_with("Bearer ey"));
        assert_eq!(event["requestContext"]["http"]["method"], "GET");
        for absent in ["body", "isBase64Encoded"] {
            assert!(event.get(absent).is_none(), "{absent}");
        }
    }
}
