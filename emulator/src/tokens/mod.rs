//! Creates session tokens: valid ones as Clerk issues them, and invalid ones for tests.

mod claims;
mod keys;
mod request;

pub(crate) use claims::ActiveOrganization;
use claims::Subject;
pub use claims::TokenVersion;
pub(crate) use keys::KeyRing;
pub use request::{Tamper, TokenAlgorithm, TokenKey, TokenRequest};
use request::{encode, override_fields, tampered};
use serde_json::{Map, Value, json};

use crate::{
    app::App,
    errors::ApiError,
    instance::{Instance, model::SessionStatus},
};

/// The default lifetime of a session token, in seconds.
pub const TOKEN_LIFETIME_SECONDS: i64 = 60;

/// The category of session tokens. A `header` of [`TokenRequest`] replaces or removes it.
const SESSION_CATEGORY: &str = "cl_B7d4PD111AAA";
const SECOND_MS: i64 = 1000;
const MINUTE_MS: i64 = 60 * SECOND_MS;

/// The reasons for which a token cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// The keys were never rotated.
    #[error("there is no retired key: rotate the keys first")]
    NoRetiredKey,
    /// The signature could not be made, which is a bug in the emulator.
    #[error("the token cannot be signed")]
    Signing(#[from] jsonwebtoken::errors::Error),
}

impl App {
    pub(crate) fn jwks(&self) -> Value {
        self.keys.lock().jwks(&self.instance_id)
    }

    /// Rotates the keys and returns the `kid` of the new key.
    pub(crate) fn rotate_keys(&self, drop_retired: bool) -> String {
        let mut keys = self.keys.lock();
        keys.rotate(drop_retired);
        keys::kid(&self.instance_id, keys.current())
    }

    pub(crate) fn public_key_pem(&self) -> &'static str {
        keys::pair(self.keys.lock().current()).public_pem
    }

    /// The token of an existing active session. `origin` is that of the requesting page.
    pub(crate) fn session_token(
        &self,
        session_id: &str,
        origin: Option<&str>,
        expires_in: i64,
    ) -> Result<String, ApiError> {
        let now = (self.clock)();
        let claims = {
            let mut instance = self.instance.lock();
            let token_id = token_id(&mut instance);
            let session = instance.session(session_id).ok_or_else(|| ApiError::not_found("session", session_id))?;
            match session.status_at(now) {
                SessionStatus::Active => {}
                SessionStatus::Removed => return Err(ApiError::not_found("session", session_id)),
                SessionStatus::Revoked | SessionStatus::Expired => return Err(ApiError::no_active_session()),
            }
            let user = instance.user(&session.user_id);
            let subject = Subject {
                issuer: &self.issuer,
                authorized_party: origin.unwrap_or(&self.front_end),
                user_id: &session.user_id,
                session_id,
                token_id: &token_id,
                metadata: user.as_ref().map(|user| &user.public_metadata),
                organization: ActiveOrganization::new(&instance, session),
                issued_at: now.div_euclid(SECOND_MS),
                expires_in,
                verified_minutes_ago: (now - session.created_at).max(0) / MINUTE_MS,
            };
            subject.claims(TokenVersion::V2)
        };
        let current = self.keys.lock().current();
        let header = self.header(current, TokenAlgorithm::RS256);
        encode(&header, &claims, keys::pair(current), keys::pair(current), TokenAlgorithm::RS256)
            .map_err(|_| ApiError::internal())
    }

    pub(crate) fn mint(&self, request: &TokenRequest) -> Result<String, MintError> {
        let (current, retired) = {
            let keys = self.keys.lock();
            (keys.current(), keys.retired())
        };
        // A foreign key has the `kid` of the current key: otherwise a verifier would not check the signature.
        let (named, key) = match request.key {
            TokenKey::Current => (current, keys::pair(current)),
            TokenKey::Retired => {
                let retired = retired.ok_or(MintError::NoRetiredKey)?;
                (retired, keys::pair(retired))
            }
            TokenKey::Foreign => (current, &keys::FOREIGN),
        };
        let mut claims = self.claims_of(request);
        override_fields(&mut claims, &request.claims);
        let mut header = self.header(named, request.alg);
        override_fields(&mut header, &request.header);
        let token = encode(&header, &claims, key, keys::pair(named), request.alg)?;
        Ok(tampered(token, request.tamper))
    }

    /// The claims of a user who has just signed in, whether or not the user exists.
    fn claims_of(&self, request: &TokenRequest) -> Map<String, Value> {
        let mut instance = self.instance.lock();
        let (session_id, token_id) = (instance.issue("sess"), token_id(&mut instance));
        let organization = request.organization_id.as_deref();
        let user = instance.user(&request.user_id);
        let subject = Subject {
            issuer: &self.issuer,
            authorized_party: &self.front_end,
            user_id: &request.user_id,
            session_id: &session_id,
            token_id: &token_id,
            metadata: user.as_ref().map(|user| &user.public_metadata),
            organization: organization.map(|id| ActiveOrganization::claimed(&instance, id, &request.user_id)),
            issued_at: (self.clock)().div_euclid(SECOND_MS).saturating_sub(request.issued_ago),
            expires_in: request.expires_in,
            verified_minutes_ago: 0,
        };
        subject.claims(request.version)
    }

    fn header(&self, key: usize, algorithm: TokenAlgorithm) -> Map<String, Value> {
        let kid = keys::kid(&self.instance_id, key);
        Map::from_iter([
            ("alg".to_owned(), json!(algorithm.name())),
            ("cat".to_owned(), json!(SESSION_CATEGORY)),
            ("kid".to_owned(), json!(kid)),
            ("typ".to_owned(), json!("JWT")),
        ])
    }
}

fn token_id(instance: &mut Instance) -> String {
    instance.letters(20).to_lowercase()
}
