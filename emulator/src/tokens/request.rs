//! Requests for test tokens and the defects that a request can ask for.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{MintError, TOKEN_LIFETIME_SECONDS, TokenVersion, keys::KeyPair};

/// The requested properties of a token. With a user alone the token equals one that Clerk issued now, for a session
/// that the Backend API does not have.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// The subject, which need not exist. The public metadata of an existing user is among the claims.
    pub user_id: String,
    /// The active organization, with its slug and the user's role; for a user who is no member the role is
    /// `org:member`.
    #[serde(default)]
    pub organization_id: Option<String>,
    /// The version of the claims.
    #[serde(default)]
    pub version: TokenVersion,
    /// Claims that replace or extend the others; null removes a claim. Nested objects are replaced as a whole.
    #[serde(default)]
    pub claims: Map<String, Value>,
    /// Fields of the header, likewise. They do not change how the token is signed.
    #[serde(default)]
    pub header: Map<String, Value>,
    /// From `iat` to `exp`, in seconds.
    #[serde(default = "lifetime")]
    pub expires_in: i64,
    /// The age of `iat` in seconds; negative for a token from the future.
    #[serde(default)]
    pub issued_ago: i64,
    #[serde(default)]
    pub key: TokenKey,
    /// The algorithm of the signature.
    #[serde(default)]
    pub alg: TokenAlgorithm,
    /// The change after signing.
    #[serde(default)]
    pub tamper: Option<Tamper>,
}

impl TokenRequest {
    /// A token without a defect.
    pub fn new(user_id: &str) -> Self {
        Self {
            user_id: user_id.to_owned(),
            organization_id: None,
            version: TokenVersion::default(),
            claims: Map::new(),
            header: Map::new(),
            expires_in: TOKEN_LIFETIME_SECONDS,
            issued_ago: 0,
            key: TokenKey::default(),
            alg: TokenAlgorithm::default(),
            tamper: None,
        }
    }
}

fn lifetime() -> i64 {
    TOKEN_LIFETIME_SECONDS
}

/// The key that a token is signed with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenKey {
    /// The current signing key.
    #[default]
    Current,
    /// The previous key, under its own `kid`. It exists only after a rotation.
    Retired,
    /// A key that was never in the JWKS, under the `kid` of the current key.
    Foreign,
}

/// The algorithm of a signature, which is also `alg` in the header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum TokenAlgorithm {
    #[default]
    RS256,
    /// With the right key, but another algorithm than Clerk's.
    RS512,
    /// `none`: an empty signature.
    #[serde(rename = "none")]
    None,
    /// HS256 with the PEM of the public key as its secret, which a verifier that trusts `alg` would accept.
    #[serde(rename = "HS256-with-public-key")]
    HS256WithPublicKey,
}

impl TokenAlgorithm {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::RS512 => "RS512",
            Self::None => "none",
            Self::HS256WithPublicKey => "HS256",
        }
    }
}

/// A change of the token after signing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tamper {
    /// The claims get an additional claim `tampered` and are still valid JSON.
    Payload,
    /// One bit of the signature is inverted.
    Signature,
}

pub(super) fn override_fields(fields: &mut Map<String, Value>, overrides: &Map<String, Value>) {
    for (name, value) in overrides {
        if value.is_null() {
            fields.remove(name);
        } else {
            fields.insert(name.clone(), value.clone());
        }
    }
}

/// Signs the token with `key`; the public key of `named` is the secret of HS256.
pub(super) fn encode(
    header: &Map<String, Value>,
    claims: &Map<String, Value>,
    key: &KeyPair,
    named: &KeyPair,
    algorithm: TokenAlgorithm,
) -> Result<String, MintError> {
    let message = format!("{}.{}", part(header), part(claims));
    let sign = |key: &EncodingKey, algorithm| crypto::sign(message.as_bytes(), key, algorithm);
    let signature = match algorithm {
        TokenAlgorithm::RS256 => sign(&key.signer()?, Algorithm::RS256)?,
        TokenAlgorithm::RS512 => sign(&key.signer()?, Algorithm::RS512)?,
        TokenAlgorithm::None => String::new(),
        TokenAlgorithm::HS256WithPublicKey => {
            sign(&EncodingKey::from_secret(named.public_pem.as_bytes()), Algorithm::HS256)?
        }
    };
    Ok(format!("{message}.{signature}"))
}

fn part(fields: &Map<String, Value>) -> String {
    URL_SAFE_NO_PAD.encode(Value::Object(fields.clone()).to_string())
}

pub(super) fn tampered(token: String, tamper: Option<Tamper>) -> String {
    let parts: Vec<&str> = token.split('.').collect();
    let (Some(tamper), [header, payload, signature]) = (tamper, &parts[..]) else { return token };
    // The function has just encoded both parts.
    let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap_or_default();
    match tamper {
        Tamper::Payload => {
            let mut claims: Map<String, Value> = serde_json::from_slice(&decoded(payload)).unwrap_or_default();
            claims.insert("tampered".to_owned(), json!(true));
            format!("{header}.{}.{signature}", part(&claims))
        }
        Tamper::Signature => {
            let mut bytes = decoded(signature);
            match bytes.first_mut() {
                Some(first) => *first ^= 1,
                None => bytes.push(0),
            }
            format!("{header}.{payload}.{}", URL_SAFE_NO_PAD.encode(bytes))
        }
    }
}
