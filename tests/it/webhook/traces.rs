//! Sequences of events that earlier drafts of the rule handled wrongly, as far as the webhook is concerned. `trace8` in
//! a test's name is the number of the sequence in docs/guarantees.md, "Traces".

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use clerk_emulator::ApiFaults;
use rollcall_tests::{SAMPLE_TIME, World, deletion_event, membership_event, serve, user_event};
use serde_json::{Value, json};

use crate::ensure::profiles::{newcomer, with_clerk};
use crate::{ACME, GRACE, membership, user};

const T: u64 = SAMPLE_TIME - 60_000;
const LATE: u64 = 11 * 60 * 1000;

fn created(id: &str, generation: u64) -> Value {
    membership_event("organizationMembership.created", id, generation, generation, generation)
}

fn deleted(id: &str, generation: u64, at: u64) -> Value {
    membership_event("organizationMembership.deleted", id, generation, generation, at)
}

/// A user of the emulator, as Clerk answers it.
async fn clerk_user(world: &World, name: &str) -> Value {
    world.clerk("POST", "/users", json!({ "first_name": name, "email_address": [format!("{name}@example.com")] })).await
}

/// The event with which Clerk would announce a user that it has just answered.
fn announced(data: &Value) -> Value {
    rollcall_tests::event("user.updated", data, data["updated_at"].as_u64().unwrap())
}

async fn name(world: &World, id: &str) -> String {
    world.item(&user(id)).await.map(|item| item["name"].as_str().unwrap_or_default().to_owned()).unwrap_or_default()
}

#[tokio::test]
async fn trace1_a_late_delete_of_the_old_membership_leaves_the_new_one_alone() {
    let world = World::start().await;
    // Created, left, rejoined: the rejoin's event comes before the delete of what was left.
    for event in [created("orgmem_1", T), created("orgmem_2", T + 2), deleted("orgmem_1", T, T + 1)] {
        world.post(&event).await;
    }
    let item = world.item(&membership(GRACE, ACME)).await.unwrap();
    assert_eq!((item["membership_id"].as_str(), item["deleted_at"].is_null()), (Some("orgmem_2"), true));
}

#[tokio::test]
async fn trace5_a_membership_without_created_at_is_fetched_and_never_given_generation_zero() {
    let world = World::start().await;
    let ada = clerk_user(&world, "ada").await;
    let acme = world.clerk("POST", "/organizations", json!({ "name": "Acme", "created_by": ada["id"] })).await;
    let path = format!("/organizations/{}/memberships", acme["id"].as_str().unwrap());
    let real = world.clerk("GET", &path, Value::Null).await["data"][0].clone();
    let entity = membership(ada["id"].as_str().unwrap(), acme["id"].as_str().unwrap());
    let mut undated = real.clone();
    undated["created_at"] = Value::Null;
    let event = |data| rollcall_tests::event("organizationMembership.created", data, world.now().get());
    assert_eq!(world.post(&event(&undated)).await.brief(), (200, "applied"));
    let item = world.item(&entity).await.unwrap();
    assert_eq!(item["created_at"], real["created_at"]);
    assert!(item["rank"].as_str().unwrap().starts_with(&format!("{}.0.", real["created_at"])));
    // A delete of nobody knows which generation: Clerk still shows the membership, so it stays.
    let mut gone = undated.clone();
    gone["id"] = "orgmem_unknown".into();
    let event = rollcall_tests::event("organizationMembership.deleted", &gone, world.now().get());
    assert_eq!(world.post(&event).await.brief(), (200, "duplicate"));
    assert!(world.item(&entity).await.unwrap()["deleted_at"].is_null());
    // Once Clerk has it no more, nobody can say which generation ended: that is noted, and not acknowledged as done.
    world.clerk("DELETE", &format!("{path}/{}", ada["id"].as_str().unwrap()), Value::Null).await;
    let event = rollcall_tests::event("organizationMembership.deleted", &undated, world.now().get());
    assert_eq!(world.post(&event).await.brief(), (422, "unprocessable_event"));
    let notes = world.operations().await;
    assert_eq!((notes.len(), &notes[0]["failed_at"]), (1, &json!("data.created_at")));
}

