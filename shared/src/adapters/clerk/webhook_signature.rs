//! Verifies Svix's signatures with Svix's crate on the raw bytes; the tolerance of the timestamp is checked against a
//! given time.

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

/// The maximum difference between the message's timestamp and the current time, in seconds, in both directions. Source:
/// Standard Webhooks specification; Svix's libraries.
pub const TOLERANCE_SECONDS: u64 = 300;

/// Accepts messages that one of several secrets has signed: a rotation in Clerk uses a second endpoint, whose
/// deliveries overlap with those of the first.
#[derive(Debug)]
pub struct SvixSignature {
    secrets: Vec<Webhook>,
}

/// Why a message is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Untrusted {
    /// A header of the signature is missing or unreadable.
    #[error("a signature header is missing or malformed")]
    Headers,
    /// None of the secrets made this signature for this body.
    #[error("no signature in svix-signature is valid for this body and the secrets in CLERK_WEBHOOK_SECRET")]
    Signature,
    /// The signature is valid, but its timestamp is too old or too far in the future.
    #[error("the signature's timestamp is outside the tolerance")]
    Stale,
}

impl SvixSignature {
    /// Reads one or several secrets, separated by white space.
    ///
    /// # Errors
    ///
    /// [`InvalidSecret`] if there is no secret, or one of them is not base64.
    pub fn new(secrets: &str) -> Result<SvixSignature, InvalidSecret> {
        Ok(SvixSignature { secrets: signing_secrets::read(secrets)? })
    }

    /// Verifies that one of the secrets signed exactly these bytes within the tolerance, and returns the message's id.
    ///
    /// # Errors
    ///
    /// [`Untrusted`]; the body is not parsed.
    pub fn verify(&self, body: &[u8], headers: &HeaderMap, now: Millis) -> Result<DeliveryId, Untrusted> {
        let (id, timestamp) = (header(headers, "id")?, header(headers, "timestamp")?);
        header(headers, "signature")?;
        let delivery: DeliveryId = id.parse().map_err(|_| Untrusted::Headers)?;
        let timestamp: i64 = timestamp.parse().map_err(|_| Untrusted::Headers)?;
        // The signature is checked first: a timestamp is reliable only if it is signed.
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

/// Verifies signatures with secrets that may change at run time.
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

    /// Uses the secrets from Secrets Manager from now on.
    pub fn follow(&mut self, secrets: Option<&Arc<Secrets>>) {
        self.secret.follow(secrets, &CLERK_WEBHOOK_SECRET);
    }

    /// Verifies as [`SvixSignature::verify`], and once more if the rejecting secrets have been replaced.
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

    /// Parsed once, as long as the text stays the same. If the new text is invalid, the previous secrets stay in use.
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

/// A header by Svix's name or by the name of Standard Webhooks, in the order in which Svix's crate reads them.
fn header<'a>(headers: &'a HeaderMap, part: &str) -> Result<&'a str, Untrusted> {
    let value = headers.get(format!("svix-{part}")).or_else(|| headers.get(format!("webhook-{part}")));
    value.and_then(|value| value.to_str().ok()).filter(|value| !value.is_empty()).ok_or(Untrusted::Headers)
}
