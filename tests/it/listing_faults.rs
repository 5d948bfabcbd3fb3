//! I4: lists that lie, answers that fail, people who come and go meanwhile. Whatever Clerk's API does, nobody is deleted whom
//! Clerk still has, and the report says what happened.

use clerk_emulator::{ApiFaults, Generated};
use reconcile::Order;
use rollcall::adapters::clerk_api::ClerkError;
use rollcall::core::reconcile::run::{Mode, Run, State};
use rollcall::services::reconcile::ReconcileError;
use rollcall_tests::{World, alive, projected};
use serde_json::{Value, json};

const USERS: u64 = 1_200;
const ORGANIZATIONS: u64 = 3;
const MEMBERSHIPS: u64 = 1_300;

/// A world in step, of several pages.
async fn in_step() -> World {
    let generated = Generated { users: USERS, organizations: ORGANIZATIONS, memberships: MEMBERSHIPS };
    let clerk = clerk_emulator::Config { generated, production: true, ..clerk_emulator::Config::default() };
    let world = World::of(clerk, &[]).await;
    let run = world.reconcile().await;
    assert_eq!((run.state, run.total().created), (State::Done, USERS + ORGANIZATIONS + MEMBERSHIPS));
    world
}

/// A run while Clerk's API fails in this way, a day after the last one.
async fn while_failing(world: &World, api: ApiFaults) -> Result<Run, ReconcileError> {
    world.set_now(world.now().get() + 24 * 60 * 60_000);
    world.set_faults(api);
    let ran = world.reconciler().await.run(&Order::Run(Mode::Repair), None, &|_| ()).await;
    world.set_faults(ApiFaults::default());
    ran.map(|report| report.run.unwrap())
}

fn tombstones(rows: &[Value]) -> usize {
    rows.iter().filter(|row| !row["deleted_at"].is_null()).count()
}

fn faults() -> ApiFaults {
    ApiFaults::default()
}

#[tokio::test]
async fn i4_a_list_that_lies_deletes_nobody() {
    let world = in_step().await;
    let before = world.directory().await;
    let all = (USERS, ORGANIZATIONS, MEMBERSHIPS);
    let one = |list: &str| vec![list.to_owned()];
    // What the list does; what the run ends as; what it has seen of each kind, and whether it met pages shorter than they
    // should be.
    for (what, api, state, seen, short) in [
        // Where every page loses half of its rows, the last row never shows.
        ("half of every page", ApiFaults { short_page: 1.0, ..faults() }, State::Incomplete, None, true),
        ("nothing", ApiFaults { empty_page: 1.0, ..faults() }, State::Incomplete, Some((0, 0, 0)), false),
        (
            "no user",
            ApiFaults { empty_page: 1.0, lists: one("/v1/users"), ..faults() },
            State::Incomplete,
            Some((0, ORGANIZATIONS, MEMBERSHIPS)),
            false,
        ),
        // A page of 500 without one of them is a page of 500 with the next one: one is lost a page, behind a cursor and
        // behind an offset alike.
        ("a row a page", ApiFaults { skipped_row: 1.0, ..faults() }, State::Incomplete, None, true),
        // A cursor shows the row that was pushed out on the next page, an offset does not.
        ("a row twice", ApiFaults { repeated_row: 1.0, ..faults() }, State::Incomplete, None, true),
        ("100 rows at most", ApiFaults { limit_clamp: Some(100), ..faults() }, State::Done, Some(all), true),
        ("slowly", ApiFaults { slow_ms: 20, ..faults() }, State::Done, Some(all), false),
    ] {
        let run = while_failing(&world, api).await.unwrap();
        let listings = &run.listings;
        assert_eq!((run.state, run.is_in_step()), (state, state == State::Done), "{what}: {listings:?}");
        let shown = (listings.user.seen, listings.organization.seen, listings.membership.seen);
        assert!(seen.is_none_or(|seen| seen == shown), "{what}: {shown:?}");
        assert_eq!(shown == all, state == State::Done, "{what}: {shown:?}");
        let is_short = listings.user.short_pages > 0;
        assert_eq!(is_short, short, "{what}: {listings:?}");
        assert_eq!((run.total().deleted, run.total().ended, run.total().held), (0, 0, 0), "{what}");
        // Once the list tells the truth again, nothing is left to do.
        assert!(world.reconcile().await.is_in_step(), "{what}");
        assert_eq!(world.directory().await, before, "{what}");
    }
}

