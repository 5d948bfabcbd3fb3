//! Svix's signature scheme, checked by Svix's crate on the raw bytes, with the tolerance held against a given moment.

use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderMap;
use secrecy::{ExposeSecret, SecretString};
use svix::webhooks::Webhook;
use thiserror::Error;

use super::signing_secrets;
use super::signing_secrets::InvalidSecret;
use crate::adapters::clerk::secrets::{Secret, Secrets};
use crate::core::controls::{Invariant, guards};
use crate::core::id::DeliveryId;
use crate::core::millis::Millis;
use crate::settings::variables::CLERK_WEBHOOK_SECRET;

/// How far the attempt's time may lie from now, either way, in seconds. Source: Standard Webhooks specification; Svix's
/// libraries.
pub const TOLERANCE_SECONDS: u64 = 300;

/// Accepts messages signed with one of several secrets: Clerk rotates by a second endpoint, whose deliveries overlap
/// with the first one's.
#[derive(Debug)]
pub struct SvixSignature {
    secrets: Vec<Webhook>,
}

/// Why a message is not to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Untrusted {
    /// A header of the signature is missing or unreadable.
    #[error("a signature header is missing or malformed")]
    Headers,
    /// No secret made this signature over these bytes.
    #[error("no signature matches the body")]
    Signature,
    /// Signed, but too long ago or too far in the future.
    #[error("the signature's timestamp is outside the tolerance")]
    Stale,
}

impl SvixSignature {
    /// Reads one or several secrets, separated by white space.
    ///
    /// # Errors
    ///
    /// [`InvalidSecret`] if there is none, or one of them is not base64.
    pub fn new(secrets: &str) -> Result<SvixSignature, InvalidSecret> {
        Ok(SvixSignature { secrets: signing_secrets::read(secrets)? })
    }

    /// Whether one of the secrets signed exactly these bytes within the tolerance; then the message's id.
    ///
    /// # Errors
    ///
    /// [`Untrusted`]; nothing of the body has been looked at then.
    pub fn verify(&self, body: &[u8], headers: &HeaderMap, now: Millis) -> Result<DeliveryId, Untrusted> {
        let (id, timestamp) = (header(headers, "id")?, header(headers, "timestamp")?);
        header(headers, "signature")?;
        let delivery: DeliveryId = id.parse().map_err(|_| Untrusted::Headers)?;
        let timestamp: i64 = timestamp.parse().map_err(|_| Untrusted::Headers)?;
        // The signature goes first: a stale time says something only if it was signed.
        let is_signed = self.secrets.iter().any(|secret| secret.verify_ignoring_timestamp(body, headers).is_ok());
        if !is_signed && guards(Invariant::I9) {
            return Err(Untrusted::Signature);
        }
        let seconds = now.get() / 1000;
        match u64::try_from(timestamp) {
            Ok(timestamp) if timestamp.abs_diff(seconds) <= TOLERANCE_SECONDS => Ok(delivery),
            _ => Err(Untrusted::Stale),
        }
    }
}

/// The signature of secrets that may change while they are in use.
#[derive(Debug)]
pub struct Signatures {
    secret: Secret,
    parsed: Mutex<(SecretString, Arc<SvixSignature>)>,
}

impl Signatures {
    /// Reads one or several secrets, as [`SvixSignature::new`].
    ///
    /// # Errors
    ///
    /// [`InvalidSecret`].
    pub fn new(secrets: &str) -> Result<Signatures, InvalidSecret> {
        let (signature, text) = (SvixSignature::new(secrets)?, SecretString::from(secrets));
        Ok(Signatures { secret: text.clone().into(), parsed: Mutex::new((text, Arc::new(signature))) })
    }

    /// Goes on with what Secrets Manager holds.
    pub fn follow(&mut self, secrets: Option<&Arc<Secrets>>) {
        self.secret.follow(secrets, &CLERK_WEBHOOK_SECRET);
    }

    /// Verifies as [`SvixSignature::verify`], and once more if what refuses has been replaced.
    ///
    /// # Errors
    ///
    /// [`Untrusted`].
    pub async fn verify(&self, body: &[u8], headers: &HeaderMap, now: Millis) -> Result<DeliveryId, Untrusted> {
        let text = self.secret.current().await;
        match self.verifier_for(&text).verify(body, headers, now) {
            Err(Untrusted::Signature) => {}
            verdict => return verdict,
        }
        let newer = self.secret.after_refusal(&text).await.ok_or(Untrusted::Signature)?;
        self.verifier_for(&newer).verify(body, headers, now)
    }

    /// Parsed once, as long as the text stays the same. One that is none is not followed: the one before stays.
    fn verifier_for(&self, text: &SecretString) -> Arc<SvixSignature> {
        let mut parsed = self.parsed.lock().unwrap_or_else(PoisonError::into_inner);
        if parsed.0.expose_secret() != text.expose_secret()
            && let Ok(signature) = SvixSignature::new(text.expose_secret())
        {
            *parsed = (text.clone(), Arc::new(signature));
        }
        parsed.1.clone()
    }
}

/// A header under Svix's name or the Standard Webhooks one, in the order in which Svix's crate looks.
fn header<'a>(headers: &'a HeaderMap, part: &str) -> Result<&'a str, Untrusted> {
    let value = headers.get(format!("svix-{part}")).or_else(|| headers.get(format!("webhook-{part}")));
    value.and_then(|value| value.to_str().ok()).filter(|value| !value.is_empty()).ok_or(Untrusted::Headers)
}
