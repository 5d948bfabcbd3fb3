//! Authenticates the caller of an HTTP request by the session token.

use ::http::HeaderMap;
use ::http::header::{AUTHORIZATION, ORIGIN};
use lambda_http::Request;

use super::session_tokens::{PublicKey, SessionTokens, TokenRejected};
use crate::adapters::lambda::http;
use crate::core::millis::Millis;
use crate::core::problem::Problem;
use crate::core::session::claims::{Rejection, Rules, SKEW_SECONDS, Session, Visit};
use crate::core::session::cookies::{PublishableKey, SessionCookies};
use crate::core::session::origins::Origins;
use crate::core::session::problems;
use crate::core::session::problems::{KEYS_UNAVAILABLE, ORIGIN_NOT_ALLOWED};
use crate::settings::variables::{
    ALLOW_MISSING_AZP, ALLOWED_ORIGINS, CLERK_ISSUER, CLERK_JWKS_URL, CLERK_JWT_KEY, CLERK_PUBLISHABLE_KEY, Reader,
    Variable, boolean, http_url, issuers, jwks_url, pem,
};

/// Verifies the session tokens of one instance.
#[derive(Debug)]
pub struct Sessions {
    tokens: SessionTokens,
    origins: Origins,
    cookies: SessionCookies,
}

/// Why a request has no session.
#[derive(Debug)]
pub enum NoSession {
    /// The token is missing or rejected.
    Rejected(TokenRejected),
    /// The session cookie came from a page of another site, with a request that may change something.
    ForeignOrigin,
}

impl NoSession {
    /// The problem for the response.
    pub fn problem(&self) -> Problem {
        match self {
            NoSession::Rejected(TokenRejected::Rule(rejection)) => problems::problem(*rejection),
            NoSession::Rejected(TokenRejected::KeysUnavailable(_)) => KEYS_UNAVAILABLE,
            NoSession::ForeignOrigin => ORIGIN_NOT_ALLOWED,
        }
    }
}

impl Sessions {
    /// The variables of this group.
    pub const VARIABLES: [Variable; 6] =
        [CLERK_ISSUER, CLERK_JWKS_URL, CLERK_JWT_KEY, CLERK_PUBLISHABLE_KEY, ALLOWED_ORIGINS, ALLOW_MISSING_AZP];

    /// Reads the settings of sessions; nothing if one is missing or malformed, which the reader notes.
    pub fn read(reader: &mut Reader<'_>) -> Option<Sessions> {
        let issuers = reader.read(&CLERK_ISSUER, issuers);
        let publishable = reader.read(&CLERK_PUBLISHABLE_KEY, PublishableKey::parse);
        let jwks = reader.read(&CLERK_JWKS_URL, jwks_url);
        let key = reader.read(&CLERK_JWT_KEY, |text| PublicKey::from_pem(&pem(text)).ok());
        let origins = reader.read(&ALLOWED_ORIGINS, Origins::parse);
        let allow_missing_azp = reader.read(&ALLOW_MISSING_AZP, boolean).unwrap_or(false);
        let (issuers, origins) = (issuers?, origins?);
        let jwks = jwks.or_else(|| http_url(&format!("{}/.well-known/jwks.json", issuers.first()?)))?;
        let of_issuers = || SessionCookies::of_issuers(&issuers);
        let cookies = publishable.as_ref().map_or_else(of_issuers, SessionCookies::of_key);
        let rules = Rules { issuers, origins: origins.clone(), allow_missing_azp, skew_seconds: SKEW_SECONDS };
        let tokens = match key {
            None => SessionTokens::with_jwks(rules, jwks),
            Some(key) => SessionTokens::with_key(rules, key),
        };
        Some(Sessions { tokens, origins, cookies })
    }

    /// The allowed origins.
    pub fn origins(&self) -> &Origins {
        &self.origins
    }

    /// The session of a request at the time `now`: by `Authorization: Bearer`, else by Clerk's cookie.
    ///
    /// # Errors
    ///
    /// [`NoSession`]; it never contains the token.
    pub async fn verify(&self, request: &Request, visit: Visit, now: Millis) -> Result<Session, NoSession> {
        self.verify_headers(request.headers(), request.method().is_safe(), visit, now).await
    }

    /// The same, where only the headers are known and whether the request's method is safe.
    ///
    /// # Errors
    ///
    /// [`NoSession`]; it never contains the token.
    pub async fn verify_headers(
        &self,
        headers: &HeaderMap,
        is_safe: bool,
        visit: Visit,
        now: Millis,
    ) -> Result<Session, NoSession> {
        if let Some(token) = bearer(headers) {
            return self.tokens.verify(token, now).await.map_err(NoSession::Rejected);
        }
        let candidates = self.cookies.candidates(http::cookies(headers));
        if !candidates.is_empty() && !is_safe && !self.is_from_allowed_origin(headers) {
            return Err(NoSession::ForeignOrigin);
        }
        let rejected = |rejection| Err(NoSession::Rejected(TokenRejected::Rule(rejection)));
        let (mut found, mut refused): (Option<Session>, _) = (None, None);
        for token in candidates {
            match (self.tokens.verify_on(visit, token, now).await, &found) {
                (Ok(session), None) => found = Some(session),
                // A page of a sibling subdomain can set a cookie of the same name, so it is unknown which session is
                // the user's.
                (Ok(session), Some(newer)) if session.user != newer.user => return rejected(Rejection::Ambiguous),
                (Ok(_), Some(_)) => {}
                (Err(reason), _) => refused = refused.or(Some(reason)),
            }
        }
        match (found, refused) {
            (Some(session), _) => Ok(session),
            (None, Some(refused)) => Err(NoSession::Rejected(refused)),
            (None, None) => rejected(Rejection::Missing),
        }
    }

    /// The session of the value of an `Authorization` header, where nothing else of the request is known. The word `Bearer`
    /// may be missing: AppSync's clients leave it out.
    ///
    /// # Errors
    ///
    /// [`NoSession`]; it never contains the token.
    pub async fn verify_authorization(&self, value: &str, now: Millis) -> Result<Session, NoSession> {
        let alone = || Some(value.trim()).filter(|token| !token.is_empty() && !token.contains(char::is_whitespace));
        let token = bearer_token(value).or_else(alone);
        let token = token.ok_or(NoSession::Rejected(TokenRejected::Rule(Rejection::Missing)))?;
        self.tokens.verify(token, now).await.map_err(NoSession::Rejected)
    }

    /// Whether a request has a token in `Authorization: Bearer`, which counts before every cookie.
    pub fn has_bearer(request: &Request) -> bool {
        bearer(request.headers()).is_some()
    }

    /// A browser adds an `Origin` to every request that may change something.
    fn is_from_allowed_origin(&self, headers: &HeaderMap) -> bool {
        let mut origins = headers.get_all(ORIGIN).iter().map(|origin| origin.to_str().unwrap_or_default());
        let origin = origins.next().filter(|_| origins.next().is_none());
        origin.is_some_and(|origin| self.origins.allow(origin))
    }
}

/// The token of `Authorization: Bearer`. Other schemes are ignored.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    bearer_token(headers.get(AUTHORIZATION)?.to_str().ok()?)
}

fn bearer_token(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}
