//! The ensure-profile function: creates the missing rows and records of a signed-in caller and returns them.
//!
//! [`settings`] reads its settings and [`answers`] builds its responses. `main.rs` runs it on Lambda; `rollcall dev`
//! and the tests run it through [`service`], too.

pub mod answers;
pub mod settings;

use std::sync::Arc;
use std::time::Duration;

use ::http::header::ACCEPT;
use aws_sdk_dynamodb::Client;
use lambda_http::request::LambdaRequest;
use lambda_http::tower::Service;
use lambda_http::{Body, Error, LambdaEvent, Request, RequestExt, Response};
use rollcall::adapters::clerk::session_tokens::TokenRejected;
use rollcall::adapters::clerk::sessions::{NoSession, Sessions};
use rollcall::adapters::dynamo::stores::Stores;
use rollcall::adapters::lambda::function::Function;
use rollcall::adapters::lambda::{http, metrics};
use rollcall::core::ensure::admission::Refusal;
use rollcall::core::ensure::decide::{Ensured, Extent};
use rollcall::core::ensure::redirect;
use rollcall::core::millis::Millis;
use rollcall::core::session::claims::{Session, Visit};
use rollcall::core::session::origins::Origins;
use rollcall::services::apply::Applier;
use rollcall::services::ensure::questions::{Budget, Questions};
use rollcall::services::ensure::recent::Recent;
use rollcall::services::ensure::{CLERK_PATIENCE, CircuitBreaker, Ensurer, Outcomes};
use tracing::{error, info, warn};
use url::Url;

use crate::answers::{EMAIL_MISSING, EnsureResponse, NOT_FOUND, ResponseContext, UNAVAILABLE};
use crate::settings::Settings;

const ENSURE: &str = "POST /profiles/ensure";
const SYNC: &str = "GET /sync";
/// The function's entry in the registry.
pub const FUNCTION: Function = Function {
    name: "ensure-profile",
    log_target: env!("CARGO_CRATE_NAME"),
    routes: &[ENSURE, SYNC],
    groups: settings::GROUPS,
};

/// Less than the function's own time limit of 10 s, so that a slow request still gets a response.
const DEADLINE: Duration = Duration::from_secs(9);

/// The function and everything that is reused by later invocations.
#[derive(Debug)]
pub struct EnsureProfile {
    sessions: Sessions,
    ensurer: Ensurer,
    sign_in_url: Option<Url>,
    support: Option<String>,
}

impl EnsureProfile {
    /// The function with these settings and its tables.
    pub fn new(settings: Settings, dynamodb: &Client) -> EnsureProfile {
        let stores = Stores::new(dynamodb, &settings.tables);
        EnsureProfile {
            sessions: settings.sessions,
            ensurer: Ensurer {
                applier: Applier {
                    directory: stores.directory.clone(),
                    instance: settings.clerk.instance.clone(),
                    clerk: settings.clerk.api(),
                    roles: settings.mirror.roles,
                },
                policy: settings.policy,
                mirror: settings.mirror.is_on,
                defaults: settings.defaults,
                circuit_breaker: CircuitBreaker::default(),
                questions: Questions {
                    budget: Budget::new(stores.operations.clone(), FUNCTION.name),
                    operations: stores.operations.clone(),
                    patience: u64::try_from(CLERK_PATIENCE.as_millis()).unwrap_or(u64::MAX),
                },
                rate_share: settings.rate_share,
                stores,
                recent: Recent::default(),
            },
            sign_in_url: settings.sign_in_url,
            support: settings.support,
        }
    }

    /// The allowed origins: their session tokens are accepted, and their pages may read the responses.
    pub fn origins(&self) -> &Origins {
        self.sessions.origins()
    }

    /// Handles one request at the time `now`.
    pub async fn handle(&self, request: Request, now: Millis) -> Response<Body> {
        let request_id = http::request_id(&request);
        let answer = self.answer(&request, now);
        let answer = http::in_time(&request_id, DEADLINE, answer, EnsureResponse::Problem(UNAVAILABLE)).await;
        let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        let sees_pages = request.method() == "GET" && accept.contains("text/html");
        answer.response(&ResponseContext {
            request_id: &request_id,
            support: self.support.as_deref(),
            needs_clerk: !self.ensurer.mirror,
            sees_pages,
        })
    }

    async fn answer(&self, request: &Request, now: Millis) -> EnsureResponse {
        match http::route_key(request) {
            ENSURE => self.ensure(request, now).await,
            SYNC => self.sync(request, now).await,
            _ => EnsureResponse::Problem(NOT_FOUND),
        }
    }

    /// `POST /profiles/ensure`. The body is ignored: the session names the caller and the organization.
    async fn ensure(&self, request: &Request, now: Millis) -> EnsureResponse {
        let session = match self.sessions.verify(request, Visit::Call, now).await {
            Ok(session) => session,
            Err(refused) => return turned_away(&refused),
        };
        match self.run(&session, Extent::Missing, now).await {
            Ok(ensured) => EnsureResponse::Ensured(Box::new(ensured)),
            Err(answer) => answer,
        }
    }

