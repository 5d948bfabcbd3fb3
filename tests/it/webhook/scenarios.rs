//! Rows of the five systems, as far as the webhook alone can play them. The rest of each row follows with the parts
//! that it needs.

use rollcall_tests::{
    ATTEMPTS, Fault, SAMPLE_TIME, World, deletion_event, membership_event, organization_event, sample, user_event,
};
use serde_json::{Value, json};

use crate::{ACME, ADA, GRACE, membership, organization, user};

const T: u64 = SAMPLE_TIME - 60_000;

#[tokio::test]
async fn a6_without_a_mirror_no_live_user_and_no_membership_is_stored() {
    let world = World::with(&[("MIRROR", "off")]).await;
    for name in rollcall_cli::trigger::names() {
        let event = sample(&name);
        let kind = event["type"].as_str().unwrap();
        if kind.starts_with("user.") && kind != "user.deleted" || kind.starts_with("organizationMembership.") {
            assert_eq!(world.post(&event).await.brief(), (200, "ignored"), "{name}");
        }
    }
    assert!(world.wire.take().is_empty(), "acknowledged, and nothing written");
    assert_eq!(world.post(&sample("user.deleted")).await.brief(), (200, "applied"));
    let rows = world.directory().await;
    assert_eq!(rows.len(), 1);
    let mut fields: Vec<&String> = rows[0].as_object().unwrap().keys().collect();
    fields.sort();
    let bare =
        ["applied_at", "applied_by", "clerk_user_id", "deleted_at", "delivery_id", "digest", "id", "pk", "rank", "sk"];
    assert_eq!(fields, bare, "the bare tombstone of the user's deletion");
    // Organizations are neither users nor memberships.
    assert_eq!(world.post(&sample("organization.created")).await.brief(), (200, "applied"));
}

#[tokio::test]
async fn b1_organizations_and_memberships_come_change_and_go() {
    let world = World::start().await;
    world.post(&sample("user.created")).await;
    assert_eq!(world.directory().await.len(), 1, "a user alone is a member of nothing");
    world.post(&sample("organization.created")).await;
    let mut member = membership_event("organizationMembership.created", "orgmem_1", T, T, T);
    assert_eq!(world.post(&member).await.brief(), (200, "applied"));
    // The event that this team forgot: a role changes.
    member["type"] = "organizationMembership.updated".into();
    member["data"]["role"] = "org:admin".into();
    member["data"]["updated_at"] = (T + 1).into();
    assert_eq!(world.post(&member).await.brief(), (200, "applied"));
    assert_eq!(world.item(&membership(GRACE, ACME)).await.unwrap()["role"], "org:admin");
    let left = membership_event("organizationMembership.deleted", "orgmem_1", T, T, T + 2);
    assert_eq!(world.post(&left).await.brief(), (200, "applied"));
    assert!(world.item(&membership(GRACE, ACME)).await.unwrap()["deleted_at"].is_u64());
    assert_eq!(world.post(&deletion_event("organization.deleted", ACME, T + 3)).await.brief(), (200, "applied"));
    assert!(world.item(&organization(ACME)).await.unwrap()["deleted_at"].is_u64());
}

#[tokio::test]
async fn b2_a_retried_duplicated_or_reordered_delivery_changes_nothing_that_it_should_not() {
    let world = World::start().await;
    let sent = world.sign(&organization_event("organization.updated", ACME, "New", T + 5));
    assert_eq!(world.send(&sent).await.brief(), (200, "applied"));
    let before = world.directory().await;
    assert_eq!(world.send(&sent).await.brief(), (200, "duplicate"), "retried");
    assert_eq!(
        world.post(&organization_event("organization.updated", ACME, "New", T + 5)).await.brief(),
        (200, "duplicate"),
        "duplicated"
    );
    assert_eq!(
        world.post(&organization_event("organization.created", ACME, "Old", T)).await.brief(),
        (200, "superseded"),
        "reordered"
    );
    assert_eq!(world.directory().await, before);
}

#[tokio::test]
async fn b3_a_failure_answers_5xx_a_bad_signature_400_and_neither_writes() {
    let world = World::start().await;
    let sent = world.sign(&sample("organization.created"));
    world.wire.fail([Fault::Throttled; ATTEMPTS]);
    assert_eq!(world.send(&sent).await.status, 503);
    assert_eq!(world.send(&sent.clone().with("svix-signature", Some("v1,AAAA"))).await.status, 400);
    assert!(world.directory().await.is_empty() && world.operations().await.is_empty());
}

#[tokio::test]
async fn b11_organization_metadata_is_synced() {
    let world = World::start().await;
    let mut event = organization_event("organization.updated", ACME, "Acme", T);
    event["data"]["public_metadata"] =
        json!({ "plan": "team", "seats": 25, "limits": { "projects": [1, 2.5, null, true] } });
    assert_eq!(world.post(&event).await.brief(), (200, "applied"));
    assert_eq!(world.item(&organization(ACME)).await.unwrap()["public_metadata"], event["data"]["public_metadata"]);
}

