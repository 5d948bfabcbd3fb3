//! Signs and sends the next message of the queue and reports the result to the queue.

use std::{sync::Arc, time::Duration};

use reqwest::{Client, header, redirect::Policy};
use svix::webhooks::Webhook;
use tokio::{sync::Notify, task::JoinSet, time::Instant};

use super::{
    Attempt, Delivery, Endpoint, EndpointError, Event,
    message::{Message, Outcome, Wish},
    queue::{Queue, Task},
    registered::Registered,
};
use crate::{config::Clock, faults::Fate, lock::Lock};

/// So many bytes of an answer are kept.
const RESPONSE: usize = 20_000;

/// The queue and the HTTP client.
pub(crate) struct Sender {
    queue: Lock<Queue>,
    /// Notified when the queue has changed.
    changed: Notify,
    client: Client,
    timeout: Duration,
    clock: Clock,
}

impl Sender {
    pub(crate) fn new(queue: Queue, timeout: Duration, clock: Clock) -> Result<Self, reqwest::Error> {
        // reqwest is built without a crypto provider and panics if none is installed. An installed one of another
        // library is sufficient.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // No redirects: for Svix a 3xx is a failure. No proxy: endpoints are on this machine.
        let client = Client::builder().redirect(Policy::none()).no_proxy().build()?;
        let (queue, changed) = (Lock::new(queue), Notify::new());
        Ok(Self { queue, changed, client, timeout, clock })
    }

    pub(crate) fn add_endpoint(&self, endpoint: Registered) -> Result<(), EndpointError> {
        check(&endpoint.url, &endpoint.secret)?;
        self.queue.lock().add_endpoint(endpoint);
        Ok(())
    }

    /// Reads or changes the queue. A change is seen by the sender at once.
    pub(crate) fn with_queue<T>(&self, work: impl FnOnce(&mut Queue) -> T) -> T {
        let result = work(&mut self.queue.lock());
        self.changed.notify_waiters();
        result
    }

    pub(crate) fn endpoints(&self) -> Vec<Endpoint> {
        self.queue.lock().endpoints()
    }

    pub(crate) fn deliveries(&self) -> Vec<Delivery> {
        self.queue.lock().deliveries()
    }

    /// Adds an event to the queue. The caller renders `body`.
    pub(crate) fn push(&self, svix_id: String, event: Event, body: String, at: i64, fate: impl FnMut() -> Fate) {
        let Event { kind, entity_id, .. } = event;
        let message = Message { svix_id, event_type: kind.to_owned(), entity_id, body, at };
        self.queue.lock().push(message, fate, Instant::now());
        self.changed.notify_waiters();
    }

    pub(crate) fn replay(&self, svix_id: &str) -> Vec<Delivery> {
        let concerned = self.queue.lock().replay(svix_id, Instant::now());
        self.changed.notify_waiters();
        concerned
    }

    /// Waits until no message is pending or in progress. Delayed messages are sent at once meanwhile.
    pub(crate) async fn settled(&self) {
        let settling = Settling::begin(self);
        loop {
            // Subscribed before the check: otherwise a change between the check and the wait would be missed.
            let changed = self.changed.notified();
            if self.queue.lock().is_settled() {
                break;
            }
            changed.await;
        }
        drop(settling);
    }

    /// Sends messages as long as it is polled; dropping it drops the attempts in progress.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut attempts = JoinSet::new();
        loop {
            let changed = self.changed.notified();
            let (tasks, due) = {
                let mut queue = self.queue.lock();
                (queue.take(Instant::now()), queue.next_due())
            };
            for task in tasks {
                let sender = Arc::clone(&self);
                attempts.spawn(async move {
                    let outcome = sender.attempt(&task).await;
                    sender.queue.lock().finish(&task, outcome, Instant::now());
                    sender.changed.notify_waiters();
                });
            }
            tokio::select! {
                () = changed => {}
                () = until(due) => {}
                Some(_) = attempts.join_next() => {}
            }
        }
    }

    async fn attempt(&self, task: &Task) -> Outcome {
        let at = (self.clock)();
        let endpoint = self.queue.lock().endpoint(task.endpoint).clone();
        let Message { svix_id, event_type, body, .. } = &*task.message;
        let failed = |response: String, duration_ms| Outcome {
            attempt: Attempt { at, status: None },
            wish: None,
            response,
            duration_ms,
        };
        // Signed again for each attempt: the timestamp is that of the attempt, not of the event. Each valid secret signs.
        let timestamp = at.div_euclid(1000);
        let sign = |secret: &str| Webhook::new(secret).ok()?.sign(svix_id, timestamp, body.as_bytes()).ok();
        let signatures: Vec<String> = endpoint.secrets(at).filter_map(sign).collect();
        if signatures.is_empty() {
            return failed("the message cannot be signed".to_owned(), 0);
        }
        let mut request = self
            .client
            .post(&endpoint.url)
            .timeout(self.timeout)
            .header(header::CONTENT_TYPE, "application/json")
            .header("svix-id", svix_id)
            .header("svix-timestamp", timestamp)
            .header("svix-signature", signatures.join(" "));
        for (name, value) in &endpoint.headers {
            request = request.header(name, value);
        }
        let begin = Instant::now();
        let passed = || i64::try_from(begin.elapsed().as_millis()).unwrap_or(i64::MAX);
        match request.body(body.clone()).send().await {
            Ok(response) => {
                let status = response.status().as_u16();
                let wish = match response.headers().get("webhook-delivery").and_then(|value| value.to_str().ok()) {
                    Some("abort-message") => Some(Wish::AbortMessage),
                    Some("disable") => Some(Wish::Disable),
                    _ => None,
                };
                let text = response.text().await.unwrap_or_default();
                let response = text.chars().take(RESPONSE).collect();
                tracing::debug!(svix_id, event_type, status, ?wish, "delivery attempt finished");
                Outcome { attempt: Attempt { at, status: Some(status) }, wish, response, duration_ms: passed() }
            }
            Err(error) => {
                let error = error.without_url();
                tracing::debug!(svix_id, event_type, %error, "no response to a delivery attempt");
                failed(error.to_string(), passed())
            }
        }
    }
}

/// Whether an endpoint can have this URL and this secret.
pub(crate) fn check(url: &str, secret: &str) -> Result<(), EndpointError> {
    let url = reqwest::Url::parse(url).map_err(|_| EndpointError::Url)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(EndpointError::Url);
    }
    Webhook::new(secret).map(drop).map_err(EndpointError::Secret)
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// Counts a waiting caller, even if the wait is cancelled.
struct Settling<'a>(&'a Sender);

impl<'a> Settling<'a> {
    fn begin(sender: &'a Sender) -> Self {
        sender.queue.lock().begin_settling();
        sender.changed.notify_waiters();
        Self(sender)
    }
}

impl Drop for Settling<'_> {
    fn drop(&mut self) {
        self.0.queue.lock().end_settling();
    }
}
