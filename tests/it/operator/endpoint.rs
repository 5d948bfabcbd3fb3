//! `rollcall endpoint`: why events do not arrive, and one endpoint whatever happens. The Svix is that of the emulator.

use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clerk_emulator::{Exchange, Faults, Once, SvixFaults};
use rollcall_tests::{Point, World};
use serde_json::{Value, json};

use super::at_every_request::Office;
use crate::operator::commands::{Evidence, elsewhere, rollcall};

/// A key of the application at Svix, as another program may have one.
pub(super) struct Portal {
    http: reqwest::Client,
    base: String,
    api: String,
    token: String,
}

impl Portal {
    pub(super) async fn open(world: &World) -> Portal {
        let addresses = &world.stack.addresses;
        let link = world.clerk("POST", "/webhooks/svix_url", json!({})).await;
        let key = link["svix_url"].as_str().unwrap().split_once("#key=").unwrap().1;
        let key: Value = serde_json::from_slice(&STANDARD.decode(key).unwrap()).unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("{}/api/v1/auth/one-time-token", addresses.clerk);
        let answer = http.post(url).json(&json!({ "oneTimeToken": key["oneTimeToken"] })).send().await.unwrap();
        let token = answer.json::<Value>().await.unwrap()["token"].as_str().unwrap().to_owned();
        let base = format!("{}/api/v1/app/{}/endpoint", addresses.clerk, key["appId"].as_str().unwrap());
        Portal { http, base, api: addresses.api.clone(), token }
    }

    /// A request below the endpoints.
    pub(super) async fn call(&self, method: &str, path: &str, body: Value) -> Value {
        let request = self.http.request(method.parse().unwrap(), format!("{}{path}", self.base));
        let request = request.bearer_auth(&self.token);
        let request = if body.is_null() { request } else { request.json(&body) };
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{method} {path}: {}", answer.status());
        let bytes = answer.bytes().await.unwrap();
        if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() }
    }

    pub(super) async fn endpoints(&self) -> Vec<Value> {
        self.call("GET", "?limit=250", Value::Null).await["data"].as_array().unwrap().clone()
    }

    /// The endpoints with a uid of Rollcall.
    pub(super) async fn own(&self) -> Vec<Value> {
        let is_own = |endpoint: &Value| endpoint["uid"].as_str().is_some_and(|uid| uid.starts_with("rollcall-ins_"));
        self.endpoints().await.into_iter().filter(is_own).collect()
    }

    /// The URL of the stack's webhook.
    pub(super) fn url(&self) -> String {
        format!("{}/webhooks/clerk", self.api)
    }
}

async fn run(world: &World, args: &[&str]) -> Evidence {
    rollcall(world, &[&["endpoint"], args].concat(), &[]).await
}

/// The report and the exit status of `status`.
async fn status(world: &World) -> (Value, Option<i32>) {
    let said = run(world, &["status", "--json"]).await;
    (said.json(), said.status)
}

fn set(world: &World, svix: SvixFaults) {
    world.stack.clerk.set_faults(Faults { svix, ..Faults::default() }).unwrap();
}

/// A server that answers each delivery with this.
async fn answering(status: u16, body: &'static str) -> String {
    let answer = move || async move { (StatusCode::from_u16(status).unwrap(), body).into_response() };
    rollcall_tests::serve(axum::Router::new().route("/webhooks/clerk", post(answer))).await
}

/// A world whose endpoint is managed.
async fn managed() -> (World, Portal, String) {
    let world = World::with(&[]).await;
    let portal = Portal::open(&world).await;
    let id = portal.endpoints().await[0]["id"].as_str().unwrap().to_owned();
    let said = run(&world, &["ensure", "--adopt", &id, "--yes"]).await;
    assert_eq!(said.status, Some(0), "{} {}", said.out, said.err);
    (world, portal, format!("/{id}"))
}

