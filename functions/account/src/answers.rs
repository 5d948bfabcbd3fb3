//! The responses of the account routes: representations with an entity tag, and problems with details that help to
//! resolve them.

use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, ETAG, RETRY_AFTER, VARY, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use lambda_http::Body;
use rollcall::adapters::clerk::sessions::NoSession;
use rollcall::adapters::dynamo::error::StoreError;
use rollcall::adapters::lambda::http as reply;
use rollcall::core::account::etag::{ETag, Preconditions};
use rollcall::core::ensure::admission::Refusal;
use rollcall::core::problem::Problem;
use rollcall::services::account::AccountError;
use rollcall::services::account::profile::ProfileError;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::problems::{self, HELPED_BY_SUPPORT};

/// The waiting time in `Retry-After`, in seconds.
const SOON: HeaderValue = HeaderValue::from_static("2");
/// The same if the request may have used up the caller's question to Clerk: an earlier repeat would be refused.
const NEXT_QUESTION: HeaderValue = HeaderValue::from_static("10");
const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");

/// A response to which the id of the request is not added yet.
#[derive(Debug)]
pub enum AccountResponse {
    /// A representation, as JSON.
    Shown {
        status: u16,
        body: String,
        etag: Option<ETag>,
    },
    /// 304: the client has the current representation.
    NotModified(ETag),
    Problem(Box<ProblemResponse>),
}

/// A problem with the details of one request.
#[derive(Debug)]
pub struct ProblemResponse {
    problem: Problem,
    /// Further members of the body.
    members: Map<String, Value>,
    /// The entity tag of the stored record.
    etag: Option<ETag>,
}

impl AccountResponse {
    /// A representation that has no tag.
    pub fn shown(status: u16, body: &impl Serialize) -> AccountResponse {
        AccountResponse::Shown { status, body: serde_json::to_string(body).unwrap_or_default(), etag: None }
    }

    /// A representation with its tag.
    pub fn tagged(status: u16, body: &impl Serialize, etag: ETag) -> AccountResponse {
        AccountResponse::Shown { status, body: serde_json::to_string(body).unwrap_or_default(), etag: Some(etag) }
    }

    /// The response to a read: the representation, or 304 if the client has it.
    pub fn read(body: &impl Serialize, etag: ETag, preconditions: &Preconditions) -> AccountResponse {
        if preconditions.is_not_modified(&etag) {
            AccountResponse::NotModified(etag)
        } else {
            AccountResponse::tagged(200, body, etag)
        }
    }

    /// The code of a problem; empty for a representation.
    pub fn code(&self) -> &'static str {
        if let AccountResponse::Problem(problem) = self { problem.problem.code } else { "" }
    }

    /// The HTTP response. A private cache may store a representation with a tag, but must revalidate it before each
    /// use.
    ///
    /// `asks_clerk` says whether the request may send a question to Clerk.
    pub fn response(self, request_id: &str, support: Option<&str>, asks_clerk: bool) -> Response<Body> {
        let (mut response, etag) = match self {
            AccountResponse::Shown { status, body, etag } => (json_response(status, body), etag),
            AccountResponse::NotModified(etag) => {
                let mut response = Response::new(Body::Empty);
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                (response, Some(etag))
            }
            AccountResponse::Problem(problem) => {
                let ProblemResponse { problem, members, etag } = *problem;
                (problem_response(&problem, members, request_id, support, asks_clerk), etag)
            }
        };
        let has_tag = etag.is_some() && response.status().as_u16() < 400;
        let caching = if has_tag { "private, no-cache" } else { "no-store" };
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(caching));
        if has_tag {
            headers.insert(VARY, HeaderValue::from_static("authorization, cookie, origin"));
        }
        headers.extend(etag.and_then(|etag| HeaderValue::from_str(etag.as_str()).ok()).map(|etag| (ETAG, etag)));
        response
    }
}

