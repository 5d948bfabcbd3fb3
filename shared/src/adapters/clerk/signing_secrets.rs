//! Parses the signing secrets of webhooks.

use svix::webhooks::Webhook;
use thiserror::Error;

/// A text that is not a signing secret.
#[derive(Debug, Error)]
#[error("a signing secret must be whsec_ followed by base64")]
pub struct InvalidSecret;

/// Reads one or several secrets, separated by white space.
///
/// # Errors
///
/// [`InvalidSecret`] if there is no secret, or one of them is not base64.
pub fn read(secrets: &str) -> Result<Vec<Webhook>, InvalidSecret> {
    let secrets: Result<Vec<_>, _> = secrets.split_whitespace().map(Webhook::new).collect();
    let secrets = secrets.map_err(|_| InvalidSecret)?;
    if secrets.is_empty() { Err(InvalidSecret) } else { Ok(secrets) }
}
