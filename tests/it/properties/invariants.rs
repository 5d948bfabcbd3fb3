//! The invariants that hold on the webhook's path. I14 is in `budgets`, I15 in `agreement`.

use std::sync::Arc;

use proptest::prelude::*;
use rollcall::core::id::EntityId;
use rollcall_tests::{SAMPLE_TIME, World, deletion_event, membership_event, organization_event, sample, user_event};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{ACME, ADA, GRACE, membership, organization, state, user};

const T: u64 = SAMPLE_TIME - 60_000;

/// Everything that may be said about one entity, each at a time of its own, the deletions among it.
#[derive(Clone, Copy, Debug)]
enum Kind {
    User,
    Organization,
    Membership,
}

impl Kind {
    fn entity(self, n: u32) -> EntityId {
        match self {
            Kind::User => user(&format!("user_{n}")),
            Kind::Organization => organization(&format!("org_{n}")),
            Kind::Membership => membership(&format!("user_{n}"), ACME),
        }
    }

    fn events(self, n: u32) -> Vec<Value> {
        let id = match self {
            Kind::User | Kind::Membership => format!("user_{n}"),
            Kind::Organization => format!("org_{n}"),
        };
        match self {
            Kind::User => vec![
                user_event("user.created", &id, "One", T),
                user_event("user.updated", &id, "Two", T + 1),
                user_event("user.updated", &id, "One", T + 2),
                user_event("user.updated", &id, "Three", T + 900),
                deletion_event("user.deleted", &id, T + 500),
            ],
            Kind::Organization => vec![
                organization_event("organization.created", &id, "One", T),
                organization_event("organization.updated", &id, "Two", T + 1),
                organization_event("organization.updated", &id, "One", T + 900),
                deletion_event("organization.deleted", &id, T + 500),
            ],
            Kind::Membership => [
                membership_event("organizationMembership.created", "orgmem_1", T, T, T),
                membership_event("organizationMembership.updated", "orgmem_1", T, T + 5, T + 5),
                membership_event("organizationMembership.deleted", "orgmem_1", T, T, T + 100),
                membership_event("organizationMembership.created", "orgmem_2", T + 50, T + 50, T + 200),
                membership_event("organizationMembership.updated", "orgmem_2", T + 50, T + 60, T + 260),
                membership_event("organizationMembership.deleted", "orgmem_2", T + 50, T + 60, T + 300),
            ]
            .map(|mut event| {
                event["data"]["public_user_data"]["user_id"] = id.as_str().into();
                event
            })
            .into(),
        }
    }
}

fn history() -> impl Strategy<Value = (Kind, Vec<prop::sample::Index>)> {
    let kind = prop::sample::select(vec![Kind::User, Kind::Organization, Kind::Membership]);
    (kind, prop::collection::vec(any::<prop::sample::Index>(), 1..14))
}

/// Every policy under which the invariants hold.
const POLICIES: [(&str, &str); 3] =
    [("DELETION_POLICY", "redact"), ("DELETION_POLICY", "purge"), ("DELETION_POLICY", "retain")];

/// Plays random histories under each policy, each of an entity of its own. Prints the smallest failing one and the
/// seed.
fn play(check: &impl AsyncFn(&World, &EntityId, &[&Value]) -> Result<(), TestCaseError>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let next = std::cell::Cell::new(0);
    for policy in POLICIES {
        let world = runtime.block_on(World::with(&[policy]));
        let (mut runner, seed) = rollcall_tests::runner(60);
        let result = runner.run(&history(), |(kind, picks)| {
            next.set(next.get() + 1);
            let events = kind.events(next.get());
            let history: Vec<&Value> = picks.iter().map(|pick| pick.get(&events)).collect();
            runtime.block_on(check(&world, &kind.entity(next.get()), &history))
        });
        result.unwrap_or_else(|failure| panic!("under {policy:?}: {failure}\n{seed}"));
    }
}

