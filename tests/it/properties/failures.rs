//! Bad days of DynamoDB and Clerk: the answer says whether to try again, and nothing is lost or told.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clerk_emulator::{ApiFaults, Faults};
use rollcall_cli::functions::FUNCTIONS;
use rollcall_tests::{ATTEMPTS, Fault, SAMPLE_TIME, World, sample, user_event};
use serde_json::{Value, json};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

use crate::{ADA, user};

const T: u64 = SAMPLE_TIME - 60_000;

/// The lines that this thread logs, at the levels at which a function runs.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Listens until the guard is dropped.
    pub(crate) fn listen(&self) -> DefaultGuard {
        listen(self.clone())
    }

    /// What was logged, but for the lines of the engine, which is no part of a function.
    pub(crate) fn text(&self) -> String {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let ours: Vec<&str> = text.lines().filter(|line| !line.contains(r#""target":"dynoxide"#)).collect();
        ours.join("\n")
    }
}

/// Writes the lines that this thread logs, until the guard is dropped.
pub(crate) fn listen<W>(writer: W) -> DefaultGuard
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    use rollcall::adapters::lambda::log::subscriber;
    // While a listener is the only one, a line that another thread reaches first counts as of no interest, for ever.
    let _ = tracing::subscriber::set_global_default(subscriber(&FUNCTIONS, std::io::sink));
    tracing::subscriber::set_default(subscriber(&FUNCTIONS, writer))
}

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(line)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Log;

    fn make_writer(&self) -> Log {
        self.clone()
    }
}

#[tokio::test]
async fn one_failure_of_the_store_is_retried_within_the_invocation() {
    for fault in [Fault::Throttled, Fault::ServerError, Fault::Unavailable] {
        let world = World::start().await;
        world.wire.fail([fault]);
        assert_eq!(world.post(&sample("user.created")).await.brief(), (200, "applied"), "{fault:?}");
        assert_eq!(world.wire.take().len(), 2, "{fault:?}");
    }
}

#[tokio::test]
async fn a_store_that_keeps_failing_answers_503_and_the_repetition_is_applied() {
    for fault in [Fault::Throttled, Fault::ServerError, Fault::Unavailable] {
        let world = World::start().await;
        let sent = world.sign(&sample("user.created"));
        world.wire.fail([fault; ATTEMPTS]);
        let answer = world.send(&sent).await;
        assert_eq!(answer.brief(), (503, "unavailable"), "{fault:?}");
        assert_eq!(answer.headers["retry-after"], "5");
        assert!(!answer.aborts() && world.directory().await.is_empty());
        assert_eq!(world.send(&sent).await.brief(), (200, "applied"));
    }
}

#[tokio::test]
async fn a_conflict_with_somebodys_transaction_is_a_matter_of_time() {
    let world = World::start().await;
    let sent = world.sign(&sample("user.created"));
    world.wire.fail([Fault::TransactionConflict; ATTEMPTS]);
    assert_eq!(world.send(&sent).await.brief(), (503, "unavailable"));
    assert_eq!(world.wire.take().len(), ATTEMPTS);
    // One that passes is waited for: the check of an owner is such a transaction, too.
    world.wire.fail([Fault::TransactionConflict; 3]);
    assert_eq!(world.send(&sent).await.brief(), (200, "applied"));
}

