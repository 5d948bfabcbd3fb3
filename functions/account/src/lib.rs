//! The account function: returns a signed-in caller's own data, and the data of other users that the caller may see.
//!
//! [`settings`] lists the variables, [`requests`] parses requests, [`answers`] and [`problems`] build responses.
//! `services::account` does the work of the routes. `main.rs` runs the function on Lambda; `rollcall dev` and the tests
//! run it in their own servers. All of them call [`service`].

pub mod answers;
pub mod problems;
pub mod requests;
pub mod settings;

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use lambda_http::request::LambdaRequest;
use lambda_http::tower::Service;
use lambda_http::{Body, Error, LambdaEvent, Request, Response};
use rollcall::adapters::clerk::session_tokens::TokenRejected;
use rollcall::adapters::clerk::sessions::{NoSession, Sessions};
use rollcall::adapters::dynamo::stores::Stores;
use rollcall::adapters::lambda::function::Function;
use rollcall::adapters::lambda::http;
use rollcall::core::account::etag::ETag;
use rollcall::core::account::write::Edit;
use rollcall::core::ensure::admission::Refusal;
use rollcall::core::ensure::decide::EnsurePolicy;
use rollcall::core::millis::Millis;
use rollcall::core::problem::Problem;
use rollcall::core::session::claims::{Session, Visit};
use rollcall::core::session::origins::Origins;
use rollcall::services::account::deletion::{AccountDeletion, DeletionError};
use rollcall::services::account::profile::ProfileError;
use rollcall::services::account::{Account as Routes, AccountError};
use rollcall::services::apply::Applier;
use rollcall::services::ensure::questions::{Budget, Questions};
use rollcall::services::ensure::recent::Recent;
use rollcall::services::ensure::{CLERK_PATIENCE, CircuitBreaker, Ensurer};
use tracing::{error, info, warn};

use crate::answers::AccountResponse;
use crate::requests::Expected;
use crate::settings::Settings;

const ME: &str = "GET /me";
const DELETE_ME: &str = "DELETE /me";
const PROFILE: &str = "GET /me/profile";
const POST_PROFILE: &str = "POST /me/profile";
const PUT_PROFILE: &str = "PUT /me/profile";
const PATCH_PROFILE: &str = "PATCH /me/profile";
const AUTHORIZATION: &str = "GET /me/authorization";
const MEMBERS: &str = "GET /organizations/{id}/members";
const USER: &str = "GET /users/{id}";
const USERS: &str = "GET /users";
/// The entry of this function in the registry of functions.
pub const FUNCTION: Function = Function {
    name: "account",
    log_target: env!("CARGO_CRATE_NAME"),
    routes: &[ME, DELETE_ME, PROFILE, POST_PROFILE, PUT_PROFILE, PATCH_PROFILE, AUTHORIZATION, MEMBERS, USER, USERS],
    groups: settings::GROUPS,
};

/// Less than the function's timeout of 10 s, so that a slow request still gets a response.
const DEADLINE: Duration = Duration::from_secs(9);

/// The function, with the state that all invocations of a container share.
#[derive(Debug)]
pub struct Account {
    sessions: Sessions,
    routes: Routes,
    /// `None` unless users may delete their accounts.
    deletion: Option<AccountDeletion>,
    support: Option<String>,
}

impl Account {
    /// The function over its tables.
    pub fn new(settings: Settings, dynamodb: &Client) -> Account {
        let stores = Stores::new(dynamodb, &settings.tables);
        let instance = settings.clerk.instance.clone();
        let clerk = settings.clerk.clone().api();
        let questions = || Questions {
            budget: Budget::new(stores.operations.clone(), FUNCTION.name),
            operations: stores.operations.clone(),
            patience: u64::try_from(CLERK_PATIENCE.as_millis()).unwrap_or(u64::MAX),
        };
        let deletion = settings.account.deletion.then(|| AccountDeletion {
            clerk: settings.clerk.clone().api().verified(instance.clone()),
            instance: instance.clone(),
            questions: questions(),
            rate_share: settings.rate_share,
        });
        let ensurer = Ensurer {
            applier: Applier { directory: stores.directory.clone(), instance, clerk, roles: settings.mirror.roles },
            policy: EnsurePolicy::Create,
            mirror: settings.mirror.is_on,
            defaults: settings.defaults,
            circuit_breaker: CircuitBreaker::default(),
            questions: questions(),
            rate_share: settings.rate_share,
            stores,
            recent: Recent::default(),
        };
        let routes = Routes {
            ensurer,
            writable: settings.account.writable,
            requires_if_match: settings.account.requires_if_match,
            visibility: settings.account.visibility,
            pointers: settings.account.pointers,
        };
        Account { sessions: settings.sessions, routes, deletion, support: settings.support }
    }

