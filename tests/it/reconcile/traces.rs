//! Sequences of events that earlier drafts of the rule handled wrongly, as far as a listing or the confirmation of an
//! absence is part of them. The numbers are those in docs/guarantees.md, "Traces".

use reconcile::Order;
use rollcall::core::reconcile::run::{Mode, Run, RunState};
use rollcall_tests::proxy::{asks_by_name, behind, hidden};
use rollcall_tests::{Action, Land, World, alive, event, membership_event, projected};
use serde_json::json;

use crate::{membership, user};

async fn people(world: &World, number: usize) -> Land<'_> {
    let mut land = Land::populate(world).await;
    for _ in 0..number {
        land.happen(Action::SignUp, true).await;
    }
    world.reconcile().await;
    land
}

#[tokio::test]
async fn trace1_a_rank_that_moved_alone_is_written_so_that_nothing_late_gets_through() {
    let world = World::start().await;
    let mut land = people(&world, 1).await;
    let id = land.users[0].clone();
    // From one name to another and back, and neither event arrives.
    for name in ["Other", "Ada"] {
        world.set_now(world.now().get() + 10);
        let body = world.clerk("PATCH", &format!("/users/{id}"), json!({ "first_name": name })).await;
        land.events.push(event("user.updated", &body, world.now().get()));
    }
    let run = world.reconcile().await;
    assert_eq!((run.tally.user.drift.behind, run.tally.user.updated), (1, 1));
    let between = land.events.len() - 2;
    assert_eq!(world.post(&land.events[between]).await.brief(), (200, "superseded"));
    assert_eq!(alive(&world).await, projected(&world).await);
}

#[tokio::test]
async fn trace2_whoever_a_list_leaves_out_is_asked_about_by_name_all_of_them_at_once() {
    let world = World::start().await;
    let mut land = people(&world, 60).await;
    land.happen(Action::Wait(16), true).await;
    // More than the ten rows that a list gives by default, and fewer than what an operator is asked about.
    let url = behind(&world, hidden(land.users[20..40].to_vec())).await;
    let tested = world.beside(&[("CLERK_API_URL", &url)]).await;
    let before = world.directory().await;
    let run = tested.reconcile().await;
    assert_eq!((run.state, run.total().drift.absent, run.total().deleted), (RunState::Done, 0, 0));
    // The instance, the count twice, a page of users, one of organizations; one question about all twenty; and whose
    // key it is, once for the pages that differ and once for that question.
    assert_eq!(run.cost.clerk_calls, 8);
    assert_eq!(world.directory().await, before);
}

#[tokio::test]
async fn trace2_an_answer_without_the_one_who_lives_proves_nothing() {
    let world = World::start().await;
    let mut land = people(&world, 30).await;
    land.happen(Action::DeleteUser(3), true).await;
    land.happen(Action::Wait(16), true).await;
    let forgetful = behind(&world, |uri, status, body| (status, if asks_by_name(uri) { json!([]) } else { body }));
    let tested = world.beside(&[("CLERK_API_URL", &forgetful.await)]).await;
    let run = tested.reconcile().await;
    assert_eq!((run.state, run.tally.user.drift.unproven, run.total().deleted), (RunState::Incomplete, 1, 0));
    assert_eq!(world.reconcile().await.total().deleted, 1);
}

#[tokio::test]
async fn trace3_what_was_stored_a_moment_ago_is_not_absent_yet() {
    let world = World::start().await;
    let mut land = people(&world, 30).await;
    land.happen(Action::Wait(60), true).await;
    land.happen(Action::SignUp, true).await;
    let newest = land.events.len() - 1;
    land.happen(Action::Deliver(newest), true).await;
    // Clerk's replica has not heard of the newest user yet, wherever it is asked.
    let id = land.users[30].clone();
    let hide = hidden(vec![id.clone()]);
    let path = format!("/v1/users/{id}");
    let url = behind(&world, move |uri, status, body| {
        let error = json!({ "errors": [{ "message": "not found", "long_message": "not found", "code": "resource_not_found" }] });
        match (uri.path() == path, asks_by_name(uri)) {
            (true, _) => (404, error),
            (_, true) => (status, json!([])),
            _ => hide(uri, status, body),
        }
    });
    let tested = world.beside(&[("CLERK_API_URL", &url.await)]).await;
    land.happen(Action::Wait(14), true).await;
    let run = tested.reconcile().await;
    assert_eq!((run.state, run.total().deleted), (RunState::Done, 0));
    assert_eq!(alive(&world).await, projected(&world).await);
}