/// What must be the same whatever the order. A retained tombstone keeps what had come before the deletion did, which is
/// the one thing that depends on it.
fn convergent(item: Option<Value>) -> Option<Value> {
    let item = state(item?);
    let is_retained = item["deleted_at"].is_u64();
    Some(if is_retained {
        json!([item["pk"], item["sk"], item["rank"], item["digest"], item["deleted_at"]])
    } else {
        item
    })
}

fn rank(item: Option<&Value>) -> String {
    item.and_then(|item| item["rank"].as_str()).unwrap_or_default().to_owned()
}

#[test]
fn i2_a_stored_rank_never_falls() {
    play(&async |world, entity, history| {
        let mut before = String::new();
        for event in history {
            prop_assert_eq!(world.post(event).await.status, 200);
            let after = rank(world.item(entity).await.as_ref());
            prop_assert!(after >= before, "{} fell to {}", before, after);
            before = after;
        }
        Ok(())
    });
}

#[test]
fn i3_whoever_was_deleted_never_lives_again_and_who_came_back_does() {
    play(&async |world, entity, history| {
        let is_membership = matches!(entity, EntityId::Membership { .. });
        let generation =
            |event: &Value| event["data"]["created_at"].as_u64().filter(|_| is_membership).unwrap_or_default();
        let mut deleted: Vec<u64> = Vec::new();
        let mut newest = 0;
        for event in history {
            world.post(event).await;
            newest = newest.max(generation(event));
            if event["type"].as_str().unwrap().ends_with(".deleted") {
                deleted.push(generation(event));
            }
            let item = world.item(entity).await.unwrap();
            let stored: u64 = rank(Some(&item))[..13].parse().unwrap();
            // A re-join is a new generation, which the end of the old one leaves alone.
            prop_assert_eq!(stored, newest);
            prop_assert_eq!(item["deleted_at"].is_u64(), deleted.contains(&newest));
        }
        Ok(())
    });
}

#[tokio::test]
async fn i3_not_even_clerks_own_answer_revives_a_deleted_user() {
    // The signed delete is believed although this Clerk still returns the user, as a lagging replica would.
    let world = World::start().await;
    let created = world
        .clerk("POST", "/users", serde_json::json!({ "first_name": "Ada", "email_address": ["ada@example.com"] }))
        .await;
    let id = created["id"].as_str().unwrap();
    let at = world.now().get();
    assert_eq!(world.post(&deletion_event("user.deleted", id, at)).await.brief(), (200, "applied"));
    // A state of the tombstone's own millisecond, one from the future, which is fetched, and one that is late and so
    // would be.
    for (updated_at, sent_at, asked) in
        [(at, at, 0), (at + 3_600_000, at, 1), (at + 1, at - 200_000, 0), (at, at - 3_600_000, 1)]
    {
        let calls = world.clerk_calls();
        let mut event = user_event("user.updated", id, "Ada", updated_at);
        event["timestamp"] = sent_at.into();
        assert_eq!(world.post(&event).await.brief(), (200, "superseded"));
        assert!(world.item(&user(id)).await.unwrap()["deleted_at"].is_u64());
        assert_eq!(world.clerk_calls() - calls, asked, "a tombstone needs nobody's advice, a date that cannot be does");
    }
}

#[test]
fn i4_there_is_no_tombstone_without_a_signed_delete() {
    play(&async |world, entity, history| {
        for event in history.iter().filter(|event| !event["type"].as_str().unwrap().ends_with(".deleted")) {
            world.post(event).await;
            // Neither a forged delete nor the word alone ends anybody.
            let kind = event["type"].as_str().unwrap().split('.').next().unwrap();
            let mut delete = (*event).clone();
            delete["type"] = format!("{kind}.deleted").into();
            let forged =
                world.sign(&delete).with("svix-signature", Some("v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="));
            let answer = world.send(&forged).await;
            prop_assert_eq!(answer.brief(), (400, "signature_invalid"));
            let mut word = (*event).clone();
            word["data"]["deleted"] = true.into();
            world.post(&word).await;
            let item = world.item(entity).await.unwrap();
            prop_assert!(item["deleted_at"].is_null() && rank(Some(&item)).contains(".0."));
        }
        Ok(())
    });
}

