//! Settings of the webhook function.

use std::sync::Arc;

use rollcall::adapters::clerk::access::ClerkAccess;
use rollcall::adapters::clerk::secrets::Secrets;
use rollcall::adapters::clerk::webhook_signature::Signatures;
use rollcall::core::mirror::tombstone::DeletionPolicy;
use rollcall::core::tables::table_name;
use rollcall::settings::mirror::Mirror;
use rollcall::settings::variables::{
    CLERK_WEBHOOK_SECRET, DELETION_POLICY, DIRECTORY_TABLE, InvalidSettings, OPERATIONS_TABLE, Reader, Variable,
    deletion_policy,
};

/// Every variable that the function reads.
pub const GROUPS: &[&[Variable]] = &[
    &[DIRECTORY_TABLE, OPERATIONS_TABLE],
    &ClerkAccess::VARIABLES,
    &[CLERK_WEBHOOK_SECRET, DELETION_POLICY],
    &Mirror::VARIABLES,
];

#[derive(Debug)]
pub struct Settings {
    pub directory_table: String,
    pub operations_table: String,
    /// The Clerk instance. Events of other instances are rejected.
    pub clerk: ClerkAccess,
    /// The signing secrets of the webhook.
    pub signature: Signatures,
    pub deletion: DeletionPolicy,
    pub mirror: Mirror,
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
        let clerk = ClerkAccess::read(&mut reader, true);
        let signature = reader.read(&CLERK_WEBHOOK_SECRET, |text| Signatures::new(text).ok());
        let deletion = reader.read(&DELETION_POLICY, deletion_policy).unwrap_or(DeletionPolicy::Redact);
        let mirror = Mirror::read(&mut reader);
        reader.finish(|| {
            Some(Settings {
                directory_table: directory_table?,
                operations_table: operations_table?,
                clerk: clerk?,
                signature: signature?,
                deletion,
                mirror,
            })
        })
    }

    /// Uses the secrets from Secrets Manager from now on.
    pub fn follow(&mut self, secrets: Option<&Arc<Secrets>>) {
        self.clerk.follow(secrets);
        self.signature.follow(secrets);
    }
}
