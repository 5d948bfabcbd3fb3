//! The differences between the emulator and Clerk or Svix that the README lists. If a test fails, the difference may be
//! gone: then delete the line in the README.

use std::{collections::BTreeSet, time::Duration};

use axum::{
    http::{HeaderName, StatusCode},
    response::IntoResponse,
};
use clerk_emulator::{Config, DeliveryState};
use serde_json::{Value, json};

use crate::support::{Clerk, Endpoint, FrozenClock, NOW, delivering_to, id, read};

#[tokio::test]
async fn a_webhook_carries_no_user_agent_and_one_signature() {
    let endpoint = Endpoint::start().await;
    let clerk = Clerk::start(delivering_to(&endpoint)).await;
    clerk.create_user("ada").await;
    clerk.emulator.settled().await;
    let webhook = endpoint.received().remove(0);
    let names: BTreeSet<&str> = webhook.headers.keys().map(HeaderName::as_str).collect();
    let expected = ["accept", "content-length", "content-type", "host", "svix-id", "svix-signature", "svix-timestamp"];
    assert_eq!(names.into_iter().collect::<Vec<_>>(), expected);
    assert!(webhook.signature.starts_with("v1,") && !webhook.signature.contains(' '));
}

#[tokio::test]
async fn an_endpoint_cannot_stretch_the_schedule() {
    let endpoint = Endpoint::answering(|attempt| match attempt {
        0 => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "60")]).into_response(),
        1 => (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "60")]).into_response(),
        _ => StatusCode::OK.into_response(),
    })
    .await;
    let clerk = Clerk::start(delivering_to(&endpoint)).await;
    clerk.create_user("ada").await;
    clerk.create_user("grace").await;
    let settled = tokio::time::timeout(Duration::from_secs(10), clerk.emulator.settled()).await;
    settled.expect("the schedule is kept, whatever the endpoint asks for");
    assert!(clerk.emulator.deliveries().iter().all(|delivery| delivery.state == DeliveryState::Delivered));
    assert_eq!(endpoint.received().len(), 4);
}

#[tokio::test]
async fn counts_of_members_are_always_sent_and_other_counts_are_nought() {
    let endpoint = Endpoint::start().await;
    let clerk = Clerk::start(delivering_to(&endpoint)).await;
    let ada = clerk.create_user("ada").await;
    let acme = clerk.create_organization("Acme", &ada["id"]).await;
    clerk.emulator.settled().await;
    let path = format!("/v1/organizations/{}", id(&acme));
    let off = "include_members_count=false&include_missing_member_with_elevated_permissions=false";
    let shown = [
        clerk.get(&format!("{path}?{off}")).await.ok(),
        clerk.get(&format!("/v1/organizations?{off}")).await.rows().remove(0),
        clerk.get(&format!("{path}/memberships")).await.rows().remove(0)["organization"].take(),
        endpoint.received()[2].payload["data"]["organization"].clone(),
    ];
    for organization in shown {
        assert_eq!(organization["members_count"], 1);
        assert_eq!(organization["missing_member_with_elevated_permissions"], false);
        assert_eq!(organization["pending_invitations_count"], 0);
        assert_eq!(organization["max_allowed_memberships"], 0, "no limit unless one is given");
    }
}

#[tokio::test]
async fn whatever_is_created_was_updated_in_the_same_millisecond() {
    let clerk = Clerk::start(Config::default()).await;
    let ada = clerk.create_user("ada").await;
    let acme = clerk.create_organization("Acme", &ada["id"]).await;
    let membership = clerk.get("/v1/organization_memberships").await.rows().remove(0);
    for entity in [ada, acme, membership] {
        assert_eq!(entity["updated_at"], entity["created_at"], "{entity}");
    }
    let clerk = Clerk::start(Config { clock: FrozenClock::new().clock(), ..Config::default() }).await;
    let body = json!({"username": "grace", "created_at": "2020-01-01T00:00:00Z"});
    let grace = clerk.post("/v1/users", body).await.ok();
    assert_eq!((&grace["created_at"], &grace["updated_at"]), (&json!(1_577_836_800_000_i64), &json!(NOW)));
}

