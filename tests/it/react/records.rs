//! I6, I10, I12 and bad days: what follows from a change follows once, whatever happens to the function that does it.

use clerk_emulator::{ApiFaults, Config};
use rollcall::core::reconcile::run::{Run, RunState};
use rollcall_cli::dev::stream::Look;
use rollcall_tests::{Action, Fault, Land, World, killed_after};
use serde_json::{Value, json};

use crate::{organization, user};

const PATCH: &str = "PATCH /v1/users/{user_id}/metadata";
const CONCURRENCY: (&str, &str) = ("PURGE_AFTER_HOURS", "0");
const WRITES_BACK: (&str, &str) = ("METADATA_WRITEBACK", "on");

/// A country in which everything happens that has consequences, all of it delivered.
async fn eventful(world: &World) -> Land<'_> {
    let mut land = Land::populate(world).await;
    for action in [
        Action::SignUp,
        Action::Found(0),
        Action::Found(0),
        Action::SignUp,
        Action::Join(1, 0),
        Action::Join(1, 1),
        Action::SignUp,
        Action::Join(2, 0),
        Action::Promote(1, true),
        Action::Leave(1, 0),
        Action::DeleteOrganization(1),
        Action::DeleteUser(2),
        Action::Join(1, 0),
    ] {
        land.happen(action, true).await;
    }
    for event in 0..land.events.len() {
        land.happen(Action::Deliver(event), false).await;
    }
    land
}

/// What is stored and told, without when and by whom it was done.
async fn outcome(world: &World) -> (Vec<Value>, Vec<Value>) {
    let (directory, profiles) = (&world.stack.addresses.directory_table, &world.stack.addresses.profiles_table);
    let strip = |mut row: Value, names: &[&str]| {
        row.as_object_mut().unwrap().retain(|name, _| !names.contains(&name.as_str()));
        row
    };
    let times = ["applied_at", "applied_by", "delivery_id", "consequences_at"];
    let stored = world.rows(directory).await.into_iter().map(|row| {
        let is_done = row["consequences_at"].is_u64();
        let mut row = strip(row, &times);
        row["is_done"] = is_done.into();
        row
    });
    let profiles = world.rows(profiles).await.into_iter().map(|row| strip(row, &["created_at"]));
    (stored.collect(), profiles.collect())
}

async fn complete(world: &World) -> Run {
    let run = world.reconcile().await;
    if run.state == RunState::PendingApproval { world.approve(&run).await } else { run }
}

#[tokio::test]
async fn i12_react_killed_after_any_await_and_begun_again_ends_in_the_same_state() {
    // Without a grace period it does what a deletion removes, too.
    let world = World::with(&[CONCURRENCY]).await;
    let mut polls = 1;
    loop {
        let land = eventful(&world).await;
        let whole = killed_after(polls, world.follow()).await.is_some();
        // Whatever was under way is handed over again, with all before it.
        world.replay().await;
        world.follow().await;
        let (stored, profiles) = outcome(&world).await;
        let of = |at: usize| land.users[at].clone();
        let keys: Vec<&str> = profiles.iter().map(|row| row["sk"].as_str().unwrap()).collect();
        assert_eq!(keys.iter().filter(|key| **key == "PROFILE").count(), 2, "killed after {polls} polls: {keys:?}");
        assert_eq!(keys.len(), 4, "killed after {polls} polls: {keys:?}");
        for ended in [user(&of(2)), organization(&land.organizations[1])] {
            let row = world.item(&ended).await.unwrap();
            assert!(row["deleted_at"].is_u64() && row["consequences_at"].is_u64(), "killed after {polls} polls: {row}");
        }
        let live = stored.iter().filter(|row| row["deleted_at"].is_null() && row["sk"].as_str().unwrap() != "USER");
        let mut live: Vec<&str> = live.map(|row| row["sk"].as_str().unwrap()).collect();
        live.sort_unstable();
        let acme = format!("ORG#{}", land.organizations[0]);
        assert_eq!(live, ["ORG", &acme, &acme], "killed after {polls} polls");
        if whole {
            break;
        }
        polls += 1;
    }
    println!("{polls} awaits");
    assert!(polls > 20, "{polls}");
}

