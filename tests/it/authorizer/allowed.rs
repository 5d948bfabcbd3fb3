//! Authorized requests: the context for the application's functions, and the cost of each request.

use clerk_emulator::TokenRequest;
use rollcall::core::id::InstanceId;
use rollcall_tests::World;
use serde_json::{Map, Value, json};

use super::{KINDS, appsync, context, read, refusal, rest_token, simple, with_ada};
use crate::ensure::profiles::newcomer;
use crate::{membership, user};

fn internal_id(world: &World, id: &str) -> String {
    let instance: InstanceId = world.stack.addresses.clerk_instance_id.parse().unwrap();
    instance.internal_id(&id.parse().unwrap()).to_string()
}

#[tokio::test]
async fn each_kind_of_api_is_told_who_the_caller_is_with_one_request_and_none_to_clerk() {
    let (world, ada, acme) = with_ada().await;
    let clerk_calls = world.clerk_calls();
    for (kind, event) in KINDS {
        let said = context(&world, event(&world.session(&ada, Some(&acme)))).await;
        let operations: Vec<String> = world.wire.take().into_iter().map(|call| call.operation).collect();
        assert_eq!(operations, ["BatchGetItem"], "{kind}");
        let permissions = world.item(&membership(&ada, &acme)).await.unwrap()["permissions"].clone();
        let permissions: Vec<&str> = permissions.as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert!(permissions.len() > 1, "{permissions:?}");
        let expected = json!({
            "user_id": internal_id(&world, &ada), "clerk_user_id": ada, "role": "user", "organization_id": acme,
            "organization_role": "org:admin", "permissions": permissions.join(" "), "claims_age": "0",
        });
        assert_eq!(said, expected, "{kind}");
    }
    assert_eq!(world.clerk_calls(), clerk_calls, "nothing is asked of Clerk");
}

#[tokio::test]
async fn i14_an_answer_is_one_request_of_three_read_units() {
    let (world, ada, acme) = with_ada().await;
    context(&world, simple(&world.session(&ada, Some(&acme)))).await;
    let calls = world.wire.take();
    assert_eq!((calls.len(), calls[0].units.to_string().as_str()), (1, "3"), "{calls:?}");
}

#[tokio::test]
async fn the_forms_of_the_answers_are_those_that_aws_documents() {
    let (world, ada, _) = with_ada().await;
    let token = world.session(&ada, None);
    let who = json!({
        "user_id": internal_id(&world, &ada), "clerk_user_id": ada, "role": "user", "organization_id": "",
        "organization_role": "", "permissions": "", "claims_age": "0",
    });
    let answer = world.authorize(simple(&token)).await.unwrap();
    assert_eq!(answer, json!({ "isAuthorized": true, "context": who }));
    let answer = world.authorize(appsync(&token)).await.unwrap();
    assert_eq!(answer, json!({ "isAuthorized": true, "resolverContext": who, "ttlOverride": 0 }));
    let policy = |effect: &str| {
        let resource = "arn:aws:execute-api:us-east-1:123456789012:abcdef123/test/*";
        let statement = json!({ "Action": "execute-api:Invoke", "Effect": effect, "Resource": resource });
        json!({ "Version": "2012-10-17", "Statement": [statement] })
    };
    let answer = world.authorize(rest_token(&token)).await.unwrap();
    let allowed =
        json!({ "principalId": internal_id(&world, &ada), "policyDocument": policy("Allow"), "context": who });
    assert_eq!(answer, allowed);
    // The answers that deny a request.
    let code = json!({ "code": "token_malformed" });
    let answer = world.authorize(simple("x")).await.unwrap();
    assert_eq!(answer, json!({ "isAuthorized": false, "context": code }));
    let answer = world.authorize(appsync("x")).await.unwrap();
    assert_eq!(answer, json!({ "isAuthorized": false, "ttlOverride": 0 }));
    let answer = world.authorize(rest_token("x")).await.unwrap();
    assert_eq!(answer, json!({ "principalId": "refused", "policyDocument": policy("Deny"), "context": code }));
}

#[tokio::test]
async fn the_page_about_the_context_has_each_of_its_keys_and_no_other() {
    let page = include_str!("../../../docs/authorizer.md");
    let section = page.split("## The context").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let documented: Vec<&str> = rows.map(|(key, _)| key).collect();
    let world = World::with(&[("MIRROR", "off")]).await;
    let (ada, _) = newcomer(&world).await;
    let said = context(&world, simple(&world.session(&ada, None))).await;
    let mut keys: Vec<&String> = said.as_object().unwrap().keys().collect();
    keys.sort_by_key(|key| documented.iter().position(|name| name == key));
    assert_eq!(keys, documented);
}

#[tokio::test]
async fn a_token_counts_with_and_without_the_word_bearer_where_the_event_has_nothing_else() {
    let (world, ada, _) = with_ada().await;
    let token = world.session(&ada, None);
    for (name, event) in [("TOKEN", rest_token("")), ("AppSync", appsync(""))] {
        let with = |value: &str| {
            let mut event = event.clone();
            event["authorizationToken"] = value.into();
            event
        };
        for value in [token.clone(), format!("Bearer {token}"), format!("bearer {token} "), format!(" {token} ")] {
            assert_eq!(context(&world, with(&value)).await["clerk_user_id"], json!(ada), "{name}");
        }
        let missing = if name == "TOKEN" { "Unauthorized" } else { "refused" };
        for value in ["", " ", &format!("Basic {token}"), &format!("Token a {token}")] {
            assert_eq!(refusal(&world, with(value)).await, missing, "{name} {value:?}");
        }
    }
}

