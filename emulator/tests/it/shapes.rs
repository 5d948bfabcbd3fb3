//! Everything that the emulator can say, held against Clerk's documents, and the documents' validator held to account.

use std::{collections::BTreeSet, fs};

use clerk_emulator::Config;
use serde_json::{Value, json};

use crate::{
    contract::{self, repository},
    support::{Clerk, Endpoint, delivering_to, id},
};

const IDENTITY_EVENTS: [&str; 9] = [
    "user.created",
    "user.updated",
    "user.deleted",
    "organization.created",
    "organization.updated",
    "organization.deleted",
    "organizationMembership.created",
    "organizationMembership.updated",
    "organizationMembership.deleted",
];

#[test]
fn the_validator_accepts_clerk_s_own_samples_of_the_identity_events() {
    for kind in IDENTITY_EVENTS {
        let text = fs::read_to_string(repository("events").join(format!("{kind}.json"))).unwrap();
        let sample: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(contract::webhooks().check_event(&sample), Vec::<String>::new(), "{kind}");
    }
}

#[tokio::test]
async fn the_validator_catches_answers_that_are_not_clerk_s() {
    let clerk = Clerk::start(Config { users: 3, ..Config::default() }).await;
    let user = clerk.get("/v1/users").await.rows().remove(0);
    let path = format!("/v1/users/{}", id(&user));
    let faults = |body: &Value| contract::backend_api().check_answer("GET", &path, 200, body);
    assert_eq!(faults(&user), Vec::<String>::new());

    let broken = |break_it: fn(&mut Value)| {
        let mut user = user.clone();
        break_it(&mut user);
        user
    };
    let cases = [
        ("a time as text", broken(|user| user["created_at"] = json!("2026-01-01"))),
        ("a null that is not nullable", broken(|user| user["public_metadata"] = Value::Null)),
        ("an invented field", broken(|user| user["nickname"] = json!("x"))),
        ("a field of another object", broken(|user| user["object"] = json!("organization"))),
        ("an invented field in a contact", broken(|user| user["email_addresses"][0]["nickname"] = json!("x"))),
        ("a missing field", broken(|user| drop(user.as_object_mut().unwrap().remove("banned")))),
        ("a list around it", json!({"data": [user], "total_count": 1})),
    ];
    for (what, body) in cases {
        assert!(!faults(&body).is_empty(), "{what} was not noticed");
    }
    let absent = contract::backend_api().check_answer("GET", "/v1/nothing", 200, &user);
    assert!(!absent.is_empty(), "an operation outside the contract was not noticed");
}

/// Every operation at least once with success, and every identity event. The client and the endpoint validate.
#[tokio::test]
async fn every_operation_and_every_event_is_as_clerk_describes_it() {
    let endpoint = Endpoint::start().await;
    let clerk = Clerk::start(delivering_to(&endpoint)).await;
    play_everything(&clerk).await;
    clerk.emulator.settled().await;

    let seen: BTreeSet<String> = endpoint.kinds().into_iter().collect();
    assert_eq!(seen, IDENTITY_EVENTS.iter().map(ToString::to_string).collect());

    let answered: Vec<String> = clerk.emulator.requests().into_keys().collect();
    assert_eq!(
        answered,
        [
            "DELETE /v1/organizations/{organization_id}",
            "DELETE /v1/organizations/{organization_id}/memberships/{user_id}",
            "DELETE /v1/users/{user_id}",
            "GET /v1/instance",
            "GET /v1/organization_memberships",
            "GET /v1/organizations",
            "GET /v1/organizations/{organization_id}",
            "GET /v1/organizations/{organization_id}/memberships",
            "GET /v1/users",
            "GET /v1/users/count",
            "GET /v1/users/{user_id}",
            "GET /v1/users/{user_id}/organization_memberships",
            "PATCH /v1/organizations/{organization_id}",
            "PATCH /v1/organizations/{organization_id}/memberships/{user_id}",
            "PATCH /v1/organizations/{organization_id}/memberships/{user_id}/metadata",
            "PATCH /v1/organizations/{organization_id}/metadata",
            "PATCH /v1/users/{user_id}",
            "PATCH /v1/users/{user_id}/metadata",
            "POST /v1/organizations",
            "POST /v1/organizations/{organization_id}/memberships",
            "POST /v1/users",
            "POST /v1/users/{user_id}/ban",
            "POST /v1/users/{user_id}/lock",
            "POST /v1/users/{user_id}/unban",
            "POST /v1/users/{user_id}/unlock",
            "PUT /v1/organizations/{organization_id}/metadata",
            "PUT /v1/users/{user_id}/metadata",
        ]
    );
}

