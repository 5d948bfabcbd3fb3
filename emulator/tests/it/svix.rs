//! Svix's routes, read with Svix's own client: what it understands here, it understands there.

use base64::{Engine, engine::general_purpose::STANDARD};
use clerk_emulator::{Config, Exchange, Faults, Once, SvixFaults, TaskFault, WEBHOOK_SECRET};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use svix::{
    api::{EndpointListOptions, MessageAttemptListByEndpointOptions, MessageListOptions, Svix, SvixOptions},
    models::{EndpointIn, EndpointOut, MessageAttemptOut, MessageStatus},
};

use crate::support::{Clerk, Endpoint, FrozenClock, NOW, client, delivering_to, quick_schedule};
use axum::{http::StatusCode, response::IntoResponse};

/// A key of the instance's application, and Svix's client with it.
struct Portal {
    svix: Svix,
    app: String,
}

/// A value of Svix's client, by its JSON: the types of times are of a library that these tests do not name.
fn from<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn svix(url: &str, token: &str) -> Svix {
    let options = SvixOptions { server_url: Some(url.to_owned()), num_retries: Some(0), ..SvixOptions::default() };
    Svix::new(token.to_owned(), Some(options))
}

/// What a link has behind `#key=`.
async fn link(clerk: &Clerk) -> Value {
    let answer = clerk.post("/v1/webhooks/svix_url", json!({})).await.ok();
    let url = answer["svix_url"].as_str().unwrap().to_owned();
    let (login, key) = url.split_once("#key=").unwrap();
    assert_eq!(login, format!("{}/login", clerk.emulator.url()));
    serde_json::from_slice(&STANDARD.decode(key).unwrap()).unwrap()
}