#[tokio::test]
async fn i8_a_token_grants_nothing_that_the_copy_does_not_say() {
    let (world, ada, acme) = with_ada().await;
    let grace = json!({ "first_name": "Grace", "email_address": ["grace@example.com"] });
    let grace = world.clerk("POST", "/users", grace).await["id"].as_str().unwrap().to_owned();
    let member = json!({ "user_id": grace, "role": "org:member" });
    world.clerk("POST", &format!("/organizations/{acme}/memberships"), member).await;
    world.reconcile().await;
    let claims = |claims: Value| if let Value::Object(claims) = claims { claims } else { Map::new() };
    let boasting = |user: &str, organization: &str| {
        let o = json!({ "id": organization, "slg": "x", "rol": "admin", "per": "manage", "fpm": "1" });
        let claims =
            claims(json!({ "o": o, "fea": "o:teams", "role": "admin", "metadata": { "role": "admin", "dbId": "x" } }));
        world.token(&TokenRequest { claims, ..TokenRequest::new(user) })
    };
    let copied = world.item(&membership(&grace, &acme)).await.unwrap();
    let of_copy =
        copied["permissions"].as_array().unwrap().iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ");
    for (kind, event) in KINDS {
        let said = context(&world, event(&boasting(&grace, &acme))).await;
        let granted = [&said["role"], &said["organization_role"], &said["permissions"], &said["user_id"]];
        let internal = json!(internal_id(&world, &grace));
        assert_eq!(granted, [&json!("user"), &json!("org:member"), &json!(of_copy), &internal], "{kind}");
        // An active organization without a membership in the copy does not count.
        let said = context(&world, event(&boasting(&ada, "org_nobody"))).await;
        let granted = [&said["organization_id"], &said["organization_role"], &said["permissions"]];
        assert_eq!(granted, [&json!(""), &json!(""), &json!("")], "{kind}");
    }
}

#[tokio::test]
async fn a_role_of_the_copy_that_is_not_allowed_any_more_is_that_of_a_user() {
    let (world, ada, _) = with_ada().await;
    let metadata = json!({ "public_metadata": { "role": "admin" } });
    world.clerk("PATCH", &format!("/users/{ada}/metadata"), metadata).await;
    world.reconcile().await;
    assert_eq!(world.item(&user(&ada)).await.unwrap()["role"], "admin");
    let token = world.session(&ada, None);
    assert_eq!(context(&world, simple(&token)).await["role"], "admin");
    let narrowed = world.beside(&[("ROLES", "coach,user")]).await;
    assert_eq!(context(&narrowed, simple(&token)).await["role"], "user");
}

#[tokio::test]
async fn the_age_of_the_claims_is_counted_in_seconds() {
    let (world, ada, _) = with_ada().await;
    let token = world.session(&ada, None);
    world.set_now(world.now().get() + 42_999);
    assert_eq!(context(&world, simple(&token)).await["claims_age"], "42");
}

#[tokio::test]
async fn a3_without_a_mirror_token_and_tombstone_decide_and_clerk_is_not_asked() {
    let world = World::with(&[("MIRROR", "off")]).await;
    let (ada, acme) = newcomer(&world).await;
    let metadata = json!({ "role": "admin" }).as_object().unwrap().clone();
    let claims = Map::from_iter([("metadata".to_owned(), Value::Object(metadata))]);
    let token = world.token(&TokenRequest { organization_id: Some(acme.clone()), claims, ..TokenRequest::new(&ada) });
    let clerk_calls = world.clerk_calls();
    for (kind, event) in KINDS {
        let expected = json!({
            "user_id": internal_id(&world, &ada), "clerk_user_id": ada, "role": "", "organization_id": "",
            "organization_role": "", "permissions": "", "claims_age": "0", "copy": "off",
        });
        assert_eq!(context(&world, event(&token)).await, expected, "{kind}");
        let calls = world.wire.take();
        assert_eq!((calls.len(), calls[0].units.to_string().as_str()), (1, "1"), "{kind}: {calls:?}");
    }
    assert_eq!(world.clerk_calls(), clerk_calls, "nothing is asked of Clerk");
    let deleted = json!({ "id": ada, "object": "user", "deleted": true });
    let deleted = rollcall_tests::event("user.deleted", &deleted, world.now().get() + 2);
    assert_eq!(world.post(&deleted).await.brief(), (200, "applied"));
    for (kind, event) in KINDS {
        let (is_allowed, said) = read(&world.authorize(event(&token)).await.unwrap());
        assert!(!is_allowed, "{kind}");
        assert!(kind == "AppSync" || said["code"] == "user_deleted", "{kind}: {said:?}");
    }
}

#[tokio::test]
async fn a_row_from_before_the_mirror_was_off_says_nothing() {
    let (world, ada, acme) = with_ada().await;
    world.clerk("POST", &format!("/users/{ada}/ban"), Value::Null).await;
    world.reconcile().await;
    let token = world.session(&ada, Some(&acme));
    assert_eq!(refusal(&world, simple(&token)).await, "user_banned");
    let off = world.beside(&[("MIRROR", "off")]).await;
    let said = context(&off, simple(&token)).await;
    assert_eq!((&said["copy"], &said["role"], &said["organization_role"]), (&json!("off"), &json!(""), &json!("")));
}