async fn play_everything(clerk: &Clerk) {
    let rich = json!({
        "first_name": "Ada", "last_name": "Example", "username": "ada", "external_id": "ex_1", "locale": "en-US",
        "email_address": ["ada@example.com", "ada@example.org"],
        "email_address_identification_status": ["verified", "reserved"],
        "phone_number": ["+15550100000"], "password": "correct horse", "legal_accepted_at": "2025-01-01T00:00:00Z",
        "public_metadata": {"role": "coach"}, "private_metadata": {"plan": 1}, "unsafe_metadata": {"theme": "dark"},
    });
    let ada = clerk.post("/v1/users", rich).await.ok();
    let grace = clerk.create_user("grace").await;
    let (ada, grace) = (id(&ada), id(&grace));
    for action in ["ban", "unban", "lock", "unlock"] {
        clerk.post(&format!("/v1/users/{grace}/{action}"), json!({})).await.ok();
    }
    clerk.patch(&format!("/v1/users/{ada}"), json!({"last_name": null})).await.ok();
    let metadata = json!({"public_metadata": {"a": {"b": 1}}});
    clerk.patch(&format!("/v1/users/{ada}/metadata"), metadata.clone()).await.ok();
    clerk.put(&format!("/v1/users/{ada}/metadata"), metadata.clone()).await.ok();

    let organization = clerk.create_organization("Acme Corp", &json!(ada)).await;
    let bare = clerk.post("/v1/organizations", json!({"name": "Nobody's"})).await.ok();
    let acme = format!("/v1/organizations/{}", id(&organization));
    clerk.patch(&acme, json!({"name": "Acme", "max_allowed_memberships": 5})).await.ok();
    clerk.patch(&format!("{acme}/metadata"), metadata.clone()).await.ok();
    clerk.put(&format!("{acme}/metadata"), metadata.clone()).await.ok();
    let membership = json!({"user_id": grace, "role": "org:billing_manager", "public_metadata": {"since": 2026}});
    clerk.post(&format!("{acme}/memberships"), membership).await.ok();
    let grace_in_acme = format!("{acme}/memberships/{grace}");
    clerk.patch(&grace_in_acme, json!({"role": "org:admin"})).await.ok();
    clerk.patch(&format!("{grace_in_acme}/metadata"), metadata).await.ok();

    for path in [
        "/v1/instance",
        "/v1/users",
        "/v1/users/count",
        "/v1/organizations",
        "/v1/organization_memberships",
        &format!("/v1/users/{ada}"),
        &format!("/v1/users/{ada}/organization_memberships"),
        &acme,
        &format!("{acme}/memberships"),
    ] {
        clerk.get(path).await.ok();
    }

    clerk.delete(&grace_in_acme).await.ok();
    clerk.delete(&acme).await.ok();
    clerk.delete(&format!("/v1/organizations/{}", id(&bare))).await.ok();
    clerk.delete(&format!("/v1/users/{ada}")).await.ok();
    clerk.delete(&format!("/v1/users/{grace}")).await.ok();
}

