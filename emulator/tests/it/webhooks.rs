//! Delivery: signatures, retries, replays, order.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::{http::StatusCode, response::IntoResponse};
use clerk_emulator::{Config, DeliveryState, INSTANCE_ID};
use serde_json::json;
use svix::webhooks::Webhook;

use crate::support::{Clerk, Endpoint, FrozenClock, NOW, delivering_to, id, quick_schedule};

#[tokio::test]
async fn changes_arrive_in_their_order_with_envelope_and_payload() {
    let endpoint = Endpoint::start().await;
    let clerk = Clerk::start(delivering_to(&endpoint)).await;
    let ada = clerk.create_user("ada").await;
    let acme = clerk.create_organization("Acme", &ada["id"]).await;
    let renamed = clerk.patch(&format!("/v1/users/{}", id(&ada)), json!({"first_name": "Ada"})).await.ok();
    clerk.emulator.settled().await;

    let received = endpoint.received();
    let expected = ["user.created", "organization.created", "organizationMembership.created", "user.updated"];
    assert_eq!(endpoint.kinds(), expected);
    assert_eq!(received[0].payload["data"], ada, "the payload is the answer");
    assert_eq!(received[2].payload["data"]["organization"]["id"], acme["id"]);
    assert_eq!(received[3].payload["data"], renamed);
    for webhook in &received {
        assert_eq!(webhook.payload["instance_id"], INSTANCE_ID);
        assert_eq!(webhook.payload["timestamp"], NOW, "milliseconds");
        assert_eq!(webhook.timestamp, NOW / 1000, "seconds");
        assert!(webhook.svix_id.starts_with("msg_"));
    }
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the default clock is held against the machine's")]
async fn by_the_real_clock_a_signature_is_within_svix_s_tolerance() {
    let endpoint = Endpoint::start().await;
    let config = Config { webhook_url: Some(endpoint.url.clone()), ..Config::default() };
    let clerk = Clerk::start(config).await;
    clerk.create_user("ada").await;
    clerk.emulator.settled().await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let signed = endpoint.received()[0].timestamp;
    assert!(now.abs_diff(u64::try_from(signed).unwrap()) < 300, "signed at {signed}, now {now}");
}

#[tokio::test]
async fn retries_keep_the_svix_id_sign_anew_and_follow_no_redirect() {
    let clock = FrozenClock::new();
    let script_clock = clock.clone();
    let endpoint = Endpoint::answering(move |attempt| {
        // Time passes between the attempts.
        script_clock.advance(5000);
        let redirect = (StatusCode::TEMPORARY_REDIRECT, [("location", "/webhooks/clerk")]);
        match attempt {
            0 => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            1 => redirect.into_response(),
            _ => StatusCode::NO_CONTENT.into_response(),
        }
    })
    .await;
    let clerk = Clerk::start(Config { clock: clock.clock(), ..delivering_to(&endpoint) }).await;
    clerk.create_user("ada").await;
    clerk.emulator.settled().await;

    let received = endpoint.received();
    assert_eq!(received.len(), 3);
    assert!(received.iter().all(|webhook| webhook.svix_id == received[0].svix_id));
    assert!(received.iter().all(|webhook| webhook.payload == received[0].payload));
    let seconds: Vec<i64> = received.iter().map(|webhook| webhook.timestamp - NOW / 1000).collect();
    assert_eq!(seconds, [0, 5, 10]);
    assert_ne!(received[0].signature, received[1].signature);
    let delivery = clerk.emulator.deliveries().remove(0);
    assert_eq!(delivery.state, DeliveryState::Delivered);
    let statuses: Vec<_> = delivery.attempts.iter().map(|attempt| attempt.status).collect();
    assert_eq!(statuses, [Some(500), Some(307), Some(204)]);
}

#[tokio::test]
async fn a_message_that_nobody_takes_has_failed_when_the_schedule_is_over() {
    let endpoint = Endpoint::answering(|_| StatusCode::BAD_REQUEST.into_response()).await;
    let clerk = Clerk::start(Config { retry_schedule: quick_schedule(3), ..delivering_to(&endpoint) }).await;
    clerk.create_user("ada").await;
    clerk.emulator.settled().await;
    assert_eq!(endpoint.received().len(), 3);
    assert_eq!(clerk.emulator.deliveries()[0].state, DeliveryState::Failed);
}

#[tokio::test]
async fn abort_message_ends_the_retries() {
    let endpoint = Endpoint::answering(|_| {
        (StatusCode::UNPROCESSABLE_ENTITY, [("webhook-delivery", "abort-message")]).into_response()
    })
    .await;
    let clerk = Clerk::start(delivering_to(&endpoint)).await;
    clerk.create_user("ada").await;
    clerk.emulator.settled().await;
    assert_eq!(endpoint.received().len(), 1);
    assert_eq!(clerk.emulator.deliveries()[0].state, DeliveryState::Aborted);
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_and_one_that_is_too_slow_are_failures_without_status() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}/", listener.local_addr().unwrap());
    let config = Config {
        webhook_url: Some("http://127.0.0.1:1/".to_owned()),
        retry_schedule: quick_schedule(2),
        delivery_timeout: Duration::from_millis(50),
        ..Config::default()
    };
    let clerk = Clerk::start(config).await;
    clerk.emulator.add_endpoint(&silent, None).unwrap();
    clerk.create_user("ada").await;
    let settled = tokio::time::timeout(Duration::from_secs(10), clerk.emulator.settled()).await;
    settled.expect("neither stretches the schedule");
    for delivery in clerk.emulator.deliveries() {
        assert_eq!(delivery.state, DeliveryState::Failed, "{}", delivery.endpoint);
        assert!(delivery.attempts.len() == 2 && delivery.attempts.iter().all(|attempt| attempt.status.is_none()));
    }
}

