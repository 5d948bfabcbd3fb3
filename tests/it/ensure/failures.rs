//! Bad days of DynamoDB and Clerk, as a signed-in caller sees them.

use std::time::{Duration, Instant};

use clerk_emulator::{ApiFaults, Faults};
use rollcall_tests::{ATTEMPTS, Fault, World};
use serde_json::{Value, json};

use crate::ensure::profiles::{newcomer, with_clerk};
use crate::properties::failures::Log;
use crate::user;

#[tokio::test]
async fn keys_that_cannot_be_had_let_nobody_in_and_are_no_verdict() {
    let world = World::start().await;
    let (ada, _) = newcomer(&world).await;
    let token = world.session(&ada, None);
    with_clerk(&world, ApiFaults { jwks_down: true, ..ApiFaults::default() });
    for _ in 0..3 {
        let answer = world.ensure(&token).await;
        assert_eq!(answer.brief(), (503, "session_keys_unavailable"));
        assert_eq!(answer.header("retry-after"), Some("2"));
    }
    assert!(world.wire.take().is_empty());
    with_clerk(&world, ApiFaults::default());
    world.set_now(world.now().get() + 2_000);
    assert_eq!(world.ensure(&world.session(&ada, None)).await.status, 201);
    // Known keys outlast it.
    with_clerk(&world, ApiFaults { jwks_down: true, ..ApiFaults::default() });
    world.set_now(world.now().get() + 10 * 60_000);
    assert_eq!(world.ensure(&world.session(&ada, None)).await.status, 200);
}

