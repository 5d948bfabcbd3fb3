//! A page in the developer's browser, beside the local stack: what it sends, and what it may not.

use std::sync::Arc;

use reqwest::{Method, RequestBuilder, Response};
use rollcall::core::millis::Millis;
use rollcall_cli::dev::stack::{Config, Stack};
use serde_json::Value;

const TUNNEL: &str = "abc.ngrok-free.app";
const OWN_PAGE: &str = "http://localhost:5173";
const FOREIGN_PAGE: &str = "https://evil.example";

/// A stack and somebody who asks it.
struct Beside {
    stack: Stack,
    http: reqwest::Client,
}

impl Beside {
    async fn start() -> Beside {
        rollcall::adapters::tls::use_ring();
        let mut config = Config::new(Arc::new(|| Millis::try_from(1_795_253_229_742).unwrap()));
        config.nightly = false;
        config.clerk.users = 1;
        config.allow_hosts = vec![TUNNEL.parse().unwrap()];
        Beside { stack: Box::pin(Stack::start(config)).await.unwrap(), http: reqwest::Client::new() }
    }

    /// One request to each port that is answered with 200 if nothing about it is wrong.
    fn asked(&self) -> [(&'static str, RequestBuilder); 3] {
        let addresses = &self.stack.addresses;
        let sync = self.http.get(format!("{}/sync", addresses.api));
        let users = self.http.get(format!("{}/v1/users", addresses.clerk)).bearer_auth(&addresses.clerk_secret_key);
        [("functions", sync), ("clerk", users), ("dynamodb", self.tables("application/x-amz-json-1.0"))]
    }

    fn tables(&self, media_type: &str) -> RequestBuilder {
        let signature = "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, \
                         Signature=none";
        let request =
            self.http.post(&self.stack.addresses.dynamodb).header("x-amz-target", "DynamoDB_20120810.ListTables");
        request
            .header("x-amz-date", "20260101T000000Z")
            .header("authorization", signature)
            .header("content-type", media_type)
            .body("{}")
    }

    fn emulator(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}/_emulator/{path}", self.stack.addresses.clerk))
    }

    async fn endpoints(&self) -> usize {
        let answer: Value = self.emulator(Method::GET, "endpoints").send().await.unwrap().json().await.unwrap();
        answer.as_array().unwrap().len()
    }
}

async fn sent(request: RequestBuilder) -> Response {
    request.send().await.unwrap()
}

fn readable_by(answer: &Response) -> Option<&str> {
    answer.headers().get("access-control-allow-origin").map(|origin| origin.to_str().unwrap())
}

/// DNS rebinding, as of esbuild's and Vite's servers:
/// <https://github.com/vitejs/vite/security/advisories/GHSA-vg6x-rcgg-rjx6>.
#[tokio::test]
async fn fault_s17_no_port_answers_to_a_name_that_is_not_this_machines() {
    let beside = Beside::start().await;
    for host in ["evil.example", "evil.example:3000", "127.0.0.1.evil.example"] {
        for (port, request) in beside.asked() {
            let answer = sent(request.header("host", host)).await;
            assert_eq!((answer.status().as_u16(), readable_by(&answer)), (403, None), "{port}: {host}");
            let message: Value = answer.json().await.unwrap();
            assert!(message["message"].as_str().unwrap().contains("--allow-host"), "{port}: {message}");
        }
    }
    for host in [TUNNEL, "abc.ngrok-free.app:443", "localhost:3000", "[::1]:3000"] {
        for (port, request) in beside.asked() {
            assert_ne!(sent(request.header("host", host)).await.status(), 403, "{port}: {host}");
        }
    }
    // The same connections as before: each request is looked at by itself.
    for (port, request) in beside.asked() {
        assert_eq!(sent(request.header("host", "evil.example")).await.status(), 403, "{port}");
    }
}