fn json_response(status: u16, body: String) -> Response<Body> {
    let mut response = Response::new(Body::Text(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn problem_response(
    problem: &Problem,
    members: Map<String, Value>,
    request_id: &str,
    support: Option<&str>,
    asks_clerk: bool,
) -> Response<Body> {
    let is_helped = |code: &str| {
        let refused = [Refusal::Banned.code(), Refusal::Deprovisioned.code(), Refusal::NotSynced.code()];
        HELPED_BY_SUPPORT.contains(&code) || refused.contains(&code)
    };
    let mut response =
        reply::problem_with_members(problem, request_id, support.filter(|_| is_helped(problem.code)), members);
    let header: Option<(HeaderName, HeaderValue)> = match problem.status {
        401 => Some((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
        503 => Some((RETRY_AFTER, if asks_clerk { NEXT_QUESTION } else { SOON })),
        415 => {
            let is_patch = problem.code == problems::MERGE_PATCH_EXPECTED.code;
            let (name, right) =
                if is_patch { (ACCEPT_PATCH, "application/merge-patch+json") } else { (ACCEPT, "application/json") };
            Some((name, HeaderValue::from_static(right)))
        }
        _ => None,
    };
    response.headers_mut().extend(header);
    response
}

impl From<Problem> for AccountResponse {
    fn from(problem: Problem) -> AccountResponse {
        AccountResponse::Problem(Box::new(ProblemResponse { problem, members: Map::new(), etag: None }))
    }
}

impl From<&NoSession> for AccountResponse {
    fn from(refused: &NoSession) -> AccountResponse {
        refused.problem().into()
    }
}

impl From<&AccountError> for AccountResponse {
    fn from(error: &AccountError) -> AccountResponse {
        match error {
            AccountError::Denied(Refusal::NotSynced) => problems::NOT_SYNCED,
            AccountError::Denied(refusal) => refusal.problem(),
            AccountError::OrganizationNotSynced => problems::ORGANIZATION_NOT_SYNCED,
            AccountError::NotAMember => problems::NO_ORGANIZATION,
            AccountError::NotCopied => problems::NOT_COPIED,
            AccountError::Clerk(_) => problems::CLERK_UNAVAILABLE,
            AccountError::Store(StoreError::Unavailable(..)) => problems::UNAVAILABLE,
            AccountError::Store(StoreError::Rejected(..) | StoreError::Unreadable(_)) => problems::BROKEN,
        }
        .into()
    }
}

impl From<ProfileError> for AccountResponse {
    fn from(error: ProfileError) -> AccountResponse {
        let (problem, etag, pointer) = match error {
            ProfileError::Account(error) => return (&error).into(),
            ProfileError::Missing => (problems::PROFILE_MISSING, None, None),
            ProfileError::Exists => (problems::PROFILE_EXISTS, None, None),
            ProfileError::Precondition(etag) => (problems::PRECONDITION_FAILED, etag, None),
            ProfileError::Unconditional(etag) => (problems::PRECONDITION_REQUIRED, Some(etag), None),
            ProfileError::Unstorable(value) => (problems::unstorable(value.reason), None, Some(value.pointer)),
            ProfileError::Conflict => (problems::PROFILE_CONFLICT, None, None),
        };
        let members = pointer.map(|pointer| ("pointer".to_owned(), pointer.into())).into_iter().collect();
        AccountResponse::Problem(Box::new(ProblemResponse { problem, members, etag }))
    }
}

/// The problem of a sign-in that is too old, in the form in which Clerk's frontend recognizes it.
/// Source: clerk/javascript, `packages/shared/src/authorization-errors.ts`.
pub fn reverification() -> AccountResponse {
    let metadata = json!({ "reverification": { "level": "first_factor", "afterMinutes": 10 } });
    let error = json!({ "type": "forbidden", "reason": "reverification-error", "metadata": metadata });
    let members = Map::from_iter([("clerk_error".to_owned(), error)]);
    AccountResponse::Problem(Box::new(ProblemResponse { problem: problems::REVERIFICATION, members, etag: None }))
}