#[tokio::test]
async fn i21_each_cause_at_svix_is_named_and_mended() {
    let (world, portal, id) = managed().await;
    world.stack.clerk.settled().await;
    assert_eq!(status(&world).await.1, Some(0));
    let cases = [
        (json!({ "disabled": true }), "disabled"),
        (json!({ "eventTypes": ["user.created", "role.updated"] }), "filtered"),
        (json!({ "channels": ["one"] }), "filtered"),
        (json!({ "url": "http://127.0.0.1:1/elsewhere" }), "wrong_url"),
    ];
    for (patch, cause) in cases {
        portal.call("PATCH", &id, patch.clone()).await;
        let (report, code) = status(&world).await;
        assert_eq!((&report["causes"], code), (&json!([cause]), Some(2)), "{patch}: {report}");
        let said = run(&world, &["status"]).await;
        assert!(
            said.out.contains(&format!("{cause}: ")) && said.out.contains("`rollcall endpoint ensure"),
            "{}",
            said.out
        );
        let mended = run(&world, &["ensure", "--yes", "--json"]).await;
        assert_eq!((mended.status, &mended.json()["action"]), (Some(0), &json!("change")), "{patch}: {}", mended.err);
        let (report, code) = status(&world).await;
        assert_eq!((&report["causes"], code), (&json!([]), Some(0)), "{patch}: {report}");
    }
    // The type about roles stays: an operator may have chosen it.
    let types = portal.call("GET", &id, Value::Null).await["eventTypes"].clone();
    assert_eq!((types.as_array().unwrap().len(), types.to_string().contains("role.updated")), (10, true), "{types}");
    // Code that rewrites payloads is removed by hand.
    portal.call("PATCH", &format!("{id}/transformation"), json!({ "code": "return {}", "enabled": true })).await;
    assert_eq!(status(&world).await.0["causes"], json!(["payload_altered"]));
    portal.call("PATCH", &format!("{id}/transformation"), json!({ "enabled": false })).await;
    // A limit, and more messages than it lets pass.
    set(&world, SvixFaults::default());
    portal.call("PATCH", &id, json!({ "throttleRate": 1 })).await;
    for name in ["ann", "ben", "cay", "dan"] {
        world.clerk("POST", "/users", json!({ "email_address": [format!("{name}@example.com")] })).await;
    }
    assert_eq!(status(&world).await.0["causes"], json!(["throttled_at_svix"]));
    assert_eq!(run(&world, &["ensure", "--yes"]).await.status, Some(0));
    assert_eq!(status(&world).await.0["endpoint"]["throttle_rate"], Value::Null);
    world.stack.clerk.settled().await;
    // A secret of which the stack does not know.
    portal.call("POST", &format!("{id}/secret/rotate"), json!({ "gracePeriodSeconds": 0 })).await;
    let (report, code) = status(&world).await;
    assert_eq!(
        (&report["causes"], &report["secret_is_stored"], code),
        (&json!(["wrong_secret"]), &json!(false), Some(2))
    );
    let said = run(&world, &["ensure", "--yes"]).await;
    assert_eq!(said.status, Some(1), "a local stack has the secret of its start: {}", said.out);
    assert!(said.err.contains("start `rollcall dev` with its secret in CLERK_WEBHOOK_SECRET"), "{}", said.err);
}

#[tokio::test]
async fn i21_each_cause_at_the_receiver_is_told_from_the_answers() {
    for (code, body, cause) in [
        (404, "{\"message\":\"Not Found\"}", "route_missing"),
        (429, "{\"message\":\"Too Many Requests\"}", "throttled_at_us"),
        (400, "{\"code\":\"signature_invalid\"}", "wrong_secret"),
        (400, "{\"code\":\"timestamp_stale\"}", "clock"),
        (403, "{\"code\":\"foreign_instance\"}", "other_instance"),
        (503, "{\"message\":\"Service Unavailable\"}", "our_fault"),
        (301, "", "other_answer"),
        (0, "", "unreachable"),
    ] {
        let (world, portal, id) = managed().await;
        // A world sends nothing by itself.
        set(&world, SvixFaults::default());
        // The stack's HTTP API is another server.
        let url = if code == 0 { "http://127.0.0.1:1".to_owned() } else { answering(code, body).await };
        portal.call("PATCH", &id, json!({ "url": format!("{url}/webhooks/clerk") })).await;
        world.clerk("POST", "/users", json!({ "email_address": ["ann@example.com"] })).await;
        let args = ["endpoint", "status", "--json"];
        let seen = async || elsewhere(&world, &args, |record| url.clone_into(&mut record.addresses.api)).await;
        while seen().await.json()["latest_attempt"].is_null() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let said = seen().await;
        assert_eq!((&said.json()["causes"], said.status), (&json!([cause]), Some(2)), "{code}: {}", said.out);
        // An attempt under another URL says nothing about this one.
        assert_eq!(status(&world).await.0["causes"], json!(["wrong_url"]), "{code}");
    }
}

