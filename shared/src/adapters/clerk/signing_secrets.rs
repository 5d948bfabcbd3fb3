//! Parses the signing secrets of webhooks.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use svix::webhooks::Webhook;
use thiserror::Error;

/// Svix's secrets have 24 bytes. A shorter one than this can be guessed, or is the stand-in of a guide.
const LEAST_BYTES: usize = 16;

/// A text that is not a signing secret.
#[derive(Debug, Error)]
#[error("a signing secret must be whsec_ followed by base64")]
pub struct InvalidSecret;

/// Reads one or several secrets, separated by white space. A stand-in is valid, so that a function starts before the
/// endpoint exists, and is left out: nothing that it has signed is accepted.
///
/// # Errors
///
/// [`InvalidSecret`] if there is no secret, or one of them is not base64.
pub fn read(secrets: &str) -> Result<Vec<Webhook>, InvalidSecret> {
    let read = secrets.split_whitespace().map(|one| Webhook::new(one).map(|key| (one, key)));
    let read: Vec<(&str, Webhook)> = read.collect::<Result<_, _>>().map_err(|_| InvalidSecret)?;
    if read.is_empty() {
        return Err(InvalidSecret);
    }
    Ok(read.into_iter().filter(|(one, _)| !is_stand_in(one)).map(|(_, key)| key).collect())
}

/// Whether a text is one signing secret, and no stand-in.
pub fn is_usable(secret: &str) -> bool {
    !secret.contains(char::is_whitespace) && read(secret).is_ok_and(|keys| !keys.is_empty())
}

fn is_stand_in(secret: &str) -> bool {
    let key = secret.strip_prefix("whsec_").and_then(|key| STANDARD.decode(key).ok());
    key.is_none_or(|key| key.len() < LEAST_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stand_in_is_valid_and_verifies_nothing() {
        let real = "whsec_bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3";
        for (secrets, verifying) in [
            (real.to_owned(), 1),
            (format!("{real} {real}"), 2),
            // That of the README.
            ("whsec_c3RhbmQtaW4=".to_owned(), 0),
            (format!("whsec_c3RhbmQtaW4= {real}"), 1),
            ("TODO".to_owned(), 0),
        ] {
            assert_eq!(read(&secrets).unwrap().len(), verifying, "{secrets}");
            assert_eq!(is_usable(&secrets), secrets == real, "{secrets}");
        }
        for secrets in ["", " ", "whsec_?", "whsec_c3RhbmQtaW4= ?"] {
            assert!(read(secrets).is_err(), "{secrets}");
        }
    }
}
