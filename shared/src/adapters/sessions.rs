//! Who calls: the session of an HTTP request, verified, or the problem to answer with.

use ::http::HeaderMap;
use ::http::header::{AUTHORIZATION, ORIGIN};
use lambda_http::Request;

use super::http;
use super::session_tokens::{PublicKey, Refused, SessionTokens};
use crate::core::millis::Millis;
use crate::core::problem::Problem;
use crate::core::session::{Rejection, Rules, SKEW_SECONDS, Session};
use crate::core::session_problems::{self, KEYS_UNAVAILABLE, ORIGIN_NOT_ALLOWED};
use crate::core::settings::{
    ALLOW_MISSING_AZP, ALLOWED_ORIGINS, CLERK_ISSUER, CLERK_JWKS_URL, CLERK_JWT_KEY, Reader, boolean, http_url, issuer,
    origins, pem,
};

/// Clerk's cookie; a development instance and every further one on the same site add `_` and a suffix.
const SESSION_COOKIE: &str = "__session";
/// Cookies that are looked at. A browser has one for each instance that it knows on this site.
const MOST_COOKIES: usize = 8;

/// Verifies the sessions of one instance.
#[derive(Debug)]
pub struct Sessions {
    tokens: SessionTokens,
    origins: Vec<String>,
}

/// Why a caller is nobody.
#[derive(Debug)]
pub enum NoSession {
    /// No token, or a bad one.
    Refused(Refused),
    /// A cookie from a page of another site, on a request that may change something.
    ForeignOrigin,
}

impl NoSession {
    /// What the caller is told.
    #[must_use]
    pub fn problem(&self) -> Problem {
        match self {
            NoSession::Refused(Refused::Rejected(rejection)) => session_problems::problem(*rejection),
            NoSession::Refused(Refused::KeysUnavailable(_)) => KEYS_UNAVAILABLE,
            NoSession::ForeignOrigin => ORIGIN_NOT_ALLOWED,
        }
    }
}

impl Sessions {
    /// Reads the settings of sessions; nothing if one is missing or malformed, which the reader remembers.
    pub fn read(reader: &mut Reader<'_>) -> Option<Sessions> {
        let issuer = reader.read(&CLERK_ISSUER, issuer);
        let jwks = reader.read(&CLERK_JWKS_URL, http_url);
        let key = reader.read(&CLERK_JWT_KEY, |text| PublicKey::from_pem(&pem(text)).ok());
        let origins = reader.read(&ALLOWED_ORIGINS, origins);
        let allow_missing_azp = reader.read(&ALLOW_MISSING_AZP, boolean).unwrap_or(false);
        let (issuer, origins) = (issuer?, origins?);
        let jwks = jwks.or_else(|| http_url(&format!("{issuer}/.well-known/jwks.json")))?;
        let rules = Rules { issuer, origins: origins.clone(), allow_missing_azp, skew_seconds: SKEW_SECONDS };
        let tokens = match key {
            None => SessionTokens::with_jwks(rules, jwks),
            Some(key) => SessionTokens::with_key(rules, key),
        };
        Some(Sessions { tokens, origins })
    }

    /// The sites whose sessions are accepted.
    #[must_use]
    pub fn origins(&self) -> &[String] {
        &self.origins
    }

    /// Who sends a request at the moment `now`: by `Authorization: Bearer`, else by Clerk's cookie.
    ///
    /// # Errors
    ///
    /// [`NoSession`]; the token is in no part of it.
    pub async fn of(&self, request: &Request, now: Millis) -> Result<Session, NoSession> {
        let headers = request.headers();
        if let Some(token) = bearer(headers) {
            return self.tokens.verify(token, now).await.map_err(NoSession::Refused);
        }
        let candidates = session_cookies(headers);
        if !candidates.is_empty() && !request.method().is_safe() && !self.is_from_allowed_origin(headers) {
            return Err(NoSession::ForeignOrigin);
        }
        let mut first = None;
        for token in candidates {
            match self.tokens.verify(token, now).await {
                Ok(session) => return Ok(session),
                Err(refused) => first = first.or(Some(refused)),
            }
        }
        Err(NoSession::Refused(first.unwrap_or(Refused::Rejected(Rejection::Missing))))
    }

    /// A browser adds an `Origin` to every request that may change something.
    fn is_from_allowed_origin(&self, headers: &HeaderMap) -> bool {
        let mut origins = headers.get_all(ORIGIN).iter().map(|origin| origin.to_str().unwrap_or_default());
        let origin = origins.next().filter(|_| origins.next().is_none());
        origin.is_some_and(|origin| self.origins.iter().any(|allowed| allowed == origin))
    }
}

/// The token of `Authorization: Bearer`. Other schemes are for somebody else.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// The tokens in Clerk's cookies, those with a suffix first: the bare name may be left over from an older sign-in, or
/// belong to another instance on the same site.
fn session_cookies(headers: &HeaderMap) -> Vec<&str> {
    let is_session = |(name, value): &(&str, &str)| {
        let rest = name.strip_prefix(SESSION_COOKIE);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_')) && !value.is_empty()
    };
    let mut found: Vec<(&str, &str)> = http::cookies(headers).filter(is_session).collect();
    found.sort_by_key(|(name, _)| name.len() == SESSION_COOKIE.len());
    found.into_iter().map(|(_, token)| token).take(MOST_COOKIES).collect()
}
