//! Signs and sends the next message of the queue and reports the result to the queue.

use std::{sync::Arc, time::Duration};

use reqwest::{Client, header, redirect::Policy};
use svix::webhooks::Webhook;
use tokio::{sync::Notify, task::JoinSet, time::Instant};

use super::{
    Attempt, Delivery, Endpoint, EndpointError, Event,
    queue::{Message, Outcome, Queue, Task},
};
use crate::{config::Clock, faults::Fate, lock::Lock};

/// The queue, the signing keys and the HTTP client.
pub(crate) struct Sender {
    queue: Lock<Queue>,
    /// One key per endpoint, in the order of the queue.
    keys: Lock<Vec<Arc<Webhook>>>,
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
        let (queue, keys, changed) = (Lock::new(queue), Lock::new(Vec::new()), Notify::new());
        Ok(Self { queue, keys, changed, client, timeout, clock })
    }

    pub(crate) fn add_endpoint(&self, endpoint: Endpoint) -> Result<(), EndpointError> {
        let url = reqwest::Url::parse(&endpoint.url).map_err(|_| EndpointError::Url)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(EndpointError::Url);
        }
        let key = Webhook::new(&endpoint.secret).map_err(EndpointError::Secret)?;
        let mut queue = self.queue.lock();
        self.keys.lock().push(Arc::new(key));
        queue.add_endpoint(endpoint);
        Ok(())
    }

    pub(crate) fn endpoints(&self) -> Vec<Endpoint> {
        self.queue.lock().endpoints()
    }

    pub(crate) fn deliveries(&self) -> Vec<Delivery> {
        self.queue.lock().deliveries()
    }

    /// Adds an event to the queue. The caller renders `body`.
    pub(crate) fn push(&self, svix_id: String, event: Event, body: String, fate: impl FnMut() -> Fate) {
        let Event { kind, entity_id, .. } = event;
        let message = Message { svix_id, event_type: kind.to_owned(), entity_id, body };
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
        let (url, key) = {
            let url = self.queue.lock().url(task.endpoint);
            (url, Arc::clone(&self.keys.lock()[task.endpoint]))
        };
        let Message { svix_id, event_type, body, .. } = &*task.message;
        // Signed again for each attempt: the timestamp is that of the attempt, not of the event.
        let timestamp = at.div_euclid(1000);
        let Ok(signature) = key.sign(svix_id, timestamp, body.as_bytes()) else {
            return Outcome { attempt: Attempt { at, status: None }, aborted: false };
        };
        let request = self
            .client
            .post(url)
            .timeout(self.timeout)
            .header(header::CONTENT_TYPE, "application/json")
            .header("svix-id", svix_id)
            .header("svix-timestamp", timestamp)
            .header("svix-signature", signature)
            .body(body.clone());
        match request.send().await {
            Ok(response) => {
                let status = response.status().as_u16();
                let aborted = response.headers().get("webhook-delivery").is_some_and(|value| value == "abort-message");
                tracing::debug!(svix_id, event_type, status, aborted, "delivery attempt finished");
                Outcome { attempt: Attempt { at, status: Some(status) }, aborted }
            }
            Err(error) => {
                tracing::debug!(svix_id, event_type, error = %error.without_url(), "no response to a delivery attempt");
                Outcome { attempt: Attempt { at, status: None }, aborted: false }
            }
        }
    }
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
