//! `DELETE /me`.

use clerk_emulator::{ApiFaults, TokenRequest};
use rollcall_tests::{ATTEMPTS, Fault, World};
use serde_json::{Map, Value, json};

use super::{arrived, get, with};
use crate::ensure::profiles::newcomer;

const ON: (&str, &str) = ("ACCOUNT_DELETION", "on");

/// A token whose first factor was verified this number of minutes ago.
fn token(world: &World, user: &str, claims: Value) -> String {
    let claims = if let Value::Object(claims) = claims { claims } else { Map::new() };
    world.token(&TokenRequest { claims, ..TokenRequest::new(user) })
}

async fn delete(world: &World, token: &str) -> rollcall_tests::answer::Answer {
    with(world, token, "DELETE", "/me", &[], String::new()).await
}

/// Advances the clock so far that the function may ask Clerk about a caller again.
fn later(world: &World) {
    world.set_now(world.now().get() + 11_000);
}

async fn is_in_clerk(world: &World, user: &str) -> bool {
    let found = world.clerk("GET", &format!("/users?user_id={user}"), Value::Null).await;
    found.as_array().is_some_and(|users| !users.is_empty())
}

#[tokio::test]
async fn e8_a_user_deletes_the_account_and_the_event_does_the_rest() {
    let world = World::with(&[ON]).await;
    let (ada, acme) = newcomer(&world).await;
    arrived(&world).await;
    let fresh = token(&world, &ada, json!({ "fva": [3, -1] }));
    let clerk_calls = world.clerk_calls();
    let answer = delete(&world, &fresh).await;
    assert_eq!(answer.brief(), (202, "accepted"), "{}", answer.text);
    assert_eq!(world.clerk_calls() - clerk_calls, 2, "whose key it is, and the deletion");
    assert!(!is_in_clerk(&world, &ada).await);
    // The Directory does not change until the event arrives.
    assert_eq!(get(&world, &fresh, "/me").await.status, 200);
    // A second request at once fails, so that one caller cannot exhaust the request budget.
    let again = delete(&world, &fresh).await;
    assert_eq!((again.brief(), again.header("retry-after")), ((503, "user_not_asked"), Some("10")));
    // A later request succeeds, although Clerk does not have the user any more.
    later(&world);
    let fresh = token(&world, &ada, json!({ "fva": [3, -1] }));
    assert_eq!(delete(&world, &fresh).await.brief(), (202, "accepted"));
    let deleted = json!({ "id": ada, "object": "user", "deleted": true });
    let deleted = rollcall_tests::event("user.deleted", &deleted, world.now().get() + 2);
    assert_eq!(world.post(&deleted).await.brief(), (200, "applied"));
    for path in [
        "/me",
        "/me/profile",
        "/me/authorization?role=user",
        &format!("/users/{ada}"),
        &format!("/organizations/{acme}/members"),
    ] {
        assert_eq!(get(&world, &fresh, path).await.brief(), (410, "user_deleted"), "{path}");
    }
    assert_eq!(delete(&world, &fresh).await.brief(), (410, "user_deleted"));
}

#[tokio::test]
async fn without_the_event_the_next_run_does_the_rest() {
    let world = World::with(&[ON]).await;
    let (ada, _) = newcomer(&world).await;
    let _ = super::create_user(&world, "Grace").await;
    let _ = super::create_user(&world, "Eve").await;
    arrived(&world).await;
    let fresh = token(&world, &ada, json!({ "fva": [0, -1] }));
    assert_eq!(delete(&world, &fresh).await.status, 202);
    world.set_now(world.now().get() + 3_600_000);
    world.reconcile().await;
    let fresh = token(&world, &ada, json!({ "fva": [0, -1] }));
    assert_eq!(get(&world, &fresh, "/me").await.brief(), (410, "user_deleted"));
}

