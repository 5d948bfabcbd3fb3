//! The secrets as deployed functions read them: from a Secrets Manager, which the tests emulate on 127.0.0.1.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use aws_config::SdkConfig;
use axum::http::StatusCode;
use rollcall::adapters::clerk::secrets;
use rollcall_cli::invocation::invoke;
use rollcall_tests::{Sent, World, gateway_event, read, serve, user_event};
use serde_json::{Value, json};

use crate::monitoring::metrics::counted;
use crate::properties::failures::Log;
use crate::{ADA, user};

const ARN: &str = "arn:aws:secretsmanager:eu-west-1:000000000000:secret:rollcall-AbCdEf";

async fn manager(status: u16, answer: Value) -> SdkConfig {
    let status = StatusCode::from_u16(status).unwrap();
    let url = serve(axum::Router::new().fallback(move || async move { (status, axum::Json(answer)) })).await;
    rollcall_cli::dev::stack::local_config(&url).await
}

fn secret(value: &Value) -> Value {
    json!({ "ARN": ARN, "Name": "rollcall", "SecretString": value.to_string() })
}

/// An environment with values left behind.
fn environment(name: &str) -> Option<String> {
    match name {
        "ROLLCALL_SECRET_ARN" => Some(ARN.to_owned()),
        "CLERK_SECRET_KEY" | "CLERK_WEBHOOK_SECRET" => Some("left-behind".to_owned()),
        "MIRROR" => Some("off".to_owned()),
        _ => None,
    }
}

#[tokio::test]
async fn both_secrets_come_from_secrets_manager_and_nothing_else_counts() {
    let both = json!({ "CLERK_SECRET_KEY": "sk_live_1", "CLERK_WEBHOOK_SECRET": "whsec_MQ==", "MIRROR": "on" });
    let lookup = secrets::lookup(environment, &manager(200, secret(&both)).await).await.unwrap();
    assert_eq!(lookup("CLERK_SECRET_KEY").as_deref(), Some("sk_live_1"));
    assert_eq!(lookup("CLERK_WEBHOOK_SECRET").as_deref(), Some("whsec_MQ=="));
    assert_eq!(lookup("MIRROR").as_deref(), Some("off"), "a setting is no secret");
    // One of the two is missing there: what the environment holds does not stand in for it.
    let one = json!({ "CLERK_SECRET_KEY": "sk_live_1" });
    let lookup = secrets::lookup(environment, &manager(200, secret(&one)).await).await.unwrap();
    assert_eq!(lookup("CLERK_WEBHOOK_SECRET"), None);
}

#[tokio::test]
async fn without_an_arn_the_environment_is_all_there_is() {
    let nobody = rollcall_cli::dev::stack::local_config("http://127.0.0.1:1").await;
    let without = |name: &str| environment(name).filter(|_| name != "ROLLCALL_SECRET_ARN");
    let lookup = secrets::lookup(without, &nobody).await.unwrap();
    assert_eq!(lookup("CLERK_SECRET_KEY").as_deref(), Some("left-behind"));
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_is_an_error_that_quotes_nothing_of_it() {
    let denied = json!({ "__type": "AccessDeniedException", "Message": "not authorized" });
    let missing = json!({ "__type": "ResourceNotFoundException", "Message": "cannot find it" });
    for (status, answer) in [
        (400, denied),
        (400, missing),
        (200, json!({ "ARN": ARN, "SecretBinary": "c2tfbGl2ZV8x" })),
        (200, json!({ "ARN": ARN, "SecretString": "sk_live_1" })),
        (200, secret(&json!(["sk_live_1"]))),
        // What the SDK itself cannot read it keeps in its error.
        (200, json!([ARN, "sk_live_1"])),
        (200, secret(&json!({ "CLERK_SECRET_KEY": { "value": "sk_live_1" } }))),
    ] {
        let error = secrets::lookup(environment, &manager(status, answer).await).await.err().expect("it is no good");
        // A function that cannot start says both: it logs the one, and Rust prints the other.
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("ROLLCALL_SECRET_ARN") || shown.contains("Malformed"), "{shown}");
        assert!(!shown.contains("sk_live_1"), "{shown}");
    }
}

