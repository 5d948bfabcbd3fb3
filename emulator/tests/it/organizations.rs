//! Organizations and memberships.

use clerk_emulator::{Config, Faults, WebhookFaults};
use serde_json::{Value, json};

use crate::support::{Clerk, Endpoint, delivering_to, id};

#[tokio::test]
async fn whoever_creates_an_organization_is_its_administrator() {
    let clerk = Clerk::start(Config::default()).await;
    let ada = clerk.create_user("ada").await;
    let acme = clerk.create_organization("Acme Corp", &ada["id"]).await;
    assert_eq!((&acme["slug"], &acme["members_count"]), (&json!("acme-corp"), &json!(1)));
    assert_eq!(clerk.get("/v1/organizations/acme-corp").await.ok(), acme, "found by slug");
    let members = clerk.get(&format!("/v1/organizations/{}/memberships", id(&acme))).await.ok();
    assert_eq!((&members["total_count"], &members["data"][0]["role"]), (&json!(1), &json!("org:admin")));
    assert_eq!(members["data"][0]["public_user_data"]["user_id"], ada["id"]);
    let second = clerk.create_organization("Acme Corp", &ada["id"]).await;
    assert_eq!(second["slug"], "acme-corp-2");
}

#[tokio::test]
async fn an_organization_answers_to_its_slug_wherever_it_does_to_its_id() {
    let clerk = Clerk::start(Config::default()).await;
    let ada = clerk.create_user("ada").await;
    clerk.create_organization("Acme", &Value::Null).await;
    let members = "/v1/organizations/acme/memberships";
    let ada_in_acme = format!("{members}/{}", id(&ada));
    for (method, path, body) in [
        ("POST", members, json!({"user_id": ada["id"], "role": "org:member"})),
        ("GET", members, json!({})),
        ("PATCH", &ada_in_acme, json!({"role": "org:admin"})),
        ("PATCH", &format!("{ada_in_acme}/metadata"), json!({})),
        ("DELETE", &ada_in_acme, json!({})),
        ("PATCH", "/v1/organizations/acme/metadata", json!({})),
        ("PUT", "/v1/organizations/acme/metadata", json!({})),
        ("PATCH", "/v1/organizations/acme", json!({"name": "Acme Corp"})),
        ("GET", "/v1/organizations/acme", json!({})),
        ("DELETE", "/v1/organizations/acme", json!({})),
    ] {
        assert_eq!(clerk.call(method, path, Some(body)).await.status, 200, "{method} {path}");
    }
}

#[tokio::test]
async fn members_are_listed_by_user_by_role_and_by_page() {
    let clerk = Clerk::start(Config::default()).await;
    let ada = clerk.create_user("ada").await;
    let acme = clerk.create_organization("Acme", &ada["id"]).await;
    let members = format!("/v1/organizations/{}/memberships", id(&acme));
    for name in ["grace", "alan"] {
        let user = clerk.create_user(name).await;
        clerk.post(&members, json!({"user_id": user["id"], "role": "org:member"})).await.ok();
    }
    let count = async |query: &str| clerk.get(&format!("{members}?{query}")).await.rows().len();
    assert_eq!(count("").await, 3);
    assert_eq!(count("role=org:member").await, 2);
    assert_eq!(count("role[]=org:member&role[]=org:admin").await, 3);
    assert_eq!(count(&format!("user_id={}", id(&ada))).await, 1);
    assert_eq!(count("limit=2").await, 2);
    assert_eq!(count("limit=2&offset=2").await, 1);
    let page = clerk.get("/v1/organization_memberships?limit=1&offset=1").await.ok();
    assert_eq!((page["data"].as_array().unwrap().len(), &page["total_count"]), (1, &json!(3)));
    let of_ada = clerk.get(&format!("/v1/users/{}/organization_memberships", id(&ada))).await.ok();
    assert_eq!(of_ada["data"][0]["organization"]["id"], acme["id"]);
}