#[tokio::test]
async fn any_version_may_be_asked_for_and_it_is_always_the_same_one() {
    let clerk = Clerk::start(Config::default()).await;
    let ada = clerk.create_user("ada").await;
    let url = format!("{}/v1/users/{}", clerk.emulator.url(), id(&ada));
    // Until 2026-05-12 this was how metadata was changed.
    let metadata = json!({"public_metadata": {"role": "coach"}});
    for version in ["2021-02-05", "2026-05-12", "tomorrow"] {
        let request = |url: &str| clerk.client.patch(url).bearer_auth(clerk.emulator.secret_key());
        let by_header = request(&url).header("Clerk-API-Version", version);
        let by_query = request(&format!("{url}?__clerk_api_version={version}"));
        for request in [by_header, by_query] {
            assert_eq!(read(request.json(&metadata)).await.refusal(), (422, "form_param_unknown"), "{version}");
        }
    }
}

#[tokio::test]
async fn some_filters_and_all_unknown_parameters_are_ignored() {
    let clerk = Clerk::start(Config { users: 5, ..Config::default() }).await;
    let ignored =
        ["web3_wallet=0x1", "provider=oauth_x", "provider_user_id=1", "last_active_at_since=1", "shoe_size=42"];
    for query in ignored {
        assert_eq!(clerk.get(&format!("/v1/users?{query}")).await.rows().len(), 5, "{query}");
        assert_eq!(clerk.get(&format!("/v1/users/count?{query}")).await.ok()["total_count"], 5, "{query}");
    }
    let organization = clerk.get("/v1/organizations").await.rows().remove(0);
    let members = format!("/v1/organizations/{}/memberships", id(&organization));
    for query in [
        "phone_number=1",
        "username=nobody",
        "web3_wallet=0x1",
        "email_address_query=nobody",
        "phone_number_query=nobody",
        "username_query=nobody",
        "name_query=nobody",
        "last_active_at_before=1",
        "last_active_at_after=1",
        "shoe_size=42",
    ] {
        assert_eq!(clerk.get(&format!("{members}?{query}")).await.rows().len(), 5, "{query}");
    }
}

#[tokio::test]
async fn nobody_ever_signs_in() {
    let clerk = Clerk::start(Config { users: 5, ..Config::default() }).await;
    for user in clerk.get("/v1/users").await.rows() {
        assert_eq!((&user["last_sign_in_at"], &user["last_active_at"]), (&Value::Null, &Value::Null));
    }
    for filter in ["last_sign_in_at_after", "last_sign_in_at_before", "last_active_at_after", "last_active_at_before"] {
        let path = format!("/v1/users?{filter}={}", if filter.ends_with("after") { 0 } else { i64::MAX });
        assert!(clerk.get(&path).await.rows().is_empty(), "{filter}");
    }
}

#[tokio::test]
async fn ids_do_not_grow_with_time() {
    let clock = FrozenClock::new();
    let clerk = Clerk::start(Config { clock: clock.clock(), ..Config::default() }).await;
    let mut ids = Vec::new();
    for number in 0..20 {
        clock.advance(1000);
        ids.push(id(&clerk.create_user(&format!("user{number}")).await).to_owned());
    }
    assert!(!ids.is_sorted());
}

