//! `GET /me`.

use rollcall_tests::World;
use serde_json::{Value, json};

use super::{arrived, get, with};
use crate::ensure::profiles::newcomer;

#[tokio::test]
async fn the_caller_is_answered_with_every_organization_in_two_requests() {
    let world = World::start().await;
    let (ada, acme) = newcomer(&world).await;
    let other = json!({ "name": "Other", "slug": "other", "created_by": ada });
    let other = world.clerk("POST", "/organizations", other).await["id"].as_str().unwrap().to_owned();
    arrived(&world).await;
    let (clerk_calls, token) = (world.clerk_calls(), world.session(&ada, Some(&acme)));
    let answer = get(&world, &token, "/me").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let operations: Vec<String> = world.wire.take().into_iter().map(|call| call.operation).collect();
    assert_eq!(operations, ["Query", "BatchGetItem"]);
    assert_eq!(world.clerk_calls(), clerk_calls, "nothing is asked of Clerk");
    let mut organizations = [&acme, &other];
    organizations.sort();
    for (path, value) in [
        ("/user/clerk_user_id", json!(ada)),
        ("/user/name", json!("Ada Example")),
        ("/user/email", json!("ada@example.com")),
        ("/organizations/0/organization/organization_id", json!(organizations[0])),
        ("/organizations/1/organization/organization_id", json!(organizations[1])),
        ("/organizations/0/membership/role", json!("org:admin")),
        ("/active_organization_id", json!(acme)),
        ("/needs_sync", json!(true)),
        ("/actor", Value::Null),
    ] {
        assert_eq!(answer.body.pointer(path), Some(&value), "{path} in {}", answer.text);
    }
    for internal in ["rank", "digest", "pk\"", "\"sk", "applied", "delivery_id"] {
        assert!(!answer.text.contains(internal), "{internal} in {}", answer.text);
    }
}

#[tokio::test]
async fn i14_a_caller_of_a_hundred_organizations_is_answered_in_two_requests() {
    let world = World::start().await;
    let (ada, acme) = newcomer(&world).await;
    for at in 1..100 {
        let body = json!({ "name": format!("Acme {at}"), "slug": format!("acme-{at}"), "created_by": ada });
        world.clerk("POST", "/organizations", body).await;
    }
    arrived(&world).await;
    let answer = get(&world, &world.session(&ada, Some(&acme)), "/me").await;
    assert_eq!(answer.body["organizations"].as_array().map(Vec::len), Some(100), "{}", answer.text);
    let calls = world.wire.take();
    let operations: Vec<&str> = calls.iter().map(|call| call.operation.as_str()).collect();
    assert_eq!(operations, ["Query", "BatchGetItem"]);
    // Half a unit for a kilobyte of the caller's rows; one unit for each organization.
    let units: f64 = calls.iter().map(|call| call.units).sum();
    assert!((100.0..130.0).contains(&units), "{units}");
}

#[tokio::test]
async fn a_reader_who_has_the_answer_already_gets_304_until_something_changes() {
    let world = World::start().await;
    let (ada, acme) = newcomer(&world).await;
    arrived(&world).await;
    let token = world.session(&ada, Some(&acme));
    let first = get(&world, &token, "/me").await;
    let etag = first.header("etag").unwrap().to_owned();
    assert_eq!(first.header("cache-control"), Some("private, no-cache"));
    assert_eq!(first.header("vary"), Some("authorization, cookie, origin"));
    // Node's fetch adds `cache-control: no-cache` by itself.
    let again = async |etag: &str| {
        let headers = [("if-none-match", etag), ("cache-control", "no-cache")];
        with(&world, &token, "GET", "/me", &headers, String::new()).await
    };
    for known in [etag.clone(), format!("W/{etag}"), format!("\"other\", {etag}"), "*".to_owned()] {
        let answer = again(&known).await;
        assert_eq!((answer.status, answer.text.as_str(), answer.header("etag")), (304, "", Some(&*etag)), "{known}");
        assert_eq!(answer.header("content-type"), None);
    }
    assert_eq!(again("\"other\"").await.status, 200);
    // Another role in the organization changes the entity tag, and so does a session without an active organization.
    let changed = json!({ "role": "org:member" });
    world.clerk("PATCH", &format!("/organizations/{acme}/memberships/{ada}"), changed).await;
    world.reconcile().await;
    assert_eq!(again(&etag).await.status, 200);
    let without = get(&world, &world.session(&ada, None), "/me").await;
    assert_ne!(without.header("etag"), Some(&*etag));
    assert_eq!(without.body["active_organization_id"], Value::Null);
}

#[tokio::test]
async fn what_is_deleted_is_not_shown_from_the_next_read_on() {
    let world = World::start().await;
    let (ada, acme) = newcomer(&world).await;
    arrived(&world).await;
    let token = world.session(&ada, Some(&acme));
    assert_eq!(get(&world, &token, "/me").await.body["organizations"].as_array().unwrap().len(), 1);
    // The organization is deleted, but its membership is still live, because no cascade has run.
    let deleted = json!({ "id": acme, "object": "organization", "deleted": true });
    let deleted = rollcall_tests::event("organization.deleted", &deleted, world.now().get() + 1);
    assert_eq!(world.post(&deleted).await.brief(), (200, "applied"));
    let answer = get(&world, &token, "/me").await;
    assert_eq!((&answer.body["organizations"], &answer.body["active_organization_id"]), (&json!([]), &Value::Null));
    let deleted = json!({ "id": ada, "object": "user", "deleted": true });
    let deleted = rollcall_tests::event("user.deleted", &deleted, world.now().get() + 2);
    assert_eq!(world.post(&deleted).await.brief(), (200, "applied"));
    assert_eq!(get(&world, &token, "/me").await.brief(), (410, "user_deleted"));
}

#[tokio::test]
async fn a_caller_who_is_not_copied_yet_is_told_so() {
    let world = World::start().await;
    let (ada, acme) = newcomer(&world).await;
    let answer = get(&world, &world.session(&ada, Some(&acme)), "/me").await;
    assert_eq!(answer.brief(), (404, "user_not_synced"));
    assert!(answer.body["detail"].as_str().unwrap().contains("POST /profiles/ensure"), "{}", answer.text);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert!(world.directory().await.is_empty() && world.profiles().await.is_empty());
}

#[tokio::test]
async fn a3_without_a_mirror_the_answer_is_clerks_with_the_public_metadata() {
    let world = World::with(&[("MIRROR", "off"), ("METADATA_WRITEBACK", "off")]).await;
    let (ada, acme) = newcomer(&world).await;
    let metadata =
        json!({ "public_metadata": { "primary_role": "coach", "organization_roles": { "team-1": ["coach"] } } });
    world.clerk("PATCH", &format!("/users/{ada}/metadata"), metadata.clone()).await;
    let (token, before) = (world.session(&ada, Some(&acme)), world.clerk_calls());
    let answer = get(&world, &token, "/me").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.body["user"]["public_metadata"], metadata["public_metadata"]);
    assert_eq!(answer.body["organizations"][0]["membership"]["role"], "org:admin");
    assert!(world.clerk_calls() > before);
    // For some seconds the function uses Clerk's recent response.
    let asked = world.clerk_calls();
    assert_eq!(get(&world, &token, "/me").await.body, answer.body);
    assert_eq!(world.clerk_calls(), asked);
    let live = world.directory().await.into_iter().filter(|row| row["sk"] == "USER");
    assert_eq!((live.count(), world.profiles().await.len()), (0, 0), "nothing is stored");
}