#[tokio::test]
async fn trace8_a_late_created_whose_delete_was_lost_creates_nobody() {
    let world = World::start().await;
    let gone = clerk_user(&world, "gone").await;
    let alive = clerk_user(&world, "alive").await;
    let id = |data: &Value| data["id"].as_str().unwrap().to_owned();
    world.clerk("DELETE", &format!("/users/{}", id(&gone)), Value::Null).await;
    world.set_now(SAMPLE_TIME + LATE);
    assert_eq!(world.post(&announced(&gone)).await.brief(), (200, "superseded"));
    assert_eq!(world.item(&user(&id(&gone))).await, None);
    // Whoever Clerk still has is created all the same, as Clerk has them now.
    world.clerk("PATCH", &format!("/users/{}", id(&alive)), json!({ "first_name": "Renamed" })).await;
    assert_eq!(world.post(&announced(&alive)).await.brief(), (200, "applied"));
    assert_eq!(name(&world, &id(&alive)).await, "Renamed");
}

#[tokio::test]
async fn trace8_a_late_created_of_a_new_generation_is_fetched_too() {
    let world = World::start().await;
    for event in [created("orgmem_1", T), deleted("orgmem_1", T, T + 1)] {
        assert_eq!(world.post(&event).await.brief(), (200, "applied"));
    }
    let before = world.item(&membership(GRACE, ACME)).await;
    world.set_now(SAMPLE_TIME + LATE);
    assert_eq!(world.post(&created("orgmem_2", T + 2)).await.brief(), (200, "superseded"));
    assert_eq!(world.item(&membership(GRACE, ACME)).await, before);
    assert_eq!(world.clerk_calls(), 1);
}

#[tokio::test]
async fn trace8_a_late_update_of_what_is_known_needs_no_question() {
    let world = World::start().await;
    world.post(&user_event("user.created", "user_1", "One", T)).await;
    world.set_now(SAMPLE_TIME + LATE);
    let mut late = user_event("user.updated", "user_1", "Two", T + 1);
    assert_eq!(world.post(&late).await.brief(), (200, "applied"));
    assert_eq!(world.post(&late).await.brief(), (200, "duplicate"));
    late["data"]["updated_at"] = (T - 1).into();
    assert_eq!(world.post(&late).await.brief(), (200, "superseded"));
    assert_eq!(world.clerk_calls(), 0);
}

#[tokio::test]
async fn trace9_of_two_states_of_one_millisecond_clerk_tells_the_later() {
    for newest_first in [false, true] {
        let world = World::start().await;
        let one = clerk_user(&world, "one").await;
        let id = one["id"].as_str().unwrap().to_owned();
        // The clock stands still: Clerk changes twice within one millisecond.
        let two = world.clerk("PATCH", &format!("/users/{id}"), json!({ "first_name": "Two" })).await;
        assert_eq!(one["updated_at"], two["updated_at"]);
        let mut events = [announced(&one), announced(&two)];
        if newest_first {
            events.reverse();
        }
        assert_eq!(world.post(&events[0]).await.brief(), (200, "applied"));
        let second = world.post(&events[1]).await;
        assert_eq!(second.brief(), (200, if newest_first { "duplicate" } else { "applied" }));
        assert_eq!(name(&world, &id).await, "Two");
        assert_eq!(world.clerk_calls(), 3, "a create, a change and the question");
    }
}

