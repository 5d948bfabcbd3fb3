//! The settings of the Clerk instance. They are an adapter, like the settings of sessions, because the secret key may
//! change in Secrets Manager while a function runs.

use std::sync::Arc;

use secrecy::SecretString;
use url::Url;

use super::api::{ClerkApi, DEFAULT_URL};
use super::secrets::{Secret, Secrets};
use crate::core::id::InstanceId;
use crate::settings::variables::{
    CLERK_API_URL, CLERK_INSTANCE_ID, CLERK_SECRET_KEY, ROLLCALL_SECRET_ARN, Reader, Variable, api_url, secret_key,
};

/// The Clerk instance that is copied, and the access to its Backend API.
#[derive(Clone, Debug)]
pub struct ClerkAccess {
    /// The instance whose users, organizations and memberships are copied.
    pub instance: InstanceId,
    /// The URL of the Backend API, without `/v1`.
    pub api_url: Url,
    /// The secret key; empty if no request to Clerk needs one.
    pub secret_key: Secret,
}

impl ClerkAccess {
    /// The variables of a function that always sends requests to Clerk. `Boot` reads `ROLLCALL_SECRET_ARN` before the
    /// others.
    pub const VARIABLES: [Variable; 4] = [CLERK_INSTANCE_ID, CLERK_API_URL, CLERK_SECRET_KEY, ROLLCALL_SECRET_ARN];
    /// The same for a function whose policy may be to send no requests to Clerk.
    pub const VARIABLES_WITH_OPTIONAL_KEY: [Variable; 4] =
        [CLERK_INSTANCE_ID, CLERK_API_URL, CLERK_SECRET_KEY.required_if(false), ROLLCALL_SECRET_ARN];

    /// Reads the group; nothing if a variable is missing or malformed, which the reader notes. Without `needs_key` the
    /// secret key may be missing, and is not stored.
    pub fn read(reader: &mut Reader<'_>, needs_key: bool) -> Option<ClerkAccess> {
        let instance = reader.read(&CLERK_INSTANCE_ID, |text| text.parse().ok());
        let api_url = reader.read(&CLERK_API_URL, api_url).or_else(|| api_url(DEFAULT_URL));
        let key = reader.read(&CLERK_SECRET_KEY.required_if(needs_key), secret_key);
        let key = if needs_key { key? } else { SecretString::default() };
        Some(ClerkAccess { instance: instance?, api_url: api_url?, secret_key: key.into() })
    }

    /// Uses the secret key from Secrets Manager from now on, if the function reads its secrets there.
    pub fn follow(&mut self, secrets: Option<&Arc<Secrets>>) {
        self.secret_key.follow(secrets, &CLERK_SECRET_KEY);
    }

    pub fn api(self) -> ClerkApi {
        ClerkApi::new(self.api_url, self.secret_key)
    }
}
