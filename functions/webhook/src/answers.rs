//! The responses of the webhook. Svix repeats a message until it gets a 2xx, unless a header tells it to stop.

use http::{HeaderName, HeaderValue, Response, header::RETRY_AFTER};
use lambda_http::Body;
use rollcall::adapters::clerk::error::ClerkError;
use rollcall::adapters::clerk::webhook_signature::Untrusted;
use rollcall::adapters::dynamo::error::StoreError;
use rollcall::adapters::lambda::http as reply;
use rollcall::core::mirror::rule::Outcome;
use rollcall::core::problem::Problem;
use rollcall::services::apply::ApplyError;
use serde_json::json;

/// Tells Svix to stop repeating this message. Source: Svix, "Webhook delivery: aborting retries".
const DELIVERY: HeaderName = HeaderName::from_static("webhook-delivery");
/// Seconds. Svix lengthens its own schedule by this value, but never shortens it.
const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("5");

/// A response of the webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookResponse {
    /// The event is processed; no outcome means that Rollcall does not process this event type.
    Done(Option<Outcome>),
    /// Not a `POST`.
    NotAllowed,
    /// The route of another function.
    NoRoute,
    /// A body beyond the limit.
    TooLarge,
    /// Not signed by Clerk.
    Untrusted(Untrusted),
    /// Signed, but sent by another instance.
    Foreign,
    /// Signed, but unreadable, so that further deliveries do not help.
    Unprocessable,
    Unavailable,
    /// An error of this deployment that only an operator can correct.
    Broken,
}

impl WebhookResponse {
    /// The response to an event that could not be applied.
    pub fn from_error(failure: &ApplyError) -> WebhookResponse {
        match failure {
            ApplyError::Store(store) => WebhookResponse::of_store(store),
            // Only an operator can replace a secret key that Clerk rejects.
            ApplyError::Clerk(ClerkError::Unauthorized(_)) => WebhookResponse::Broken,
            ApplyError::Clerk(_) | ApplyError::Behind | ApplyError::Contended => WebhookResponse::Unavailable,
            ApplyError::Undated => WebhookResponse::Unprocessable,
        }
    }

    /// The response after a failed store operation.
    pub fn of_store(failure: &StoreError) -> WebhookResponse {
        match failure {
            StoreError::Unavailable(..) => WebhookResponse::Unavailable,
            StoreError::Rejected(..) | StoreError::Unreadable(_) => WebhookResponse::Broken,
        }
    }

    pub fn response(self, request_id: &str) -> Response<Body> {
        let problem = |problem: Problem| reply::problem(&problem, request_id);
        match self {
            WebhookResponse::Done(outcome) => reply::json(200, &json!({ "outcome": name(outcome) })),
            WebhookResponse::NotAllowed => {
                with(problem(NOT_ALLOWED), http::header::ALLOW, HeaderValue::from_static("POST"))
            }
            WebhookResponse::NoRoute => problem(NO_ROUTE),
            WebhookResponse::TooLarge => problem(TOO_LARGE),
            WebhookResponse::Untrusted(Untrusted::Headers) => problem(SIGNATURE_MISSING),
            WebhookResponse::Untrusted(Untrusted::Signature) => problem(SIGNATURE_INVALID),
            WebhookResponse::Untrusted(Untrusted::Stale) => problem(TIMESTAMP_STALE),
            WebhookResponse::Foreign => {
                with(problem(FOREIGN_INSTANCE), DELIVERY, HeaderValue::from_static("abort-message"))
            }
            WebhookResponse::Unprocessable => {
                with(problem(UNPROCESSABLE), DELIVERY, HeaderValue::from_static("abort-message"))
            }
            WebhookResponse::Unavailable => with(problem(UNAVAILABLE), RETRY_AFTER, RETRY_SECONDS),
            WebhookResponse::Broken => problem(BROKEN),
        }
    }
}

/// The name of an outcome in responses and logs. `Tie` and `Unproven` do not occur here: Clerk has resolved them
/// before.
pub fn name(outcome: Option<Outcome>) -> &'static str {
    match outcome {
        None => "ignored",
        Some(Outcome::Applied) => "applied",
        Some(Outcome::Duplicate) => "duplicate",
        Some(Outcome::Superseded | Outcome::Tie | Outcome::Unproven) => "superseded",
    }
}

fn with(mut response: Response<Body>, name: HeaderName, value: HeaderValue) -> Response<Body> {
    response.headers_mut().insert(name, value);
    response
}

/// Every problem of the webhook.
pub const PROBLEMS: &[Problem] = &[
    NOT_ALLOWED,
    NO_ROUTE,
    TOO_LARGE,
    SIGNATURE_MISSING,
    SIGNATURE_INVALID,
    TIMESTAMP_STALE,
    FOREIGN_INSTANCE,
    UNPROCESSABLE,
    UNAVAILABLE,
    BROKEN,
];

const NOT_ALLOWED: Problem = Problem {
    status: 405,
    code: "method_not_allowed",
    title: "Method not allowed",
    detail: "Webhooks must be sent with POST.",
};
const NO_ROUTE: Problem = Problem {
    status: 404,
    code: "route_not_found",
    title: "No such route",
    detail: "Webhooks must be sent to POST /webhooks/clerk, or to the path below /webhooks/clerk in the parameter \
             WebhookPath.",
};
const TOO_LARGE: Problem = Problem {
    status: 413,
    code: "payload_too_large",
    title: "Body too large",
    detail: "The maximum size of the body is 262144 bytes.",
};
const SIGNATURE_MISSING: Problem = Problem {
    status: 400,
    code: "signature_headers",
    title: "Signature headers missing or malformed",
    detail: "Send svix-id, svix-timestamp (Unix seconds) and svix-signature. If Clerk sent this request, check \
             whether a proxy removes headers.",
};
const SIGNATURE_INVALID: Problem = Problem {
    status: 400,
    code: "signature_invalid",
    title: "Signature does not match",
    detail: "The signature matches none of the configured secrets. Compare CLERK_WEBHOOK_SECRET with the \
             signing secret of this endpoint in Clerk's dashboard.",
};
const TIMESTAMP_STALE: Problem = Problem {
    status: 400,
    code: "timestamp_stale",
    title: "Timestamp outside the tolerance",
    detail: "The timestamp differs from the current time by more than 300 seconds. Check the clock of the sender.",
};
const FOREIGN_INSTANCE: Problem = Problem {
    status: 403,
    code: "foreign_instance",
    title: "Another Clerk instance",
    detail: "The event belongs to another Clerk instance than CLERK_INSTANCE_ID. Use a separate deployment for each \
             instance.",
};
const UNPROCESSABLE: Problem = Problem {
    status: 422,
    code: "unprocessable_event",
    title: "Event cannot be processed",
    detail: "The event is quarantined in the Operations table under QUARANTINE#, without its body. The Directory row \
             of the entity may be outdated until the next event or run.",
};
const UNAVAILABLE: Problem = Problem {
    status: 503,
    code: "unavailable",
    title: "Temporarily unavailable",
    detail: "No data were lost. Deliver the message again.",
};
const BROKEN: Problem = Problem {
    status: 500,
    code: "internal_error",
    title: "Internal error",
    detail: "The function's log contains the cause under this request id. Fix the cause, then deliver the message \
             again.",
};
