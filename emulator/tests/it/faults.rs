//! The dials, over HTTP as a test or a developer turns them.

use std::{collections::HashMap, time::Duration};

use clerk_emulator::{ApiFaults, Config, DeliveryState, Faults, RateLimits, WebhookFaults};
use serde_json::{Value, json};

use crate::support::{Clerk, Endpoint, delivering_to};

/// Creates users 0 to 19 under the faults and answers with their numbers in the order of arrival.
async fn arrivals(seed: u64, webhooks: &WebhookFaults) -> Vec<usize> {
    let endpoint = Endpoint::start().await;
    let clerk = Clerk::start(Config { seed, ..delivering_to(&endpoint) }).await;
    clerk.emulator.set_faults(Faults { webhooks: webhooks.clone(), ..Faults::default() }).unwrap();
    for number in 0..20 {
        clerk.create_user(&format!("user{number}")).await;
    }
    clerk.emulator.settled().await;
    let name = |payload: &Value| payload["data"]["first_name"].as_str().unwrap()["user".len()..].parse().unwrap();
    endpoint.received().iter().map(|webhook| name(&webhook.payload)).collect()
}

#[tokio::test]
async fn lost_doubled_and_reordered_webhooks_are_the_same_for_the_same_seed() {
    let bad_day = WebhookFaults { drop: 0.2, duplicate: 0.3, reorder: 0.4, ..WebhookFaults::default() };
    let first = arrivals(1, &bad_day).await;
    assert_eq!(first, arrivals(1, &bad_day).await, "seed 1");
    assert_ne!(first, arrivals(2, &bad_day).await, "seed 2 is another bad day");

    let mut times: HashMap<usize, usize> = HashMap::new();
    for number in &first {
        *times.entry(*number).or_default() += 1;
    }
    assert!(times.len() < 20, "nothing was lost: {first:?}");
    assert!(times.values().any(|times| *times == 2), "nothing came twice: {first:?}");
    assert!(first.windows(2).any(|pair| pair[0] > pair[1]), "everything came in order: {first:?}");
}

