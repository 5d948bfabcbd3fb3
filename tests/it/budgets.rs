//! The budgets of the webhook, as counts. Times and memory are measured by `make bench`, never asserted here.

use rollcall_tests::{Call, World, deletion_event, membership_event, sample, user_event};

use crate::{ADA, user};

fn put(status: u16, units: f64) -> Vec<Call> {
    vec![Call { operation: "PutItem".to_owned(), status, units }]
}

#[tokio::test]
async fn i14_a_fresh_event_costs_one_request_and_one_write_unit() {
    let world = World::start().await;
    for event in [
        sample("user.created"),
        user_event("user.updated", ADA, "Ada", 1_767_225_700_000),
        sample("organization.created"),
        deletion_event("user.deleted", ADA, 1_767_226_500_000),
    ] {
        assert_eq!(world.post(&event).await.brief(), (200, "applied"));
        assert_eq!(world.wire.take(), put(200, 1.0), "{}", event["type"]);
    }
    assert_eq!(world.clerk_calls(), 0);
}

#[tokio::test]
async fn i14_a_membership_pays_for_its_index_when_it_comes_and_goes_only() {
    let world = World::start().await;
    let created = 1_767_225_600_000;
    let changed = |at| {
        let mut event = membership_event("organizationMembership.updated", "orgmem_1", created, at, at);
        event["data"]["public_metadata"]["seat"] = at.into();
        event
    };
    for (event, units) in [
        (membership_event("organizationMembership.created", "orgmem_1", created, created, created), 2.0),
        (changed(created + 1), 1.0),
        (membership_event("organizationMembership.deleted", "orgmem_1", created, created, created + 2), 2.0),
    ] {
        assert_eq!(world.post(&event).await.brief(), (200, "applied"));
        assert_eq!(world.wire.take(), put(200, units), "{}", event["type"]);
    }
}

#[tokio::test]
async fn i14_a_duplicate_or_superseded_event_costs_one_request_and_changes_nothing() {
    let world = World::start().await;
    let newer = user_event("user.updated", ADA, "Ada", 1_767_225_700_000);
    assert_eq!(world.post(&newer).await.brief(), (200, "applied"));
    let (before, records) = (world.item(&user(ADA)).await, world.stream_records().await);
    assert_eq!(records, 1, "the stream carries the change, so that its silence says something");
    let _ = world.wire.take();
    for (event, outcome) in [(&newer, "duplicate"), (&sample("user.created"), "superseded")] {
        assert_eq!(world.post(event).await.brief(), (200, outcome));
        assert_eq!(world.wire.take(), put(400, 0.0), "{outcome}");
        assert_eq!(world.item(&user(ADA)).await, before);
    }
    assert_eq!(world.stream_records().await, records);
    assert_eq!(world.clerk_calls(), 0);
}

#[tokio::test]
async fn i14_a_normal_users_item_stays_under_one_kilobyte() {
    let world = World::start().await;
    world.post(&sample("user.created")).await;
    world.set_now(1_767_226_020_000);
    assert_eq!(world.post(&sample("user.updated.unknown-extra-field")).await.brief(), (200, "applied"));
    // DynamoDB counts names and values; quotes and colons of the JSON form make up for its few bytes of overhead.
    let size = world.item(&user(ADA)).await.unwrap().to_string().len();
    assert!(size < 1024, "{size} bytes");
}