#[tokio::test]
async fn a_replay_is_the_same_message_signed_anew() {
    let clock = FrozenClock::new();
    let endpoint = Endpoint::start().await;
    let clerk = Clerk::start(Config { clock: clock.clock(), ..delivering_to(&endpoint) }).await;
    clerk.create_user("ada").await;
    clerk.emulator.settled().await;
    clock.advance(60_000);
    let svix_id = clerk.emulator.deliveries()[0].svix_id.clone();
    let replayed = clerk.post(&format!("/_emulator/deliveries/{svix_id}/replay"), json!(null)).await.ok();
    assert_eq!((&replayed[0]["svix_id"], &replayed[0]["state"]), (&json!(svix_id), &json!("pending")));
    clerk.emulator.settled().await;

    let received = endpoint.received();
    assert_eq!(received.len(), 2);
    assert_eq!((&received[1].svix_id, &received[1].payload), (&received[0].svix_id, &received[0].payload));
    assert_eq!(received[1].timestamp - received[0].timestamp, 60);
    assert_eq!(clerk.post("/_emulator/deliveries/msg_none/replay", json!(null)).await.status, 404);
}

#[tokio::test]
async fn every_endpoint_gets_every_message_signed_with_its_own_secret() {
    let first = Endpoint::start().await;
    let clerk = Clerk::start(delivering_to(&first)).await;
    let secret = "whsec_c2Vjb25kIGVuZHBvaW50IHNlY3JldA==";
    let second = Endpoint::with_secret(secret, Box::new(|_| StatusCode::OK.into_response())).await;
    let added = clerk.post("/_emulator/endpoints", json!({"url": second.url, "secret": secret})).await;
    assert_eq!((added.status, &added.body["secret"]), (201, &json!(secret)));
    clerk.create_user("ada").await;
    clerk.emulator.settled().await;
    let (one, two) = (first.received().remove(0), second.received().remove(0));
    assert_eq!(one.svix_id, two.svix_id);
    assert_ne!(one.signature, two.signature);

    let given = clerk.emulator.add_endpoint(&second.url, None).unwrap();
    assert!(Webhook::new(&given.secret).is_ok(), "an endpoint without a secret is given a usable one");
    assert_eq!(clerk.post("/_emulator/endpoints", json!({"url": "nowhere"})).await.status, 400);
    assert_eq!(clerk.post("/_emulator/endpoints", json!({"url": second.url, "secret": "??"})).await.status, 400);
}

#[tokio::test]
async fn a_failing_message_does_not_hold_up_the_next_one() {
    let endpoint = Endpoint::answering(|attempt| {
        if attempt == 0 { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }.into_response()
    })
    .await;
    let schedule = vec![Duration::ZERO, Duration::from_millis(300)];
    let clerk = Clerk::start(Config { retry_schedule: schedule, ..delivering_to(&endpoint) }).await;
    let ada = clerk.create_user("ada").await;
    clerk.delete(&format!("/v1/users/{}", id(&ada))).await.ok();
    clerk.emulator.settled().await;
    assert_eq!(endpoint.kinds(), ["user.created", "user.deleted", "user.created"], "a late create after the delete");
}

#[tokio::test]
async fn sample_users_are_silent_unless_they_are_to_be_announced() {
    for (announce_samples, expected) in [(false, 0), (true, 9)] {
        let endpoint = Endpoint::start().await;
        let config = Config { users: 4, announce_samples, ..delivering_to(&endpoint) };
        let clerk = Clerk::start(config).await;
        clerk.emulator.settled().await;
        assert_eq!(endpoint.received().len(), expected, "4 users, 1 organization, 4 memberships");
    }
}