#[tokio::test]
async fn trace9_what_changed_after_the_question_was_asked_is_not_overwritten() {
    let world = World::start().await;
    let directory = world.stack.dynamodb.clone();
    let table = world.stack.addresses.directory_table.clone();
    // One and two tie. While Clerk answers two, somebody else stores three, of the same millisecond.
    let [one, two, three] = ["One", "Two", "Three"].map(|name| user_event("user.updated", "user_1", name, T));
    let elsewhere = World::start().await;
    elsewhere.post(&three).await;
    let stored = elsewhere.item(&user("user_1")).await.unwrap();
    let answer = two["data"].clone();
    let asked = Arc::new(AtomicU32::new(0));
    let count = asked.clone();
    let handler = move || async move {
        if count.fetch_add(1, Ordering::SeqCst) == 0 {
            let row = serde_dynamo::to_item(stored).unwrap();
            directory.put_item().table_name(table).set_item(Some(row)).send().await.unwrap();
        }
        axum::Json(answer)
    };
    let clerk = serve(axum::Router::new().fallback(handler)).await;
    let asking = world.beside(&[("CLERK_API_URL", &clerk)]).await;
    asking.post(&one).await;
    // The answer finds another state than the one it was asked about, so it is asked again, about that one.
    assert_eq!(asking.post(&two).await.brief(), (200, "applied"));
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    assert_eq!(name(&asking, "user_1").await, "Two Example");
}

#[tokio::test]
async fn trace9_an_answer_older_than_its_event_settles_nothing() {
    // Two states of one millisecond, and a Clerk that lags behind both.
    let [one, two] = ["One", "Two"].map(|name| user_event("user.updated", "user_1", name, T));
    let stale = user_event("user.created", "user_1", "Stale", T - 1)["data"].clone();
    let clerk = serve(axum::Router::new().fallback(move || async move { axum::Json(stale) })).await;
    let world = World::with(&[("CLERK_API_URL", &clerk)]).await;
    assert_eq!(world.post(&one).await.brief(), (200, "applied"));
    let before = world.item(&user("user_1")).await;
    assert_eq!(world.post(&two).await.brief(), (503, "unavailable"));
    // Nor does it create anybody.
    let late = user_event("user.updated", "user_1", "Late", T + 1);
    world.set_now(SAMPLE_TIME + LATE);
    let mut other = late.clone();
    other["data"]["id"] = "user_2".into();
    assert_eq!(world.post(&other).await.brief(), (503, "unavailable"));
    assert_eq!((world.item(&user("user_1")).await, world.item(&user("user_2")).await), (before, None));
}

#[tokio::test]
async fn trace12_a_rejoin_within_the_millisecond_of_the_old_membership_is_settled_by_clerk() {
    let world = World::start().await;
    let (ada, bob) = (clerk_user(&world, "ada").await, clerk_user(&world, "bob").await);
    let acme = world.clerk("POST", "/organizations", json!({ "name": "Acme", "created_by": ada["id"] })).await;
    let path = format!("/organizations/{}/memberships", acme["id"].as_str().unwrap());
    let join = json!({ "user_id": bob["id"], "role": "org:member" });
    let first = world.clerk("POST", &path, join.clone()).await;
    world.clerk("DELETE", &format!("{path}/{}", bob["id"].as_str().unwrap()), Value::Null).await;
    let second = world.clerk("POST", &path, join).await;
    assert_eq!(first["created_at"], second["created_at"], "the clock stands still");
    assert_ne!(first["id"], second["id"]);
    let event = |kind: &str, data: &Value| {
        rollcall_tests::event(&format!("organizationMembership.{kind}"), data, world.now().get())
    };
    let entity = membership(bob["id"].as_str().unwrap(), acme["id"].as_str().unwrap());

    // In order: the tombstone of the first stands in the second's way, with a greater rank, until Clerk is asked.
    for (event, outcome) in [
        (event("created", &first), "applied"),
        (event("deleted", &first), "applied"),
        (event("created", &second), "applied"),
    ] {
        assert_eq!(world.post(&event).await.brief(), (200, outcome));
    }
    let item = world.item(&entity).await.unwrap();
    assert_eq!((&item["membership_id"], item["deleted_at"].is_null()), (&second["id"], true));
    // And the delete of the first, come late, does not end the second.
    assert_eq!(world.post(&event("deleted", &first)).await.brief(), (200, "duplicate"));
    assert!(world.item(&entity).await.unwrap()["deleted_at"].is_null());
}

