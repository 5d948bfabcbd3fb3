//! Whose answers they are. The key, or the instance behind it, changes in the middle of a run: nobody is ended, nobody
//! else's row is written, and the run says why it stopped. And what a run does all the same if a listing never ends
//! well.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::http::{HeaderMap, StatusCode, Uri};
use clerk_emulator::{ApiFaults, Generated};
use reconcile::{Order, Reconcile};
use rollcall::adapters::aws::backups::Backups;
use rollcall::adapters::clerk::error::ClerkError;
use rollcall::adapters::clerk::secrets;
use rollcall::core::millis::Millis;
use rollcall::core::reconcile::run::{Mode, Run, RunState};
use rollcall::services::reconcile::ReconcileError;
use rollcall_tests::proxy::behind;
use rollcall_tests::{World, alive, projected, serve};
use serde_json::{Value, json};

const OTHER: &str = "ins_2other000000000000000000000";
const ARN: &str = "arn:aws:secretsmanager:eu-west-1:000000000000:secret:rollcall-AbCdEf";

/// Another instance, with people of its own.
async fn other(users: u64) -> World {
    let generated = Generated { users, organizations: users.min(2), memberships: users.min(3) };
    let instance_id = OTHER.to_owned();
    World::with_clerk(
        clerk_emulator::Config { generated, instance_id, seed: 7, ..clerk_emulator::Config::default() },
        &[],
    )
    .await
}

/// Asks one of two instances: its status and its answer.
async fn ask(world: &World, uri: &Uri) -> (StatusCode, axum::Json<Value>) {
    let (clerk, key) = (&world.stack.addresses.clerk, &world.stack.addresses.clerk_secret_key);
    let answer = reqwest::Client::new().get(format!("{clerk}{uri}")).bearer_auth(key).send().await.unwrap();
    (StatusCode::from_u16(answer.status().as_u16()).unwrap(), axum::Json(answer.json().await.unwrap()))
}

/// Somebody who comes, founds an organization, and is to be gone again a quarter of an hour later.
struct Guest {
    user: String,
    organization: String,
}

impl Guest {
    async fn come(world: &World, number: usize) -> Guest {
        let person = json!({ "first_name": "Guest", "email_address": [format!("guest{number}@example.com")] });
        let user = world.clerk("POST", "/users", person).await["id"].as_str().unwrap().to_owned();
        let body = json!({ "name": format!("Guests {number}"), "created_by": user });
        let organization = world.clerk("POST", "/organizations", body).await["id"].as_str().unwrap().to_owned();
        Guest { user, organization }
    }

    async fn go(self, world: &World) {
        world.clerk("DELETE", &format!("/organizations/{}", self.organization), Value::Null).await;
        world.clerk("DELETE", &format!("/users/{}", self.user), Value::Null).await;
    }
}

fn pass(world: &World, minutes: u64) {
    world.set_now(world.now().get() + minutes * 60_000);
}

async fn tombstones(world: &World) -> usize {
    world.directory().await.iter().filter(|row| !row["deleted_at"].is_null()).count()
}

/// A world in sync: five people who stay and one who is about to go.
async fn with_guest() -> (World, Guest) {
    let world = World::start().await;
    for number in 0..5 {
        let person = json!({ "first_name": "Host", "email_address": [format!("host{number}@example.com")] });
        let user = world.clerk("POST", "/users", person).await["id"].as_str().unwrap().to_owned();
        let body = json!({ "name": format!("Hosts {number}"), "created_by": user });
        world.clerk("POST", "/organizations", body).await;
    }
    let guest = Guest::come(&world, 0).await;
    assert!(world.reconcile().await.is_in_sync());
    (world, guest)
}