/// Status and body of an exchange.
async fn exchange(clerk: &Clerk, token: &Value) -> (u16, String) {
    let url = format!("{}/api/v1/auth/one-time-token", clerk.emulator.url());
    let answer = client().post(url).json(&json!({ "oneTimeToken": token })).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

impl Portal {
    async fn open(clerk: &Clerk) -> Portal {
        let link = link(clerk).await;
        let (status, body) = exchange(clerk, &link["oneTimeToken"]).await;
        assert_eq!(status, 200, "{body}");
        let token: Value = serde_json::from_str(&body).unwrap();
        let svix = svix(clerk.emulator.url(), token["token"].as_str().unwrap());
        Portal { svix, app: link["appId"].as_str().unwrap().to_owned() }
    }

    async fn create(&self, given: Value) -> EndpointOut {
        self.svix.endpoint().create(self.app.clone(), from::<EndpointIn>(given), None).await.unwrap()
    }

    /// The JSON of an answer, as it is on the wire.
    async fn raw(&self, clerk: &Clerk, path: &str) -> Value {
        let url = format!("{}/api/v1/app/{}/{path}", clerk.emulator.url(), self.app);
        client().get(url).bearer_auth(self.svix.token().unwrap()).send().await.unwrap().json().await.unwrap()
    }

    async fn attempts(&self, endpoint: &str) -> Vec<MessageAttemptOut> {
        // Svix's client leaves the contents out unless asked for.
        let options = MessageAttemptListByEndpointOptions { with_content: Some(true), ..Default::default() };
        let attempts = self.svix.message_attempt();
        attempts.list_by_endpoint(self.app.clone(), endpoint.to_owned(), Some(options)).await.unwrap().data
    }
}

/// The status of an error of Svix's client.
fn status<T: std::fmt::Debug>(result: Result<T, svix::error::Error>) -> u16 {
    match result.unwrap_err() {
        svix::error::Error::Http(error) => error.status.as_u16(),
        svix::error::Error::Validation(error) => error.status.as_u16(),
        other => panic!("{other:?}"),
    }
}

fn faults(svix: SvixFaults) -> Faults {
    Faults { svix, ..Faults::default() }
}

#[tokio::test]
async fn a_link_leads_once_to_a_key_of_the_one_application() {
    let clerk = Clerk::start(Config::default()).await;
    assert_eq!(clerk.post("/v1/webhooks/svix_url", json!({})).await.refusal(), (400, "svix_app_missing"));
    assert!(clerk.post("/v1/webhooks/svix", json!({})).await.ok()["svix_url"].is_string());
    assert_eq!(clerk.post("/v1/webhooks/svix", json!({})).await.refusal(), (400, "svix_app_exists"));
    let one = link(&clerk).await;
    assert_eq!(one["region"], "local");
    assert_eq!(exchange(&clerk, &one["oneTimeToken"]).await.0, 200);
    assert_eq!(exchange(&clerk, &one["oneTimeToken"]).await.0, 401, "a token is exchanged once");
    assert_eq!(exchange(&clerk, &json!("invented")).await.0, 401);
    let portal = Portal::open(&clerk).await;
    let list = |svix: Svix, app: String| async move { svix.endpoint().list(app, None).await };
    assert!(list(portal.svix.clone(), portal.app.clone()).await.unwrap().data.is_empty());
    assert_eq!(status(list(portal.svix.clone(), "app_2other".to_owned()).await), 404);
    assert_eq!(status(list(svix(clerk.emulator.url(), "invented"), portal.app.clone()).await), 401);
    portal.svix.authentication().logout(None).await.unwrap();
    assert_eq!(status(list(portal.svix.clone(), portal.app.clone()).await), 401);
    // The whole application goes, with its endpoints.
    let portal = Portal::open(&clerk).await;
    portal.create(json!({ "url": "http://127.0.0.1:1/" })).await;
    let url = format!("{}/v1/webhooks/svix", clerk.emulator.url());
    let removed = client().delete(url).bearer_auth(clerk.emulator.secret_key()).send().await.unwrap();
    assert_eq!(removed.status(), 204);
    assert_eq!(clerk.post("/v1/webhooks/svix_url", json!({})).await.refusal(), (400, "svix_app_missing"));
    assert_eq!(status(list(portal.svix.clone(), portal.app.clone()).await), 401);
    clerk.post("/v1/webhooks/svix", json!({})).await.ok();
    let again = Portal::open(&clerk).await;
    assert_ne!(again.app, portal.app);
    assert!(list(again.svix.clone(), again.app.clone()).await.unwrap().data.is_empty());
}

#[tokio::test]
async fn an_endpoint_is_made_found_changed_and_deleted() {
    let clerk = Clerk::start(Config::default()).await;
    clerk.post("/v1/webhooks/svix", json!({})).await.ok();
    let (portal, endpoints) = (Portal::open(&clerk).await, Portal::open(&clerk).await);
    let endpoints = endpoints.svix.endpoint();
    let app = || portal.app.clone();
    let given = json!({ "url": "http://127.0.0.1:1/a", "uid": "ours", "description": "of a stack", "metadata": { "owner": "x" },
                        "eventTypes": ["user.created"], "throttleRate": 5 });
    let made = portal.create(given.clone()).await;
    assert!(made.id.starts_with("ep_") && made.disabled == Some(false));
    assert_eq!(
        (made.uid.as_deref(), made.throttle_rate, made.metadata["owner"].as_str()),
        (Some("ours"), Some(5), "x")
    );
    assert_eq!(made.event_types, Some(["user.created".to_owned()].into()));
    assert_eq!(status(endpoints.create(app(), from(given), None).await), 409);
    assert_eq!(status(endpoints.create(app(), from(json!({ "url": "ftp://x" })), None).await), 422);
    for id in [&made.id, "ours"] {
        assert_eq!(endpoints.get(app(), id.to_owned()).await.unwrap(), made);
    }
    assert_eq!(status(endpoints.get(app(), "theirs".to_owned()).await), 404);
    let patched =
        endpoints.patch(app(), "ours".to_owned(), from(json!({ "disabled": true, "eventTypes": null }))).await;
    let patched = patched.unwrap();
    assert_eq!((patched.disabled, &patched.event_types, &patched.url), (Some(true), &None, &made.url));
    let put = endpoints.upsert(app(), "ours".to_owned(), from(json!({ "url": "http://127.0.0.1:1/b" }))).await.unwrap();
    assert_eq!((put.disabled, put.url.as_str(), &put.id), (Some(false), "http://127.0.0.1:1/b", &made.id));
    assert_eq!((endpoints.get(app(), "ours".to_owned()).await.unwrap(), put.description.as_str()), (put.clone(), ""));
    // Pages of one, and the order of creation.
    let second = portal.create(json!({ "url": "http://127.0.0.1:1/c" })).await;
    let first =
        endpoints.list(app(), Some(EndpointListOptions { limit: Some(1), ..EndpointListOptions::default() })).await;
    let first = first.unwrap();
    assert_eq!((first.data[0].id.as_str(), first.done), (made.id.as_str(), false));
    let options = EndpointListOptions { limit: Some(1), iterator: first.iterator, ..EndpointListOptions::default() };
    let next = endpoints.list(app(), Some(options)).await.unwrap();
    assert_eq!((next.data[0].id.as_str(), next.done), (second.id.as_str(), true));
    endpoints.delete(app(), second.id.clone()).await.unwrap();
    assert_eq!(status(endpoints.delete(app(), second.id).await), 404);
    // The names of before 2026-07-21 are read, too, and are the only ones after a fault.
    let old = portal.create(json!({ "url": "http://127.0.0.1:1/d" })).await.id;
    let url = format!("{}/api/v1/app/{}/endpoint/{old}", clerk.emulator.url(), portal.app);
    let patch = client().patch(url).bearer_auth(portal.svix.token().unwrap());
    patch.json(&json!({ "filterTypes": ["user.deleted"] })).send().await.unwrap();
    assert_eq!(portal.raw(&clerk, &format!("endpoint/{old}")).await["eventTypes"], json!(["user.deleted"]));
    clerk.emulator.set_faults(faults(SvixFaults { old_names: true, ..SvixFaults::default() })).unwrap();
    let shown = portal.raw(&clerk, &format!("endpoint/{old}")).await;
    assert_eq!((&shown["filterTypes"], shown.get("eventTypes")), (&json!(["user.deleted"]), None));
}

#[tokio::test]
async fn a_rotated_secret_signs_beside_the_earlier_one_until_the_grace_ends() {
    let (time, endpoint) = (FrozenClock::new(), Endpoint::start().await);
    let clerk = Clerk::start(Config { clock: time.clock(), ..delivering_to(&endpoint) }).await;
    let portal = Portal::open(&clerk).await;
    let endpoints = portal.svix.endpoint();
    let all = endpoints.list(portal.app.clone(), None).await.unwrap().data;
    let id = all[0].id.clone();
    let secret = async || endpoints.get_secret(portal.app.clone(), id.clone()).await.unwrap().key;
    assert_eq!(secret().await, WEBHOOK_SECRET);
    let rotation = from(json!({ "gracePeriodSeconds": 60 }));
    endpoints.rotate_secret(portal.app.clone(), id.clone(), rotation, None).await.unwrap();
    assert_ne!(secret().await, WEBHOOK_SECRET);
    clerk.create_user("ann").await;
    clerk.emulator.settled().await;
    let received = endpoint.received();
    assert_eq!(received[0].signature.split(' ').count(), 2, "{}", received[0].signature);
    // The receiver has the earlier secret alone, and refuses what only the new one signs.
    time.advance(60_000);
    let too_long = from(json!({ "gracePeriodSeconds": 604_801 }));
    assert_eq!(status(endpoints.rotate_secret(portal.app.clone(), id.clone(), too_long, None).await), 422);
    let given = from(json!({ "key": WEBHOOK_SECRET, "gracePeriodSeconds": 0 }));
    endpoints.rotate_secret(portal.app.clone(), id.clone(), given, None).await.unwrap();
    clerk.create_user("ben").await;
    clerk.emulator.settled().await;
    assert_eq!(endpoint.received()[1].signature.split(' ').count(), 1);
}

#[tokio::test]
async fn what_an_endpoint_did_not_get_is_found_and_sent_again() {
    let endpoint = Endpoint::answering(|turn| match turn {
        0..4 => (StatusCode::INTERNAL_SERVER_ERROR, "our fault").into_response(),
        _ => StatusCode::OK.into_response(),
    })
    .await;
    let clerk = Clerk::start(delivering_to(&endpoint)).await;
    let portal = Portal::open(&clerk).await;
    let endpoints = portal.svix.endpoint();
    let app = || portal.app.clone();
    let id = endpoints.list(app(), None).await.unwrap().data[0].id.clone();
    let patch = async |given: Value| endpoints.patch(app(), id.clone(), from(given)).await.unwrap();
    let since = json!({ "since": "2025-12-31T00:00:00Z" });
    let stats = async || endpoints.get_stats(app(), id.clone(), None).await.unwrap();
    // One fails to the end of its schedule.
    clerk.create_user("ann").await;
    clerk.emulator.settled().await;
    let attempts = portal.attempts(&id).await;
    assert_eq!(attempts.len(), 4);
    let shown = (attempts[0].status, attempts[0].response_status_code, attempts[0].response.as_str());
    assert_eq!(shown, (MessageStatus::Fail, 500, "our fault"));
    assert_eq!((stats().await.fail, stats().await.success), (1, 0));
    // One is filtered, one meets a disabled endpoint: neither has an attempt.
    patch(json!({ "eventTypes": ["user.deleted"] })).await;
    clerk.create_user("ben").await;
    patch(json!({ "eventTypes": null, "disabled": true })).await;
    clerk.create_user("cay").await;
    clerk.emulator.settled().await;
    assert_eq!((portal.attempts(&id).await.len(), endpoint.received().len()), (4, 4));
    let options = MessageListOptions {
        event_types: Some(["user.created".to_owned()].into()),
        with_content: Some(true),
        ..MessageListOptions::default()
    };
    let messages = portal.svix.message().list(app(), Some(options)).await.unwrap().data;
    assert_eq!(messages.len(), 3);
    assert_eq!(
        (&messages[0].payload["data"]["first_name"], &messages[2].payload["data"]["first_name"]),
        (&json!("cay"), &json!("ann"))
    );
    patch(json!({ "disabled": false })).await;
    let task = endpoints.recover(app(), id.clone(), from(since.clone()), None).await.unwrap();
    clerk.emulator.settled().await;
    assert_eq!(portal.attempts(&id).await[0].response_status_code, 200);
    let done = portal.svix.background_task().get(task.id).await.unwrap();
    assert_eq!((done.status.to_string().as_str(), &done.data["messagesSent"]), ("finished", &json!(1)));
    let task = endpoints.replay_missing(app(), id.clone(), from(since.clone()), None).await.unwrap();
    clerk.emulator.settled().await;
    assert_eq!(portal.svix.background_task().get(task.id).await.unwrap().data["messagesSent"], 2);
    assert_eq!((stats().await.fail, stats().await.success), (0, 3));
    assert_eq!(endpoint.received().len(), 7);
    // Again: nothing is missing. One message is sent again by its id.
    for _ in 0..2 {
        endpoints.replay_missing(app(), id.clone(), from(since.clone()), None).await.unwrap();
    }
    let message = messages[0].id.clone();
    portal.svix.message_attempt().resend(app(), message.clone(), id.clone(), None).await.unwrap();
    clerk.emulator.settled().await;
    assert_eq!((endpoint.received().len(), &endpoint.received()[7].svix_id), (8, &message));
    let of_message = portal.svix.message_attempt().list_by_msg(app(), message, None).await.unwrap().data;
    assert_eq!(of_message.len(), 2);
    // Too old to recover; a payload that is gone.
    let old = endpoints.recover(app(), id.clone(), from(json!({ "since": "2025-12-01T00:00:00Z" })), None).await;
    assert_eq!(status(old), 422);
    clerk.emulator.set_faults(faults(SvixFaults { retention_ms: Some(0), ..SvixFaults::default() })).unwrap();
    let gone = portal.svix.message_attempt().resend(app(), messages[0].id.clone(), id.clone(), None).await;
    assert_eq!(status(gone), 400);
}

#[tokio::test]
async fn an_endpoint_that_asks_for_it_and_one_that_fails_for_five_days_are_disabled() {
    let endpoint = Endpoint::answering(|_| (StatusCode::GONE, [("webhook-delivery", "disable")]).into_response()).await;
    let clerk = Clerk::start(delivering_to(&endpoint)).await;
    clerk.create_user("ann").await;
    clerk.emulator.settled().await;
    let portal = Portal::open(&clerk).await;
    let disabled =
        async |portal: &Portal| portal.svix.endpoint().list(portal.app.clone(), None).await.unwrap().data[0].disabled;
    assert_eq!((disabled(&portal).await, endpoint.received().len()), (Some(true), 1));
    let time = FrozenClock::new();
    let endpoint = Endpoint::answering(|_| StatusCode::BAD_GATEWAY.into_response()).await;
    let config = Config { clock: time.clock(), retry_schedule: quick_schedule(1), ..delivering_to(&endpoint) };
    let clerk = Clerk::start(config).await;
    let portal = Portal::open(&clerk).await;
    for (name, hours, expected) in [("ann", 0, false), ("ben", 5 * 24 - 1, false), ("cay", 1, true)] {
        time.advance(hours * 3_600_000);
        clerk.create_user(name).await;
        clerk.emulator.settled().await;
        // The key of the portal is valid for seven days.
        assert_eq!(disabled(&portal).await, Some(expected), "{name}");
    }
}

#[tokio::test]
async fn a_snapshot_has_the_endpoints_that_svix_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let config = || Config { snapshot: Some(folder.path().join("clerk.json")), ..Config::default() };
    let clerk = Clerk::start(config()).await;
    clerk.post("/v1/webhooks/svix", json!({})).await.ok();
    let portal = Portal::open(&clerk).await;
    let made = portal.create(json!({ "url": "http://127.0.0.1:1/a", "uid": "ours" })).await;
    let secret = portal.svix.endpoint().get_secret(portal.app.clone(), "ours".into()).await.unwrap().key;
    clerk.emulator.stop().await.unwrap();
    let clerk = Clerk::start(config()).await;
    let again = Portal::open(&clerk).await;
    assert_eq!(again.app, portal.app);
    assert_eq!(again.svix.endpoint().list(again.app.clone(), None).await.unwrap().data, [made]);
    assert_eq!(again.svix.endpoint().get_secret(again.app.clone(), "ours".into()).await.unwrap().key, secret);
}

