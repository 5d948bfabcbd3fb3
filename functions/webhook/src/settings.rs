//! What the webhook function reads before its first event.

use std::sync::Arc;

use reqwest::Url;
use rollcall::adapters::clerk::api::DEFAULT_URL;
use rollcall::adapters::clerk::secrets::{Secret, Secrets};
use rollcall::adapters::clerk::webhook_signature::Signatures;
use rollcall::core::id::InstanceId;
use rollcall::core::mirror::decide::Policy;
use rollcall::core::mirror::roles::Roles;
use rollcall::core::mirror::tombstone::DeletionPolicy;
use rollcall::core::tables::table_name;
use rollcall::settings::variables::{
    CLERK_API_URL, CLERK_INSTANCE_ID, CLERK_SECRET_KEY, CLERK_WEBHOOK_SECRET, DELETION_POLICY, DIRECTORY_TABLE,
    InvalidSettings, MIRROR, OPERATIONS_TABLE, ROLES, ROLLCALL_SECRET_ARN, Reader, Variable, api_url, deletion_policy,
    secret_key, switch,
};

/// Everything the function reads, `ROLLCALL_SECRET_ARN` included, which `main.rs` follows before it reads the rest.
pub const VARIABLES: [Variable; 10] = [
    DIRECTORY_TABLE,
    OPERATIONS_TABLE,
    CLERK_INSTANCE_ID,
    CLERK_API_URL,
    CLERK_SECRET_KEY,
    CLERK_WEBHOOK_SECRET,
    ROLLCALL_SECRET_ARN,
    DELETION_POLICY,
    MIRROR,
    ROLES,
];

/// The settings, checked.
#[derive(Debug)]
pub struct Settings {
    /// The Directory's table.
    pub directory_table: String,
    /// The Operations table.
    pub operations_table: String,
    /// Whose events are believed.
    pub instance: InstanceId,
    /// Where Clerk's Backend API is.
    pub clerk_api_url: Url,
    /// The key to it.
    pub clerk_secret_key: Secret,
    /// The secrets with which Svix signs.
    pub signature: Signatures,
    /// What deletions leave, and whether anything is kept.
    pub policy: Policy,
    /// Which names are roles.
    pub roles: Roles,
}

impl Settings {
    /// Reads the settings through a look-up.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings`] with every variable that is missing or malformed.
    pub fn read(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Settings, InvalidSettings> {
        let mut reader = Reader::new(lookup);
        let directory_table = reader.read(&DIRECTORY_TABLE, table_name);
        let operations_table = reader.read(&OPERATIONS_TABLE, table_name);
        let instance = reader.read(&CLERK_INSTANCE_ID, |text| text.parse().ok());
        let clerk_api_url = reader.read(&CLERK_API_URL, api_url).or_else(|| api_url(DEFAULT_URL));
        let clerk_secret_key = reader.read(&CLERK_SECRET_KEY, secret_key).map(Secret::from);
        let signature = reader.read(&CLERK_WEBHOOK_SECRET, |text| Signatures::new(text).ok());
        let deletion = reader.read(&DELETION_POLICY, deletion_policy).unwrap_or(DeletionPolicy::Redact);
        let mirror = reader.read(&MIRROR, switch).unwrap_or(true);
        let roles = reader.read(&ROLES, Roles::parse).unwrap_or_default();
        let problems = reader.finish();
        if !problems.names().is_empty() {
            return Err(problems);
        }
        let (
            Some(directory_table),
            Some(operations_table),
            Some(instance),
            Some(clerk_api_url),
            Some(clerk_secret_key),
            Some(signature),
        ) = (directory_table, operations_table, instance, clerk_api_url, clerk_secret_key, signature)
        else {
            return Err(problems);
        };
        let policy = Policy { deletion, mirror };
        Ok(Settings {
            directory_table,
            operations_table,
            instance,
            clerk_api_url,
            clerk_secret_key,
            signature,
            policy,
            roles,
        })
    }

    /// Goes on with the secrets that Secrets Manager holds.
    pub fn follow(&mut self, secrets: Option<&Arc<Secrets>>) {
        self.clerk_secret_key.follow(secrets, &CLERK_SECRET_KEY);
        self.signature.follow(secrets);
    }
}
