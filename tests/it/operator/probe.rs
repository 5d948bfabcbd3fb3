//! `rollcall doctor --probe` against the emulator: each answer is seen both ways, and no person is touched.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clerk_emulator::{Faults, Variants, WebhookFaults};
use rollcall::core::millis::Millis;
use rollcall_cli::dev::stack::{Config, Stack};
use rollcall_tests::World;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::operator::commands::{Evidence, binary, command, finish, rollcall};

/// A stack that runs by itself, by the machine's clock.
struct Instance {
    stack: Stack,
    http: reqwest::Client,
}

impl Instance {
    async fn start(faults: Faults) -> Instance {
        Instance::with(clerk_emulator::Config { faults, ..clerk_emulator::Config::default() }).await
    }

    async fn with(clerk: clerk_emulator::Config) -> Instance {
        #[expect(clippy::disallowed_methods, reason = "the binary reads the same clock")]
        let mut config = Config::new(Arc::new(|| Millis::from(SystemTime::now())));
        config.nightly = false;
        config.records = Some(rollcall_tests::runtime_folder().join("rollcall"));
        config.clerk = clerk;
        let stack = Box::pin(Stack::start(config)).await.unwrap();
        Instance { stack, http: reqwest::Client::new() }
    }

    fn command(&self, args: &[&str]) -> Command {
        let port = self.stack.addresses.api.rsplit(':').next().unwrap();
        let mut command = command(binary().to_str().unwrap(), &[]);
        command.args(["doctor", "--probe", "--local", "--port", port, "--override", "CLERK_RATE_SHARE=100"]).args(args);
        command
    }

    async fn probe(&self) -> Evidence {
        finish(self.command(&["--yes", "--json", "--wait", "8"])).await
    }

    async fn clerk(&self, method: &str, path: &str, body: Value) -> Value {
        let url = format!("{}/v1{path}", self.stack.addresses.clerk);
        let request = self.http.request(method.parse().unwrap(), url);
        let request = request.bearer_auth(&self.stack.addresses.clerk_secret_key);
        let request = if body.is_null() { request } else { request.json(&body) };
        request.send().await.unwrap().json().await.unwrap()
    }

    /// The names of all users and organizations.
    async fn names(&self) -> Vec<String> {
        let users = self.clerk("GET", "/users?limit=100", Value::Null).await;
        let organizations = self.clerk("GET", "/organizations?limit=100", Value::Null).await;
        let of = |rows: &Value, field: &str| {
            let rows = rows.as_array().unwrap().iter();
            rows.map(|row| row[field].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
        };
        [of(&users, "first_name"), of(&organizations["data"], "name")].concat()
    }

    /// Waits until the probe has created something.
    async fn has_begun(&self) {
        let begun = async {
            while !self.names().await.iter().any(|name| name.starts_with("rollcall-probe-2")) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), begun).await.expect("it creates entities");
    }
}