#[tokio::test]
async fn without_faults_everything_arrives_once_and_in_order() {
    assert_eq!(arrivals(1, &WebhookFaults::default()).await, (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn duplicates_keep_their_svix_id() {
    let endpoint = Endpoint::start().await;
    let clerk = Clerk::start(delivering_to(&endpoint)).await;
    let webhooks = WebhookFaults { duplicate: 1.0, ..WebhookFaults::default() };
    clerk.emulator.set_faults(Faults { webhooks, ..Faults::default() }).unwrap();
    clerk.create_user("ada").await;
    clerk.emulator.settled().await;
    let received = endpoint.received();
    assert_eq!(received.len(), 2);
    assert_eq!(received[0].svix_id, received[1].svix_id);
}

#[tokio::test]
async fn a_lost_message_is_shown_as_dropped_and_can_be_replayed() {
    let endpoint = Endpoint::start().await;
    let clerk = Clerk::start(delivering_to(&endpoint)).await;
    clerk.put("/_emulator/faults", json!({"webhooks": {"drop": 1}})).await.ok();
    let ada = clerk.create_user("ada").await;
    let settled = clerk.post("/_emulator/settle", json!(null)).await.ok();
    assert_eq!(settled, json!({"settled": true}));
    assert!(endpoint.received().is_empty());
    let shown = clerk.get("/_emulator/deliveries").await.ok();
    let expected = json!([{
        "svix_id": shown[0]["svix_id"], "type": "user.created", "entity_id": ada["id"], "endpoint": endpoint.url,
        "state": "dropped", "attempts": [],
    }]);
    assert_eq!(shown, expected);
    assert_eq!(clerk.emulator.replay(shown[0]["svix_id"].as_str().unwrap()).len(), 1);
    clerk.emulator.settled().await;
    assert_eq!(endpoint.received().len(), 1);
    assert_eq!(clerk.emulator.deliveries()[0].state, DeliveryState::Delivered);
}

#[tokio::test]
async fn delayed_webhooks_are_late_and_still_in_order() {
    let begun = std::time::Instant::now();
    let webhooks = WebhookFaults { delay_ms: 150, ..WebhookFaults::default() };
    assert_eq!(arrivals(1, &webhooks).await, (0..20).collect::<Vec<_>>());
    assert!(begun.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn a_held_message_arrives_even_if_nothing_overtakes_it() {
    let endpoint = Endpoint::start().await;
    let clerk = Clerk::start(delivering_to(&endpoint)).await;
    clerk.put("/_emulator/faults", json!({"webhooks": {"reorder": 1.0}})).await.ok();
    clerk.create_user("ada").await;
    let arrived = async {
        while endpoint.received().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), arrived).await.expect("the hold ends by itself");
}

#[tokio::test]
async fn the_api_can_refuse_fail_and_forget_its_key() {
    let clerk = Clerk::start(Config { users: 3, ..Config::default() }).await;
    for (dial, expected) in [
        ("too_many_requests", (429, "too_many_requests")),
        ("server_error", (500, "internal_clerk_error")),
        ("unauthorized", (401, "clerk_key_invalid")),
    ] {
        clerk.put("/_emulator/faults", json!({"api": {dial: 1.0}})).await.ok();
        let answer = clerk.get("/v1/users").await;
        assert_eq!(answer.refusal(), expected);
        assert_eq!(answer.headers.contains_key("retry-after"), expected.0 == 429);
    }
    clerk.put("/_emulator/faults", json!({})).await.ok();
    clerk.get("/v1/users").await.ok();
}

#[tokio::test]
async fn api_faults_strike_the_same_requests_for_the_same_seed() {
    let mut runs = Vec::new();
    for seed in [5, 5, 6] {
        let api = ApiFaults { server_error: 0.5, ..ApiFaults::default() };
        let clerk =
            Clerk::start(Config { faults: Faults { api, ..Faults::default() }, seed, ..Config::default() }).await;
        let mut statuses = Vec::new();
        for _ in 0..20 {
            statuses.push(clerk.get("/v1/users").await.status);
        }
        runs.push(statuses);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}

#[tokio::test]
async fn a_page_can_come_short_or_empty_while_the_total_stays_true() {
    let clerk = Clerk::start(Config { users: 8, ..Config::default() }).await;
    for (dial, rows) in [("short_page", 4), ("empty_page", 0)] {
        clerk.put("/_emulator/faults", json!({"api": {dial: 1.0}})).await.ok();
        assert_eq!(clerk.get("/v1/users").await.rows().len(), rows, "{dial}");
        let listing = clerk.get("/v1/organization_memberships").await.ok();
        assert_eq!((listing["data"].as_array().unwrap().len(), &listing["total_count"]), (rows, &json!(8)), "{dial}");
    }
}

#[tokio::test]
async fn a_slow_api_answers_late() {
    let clerk = Clerk::start(Config::default()).await;
    clerk.put("/_emulator/faults", json!({"api": {"slow_ms": 120}})).await.ok();
    let begun = std::time::Instant::now();
    clerk.get("/v1/users").await.ok();
    assert!(begun.elapsed() >= Duration::from_millis(120));
}

#[tokio::test]
async fn unknown_dials_and_impossible_rates_are_refused_and_change_nothing() {
    let clerk = Clerk::start(Config::default()).await;
    let before = clerk.get("/_emulator/faults").await.ok();
    for (body, complaint) in [
        (json!({"webhooks": {"dorp": 0.5}}), "unknown field `dorp`, expected one of `drop`"),
        (json!({"weather": {}}), "unknown field `weather`"),
        (json!({"api": {"short_page": 1.5}}), "api.short_page is 1.5"),
        (json!({"webhooks": {"drop": "often"}}), "invalid type"),
    ] {
        let refused = clerk.put("/_emulator/faults", body.clone()).await;
        assert_eq!(refused.status, 400, "{body}");
        assert!(refused.body["error"].as_str().unwrap().contains(complaint), "{}", refused.body);
    }
    assert_eq!(clerk.get("/_emulator/faults").await.ok(), before);
}

#[tokio::test]
async fn beyond_the_rate_limit_clerk_says_how_long_to_wait() {
    let limits = RateLimits { requests: 3, ..RateLimits::DEVELOPMENT };
    let clerk = Clerk::start(Config { rate_limits: Some(limits), ..Config::default() }).await;
    for _ in 0..3 {
        clerk.get("/v1/users").await.ok();
    }
    let refused = clerk.get("/v1/users").await;
    assert_eq!(refused.refusal(), (429, "too_many_requests"));
    let seconds: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=10).contains(&seconds), "{seconds}");
    clerk.get("/_emulator/requests").await.ok();
}

#[tokio::test]
async fn one_user_can_be_changed_so_often_and_no_more() {
    let clerk = Clerk::start(Config { rate_limits: Some(RateLimits::DEVELOPMENT), ..Config::default() }).await;
    let (ada, grace) = (clerk.create_user("ada").await, clerk.create_user("grace").await);
    let metadata = |user: &Value| format!("/v1/users/{}/metadata", user["id"].as_str().unwrap());
    for number in 0..10 {
        clerk.patch(&metadata(&ada), json!({"public_metadata": {"n": number}})).await.ok();
    }
    assert_eq!(clerk.patch(&metadata(&ada), json!({})).await.status, 429);
    clerk.patch(&metadata(&grace), json!({})).await.ok();
}

#[tokio::test]
async fn requests_are_counted_by_route_template() {
    let clerk = Clerk::start(Config { users: 2, ..Config::default() }).await;
    for user in clerk.get("/v1/users").await.rows() {
        clerk.get(&format!("/v1/users/{}", user["id"].as_str().unwrap())).await.ok();
    }
    clerk.get("/v1/nowhere").await;
    let counted = clerk.get("/_emulator/requests").await.ok();
    assert_eq!(counted, json!({"GET *": 1, "GET /v1/users": 1, "GET /v1/users/{user_id}": 2}));
}