#[tokio::test]
async fn the_rest_of_clerk_is_not_there() {
    let clerk = Clerk::start(Config::default()).await;
    let ada = clerk.create_user("ada").await;
    let acme = clerk.create_organization("Acme", &ada["id"]).await;
    let (user, organization) = (format!("/v1/users/{}", id(&ada)), format!("/v1/organizations/{}", id(&acme)));
    for path in [
        "/v1/clients",
        "/v1/sign_in_tokens",
        "/v1/invitations",
        "/v1/domains",
        "/v1/email_addresses",
        "/v1/phone_numbers",
        "/v1/allowlist_identifiers",
        "/v1/webhooks/events",
        &format!("{user}/profile_image"),
        &format!("{user}/verify_password"),
        &format!("{organization}/logo"),
        &format!("{organization}/invitations"),
    ] {
        for method in ["GET", "POST"] {
            assert_eq!(clerk.call(method, path, None).await.refusal(), (404, "resource_not_found"), "{method} {path}");
        }
    }
    assert_eq!(clerk.patch("/v1/instance", json!({})).await.refusal().0, 405);
    assert_eq!(clerk.get("/v1/sessions?user_id=user_1").await.refusal().0, 405);
    let session = clerk.post("/v1/sessions", json!({"user_id": ada["id"]})).await.ok();
    for path in ["refresh", "verify", "tokens/supabase"] {
        let path = format!("/v1/sessions/{}/{path}", id(&session));
        assert_eq!(clerk.post(&path, json!({})).await.refusal(), (404, "resource_not_found"), "{path}");
    }
    for (method, path, parameter) in [("PATCH", &*user, "email_address"), ("POST", "/v1/users", "web3_wallet")] {
        let refused = clerk.call(method, path, Some(json!({parameter: ["x@example.com"]}))).await;
        assert_eq!(refused.refusal(), (422, "form_param_unknown"), "{parameter}");
    }
}

#[tokio::test]
async fn much_is_accepted_that_clerk_would_look_at_more_closely() {
    let clerk = Clerk::start(Config::default()).await;
    let body = json!({
        "email_address": ["x@y.z"], "password": "1",
        "create_organization_enabled": false, "create_organizations_limit": 1,
    });
    let user = clerk.post("/v1/users", body).await.ok();
    assert_eq!((&user["password_enabled"], &user["totp_enabled"]), (&json!(true), &json!(false)));
    assert!(!user.to_string().contains("\"password\""), "{user}");
    for name in ["One", "Two"] {
        assert_eq!(clerk.create_organization(name, &user["id"]).await["created_by"], user["id"]);
    }
    let locked = clerk.post(&format!("/v1/users/{}/lock", id(&user)), json!({})).await.ok();
    assert_eq!((&locked["locked"], &locked["lockout_expires_in_seconds"]), (&json!(true), &Value::Null));
}

#[tokio::test]
async fn any_role_is_taken_and_the_two_default_ones_have_permissions() {
    let clerk = Clerk::start(Config::default()).await;
    let acme = clerk.create_organization("Acme", &Value::Null).await;
    let members = format!("/v1/organizations/{}/memberships", id(&acme));
    for (role, some) in [("org:admin", true), ("org:member", true), ("org:coach", false)] {
        let user = clerk.create_user(&role.replace(':', "-")).await;
        let membership = clerk.post(&members, json!({"user_id": user["id"], "role": role})).await.ok();
        assert_eq!(membership["permissions"].as_array().unwrap().is_empty(), !some, "{role}");
    }
}

#[tokio::test]
async fn a_change_that_changes_nothing_is_a_change() {
    let clock = FrozenClock::new();
    let endpoint = Endpoint::start().await;
    let clerk = Clerk::start(Config { clock: clock.clock(), ..delivering_to(&endpoint) }).await;
    let ada = clerk.create_user("ada").await;
    clock.advance(5);
    let same = clerk.patch(&format!("/v1/users/{}", id(&ada)), json!({"first_name": "ada"})).await.ok();
    assert_eq!(same["updated_at"], NOW + 5);
    clerk.emulator.settled().await;
    assert_eq!(endpoint.kinds(), ["user.created", "user.updated"]);
}

#[tokio::test]
async fn deliveries_and_added_endpoints_do_not_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let snapshot = Some(folder.path().join("clerk.json"));
    let clerk = Clerk::start(Config { snapshot: snapshot.clone(), ..Config::default() }).await;
    clerk.post("/_emulator/endpoints", json!({"url": "http://127.0.0.1:1/"})).await;
    clerk.create_user("ada").await;
    assert_eq!(clerk.emulator.deliveries()[0].state, DeliveryState::Pending);
    clerk.emulator.stop().await.unwrap();
    let clerk = Clerk::start(Config { snapshot, ..Config::default() }).await;
    assert_eq!(clerk.get("/v1/users").await.rows().len(), 1);
    assert_eq!(clerk.get("/_emulator/deliveries").await.ok(), json!([]));
    assert_eq!(clerk.get("/_emulator/endpoints").await.ok(), json!([]));
}
