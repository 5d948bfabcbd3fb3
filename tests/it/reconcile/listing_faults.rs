//! I4: lists that lie, answers that fail, people who come and go meanwhile. Whatever Clerk's API does, nobody is
//! deleted whom Clerk still has, and the report says what happened.

use clerk_emulator::{ApiFaults, Generated};
use futures_util::StreamExt;
use reconcile::Order;
use rollcall::adapters::clerk::error::ClerkError;
use rollcall::core::reconcile::run::{Mode, Run, RunState};
use rollcall::services::reconcile::ReconcileError;
use rollcall_tests::proxy::behind;
use rollcall_tests::{World, alive, deletion_event, projected, serve};
use serde_json::{Value, json};

const USERS: u64 = 1_200;
const ORGANIZATIONS: u64 = 3;
const MEMBERSHIPS: u64 = 1_300;

/// A world in sync, of several pages.
async fn in_sync() -> World {
    let generated = Generated { users: USERS, organizations: ORGANIZATIONS, memberships: MEMBERSHIPS };
    let clerk = clerk_emulator::Config { generated, production: true, ..clerk_emulator::Config::default() };
    let world = World::with_clerk(clerk, &[]).await;
    let run = world.reconcile().await;
    assert_eq!((run.state, run.total().created), (RunState::Done, USERS + ORGANIZATIONS + MEMBERSHIPS));
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
    let world = in_sync().await;
    let before = world.directory().await;
    let all = (USERS, ORGANIZATIONS, MEMBERSHIPS);
    let one = |list: &str| vec![list.to_owned()];
    // What the list does; what the run ends as; what it has seen of each kind, and whether it met pages shorter than
    // they should be.
    for (what, api, state, seen, short) in [
        // Where every page loses half of its rows, the last row never shows.
        ("half of every page", ApiFaults { short_page: 1.0, ..faults() }, RunState::Incomplete, None, true),
        ("nothing", ApiFaults { empty_page: 1.0, ..faults() }, RunState::Incomplete, Some((0, 0, 0)), false),
        (
            "no user",
            ApiFaults { empty_page: 1.0, lists: one("/v1/users"), ..faults() },
            RunState::Incomplete,
            Some((0, ORGANIZATIONS, MEMBERSHIPS)),
            false,
        ),
        // A page of 500 without one of them is a page of 500 with the next one: one is lost a page, behind a cursor and
        // behind an offset alike.
        ("a row a page", ApiFaults { skipped_row: 1.0, ..faults() }, RunState::Incomplete, None, true),
        // A cursor shows the row that was pushed out on the next page, an offset does not.
        ("a row twice", ApiFaults { repeated_row: 1.0, ..faults() }, RunState::Incomplete, None, true),
        ("100 rows at most", ApiFaults { limit_clamp: Some(100), ..faults() }, RunState::Done, Some(all), true),
        ("slowly", ApiFaults { slow_ms: 20, ..faults() }, RunState::Done, Some(all), false),
    ] {
        let run = while_failing(&world, api).await.unwrap();
        let listings = &run.listings;
        assert_eq!((run.state, run.is_in_sync()), (state, state == RunState::Done), "{what}: {listings:?}");
        let shown = (listings.user.seen, listings.organization.seen, listings.membership.seen);
        assert!(seen.is_none_or(|seen| seen == shown), "{what}: {shown:?}");
        assert_eq!(shown == all, state == RunState::Done, "{what}: {shown:?}");
        let is_short = listings.user.short_pages > 0;
        assert_eq!(is_short, short, "{what}: {listings:?}");
        assert_eq!(
            (run.total().deleted, run.total().cascade_deleted, run.total().pending_approval),
            (0, 0, 0),
            "{what}"
        );
        // Once the list tells the truth again, nothing is left to do.
        assert!(world.reconcile().await.is_in_sync(), "{what}");
        assert_eq!(world.directory().await, before, "{what}");
    }
}

#[tokio::test]
async fn i4_a_clerk_that_fails_deletes_nobody_and_the_run_goes_on_where_it_stopped() {
    let world = in_sync().await;
    let before = world.directory().await;
    // These pass: the run asks again.
    for api in [
        ApiFaults { too_many_requests: 0.3, retry_after_s: Some(1), ..faults() },
        ApiFaults { server_error: 0.3, ..faults() },
    ] {
        let run = while_failing(&world, api.clone()).await.unwrap();
        assert_eq!((run.state, run.is_in_sync()), (RunState::Done, true), "{api:?}");
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
        assert!(run.is_in_sync(), "{api:?}");
    }
    assert_eq!(world.directory().await, before);
}