#[tokio::test]
async fn each_fault_of_svix_is_as_it_is_named() {
    let endpoint = Endpoint::start().await;
    let clerk = Clerk::start(delivering_to(&endpoint)).await;
    let set = |svix: SvixFaults| clerk.emulator.set_faults(faults(svix)).unwrap();
    let plain = SvixFaults::default;
    for (fault, expected, part) in [
        (Exchange::Refused, 401, "authentication_failed"),
        (Exchange::Gone, 404, "not_found"),
        (Exchange::Html, 200, "<!doctype html>"),
        (Exchange::Tokenless, 200, "{\"capabilities\":["),
    ] {
        set(SvixFaults { exchange: fault, ..plain() });
        let (status, body) = exchange(&clerk, &link(&clerk).await["oneTimeToken"]).await;
        assert!(status == expected && body.contains(part), "{fault:?}: {status} {body}");
    }
    set(SvixFaults { capabilities: Some(vec!["ViewBase".into()]), ..plain() });
    let limited = Portal::open(&clerk).await;
    let id = limited.svix.endpoint().list(limited.app.clone(), None).await.unwrap().data[0].id.clone();
    assert_eq!(status(limited.svix.endpoint().get_secret(limited.app.clone(), id.clone()).await), 403);
    assert_eq!(status(limited.svix.endpoint().delete(limited.app.clone(), id.clone()).await), 403);
    set(plain());
    let portal = Portal::open(&clerk).await;
    let list = async || portal.svix.endpoint().list(portal.app.clone(), None).await;
    for (fault, expected) in
        [(SvixFaults { too_many_requests: 1.0, ..plain() }, 429), (SvixFaults { server_error: 1.0, ..plain() }, 500)]
    {
        set(fault.clone());
        assert_eq!(status(list().await), expected);
        set(SvixFaults { requests: vec!["GET /api/v1/app/{app_id}/msg".into()], ..fault });
        assert_eq!(list().await.unwrap().data.len(), 1);
    }
    set(SvixFaults { once: Once { create_commits_then_fails: true, ..Once::default() }, ..plain() });
    let given = || from::<EndpointIn>(json!({ "url": "http://127.0.0.1:1/", "uid": "ours" }));
    assert_eq!(status(portal.svix.endpoint().create(portal.app.clone(), given(), None).await), 500);
    assert_eq!(status(portal.svix.endpoint().create(portal.app.clone(), given(), None).await), 409, "it was made");
    set(SvixFaults { page_size: Some(1), ..plain() });
    let page = list().await.unwrap();
    assert_eq!((page.data.len(), page.done), (1, false));
    set(SvixFaults { unknown_values: true, attempts_late_ms: 1, ..plain() });
    assert!(portal.raw(&clerk, "endpoint/ours").await["aFieldOfTomorrow"].is_object());
    clerk.create_user("ann").await;
    clerk.emulator.settled().await;
    assert!(portal.attempts(&id).await.is_empty(), "the clock stands still: they are not shown yet");
    set(SvixFaults { unknown_values: true, ..plain() });
    assert_eq!(portal.raw(&clerk, &format!("attempt/endpoint/{id}")).await["data"][0]["statusText"], "postponed");
    for (task, expected) in [(TaskFault::Fails, "failed"), (TaskFault::NeverEnds, "running")] {
        set(SvixFaults { task, ..plain() });
        let since = from(json!({ "since": "2025-12-31T00:00:00Z" }));
        let begun =
            portal.svix.endpoint().replay_missing(portal.app.clone(), "ours".into(), since, None).await.unwrap();
        assert_eq!(portal.svix.background_task().get(begun.id).await.unwrap().status.to_string(), expected);
    }
    assert_eq!(serde_json::to_value(TaskFault::NeverEnds).unwrap(), "never_ends");
    let before = endpoint.received().len();
    set(SvixFaults { silent: true, ..plain() });
    clerk.create_user("ben").await;
    clerk.emulator.settled().await;
    assert_eq!(endpoint.received().len(), before);
    assert!(!portal.raw(&clerk, "msg").await.to_string().contains("ben@"));
    assert_eq!(clerk.post("/v1/webhooks/svix", json!({})).await.refusal(), (400, "svix_app_exists"));
    // Another caller makes the application at the same moment.
    let fresh = Clerk::start(Config::default()).await;
    let once = Once { app_exists: true, ..Once::default() };
    fresh.emulator.set_faults(faults(SvixFaults { once, ..plain() })).unwrap();
    assert_eq!(fresh.post("/v1/webhooks/svix", json!({})).await.refusal(), (400, "svix_app_exists"));
    assert!(fresh.post("/v1/webhooks/svix_url", json!({})).await.ok()["svix_url"].is_string());
    assert_eq!(NOW, 1_767_225_600_000, "the times above are those of this clock");
}

#[tokio::test]
async fn an_example_arrives_and_a_throttled_endpoint_waits() {
    let endpoint = Endpoint::with_secret(WEBHOOK_SECRET, Box::new(|_| StatusCode::OK.into_response())).await;
    let clerk = Clerk::start(Config { concurrency: 8, ..delivering_to(&endpoint) }).await;
    let portal = Portal::open(&clerk).await;
    let endpoints = portal.svix.endpoint();
    let id = endpoints.list(portal.app.clone(), None).await.unwrap().data[0].id.clone();
    endpoints.patch(portal.app.clone(), id.clone(), from(json!({ "throttleRate": 1 }))).await.unwrap();
    for name in ["ann", "ben", "cay"] {
        clerk.create_user(name).await;
    }
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let stats = endpoints.get_stats(portal.app.clone(), id.clone(), None).await.unwrap();
    assert_eq!((stats.success, stats.pending), (1, 2));
    let types = portal.svix.event_type().list(None).await.unwrap().data;
    assert_eq!(types.len(), 9);
    portal.svix.health().get().await.unwrap();
}
