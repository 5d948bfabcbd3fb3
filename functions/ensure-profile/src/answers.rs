//! The responses of ensure-profile: JSON for a frontend, and pages and redirects for a browser on `/sync`.

use http::header::{CACHE_CONTROL, LOCATION, RETRY_AFTER, SET_COOKIE, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Response};
use lambda_http::Body;
use rollcall::adapters::clerk::sessions::NoSession;
use rollcall::adapters::dynamo::error::StoreError;
use rollcall::adapters::lambda::http as reply;
use rollcall::core::ensure::admission::Refusal;
use rollcall::core::ensure::decide::Ensured;
use rollcall::core::ensure::redirect;
use rollcall::core::problem::Problem;
use rollcall::core::session::problems;
use url::Url;

/// The waiting time in `Retry-After`, in seconds.
const SOON: HeaderValue = HeaderValue::from_static("2");
/// The same if the request may have used up the caller's question to Clerk: an earlier repeat would be refused.
const NEXT_QUESTION: HeaderValue = HeaderValue::from_static("10");

#[derive(Debug)]
pub enum EnsureResponse {
    /// The rows and records of the caller.
    Ensured(Box<Ensured>),
    /// Redirects the browser to this URL.
    Redirect {
        to: Url,
        /// The cookie that counts the passes.
        cookie: String,
    },
    /// A prefetch, which is neither processed nor counted.
    Prefetch,
    Problem(Problem),
}

/// The request that a response answers.
#[derive(Clone, Copy, Debug)]
pub struct ResponseContext<'a> {
    /// The id of the request.
    pub request_id: &'a str,
    /// The contact for errors that only an operator can resolve.
    pub support: Option<&'a str>,
    /// Whether only Clerk knows the caller (`MIRROR=off`).
    pub needs_clerk: bool,
    /// Whether a person sees the response as a page in a browser.
    pub sees_pages: bool,
}

impl EnsureResponse {
    /// The HTTP response. It must not be cached: it is about one caller at one time.
    pub fn response(self, asker: &ResponseContext<'_>) -> Response<Body> {
        let mut response = match self {
            EnsureResponse::Ensured(ensured) => {
                reply::json(if ensured.created.is_empty() { 200 } else { 201 }, &*ensured)
            }
            EnsureResponse::Redirect { to, cookie } => redirect(&to, &cookie),
            EnsureResponse::Prefetch => prefetch(),
            EnsureResponse::Problem(problem) => problem_response(&problem, asker),
        };
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

fn problem_response(problem: &Problem, asker: &ResponseContext<'_>) -> Response<Body> {
    let support = asker.support.filter(|_| HELPED_BY_SUPPORT.contains(&problem.code));
    let mut response = if asker.sees_pages {
        // The log has the reason, which only an engineer can use.
        let detail = if problem.status == 401 { problems::FOR_USERS } else { problem.detail };
        let problem = &Problem { detail, ..*problem };
        reply::problem_page(problem, asker.request_id, support)
    } else {
        reply::problem_with_support(problem, asker.request_id, support)
    };
    let header: Option<(HeaderName, HeaderValue)> = match problem.status {
        401 => Some((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
        503 => Some((RETRY_AFTER, if asker.needs_clerk { NEXT_QUESTION } else { SOON })),
        _ => None,
    };
    response.headers_mut().extend(header);
    response
}

/// Not a success: a browser would show the response to a prefetch instead of the page. Browsers and frameworks repeat
/// the request when the user clicks.
fn prefetch() -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = http::StatusCode::FORBIDDEN;
    response
}

fn redirect(to: &Url, cookie: &str) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = http::StatusCode::SEE_OTHER;
    // A serialised URL is ASCII without white space, and so is the cookie.
    for (name, value) in [(LOCATION, to.as_str()), (SET_COOKIE, cookie)] {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// The response to a caller without a session.
pub fn no_session(refused: &NoSession) -> EnsureResponse {
    EnsureResponse::Problem(refused.problem())
}

/// The response to a caller whom admission rejects.
pub fn refusal(refusal: Refusal) -> EnsureResponse {
    EnsureResponse::Problem(refusal.problem())
}

/// The problem of a browser that cannot be redirected.
pub const fn sync_problem(refusal: redirect::Refusal) -> Problem {
    match refusal {
        redirect::Refusal::Target => REDIRECT_NOT_ALLOWED,
        redirect::Refusal::Loop => SYNC_LOOP,
    }
}

/// The response after a failed store operation.
pub fn store(failure: &StoreError) -> EnsureResponse {
    EnsureResponse::Problem(match failure {
        StoreError::Unavailable(..) => UNAVAILABLE,
        StoreError::Rejected(..) | StoreError::Unreadable(_) => BROKEN,
    })
}

/// The codes of problems that only an operator can resolve.
const HELPED_BY_SUPPORT: [&str; 6] = [
    Refusal::Banned.code(),
    Refusal::Deprovisioned.code(),
    Refusal::NotSynced.code(),
    SYNC_LOOP.code,
    UNAVAILABLE.code,
    BROKEN.code,
];

/// Every problem of this function, besides those of sessions and of denied callers.
pub const PROBLEMS: &[Problem] = &[NOT_FOUND, EMAIL_MISSING, UNAVAILABLE, BROKEN, REDIRECT_NOT_ALLOWED, SYNC_LOOP];

/// The route is not one of this function.
pub const NOT_FOUND: Problem = Problem {
    status: 404,
    code: "route_not_found",
    title: "No such route",
    detail: "The available routes are POST /profiles/ensure and GET /sync.",
};
/// A user on `/sync` has neither an e-mail address nor a phone number.
pub const EMAIL_MISSING: Problem = Problem {
    status: 422,
    code: "email_missing",
    title: "No e-mail address and no phone number",
    detail: "Your account has no primary e-mail address and no phone number. Add an e-mail address or a phone number, \
             then come back.",
};
/// DynamoDB does not respond, or not in time.
pub const UNAVAILABLE: Problem = Problem {
    status: 503,
    code: "unavailable",
    title: "Temporarily unavailable",
    detail: "The database is unavailable or did not respond in time. No data were lost. Try again in a few seconds. \
             If the problem persists, an operator can find the cause in the function's log under this request id.",
};
const BROKEN: Problem = Problem {
    status: 500,
    code: "internal_error",
    title: "Internal error",
    detail: "A retry will not help. An operator can find the cause in the function's log under this request id.",
};
const REDIRECT_NOT_ALLOWED: Problem = Problem {
    status: 400,
    code: "redirect_not_allowed",
    title: "Redirect not allowed",
    detail: "redirect_url must have an origin in ALLOWED_ORIGINS and must not point to /sync.",
};
const SYNC_LOOP: Problem = Problem {
    status: 508,
    code: "sync_loop",
    title: "Too many redirects",
    detail: "The page has redirected you here several times within 90 seconds. Wait a moment, then open the page \
             again. If the problem persists, contact support: the session claims may lack dbId and role (see \
             docs/frontend.md).",
};