#[tokio::test]
async fn i4_what_is_no_proof_ends_nobody() {
    let world = in_sync().await;
    let page = world.clerk("GET", "/users?limit=3&offset=600", Value::Null).await;
    let ids: Vec<&str> = page.as_array().unwrap().iter().map(|user| user["id"].as_str().unwrap()).collect();
    for id in &ids {
        world.clerk("DELETE", &format!("/users/{id}"), Value::Null).await;
    }
    // The 404 of a proxy is no proof, and leaves the others to be asked about.
    let run = while_failing(&world, ApiFaults { not_found: 1.0, ..faults() }).await.unwrap();
    assert_eq!((run.state, run.tally.user.drift.unproven, run.total().deleted), (RunState::Incomplete, 3, 0));
    assert_eq!(tombstones(&world.directory().await), 0);
    // A key that is not accepted is none either, and ends the run.
    let of_one = vec!["GET /v1/users/{user_id}".to_owned()];
    let failed = while_failing(&world, ApiFaults { unauthorized: 1.0, requests: of_one, ..faults() }).await;
    assert!(matches!(failed, Err(ReconcileError::Clerk(ClerkError::Unauthorized(401)))), "{failed:?}");
    assert_eq!(tombstones(&world.directory().await), 0);
    let run = world.reconcile().await;
    assert_eq!((run.state, run.tally.user.deleted), (RunState::Done, 3));
    assert_eq!(alive(&world).await, projected(&world).await);
}

#[tokio::test]
async fn i4_people_who_come_and_go_meanwhile_are_neither_lost_nor_deleted_by_mistake() {
    let world = in_sync().await;
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
    assert_eq!(run.state, RunState::Done);
    assert_eq!(alive(&world).await, projected(&world).await);
}

#[tokio::test]
async fn bug9_a_limit_that_is_silently_lowered_is_noticed() {
    let generated = Generated { users: 35, organizations: 1, memberships: 35 };
    let world = World::with_clerk(clerk_emulator::Config { generated, ..clerk_emulator::Config::default() }, &[]).await;
    let run = while_failing(&world, ApiFaults { limit_clamp: Some(10), ..faults() }).await.unwrap();
    let (users, memberships) = (run.listings.user, run.listings.membership);
    assert_eq!((run.state, users.seen, memberships.seen), (RunState::Done, 35, 35));
    assert_eq!((users.short_pages, memberships.short_pages), (3, 3));
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
    let url = behind(&world, |uri, status, body| match uri.path() {
        "/v1/users" => (200, json!([])),
        "/v1/users/count" => (200, json!({ "object": "total_count", "total_count": 0 })),
        "/v1/organizations" => (200, json!({ "data": [], "total_count": 0 })),
        _ => (status, body),
    });
    let url = url.await;
    let tested = world.beside(&[("CLERK_API_URL", &url)]).await;
    world.set_now(world.now().get() + 24 * 60 * 60_000);
    let held = tested.reconcile().await;
    assert_eq!((held.state, held.tally.user.pending_approval, held.total().deleted), (RunState::PendingApproval, 3, 0));
    // Even with consent each is asked about by name, and Clerk has them all.
    let approved = tested.approve(&held).await;
    assert_eq!((approved.state, approved.total().deleted), (RunState::Done, 0));
    assert_eq!(world.directory().await, before);
}

#[tokio::test]
async fn an_instance_without_organizations_has_its_users_reconciled() {
    let world = World::start().await;
    let person = |name: &str| json!({ "first_name": name, "email_address": [format!("{name}@example.com")] });
    let mut ids = Vec::new();
    for name in ["ada", "bob", "cleo"] {
        ids.push(world.clerk("POST", "/users", person(name)).await["id"].as_str().unwrap().to_owned());
    }
    let off = || ApiFaults { organizations_off: true, ..faults() };
    let run = while_failing(&world, off()).await.unwrap();
    assert_eq!((run.state, run.is_in_sync(), run.total().created), (RunState::Done, true, 3));
    world.clerk("DELETE", &format!("/users/{}", ids[0]), Value::Null).await;
    let run = while_failing(&world, off()).await.unwrap();
    assert_eq!((run.state, run.is_in_sync(), run.total().deleted), (RunState::Done, true, 1));
    // Of organizations that there were before, Clerk then says nothing, so nothing is done about them.
    world.clerk("POST", "/organizations", json!({ "name": "Acme", "created_by": ids[1] })).await;
    assert_eq!(world.reconcile().await.total().created, 2);
    let run = while_failing(&world, off()).await.unwrap();
    assert_eq!((run.state, run.total().drift.unproven, run.total().deleted), (RunState::Incomplete, 2, 0));
}