/// Runs reconcile with each of its requests to Clerk and to DynamoDB held until `meanwhile` has seen it.
async fn held(world: &World, mut meanwhile: impl AsyncFnMut(&World, &str)) -> Run {
    let to_clerk = rollcall_tests::Wire::start(world.stack.addresses.clerk.clone()).await;
    let tested = world.beside(&[("CLERK_API_URL", to_clerk.url())]).await;
    let (mut clerk, mut store) = (to_clerk.hold(), tested.wire.hold());
    let reconciler = tested.reconciler().await;
    let order = Order::Run(Mode::Repair);
    let mut running = std::pin::pin!(reconciler.run(&order, None, &|_| ()));
    loop {
        let request = tokio::select! {
            report = &mut running => return report.unwrap().run.unwrap(),
            request = clerk.recv() => request.unwrap(),
            request = store.recv() => request.unwrap(),
        };
        meanwhile(world, &request.operation).await;
        request.release();
    }
}

#[tokio::test]
async fn trace4_a_rejoin_while_the_absence_is_proven_is_another_generation() {
    let world = World::start().await;
    let mut land = Land::populate(&world).await;
    for action in
        [Action::SignUp, Action::Found(0), Action::SignUp, Action::Join(1, 0), Action::SignUp, Action::Join(2, 0)]
    {
        land.happen(action, true).await;
    }
    world.reconcile().await;
    land.happen(Action::Leave(1, 0), true).await;
    land.happen(Action::Wait(16), true).await;
    let (ada, acme) = (land.users[1].clone(), land.organizations[0].clone());
    let proof = format!("/v1/organizations/{acme}/memberships");
    let mut has_rejoined = false;
    // The rejoin's event overtakes Clerk's own replica, which still says that there is no such member.
    let run = held(&world, async |world, operation| {
        if operation == proof && !has_rejoined {
            has_rejoined = true;
            let now = world.now().get();
            let mut rejoined = membership_event("organizationMembership.created", "orgmem_again", now, now, now);
            rejoined["data"]["organization"]["id"] = acme.as_str().into();
            rejoined["data"]["public_user_data"]["user_id"] = ada.as_str().into();
            assert_eq!(world.post(&rejoined).await.brief(), (200, "applied"));
        }
    });
    let run = run.await;
    assert!(has_rejoined);
    assert_eq!((run.tally.membership.drift.absent, run.tally.membership.deleted), (1, 0));
    let item = world.item(&membership(&ada, &acme)).await.unwrap();
    assert_eq!((item["membership_id"].as_str(), item["deleted_at"].is_null()), (Some("orgmem_again"), true));
}

#[tokio::test]
async fn trace9_a_page_read_before_a_change_of_the_same_millisecond_does_not_undo_it() {
    let world = World::start().await;
    let mut land = people(&world, 3).await;
    land.happen(Action::Rename(1), true).await;
    let id = land.users[1].clone();
    let (mut has_compared, mut has_changed) = (false, false);
    let run = held(&world, async |world, operation| {
        has_compared |= operation == "BatchGetItem";
        // The page is read and compared. Before its row is written, another change within the same millisecond arrives.
        if has_compared && operation == "PutItem" && !has_changed {
            has_changed = true;
            let body = world.clerk("PATCH", &format!("/users/{id}"), json!({ "first_name": "Last" })).await;
            assert_eq!(world.post(&event("user.updated", &body, world.now().get())).await.brief(), (200, "applied"));
        }
    });
    let run = run.await;
    assert!(has_changed);
    assert_eq!(run.state, RunState::Done);
    assert_eq!(world.item(&user(&id)).await.unwrap()["first_name"], "Last");
    assert_eq!(alive(&world).await, projected(&world).await);
}

#[tokio::test]
async fn trace12_a_rejoin_within_the_millisecond_of_the_first_join_is_found_by_the_next_run() {
    let world = World::start().await;
    let mut land = Land::populate(&world).await;
    for action in [Action::SignUp, Action::Found(0), Action::SignUp] {
        land.happen(action, true).await;
    }
    for action in [Action::Join(1, 0), Action::Leave(1, 0)] {
        land.happen(action, false).await;
    }
    for event in 0..land.events.len() {
        land.happen(Action::Deliver(event), false).await;
    }
    // Its own event is lost.
    land.happen(Action::Join(1, 0), false).await;
    land.happen(Action::Wait(16), true).await;
    let run = world.reconcile().await;
    assert_eq!((run.tally.membership.drift.tied, run.tally.membership.updated), (1, 1));
    assert_eq!(alive(&world).await, projected(&world).await);
}
