//! Session cookies: selects the cookies that may contain a session of this instance.
//!
//! Clerk's frontend stores a session token as `__session_<suffix>` and, for older servers, as `__session`. The suffix
//! is computed from the instance's publishable key. Cookies with other suffixes belong to other instances: a page of a
//! sibling subdomain may have set them, so they never count.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use serde::Deserialize;
use url::Url;

/// The cookie without a suffix.
const BARE: &str = "__session";
/// The maximum size of session cookies that is read, in bytes. API Gateway accepts 10 KB of headers, so there it covers
/// all.
const MAX_BYTES: usize = 64 * 1024;

/// The names of an instance's session cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionCookies(BTreeSet<String>);

/// The publishable key of an instance. It is public, and contains the host of the Frontend API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishableKey(String);

impl PublishableKey {
    /// Reads `pk_live_…` or `pk_test_…`.
    pub fn parse(text: &str) -> Option<PublishableKey> {
        let encoded = text.strip_prefix("pk_live_").or_else(|| text.strip_prefix("pk_test_"))?;
        let host = STANDARD_NO_PAD.decode(encoded.trim_end_matches('=')).ok()?;
        (host.len() > 1 && host.ends_with(b"$")).then(|| PublishableKey(text.to_owned()))
    }

    /// The suffix of Clerk's cookies. Source: clerk/javascript, `packages/shared/src/keys.ts`.
    pub fn suffix(&self) -> String {
        let mut suffix = URL_SAFE.encode(sha1_smol::Sha1::from(self.0.as_bytes()).digest().bytes());
        suffix.truncate(8);
        suffix
    }
}

impl SessionCookies {
    /// The cookie name for a publishable key.
    pub fn of_key(key: &PublishableKey) -> SessionCookies {
        SessionCookies(BTreeSet::from([name(key)]))
    }

    /// The cookie names for the URLs of the Frontend API: for a development and for a production instance, each with
    /// and without base64's padding, as both forms of a key are in use.
    pub fn of_issuers(issuers: &[String]) -> SessionCookies {
        let hosts = issuers.iter().filter_map(|issuer| {
            let url = Url::parse(issuer).ok()?;
            let host = url.host_str()?;
            Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
        });
        let names = hosts.flat_map(|host| {
            let padded = STANDARD.encode(format!("{host}$"));
            let bare = padded.trim_end_matches('=').to_owned();
            let keys = ["pk_live_", "pk_test_"].map(|prefix| [format!("{prefix}{padded}"), format!("{prefix}{bare}")]);
            keys.into_iter().flatten().map(|key| name(&PublishableKey(key)))
        });
        SessionCookies(names.collect())
    }

    /// The tokens that may be the session, the one that claims to be the newest first: those of this instance's own
    /// cookie, and only if there is none, those of the cookie without a suffix. A browser sends several cookies of one
    /// name if they were set for different paths or domains.
    pub fn candidates<'a>(&self, cookies: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<&'a str> {
        let (mut own, mut bare) = (Vec::new(), Vec::new());
        for (name, token) in cookies.filter(|(_, token)| !token.is_empty()) {
            if self.0.contains(name) {
                own.push(token);
            } else if name == BARE {
                bare.push(token);
            }
        }
        let mut found = if own.is_empty() { bare } else { own };
        let mut seen = BTreeSet::new();
        found.retain(|token| seen.insert(*token));
        found.sort_by(|one, other| claimed_time(other).total_cmp(&claimed_time(one)));
        let mut bytes = 0;
        found.retain(|token| {
            bytes += token.len();
            bytes <= MAX_BYTES
        });
        found
    }
}

fn name(key: &PublishableKey) -> String {
    format!("{BARE}_{}", key.suffix())
}

/// The token's claimed time of issue. It is not verified yet: it only orders the attempts.
fn claimed_time(token: &str) -> f64 {
    #[derive(Deserialize)]
    struct Issued {
        iat: f64,
    }
    let payload = token.split('.').nth(1).and_then(|payload| URL_SAFE_NO_PAD.decode(payload).ok());
    let issued = payload.and_then(|payload| serde_json::from_slice::<Issued>(&payload).ok());
    issued.map_or(f64::MIN, |issued| issued.iat)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(iat: u64, filler: &str) -> String {
        format!("h.{}.{filler}", URL_SAFE_NO_PAD.encode(format!("{{\"iat\":{iat}}}")))
    }

    #[test]
    fn a_suffix_is_worked_out_as_clerk_does() {
        // Worked out apart from this code: python3 -c "import hashlib, base64;
        // print(base64.urlsafe_b64encode(hashlib.sha1(KEY).digest())[:8])"
        for (key, suffix) in [
            ("pk_live_Y2xlcmsuZXhhbXBsZS5jb20k", "naoXFJnI"),
            ("pk_test_Y2xlcmsuZXhhbXBsZS5jb20k", "l2OS3d9k"),
            ("pk_test_MTI3LjAuMC4xOjMwMDEk", "SiG8wsEs"),
        ] {
            assert_eq!(PublishableKey::parse(key).unwrap().suffix(), suffix, "{key}");
        }
        let worked_out = SessionCookies::of_issuers(&["https://clerk.example.com".to_owned()]);
        for name in ["__session_naoXFJnI", "__session_l2OS3d9k"] {
            assert!(worked_out.0.contains(name), "{worked_out:?}");
        }
        let local = SessionCookies::of_issuers(&["http://127.0.0.1:3001".to_owned()]);
        assert!(local.0.contains("__session_SiG8wsEs"), "{local:?}");
        for wrong in
            ["", "pk_live_", "pk_prod_Y2xlcmsuZXhhbXBsZS5jb20k", "sk_live_x", "pk_live_Y2xlcmsuZXhhbXBsZS5jb20"]
        {
            assert_eq!(PublishableKey::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn only_the_instances_own_cookie_counts_and_else_the_one_without_a_suffix() {
        let own = SessionCookies::of_key(&PublishableKey::parse("pk_live_Y2xlcmsuZXhhbXBsZS5jb20k").unwrap());
        let name = own.0.first().unwrap().clone();
        let found = |cookies: &[(&str, &str)]| own.candidates(cookies.iter().copied()).join(" ");
        assert_eq!(found(&[("__session", "bare"), ("__session_zzz", "foreign")]), "bare");
        assert_eq!(found(&[("__session_zzz", "foreign"), ("x__session", "a"), ("__sessions", "b")]), "");
        assert_eq!(found(&[("__session", "bare"), (&name, "own")]), "own");
        assert_eq!(found(&[("__session", "bare"), (&name, "")]), "bare");
        let (old, new) = (token(1, "x"), token(2, "x"));
        let several = [(name.as_str(), "rubbish"), (&name, old.as_str()), (&name, &new), (&name, &old)];
        assert_eq!(found(&several), format!("{new} {old} rubbish"));
    }

    #[test]
    fn however_many_there_are_the_newest_within_the_bound_are_looked_at() {
        let none = SessionCookies(BTreeSet::new());
        let mut tokens: Vec<String> = (0..90).map(|n| token(n, &format!("{n}{}", "x".repeat(1_000)))).collect();
        tokens.push(token(1_000, "newest"));
        let found = none.candidates(tokens.iter().map(|token| (BARE, token.as_str())));
        assert_eq!(found[0], token(1_000, "newest"));
        assert!(found.len() > 60 && found.len() < 90, "{}", found.len());
    }
}