#[tokio::test]
async fn i12_without_a_stream_one_reconcile_does_all_that_should_have_followed() {
    let clerk = || Config { production: true, ..Config::default() };
    let followed = World::with_clerk(clerk(), &[WRITES_BACK, CONCURRENCY]).await;
    let lost = World::with_clerk(clerk(), &[WRITES_BACK, CONCURRENCY]).await;
    for (world, follows) in [(&followed, true), (&lost, false)] {
        let mut land = eventful(world).await;
        if follows {
            world.follow().await;
        }
        land.happen(Action::Wait(16), true).await;
    }
    let run = complete(&lost).await;
    assert_eq!((run.state, run.is_in_sync()), (RunState::Done, true), "{run:?}");
    let undone = run.effects;
    assert_eq!((undone.profiles, undone.tombstones, undone.links, undone.left), (4, 2, 2, 0), "{undone:?}");
    let counts = |(stored, profiles): &(Vec<Value>, Vec<Value>)| {
        let live = stored.iter().filter(|row| row["deleted_at"].is_null()).count();
        let done = stored.iter().filter(|row| row["is_done"] == true).count();
        (live, stored.len(), done, profiles.len())
    };
    let (with, without) = (outcome(&followed).await, outcome(&lost).await);
    assert_eq!(counts(&with), counts(&without));
    for world in [&followed, &lost] {
        // One for each of the two who live, and the promotion.
        assert_eq!(world.stack.clerk.requests()[PATCH], 3);
        let users = world.clerk("GET", "/users?limit=10", Value::Null).await;
        for user in users.as_array().unwrap() {
            let metadata = &user["public_metadata"];
            assert!(metadata["dbId"].is_string() && metadata["role"].is_string(), "{metadata}");
        }
    }
    // The second run finds the echoes, and nothing undone.
    complete(&lost).await;
    let again = complete(&lost).await;
    assert_eq!(again.effects, rollcall::core::reconcile::tally::PendingEffects::default());
    assert_eq!(lost.stack.clerk.requests()[PATCH], 3);
}

#[tokio::test]
async fn i12_a_reporting_run_counts_what_is_undone_and_does_none_of_it() {
    let world = World::with_clerk(Config::default(), &[WRITES_BACK, ("RECONCILE_POLICY", "report")]).await;
    let mut land = eventful(&world).await;
    land.happen(Action::Wait(16), true).await;
    let before = (outcome(&world).await, world.stack.clerk.requests());
    let run = world.reconcile().await;
    // Where the webhook alone writes the Directory, no end is carried on.
    assert_eq!((run.effects.profiles, run.effects.links, run.effects.tombstones, run.effects.left), (4, 2, 0, 0));
    assert!(!run.is_in_sync());
    assert_eq!((outcome(&world).await, world.stack.clerk.requests().get(PATCH)), (before.0, before.1.get(PATCH)));
    // And react keeps away from it as well.
    world.follow().await;
    let cascaded = world.directory().await.iter().filter(|row| row["applied_by"] == "cascade").count();
    assert_eq!((cascaded, world.profiles().await.len()), (0, 4));
}

#[tokio::test]
async fn i6_what_the_application_keeps_is_byte_identical_whatever_comes() {
    let world = World::with_clerk(Config { production: true, ..Config::default() }, &[WRITES_BACK]).await;
    let mut land = eventful(&world).await;
    world.follow().await;
    let table = &world.stack.addresses.profiles_table;
    let mut kept = world.profiles().await;
    for (at, row) in kept.iter_mut().enumerate() {
        row["notes"] = json!({ "n": at, "text": "ours", "list": [1, 2.5, null, true], "level": 9 });
        world.put(table, row).await;
    }
    world.put(table, &json!({ "pk": "APP#1", "sk": "SETTINGS", "of": "nobody" })).await;
    let before = world.profiles().await;
    for action in [
        Action::Rename(0),
        Action::Ban(0),
        Action::Role(1, 0, true),
        Action::Leave(1, 0),
        Action::Join(1, 0),
        Action::Ensure(0, Some(0)),
        Action::Ensure(1, Some(0)),
    ] {
        land.happen(action, true).await;
    }
    for event in (0..land.events.len()).rev().chain(0..land.events.len()) {
        land.happen(Action::Deliver(event), false).await;
    }
    world.replay().await;
    world.follow().await;
    land.happen(Action::Wait(16), true).await;
    complete(&world).await;
    assert_eq!(world.profiles().await, before);
}