fn answers(said: &Evidence) -> Vec<(String, String)> {
    let json = said.json();
    let answers = json["answers"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    answers.map(|entry| (text(&entry["question"]), text(&entry["answer"]))).collect()
}

fn expected(changes: &[(&str, &str)]) -> Vec<(String, String)> {
    const USUAL: [(&str, &str); 20] = [
        ("user_is_listed_at_once", "yes"),
        ("users_are_counted_exactly", "yes"),
        ("webhook_connected", "yes"),
        ("profile_change_moves_updated_at", "yes"),
        ("public_metadata_moves_updated_at", "yes"),
        ("private_metadata_moves_updated_at", "yes"),
        ("primary_email_moves_updated_at", "yes"),
        ("unchanged_patch_moves_updated_at", "yes"),
        ("unchanged_patch_emits_event", "yes"),
        ("ban_moves_updated_at", "yes"),
        ("ban_emits_event", "yes"),
        ("unban_moves_updated_at", "yes"),
        ("unban_emits_event", "yes"),
        ("sign_in_moves_updated_at", "no"),
        ("sign_in_emits_event", "no"),
        ("organization_name_moves_updated_at", "yes"),
        ("organization_metadata_moves_updated_at", "yes"),
        ("membership_role_moves_updated_at", "yes"),
        ("membership_metadata_moves_updated_at", "yes"),
        ("organization_delete_emits_membership_deletes", "no"),
    ];
    let all = USUAL.into_iter().chain([("user_delete_emits_membership_deletes", "no")]);
    let changed = |name: &str| changes.iter().find(|(it, _)| *it == name).map(|(_, answer)| *answer);
    all.map(|(name, answer)| (name.to_owned(), changed(name).unwrap_or(answer).to_owned())).collect()
}

#[tokio::test]
async fn e6_the_probe_answers_each_question_by_what_the_instance_does() {
    let instance = Instance::start(Faults::default()).await;
    let said = instance.probe().await;
    assert_eq!((said.status, answers(&said)), (Some(0), expected(&[])), "{}", said.out);
    let json = said.json();
    assert!(json["run"].as_str().unwrap().starts_with("rollcall-probe-20"), "{json}");
    assert_eq!((&json["left"], &json["interrupted"]), (&json!([]), &json!(false)));
    assert!(json["answers"][0]["at"].is_u64() && json["started_at"].is_u64(), "dated");
    assert_eq!(instance.names().await, [""; 0]);
}

#[tokio::test]
async fn e6_the_probe_sees_the_other_answers_where_the_instance_behaves_otherwise() {
    let webhooks = WebhookFaults { cascade_membership_events: true, ..WebhookFaults::default() };
    let variants =
        Variants { quiet_unchanged: true, sign_in_updates_user: true, list_lag_ms: 900, ..Variants::default() };
    let instance = Instance::start(Faults { webhooks, variants, ..Faults::default() }).await;
    let said = instance.probe().await;
    let otherwise = expected(&[
        ("user_is_listed_at_once", "no"),
        ("unchanged_patch_moves_updated_at", "no"),
        ("unchanged_patch_emits_event", "no"),
        ("sign_in_moves_updated_at", "yes"),
        ("sign_in_emits_event", "yes"),
        ("organization_delete_emits_membership_deletes", "yes"),
        ("user_delete_emits_membership_deletes", "yes"),
    ]);
    assert_eq!((said.status, answers(&said)), (Some(0), otherwise), "{}", said.out);

    let variants = Variants { frozen_updated_at: true, count_lag_ms: 60_000, ..Variants::default() };
    let instance = Instance::start(Faults { variants, ..Faults::default() }).await;
    let said = instance.probe().await;
    let frozen: Vec<(String, String)> = expected(&[("users_are_counted_exactly", "no")])
        .into_iter()
        .map(|(name, answer)| if name.ends_with("moves_updated_at") { (name, "no".to_owned()) } else { (name, answer) })
        .collect();
    assert_eq!((said.status, answers(&said)), (Some(0), frozen), "{}", said.out);
}

#[tokio::test]
async fn e6_without_a_webhook_the_probe_says_so() {
    let webhooks = WebhookFaults { drop: 1.0, ..WebhookFaults::default() };
    let instance = Instance::start(Faults { webhooks, ..Faults::default() }).await;
    let said = finish(instance.command(&["--yes", "--wait", "2"])).await;
    assert_eq!(said.status, Some(0), "{} {}", said.out, said.err);
    let line = said.out.lines().find(|line| line.contains("webhook_connected")).unwrap();
    assert!(line.contains(" no ") && line.contains("connect the webhook"), "{line}");
    assert!(said.out.contains("All test entities were removed."), "{}", said.out);
    assert!(said.err.contains("webhook_connected: no"), "progress: {}", said.err);
}

#[tokio::test]
async fn e6_the_probe_refuses_a_production_instance_before_any_request_to_it() {
    let world = World::start().await;
    let calls = world.clerk_calls();
    for args in [&["doctor", "--probe", "--yes"][..], &["doctor", "--probe", "--dry-run", "--json"]] {
        let said = rollcall(&world, args, &[("CLERK_SECRET_KEY", "sk_live_1")]).await;
        assert_eq!((said.status, said.out.as_str()), (Some(1), ""), "{}", said.err);
        assert!(said.err.contains("needs a development instance") && !said.err.contains("sk_live_1"), "{}", said.err);
    }
    assert_eq!(world.clerk_calls(), calls);
    // A key that does not look like one.
    let production = clerk_emulator::Config { production: true, ..clerk_emulator::Config::default() };
    let instance = Instance::with(production).await;
    let said = finish(instance.command(&["--yes"])).await;
    assert!(said.status == Some(1) && said.err.contains("is a production instance"), "{}", said.err);
    assert_eq!(instance.names().await, [""; 0]);
}

fn signal(process: &Child, name: &str) {
    let id = process.id().unwrap().to_string();
    let sent = std::process::Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap();
    assert!(sent.success());
}

#[tokio::test]
async fn e6_what_a_killed_probe_leaves_is_removed_by_the_next_one_and_no_person_is() {
    let instance = Instance::start(Faults::default()).await;
    let like = "rollcall-probe-20260101000000000";
    let people = [
        json!({ "first_name": "Ada", "email_address": ["ada@example.com"] }),
        json!({ "first_name": "rollcall-probe-fan", "email_address": ["rollcall-probe-fan@example.com"] }),
        json!({ "first_name": like, "external_id": "7", "email_address": ["like@example.com"] }),
        json!({ "first_name": like, "external_id": format!("{like}-1"), "email_address": ["alike@example.com"] }),
    ];
    for person in people {
        instance.clerk("POST", "/users", person).await;
    }
    instance.clerk("POST", "/organizations", json!({ "name": like })).await;
    let before = instance.names().await;

    let mut killed = instance.command(&["--yes", "--json"]).spawn().unwrap();
    instance.has_begun().await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    signal(&killed, "KILL");
    killed.wait().await.unwrap();
    let left = instance.names().await.len() - before.len();
    assert!(left > 0, "it was killed in the middle");
    let plan = finish(instance.command(&["--dry-run", "--json"])).await;
    assert_eq!((plan.status, plan.json()["leftovers"].as_array().map(Vec::len)), (Some(2), Some(left)), "{}", plan.out);
    assert_eq!(instance.names().await.len(), before.len() + left);

    let said = instance.probe().await;
    assert_eq!((said.status, &said.json()["leftovers_removed"]), (Some(0), &json!(left)), "{}", said.out);
    assert_eq!(instance.names().await, before);
}

#[tokio::test]
async fn e6_an_interrupted_probe_removes_its_entities() {
    let instance = Instance::start(Faults::default()).await;
    let process = instance.command(&["--yes", "--json"]).spawn().unwrap();
    instance.has_begun().await;
    signal(&process, "INT");
    let output = tokio::time::timeout(Duration::from_secs(20), process.wait_with_output()).await.unwrap().unwrap();
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (output.status.code(), &json["interrupted"], &json["left"]),
        (Some(2), &json!(true), &json!([])),
        "{json}"
    );
    assert_eq!(instance.names().await, [""; 0]);
}