#[tokio::test]
async fn trace13_a_tie_about_somebody_clerk_does_not_have_writes_nothing() {
    let world = World::start().await;
    world.post(&user_event("user.created", "user_1", "One", T)).await;
    let before = world.item(&user("user_1")).await;
    assert_eq!(world.post(&user_event("user.updated", "user_1", "Two", T)).await.brief(), (200, "superseded"));
    assert_eq!(world.item(&user("user_1")).await, before);
    assert_eq!(world.clerk_calls(), 1);
}

#[tokio::test]
async fn trace5_a_membership_of_which_only_a_token_is_known_never_outranks_clerk() {
    let world = World::start().await;
    let (ada, acme) = newcomer(&world).await;
    let member =
        world.clerk("GET", &format!("/organizations/{acme}/memberships"), Value::Null).await["data"][0].clone();
    with_clerk(&world, ApiFaults { server_error: 1.0, ..ApiFaults::default() });
    assert_eq!(world.ensure(&world.session(&ada, Some(&acme))).await.status, 201);
    let of_ada = membership(&ada, &acme);
    assert_eq!(world.item(&of_ada).await.unwrap()["rank"], "0000000000000.0.0000000000000");
    // Whatever Clerk says of it replaces it: that it began, or that it ended.
    let ended = world.beside(&[]).await;
    let began = rollcall_tests::event("organizationMembership.created", &member, world.now().get());
    assert_eq!(ended.post(&began).await.brief(), (200, "applied"));
    assert_eq!(
        world.item(&of_ada).await.unwrap()["rank"].as_str().unwrap()[..14],
        began["data"]["created_at"].to_string() + "."
    );
    let end = rollcall_tests::event("organizationMembership.deleted", &member, world.now().get());
    assert_eq!(world.post(&end).await.brief(), (200, "applied"));
    let tombstone = world.item(&of_ada).await;
    let answer = world.ensure(&world.session(&ada, Some(&acme))).await;
    assert_eq!((answer.status, &answer.body["membership"]), (200, &Value::Null), "a placeholder replaces nothing");
    assert_eq!(world.item(&of_ada).await, tombstone);
}

#[tokio::test]
async fn trace10_a_profile_does_not_come_back_for_a_user_deleted_in_between() {
    // A call reads a live user; the user is deleted; the call creates the profile, or that of a membership after it.
    for (in_organization, transaction) in [(false, 1), (true, 1), (true, 2)] {
        let world = World::start().await;
        let (ada, acme) = newcomer(&world).await;
        let body = world.clerk("GET", &format!("/users/{ada}"), Value::Null).await;
        world.post(&rollcall_tests::event("user.created", &body, world.now().get())).await;
        let (webhook, token) = (world.beside(&[]).await, world.session(&ada, in_organization.then_some(&*acme)));
        let end = deletion_event("user.deleted", &ada, world.now().get());
        let mut held = world.wire.hold();
        // Owns what it listens to: once it is dropped, nothing is held any more.
        let deleting = async move {
            let mut transactions = 0;
            while let Some(request) = held.recv().await {
                transactions += u32::from(request.operation == "TransactWriteItems");
                if request.operation == "TransactWriteItems" && transactions == transaction {
                    assert_eq!(webhook.post(&end).await.status, 200);
                }
                request.release();
            }
        };
        let answer = tokio::select! {
            answer = world.ensure(&token) => answer,
            () = deleting => unreachable!("the wire stays"),
        };
        assert_eq!(answer.brief(), (410, "user_deleted"), "{in_organization} {transaction}");
        let records = world.profiles().await;
        assert_eq!(records.len() + 1, transaction as usize, "what was there before the end, and nothing since");
        assert_eq!(world.ensure(&token).await.brief(), (410, "user_deleted"));
        assert_eq!(world.profiles().await, records);
    }
}
