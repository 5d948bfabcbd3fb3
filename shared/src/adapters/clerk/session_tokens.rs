//! Verifies session tokens: the signature by `jsonwebtoken`, the claims by the rules of
//! [`crate::core::session::claims`].

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use reqwest::Url;
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;
use tokio::sync::Mutex;

use crate::adapters::tls::HttpsClient;
use crate::core::millis::Millis;
use crate::core::session::claims::{Claims, Header, Rejection, Rules, Session, Visit, check};

/// An unknown key causes at most one request in this many ms: the sender of a token chooses its `kid`.
const REFETCH_AFTER: u64 = 60_000;
/// If no keys have been fetched yet, the next attempt is made after this many ms: until then all callers are rejected.
const RETRY_AFTER: u64 = 2_000;
/// Fetched keys are fetched again after this many ms, so that a withdrawn key expires.
const KEYS_LAST: u64 = 5 * 60_000;
/// A caller waits for this.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Verifies session tokens of one instance.
#[derive(Debug)]
pub struct SessionTokens {
    rules: Rules,
    keys: Keys,
}

#[derive(Debug)]
enum Keys {
    /// One key from the settings: no request is needed.
    Given(Box<PublicKey>),
    /// The keys that the instance publishes.
    Jwks(Box<Jwks>),
}

#[derive(Debug)]
struct Jwks {
    url: Url,
    client: HttpsClient,
    published: Mutex<Published>,
}

#[derive(Debug, Default)]
struct Published {
    keys: HashMap<String, DecodingKey>,
    fetched_at: Option<Millis>,
    asked_at: Option<Millis>,
}

/// The public half of the key that signs an instance's sessions.
#[derive(Debug)]
pub struct PublicKey(DecodingKey);

impl PublicKey {
    /// Reads the PEM that Clerk's dashboard shows.
    ///
    /// # Errors
    ///
    /// [`InvalidKey`].
    pub fn from_pem(pem: &str) -> Result<PublicKey, InvalidKey> {
        DecodingKey::from_rsa_pem(pem.as_bytes()).map(PublicKey).map_err(|_| InvalidKey)
    }
}

/// The PEM contains no RSA public key.
#[derive(Debug, Error)]
#[error("a JWT key must be an RSA public key in PEM format, as shown in Clerk's dashboard")]
pub struct InvalidKey;

