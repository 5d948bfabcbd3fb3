//! The addresses of a local stack, and the settings that follow from them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// The addresses, as `rollcall dev --json` prints them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Addresses {
    /// The functions' HTTP API.
    pub api: String,
    /// Clerk's Backend API, without `/v1`.
    pub clerk: String,
    pub dynamodb: String,
    /// The secret key of the Backend API.
    pub clerk_secret_key: String,
    /// The publishable key with which Clerk's server-side SDKs work against the emulator.
    pub clerk_publishable_key: String,
    /// The signing secret of the webhooks.
    pub webhook_secret: String,
    pub clerk_instance_id: String,
    /// The issuer of session tokens.
    pub clerk_issuer: String,
    /// The JWKS URL of session tokens.
    pub clerk_jwks_url: String,
    /// The allowed origins, separated by spaces.
    pub allowed_origins: String,
    pub directory_table: String,
    pub profiles_table: String,
    pub operations_table: String,
    /// The file that replaces the event bus.
    pub event_bus: String,
    /// The folder of the backups.
    pub backups: String,
}

/// A setting that the stack itself sets; `None` for every other name.
pub fn setting(addresses: &Addresses, name: &str) -> Option<String> {
    let value = match name {
        "DIRECTORY_TABLE" => &addresses.directory_table,
        "PROFILES_TABLE" => &addresses.profiles_table,
        "OPERATIONS_TABLE" => &addresses.operations_table,
        "ALLOWED_ORIGINS" => &addresses.allowed_origins,
        "CLERK_INSTANCE_ID" => &addresses.clerk_instance_id,
        "CLERK_API_URL" => &addresses.clerk,
        "CLERK_ISSUER" => &addresses.clerk_issuer,
        "CLERK_JWKS_URL" => &addresses.clerk_jwks_url,
        "CLERK_SECRET_KEY" => &addresses.clerk_secret_key,
        "CLERK_WEBHOOK_SECRET" => &addresses.webhook_secret,
        "BACKUP_BUCKET" => &addresses.backups,
        _ => return None,
    };
    Some(value.clone())
}

/// The publishable key of the emulator: `pk_test_` and the base64 of its host and `$`. Source: clerk/javascript,
/// `packages/shared/src/keys.ts`.
pub(super) fn publishable_key(clerk: &str) -> String {
    format!("pk_test_{}", STANDARD.encode(format!("{}$", clerk.trim_start_matches("http://"))))
}