#[tokio::test]
async fn c2_a_retained_user_keeps_the_row_as_it_was() {
    let world = World::with(&[("DELETION_POLICY", "retain")]).await;
    world.post(&sample("user.created")).await;
    let before = world.item(&user(ADA)).await.unwrap();
    let _ = world.wire.take();
    assert_eq!(world.post(&deletion_event("user.deleted", ADA, T + 500)).await.brief(), (200, "applied"));
    assert_eq!(world.wire.take().len(), 2, "the refusal of the first write brings along what the second one keeps");
    let after = world.item(&user(ADA)).await.unwrap();
    for field in [
        "id",
        "clerk_user_id",
        "name",
        "first_name",
        "email",
        "image_url",
        "created_at",
        "updated_at",
        "public_metadata",
    ] {
        assert_eq!(after[field], before[field], "{field}");
    }
    assert_eq!(after["deleted_at"], T + 500);
    assert_eq!(after["rank"], format!("0000000000000.1.{}", T + 500));
    // A second delete, with a time of its own, takes nothing of it away.
    assert_eq!(world.post(&deletion_event("user.deleted", ADA, T + 600)).await.brief(), (200, "applied"));
    let again = world.item(&user(ADA)).await.unwrap();
    assert_eq!(
        (&again["name"], &again["email"], &again["deleted_at"]),
        (&before["name"], &before["email"], &json!(T + 600))
    );
    // And of a user never seen there is nothing to keep.
    assert_eq!(world.post(&deletion_event("user.deleted", "user_unknown", T)).await.brief(), (200, "applied"));
    assert_eq!(world.item(&user("user_unknown")).await.unwrap()["deleted_at"], T);
}

#[tokio::test]
async fn d1_a_user_record_has_its_names_email_and_role() {
    let world = World::start().await;
    let cases = [
        (Some("Ada"), Some("Lovelace"), Some("ada"), json!({ "role": "admin" }), "Ada Lovelace", "admin"),
        (Some("Ada"), None, Some("ada"), json!({ "role": "user" }), "Ada", "user"),
        (None, Some("Lovelace"), Some("ada"), json!({ "role": "emperor" }), "Lovelace", "user"),
        (None, None, Some("ada"), json!({ "role": ["admin"] }), "ada", "user"),
        (Some("  "), Some(""), None, json!({}), "User", "user"),
    ];
    for (n, (first, last, username, metadata, name, role)) in cases.into_iter().enumerate() {
        let id = format!("user_{n}");
        let mut event = user_event("user.created", &id, "", T);
        let data = &mut event["data"];
        (data["first_name"], data["last_name"], data["username"]) = (json!(first), json!(last), json!(username));
        data["public_metadata"] = metadata;
        assert_eq!(world.post(&event).await.brief(), (200, "applied"));
        let item = world.item(&user(&id)).await.unwrap();
        assert_eq!((item["name"].as_str(), item["role"].as_str()), (Some(name), Some(role)), "{n}");
        assert_eq!(item["email"], "ada@example.com");
        assert_eq!(item["id"], item["pk"].as_str().unwrap()["USER#".len()..]);
    }
}

#[tokio::test]
async fn d1_the_primary_address_is_the_one_that_is_named_primary() {
    let world = World::start().await;
    let mut event = sample("user.updated");
    let emails = event["data"]["email_addresses"].as_array_mut().unwrap();
    assert_eq!(emails.len(), 2);
    emails.reverse();
    world.set_now(event["timestamp"].as_u64().unwrap());
    world.post(&event).await;
    assert_eq!(world.item(&user(ADA)).await.unwrap()["email"], "ada.new@example.org");
    event["data"]["primary_email_address_id"] = Value::Null;
    event["data"]["updated_at"] = (event["data"]["updated_at"].as_u64().unwrap() + 1).into();
    world.post(&event).await;
    assert_eq!(world.item(&user(ADA)).await.unwrap()["email"], Value::Null);
}

#[tokio::test]
async fn d4_a_redacted_user_keeps_the_internal_id_and_no_personal_datum() {
    let world = World::start().await;
    let mut event = sample("user.created");
    for field in ["first_name", "last_name", "username", "image_url", "external_id"] {
        event["data"][field] = "MARKED".into();
    }
    event["data"]["email_addresses"][0]["email_address"] = "MARKED@example.com".into();
    event["data"]["public_metadata"]["note"] = "MARKED".into();
    world.post(&event).await;
    let before = world.item(&user(ADA)).await.unwrap();
    assert!(before.to_string().contains("MARKED"));
    let mut delete = deletion_event("user.deleted", ADA, T + 500);
    delete["data"]["external_id"] = "MARKED".into();
    assert_eq!(world.post(&delete).await.brief(), (200, "applied"));
    let after = world.item(&user(ADA)).await.unwrap();
    assert_eq!(after["id"], before["id"]);
    assert_eq!((after["name"].as_str(), after["email"].as_str()), (Some("Deleted User"), Some("redacted@deleted.com")));
    assert!(after["image_url"].is_null() && after["deleted_at"] == T + 500);
    assert!(!after.to_string().contains("MARKED"), "{after}");
}

#[tokio::test]
async fn metadata_that_dynamodb_cannot_hold_as_a_map_is_kept_as_text() {
    let world = World::start().await;
    let mut deep = json!("bottom");
    for _ in 0..40 {
        deep = json!({ "in": deep });
    }
    for (n, metadata) in
        [deep, json!({ "": "empty key" }), json!({ "huge": 1e200 }), json!({ "tiny": 1e-200 })].into_iter().enumerate()
    {
        let id = format!("user_{n}");
        let mut event = user_event("user.created", &id, "Ada", T);
        event["data"]["public_metadata"] = metadata.clone();
        assert_eq!(world.post(&event).await.brief(), (200, "applied"), "{metadata}");
        let stored = world.item(&user(&id)).await.unwrap()["public_metadata"].clone();
        assert_eq!(serde_json::from_str::<Value>(stored.as_str().unwrap()).unwrap(), metadata);
    }
    let mut numbers = user_event("user.created", "user_numbers", "Ada", T);
    numbers["data"]["public_metadata"] =
        json!({ "big": u64::MAX, "small": i64::MIN, "pi": std::f64::consts::PI, "zero": 0.0, "large": 1e120 });
    assert_eq!(world.post(&numbers).await.brief(), (200, "applied"));
    assert!(world.item(&user("user_numbers")).await.unwrap()["public_metadata"].is_object());
}