/// A secret that changes, and a function that follows it.
struct Rotated {
    world: World,
    webhook: Arc<webhook::Webhook>,
    held: Arc<Mutex<(u16, Value)>>,
    asked: Arc<AtomicU64>,
}

const FIRST: &str = "whsec_Zmlyc3Qgc2lnbmluZyBzZWNyZXQ=";
const SECOND: &str = "whsec_c2Vjb25kIHNpZ25pbmcgc2VjcmV0";
const SECONDS: u64 = 1000;
const MINUTES: u64 = 60 * SECONDS;

impl Rotated {
    async fn start() -> Rotated {
        let world = World::start().await;
        let key = world.stack.addresses.clerk_secret_key.clone();
        let held = Arc::new(Mutex::new((200, pair(&key, FIRST))));
        let asked = Arc::new(AtomicU64::new(0));
        let (holds, counts) = (held.clone(), asked.clone());
        let url = serve(axum::Router::new().fallback(move || {
            counts.fetch_add(1, Ordering::SeqCst);
            let (status, answer) = holds.lock().unwrap().clone();
            async move { (StatusCode::from_u16(status).unwrap(), axum::Json(answer)) }
        }))
        .await;
        let addresses = world.stack.addresses.clone();
        let environment = move |name: &str| match name {
            "ROLLCALL_SECRET_ARN" => Some(ARN.to_owned()),
            "DIRECTORY_TABLE" => Some(addresses.directory_table.clone()),
            "OPERATIONS_TABLE" => Some(addresses.operations_table.clone()),
            "CLERK_API_URL" => Some(addresses.clerk.clone()),
            "CLERK_INSTANCE_ID" => Some(addresses.clerk_instance_id.clone()),
            _ => None,
        };
        let aws = rollcall_cli::dev::stack::local_config(&url).await;
        let (lookup, secrets) = secrets::followed(environment, &aws, world.clock()).await.unwrap();
        let mut settings = webhook::settings::Settings::read(&lookup).unwrap();
        settings.follow(secrets.as_ref());
        let dynamodb = rollcall_cli::dev::stack::client(world.wire.url()).await;
        Rotated { webhook: Arc::new(webhook::Webhook::new(settings, &dynamodb)), world, held, asked }
    }

    fn holds(&self, status: u16, answer: Value) {
        *self.held.lock().unwrap() = (status, answer);
    }

    fn pass(&self, time: u64) {
        self.world.set_now(self.world.now().get() + time);
    }

    /// A new event, signed with this secret, handed to the function.
    async fn deliver(&self, secret: &str) -> u16 {
        let now = self.world.now();
        let event = user_event("user.updated", ADA, "Ada", now.get() - 1);
        self.send(&Sent::signed(event.to_string().into_bytes(), &format!("msg_{}", now.get()), secret, now)).await
    }

    async fn send(&self, sent: &Sent) -> u16 {
        let clock = self.world.clock();
        let service = webhook::service(self.webhook.clone(), move || clock());
        read(invoke("webhook", service, gateway_event(sent, false)).await).await.status
    }

    fn asked(&self) -> u64 {
        self.asked.swap(0, Ordering::SeqCst)
    }
}

fn pair(key: &str, signing: &str) -> Value {
    secret(&json!({ "CLERK_SECRET_KEY": key, "CLERK_WEBHOOK_SECRET": signing }))
}