#[tokio::test]
async fn i4_every_signed_delete_leaves_its_tombstone_known_or_not() {
    let world = World::start().await;
    for (event, entity) in [
        (sample("user.deleted"), user(ADA)),
        (sample("organization.deleted"), organization(ACME)),
        (sample("organizationMembership.deleted"), membership(GRACE, ACME)),
    ] {
        assert_eq!(world.post(&event).await.brief(), (200, "applied"));
        let item = world.item(&entity).await.unwrap();
        assert_eq!(item["deleted_at"], event["timestamp"]);
        assert_eq!(item["digest"], "tombstone");
        assert!(item["user_pk"].is_null(), "nobody finds it in index members");
    }
}

#[tokio::test]
async fn i5_a_foreign_instance_writes_nothing() {
    let world = World::start().await;
    for name in rollcall_cli::trigger::names() {
        let mut event = sample(&name);
        event["instance_id"] = "ins_somebodyElse".into();
        let answer = world.post(&event).await;
        assert_eq!(answer.brief(), (403, "foreign_instance"), "{name}");
        assert!(answer.aborts(), "{name}");
    }
    assert!(world.wire.take().is_empty());
    assert_eq!(world.clerk_calls(), 0);
}

#[test]
fn i7_any_order_any_number_of_times_ends_the_same_stream_records_included() {
    play(&async |world, entity, history| {
        for event in history {
            world.post(event).await;
        }
        let once = world.item(entity).await;
        let records = world.stream_records().await;
        for event in history.iter().rev().chain(history) {
            let answer = world.post(event).await;
            prop_assert!(matches!(answer.brief(), (200, "duplicate" | "superseded")), "{:?}", answer);
        }
        prop_assert_eq!(&world.item(entity).await, &once);
        prop_assert_eq!(world.stream_records().await, records);
        // The same events in another order, to an untouched Directory: the same state.
        let other = World::start().await;
        for event in history.iter().rev() {
            other.post(event).await;
        }
        prop_assert_eq!(convergent(other.item(entity).await), convergent(once));
        Ok(())
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i7_deliveries_that_race_one_another_end_the_same() {
    for policy in POLICIES {
        let world = Arc::new(World::with(&[policy]).await);
        for (n, kind) in [(1, Kind::User), (2, Kind::Organization), (3, Kind::Membership)] {
            let mut racing = JoinSet::new();
            for event in (0..8).flat_map(|_| kind.events(n)) {
                let world = world.clone();
                racing.spawn(async move { world.post(&event).await.status });
            }
            let statuses = racing.join_all().await;
            assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
            let other = World::with(&[policy]).await;
            for event in kind.events(n) {
                other.post(&event).await;
            }
            let entity = kind.entity(n);
            let (raced, told) = (world.item(&entity).await, other.item(&entity).await);
            assert_eq!(convergent(raced), convergent(told), "{kind:?} under {policy:?}");
        }
    }
}

#[tokio::test]
async fn i9_nothing_is_written_or_logged_from_a_body_before_its_signature_passes() {
    let (world, log) = (World::start().await, crate::properties::failures::Log::default());
    let _listening = log.listen();
    let mut event = sample("user.created");
    event["data"]["first_name"] = "MARKED-NAME".into();
    event["instance_id"] = "MARKED-INSTANCE".into();
    let good = world.sign(&event);
    for forged in [
        good.clone().with("svix-signature", None),
        good.clone().with("svix-signature", Some("v1,MARKED")),
        good.clone().with("svix-id", Some("msg_MARKED")),
        good.clone().with("svix-timestamp", Some("1")),
        rollcall_tests::Sent { body: b"{\"type\":\"MARKED\"".to_vec(), ..good.clone() },
    ] {
        assert_eq!(world.send(&forged).await.status, 400);
    }
    assert!(world.wire.take().is_empty());
    let lines = log.text();
    assert_eq!(lines.lines().count(), 5, "each is reported");
    assert!(!lines.contains("MARKED"), "{lines}");
}