#[tokio::test]
async fn i5_an_instance_that_changes_behind_its_key_after_any_request_ends_nobody_and_adds_nobody() {
    // One with people, and one without anybody.
    for users in [4, 0] {
        let (world, mut guest) = with_guest().await;
        let (world, other) = (Arc::new(world), Arc::new(other(users).await));
        let left = Arc::new(AtomicUsize::new(0));
        let (mine, theirs, counting) = (world.clone(), other.clone(), left.clone());
        let url = serve(axum::Router::new().fallback(move |uri: Uri| {
            let (mine, theirs, counting) = (mine.clone(), theirs.clone(), counting.clone());
            async move {
                let one_less = |left: usize| left.checked_sub(1);
                let is_mine = counting.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok();
                ask(if is_mine { &mine } else { &theirs }, &uri).await
            }
        }))
        .await;
        let tested = world.beside(&[("CLERK_API_URL", &url)]).await;
        let mut requests = 0;
        loop {
            // One is missing here, one is to end here, and both have an organization.
            guest.go(&world).await;
            guest = Guest::come(&world, requests + 1).await;
            pass(&world, 16);
            let known: Vec<Value> = world.directory().await.iter().map(|row| row["pk"].clone()).collect();
            let living = projected(&world).await;
            left.store(requests, Ordering::SeqCst);
            let reconciler = tested.reconciler().await;
            let ran = reconciler.run(&Order::Run(Mode::Repair), None, &|_| ()).await;
            let what = format!("{users} others, {requests} requests: {ran:?}");
            for row in world.directory().await {
                let lives = living.iter().any(|alive| (&alive["pk"], &alive["sk"]) == (&row["pk"], &row["sk"]));
                assert!(lives || known.contains(&row["pk"]), "a foreign row, {what}: {row}");
                assert!(!lives || row["deleted_at"].is_null(), "somebody has ended who lives, {what}: {row}");
            }
            match ran {
                Ok(report) => {
                    let run = report.run.unwrap();
                    assert!(run.is_in_sync(), "{run:?}");
                    break;
                }
                Err(failure) => {
                    let is_why =
                        matches!(&failure, ReconcileError::Clerk(ClerkError::Foreign(id)) if id.as_str() == OTHER);
                    assert!(is_why && failure.to_string().contains("CLERK_SECRET_KEY"), "{what}");
                    let stopped = reconciler.operations().latest_runs(1).await.unwrap().remove(0);
                    let why = stopped.foreign.as_ref().map(ToString::to_string);
                    assert_eq!(why.as_deref(), (requests > 0).then_some(OTHER), "{what}");
                }
            }
            // With the right one again, nothing of it has stayed.
            let run = world.reconcile().await;
            assert!(run.is_in_sync() && run.foreign.is_none(), "{what}: {run:?}");
            assert_eq!(alive(&world).await, projected(&world).await, "{what}");
            requests += 1;
        }
        assert!(requests > 12, "{requests}");
    }
}

#[tokio::test]
async fn i5_a_key_that_is_replaced_in_the_middle_of_a_run_is_asked_whose_it_is_before_anything_else() {
    let (world, mut guest) = with_guest().await;
    let (world, other) = (Arc::new(world), Arc::new(other(4).await));
    // The manager gives out the other key once so many requests have come to Clerk.
    let (left, asked) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
    let (mine, theirs, counting, heard) = (world.clone(), other.clone(), left.clone(), asked.clone());
    let clerk = serve(axum::Router::new().fallback(move |uri: Uri, headers: HeaderMap| {
        let (mine, theirs, counting, heard) = (mine.clone(), theirs.clone(), counting.clone(), heard.clone());
        async move {
            counting.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).ok();
            // The secret has become so old that the function reads it again.
            pass(&mine, 6);
            if headers["authorization"] == "Bearer sk_test_other" {
                heard.lock().unwrap().push(uri.path().to_owned());
                ask(&theirs, &uri).await
            } else {
                ask(&mine, &uri).await
            }
        }
    }))
    .await;
    let counting = left.clone();
    let manager = serve(axum::Router::new().fallback(move || {
        let key = if counting.load(Ordering::SeqCst) > 0 { "sk_test_mine" } else { "sk_test_other" };
        let values = json!({ "CLERK_SECRET_KEY": key, "CLERK_WEBHOOK_SECRET": "whsec_Zmlyc3Qgc2lnbmluZyBzZWNyZXQ=" });
        async move { axum::Json(json!({ "ARN": ARN, "Name": "rollcall", "SecretString": values.to_string() })) }
    }))
    .await;
    let aws = rollcall_cli::dev::stack::local_config(&manager).await;
    let mut requests = 1;
    loop {
        guest.go(&world).await;
        guest = Guest::come(&world, requests).await;
        pass(&world, 16);
        left.store(requests, Ordering::SeqCst);
        asked.lock().unwrap().clear();
        let (addresses, clerk) = (world.stack.addresses.clone(), clerk.clone());
        let environment = move |name: &str| match name {
            "ROLLCALL_SECRET_ARN" => Some(ARN.to_owned()),
            "CLERK_API_URL" => Some(clerk.clone()),
            "CLERK_RATE_SHARE" => Some("100".to_owned()),
            "METADATA_WRITEBACK" => Some("off".to_owned()),
            name => rollcall_cli::dev::stack::setting(&addresses, name),
        };
        let (lookup, followed) = secrets::followed(environment, &aws, world.clock()).await.unwrap();
        let mut settings = reconcile::settings::Settings::read(&lookup).unwrap();
        settings.follow(followed.as_ref());
        let dynamodb = rollcall_cli::dev::stack::client(world.wire.url()).await;
        let backups = Backups::for_removal(&settings.removal, &aws);
        let reconciler = Reconcile::new(settings, &dynamodb, backups, world.clock());
        let ran = reconciler.run(&Order::Run(Mode::Repair), None, &|_| ()).await;
        let what = format!("{requests} requests: {ran:?}");
        assert!(asked.lock().unwrap().iter().all(|path| path == "/v1/instance"), "{what}: {asked:?}");
        if let Ok(report) = ran {
            assert!(report.run.unwrap().is_in_sync());
            break;
        }
        assert!(matches!(&ran, Err(ReconcileError::Clerk(ClerkError::Foreign(_)))), "{what}");
        let run = world.reconcile().await;
        assert!(run.is_in_sync(), "{what}: {run:?}");
        assert_eq!(alive(&world).await, projected(&world).await, "{what}");
        requests += 1;
    }
    assert!(requests > 8, "{requests}");
}