#[tokio::test]
async fn a_fault_that_no_repetition_mends_answers_500_without_internals() {
    for fault in [Fault::AccessDenied, Fault::NoTable] {
        let world = World::start().await;
        world.wire.fail([fault]);
        let answer = world.post(&sample("user.created")).await;
        assert_eq!(answer.brief(), (500, "internal_error"), "{fault:?}");
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        assert_eq!(answer.body["request_id"], "the-request");
        let text = answer.body.to_string().to_lowercase();
        for internal in ["table", "dynamodb", "exception", "arn:", "rollcall-directory"] {
            assert!(!text.contains(internal), "{internal} in {text}");
        }
        assert!(!answer.aborts(), "Svix must come again once it is mended");
    }
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_found_done() {
    let world = World::start().await;
    world.wire.fail([Fault::LostAnswer]);
    assert_eq!(world.post(&sample("user.created")).await.brief(), (200, "duplicate"));
    assert_eq!(world.directory().await.len(), 1);
}

#[tokio::test]
async fn a_silent_store_is_given_up_before_svix_gives_up() {
    let world = World::start().await;
    world.wire.fail([Fault::Silent(Duration::from_secs(8)); ATTEMPTS]);
    let started = std::time::Instant::now();
    assert_eq!(world.post(&sample("user.created")).await.brief(), (503, "unavailable"));
    assert!(started.elapsed() < Duration::from_secs(10), "the function's own limit");
}

#[tokio::test]
async fn a_tie_while_clerk_cannot_answer_is_503_and_writes_nothing() {
    for api in [
        ApiFaults { server_error: 1.0, ..ApiFaults::default() },
        ApiFaults { too_many_requests: 1.0, ..ApiFaults::default() },
    ] {
        let world = World::start().await;
        world.post(&user_event("user.created", ADA, "One", T)).await;
        let before = world.item(&user(ADA)).await;
        world.stack.clerk.set_faults(Faults { api: api.clone(), ..Faults::default() }).unwrap();
        let tie = world.sign(&user_event("user.updated", ADA, "Two", T));
        let answer = world.send(&tie).await;
        assert_eq!(answer.brief(), (503, "unavailable"), "{api:?}");
        assert!(answer.headers.contains_key("retry-after"));
        assert_eq!(world.item(&user(ADA)).await, before);
        // Clerk recovers; the same message settles it.
        world.stack.clerk.set_faults(Faults::default()).unwrap();
        assert_eq!(world.send(&tie).await.status, 200);
    }
}

#[tokio::test]
async fn a_key_that_clerk_refuses_is_for_an_operator_to_mend() {
    let world = World::start().await;
    world.post(&user_event("user.created", ADA, "One", T)).await;
    let api = ApiFaults { unauthorized: 1.0, ..ApiFaults::default() };
    world.stack.clerk.set_faults(Faults { api, ..Faults::default() }).unwrap();
    let answer = world.post(&user_event("user.updated", ADA, "Two", T)).await;
    assert_eq!(answer.brief(), (500, "internal_error"));
    assert!(!answer.aborts(), "Svix comes again");
}

#[tokio::test]
async fn a_page_that_is_shorter_than_it_says_proves_no_absence() {
    let world = World::start().await;
    let ada = world.clerk("POST", "/users", json!({ "first_name": "Ada", "email_address": ["ada@example.com"] })).await;
    let acme = world.clerk("POST", "/organizations", json!({ "name": "Acme", "created_by": ada["id"] })).await;
    let path = format!("/organizations/{}/memberships", acme["id"].as_str().unwrap());
    let membership = world.clerk("GET", &path, Value::Null).await["data"][0].clone();
    let event = rollcall_tests::event("organizationMembership.created", &membership, world.now().get());
    world.set_now(world.now().get() + 11 * 60 * 1000);
    let api = ApiFaults { empty_page: 1.0, ..ApiFaults::default() };
    world.stack.clerk.set_faults(Faults { api, ..Faults::default() }).unwrap();
    assert_eq!(world.post(&event).await.brief(), (503, "unavailable"));
    world.stack.clerk.set_faults(Faults::default()).unwrap();
    assert_eq!(world.post(&event).await.brief(), (200, "applied"));
}

#[tokio::test]
async fn a_slow_clerk_is_given_up_in_time() {
    let world = World::start().await;
    world.post(&user_event("user.created", ADA, "One", T)).await;
    let api = ApiFaults { slow_ms: 20_000, ..ApiFaults::default() };
    world.stack.clerk.set_faults(Faults { api, ..Faults::default() }).unwrap();
    let started = std::time::Instant::now();
    assert_eq!(world.post(&user_event("user.updated", ADA, "Two", T)).await.brief(), (503, "unavailable"));
    assert!(started.elapsed() < Duration::from_secs(10), "the function's own limit");
}

#[tokio::test]
async fn a_404_that_is_not_clerks_is_not_believed() {
    // The Backend API's address leads somewhere else, where nothing is known about anything.
    let url = rollcall_tests::serve(axum::Router::new()).await;
    let world = World::with(&[("CLERK_API_URL", &url)]).await;
    world.post(&user_event("user.created", ADA, "One", T)).await;
    assert_eq!(world.post(&user_event("user.updated", ADA, "Two", T)).await.brief(), (503, "unavailable"));
}

#[tokio::test]
async fn a_quarantine_that_cannot_be_written_is_not_acknowledged() {
    let world = World::start().await;
    let mut broken = sample("user.created");
    broken["data"]["updated_at"] = "yesterday".into();
    let sent = world.sign(&broken);
    world.wire.fail([Fault::Throttled; ATTEMPTS]);
    let answer = world.send(&sent).await;
    assert_eq!(answer.brief(), (503, "unavailable"));
    assert!(!answer.aborts());
    assert_eq!(world.send(&sent).await.brief(), (422, "unprocessable_event"));
    assert_eq!(world.operations().await.len(), 1);
}

#[tokio::test]
async fn no_log_line_carries_personal_data() {
    let (world, log) = (World::start().await, Log::default());
    let _listening = log.listen();
    let mut event = sample("user.created");
    for field in ["first_name", "last_name", "username", "image_url"] {
        event["data"][field] = format!("MARKED-{field}").into();
    }
    event["data"]["email_addresses"][0]["email_address"] = "MARKED@example.com".into();
    event["data"]["public_metadata"]["note"] = "MARKED".into();
    assert_eq!(world.post(&event).await.brief(), (200, "applied"));
    assert_eq!(world.post(&event).await.brief(), (200, "duplicate"));
    event["data"]["updated_at"] = "MARKED".into();
    assert_eq!(world.post(&event).await.brief(), (422, "unprocessable_event"));
    event["data"]["updated_at"] = T.into();
    world.wire.fail([Fault::AccessDenied]);
    assert_eq!(world.post(&event).await.brief(), (500, "internal_error"));
    assert!(world.item(&user(ADA)).await.unwrap().to_string().contains("MARKED"), "the marks are where they belong");
    let lines = log.text();
    assert_eq!(lines.lines().count(), 4, "one line an invocation: {lines}");
    assert!(!lines.contains("MARKED"), "{lines}");
    for secret in [&world.stack.addresses.clerk_secret_key, &world.stack.addresses.webhook_secret] {
        assert!(!lines.contains(secret.as_str()));
    }
    for line in lines.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line["outcome"].is_string() && line["svix_id"].is_string(), "{line}");
        assert_eq!(line["span"]["request_id"], "the-request", "{line}");
    }
}
