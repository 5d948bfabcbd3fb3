//! The budgets, as counts. Times and memory are measured by `make bench`, never asserted here.

use rollcall_tests::{Call, World, deletion_event, membership_event, sample, user_event};

use crate::ensure::profiles::newcomer;
use crate::{ADA, user};

fn put(status: u16, units: f64) -> Vec<Call> {
    let table = Some("rollcall-directory".to_owned());
    vec![Call { operation: "PutItem".to_owned(), table, status, units }]
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

fn operations(world: &World) -> Vec<String> {
    world.wire.take().into_iter().map(|call| format!("{} {}", call.operation, call.status)).collect()
}

/// The key with which every emulator begins.
async fn public_key() -> String {
    World::start().await.stack.clerk.jwt_key().to_owned()
}

#[tokio::test]
async fn i14_ensure_with_nothing_missing_is_one_request_no_write_and_no_call_to_clerk() {
    // With published keys, which an earlier call has fetched, and with a key that needs no network at all.
    let key = public_key().await;
    for settings in [&[][..], &[("CLERK_JWT_KEY", &*key)]] {
        let world = World::with(settings).await;
        let (ada, acme) = newcomer(&world).await;
        let token = world.session(&ada, Some(&acme));
        assert_eq!(world.ensure(&token).await.status, 201);
        let (clerk, keys, records) = (world.clerk_calls(), world.stack.clerk.requests(), world.stream_records().await);
        let rows = (world.directory().await, world.profiles().await);
        let _ = world.wire.take();
        assert_eq!(world.ensure(&token).await.status, 200);
        assert_eq!(operations(&world), ["BatchGetItem 200"]);
        assert_eq!((world.clerk_calls(), world.stack.clerk.requests()), (clerk, keys), "nor to its keys");
        assert_eq!((world.stream_records().await, (world.directory().await, world.profiles().await)), (records, rows));
    }
}

#[tokio::test]
async fn i14_ensure_with_everything_missing_costs_a_write_for_each_row() {
    let world = World::start().await;
    let (ada, acme) = newcomer(&world).await;
    let before = world.clerk_calls();
    assert_eq!(world.ensure(&world.session(&ada, Some(&acme))).await.status, 201);
    // Clerk is asked, so it is noted first that it is, and how often: one caller cannot spend Clerk's rate. Clerk had
    // everything, which shows in the rows: nothing more is to be noted.
    let (note, copy, record) = ("UpdateItem 200", "PutItem 200", "TransactWriteItems 200");
    assert_eq!(operations(&world), ["BatchGetItem 200", note, note, copy, copy, copy, record, record]);
    assert_eq!(world.clerk_calls() - before, 3);
}

#[tokio::test]
async fn i14_the_function_that_has_a_key_of_its_own_asks_nobody_for_one() {
    let key = public_key().await;
    let world = World::with(&[("CLERK_JWT_KEY", &key)]).await;
    let (ada, _) = newcomer(&world).await;
    assert_eq!(world.ensure(&world.session(&ada, None)).await.status, 201);
    assert!(!world.stack.clerk.requests().keys().any(|route| route.contains("jwks")));
}
