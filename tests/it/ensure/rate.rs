//! I24: one caller cannot spend Clerk's rate limit, nor can many callers or many containers together.
//!
//! Each world here is a function of its own over the same tables, as two containers are.

use clerk_emulator::{ApiFaults, Config, FRONT_END};
use futures_util::future::join_all;
use rollcall_tests::World;
use serde_json::{Value, json};

use crate::ensure::profiles::{newcomer, with_clerk};
use crate::{membership, organization, user};

async fn sync(world: &World, token: &str) -> u16 {
    let cookie = format!("__session={token}");
    world.call("GET", &format!("/sync?redirect_url={FRONT_END}"), &[("cookie", &cookie)]).await.status
}

/// A member of an organization, and the organization, with everything that the copy needs.
async fn member(world: &World) -> (String, String) {
    let (_, acme) = newcomer(world).await;
    let bob = world.clerk("POST", "/users", json!({ "email_address": ["bob@example.com"] })).await;
    let bob = bob["id"].as_str().unwrap().to_owned();
    let path = format!("/organizations/{acme}/memberships");
    world.clerk("POST", &path, json!({ "user_id": bob, "role": "org:member" })).await;
    assert_eq!(world.ensure(&world.session(&bob, Some(&acme))).await.status, 201);
    (bob, acme)
}

/// Lets a member leave, and the event of that arrive.
async fn leave(world: &World, user: &str, organization: &str) {
    world.set_now(world.now().get() + 1_000);
    let path = format!("/organizations/{organization}/memberships/{user}");
    let left = world.clerk("DELETE", &path, Value::Null).await;
    world.post(&rollcall_tests::event("organizationMembership.deleted", &left, world.now().get())).await;
    world.set_now(world.now().get() + 11_000);
}

/// So many calls of each route in a minute, at two functions in turn, and in how many of them Clerk was asked.
async fn rounds(worlds: [&World; 2], calls: u64, user: &str, organization: Option<&str>, expected: [u16; 2]) -> usize {
    let begun = worlds[0].now().get();
    let (mut rounds, mut token) = (0, String::new());
    for call in 0..calls {
        let world = worlds[usize::from(call % 2 == 1)];
        world.set_now(begun + call * 60_000 / calls);
        // A browser has a new one every minute; this one every tenth of it.
        if call % (calls / 10) == 0 {
            token = world.session(user, organization);
        }
        let before = world.clerk_calls();
        let answered = [world.ensure(&token).await.status, sync(world, &token).await];
        if call > 0 {
            assert_eq!(answered, expected, "call {call}");
        }
        rounds += usize::from(world.clerk_calls() > before);
    }
    rounds
}

#[tokio::test]
async fn i24_a_thousand_calls_of_each_route_in_a_minute_are_seven_rounds_of_questions_at_most() {
    let world = World::start().await;
    let other = world.beside(&[]).await;
    let (bob, acme) = member(&world).await;
    world.set_now(world.now().get() + 11_000);
    let asked = world.clerk_calls();
    assert!(rounds([&world, &other], 1_000, &bob, Some(&acme), [200, 303]).await <= 7);
    assert!(world.clerk_calls() - asked <= 7 * 3, "{}", world.clerk_calls() - asked);
}

#[tokio::test]
async fn i24_a_token_of_somebody_who_has_just_left_or_of_what_clerk_does_not_know_asks_as_rarely() {
    let world = World::start().await;
    let other = world.beside(&[]).await;
    let (bob, acme) = member(&world).await;
    leave(&world, &bob, &acme).await;
    let worlds = [&world, &other];
    let (asked, rows) = (world.clerk_calls(), world.directory().await);
    assert!(rounds(worlds, 200, &bob, Some(&acme), [200, 303]).await <= 7);
    world.set_now(world.now().get() + 11_000);
    assert!(rounds(worlds, 200, &bob, Some("org_nowhere"), [200, 303]).await <= 7);
    assert_eq!(world.directory().await.len(), rows.len(), "nothing stands in for what Clerk does not have");
    assert!(world.item(&organization("org_nowhere")).await.is_none());
    world.set_now(world.now().get() + 11_000);
    assert!(rounds(worlds, 200, "user_nobody", Some(&acme), [404, 404]).await <= 7);
    assert!(world.item(&user("user_nobody")).await.is_none());
    assert!(world.clerk_calls() - asked <= 3 * 7 * 3, "{}", world.clerk_calls() - asked);
}