#[tokio::test]
async fn i21_a_stack_gets_one_endpoint_and_others_are_left_alone() {
    let world = World::with(&[]).await;
    // Clerk's application at Svix goes, with the endpoint of the local stack.
    let url = format!("{}/v1/webhooks/svix", world.stack.addresses.clerk);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    http.delete(url).bearer_auth(&world.stack.addresses.clerk_secret_key).send().await.unwrap();
    let (report, code) = status(&world).await;
    assert_eq!((&report["causes"], &report["endpoint"], code), (&json!(["endpoint_missing"]), &Value::Null, Some(2)));
    let plan = run(&world, &["ensure", "--dry-run"]).await;
    assert_eq!(plan.status, Some(2), "{}", plan.err);
    assert!(
        plan.out.contains("Plan: create the endpoint") && plan.out.contains("Nothing was changed."),
        "{}",
        plan.out
    );
    assert_eq!(status(&world).await.0["endpoint"], Value::Null);
    // Somebody else makes the application at the same moment, and the answer to the endpoint's creation is lost.
    set(
        &world,
        SvixFaults { once: Once { app_exists: true, create_commits_then_fails: true }, ..SvixFaults::default() },
    );
    let made = run(&world, &["ensure", "--yes", "--json"]).await;
    assert_eq!((made.status, &made.json()["action"]), (Some(0), &json!("create")), "{}", made.err);
    let portal = Portal::open(&world).await;
    let own = portal.own().await;
    assert_eq!(
        (own.len(), &own[0]["url"], &own[0]["metadata"]["owner"]),
        (1, &json!(portal.url()), &json!("rollcall"))
    );
    assert_eq!(own[0]["eventTypes"].as_array().unwrap().len(), 9);
    let other =
        portal.call("POST", "", json!({ "url": "http://127.0.0.1:1/other", "uid": "theirs", "disabled": true })).await;
    let before = portal.endpoints().await;
    for _ in 0..2 {
        let again = run(&world, &["ensure", "--yes", "--json"]).await;
        assert_eq!((again.status, &again.json()["action"]), (Some(0), &json!("nothing")), "{}", again.err);
    }
    assert_eq!(portal.endpoints().await, before);
    // Events arrive by the endpoint that was made.
    let user = world.clerk("POST", "/users", json!({ "email_address": ["ann@example.com"] })).await;
    world.stack.clerk.settled().await;
    assert!(world.item(&crate::user(user["id"].as_str().unwrap())).await.is_some());
    assert_eq!((&status(&world).await.0["other_endpoints"], status(&world).await.1), (&json!(1), Some(0)));
    for (adopted, why) in [
        ("ep_unknown", "endpoint ep_unknown does not exist in this Clerk instance"),
        (other["id"].as_str().unwrap(), "is that of this stack already"),
    ] {
        let said = run(&world, &["ensure", "--adopt", adopted, "--yes"]).await;
        assert_eq!((said.status, said.out.as_str()), (Some(1), ""), "{}", said.err);
        assert!(said.err.contains(why), "{}", said.err);
    }
    assert_eq!(portal.endpoints().await, before);
}

