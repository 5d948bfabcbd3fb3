//! Creates session tokens: valid ones as Clerk signs them, and invalid ones.

use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Value, json};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

pub const KEY: &str = include_str!("keys/one.pem");
pub const PUBLIC_KEY: &str = include_str!("keys/one.pub.pem");
/// A signing key that is not in the JWKS of the instance.
pub const FOREIGN_KEY: &str = include_str!("keys/two.pem");
/// The id of [`KEY`].
pub const KEY_ID: &str = "ins_one";
pub const ISSUER: &str = "https://clerk.example.com";
pub const ORIGIN: &str = "https://app.example.com";

pub fn header() -> Value {
    json!({ "alg": "RS256", "typ": "JWT", "kid": KEY_ID, "cat": "cl_B7d4PD111AAA" })
}

/// Valid claims of version 2, issued at `now` (Unix seconds) for a minute.
pub fn claims(now: u64) -> Value {
    json!({
        "azp": ORIGIN, "exp": now + 60, "fva": [3, -1], "iat": now, "iss": ISSUER, "jti": "1234567890", "nbf": now - 10,
        "sid": "sess_1", "sub": "user_1", "sts": "active", "v": 2, "pla": "u:free", "fea": "o:teams,u:chat,o:billing",
        "o": { "id": "org_1", "slg": "acme", "rol": "admin", "per": "manage,read", "fpm": "3,2" },
        "metadata": { "dbId": "the-id", "role": "admin" },
    })
}

/// The first two parts of a token.
pub fn parts(header: &Value, claims: &Value) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()))
}

/// A token signed by RS256 with a key in PEM, with any header.
///
/// # Panics
///
/// If the key is not a PEM key.
pub fn sign(header: &Value, claims: &Value, key: &str) -> String {
    sign_as(Algorithm::RS256, &EncodingKey::from_rsa_pem(key.as_bytes()).unwrap(), &parts(header, claims))
}

/// A token signed by any algorithm.
///
/// # Panics
///
/// If the key does not fit the algorithm.
pub fn sign_as(algorithm: Algorithm, key: &EncodingKey, parts: &str) -> String {
    format!("{parts}.{}", crypto::sign(parts.as_bytes(), key, algorithm).unwrap())
}