    /// The origins whose sessions are accepted, and whose pages may read the responses.
    pub fn origins(&self) -> &Origins {
        self.sessions.origins()
    }

    /// Handles one request at the moment `now`.
    pub async fn handle(&self, request: Request, now: Millis) -> Response<Body> {
        let request_id = http::request_id(&request);
        let answer = async { self.answer(&request, now).await.unwrap_or_else(|problem| problem) };
        let answer = http::in_time(&request_id, DEADLINE, answer, problems::UNAVAILABLE.into()).await;
        let asks_clerk = !self.routes.ensurer.mirror || http::route_key(&request) == DELETE_ME;
        answer.response(&request_id, self.support.as_deref(), asks_clerk)
    }

    async fn answer(&self, request: &Request, now: Millis) -> Result<AccountResponse, AccountResponse> {
        let route = http::route_key(request);
        if !FUNCTION.routes.contains(&route) {
            return Err(problems::NOT_FOUND.into());
        }
        let session = self.session(request, now).await?;
        let known: &[&str] = match route {
            AUTHORIZATION => &["role", "permission", "organization_id"],
            MEMBERS => &["role", "limit", "cursor"],
            USERS => &["id"],
            PROFILE | POST_PROFILE | PUT_PROFILE | PATCH_PROFILE => &["organization_id"],
            _ => &[],
        };
        requests::only(request, known).map_err(|problem| Failure::from(problem).logged(route, &session))?;
        let outcome = match route {
            ME => self.me(request, &session, now).await,
            DELETE_ME => self.delete(request, &session, now).await,
            AUTHORIZATION => self.authorization(request, &session, now).await,
            MEMBERS => self.members(request, &session, now).await,
            USER => self.user(request, &session, now).await,
            USERS => self.users(request, &session, now).await,
            _ => self.profile(route, request, &session, now).await,
        };
        match outcome {
            Ok(response) => {
                info!(id = %session.user, actor = session.actor, outcome = "complete", route, "request answered");
                Ok(response)
            }
            Err(failure) => Err(failure.logged(route, &session)),
        }
    }

    async fn session(&self, request: &Request, now: Millis) -> Result<Session, AccountResponse> {
        self.sessions.verify(request, Visit::Call, now).await.map_err(|refused| {
            let code = refused.problem().code;
            if let NoSession::Rejected(TokenRejected::KeysUnavailable(cause)) = &refused {
                let cause = cause.as_ref().map(ToString::to_string);
                error!(outcome = "failed", code, cause, "sessions cannot be verified");
            } else {
                info!(outcome = "unauthenticated", code, "request rejected");
            }
            AccountResponse::from(&refused)
        })
    }

    async fn me(&self, request: &Request, session: &Session, now: Millis) -> Result<AccountResponse, Failure> {
        let preconditions = requests::preconditions(request.headers())?;
        let me = self.routes.me(session, now).await?;
        let etag = ETag::new(&me);
        Ok(AccountResponse::read(&me, etag, &preconditions))
    }

    async fn profile(
        &self,
        route: &str,
        request: &Request,
        session: &Session,
        now: Millis,
    ) -> Result<AccountResponse, Failure> {
        let organization = requests::organization(request)?;
        let organization = organization.as_ref();
        let preconditions = requests::preconditions(request.headers())?;
        let (status, shown) = match route {
            PROFILE => {
                let shown = self.routes.profile(session, organization, now).await?;
                return Ok(AccountResponse::read(&shown.record, shown.etag, &preconditions));
            }
            POST_PROFILE => {
                let given = requests::body(request, Expected::JsonOrNothing)?;
                if preconditions.if_match.is_some() {
                    // A record that is created has no tag yet.
                    return Err(problems::PRECONDITION_FAILED.into());
                }
                (201, self.routes.create_profile(session, organization, given, now).await?)
            }
            _ => {
                let edit = if route == PATCH_PROFILE {
                    Edit::Merge(requests::body(request, Expected::MergePatch)?)
                } else {
                    Edit::Replace(requests::body(request, Expected::Json)?)
                };
                let changed = self.routes.change_profile(session, organization, &edit, &preconditions, now).await?;
                (if changed.is_new { 201 } else { 200 }, changed.shown)
            }
        };
        Ok(AccountResponse::tagged(status, &shown.record, shown.etag))
    }

    async fn authorization(
        &self,
        request: &Request,
        session: &Session,
        now: Millis,
    ) -> Result<AccountResponse, Failure> {
        let question = requests::question(request)?;
        Ok(AccountResponse::shown(200, &self.routes.authorization(session, &question, now).await?))
    }

