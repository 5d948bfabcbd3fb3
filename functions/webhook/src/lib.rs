//! The webhook function: verifies a signed event, applies it with one conditional write, and returns the outcome.
//!
//! [`settings`] reads its settings and [`answers`] builds its responses. `main.rs` runs it on Lambda; `rollcall dev`
//! and the tests run it through [`service`], too.

pub mod answers;
pub mod settings;

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use lambda_http::request::LambdaRequest;
use lambda_http::tower::Service;
use lambda_http::{Body, Error, LambdaEvent, Request, Response};
use rollcall::adapters::clerk::webhook_signature::{Signatures, Untrusted};
use rollcall::adapters::dynamo::directory::Directory;
use rollcall::adapters::dynamo::operations::Operations;
use rollcall::adapters::lambda::function::Function;
use rollcall::adapters::lambda::{http, metrics};
use rollcall::core::clerk::event;
use rollcall::core::clerk::event::{Envelope, Unprocessable};
use rollcall::core::explain::reason::{Asked, Met, Reason};
use rollcall::core::id::DeliveryId;
use rollcall::core::millis::Millis;
use rollcall::core::mirror::decide::Policy;
use rollcall::core::mirror::rule::Outcome;
use rollcall::services::apply::{Applied, Applier, ApplyError};
use rollcall::services::receive::{NotReceived, Receipt, Receiver};
use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::answers::WebhookResponse;
use crate::settings::Settings;

const CLERK: &str = "POST /webhooks/clerk";
/// The function's entry in the registry.
pub const FUNCTION: Function =
    Function { name: "webhook", log_target: env!("CARGO_CRATE_NAME"), routes: &[CLERK], groups: settings::GROUPS };

/// The largest accepted body, in bytes. Clerk allows 8 KB of metadata, so no event comes near this limit.
pub const MAX_BODY: usize = 256 * 1024;
/// Less than the function's own time limit of 10 s, so that a slow request still gets a response.
const DEADLINE: Duration = Duration::from_secs(9);

/// The function and everything that is reused by later invocations.
#[derive(Debug)]
pub struct Webhook {
    signature: Signatures,
    receiver: Receiver,
    operations: Operations,
}

impl Webhook {
    /// The function with its tables.
    pub fn new(settings: Settings, dynamodb: &Client) -> Webhook {
        Webhook {
            signature: settings.signature,
            receiver: Receiver {
                applier: Applier {
                    directory: Directory::new(dynamodb.clone(), settings.directory_table),
                    instance: settings.clerk.instance.clone(),
                    clerk: settings.clerk.api(),
                    roles: settings.mirror.roles,
                },
                policy: Policy { deletion: settings.deletion, mirror: settings.mirror.is_on },
            },
            operations: Operations::new(dynamodb.clone(), settings.operations_table),
        }
    }

    /// Handles one request at the time `now`.
    pub async fn handle(&self, request: Request, now: Millis) -> Response<Body> {
        let request_id = http::request_id(&request);
        let answer = self.answer(&request, now);
        let answer = http::in_time(&request_id, DEADLINE, answer, WebhookResponse::Unavailable).await;
        answer.response(&request_id)
    }

    async fn answer(&self, request: &Request, now: Millis) -> WebhookResponse {
        let body: &[u8] = request.body().as_ref();
        if request.method() != "POST" {
            warn!(outcome = "untrusted", reason = "not a POST", "request rejected");
            return WebhookResponse::NotAllowed;
        }
        if !is_own_route(http::route_key(request)) {
            warn!(outcome = "untrusted", reason = "not a route of this function", "request rejected");
            return WebhookResponse::NoRoute;
        }
        if body.len() > MAX_BODY {
            warn!(outcome = "untrusted", reason = "the body is too large", bytes = body.len(), "request rejected");
            return WebhookResponse::TooLarge;
        }
        // The body is not parsed, written or logged before its signature is verified.
        let delivery = match self.signature.verify(body, request.headers(), now).await {
            Ok(delivery) => delivery,
            Err(untrusted) => {
                warn!(outcome = "untrusted", reason = %untrusted, "request rejected");
                if untrusted == Untrusted::Signature {
                    metrics::bad_signature();
                }
                return WebhookResponse::Untrusted(untrusted);
            }
        };
        let instance = &self.receiver.applier.instance;
        match Envelope::parse(body) {
            Ok(envelope) if !envelope.is_from(instance) => foreign(&delivery),
            Ok(envelope) => self.process(&envelope, delivery, now).await,
            Err(unprocessable) if unprocessable.is_foreign_to(instance) => foreign(&delivery),
            Err(unprocessable) => self.quarantine(&unprocessable, &delivery, now).await,
        }
    }