    /// `GET /sync?redirect_url=`: creates what the caller lacks, then redirects the browser back.
    async fn sync(&self, request: &Request, now: Millis) -> EnsureResponse {
        let text = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
        if redirect::is_prefetch(text) {
            info!(outcome = "prefetch", "prefetch request ignored");
            return EnsureResponse::Prefetch;
        }
        let here = request.uri().path();
        let query = request.query_string_parameters();
        let mut cookies = http::cookies(request.headers());
        let earlier = cookies.find(|(name, _)| *name == redirect::COOKIE).map(|(_, passes)| passes);
        let target = redirect::target(query.first("redirect_url"), self.sessions.origins(), here);
        let (target, pass) = match target.and_then(|target| Ok((target, redirect::pass(earlier)?))) {
            Ok(both) => both,
            Err(refusal) => {
                let problem = answers::sync_problem(refusal);
                warn!(outcome = "refused", code = problem.code, "redirect of GET /sync rejected");
                return EnsureResponse::Problem(problem);
            }
        };
        let cookie = redirect::cookie(pass);
        let session = match self.sessions.verify(request, Visit::Navigation, now).await {
            Ok(session) => session,
            Err(refused) => return self.signed_out(&refused, &target, cookie),
        };
        match self.run(&session, Extent::All, now).await {
            Ok(ensured) if ensured.lacks_contact() => EnsureResponse::Problem(EMAIL_MISSING),
            Ok(_) => EnsureResponse::Redirect { to: target, cookie },
            Err(answer) => answer,
        }
    }

    /// Redirects a browser without a session to the sign-in page, if one is set. If the signing keys cannot be fetched,
    /// it is unknown whether the caller is signed in.
    fn signed_out(&self, refused: &NoSession, target: &Url, cookie: String) -> EnsureResponse {
        match (&self.sign_in_url, refused) {
            (Some(page), NoSession::Rejected(TokenRejected::Rule(rejection))) => {
                info!(outcome = "signed_out", code = rejection.code(), "redirecting to the sign-in page");
                EnsureResponse::Redirect { to: redirect::sign_in(page, target), cookie }
            }
            _ => turned_away(refused),
        }
    }

    async fn run(&self, session: &Session, extent: Extent, now: Millis) -> Result<Ensured, EnsureResponse> {
        match self.ensurer.ensure(session, extent, now).await {
            Ok(outcomes) => {
                log(session, &outcomes);
                outcomes.answer.map_err(answers::refusal)
            }
            Err(failure) => {
                let cause = std::error::Error::source(&failure).map(ToString::to_string);
                error!(
                    id = %session.user,
                    actor = session.actor,
                    outcome = "failed",
                    error = %failure,
                    cause,
                    "the request failed"
                );
                Err(answers::store(&failure))
            }
        }
    }
}

fn turned_away(refused: &NoSession) -> EnsureResponse {
    let problem = refused.problem();
    if let NoSession::Rejected(TokenRejected::KeysUnavailable(cause)) = refused {
        let cause = cause.as_ref().map(ToString::to_string);
        error!(outcome = "failed", code = problem.code, cause, "sessions cannot be verified");
    } else {
        info!(outcome = "unauthenticated", code = problem.code, "request rejected");
    }
    answers::no_session(refused)
}

fn log(session: &Session, outcomes: &Outcomes) {
    let (id, actor, clerk_calls) = (&session.user, session.actor.as_deref(), outcomes.clerk_calls);
    let clerk_error = outcomes.unasked.as_ref().map(ToString::to_string);
    match &outcomes.answer {
        Ok(_) if outcomes.organization_missed => {
            let organization = session.organization.as_ref().map(|organization| organization.id.as_str());
            let outcome = "organization_not_synced";
            error!(%id, actor, organization, outcome, "the organization is not in the Directory");
            metrics::not_synced();
        }
        Ok(Ensured { created, needs_sync, .. }) => {
            let outcome = if created.is_empty() { "complete" } else { "created" };
            let made = created.join(",");
            if let Some(error) = clerk_error {
                error!(
                    %id,
                    actor,
                    outcome,
                    made,
                    needs_sync,
                    clerk_calls,
                    error,
                    "the request to Clerk failed; the caller got what is stored"
                );
            } else {
                info!(%id, actor, outcome, made, needs_sync, clerk_calls, "ensure-profile finished");
            }
        }
        Err(refusal @ Refusal::NotSynced) => {
            error!(%id, actor, outcome = refusal.code(), "the user is not in the Directory");
            metrics::not_synced();
        }
        Err(refusal) => warn!(%id, actor, outcome = refusal.code(), clerk_calls, error = clerk_error, "access denied"),
    }
}

/// The function as a service for Lambda's events.
pub fn service<C>(
    function: Arc<EnsureProfile>,
    clock: C,
) -> impl Service<LambdaEvent<LambdaRequest>, Response: serde::Serialize, Error = Error, Future: Send> + Clone
where
    C: Fn() -> Millis + Clone + Send + 'static,
{
    http::service(clock, move |request, now| {
        let function = function.clone();
        async move { function.handle(request, now).await }
    })
}
