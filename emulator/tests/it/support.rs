//! A started emulator with a client, and a webhook endpoint that remembers. Both hold what they see against the
//! contract.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use clerk_emulator::{Clock, Config, Emulator};
use serde_json::{Value, json};
use svix::webhooks::Webhook;

use crate::contract;

/// When the frozen clocks of these tests stand.
pub(crate) const NOW: i64 = 1_767_225_600_000;

/// A clock that stands still until it is moved.
#[derive(Clone)]
pub(crate) struct FrozenClock(Arc<AtomicI64>);

impl FrozenClock {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicI64::new(NOW)))
    }

    pub(crate) fn advance(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }

    pub(crate) fn clock(&self) -> Clock {
        let now = Arc::clone(&self.0);
        Arc::new(move || now.load(Ordering::SeqCst))
    }
}

/// A started emulator and somebody who talks to it.
pub(crate) struct Clerk {
    pub(crate) emulator: Emulator,
    pub(crate) client: reqwest::Client,
}

/// An answer that the contract has nothing against.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body
    }

    /// Status and code of a refusal.
    pub(crate) fn refusal(&self) -> (u16, &str) {
        (self.status, self.body["errors"][0]["code"].as_str().unwrap_or("no code"))
    }

    pub(crate) fn rows(self) -> Vec<Value> {
        match self.ok() {
            Value::Array(rows) => rows,
            listing => listing["data"].as_array().expect("a listing").clone(),
        }
    }
}

impl Clerk {
    pub(crate) async fn start(config: Config) -> Self {
        let emulator = Emulator::start(config).await.expect("emulator starts");
        Self { emulator, client: client() }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path, Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.call("PATCH", path, Some(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.call("PUT", path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path, None).await
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let url = format!("{}{path}", self.emulator.url());
        let method_name = method.parse().expect("a method");
        let mut request = self.client.request(method_name, url).bearer_auth(self.emulator.secret_key());
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = read(request).await;
        if path.starts_with("/v1/") {
            let faults = contract::backend_api().check_answer(method, path, answer.status, &answer.body);
            assert!(faults.is_empty(), "{method} {path}: {} breaks the contract: {faults:#?}", answer.body);
        }
        answer
    }

    pub(crate) async fn create_user(&self, name: &str) -> Value {
        let body = json!({"first_name": name, "email_address": [format!("{name}@example.com")]});
        self.post("/v1/users", body).await.ok()
    }

    pub(crate) async fn create_organization(&self, name: &str, created_by: &Value) -> Value {
        self.post("/v1/organizations", json!({"name": name, "created_by": created_by})).await.ok()
    }
}

/// A client for what listens on this machine.
pub(crate) fn client() -> reqwest::Client {
    // Whoever comes first installs it; an emulator in this process may have been.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().expect("client builds")
}

/// Sends a request and reads a JSON answer, whose content type is exactly Clerk's.
pub(crate) async fn read(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.expect("emulator answers");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    assert_eq!(headers["content-type"], "application/json");
    Answer { status, headers, body: response.json().await.expect("a JSON body") }
}

/// The id of any answered entity.
pub(crate) fn id(entity: &Value) -> &str {
    entity["id"].as_str().expect("an id")
}

/// A webhook that arrived with a good signature and a payload as the contract describes it.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) svix_id: String,
    pub(crate) timestamp: i64,
    pub(crate) signature: String,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Value,
}

impl Received {
    pub(crate) fn kind(&self) -> &str {
        self.payload["type"].as_str().expect("a type")
    }
}

/// What an endpoint answers to its n-th request, counted from 0.
type Script = dyn Fn(usize) -> Response + Send + Sync;

/// A webhook endpoint on a port of its own.
pub(crate) struct Endpoint {
    pub(crate) url: String,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Endpoint {
    pub(crate) async fn start() -> Self {
        Self::answering(|_| StatusCode::OK.into_response()).await
    }

    pub(crate) async fn answering(script: impl Fn(usize) -> Response + Send + Sync + 'static) -> Self {
        Self::with_secret(clerk_emulator::WEBHOOK_SECRET, Box::new(script)).await
    }

    pub(crate) async fn with_secret(secret: &str, script: Box<Script>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/webhooks/clerk", listener.local_addr().expect("an address"));
        let received = Arc::new(Mutex::new(Vec::new()));
        let (key, seen) = (Arc::new(Webhook::new(secret).expect("a secret")), Arc::clone(&received));
        let script = Arc::new(script);
        let handler = move |headers: HeaderMap, body: Bytes| {
            let (key, seen, script) = (Arc::clone(&key), Arc::clone(&seen), Arc::clone(&script));
            async move {
                let webhook = accept(&key, &headers, &body);
                let mut seen = seen.lock().expect("no earlier panic");
                seen.push(webhook);
                script(seen.len() - 1)
            }
        };
        let router = Router::new().route("/webhooks/clerk", post(handler));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, received }
    }

    /// Everything that arrived, in order. A webhook that was not acceptable shows here as a panic of its own.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().expect("every webhook was acceptable").clone()
    }

    pub(crate) fn kinds(&self) -> Vec<String> {
        self.received().iter().map(|webhook| webhook.kind().to_owned()).collect()
    }
}

fn accept(key: &Webhook, headers: &HeaderMap, body: &Bytes) -> Received {
    // The timestamp is checked by whoever knows which clock the emulator runs on.
    key.verify_ignoring_timestamp(body, headers).expect("a good signature");
    assert_eq!(headers["content-type"], "application/json");
    let payload: Value = serde_json::from_slice(body).expect("a JSON payload");
    let faults = contract::webhooks().check_event(&payload);
    assert!(faults.is_empty(), "{payload} breaks the contract: {faults:#?}");
    let header = |name: &str| headers[name].to_str().expect("text").to_owned();
    Received {
        svix_id: header("svix-id"),
        timestamp: header("svix-timestamp").parse().expect("seconds"),
        signature: header("svix-signature"),
        headers: headers.clone(),
        payload,
    }
}

/// A schedule that fails in no time.
pub(crate) fn quick_schedule(attempts: usize) -> Vec<Duration> {
    (0..attempts).map(|attempt| Duration::from_millis(if attempt == 0 { 0 } else { 5 })).collect()
}

/// A configuration on a frozen clock that delivers to the endpoint.
pub(crate) fn delivering_to(endpoint: &Endpoint) -> Config {
    Config {
        webhook_url: Some(endpoint.url.clone()),
        clock: FrozenClock::new().clock(),
        retry_schedule: quick_schedule(4),
        ..Config::default()
    }
}