#[tokio::test]
async fn keys_that_come_slowly_are_given_up() {
    let world = World::start().await;
    let (ada, _) = newcomer(&world).await;
    with_clerk(&world, ApiFaults { slow_ms: 20_000, ..ApiFaults::default() });
    let started = Instant::now();
    assert_eq!(world.ensure(&world.session(&ada, None)).await.brief(), (503, "session_keys_unavailable"));
    assert!(started.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn one_failure_of_the_store_is_retried_wherever_it_strikes() {
    for fault in [Fault::Throttled, Fault::ServerError, Fault::Unavailable, Fault::LostAnswer] {
        // Read, two notes of the question, three writes, two transactions: one fault before each of them.
        for strike in 0..8 {
            let world = World::start().await;
            let (ada, acme) = newcomer(&world).await;
            world.wire.fail_after(strike, [fault]);
            let answer = world.ensure(&world.session(&ada, Some(&acme))).await;
            assert_eq!(answer.status, 201, "{fault:?} at {strike}: {}", answer.text);
            assert_eq!((world.directory().await.len(), world.profiles().await.len()), (3, 2), "{fault:?} at {strike}");
        }
    }
}

#[tokio::test]
async fn a_store_that_keeps_failing_answers_503_and_the_next_call_goes_on_from_there() {
    for fault in [Fault::Throttled, Fault::ServerError, Fault::Unavailable] {
        for strike in 0..8 {
            let world = World::start().await;
            let (ada, acme) = newcomer(&world).await;
            let token = world.session(&ada, Some(&acme));
            world.wire.fail_after(strike, [fault; 12]);
            let answer = world.ensure(&token).await;
            assert_eq!(answer.brief(), (503, "unavailable"), "{fault:?} at {strike}");
            assert_eq!(answer.header("retry-after"), Some("2"));
            world.wire.fail([]);
            let answer = world.ensure(&token).await;
            assert!(answer.status < 300, "{}", answer.text);
            assert_eq!((world.directory().await.len(), world.profiles().await.len()), (3, 2), "{fault:?} at {strike}");
        }
    }
}

#[tokio::test]
async fn d8_a_fault_for_an_operator_says_where_to_look_and_leaks_no_internals() {
    for fault in [Fault::AccessDenied, Fault::NoTable] {
        let world = World::with(&[("SUPPORT_CONTACT", "help@example.com")]).await;
        let (ada, _) = newcomer(&world).await;
        world.wire.fail([fault]);
        let answer = world.ensure(&world.session(&ada, None)).await;
        assert_eq!((answer.brief(), &answer.body["support"]), ((500, "internal_error"), &json!("help@example.com")));
        let request_id = answer.body["request_id"].as_str().filter(|id| !id.is_empty()).unwrap();
        let text = answer.text.replace(request_id, "").to_lowercase();
        for internal in ["table", "dynamo", "exception", "arn:", "rollcall-", "ada"] {
            assert!(!text.contains(internal), "{internal} in {text}");
        }
    }
}

#[tokio::test]
async fn a_transaction_that_others_get_in_the_way_of_is_tried_again() {
    let world = World::start().await;
    let (ada, _) = newcomer(&world).await;
    let token = world.session(&ada, None);
    // After the read, the two notes of the question and the copy.
    world.wire.fail_after(4, [Fault::TransactionCancelled("TransactionConflict"); 3]);
    assert_eq!(world.ensure(&token).await.created(), ["user", "profile"]);
    let eve = world.clerk("POST", "/users", json!({ "email_address": ["eve@example.com"] })).await;
    let eve = eve["id"].as_str().unwrap();
    for reason in ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"] {
        // At first there is a user to be written, too.
        let before = if reason == "TransactionConflict" { 4 } else { 1 };
        world.wire.fail_after(before, [Fault::TransactionCancelled(reason); ATTEMPTS]);
        assert_eq!(world.ensure(&world.session(eve, None)).await.brief(), (503, "unavailable"), "{reason}");
    }
    world.wire.fail_after(1, [Fault::TransactionCancelled("ValidationError")]);
    assert_eq!(world.ensure(&world.session(eve, None)).await.brief(), (500, "internal_error"));
    assert_eq!(world.ensure(&world.session(eve, None)).await.created(), ["profile"]);
}

#[tokio::test]
async fn a_write_that_meets_somebodys_transaction_is_tried_again() {
    for strike in 3..6 {
        let world = World::start().await;
        let (ada, acme) = newcomer(&world).await;
        world.wire.fail_after(strike, [Fault::TransactionConflict]);
        let answer = world.ensure(&world.session(&ada, Some(&acme))).await;
        assert_eq!((answer.status, answer.created().len()), (201, 5), "{strike}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_tie_that_only_clerk_could_settle_leaves_what_stands_there() {
    // Clerk changes the user twice within a millisecond. A call has fetched the first state; the webhook brings the
    // second one; the call asks again, and Clerk is silent.
    let world = World::start().await;
    let (ada, _) = newcomer(&world).await;
    let mut body = world.clerk("GET", &format!("/users/{ada}"), Value::Null).await;
    body["first_name"] = "Augusta".into();
    let second = rollcall_tests::event("user.updated", &body, world.now().get());
    let (webhook, token) = (world.beside(&[]).await, world.session(&ada, None));
    let (stack, mut held) = (world.stack.clone(), world.wire.hold());
    let arriving = async move {
        while let Some(request) = held.recv().await {
            if request.operation == "PutItem" {
                assert_eq!(webhook.post(&second).await.brief(), (200, "applied"));
                let api = ApiFaults { unauthorized: 1.0, ..ApiFaults::default() };
                stack.clerk.set_faults(Faults { api, ..Faults::default() }).unwrap();
            }
            request.release();
        }
    };
    let log = Log::default();
    let answer = {
        let _listening = log.listen();
        tokio::select! {
            answer = world.ensure(&token) => answer,
            () = arriving => unreachable!("the wire stays"),
        }
    };
    assert_eq!((answer.status, &answer.body["user"]["first_name"]), (201, &json!("Augusta")), "{}", answer.text);
    assert_eq!(answer.body["needs_sync"], true);
    assert!(log.text().contains("check CLERK_SECRET_KEY"), "{}", log.text());
}

#[tokio::test]
async fn a_browser_on_a_bad_day_is_told_so_and_not_sent_round() {
    let world = World::with(&[("SIGN_IN_URL", "https://accounts.example.com/sign-in")]).await;
    let (ada, _) = newcomer(&world).await;
    let cookie = format!("__session={}", world.session(&ada, None));
    let sync = async || world.call("GET", "/sync", &[("cookie", &cookie)]).await;
    with_clerk(&world, ApiFaults { jwks_down: true, ..ApiFaults::default() });
    let answer = sync().await;
    assert_eq!((answer.brief(), answer.header("location")), ((503, "session_keys_unavailable"), None), "no verdict");
    with_clerk(&world, ApiFaults::default());
    world.set_now(world.now().get() + 2_000);
    world.wire.fail([Fault::Throttled; ATTEMPTS]);
    assert_eq!(sync().await.brief(), (503, "unavailable"));
    for api in [
        ApiFaults { unauthorized: 1.0, ..ApiFaults::default() },
        ApiFaults { too_many_requests: 1.0, ..ApiFaults::default() },
        ApiFaults { slow_ms: 20_000, ..ApiFaults::default() },
    ] {
        world.set_now(world.now().get() + 10_000);
        with_clerk(&world, api.clone());
        assert_eq!(sync().await.status, 303, "{api:?}");
    }
}

#[tokio::test]
async fn keys_that_dynamodb_leaves_out_are_asked_for_again() {
    let world = World::start().await;
    let (ada, acme) = newcomer(&world).await;
    let token = world.session(&ada, Some(&acme));
    let first = world.ensure(&token).await;
    let calls = world.clerk_calls();
    let _ = world.wire.take();
    world.wire.fail([Fault::Unprocessed; 2]);
    let answer = world.ensure(&token).await;
    assert_eq!((answer.status, &answer.body["user"]), (200, &first.body["user"]), "{}", answer.text);
    assert_eq!(world.wire.take().len(), 3);
    world.wire.fail([Fault::Unprocessed; 3]);
    assert_eq!(world.ensure(&token).await.brief(), (503, "unavailable"), "what was left out is not what is missing");
    assert_eq!(world.clerk_calls(), calls);
}

#[tokio::test]
async fn a_silent_store_is_given_up_within_the_functions_time() {
    let world = World::start().await;
    let (ada, _) = newcomer(&world).await;
    world.wire.fail([Fault::Silent(Duration::from_secs(12)); 4]);
    let started = Instant::now();
    assert_eq!(world.ensure(&world.session(&ada, None)).await.brief(), (503, "unavailable"));
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn what_cannot_be_read_of_clerk_stands_in_for_itself_alone() {
    let world = World::start().await;
    let (ada, acme) = newcomer(&world).await;
    // The list of members comes back empty although it says that there is one.
    with_clerk(&world, ApiFaults { empty_page: 1.0, ..ApiFaults::default() });
    let answer = world.ensure(&world.session(&ada, Some(&acme))).await;
    assert_eq!((&answer.body["user"]["email"], &answer.body["needs_sync"]), (&json!("ada@example.com"), &json!(true)));
    assert_eq!(answer.body["membership"], json!({ "organization_id": acme, "clerk_user_id": ada }));
    // Clerk is not down, and is asked again once it may be.
    with_clerk(&world, ApiFaults::default());
    world.set_now(world.now().get() + 10_000);
    let answer = world.ensure(&world.session(&ada, Some(&acme))).await;
    assert_eq!(answer.body["membership"]["role"], "org:admin");
}

#[tokio::test]
async fn no_line_about_a_caller_carries_personal_data() {
    let (world, log) = (World::start().await, Log::default());
    let _listening = log.listen();
    let marked = json!({ "first_name": "MARKED", "last_name": "MARKED", "username": "marked", "email_address": ["marked@example.com"], "public_metadata": { "note": "MARKED" } });
    let ada = world.clerk("POST", "/users", marked).await["id"].as_str().unwrap().to_owned();
    let token = world.session(&ada, None);
    assert_eq!(world.ensure(&token).await.status, 201);
    assert_eq!(world.ensure(&token).await.status, 200);
    world.wire.fail([Fault::AccessDenied]);
    assert_eq!(world.ensure(&token).await.status, 500);
    world.call("GET", "/sync?redirect_url=https%3A%2F%2Fmarked.example.com", &[]).await;
    assert_eq!(world.ensure(&format!("{token}MARKED")).await.status, 401);
    world.set_now(world.now().get() + 20_000);
    with_clerk(&world, ApiFaults { unauthorized: 1.0, ..ApiFaults::default() });
    assert_eq!(world.ensure(&world.session("user_new", None)).await.status, 201);
    assert!(world.item(&user(&ada)).await.unwrap().to_string().contains("MARKED"));
    let lines = log.text();
    assert_eq!(lines.lines().count(), 6, "one line an invocation: {lines}");
    assert!(!lines.to_lowercase().contains("marked"), "{lines}");
    for part in token.split('.').chain([world.stack.addresses.clerk_secret_key.as_str()]) {
        assert!(!lines.contains(part));
    }
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert!(line["outcome"].is_string() && line["span"]["request_id"].is_string(), "{line}");
    }
    assert!(lines.contains("check CLERK_SECRET_KEY"), "an operator is told what to mend: {lines}");
}