#[tokio::test]
async fn a_new_signing_secret_counts_as_soon_as_an_event_is_signed_with_it() {
    let function = Rotated::start().await;
    let key = function.world.stack.addresses.clerk_secret_key.clone();
    assert_eq!((function.deliver(FIRST).await, function.asked()), (200, 1), "it was read at the start alone");
    function.holds(200, pair(&key, SECOND));
    // Within a minute nobody can make the function read it again.
    function.pass(59 * SECONDS);
    assert_eq!((function.deliver(SECOND).await, function.asked()), (400, 0));
    function.pass(SECONDS);
    assert_eq!((function.deliver(SECOND).await, function.asked()), (200, 1));
    // The first one is not accepted any more, however often it is tried, and one that tries costs one look a minute.
    for _ in 0..5 {
        assert_eq!(function.deliver(FIRST).await, 400);
    }
    assert_eq!(function.asked(), 0);
    function.pass(MINUTES);
    assert_eq!((function.deliver(FIRST).await, function.deliver(FIRST).await, function.asked()), (400, 400, 1));
}

#[tokio::test]
async fn a_withdrawn_signing_secret_is_forgotten_within_five_minutes() {
    let function = Rotated::start().await;
    let key = function.world.stack.addresses.clerk_secret_key.clone();
    function.holds(200, pair(&key, SECOND));
    function.asked();
    function.pass(5 * MINUTES - 1);
    assert_eq!((function.deliver(FIRST).await, function.asked()), (200, 0));
    function.pass(1);
    assert_eq!((function.deliver(FIRST).await, function.asked()), (400, 1));
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_again_or_is_none_leaves_the_last_one_in_use() {
    let function = Rotated::start().await;
    let key = function.world.stack.addresses.clerk_secret_key.clone();
    for (status, answer) in [
        (400, json!({ "__type": "AccessDeniedException", "Message": "not authorized" })),
        (200, json!({ "ARN": ARN, "SecretString": "sk_live_1" })),
        (200, pair(&key, "no signing secret")),
        (200, pair("", FIRST)),
        (200, secret(&json!({ "CLERK_SECRET_KEY": key }))),
    ] {
        function.holds(status, answer.clone());
        function.pass(5 * MINUTES);
        let log = Log::default();
        let listening = log.listen();
        let (status, counts) = counted(function.deliver(FIRST)).await;
        drop(listening);
        assert_eq!((status, counts.get("Failures")), (200, Some(&1)), "{answer}: somebody must look");
        assert!(log.text().contains(r#""level":"ERROR""#), "{answer}: {}", log.text());
        assert!(!log.text().contains("sk_live_1") && !log.text().contains("no signing"), "{}", log.text());
    }
    // Once it is mended, it counts.
    function.holds(200, pair(&key, SECOND));
    function.pass(MINUTES);
    assert_eq!(function.deliver(SECOND).await, 200);
}

#[tokio::test]
async fn a_key_that_clerk_refuses_is_read_again_and_the_request_sent_once_more() {
    let function = Rotated::start().await;
    let key = function.world.stack.addresses.clerk_secret_key.clone();
    let body = json!({ "first_name": "Grace", "email_address": ["grace@example.com"] });
    let grace = function.world.clerk("POST", "/users", body).await["id"].as_str().unwrap().to_owned();
    // So old an event creates nothing: the function asks Clerk about the user.
    let late = || {
        let now = function.world.now();
        let event = user_event("user.updated", &grace, "Grace", now.get() - 20 * MINUTES);
        Sent::signed(event.to_string().into_bytes(), "msg_late", FIRST, now)
    };
    // An operator has put a wrong key there, and the function has read it.
    function.holds(200, pair("sk_test_wrong", FIRST));
    function.pass(5 * MINUTES);
    let before = function.world.clerk_calls();
    assert_eq!((function.send(&late()).await, function.world.clerk_calls() - before), (500, 1));
    function.holds(200, pair(&key, FIRST));
    function.pass(MINUTES);
    assert_eq!((function.send(&late()).await, function.world.clerk_calls() - before), (200, 3));
    assert!(function.world.item(&user(&grace)).await.is_some());
}