#[tokio::test]
async fn i14_an_unchanged_instance_costs_a_call_a_page_and_five() {
    let sizes = [(0, 0, 0), (1, 0, 0), (500, 0, 0), (500, 1, 0), (3, 1, 0), (500, 1, 500), (501, 2, 501)];
    for (users, organizations, memberships) in sizes {
        let generated = Generated { users, organizations, memberships };
        let clerk = clerk_emulator::Config { generated, production: true, ..clerk_emulator::Config::default() };
        let world = World::with_clerk(clerk, &[]).await;
        world.reconcile().await;
        pass(&world, 16);
        let run = world.reconcile().await;
        let pages: u64 = [users, organizations, memberships].iter().map(|rows| rows.div_ceil(500)).sum();
        assert!(run.is_in_sync() && run.total().unchanged == users + organizations + memberships, "{run:?}");
        assert!(run.cost.clerk_calls <= pages + 5, "{generated:?}: {} calls", run.cost.clerk_calls);
    }
}

/// A run while Clerk's API fails in this way.
async fn while_failing(world: &World, api: ApiFaults) -> Result<Run, ReconcileError> {
    world.set_faults(api);
    let ran = world.reconciler().await.run(&Order::Run(Mode::Repair), None, &|_| ()).await;
    world.set_faults(ApiFaults::default());
    ran.map(|report| report.run.unwrap())
}

#[tokio::test]
async fn fault_s13_what_needs_no_listing_is_done_whatever_becomes_of_the_listing() {
    // The list of memberships never ends, as with an offset that is too large.
    Box::pin(what_needs_no_listing_is_done("GET /v1/organization_memberships", true)).await;
}

#[tokio::test]
async fn fault_s13_what_needs_no_answer_is_done_although_clerk_does_not_say_whose_the_key_is() {
    // Nobody is written to before that is known.
    Box::pin(what_needs_no_listing_is_done("GET /v1/instance", false)).await;
}

async fn what_needs_no_listing_is_done(failing: &str, writes_back: bool) {
    let world =
        World::with(&[("DELETION_POLICY", "purge"), ("PURGE_AFTER_HOURS", "0"), ("METADATA_WRITEBACK", "on")]).await;
    let ada = Guest::come(&world, 1).await;
    let bob = Guest::come(&world, 2).await;
    assert!(world.reconcile().await.is_in_sync());
    // Ada's data are to be removed, and Cleo has no record and no dbId yet: nothing follows the stream here.
    world.clerk("DELETE", &format!("/users/{}", ada.user), Value::Null).await;
    let deleted = rollcall_tests::deletion_event("user.deleted", &ada.user, world.now().get());
    assert_eq!(world.post(&deleted).await.status, 200);
    let cleo = world.clerk("POST", "/users", json!({ "email_address": ["cleo@example.com"] })).await;
    let created = rollcall_tests::event("user.created", &cleo, world.now().get());
    assert_eq!(world.post(&created).await.status, 200);
    pass(&world, 16);
    let lists = vec![failing.to_owned()];
    let never = || ApiFaults { server_error: 1.0, requests: lists.clone(), ..ApiFaults::default() };
    // Twice, as whoever calls the function tries again.
    for _ in 0..2 {
        let failed = while_failing(&world, never()).await;
        assert!(matches!(failed, Err(ReconcileError::Clerk(ClerkError::Unavailable(_)))), "{failed:?}");
    }
    let rows = world.directory().await;
    let finished = rows.iter().filter(|row| row["sk"] == "USER" && !row["consequences_at"].is_null()).count();
    assert_eq!((tombstones(&world).await > 0, finished), (true, 1), "{rows:?}");
    assert_eq!(world.profiles().await.iter().filter(|row| row["sk"] == "PROFILE").count(), 2, "Bob's and Cleo's");
    let linked = world.clerk("GET", &format!("/users/{}", cleo["id"].as_str().unwrap()), Value::Null).await;
    assert_eq!(linked["public_metadata"]["dbId"].is_string(), writes_back, "{linked}");
    // It goes on with the page that failed, and that is all that was missing.
    let kept = world.reconciler().await.operations().latest_runs(1).await.unwrap().remove(0);
    let run = world.reconcile().await;
    assert!(run.run == kept.run && run.is_in_sync(), "{run:?}");
    // Nobody is written back to twice: what an earlier attempt has noted counts no more.
    assert_eq!(run.effects.linked, run.effects.links, "{run:?}");
    // What was written back has changed Clerk's users, and no event says so here.
    pass(&world, 16);
    assert!(world.reconcile().await.is_in_sync());
    assert_eq!(alive(&world).await, projected(&world).await);
    assert!(alive(&world).await.iter().any(|row| row["clerk_user_id"] == bob.user.as_str()));
}