#[tokio::test]
async fn i21_an_endpoint_made_by_hand_is_taken_over_only_if_it_is_named() {
    let world = World::with(&[]).await;
    let portal = Portal::open(&world).await;
    let before = portal.endpoints().await;
    let id = before[0]["id"].as_str().unwrap();
    let said = run(&world, &["ensure", "--yes"]).await;
    assert_eq!((said.status, said.out.as_str()), (Some(1), ""), "{}", said.err);
    assert!(said.err.contains(&format!("--adopt {id}")), "{}", said.err);
    assert_eq!(portal.endpoints().await, before);
    let shown = run(&world, &["status"]).await;
    assert!(shown.out.contains("was made by hand") && shown.status == Some(0), "{}", shown.out);
    assert!(!shown.out.contains("whsec_") && !shown.err.contains("whsec_"));
    // The commands have ended all their keys, also after a refusal.
    let requests = world.stack.clerk.requests();
    let of = |route: &str| requests.get(&format!("POST /api/v1/auth/{route}")).copied().unwrap_or_default();
    assert_eq!((of("one-time-token") - 1, of("logout")), (2, 2), "one key is that of this test");
}

#[tokio::test]
async fn i21_a_way_to_svix_that_is_gone_prints_the_steps_and_says_nothing_about_the_endpoint() {
    let (world, portal, _) = managed().await;
    let before = portal.endpoints().await;
    let limited = SvixFaults { capabilities: Some(vec!["ViewBase".into()]), ..SvixFaults::default() };
    let faults = [Exchange::Refused, Exchange::Gone, Exchange::Html, Exchange::Tokenless]
        .map(|exchange| SvixFaults { exchange, ..SvixFaults::default() });
    let down = SvixFaults { server_error: 1.0, ..SvixFaults::default() };
    for fault in faults.into_iter().chain([limited, down]) {
        set(&world, fault.clone());
        for args in [&["status"][..], &["ensure", "--yes"]] {
            if fault.capabilities.is_some() && args == ["status"] {
                let said = run(&world, args).await;
                assert!(said.status == Some(0) && said.out.contains("cannot be read at Svix"), "{}", said.out);
                continue;
            }
            let said = run(&world, args).await;
            assert_eq!(said.status, Some(1), "{fault:?} {args:?}: {} {}", said.out, said.err);
            assert!(said.out.contains("dashboard.clerk.com") && said.out.contains("user.deleted"), "{}", said.out);
            assert!(!said.out.contains("disabled:"), "{}", said.out);
            let json = run(&world, &[args, &["--json"]].concat()).await;
            assert_eq!((json.status, &json.json()["error"]), (Some(1), &json!("control_unavailable")), "{}", json.out);
        }
    }
    set(&world, SvixFaults { unknown_values: true, old_names: true, page_size: Some(1), ..SvixFaults::default() });
    portal.call("POST", "", json!({ "url": "http://127.0.0.1:1/other" })).await;
    assert_eq!(
        run(&world, &["ensure", "--yes"]).await.status,
        Some(0),
        "what is unknown is ignored, and pages are followed"
    );
    set(&world, SvixFaults::default());
    assert_eq!(portal.endpoints().await[..1], before[..]);
}

#[tokio::test]
async fn i21_two_at_once_and_a_kill_before_any_request_leave_one_endpoint() {
    let office = Office::open(1).await;
    let world = &office.world;
    let args: Vec<String> = ["endpoint", "ensure", "--yes"].map(str::to_owned).into();
    let clear = async || {
        let portal = Portal::open(world).await;
        for endpoint in portal.endpoints().await {
            portal.call("DELETE", &format!("/{}", endpoint["id"].as_str().unwrap()), Value::Null).await;
        }
        portal
    };
    for point in [Point::Request, Point::Answer] {
        for request in 1..40 {
            let portal = clear().await;
            let killed = office.struck(&args, request, point, "-KILL").await;
            let said = office.run(&args).await;
            assert_eq!(said.status, Some(0), "{request} {point:?}: {} {}", said.out, said.err);
            assert_eq!((portal.own().await.len(), portal.endpoints().await.len()), (1, 1), "{request} {point:?}");
            if !killed.is_reached {
                assert!(request > 10, "{request}");
                break;
            }
        }
    }
    let portal = clear().await;
    let (one, other) = tokio::join!(office.run(&args), office.run(&args));
    assert_eq!((one.status, other.status), (Some(0), Some(0)), "{} {}", one.err, other.err);
    assert_eq!(portal.endpoints().await.len(), 1);
}
