//! All sample events and their variants, signed and posted: the right answer, and nothing changes when they come again
//! in reverse.

use rollcall_tests::{World, sample};
use serde_json::Value;

use crate::{ACME, ADA, GRACE, membership, organization, state, user};

/// The story of the samples in the order of Clerk's times, each with its answer; everything else is a type that is not
/// followed.
const STORY: [(&str, &str); 20] = [
    // In seconds, of 2024: the oldest state of this user, and too old to create one; Clerk is asked and knows of
    // nobody.
    ("user.created.dashboard-example", "superseded"),
    ("user.created", "applied"),
    // It differs from the one before in its proof, at the same time: Clerk is asked, and knows of nobody.
    ("user.created.unverified-email-null-verification", "superseded"),
    ("organization.created", "applied"),
    ("organization.created.observed-shape", "duplicate"),
    ("organizationMembership.created", "applied"),
    ("organizationMembership.created.observed-shape", "duplicate"),
    ("user.updated", "applied"),
    ("organization.updated", "applied"),
    ("organizationMembership.updated", "applied"),
    ("user.updated.banned", "applied"),
    ("user.updated.deprovisioned-by-directory-sync", "applied"),
    ("user.updated.unknown-extra-field", "applied"),
    ("organizationMembership.deleted", "applied"),
    ("organizationMembership.created.rejoined-new-id", "applied"),
    ("organization.deleted", "applied"),
    ("organization.deleted.without-slug", "duplicate"),
    ("user.deleted", "applied"),
    ("user.deleted.without-external-id", "duplicate"),
    ("user.created.phone-only-no-email", "superseded"),
];

async fn post(world: &World, name: &str) -> (u16, String) {
    let event = sample(name);
    let answer = world.post(&event).await;
    (answer.status, answer.body["outcome"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn the_samples_tell_their_story_and_told_backwards_they_change_nothing() {
    let world = World::start().await;
    for (name, outcome) in STORY {
        // PerKind is delivered when it is sent, but for the first: it is as old as it says.
        let sent = sample(name)["timestamp"].as_u64().unwrap();
        if sent > 100_000_000_000 {
            world.set_now(sent.max(world.now().get()));
        }
        assert_eq!(post(&world, name).await, (200, outcome.to_owned()), "{name}");
    }
    let end = world.directory().await;
    assert_eq!(end.len(), 3, "a user, an organization and a membership: {end:#?}");
    // The story from its end, then all there is.
    let mut again: Vec<String> = STORY.iter().rev().map(|(name, _)| (*name).to_owned()).collect();
    again.extend(rollcall_cli::trigger::names());
    for name in &again {
        let (status, outcome) = post(&world, name).await;
        assert_eq!(status, 200, "{name}");
        assert_ne!(outcome, "applied", "{name}");
    }
    assert_eq!(world.directory().await, end);
    assert_eq!(world.operations().await, Vec::<Value>::new());
}

#[tokio::test]
async fn every_other_type_is_ignored() {
    let world = World::start().await;
    let followed = ["user", "organization", "organizationMembership"];
    let mut ignored = 0;
    for name in rollcall_cli::trigger::names() {
        let kind = sample(&name)["type"].as_str().unwrap().to_owned();
        if followed.contains(&kind.split('.').next().unwrap()) && kind != "user.somethingNew" {
            continue;
        }
        assert_eq!(post(&world, &name).await, (200, "ignored".to_owned()), "{name}");
        ignored += 1;
    }
    assert_eq!(ignored, 37, "45 documented types and an invented one, less the nine that are followed");
    assert!(world.directory().await.is_empty() && world.operations().await.is_empty());
    assert!(world.wire.take().is_empty());
}

#[tokio::test]
async fn the_samples_leave_what_the_projection_says() {
    let world = World::start().await;
    for name in ["user.created", "organization.created", "organizationMembership.created"] {
        assert_eq!(post(&world, name).await.1, "applied", "{name}");
    }
    world.set_now(1_767_225_900_100);
    assert_eq!(post(&world, "user.updated").await.1, "applied");
    let ada = world.item(&user(ADA)).await.unwrap();
    for (field, value) in [
        ("name", "Ada Example-Updated"),
        ("email", "ada.new@example.org"),
        ("username", "ada"),
        ("role", "user"),
        ("clerk_user_id", ADA),
        ("rank", "0000000000000.0.1767225900000"),
        ("applied_by", "webhook"),
    ] {
        assert_eq!(ada[field], value, "{field}");
    }
    assert_eq!(ada["public_metadata"]["department"], "engineering");
    for never in
        ["private_metadata", "unsafe_metadata", "email_addresses", "last_sign_in_at", "last_active_at", "deleted_at"]
    {
        assert_eq!(ada[never], Value::Null, "{never}");
    }
    let acme = world.item(&organization(ACME)).await.unwrap();
    assert_eq!((acme["name"].as_str(), acme["slug"].as_str()), (Some("Acme Corp"), Some("acme-corp")));
    assert_eq!(acme["members_count"], Value::Null);
    let grace = world.item(&membership(GRACE, ACME)).await.unwrap();
    assert_eq!(grace["role"], "org:member");
    assert_eq!(grace["user_pk"], grace["pk"], "a live membership is in index members");
    assert_eq!(grace["rank"], "1767225600000.0.1767225600000");
}

#[tokio::test]
async fn a_body_in_base64_is_verified_and_applied_like_every_other() {
    let world = World::start().await;
    let plain = World::start().await;
    let sent = world.sign(&sample("user.created"));
    assert_eq!(world.send_base64(&sent).await.brief(), (200, "applied"));
    assert_eq!(plain.send(&sent).await.brief(), (200, "applied"));
    assert_eq!(world.item(&user(ADA)).await.map(state), plain.item(&user(ADA)).await.map(state));
}

#[tokio::test]
async fn header_names_come_in_any_case() {
    let world = World::start().await;
    let mut sent = world.sign(&sample("user.created"));
    for (name, _) in &mut sent.headers {
        *name = name.split('-').map(|part| part[..1].to_uppercase() + &part[1..]).collect::<Vec<_>>().join("-");
    }
    assert!(sent.headers.iter().any(|(name, _)| name == "Svix-Id"));
    assert_eq!(world.send(&sent).await.brief(), (200, "applied"));
}