/// <https://github.com/evanw/esbuild/security/advisories/GHSA-67mh-4wv8-2f99>
#[tokio::test]
async fn fault_s17_dynamodb_answers_no_page_of_another_site() {
    let beside = Beside::start().await;
    let amazon = "application/x-amz-json-1.0";
    for origin in [FOREIGN_PAGE, "null", "http://localhost.evil.example:3000"] {
        let answer = sent(beside.tables(amazon).header("origin", origin)).await;
        assert_eq!((answer.status().as_u16(), readable_by(&answer)), (403, None), "{origin}");
        let preflight = beside.http.request(Method::OPTIONS, &beside.stack.addresses.dynamodb).header("origin", origin);
        let preflight = sent(preflight.header("access-control-request-method", "POST")).await;
        assert_eq!((preflight.status().as_u16(), readable_by(&preflight)), (403, None), "{origin}");
    }
    for origin in [OWN_PAGE, "https://abc.ngrok-free.app"] {
        let answer = sent(beside.tables(amazon).header("origin", origin)).await;
        assert_eq!((answer.status().as_u16(), readable_by(&answer)), (200, Some(origin)), "and no other page reads it");
    }
    let answer = sent(beside.tables(amazon)).await;
    assert_eq!((answer.status().as_u16(), readable_by(&answer)), (200, None));
    let tables: Value = answer.json().await.unwrap();
    assert_eq!(tables["TableNames"].as_array().unwrap().len(), 3, "{tables}");
    assert_eq!(sent(beside.tables("application/json")).await.status(), 200);
    assert_eq!(sent(beside.tables("text/plain")).await.status(), 415);
}

#[tokio::test]
async fn fault_s17_the_emulator_is_changed_by_no_page_of_another_site() {
    let beside = Beside::start().await;
    let endpoint = r#"{"url":"https://evil.example/"}"#;
    assert_eq!(beside.endpoints().await, 1);
    // What a page may send without asking, with and without the header that browsers add.
    for media_type in ["text/plain", "application/x-www-form-urlencoded"] {
        let request = || beside.emulator(Method::POST, "endpoints").header("content-type", media_type).body(endpoint);
        assert_eq!(sent(request().header("origin", FOREIGN_PAGE)).await.status(), 403, "{media_type}");
        assert_eq!(sent(request().header("origin", OWN_PAGE)).await.status(), 415, "{media_type}");
        assert_eq!(sent(request()).await.status(), 415, "{media_type}");
    }
    assert_eq!(sent(beside.emulator(Method::POST, "endpoints").body(endpoint)).await.status(), 415, "no type");
    let before = beside.stack.clerk.jwks_url();
    let keys = || async { beside.http.get(&before).send().await.unwrap().text().await.unwrap() };
    let published = keys().await;
    let without_a_body = beside.emulator(Method::POST, "keys/rotate").header("origin", FOREIGN_PAGE);
    assert_eq!(sent(without_a_body).await.status(), 403);
    assert_eq!((beside.endpoints().await, keys().await), (1, published), "nothing has changed");

    let asked = |request: RequestBuilder| request.header("content-type", "application/json").body(endpoint);
    let answer = sent(asked(beside.emulator(Method::POST, "endpoints")).header("origin", OWN_PAGE)).await;
    assert_eq!((answer.status().as_u16(), beside.endpoints().await), (201, 2), "a page of this machine");
}

#[tokio::test]
async fn fault_s17_the_functions_keep_their_own_rules_about_pages() {
    let beside = Beside::start().await;
    for (origin, allowed) in [(OWN_PAGE, true), (FOREIGN_PAGE, false)] {
        let request = beside.http.post(format!("{}/profiles/ensure", beside.stack.addresses.api));
        let answer = sent(request.header("origin", origin)).await;
        assert_eq!((answer.status().as_u16(), readable_by(&answer)), (401, allowed.then_some(origin)), "{origin}");
    }
}

/// Svix sends the webhook as bytes of JSON; what a form would send reaches the function, which has the signature to
/// tell.
#[tokio::test]
async fn fault_s17_the_functions_take_every_content_type() {
    let beside = Beside::start().await;
    let request = beside.http.post(format!("{}/webhooks/clerk", beside.stack.addresses.api));
    assert_eq!(sent(request.header("content-type", "text/plain").body("{}")).await.status(), 400, "not signed");
}