#[tokio::test]
async fn i24_what_is_asked_by_two_functions_at_once_is_asked_once_and_both_have_the_answer() {
    let world = World::start().await;
    let other = world.beside(&[]).await;
    let (ada, acme) = newcomer(&world).await;
    // Slow enough for all of them to come before the answer.
    with_clerk(&world, ApiFaults { slow_ms: 300, ..ApiFaults::default() });
    let at_once = async |user: &str, organization: &str| {
        let token = world.session(user, Some(organization));
        // Keys of sessions are asked for by each function.
        assert!(world.ensure("x").await.status == 401 && other.ensure("x").await.status == 401);
        let before = world.clerk_calls();
        let answers = join_all((0..10).map(|call| [&world, &other][call % 2].ensure(&token))).await;
        (answers, world.clerk_calls() - before)
    };
    let (answers, asked) = at_once(&ada, &acme).await;
    assert_eq!(asked, 3);
    for answer in &answers {
        assert!(answer.status < 300, "{}", answer.text);
        assert_eq!(answer.body["user"]["email"], "ada@example.com", "{}", answer.text);
        assert_eq!(answer.body["membership"]["role"], "org:admin", "{}", answer.text);
        assert_eq!(answer.body["profile"], answers[0].body["profile"]);
    }
    let mut created: Vec<&str> = answers.iter().flat_map(|answer| answer.created()).collect();
    created.sort_unstable();
    assert_eq!(created, ["membership", "membership_profile", "organization", "profile", "user"]);
    let rows = (world.directory().await, world.profiles().await);
    let (answers, asked) = at_once("user_nobody", &acme).await;
    // The user and the membership; the organization is known by now.
    assert_eq!(asked, 2);
    assert!(answers.iter().all(|answer| answer.brief() == (404, "user_not_found")));
    assert_eq!((world.directory().await, world.profiles().await), rows, "nobody is made up meanwhile");
}

#[tokio::test]
async fn i24_who_switches_between_organizations_asks_about_three_and_is_answered_about_all() {
    let world = World::start().await;
    let (ada, first) = newcomer(&world).await;
    let mut organizations = vec![first];
    for at in 1..6 {
        let body = json!({ "name": format!("Acme {at}"), "slug": format!("acme-{at}"), "created_by": ada });
        organizations.push(world.clerk("POST", "/organizations", body).await["id"].as_str().unwrap().to_owned());
    }
    let before = world.clerk_calls();
    let mut roles = Vec::new();
    for id in &organizations {
        let answer = world.ensure(&world.session(&ada, Some(id))).await;
        assert!(answer.status < 300, "{}", answer.text);
        assert_eq!(
            (&answer.body["organization"]["organization_id"], &answer.body["needs_sync"]),
            (&json!(id), &json!(true))
        );
        roles.push(answer.body["membership"]["role"].clone());
    }
    assert_eq!(world.clerk_calls() - before, 3 + 2 + 2);
    let admin = json!("org:admin");
    assert!(roles[..3].iter().all(|role| *role == admin) && roles[3..].iter().all(Value::is_null), "{roles:?}");
    // Ten seconds later the others have their turn.
    world.set_now(world.now().get() + 10_000);
    let answer = world.ensure(&world.session(&ada, Some(&organizations[5]))).await;
    assert_eq!(answer.body["membership"]["role"], "org:admin");
    assert_eq!(world.item(&membership(&ada, &organizations[5])).await.unwrap()["applied_by"], "ensure");
}

