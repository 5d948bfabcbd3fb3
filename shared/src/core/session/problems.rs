//! What a caller without a good session is told: which rule the token breaks, and what to do. Never the token.

use super::claims::Rejection;
use crate::core::problem::Problem;

/// The request came with a cookie and may change something, but from a page of another site.
pub const ORIGIN_NOT_ALLOWED: Problem = Problem {
    status: 403,
    code: "origin_not_allowed",
    title: "Origin not allowed",
    detail: "A session cookie is accepted from the sites in ALLOWED_ORIGINS only. Call from one of them, or send the \
             token as Authorization: Bearer.",
};

/// Nobody can be let in, as the keys to check tokens with cannot be had.
pub const KEYS_UNAVAILABLE: Problem = Problem {
    status: 503,
    code: "session_keys_unavailable",
    title: "Sessions cannot be verified now",
    detail: "The keys of the Clerk instance cannot be fetched. Try again in a few seconds.",
};

/// What somebody who looks at a page can do about any of these.
pub const FOR_USERS: &str = "You are not signed in here, or your session could not be confirmed. Go back to the \
                             application, sign in, and try again.";

/// The problem of a rejected token.
pub fn problem(rejection: Rejection) -> Problem {
    let detail = match rejection {
        Rejection::Missing => "Send Clerk's session token as Authorization: Bearer, or call with the session cookie.",
        Rejection::Malformed => "What was sent as a session token is not a JWT. Send what Clerk's getToken() returns.",
        Rejection::Algorithm => "Session tokens are signed by RS256. Do not use a token of a custom template.",
        Rejection::UnknownKey => "The token is signed with a key that the Clerk instance does not publish.",
        Rejection::Signature => "The token's signature does not match. Get a new token from Clerk.",
        Rejection::Type => "This is not a session token. Send what Clerk's getToken() returns, without a template.",
        Rejection::Category => {
            "This token was signed for another purpose than a session. Send what Clerk's getToken() returns, without a \
             template."
        }
        Rejection::Critical => "The token's header has `crit`, which session tokens never have.",
        Rejection::SessionId => {
            "The token has no session id (sid), so it is no session token. Send what Clerk's getToken() returns, without \
             a template."
        }
        Rejection::Ambiguous => {
            "The browser sent session cookies of different users under one name. Delete the site's cookies and sign in \
             again."
        }
        Rejection::Machine => "A machine token stands for no user. Send a user's session token.",
        Rejection::Subject => "The token names no user.",
        Rejection::Expired => "The token has expired. Get a new one from Clerk: they last a minute.",
        Rejection::NotYetValid => "The token is not valid yet. Check the clocks.",
        Rejection::IssuedInFuture => "The token was issued in the future. Check the clocks.",
        Rejection::Issuer => {
            "The token's issuer (iss) is not listed in CLERK_ISSUER. Either the token is of another Clerk instance, or the \
             Frontend API is proxied or the site is a satellite domain: then add the token's iss to CLERK_ISSUER."
        }
        Rejection::AuthorizedParty => {
            "The token was not made for a site in ALLOWED_ORIGINS. Tokens that name no site need ALLOW_MISSING_AZP."
        }
        Rejection::Pending => "The user has yet to finish signing in, for example to choose an organization.",
    };
    Problem { status: 401, code: rejection.code(), title: "Not signed in", detail }
}