#[tokio::test]
async fn fault_s13_a_membership_without_a_user_is_one_finding_and_hides_nobody_else() {
    let (world, guest) = with_guest().await;
    // Clerk's own schema lets `public_user_data` be null. Source: clerk/openapi-specs, `OrganizationMembership`.
    let spoiled = behind(&world, |uri, status, mut body| {
        if uri.path() == "/v1/organization_memberships"
            && let Some(row) = body["data"].as_array_mut().and_then(|rows| rows.first_mut())
        {
            row["public_user_data"] = Value::Null;
        }
        (status, body)
    });
    let tested = world.beside(&[("CLERK_API_URL", &spoiled.await)]).await;
    // Somebody else leaves an organization, and no event says so.
    let path = format!("/organizations/{}/memberships/{}", guest.organization, guest.user);
    world.clerk("DELETE", &path, Value::Null).await;
    pass(&world, 16);
    let run = tested.reconcile().await;
    assert_eq!((run.tally.membership.deleted, run.total().drift.unreadable), (1, 1), "{run:?}");
    assert!(run.is_complete(rollcall::core::id::Kind::Membership), "{:?}", run.listings);
    assert_eq!(alive(&world).await, projected(&world).await);
    assert_eq!(run.state, RunState::Incomplete, "a row could not be looked at, and that is said");
}

#[tokio::test]
async fn fault_b21_the_schedule_writes_back_so_many_at_most_and_by_hand_all_are_done() {
    let clerk = clerk_emulator::Config { production: true, ..clerk_emulator::Config::default() };
    let world = World::with_clerk(clerk, &[("METADATA_WRITEBACK", "on")]).await;
    let sign_up = async |number: u64| {
        world.clerk("POST", "/users", json!({ "email_address": [format!("user{number}@example.com")] })).await;
    };
    for number in 0..8 {
        sign_up(number).await;
    }
    let night = async || {
        pass(&world, 60);
        let scheduled = world.reconciler().await.with_max_links(3);
        let run = scheduled.run(&Order::Run(Mode::Repair), None, &|_| ()).await.unwrap().run.unwrap();
        (run.effects.links, run.effects.linked, run.effects.backlog, run.effects.left, run.is_in_sync())
    };
    // A backlog that shrinks is a figure in the report.
    assert_eq!(night().await, (8, 3, 5, 0, true));
    assert_eq!(night().await, (5, 3, 2, 0, true));
    // One that grows is not: more sign up in a night than are written back.
    for number in 8..12 {
        sign_up(number).await;
    }
    assert_eq!(night().await, (6, 3, 3, 0, false));
    // By hand all are done, also if somebody interrupts it in the middle and begins again.
    for number in 12..40 {
        sign_up(number).await;
    }
    pass(&world, 60);
    let until = Millis::try_from(i64::try_from(world.now().get() + 1).unwrap()).unwrap();
    let by_hand = world.reconciler().await.by_hand();
    let stops = |run: &Run| {
        if run.effects.linked >= 10 {
            world.set_now(until.get());
        }
    };
    let first = by_hand.run(&Order::Run(Mode::Repair), Some(until), &stops).await.unwrap().run.unwrap();
    assert_eq!((first.state, first.effects.linked), (RunState::Running, 10));
    let run = by_hand.run(&Order::Run(Mode::Repair), None, &|_| ()).await.unwrap().run.unwrap();
    assert_eq!((run.run.clone(), run.effects.links, run.effects.linked), (first.run, 31, 31), "{run:?}");
    assert_eq!((run.effects.backlog, run.is_in_sync()), (0, true));
    assert_eq!(night().await, (0, 0, 0, 0, true));
}