#[tokio::test]
async fn a_list_that_leads_nowhere_ends_without_having_ended() {
    let world = in_sync().await;
    // It ignores where the last page ended, and begins at the beginning for ever.
    let first = world.clerk("GET", "/users?limit=500&order_by=%2Bcreated_at", Value::Null).await;
    let stuck = behind(&world, move |uri, status, body| match uri.path() {
        "/v1/users" => (200, first.clone()),
        _ => (status, body),
    });
    let tested = world.beside(&[("CLERK_API_URL", &stuck.await)]).await;
    world.set_now(world.now().get() + 24 * 60 * 60_000);
    let run = tested.reconcile().await;
    assert_eq!((run.state, run.listings.user.is_finished, run.listings.user.seen), (RunState::Incomplete, false, 500));
    assert_eq!(run.total().deleted, 0);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_asked_for_again() {
    let world = World::start().await;
    world.clerk("POST", "/users", json!({ "first_name": "ada", "email_address": ["ada@example.com"] })).await;
    // The first answer ends in the middle of its body.
    let first = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let (clerk, key) = (world.stack.addresses.clerk.clone(), world.stack.addresses.clerk_secret_key.clone());
    let answer = move |uri: axum::http::Uri| {
        let (clerk, key, first) = (clerk.clone(), key.clone(), first.clone());
        async move {
            let answer = reqwest::Client::new().get(format!("{clerk}{uri}")).bearer_auth(key).send().await.unwrap();
            let body = answer.bytes().await.unwrap();
            let breaks_off = uri.path() == "/v1/users" && first.swap(false, std::sync::atomic::Ordering::Relaxed);
            let length = body.len();
            let sent = if breaks_off { body.slice(..length / 2) } else { body };
            let end = breaks_off.then(|| Err(std::io::Error::other("cut"))).into_iter();
            // Late enough for the beginning to have arrived.
            let chunks = futures_util::stream::iter(std::iter::once(Ok(sent)).chain(end)).then(async |chunk| {
                if chunk.is_err() {
                    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
                }
                chunk
            });
            axum::response::Response::builder()
                .header("content-type", "application/json")
                .body(axum::body::Body::from_stream(chunks))
                .unwrap()
        }
    };
    let url = serve(axum::Router::new().fallback(answer)).await;
    let run = world.beside(&[("CLERK_API_URL", &url)]).await.reconcile().await;
    // The instance, the count, the page twice, whose page it was, the count, organizations, and whose list that was.
    assert_eq!((run.state, run.total().created, run.cost.clerk_calls), (RunState::Done, 1, 8));
}

#[tokio::test]
async fn whoever_ends_while_the_list_is_read_is_not_missed() {
    let world = in_sync().await;
    let page = world.clerk("GET", "/users?limit=1&offset=50", Value::Null).await;
    let id = page[0]["id"].as_str().unwrap().to_owned();
    world.set_now(world.now().get() + 24 * 60 * 60_000);
    // Clerk's count is one of a moment ago, as counts are that are not taken anew each time.
    let counting = behind(&world, |uri, status, mut body| {
        if uri.path() == "/v1/users/count" {
            body["total_count"] = USERS.into();
        }
        (status, body)
    });
    let reconciler = world.beside(&[("CLERK_API_URL", &counting.await)]).await.reconciler().await;
    let order = Order::Run(Mode::Repair);
    let until = rollcall::core::millis::Millis::try_from(i64::try_from(world.now().get()).unwrap() + 1).unwrap();
    let stops = |_: &Run| world.set_now(until.get());
    let first = reconciler.run(&order, Some(until), &stops).await.unwrap().run.unwrap();
    assert_eq!((first.state, first.listings.user.seen), (RunState::Running, 500));
    // Between two pages somebody ends whom the first has not shown.
    world.clerk("DELETE", &format!("/users/{id}"), Value::Null).await;
    let answer = world.post(&deletion_event("user.deleted", &id, world.now().get())).await;
    assert_eq!(answer.brief(), (200, "applied"));
    let run = reconciler.run(&order, None, &|_| ()).await.unwrap().run.unwrap();
    let users = run.listings.user;
    assert_eq!((run.run, users.seen, users.before, users.after), (first.run, USERS - 1, USERS, USERS));
    assert_eq!((run.state, run.ended_meanwhile.user), (RunState::Done, 1));
}

#[tokio::test]
async fn a_cursor_whose_user_is_gone_loses_nobody() {
    let world = in_sync().await;
    world.set_now(world.now().get() + 24 * 60 * 60_000);
    let reconciler = world.reconciler().await;
    let order = Order::Run(Mode::Repair);
    let until = rollcall::core::millis::Millis::try_from(i64::try_from(world.now().get()).unwrap() + 1).unwrap();
    let first = reconciler.run(&order, Some(until), &|_| world.set_now(until.get())).await.unwrap().run.unwrap();
    let last = world.clerk("GET", "/users?limit=1&offset=499&order_by=%2Bcreated_at", Value::Null).await;
    let last = last[0]["id"].as_str().unwrap().to_owned();
    assert!(serde_json::to_string(&first.next).unwrap().contains(&last), "{:?}", first.next);
    world.clerk("DELETE", &format!("/users/{last}"), Value::Null).await;
    let run = reconciler.run(&order, None, &|_| ()).await.unwrap().run.unwrap();
    assert_eq!((run.run, run.state, run.listings.user.seen), (first.run, RunState::Done, USERS));
    assert_eq!(run.listings.user.after, USERS - 1);
}