#[tokio::test]
async fn a_member_who_comes_back_has_a_new_membership() {
    let clerk = Clerk::start(Config::default()).await;
    let ada = clerk.create_user("ada").await;
    let acme = clerk.create_organization("Acme", &Value::Null).await;
    let members = format!("/v1/organizations/{}/memberships", id(&acme));
    let body = json!({"user_id": ada["id"], "role": "org:member"});
    let first = clerk.post(&members, body.clone()).await.ok();
    let ended = clerk.delete(&format!("{members}/{}", id(&ada))).await.ok();
    assert_eq!((&ended["id"], &ended["updated_at"]), (&first["id"], &first["updated_at"]));
    assert_eq!(ended["public_user_data"]["user_id"], ada["id"], "the full membership, not a deleted object");
    assert_eq!(clerk.delete(&format!("{members}/{}", id(&ada))).await.refusal().0, 404);
    let second = clerk.post(&members, body).await.ok();
    assert_ne!(first["id"], second["id"]);
}

#[tokio::test]
async fn a_full_organization_takes_nobody_else() {
    let clerk = Clerk::start(Config::default()).await;
    let (ada, grace) = (clerk.create_user("ada").await, clerk.create_user("grace").await);
    let body = json!({"name": "Small", "created_by": ada["id"], "max_allowed_memberships": 1});
    let small = clerk.post("/v1/organizations", body).await.ok();
    let path = format!("/v1/organizations/{}/memberships", id(&small));
    let refused = clerk.post(&path, json!({"user_id": grace["id"], "role": "org:member"})).await;
    assert_eq!(refused.refusal(), (403, "organization_membership_quota_exceeded"));
}

/// What goes with a deleted parent, and which events tell of it.
async fn delete_both_parents(cascade_membership_events: bool) -> Vec<String> {
    let endpoint = Endpoint::start().await;
    let clerk = Clerk::start(delivering_to(&endpoint)).await;
    let webhooks = WebhookFaults { cascade_membership_events, ..WebhookFaults::default() };
    clerk.emulator.set_faults(Faults { webhooks, ..Faults::default() }).unwrap();
    let (ada, grace) = (clerk.create_user("ada").await, clerk.create_user("grace").await);
    let acme = clerk.create_organization("Acme", &ada["id"]).await;
    let path = format!("/v1/organizations/{}", id(&acme));
    clerk.post(&format!("{path}/memberships"), json!({"user_id": grace["id"], "role": "org:member"})).await.ok();

    clerk.delete(&format!("/v1/users/{}", id(&ada))).await.ok();
    let left = clerk.get(&format!("{path}/memberships")).await.rows();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0]["public_user_data"]["user_id"], grace["id"]);
    let deleted = clerk.delete(&path).await.ok();
    assert_eq!(deleted, json!({"object": "organization", "id": acme["id"], "slug": "acme", "deleted": true}));
    assert!(clerk.get("/v1/organization_memberships").await.rows().is_empty());
    clerk.emulator.settled().await;
    endpoint.kinds().split_off(5)
}

#[tokio::test]
async fn memberships_go_silently_with_their_user_or_organization() {
    assert_eq!(delete_both_parents(false).await, ["user.deleted", "organization.deleted"]);
}

#[tokio::test]
async fn memberships_that_go_with_their_parent_are_announced_if_the_dial_says_so() {
    let ended = "organizationMembership.deleted";
    assert_eq!(delete_both_parents(true).await, [ended, "user.deleted", ended, "organization.deleted"]);
}

#[tokio::test]
async fn metadata_of_organizations_and_memberships_merges_deeply() {
    let clerk = Clerk::start(Config::default()).await;
    let ada = clerk.create_user("ada").await;
    let acme = clerk.create_organization("Acme", &ada["id"]).await;
    let organization = format!("/v1/organizations/{}", id(&acme));
    let membership = format!("{organization}/memberships/{}", id(&ada));
    for path in [format!("{organization}/metadata"), format!("{membership}/metadata")] {
        clerk.patch(&path, json!({"public_metadata": {"a": {"x": 1, "y": 2}}})).await.ok();
        let merged = clerk.patch(&path, json!({"public_metadata": {"a": {"x": null}}})).await.ok();
        assert_eq!(merged["public_metadata"], json!({"a": {"y": 2}}), "{path}");
    }
}
