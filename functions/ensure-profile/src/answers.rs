//! Everything that ensure-profile may answer: JSON to a frontend, pages and redirects to a browser that was sent to
//! `/sync`.

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

/// Seconds.
const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("2");

#[derive(Debug)]
pub enum EnsureResponse {
    /// What the caller has.
    Ensured(Box<Ensured>),
    /// The browser goes there.
    Redirect {
        to: Url,
        /// What remembers this pass.
        cookie: String,
    },
    /// A request ahead of a click, which is neither answered nor counted.
    Prefetch,
    Problem(Problem),
}

/// For whom the answer is.
#[derive(Clone, Copy, Debug)]
pub struct ResponseContext<'a> {
    /// The id of the request.
    pub request_id: &'a str,
    /// Whom callers may turn to.
    pub support: Option<&'a str>,
    /// Whether somebody looks at it in a browser.
    pub sees_pages: bool,
}

impl EnsureResponse {
    /// The HTTP response. Nothing of it may be cached: it is about one person, now.
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
        // The reason is in the log, and means something to an engineer alone.
        let detail = if problem.status == 401 { problems::FOR_USERS } else { problem.detail };
        let problem = &Problem { detail, ..*problem };
        reply::problem_page(problem, asker.request_id, support)
    } else {
        reply::problem_with_support(problem, asker.request_id, support)
    };
    let header: Option<(HeaderName, HeaderValue)> = match problem.status {
        401 => Some((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
        503 => Some((RETRY_AFTER, RETRY_SECONDS)),
        _ => None,
    };
    response.headers_mut().extend(header);
    response
}

/// No success: a browser would show the answer to a prefetch in the place of the page. Browsers and frameworks ask again
/// when the user clicks.
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

/// The answer to a caller without a session.
pub fn no_session(refused: &NoSession) -> EnsureResponse {
    EnsureResponse::Problem(refused.problem())
}

/// The answer to a caller who is turned away.
pub fn refusal(refusal: Refusal) -> EnsureResponse {
    EnsureResponse::Problem(refusal.problem())
}

/// The answer to a browser that cannot be sent back.
pub fn sync_refusal(refusal: redirect::Refusal) -> EnsureResponse {
    EnsureResponse::Problem(match refusal {
        redirect::Refusal::Target => REDIRECT_NOT_ALLOWED,
        redirect::Refusal::Loop => SYNC_LOOP,
    })
}

/// The answer to a failed store operation.
pub fn store(failure: &StoreError) -> EnsureResponse {
    EnsureResponse::Problem(match failure {
        StoreError::Unavailable(..) => UNAVAILABLE,
        StoreError::Refused(..) | StoreError::Unreadable(_) => BROKEN,
    })
}

/// Problems about which only an operator can do something, by their codes.
const HELPED_BY_SUPPORT: [&str; 6] = [
    Refusal::Banned.code(),
    Refusal::Deprovisioned.code(),
    Refusal::NotSynced.code(),
    SYNC_LOOP.code,
    UNAVAILABLE.code,
    BROKEN.code,
];

/// Not a route of this function.
pub const NOT_FOUND: Problem = Problem {
    status: 404,
    code: "route_not_found",
    title: "No such route",
    detail: "There are POST /profiles/ensure and GET /sync.",
};
/// Whoever comes to `/sync` without an e-mail address and without a phone number.
pub const EMAIL_MISSING: Problem = Problem {
    status: 422,
    code: "email_missing",
    title: "No e-mail address and no phone number",
    detail: "Your account has no primary e-mail address. Add one, or a phone number, then come back.",
};
/// The store does not answer, or not in time.
pub const UNAVAILABLE: Problem = Problem {
    status: 503,
    code: "unavailable",
    title: "Temporarily unavailable",
    detail: "The database cannot be reached, or does not answer in time. Nothing is lost: try again in a few seconds. If \
             it lasts, an operator finds the cause in the function's log under this request id.",
};
const BROKEN: Problem = Problem {
    status: 500,
    code: "internal_error",
    title: "Internal error",
    detail: "Something is wrong that trying again will not mend. The function's log tells an operator what, under this \
             request id.",
};
const REDIRECT_NOT_ALLOWED: Problem = Problem {
    status: 400,
    code: "redirect_not_allowed",
    title: "Redirect not allowed",
    detail: "redirect_url must lead to a page of one of the sites in ALLOWED_ORIGINS, and not back to this route.",
};
const SYNC_LOOP: Problem = Problem {
    status: 508,
    code: "sync_loop",
    title: "Sent round in circles",
    detail: "Your account was synchronised several times within a minute and a half, and the page sent you here again. \
             Wait a moment and open the page anew. If it lasts, contact support: the session's claims may lack dbId and \
             role (docs/frontend.md says how to add them).",
};