/// Why a token is not accepted.
#[derive(Debug, Error)]
pub enum TokenRejected {
    /// The token violates a rule.
    #[error(transparent)]
    Rule(#[from] Rejection),
    /// The keys that are needed to verify the token cannot be fetched now.
    #[error("the signing keys of the Clerk instance cannot be fetched")]
    KeysUnavailable(#[source] Option<reqwest::Error>),
}

impl SessionTokens {
    /// Verifies with one key, in PEM format.
    ///
    /// # Errors
    ///
    /// [`InvalidKey`].
    pub fn with_pem(rules: Rules, pem: &str) -> Result<SessionTokens, InvalidKey> {
        Ok(SessionTokens::with_key(rules, PublicKey::from_pem(pem)?))
    }

    /// Verifies with one key.
    pub fn with_key(rules: Rules, key: PublicKey) -> SessionTokens {
        SessionTokens { rules, keys: Keys::Given(Box::new(key)) }
    }

    /// Verifies with the keys that the instance publishes at `url`, fetched when they are first needed.
    pub fn with_jwks(rules: Rules, url: Url) -> SessionTokens {
        let client = HttpsClient::of(&url, TIMEOUT);
        SessionTokens { rules, keys: Keys::Jwks(Box::new(Jwks { url, client, published: Mutex::default() })) }
    }

    /// The session of a token at the time `now`.
    ///
    /// # Errors
    ///
    /// [`TokenRejected`]; it never contains the token.
    pub async fn verify(&self, token: &str, now: Millis) -> Result<Session, TokenRejected> {
        self.verify_on(Visit::Call, token, now).await
    }

    /// The session of a token at the time `now`, on this kind of request.
    ///
    /// # Errors
    ///
    /// [`TokenRejected`]; it never contains the token.
    pub async fn verify_on(&self, visit: Visit, token: &str, now: Millis) -> Result<Session, TokenRejected> {
        let header = read_header(token)?;
        if header.alg.as_deref() != Some("RS256") {
            return Err(Rejection::Algorithm.into());
        }
        let claims = match &self.keys {
            Keys::Given(key) => decode(token, &key.0)?,
            Keys::Jwks(jwks) => {
                let kid = header.kid.as_deref().ok_or(Rejection::UnknownKey)?;
                decode(token, &jwks.key(kid, now).await?)?
            }
        };
        Ok(check(&header, claims, &self.rules, visit, now)?)
    }
}

/// Checks only the signature: the library would check times with the machine's clock.
fn decode(token: &str, key: &DecodingKey) -> Result<Claims, Rejection> {
    let mut validation = Validation::new(Algorithm::RS256);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    let decoded = jsonwebtoken::decode::<Claims>(token, key, &validation);
    decoded.map(|decoded| decoded.claims).map_err(|error| match error.kind() {
        jsonwebtoken::errors::ErrorKind::InvalidSignature => Rejection::Signature,
        _ => Rejection::Malformed,
    })
}

/// The header for the rules: the library drops `cat`, and treats an unknown algorithm as malformed.
fn read_header(token: &str) -> Result<Header, Rejection> {
    let first = token.split('.').next().unwrap_or_default();
    let json = URL_SAFE_NO_PAD.decode(first).map_err(|_| Rejection::Malformed)?;
    serde_json::from_slice(&json).map_err(|_| Rejection::Malformed)
}

impl Jwks {
    async fn key(&self, kid: &str, now: Millis) -> Result<DecodingKey, TokenRejected> {
        // Locked while fetching: all callers that need the same keys wait for one request.
        let mut published = self.published.lock().await;
        let is_over = |at: Option<Millis>, limit| at.is_none_or(|at| now.since(at) >= limit);
        let is_wanted = !published.keys.contains_key(kid) || is_over(published.fetched_at, KEYS_LAST);
        let pause = if published.fetched_at.is_none() { RETRY_AFTER } else { REFETCH_AFTER };
        if is_wanted && is_over(published.asked_at, pause) {
            published.asked_at = Some(now);
            match self.fetch().await {
                Ok(keys) if !keys.is_empty() => (published.keys, published.fetched_at) = (keys, Some(now)),
                // Every instance has a key, so this response is wrong.
                Ok(_) => tracing::warn!("the JWKS of the Clerk instance contains no usable RSA key"),
                // The previous keys are better than rejecting all callers.
                Err(error) if published.fetched_at.is_some() => {
                    let error = error.without_url();
                    tracing::warn!(%error, "Clerk's signing keys cannot be fetched; the previous keys stay in use");
                }
                Err(error) => return Err(TokenRejected::KeysUnavailable(Some(error.without_url()))),
            }
        }
        match published.keys.get(kid) {
            Some(key) => Ok(key.clone()),
            None if published.fetched_at.is_none() => Err(TokenRejected::KeysUnavailable(None)),
            None => Err(Rejection::UnknownKey.into()),
        }
    }

    async fn fetch(&self) -> Result<HashMap<String, DecodingKey>, reqwest::Error> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = self.client.get()?.get(self.url.clone()).send().await?.error_for_status()?.json().await?;
        // An unreadable key does not affect the others.
        let keys = set.keys.into_iter().filter_map(|key| {
            let key: Jwk = serde_json::from_value(key).ok()?;
            let AlgorithmParameters::RSA(_) = key.algorithm else { return None };
            Some((key.common.key_id.clone()?, DecodingKey::from_jwk(&key).ok()?))
        });
        Ok(keys.collect())
    }
}
