//! The authorizer function: API Gateway and AppSync call it to authorize requests to the application's own APIs.
//!
//! [`settings`] lists the variables, [`event`] reads events, [`answers`] builds answers. `services::authorize` decides
//! about the caller. `main.rs` runs the function on Lambda; the tests call [`service`].
//!
//! A refusal is an answer. If the function cannot decide, it returns an error: then API Gateway answers 500 and caches
//! nothing.

pub mod answers;
pub mod event;
pub mod settings;

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use lambda_runtime::tower::Service;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use rollcall::adapters::clerk::session_tokens::TokenRejected;
use rollcall::adapters::clerk::sessions::{NoSession, Sessions};
use rollcall::adapters::dynamo::directory::Directory;
use rollcall::adapters::lambda::function::Function;
use rollcall::adapters::lambda::{http, metrics};
use rollcall::core::millis::Millis;
use rollcall::core::session::claims::{Rejection, Session, Visit};
use rollcall::services::authorize::{AuthorizeError, Authorizer as Gate};
use serde_json::Value;
use tracing::{error, info, warn};

use crate::answers::AuthorizerResponse;
use crate::event::{Asked, Credentials, Form};
use crate::settings::Settings;

/// The function's entry in the registry.
pub const FUNCTION: Function =
    Function { name: "authorizer", log_target: env!("CARGO_CRATE_NAME"), routes: &[], groups: settings::GROUPS };

/// Less than the ten seconds after which HTTP APIs and AppSync stop waiting.
const DEADLINE: Duration = Duration::from_secs(9);

/// The error that REST and WebSocket APIs answer with 401. API Gateway requires this text.
const UNAUTHORIZED: &str = "Unauthorized";

/// The function, with the state that all invocations of a container share.
#[derive(Debug)]
pub struct Authorizer {
    sessions: Sessions,
    gate: Gate,
}

impl Authorizer {
    /// The function over its table.
    pub fn new(settings: Settings, dynamodb: &Client) -> Authorizer {
        let directory = Directory::new(dynamodb.clone(), settings.directory);
        let gate = Gate { directory, instance: settings.instance, mirror: settings.mirror };
        Authorizer { sessions: settings.sessions, gate }
    }

    /// Authorizes one request at the time `now`; `invocation` is Lambda's id of the invocation.
    ///
    /// # Errors
    ///
    /// If the function cannot decide. For a REST or WebSocket API also `Unauthorized`, if the request has no token.
    pub async fn handle(&self, event: &Value, invocation: &str, now: Millis) -> Result<AuthorizerResponse, Error> {
        let Some(asked) = Asked::read(event) else {
            error!(outcome = "failed", "the event is not an authorizer request");
            metrics::failed();
            return Err("the event is not an authorizer request".into());
        };
        let Asked { form, credentials, request_id } = asked;
        let request_id = request_id.unwrap_or_else(|| invocation.to_owned());
        let late = || {
            metrics::failed();
            Err("no decision before the deadline".into())
        };
        let decision = async { Some(self.decide(form, &credentials, now).await) };
        http::in_time(&request_id, DEADLINE, decision, None).await.unwrap_or_else(late)
    }

    async fn decide(&self, form: Form, credentials: &Credentials, now: Millis) -> Result<AuthorizerResponse, Error> {
        let session = match self.session(credentials, now).await {
            Ok(session) => session,
            Err(refused) => return no_session(form, &refused),
        };
        let (id, actor) = (&session.user, session.actor.as_deref());
        match self.gate.authorize(&session, now).await {
            Ok(context) => {
                info!(%id, actor, outcome = "complete", "request authorized");
                Ok(AuthorizerResponse::allow(form, context))
            }
            Err(AuthorizeError::Denied(refusal)) => {
                let problem = refusal.problem();
                metrics::problem(&problem);
                warn!(%id, actor, outcome = problem.code, "access denied");
                Ok(AuthorizerResponse::deny(form, problem.code))
            }
            Err(AuthorizeError::Store(error)) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                error!(%id, actor, outcome = "failed", %error, cause, "the caller cannot be looked up");
                metrics::failed();
                Err("the copy of Clerk cannot be read".into())
            }
        }
    }

    async fn session(&self, credentials: &Credentials, now: Millis) -> Result<Session, NoSession> {
        match credentials {
            Credentials::Authorization(value) => self.sessions.verify_authorization(value, now).await,
            Credentials::Headers { headers, is_safe } => {
                self.sessions.verify_headers(headers, *is_safe, Visit::Call, now).await
            }
        }
    }
}

/// The answer to a request without a session.
fn no_session(form: Form, refused: &NoSession) -> Result<AuthorizerResponse, Error> {
    let problem = refused.problem();
    let code = problem.code;
    if let NoSession::Rejected(TokenRejected::KeysUnavailable(cause)) = refused {
        let cause = cause.as_ref().map(ToString::to_string);
        error!(outcome = "failed", code, cause, "sessions cannot be verified");
        metrics::failed();
        return Err("the signing keys of the Clerk instance cannot be fetched".into());
    }
    info!(outcome = "unauthenticated", code, "request rejected");
    metrics::problem(&problem);
    let is_missing = matches!(refused, NoSession::Rejected(TokenRejected::Rule(Rejection::Missing)));
    match form {
        Form::Policy { knows_unauthorized: true, .. } if is_missing => {
            metrics::unauthorized_error();
            Err(UNAUTHORIZED.into())
        }
        form => Ok(AuthorizerResponse::deny(form, code)),
    }
}

/// The function as a service that accepts Lambda's events. Each invocation reads `clock` once.
pub fn service<C>(
    function: Arc<Authorizer>,
    clock: C,
) -> impl Service<LambdaEvent<Value>, Response = AuthorizerResponse, Error = Error, Future: Send> + Clone
where
    C: Fn() -> Millis + Clone + Send + 'static,
{
    service_fn(move |event: LambdaEvent<Value>| {
        let (function, now) = (function.clone(), clock());
        // Boxed: the future contains the SDK's futures and is too large to be moved.
        async move { Box::pin(function.handle(&event.payload, &event.context.request_id, now)).await }
    })
}