#[tokio::test]
async fn i24_all_functions_together_stay_within_the_share_and_go_on_in_the_next_window() {
    // A tenth of what an instance in development answers: three newcomers, and one request that is of no use.
    let world = World::with(&[("CLERK_RATE_SHARE", "10")]).await;
    let other = world.beside(&[("CLERK_RATE_SHARE", "10")]).await;
    world.set_now(world.now().get() / 10_000 * 10_000);
    let (_, acme) = newcomer(&world).await;
    let mut tokens = Vec::new();
    for at in 0..8 {
        let email = format!("user{at}@example.com");
        let new = world.clerk("POST", "/users", json!({ "email_address": [email] })).await;
        let new = new["id"].as_str().unwrap().to_owned();
        let path = format!("/organizations/{acme}/memberships");
        world.clerk("POST", &path, json!({ "user_id": new, "role": "org:member" })).await;
        tokens.push(world.session(&new, Some(&acme)));
    }
    let before = world.clerk_calls();
    let log = crate::properties::failures::Log::default();
    let answers = {
        let _listening = log.listen();
        join_all(tokens.iter().enumerate().map(|(at, token)| [&world, &other][at % 2].ensure(token))).await
    };
    assert!(answers.iter().all(|answer| answer.status == 201), "everybody is answered");
    let asked = world.clerk_calls() - before;
    assert!((6..=10).contains(&asked), "{asked}");
    let placeholders = answers.iter().filter(|answer| answer.body["membership"]["role"].is_null()).count();
    assert!((4..8).contains(&placeholders), "{placeholders}");
    assert!(log.text().contains("the function's share of Clerk's rate limit is used up"), "{}", log.text());
    // What is used up is not asked for again within the window.
    let writes = world.operations().await;
    assert_eq!(world.ensure(&world.session("user_more", None)).await.status, 201);
    assert_eq!((world.clerk_calls() - before, world.operations().await), (asked, writes));
    world.set_now(world.now().get() + 10_000);
    let healed = world.ensure(&tokens[7]).await;
    assert_eq!(healed.body["membership"]["role"], "org:member", "{}", healed.text);
}

#[tokio::test]
async fn i24_without_a_mirror_each_process_remembers_for_ten_seconds_what_clerk_has_said() {
    let off = [("MIRROR", "off")];
    let world = World::with(&off).await;
    let (ada, acme) = newcomer(&world).await;
    let token = world.session(&ada, Some(&acme));
    let before = world.clerk_calls();
    for call in 0..20 {
        let answer = world.ensure(&token).await;
        assert_eq!(
            (answer.status, &answer.body["membership"]["role"]),
            (if call == 0 { 201 } else { 200 }, &json!("org:admin"))
        );
        assert_eq!(sync(&world, &token).await, 303);
    }
    assert_eq!(world.clerk_calls() - before, 3);
    // Each further process asks for itself, up to three in all; the fourth makes nothing up and lets nobody in.
    for at in 0..3 {
        let answer = world.beside(&off).await.ensure(&token).await;
        if at < 2 {
            assert_eq!((answer.status, &answer.body["membership"]["role"]), (200, &json!("org:admin")), "{at}");
        } else {
            assert_eq!((answer.brief(), answer.header("retry-after")), ((503, "user_not_asked"), Some("10")));
        }
    }
    assert_eq!(world.clerk_calls() - before, 3 + 2 + 2);
    world.set_now(world.now().get() + 1_000);
    world.clerk("POST", &format!("/users/{ada}/ban"), json!({})).await;
    assert_eq!(world.ensure(&token).await.status, 200, "seconds late");
    world.set_now(world.now().get() + 9_000);
    assert_eq!(world.ensure(&token).await.brief(), (403, "user_banned"));
    // A deletion is stored, and so known at once.
    world.post(&rollcall_tests::deletion_event("user.deleted", &ada, world.now().get())).await;
    assert_eq!(world.ensure(&token).await.brief(), (410, "user_deleted"));
}

#[tokio::test]
async fn i18_without_a_mirror_nobody_who_is_banned_gets_in_by_asking_too_often() {
    let off = [("MIRROR", "off")];
    let world = World::with(&off).await;
    let (ada, acme) = newcomer(&world).await;
    let tokens = [world.session(&ada, None), world.session(&ada, Some(&acme))];
    world.clerk("POST", &format!("/users/{ada}/ban"), json!({})).await;
    for at in 0..5 {
        let other = world.beside(&off).await;
        for token in &tokens {
            let answer = other.ensure(token).await;
            assert!(["user_banned", "user_not_asked"].contains(&answer.brief().1), "{at}: {}", answer.text);
        }
    }
    assert!(world.profiles().await.is_empty(), "nothing is created for somebody who is turned away");
}