#[tokio::test]
async fn i10_a_thousand_write_backs_are_a_thousand_requests_and_a_second_round_makes_none() {
    let world = World::with_clerk(Config { users: 1_000, production: true, ..Config::default() }, &[WRITES_BACK]).await;
    let log = crate::properties::failures::Log::default();
    let listening = log.listen();
    let run = complete(&world).await;
    drop(listening);
    assert!(run.is_in_sync(), "{run:?}\n{}", log.text());
    let requests = world.stack.clerk.requests();
    let lacking = run.effects.links;
    assert_eq!(lacking, 1_000);
    assert_eq!(requests[PATCH], lacking, "one for each whose metadata lacked something");
    // The echo reaches the copy by the next run, the stream tells of each, and nobody is written to again.
    let again = complete(&world).await;
    assert_eq!((again.effects.links, again.total().updated), (0, lacking));
    world.follow().await;
    assert_eq!(world.stack.clerk.requests()[PATCH], lacking);
    assert_eq!(complete(&world).await.total().drift, rollcall::core::reconcile::tally::Drift::default());
}

#[tokio::test]
async fn i10_a_role_that_an_administrator_grants_meanwhile_is_never_overwritten() {
    let world = World::with(&[WRITES_BACK]).await;
    let mut land = Land::populate(&world).await;
    land.happen(Action::SignUp, true).await;
    land.happen(Action::Deliver(0), false).await;
    // The event that react follows knows of no role; by now there is one.
    land.happen(Action::Promote(0, true), true).await;
    world.follow().await;
    let path = format!("/users/{}", land.users[0]);
    let metadata = world.clerk("GET", &path, Value::Null).await["public_metadata"].clone();
    assert_eq!((&metadata["role"], metadata["dbId"].is_string()), (&json!("admin"), true));
    // Another id than ours stays as well, and is told.
    let others = json!({ "public_metadata": { "dbId": "of another database", "role": null } });
    let body = world.clerk("PATCH", &format!("{path}/metadata"), others).await;
    world.post(&rollcall_tests::event("user.updated", &body, world.now().get())).await;
    let log = crate::properties::failures::Log::default();
    let listening = log.listen();
    world.follow().await;
    drop(listening);
    assert!(log.text().contains("the dbId in the user's metadata in Clerk is not the internal id"), "{}", log.text());
    let metadata = world.clerk("GET", &path, Value::Null).await["public_metadata"].clone();
    assert_eq!(metadata, json!({ "dbId": "of another database", "role": "user" }));
}

#[tokio::test]
async fn a_key_of_another_instance_writes_nothing_back() {
    let world = World::with(&[WRITES_BACK, ("CLERK_INSTANCE_ID", "ins_other")]).await;
    let clerk = world.stack.clerk.requests();
    let body = world.clerk("POST", "/users", json!({ "email_address": ["ada@example.com"] })).await;
    let mut event = rollcall_tests::event("user.created", &body, world.now().get());
    event["instance_id"] = "ins_other".into();
    assert_eq!(world.post(&event).await.brief(), (200, "applied"));
    world.follow().await;
    assert_eq!(world.profiles().await.len(), 1);
    assert_eq!((clerk.get(PATCH), world.stack.clerk.requests().get(PATCH)), (None, None));
}