    async fn process(&self, envelope: &Envelope, delivery: DeliveryId, now: Millis) -> WebhookResponse {
        let dated = match envelope.open() {
            Ok(Some(dated)) => dated,
            Ok(None) => {
                let kind = envelope.kind.as_str();
                if event::OF_ROLES.contains(&kind) {
                    warn!(
                        svix_id = %delivery,
                        r#type = kind,
                        outcome = "ignored",
                        "an organization role or permission changed in Clerk; memberships with it are outdated until the \
                         next run of reconcile"
                    );
                } else {
                    info!(
                        svix_id = %delivery,
                        r#type = kind,
                        outcome = "ignored",
                        "this event type is not processed; remove it from the endpoint's subscriptions in Clerk"
                    );
                }
                metrics::event(Some(&envelope.kind), answers::name(None));
                return WebhookResponse::Done(None);
            }
            Err(unprocessable) => return self.quarantine(&unprocessable, &delivery, now).await,
        };
        let entity = dated.event.entity();
        let (kind, begun) = (envelope.kind.as_str(), Instant::now());
        match self.receiver.receive(dated, delivery.clone(), now).await {
            Ok(receipt) => {
                log(&delivery, kind, &receipt);
                count(kind, &receipt, now, begun.elapsed());
                WebhookResponse::Done(receipt.applied.map(|applied| applied.outcome))
            }
            Err(NotReceived { error: ApplyError::Undated, .. }) => {
                self.quarantine(&envelope.failed("data.created_at".to_owned()), &delivery, now).await
            }
            Err(NotReceived { error: failure, rank, asked }) => {
                let cause = std::error::Error::source(&failure).map(ToString::to_string);
                error!(
                    svix_id = %delivery,
                    r#type = kind,
                    outcome = "failed",
                    reason = failure.reason().name(),
                    entity = entity.kind().name(),
                    id = %entity,
                    rank = rank.map(|rank| rank.to_string()),
                    asked = asked.map(Asked::name),
                    error = %failure,
                    cause,
                    "the event could not be applied; Svix delivers it again"
                );
                metrics::event(Some(kind), "failed");
                WebhookResponse::from_error(&failure)
            }
        }
    }

    async fn quarantine(&self, event: &Unprocessable, delivery: &DeliveryId, now: Millis) -> WebhookResponse {
        match self.operations.quarantine(delivery, event, now).await {
            Ok(()) => {
                let failed_at = &event.failed_at;
                error!(
                    svix_id = %delivery,
                    outcome = "quarantined",
                    failed_at,
                    "a signed event cannot be processed and was quarantined"
                );
                metrics::event(event.kind.as_deref(), "quarantined");
                metrics::quarantined();
                WebhookResponse::Unprocessable
            }
            Err(store) => {
                error!(
                    svix_id = %delivery,
                    outcome = "failed",
                    reason = store.reason().name(),
                    error = %store,
                    "the event could not be applied; Svix delivers it again"
                );
                metrics::event(event.kind.as_deref(), "failed");
                WebhookResponse::of_store(&store)
            }
        }
    }
}

/// The template's parameter `WebhookPath` adds a secret part to the route. Only API Gateway has this part.
fn is_own_route(key: &str) -> bool {
    key.strip_prefix(CLERK).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn foreign(delivery: &DeliveryId) -> WebhookResponse {
    warn!(svix_id = %delivery, outcome = "foreign", "rejected an event of another Clerk instance");
    WebhookResponse::Foreign
}

fn log(delivery: &DeliveryId, kind: &str, receipt: &Receipt) {
    let Receipt { entity, applied, asked } = receipt;
    let outcome = answers::name(applied.as_ref().map(|applied| applied.outcome));
    let rank = applied.as_ref().and_then(|applied| applied.rank).map(|rank| rank.to_string());
    let reason = Reason::of_event(&Met {
        outcome: applied.as_ref().map(|applied| applied.outcome),
        offered: applied.as_ref().and_then(|applied| applied.rank),
        stored: applied.as_ref().and_then(|applied| applied.item.as_ref()),
        in_clerk: applied.as_ref().and_then(|applied| applied.in_clerk),
    });
    // Of an event that was applied, the row is the one of the event.
    let stored = applied.as_ref().filter(|_| reason.is_some()).and_then(|applied| applied.item.as_ref());
    let stored = stored.map(|stored| stored.rank.to_string());
    let asked = asked.filter(|_| reason.is_some()).map(Asked::name);
    let reason = reason.map(Reason::name);
    let (units, clerk_calls) = applied.as_ref().map(|applied| (applied.units, applied.clerk_calls)).unwrap_or_default();
    info!(
        svix_id = %delivery,
        r#type = kind,
        entity = entity.kind().name(),
        id = %entity,
        outcome,
        reason,
        asked,
        rank,
        stored,
        units,
        clerk_calls,
        "event"
    );
}

fn count(kind: &str, receipt: &Receipt, now: Millis, taken: Duration) {
    let applied = receipt.applied.as_ref();
    metrics::event(Some(kind), answers::name(applied.map(|applied| applied.outcome)));
    if let Some(Applied { outcome: Outcome::Applied, rank: Some(rank), .. }) = applied {
        metrics::sync_lag(rank.version, now, taken);
    }
}

/// The function as a service for Lambda's events.
pub fn service<C>(
    webhook: Arc<Webhook>,
    clock: C,
) -> impl Service<LambdaEvent<LambdaRequest>, Response: serde::Serialize, Error = Error, Future: Send> + Clone
where
    C: Fn() -> Millis + Clone + Send + 'static,
{
    http::service(clock, move |request, now| {
        let webhook = webhook.clone();
        async move { webhook.handle(request, now).await }
    })
}