#[tokio::test]
async fn e6_an_entity_whose_creation_is_under_way_at_the_interruption_is_removed() {
    // No search finds it yet: only the answer to the request has its id.
    let variants = Variants { list_lag_ms: 4_000, ..Variants::default() };
    let instance = Instance::start(Faults { variants, ..Faults::default() }).await;
    let created = Arc::new(tokio::sync::Notify::new());
    let url = slow_creation(&instance, Arc::clone(&created)).await;
    let process =
        instance.command(&["--yes", "--json", "--override", &format!("CLERK_API_URL={url}")]).spawn().unwrap();
    tokio::time::timeout(Duration::from_secs(20), created.notified()).await.expect("it creates a user");
    signal(&process, "INT");
    let output = tokio::time::timeout(Duration::from_secs(20), process.wait_with_output()).await.unwrap().unwrap();
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &json["interrupted"]), (Some(2), &json!(true)), "{json}");
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(instance.names().await, [""; 0]);
}

/// A proxy that answers two seconds after Clerk has created a user. Returns its URL.
async fn slow_creation(instance: &Instance, created: Arc<tokio::sync::Notify>) -> String {
    let (clerk, http) = (instance.stack.addresses.clerk.clone(), instance.http.clone());
    let answer = move |request: axum::extract::Request| {
        let (clerk, http, created) = (clerk.clone(), http.clone(), Arc::clone(&created));
        async move {
            let (parts, body) = request.into_parts();
            let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            let creates = parts.method == axum::http::Method::POST && parts.uri.path() == "/v1/users";
            let mut forwarded = http.request(parts.method, format!("{clerk}{}", parts.uri)).body(body);
            for name in ["authorization", "content-type", "clerk-api-version"] {
                forwarded =
                    parts.headers.get(name).cloned().into_iter().fold(forwarded, |it, value| it.header(name, value));
            }
            let answer = forwarded.send().await.unwrap();
            if creates {
                created.notify_one();
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
            (answer.status(), [("content-type", "application/json")], answer.bytes().await.unwrap())
        }
    };
    rollcall_tests::serve(axum::Router::new().fallback(answer)).await
}

#[tokio::test]
async fn e6_a_probe_that_cannot_search_afterwards_removes_what_it_knows_and_says_so() {
    let instance = Instance::start(Faults::default()).await;
    let process = instance.command(&["--yes", "--json", "--wait", "8"]).spawn().unwrap();
    instance.has_begun().await;
    // Only the search for test entities lists organizations.
    let lists = vec!["GET /v1/organizations".to_owned()];
    let api = clerk_emulator::ApiFaults { server_error: 1.0, requests: lists, ..Default::default() };
    instance.stack.clerk.set_faults(Faults { api, ..Faults::default() }).unwrap();
    let output = tokio::time::timeout(Duration::from_secs(50), process.wait_with_output()).await.unwrap().unwrap();
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &json["left"]), (Some(2), &json!([])), "{json}");
    assert!(json["unsearched"].as_str().is_some_and(|why| why.contains("Clerk")), "{json}");
    instance.stack.clerk.set_faults(Faults::default()).unwrap();
    assert_eq!(instance.names().await, [""; 0]);
}