#[tokio::test]
async fn i4_a_clerk_that_fails_deletes_nobody_and_the_run_goes_on_where_it_stopped() {
    let world = in_step().await;
    let before = world.directory().await;
    // These pass: the run asks again.
    for api in [
        ApiFaults { too_many_requests: 0.3, retry_after_s: Some(1), ..faults() },
        ApiFaults { server_error: 0.3, ..faults() },
    ] {
        let run = while_failing(&world, api.clone()).await.unwrap();
        assert_eq!((run.state, run.is_in_step()), (State::Done, true), "{api:?}");
        assert!(run.cost.clerk_calls > 3 + 1 + 3 + 3, "it asked again: {} calls", run.cost.clerk_calls);
    }
    // These do not, from the third page on. The run stops, and another one goes on from there.
    for (api, is_expected) in [
        (
            ApiFaults { unauthorized: 1.0, requests: vec!["GET /v1/organization_memberships".to_owned()], ..faults() },
            (|error| matches!(error, ClerkError::Unauthorized(401))) as fn(&ClerkError) -> bool,
        ),
        (ApiFaults { too_many_requests: 1.0, retry_after_s: Some(3_600), ..faults() }, |error| {
            matches!(error, ClerkError::Unavailable(_))
        }),
    ] {
        let failure = while_failing(&world, api.clone()).await.unwrap_err();
        assert!(matches!(&failure, ReconcileError::Clerk(error) if is_expected(error)), "{failure:?}");
        let run = world.reconcile().await;
        assert!(run.is_in_step(), "{api:?}");
    }
    assert_eq!(world.directory().await, before);
}

#[tokio::test]
async fn i4_what_is_no_proof_ends_nobody() {
    let world = in_step().await;
    let page = world.clerk("GET", "/users?limit=3&offset=600", Value::Null).await;
    let ids: Vec<&str> = page.as_array().unwrap().iter().map(|user| user["id"].as_str().unwrap()).collect();
    for id in &ids {
        world.clerk("DELETE", &format!("/users/{id}"), Value::Null).await;
    }
    // The 404 of a proxy, and a list that does not even show the one who is known to live.
    for (api, unproven) in [
        (ApiFaults { not_found: 1.0, ..faults() }, 3),
        (ApiFaults { unauthorized: 1.0, requests: vec!["GET /v1/users/{user_id}".to_owned()], ..faults() }, 0),
    ] {
        let ran = while_failing(&world, api).await;
        match ran {
            Ok(run) => {
                assert_eq!((run.state, run.tally.user.drift.unproven), (State::Incomplete, unproven));
                assert_eq!((run.total().deleted, run.total().ended), (0, 0));
            }
            Err(failure) => assert!(matches!(failure, ReconcileError::Clerk(ClerkError::Unauthorized(401)))),
        }
        assert_eq!(tombstones(&world.directory().await), 0);
    }
    let run = world.reconcile().await;
    assert_eq!((run.state, run.tally.user.deleted), (State::Done, 3));
    assert_eq!(alive(&world).await, projected(&world).await);
}

#[tokio::test]
async fn i4_people_who_come_and_go_meanwhile_are_neither_lost_nor_deleted_by_mistake() {
    let world = in_step().await;
    for night in 0..6 {
        let run = while_failing(&world, ApiFaults { churn: 1.0, ..faults() }).await.unwrap();
        // Whoever has ended here has ended in Clerk.
        let living: Vec<(Value, Value)> =
            projected(&world).await.into_iter().map(|row| (row["pk"].clone(), row["sk"].clone())).collect();
        for row in world.directory().await.iter().filter(|row| !row["deleted_at"].is_null()) {
            assert!(!living.contains(&(row["pk"].clone(), row["sk"].clone())), "night {night}: {run:?} {row}");
        }
    }
    world.set_now(world.now().get() + 24 * 60 * 60_000);
    let run = world.reconcile().await;
    assert_eq!(run.state, State::Done);
    assert_eq!(alive(&world).await, projected(&world).await);
}

#[tokio::test]
async fn bug10_an_empty_list_that_counts_to_nothing_ends_nobody() {
    let world = World::start().await;
    let mut ids = Vec::new();
    for name in ["ada", "bob", "cleo"] {
        let body = json!({ "first_name": name, "email_address": [format!("{name}@example.com")] });
        ids.push(world.clerk("POST", "/users", body).await["id"].as_str().unwrap().to_owned());
    }
    world.reconcile().await;
    let before = world.directory().await;
    // Everything about it is consistent, and none of it is true.
    let (clerk, key) = (world.stack.addresses.clerk.clone(), world.stack.addresses.clerk_secret_key.clone());
    let answer = move |uri: axum::http::Uri| {
        let (clerk, key) = (clerk.clone(), key.clone());
        async move {
            let body = match uri.path() {
                "/v1/users" => json!([]),
                "/v1/users/count" => json!({ "object": "total_count", "total_count": 0 }),
                "/v1/organizations" => json!({ "data": [], "total_count": 0 }),
                _ => {
                    let answer = reqwest::Client::new().get(format!("{clerk}{uri}")).bearer_auth(key).send().await;
                    answer.unwrap().json().await.unwrap()
                }
            };
            axum::Json(body)
        }
    };
    let url = rollcall_tests::serve(axum::Router::new().fallback(answer)).await;
    let tested = world.beside(&[("CLERK_API_URL", &url)]).await;
    world.set_now(world.now().get() + 24 * 60 * 60_000);
    let held = tested.reconcile().await;
    assert_eq!((held.state, held.tally.user.held, held.total().deleted), (State::Held, 3, 0));
    // Even with consent each is asked about by name, and Clerk has them all.
    let approved = tested.approve(&held).await;
    assert_eq!((approved.state, approved.total().deleted), (State::Done, 0));
    assert_eq!(world.directory().await, before);
}