#[tokio::test]
async fn only_the_user_with_a_fresh_sign_in_and_a_bearer_token_may_delete() {
    let world = World::with(&[ON]).await;
    let (ada, _) = newcomer(&world).await;
    arrived(&world).await;
    for (claims, code) in [
        (json!({ "fva": [10, -1] }), "reverification_required"),
        (json!({ "fva": [-1, -1] }), "reverification_required"),
        (json!({ "fva": [] }), "reverification_required"),
        (json!({ "fva": [3] }), "reverification_required"),
        (json!({ "fva": [3, -1, -1] }), "reverification_required"),
        (json!({ "fva": [3, -2] }), "reverification_required"),
        (json!({ "fva": null }), "reverification_required"),
        (json!({ "fva": [3, -1], "act": { "sub": "user_support" } }), "impersonation_not_allowed"),
    ] {
        let answer = delete(&world, &token(&world, &ada, claims.clone())).await;
        assert_eq!(answer.brief(), (403, code), "{claims}");
        if code == "reverification_required" {
            let expected = json!({ "type": "forbidden", "reason": "reverification-error", "metadata": {
                "reverification": { "level": "first_factor", "afterMinutes": 10 } } });
            assert_eq!(answer.body["clerk_error"], expected);
        }
    }
    let cookie = format!("__session={}", token(&world, &ada, json!({ "fva": [0, -1] })));
    let origin = world.stack.addresses.allowed_origins.split([' ', ',']).next().unwrap().to_owned();
    let by_cookie = world.call("DELETE", "/me", &[("cookie", &cookie), ("origin", &origin)]).await;
    assert_eq!(by_cookie.brief(), (403, "bearer_required"));
    let off = world.beside(&[("ACCOUNT_DELETION", "off")]).await;
    assert_eq!(
        delete(&off, &token(&world, &ada, json!({ "fva": [0, -1] }))).await.brief(),
        (404, "account_deletion_off")
    );
    assert!(is_in_clerk(&world, &ada).await);
}

#[tokio::test]
async fn while_clerk_fails_nothing_is_half_done() {
    let world = World::with(&[ON, ("SUPPORT_CONTACT", "help@example.com")]).await;
    let (ada, _) = newcomer(&world).await;
    arrived(&world).await;
    let before = (world.directory().await, world.profiles().await);
    for (name, faults) in [
        ("down", ApiFaults { server_error: 1.0, ..ApiFaults::default() }),
        ("rate limited", ApiFaults { too_many_requests: 1.0, ..ApiFaults::default() }),
    ] {
        world.set_faults(faults);
        later(&world);
        let fresh = token(&world, &ada, json!({ "fva": [0, -1] }));
        let answer = delete(&world, &fresh).await;
        assert_eq!(answer.brief(), (503, "clerk_unavailable"), "{name}: {}", answer.text);
        // The deletion used up the caller's question to Clerk: an earlier repeat would be refused.
        assert_eq!(answer.header("retry-after"), Some("10"));
        let again = delete(&world, &fresh).await;
        assert_eq!((again.brief(), again.header("retry-after")), ((503, "user_not_asked"), Some("10")), "{name}");
    }
    world.set_faults(ApiFaults::default());
    later(&world);
    assert!(is_in_clerk(&world, &ada).await);
    assert_eq!((world.directory().await, world.profiles().await), before);
    assert_eq!(delete(&world, &token(&world, &ada, json!({ "fva": [0, -1] }))).await.status, 202);
}

/// Every 503 of a deletion, and what a repeat gets after the time in `Retry-After`.
#[tokio::test]
async fn who_waits_as_long_as_retry_after_says_may_try_again() {
    for (name, faults, failing, wire) in [
        ("down", ApiFaults { server_error: 1.0, ..ApiFaults::default() }, 0, vec![]),
        ("429", ApiFaults { too_many_requests: 1.0, ..ApiFaults::default() }, 0, vec![]),
        ("401", ApiFaults { unauthorized: 1.0, ..ApiFaults::default() }, 0, vec![]),
        ("no note of the question", ApiFaults::default(), 1, vec![Fault::Unavailable; ATTEMPTS]),
        ("no budget", ApiFaults::default(), 2, vec![Fault::Unavailable; ATTEMPTS]),
    ] {
        let world = World::with(&[ON]).await;
        let (ada, _) = newcomer(&world).await;
        arrived(&world).await;
        assert_eq!(get(&world, &world.session(&ada, None), "/me").await.status, 200);
        world.set_faults(faults);
        world.wire.fail_after(failing, wire);
        let answer = delete(&world, &token(&world, &ada, json!({ "fva": [0, -1] }))).await;
        world.set_faults(ApiFaults::default());
        world.wire.fail([]);
        assert_eq!(answer.status, 503, "{name}: {}", answer.text);
        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        world.set_now(world.now().get() + wait * 1_000);
        let again = delete(&world, &token(&world, &ada, json!({ "fva": [0, -1] }))).await;
        assert_eq!(again.brief(), (202, "accepted"), "{name}: {}", again.text);
    }
}