#[tokio::test]
async fn i24_what_is_noted_of_questions_expires_and_says_nothing_of_anybody() {
    let world = World::start().await;
    let (ada, _) = newcomer(&world).await;
    world.ensure(&world.session(&ada, Some("org_nowhere"))).await;
    let rows = world.operations().await;
    let keys: Vec<&str> = rows.iter().map(|row| row["pk"].as_str().unwrap().split('#').next().unwrap()).collect();
    assert_eq!(keys, ["ASKED", "BUDGET"]);
    for row in &rows {
        let left = row["expires_at"].as_u64().unwrap() - world.now().get() / 1000;
        assert!((1..3_600).contains(&left), "{row}");
        assert!(!row.to_string().contains(&ada) && !row.to_string().contains("ada@"), "{row}");
    }
}

#[tokio::test]
async fn i24_an_answer_that_was_lost_on_the_way_is_nobody_elses_question() {
    use rollcall_tests::Fault;
    // The note of the question, the budget, and the note that it is over.
    for strike in 1..4 {
        let world = World::start().await;
        let (ada, _) = newcomer(&world).await;
        world.wire.fail_after(strike, [Fault::LostAnswer]);
        let answer = world.ensure(&world.session(&ada, Some("org_nowhere"))).await;
        assert_eq!((answer.status, &answer.body["user"]["email"]), (201, &json!("ada@example.com")), "{strike}");
        assert!(world.item(&organization("org_nowhere")).await.is_none());
    }
}

#[tokio::test]
async fn fault_s12_the_write_back_of_two_functions_stays_within_one_share_and_leaves_the_rest_to_reconcile() {
    const PATCH: &str = "PATCH /v1/users/{user_id}/metadata";
    let settings = [("METADATA_WRITEBACK", "on"), ("CLERK_RATE_SHARE", "20")];
    let world = World::with_clerk(Config::default(), &settings).await;
    let other = world.beside(&settings).await;
    for at in 0..40 {
        let body = json!({ "email_address": [format!("user{at}@example.com")] });
        let body = world.clerk("POST", "/users", body).await;
        let event = rollcall_tests::event("user.created", &body, world.now().get());
        assert_eq!(world.post(&event).await.brief(), (200, "applied"));
    }
    let before = world.clerk_calls();
    // Both are handed everything, as two shards' functions are that work at once.
    tokio::join!(world.follow(), other.follow());
    let asked = world.clerk_calls() - before;
    assert!((10..=20).contains(&asked), "{asked} requests are not a fifth of 100");
    let linked = world.stack.clerk.requests()[PATCH];
    assert!((5..=10).contains(&linked), "{linked}");
    assert_eq!(world.profiles().await.len(), 40, "what needs no Clerk is done");
    // The next window has a share of its own; what was left is not tried again, as reconcile does it.
    world.set_now(world.now().get() + 16 * 60_000);
    let reconciler = world.beside(&[("METADATA_WRITEBACK", "on")]).await;
    let run = reconciler.reconcile().await;
    assert!(run.is_in_sync(), "{run:?}");
    assert_eq!(run.effects.links, 40 - linked);
}

#[tokio::test]
async fn fault_s11_the_webhook_takes_events_under_the_path_that_nobody_can_guess() {
    let world = World::start().await;
    let (ada, _) = newcomer(&world).await;
    let body = world.clerk("GET", &format!("/users/{ada}"), Value::Null).await;
    let sent = world.sign(&rollcall_tests::event("user.created", &body, world.now().get()));
    let mut event = rollcall_tests::gateway_event(&sent, false);
    let path = "/webhooks/clerk/0123456789abcdef0123456789abcdef";
    event["rawPath"] = path.into();
    event["requestContext"]["http"]["path"] = path.into();
    event["requestContext"]["routeKey"] = format!("POST {path}").into();
    assert_eq!(world.invoke(event).await.brief(), (200, "applied"));
}