    async fn members(&self, request: &Request, session: &Session, now: Millis) -> Result<AccountResponse, Failure> {
        let query = requests::members(request)?;
        Ok(AccountResponse::shown(200, &self.routes.members(session, &query, now).await?))
    }

    async fn user(&self, request: &Request, session: &Session, now: Millis) -> Result<AccountResponse, Failure> {
        let id = requests::user(request)?;
        let found = self.routes.users(session, std::slice::from_ref(&id), now).await?.pop().flatten();
        let user = found.ok_or(problems::NO_USER)?;
        Ok(AccountResponse::shown(200, &serde_json::json!({ "user": user })))
    }

    async fn users(&self, request: &Request, session: &Session, now: Millis) -> Result<AccountResponse, Failure> {
        let ids = requests::users(request)?;
        let users = self.routes.users(session, &ids, now).await?;
        Ok(AccountResponse::shown(200, &serde_json::json!({ "users": users })))
    }

    async fn delete(&self, request: &Request, session: &Session, now: Millis) -> Result<AccountResponse, Failure> {
        let deletion = self.deletion.as_ref().ok_or(problems::DELETION_OFF)?;
        if !Sessions::has_bearer(request) {
            return Err(problems::BEARER_REQUIRED.into());
        }
        // Admission first: a rejected user must not get the request to verify the first factor again.
        self.routes.caller(session, None, now).await?;
        match deletion.delete(session, now).await {
            Ok(()) => Ok(AccountResponse::shown(202, &serde_json::json!({ "outcome": "accepted" }))),
            Err(DeletionError::Impersonated) => Err(problems::IMPERSONATED.into()),
            Err(DeletionError::Stale) => Err(Failure::Reverification),
            Err(DeletionError::NotAsked) => Err(AccountError::Denied(Refusal::NotAsked).into()),
            Err(error @ (DeletionError::Clerk(_) | DeletionError::Share)) => Err(Failure::Clerk(error)),
            Err(DeletionError::Store(error)) => Err(AccountError::from(error).into()),
        }
    }
}

/// Why the response to a request is a problem.
#[derive(Debug)]
enum Failure {
    Problem(Problem),
    Account(AccountError),
    Profile(ProfileError),
    /// The sign-in is too old.
    Reverification,
    Clerk(DeletionError),
}

impl Failure {
    /// The failed step and its cause, for the operator's log; `None` if no operator must act.
    fn for_operators(&self) -> Option<(String, Option<String>)> {
        let error: &dyn std::error::Error = match self {
            Failure::Account(AccountError::Store(error))
            | Failure::Profile(ProfileError::Account(AccountError::Store(error))) => error,
            Failure::Account(AccountError::Clerk(error))
            | Failure::Profile(ProfileError::Account(AccountError::Clerk(error))) => error,
            Failure::Clerk(error) => error,
            _ => return None,
        };
        Some((error.to_string(), error.source().map(ToString::to_string)))
    }

    fn is_refusal(&self) -> bool {
        let of_account = |error: &AccountError| matches!(error, AccountError::Denied(_));
        match self {
            Failure::Account(error) | Failure::Profile(ProfileError::Account(error)) => of_account(error),
            _ => false,
        }
    }

    /// Logs the response and returns it.
    fn logged(self, route: &str, session: &Session) -> AccountResponse {
        let (id, actor) = (&session.user, session.actor.as_deref());
        let (failed, is_refusal) = (self.for_operators(), self.is_refusal());
        let response = self.response();
        let code = response.code();
        if let Some((error, cause)) = failed {
            error!(%id, actor, outcome = "failed", code, route, error, cause, "the request failed");
        } else if is_refusal {
            warn!(%id, actor, outcome = code, route, "access denied");
        } else {
            info!(%id, actor, outcome = "rejected", code, route, "request rejected");
        }
        response
    }

    fn response(self) -> AccountResponse {
        match self {
            Failure::Problem(problem) => problem.into(),
            Failure::Account(error) => (&error).into(),
            Failure::Profile(error) => error.into(),
            Failure::Reverification => answers::reverification(),
            Failure::Clerk(_) => problems::CLERK_UNAVAILABLE.into(),
        }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Failure {
        Failure::Problem(problem)
    }
}

impl From<AccountError> for Failure {
    fn from(error: AccountError) -> Failure {
        Failure::Account(error)
    }
}

impl From<ProfileError> for Failure {
    fn from(error: ProfileError) -> Failure {
        Failure::Profile(error)
    }
}

/// The function as a service over Lambda's own events.
pub fn service<C>(
    function: Arc<Account>,
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