#[tokio::test]
async fn a_404_under_the_key_of_another_instance_is_no_deletion() {
    let instance_id = "ins_other".to_owned();
    let other = clerk_emulator::Config { instance_id, seed: 7, ..clerk_emulator::Config::default() };
    let other = World::with_clerk(other, &[]).await;
    let world = World::with(&[ON]).await;
    let (ada, _) = newcomer(&world).await;
    arrived(&world).await;
    let foreign = [
        ON,
        ("CLERK_API_URL", &*other.stack.addresses.clerk),
        ("CLERK_SECRET_KEY", &*other.stack.addresses.clerk_secret_key),
    ];
    let foreign = world.beside(&foreign).await;
    let answer = delete(&foreign, &token(&world, &ada, json!({ "fva": [0, -1] }))).await;
    assert_eq!(answer.brief(), (503, "clerk_unavailable"), "{}", answer.text);
    assert!(is_in_clerk(&world, &ada).await);
}

/// If the function is killed at any point, the user is unchanged, or deleted only in Clerk. Then the event or the next
/// run of reconcile changes the tables.
#[tokio::test]
async fn e8_a_deletion_that_is_killed_at_any_point_is_whole_or_not_begun() {
    let (mut whole, mut deleted) = (0, 0);
    let world = World::with(&[ON]).await;
    let (ada, _) = newcomer(&world).await;
    arrived(&world).await;
    // A first request fetches the keys of session tokens, so that later requests do not.
    assert_eq!(get(&world, &world.session(&ada, None), "/me").await.status, 200);
    for polls in 1.. {
        let user = super::create_user(&world, &format!("K{polls}")).await;
        world.reconcile().await;
        let fresh = token(&world, &user, json!({ "fva": [0, -1] }));
        let killed = rollcall_tests::killed_after(polls, delete(&world, &fresh)).await;
        // Requests that the killed function has sent still arrive.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        assert_eq!(get(&world, &fresh, "/me").await.status, 200, "the copy is not changed");
        if is_in_clerk(&world, &user).await {
            whole += 1;
            later(&world);
            let fresh = token(&world, &user, json!({ "fva": [0, -1] }));
            assert_eq!(delete(&world, &fresh).await.status, 202, "again, from the beginning");
        } else {
            deleted += 1;
        }
        let event = json!({ "id": user, "object": "user", "deleted": true });
        let event = rollcall_tests::event("user.deleted", &event, world.now().get() + 2);
        assert_eq!(world.post(&event).await.brief(), (200, "applied"));
        let fresh = token(&world, &user, json!({ "fva": [0, -1] }));
        assert_eq!(get(&world, &fresh, "/me").await.brief(), (410, "user_deleted"));
        if killed.is_some() {
            break;
        }
    }
    assert!(whole > 0 && deleted > 0, "{whole} {deleted}");
}

#[tokio::test]
async fn a_slow_clerk_is_given_up_in_time_and_what_it_did_is_found_by_the_next_try() {
    let world = World::with(&[ON]).await;
    let (ada, _) = newcomer(&world).await;
    arrived(&world).await;
    // The instance of the secret key is verified already, so only the deletion is slow.
    let other = super::create_user(&world, "Other").await;
    world.reconcile().await;
    assert_eq!(delete(&world, &token(&world, &other, json!({ "fva": [0, -1] }))).await.status, 202);
    world.set_faults(ApiFaults { slow_ms: 20_000, ..ApiFaults::default() });
    let begun = std::time::Instant::now();
    let answer = delete(&world, &token(&world, &ada, json!({ "fva": [0, -1] }))).await;
    assert_eq!(answer.brief(), (503, "clerk_unavailable"), "{}", answer.text);
    assert!(begun.elapsed() < std::time::Duration::from_secs(10));
    world.set_faults(ApiFaults::default());
    later(&world);
    assert_eq!(delete(&world, &token(&world, &ada, json!({ "fva": [0, -1] }))).await.status, 202);
    assert!(!is_in_clerk(&world, &ada).await);
}