#[tokio::test]
async fn every_sample_user_is_as_clerk_describes_users() {
    let clerk = Clerk::start(Config { users: 60, ..Config::default() }).await;
    let users = clerk.get("/v1/users?limit=500").await.rows();
    assert_eq!(users.len(), 60);
    let some = |what: &str, is: fn(&Value) -> bool| assert!(users.iter().any(is), "no sample user {what}");
    let empty = |user: &Value, field: &str| user[field].as_array().is_some_and(Vec::is_empty);
    some("is banned", |user| user["banned"] == true);
    some("has a role", |user| user["public_metadata"]["role"] == "admin");
    assert!(users.iter().any(|user| empty(user, "email_addresses") && user["username"].is_string()));
    assert!(users.iter().any(|user| empty(user, "email_addresses") && !empty(user, "phone_numbers")));

    let memberships = clerk.get("/v1/organization_memberships?limit=500").await.rows();
    let of = |user: &Value| memberships.iter().filter(|one| one["public_user_data"]["user_id"] == user["id"]).count();
    assert!(users.iter().all(|user| of(user) >= 1) && users.iter().any(|user| of(user) == 2));
    assert_eq!(clerk.get("/v1/organizations").await.rows().len(), 4);
    for role in ["org:admin", "org:member"] {
        assert!(memberships.iter().any(|membership| membership["role"] == role), "nobody is {role}");
    }
}

#[tokio::test]
async fn refusals_are_clerk_s_error_objects() {
    let clerk = Clerk::start(Config::default()).await;
    let ada = clerk.create_user("ada").await;
    let path = format!("/v1/users/{}", id(&ada));
    let acme = clerk.create_organization("Acme", &ada["id"]).await;
    let members = format!("/v1/organizations/{}/memberships", id(&acme));
    let email = json!({"email_address": ["ADA@example.com"]});
    let again = json!({"user_id": ada["id"], "role": "org:member"});
    let cases = [
        ("GET", "/v1/users/user_none", None, (404, "resource_not_found")),
        ("DELETE", "/v1/users/user_none", None, (404, "resource_not_found")),
        ("GET", "/v1/organizations/none", None, (404, "resource_not_found")),
        ("GET", "/v1/elsewhere", None, (404, "resource_not_found")),
        ("PUT", "/v1/users", Some(json!({})), (405, "method_not_allowed")),
        ("POST", "/v1/users", Some(json!([])), (400, "request_body_invalid")),
        ("POST", "/v1/users", Some(json!({})), (422, "form_data_missing")),
        ("POST", "/v1/users", Some(email), (422, "form_identifier_exists")),
        ("POST", "/v1/users", Some(json!({"email_address": ["nonsense"]})), (422, "form_param_format_invalid")),
        ("POST", "/v1/users", Some(json!({"shoe_size": 42})), (422, "form_param_unknown")),
        ("PATCH", &path, Some(json!({"public_metadata": {}})), (422, "form_param_unknown")),
        ("PATCH", &path, Some(json!({"first_name": 1})), (422, "form_param_format_invalid")),
        ("GET", "/v1/users?order_by=shoe_size", None, (422, "form_param_value_invalid")),
        ("GET", "/v1/users?offset=-1", None, (422, "form_param_format_invalid")),
        ("POST", "/v1/organizations", Some(json!({})), (422, "form_param_missing")),
        ("POST", "/v1/organizations", Some(json!({"name": "A", "slug": "acme"})), (422, "form_identifier_exists")),
        ("POST", "/v1/organizations", Some(json!({"name": "A", "slug": "A B"})), (422, "form_param_format_invalid")),
        ("POST", &members, Some(again), (400, "already_a_member_in_organization")),
        ("POST", &members, Some(json!({"user_id": ada["id"], "role": "boss"})), (422, "form_param_value_invalid")),
    ];
    for (method, path, body, expected) in cases {
        let answer = clerk.call(method, path, body).await;
        assert_eq!(answer.refusal(), expected, "{method} {path}");
    }
}

#[tokio::test]
async fn nothing_is_answered_without_the_secret_key() {
    let clerk = Clerk::start(Config::default()).await;
    let url = format!("{}/v1/users", clerk.emulator.url());
    let bare = crate::support::read(clerk.client.get(&url)).await;
    assert_eq!(bare.refusal(), (401, "authorization_header_format_invalid"));
    let wrong = crate::support::read(clerk.client.get(&url).bearer_auth("sk_test_other")).await;
    assert_eq!(wrong.refusal(), (401, "clerk_key_invalid"));
}
