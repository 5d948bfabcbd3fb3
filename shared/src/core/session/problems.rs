//! Error texts for callers without a valid session: the violated rule, and what to do. They never contain the token.

use super::claims::Rejection;
use crate::core::problem::Problem;

/// The request has a session cookie and may change something, but comes from a page of another site.
pub const ORIGIN_NOT_ALLOWED: Problem = Problem {
    status: 403,
    code: "origin_not_allowed",
    title: "Origin not allowed",
    detail: "Session cookies are accepted only from the sites in ALLOWED_ORIGINS. Call from one of these sites, or \
             send the token as Authorization: Bearer.",
};

/// No caller can be authenticated, because the signing keys cannot be fetched.
pub const KEYS_UNAVAILABLE: Problem = Problem {
    status: 503,
    code: "session_keys_unavailable",
    title: "Sessions temporarily cannot be verified",
    detail: "The signing keys of the Clerk instance cannot be fetched. Try again in a few seconds.",
};

/// What the user of a page can do about any of these.
pub const FOR_USERS: &str = "You are not signed in, or your session could not be verified. Go back to the \
                             application, sign in and try again.";

/// The problem of a rejected token.
pub fn problem(rejection: Rejection) -> Problem {
    let detail = match rejection {
        Rejection::Missing => "Send Clerk's session token as Authorization: Bearer or as the session cookie.",
        Rejection::Malformed => "The session token is not a JWT. Send the token that Clerk's getToken() returns.",
        Rejection::Algorithm => {
            "Session tokens must be signed with RS256. Do not use a token from a custom JWT \
                                 template."
        }
        Rejection::UnknownKey => {
            "The token is signed with a key that the Clerk instance does not publish. Get a new \
                                  token from the Clerk instance of this application."
        }
        Rejection::Signature => "The token's signature does not match. Get a new token from Clerk.",
        Rejection::Type => {
            "The token is not a session token. Send the token that Clerk's getToken() returns without \
                            a template."
        }
        Rejection::Category => {
            "The token was not issued for a session. Send the token that Clerk's getToken() returns without a template."
        }
        Rejection::Critical => "The token's header contains `crit`, which is not allowed in session tokens.",
        Rejection::SessionId => {
            "The token has no session id (sid) and is not a session token. Send the token that Clerk's getToken() \
             returns without a template."
        }
        Rejection::Ambiguous => {
            "The request contains session cookies of different users with the same name. Delete the cookies of the \
             site and sign in again."
        }
        Rejection::Machine => "Machine tokens are not accepted. Send the session token of a user.",
        Rejection::Subject => "The token contains no user id (sub).",
        Rejection::Expired => {
            "The token has expired. Get a new token from Clerk; a session token is valid for one minute."
        }
        Rejection::NotYetValid => {
            "The token is not valid yet (claim nbf). Try again in a few seconds. If that fails, correct the clock of \
             this server."
        }
        Rejection::IssuedInFuture => "The token was issued in the future. Check the system clocks.",
        Rejection::Issuer => {
            "The token's issuer (iss) is not in CLERK_ISSUER. If the token belongs to this Clerk instance (proxied \
             Frontend API or satellite domain), add the iss to CLERK_ISSUER."
        }
        Rejection::AuthorizedParty => {
            "The token was not issued for a site in ALLOWED_ORIGINS. Tokens without an azp claim require \
             ALLOW_MISSING_AZP."
        }
        Rejection::Pending => {
            "The sign-in is not complete. The user must finish the remaining steps, for example \
                               choose an organization."
        }
    };
    Problem { status: 401, code: rejection.code(), title: "Not signed in", detail }
}