#[tokio::test]
async fn i12_nothing_is_lost_while_clerk_is_down() {
    for api in [
        ApiFaults { too_many_requests: 1.0, ..ApiFaults::default() },
        ApiFaults { server_error: 1.0, ..ApiFaults::default() },
        ApiFaults { server_error: 1.0, requests: vec![PATCH.to_owned()], ..ApiFaults::default() },
    ] {
        let world = World::with_clerk(Config { production: true, ..Config::default() }, &[WRITES_BACK]).await;
        let mut land = eventful(&world).await;
        world.set_faults(api.clone());
        // The stream goes on: what can be done without Clerk is done.
        world.follow().await;
        assert_eq!(world.profiles().await.len(), 4, "{api:?}");
        world.set_faults(ApiFaults::default());
        land.happen(Action::Wait(16), true).await;
        let run = complete(&world).await;
        assert_eq!((run.is_in_sync(), run.effects.links), (true, 2), "{api:?} {run:?}");
        let lacks = |user: &&Value| user["public_metadata"]["dbId"].is_null();
        let users = world.clerk("GET", "/users?limit=10", Value::Null).await;
        assert_eq!(users.as_array().unwrap().iter().filter(lacks).count(), 0, "{api:?}");
    }
}

#[tokio::test]
async fn i12_nothing_is_lost_while_the_store_fails() {
    let world = World::start().await;
    eventful(&world).await;
    let _ = world.wire.take();
    world.follow().await;
    let requests = world.wire.take();
    let expected = outcome(&world).await;
    println!("{} requests", requests.len());
    for (failing, request) in requests.iter().enumerate() {
        let fault = match request.operation.as_str() {
            "BatchGetItem" => Fault::Unprocessed,
            "TransactWriteItems" => Fault::TransactionCancelled("ThrottlingError"),
            _ => Fault::Throttled,
        };
        for fault in [fault, Fault::ServerError] {
            eventful(&world).await;
            // The SDK tries three times, a batch and a transaction six.
            world.wire.fail_after(failing, vec![fault; 6]);
            let first = world.look().await;
            world.wire.fail([]);
            world.follow().await;
            let now = outcome(&world).await;
            assert_eq!(
                (now.0.len(), now.1.len()),
                (expected.0.len(), expected.1.len()),
                "{failing} {fault:?} {first:?}"
            );
            let of = |rows: &[Value]| {
                let live = rows.iter().filter(|row| row["deleted_at"].is_null()).count();
                (live, rows.iter().filter(|row| row["is_done"] == true).count())
            };
            assert_eq!(of(&now.0), of(&expected.0), "{failing} {fault:?}");
        }
    }
}

#[tokio::test]
async fn i12_nothing_is_lost_while_the_bus_is_down() {
    let world = World::start().await;
    let land = eventful(&world).await;
    // A folder where the file should be.
    let bus = &world.stack.addresses.event_bus;
    std::fs::remove_file(bus).unwrap();
    std::fs::create_dir(bus).unwrap();
    assert_eq!(world.look().await, Look::Failed);
    assert_eq!(world.profiles().await.len(), 4, "what does not need the bus is done");
    std::fs::remove_dir(bus).unwrap();
    world.follow().await;
    let told: Vec<Value> = world.published().iter().map(|event| event["detail-type"].clone()).collect();
    let count = |name: &str| told.iter().filter(|told| *told == name).count();
    assert_eq!((count("user.created"), count("organization.created")), (3, 2), "{told:?}");
    assert_eq!((count("user.deleted"), count("organization.deleted")), (1, 1), "{told:?}");
    assert_eq!(land.users.len(), 3);
}

#[tokio::test]
async fn a_row_that_is_not_rollcalls_is_told_and_stands_in_nobodys_way() {
    let world = World::start().await;
    let mut land = Land::populate(&world).await;
    land.happen(Action::SignUp, true).await;
    land.happen(Action::Deliver(0), false).await;
    let table = &world.stack.addresses.directory_table;
    world.put(table, &json!({ "pk": "USER#1", "sk": "USER", "rank": "none", "secret": "marked" })).await;
    land.happen(Action::SignUp, true).await;
    land.happen(Action::Deliver(1), false).await;
    let log = crate::properties::failures::Log::default();
    let listening = log.listen();
    assert_eq!(world.look().await, Look::Done(3));
    drop(listening);
    assert_eq!(world.profiles().await.len(), 2);
    let text = log.text();
    assert!(text.contains("the row has no valid rank or digest") && !text.contains("marked"), "{text}");
}
