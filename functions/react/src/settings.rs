//! What the react function reads before it begins.

use std::sync::Arc;

use reqwest::Url;
use rollcall::adapters::clerk::api::DEFAULT_URL;
use rollcall::adapters::clerk::secrets::{Secret, Secrets};
use rollcall::core::id::InstanceId;
use rollcall::core::profile::Defaults;
use rollcall::core::reconcile::run::Mode;
use rollcall::settings::deletion::{BACKUP_BUCKET, BACKUP_DAYS, OWNED_TABLES, PURGE_AFTER_HOURS, Removal};
use rollcall::settings::tables::Tables;
use rollcall::settings::variables::{
    CLERK_API_URL, CLERK_INSTANCE_ID, CLERK_RATE_SHARE, CLERK_SECRET_KEY, DELETION_POLICY, DIRECTORY_TABLE, EVENT_BUS,
    InvalidSettings, MEMBERSHIP_PROFILE_DEFAULTS, METADATA_WRITEBACK, OPERATIONS_TABLE, PROFILE_DEFAULTS,
    PROFILES_TABLE, RECONCILE_POLICY, ROLLCALL_SECRET_ARN, Reader, USUAL_RATE_SHARE, Variable, api_url, event_bus,
    percent, profile_defaults, reconcile_policy, secret_key, switch,
};

/// Everything the function reads, `ROLLCALL_SECRET_ARN` included, which `main.rs` follows before it reads the rest.
pub const VARIABLES: [Variable; 18] = [
    DIRECTORY_TABLE,
    PROFILES_TABLE,
    OPERATIONS_TABLE,
    CLERK_INSTANCE_ID,
    CLERK_API_URL,
    // Needed for the write-back alone.
    CLERK_SECRET_KEY.required_if(false),
    ROLLCALL_SECRET_ARN,
    DELETION_POLICY,
    PURGE_AFTER_HOURS,
    OWNED_TABLES,
    BACKUP_BUCKET,
    BACKUP_DAYS,
    RECONCILE_POLICY,
    METADATA_WRITEBACK,
    CLERK_RATE_SHARE,
    PROFILE_DEFAULTS,
    MEMBERSHIP_PROFILE_DEFAULTS,
    EVENT_BUS,
];

/// The settings, checked.
#[derive(Debug)]
pub struct Settings {
    /// The three tables.
    pub tables: Tables,
    /// Whose copy this is.
    pub instance: InstanceId,
    /// What deletions leave, and what they remove.
    pub removal: Removal,
    /// Whether anybody but the webhook may write the Directory.
    pub mode: Mode,
    /// What the write-back needs, unless it is off.
    pub write_back: Option<WriteBack>,
    /// What new records hold.
    pub defaults: Defaults,
    /// The bus on which changes are told.
    pub event_bus: Option<String>,
}

/// What the write-back needs.
#[derive(Debug)]
pub struct WriteBack {
    /// Where Clerk's Backend API is.
    pub clerk_api_url: Url,
    /// The key to it.
    pub clerk_secret_key: Secret,
    /// The share of Clerk's rate that may be used, in percent.
    pub rate_share: u8,
}

impl Settings {
    /// Reads the settings through a look-up.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings`] with every variable that is missing or malformed.
    pub fn read(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Settings, InvalidSettings> {
        let mut reader = Reader::new(lookup);
        let tables = Tables::read(&mut reader);
        let instance = reader.read(&CLERK_INSTANCE_ID, |text| text.parse().ok());
        let clerk_api_url = reader.read(&CLERK_API_URL, api_url).or_else(|| api_url(DEFAULT_URL));
        let is_on = reader.read(&METADATA_WRITEBACK, switch).unwrap_or(true);
        let clerk_secret_key = reader.read(&CLERK_SECRET_KEY.required_if(is_on), secret_key);
        let rate_share = reader.read(&CLERK_RATE_SHARE, percent).unwrap_or(USUAL_RATE_SHARE);
        let removal = Removal::read(&mut reader, tables.as_ref());
        let mode = reader.read(&RECONCILE_POLICY, reconcile_policy).unwrap_or_default();
        let defaults = Defaults {
            user: reader.read(&PROFILE_DEFAULTS, profile_defaults).unwrap_or_default(),
            membership: reader.read(&MEMBERSHIP_PROFILE_DEFAULTS, profile_defaults).unwrap_or_default(),
        };
        let event_bus = reader.read(&EVENT_BUS, event_bus);
        let problems = reader.finish();
        if !problems.names().is_empty() {
            return Err(problems);
        }
        let (Some(tables), Some(instance)) = (tables, instance) else {
            return Err(problems);
        };
        let write_back = clerk_api_url.zip(clerk_secret_key).filter(|_| is_on);
        let write_back = write_back.map(|(clerk_api_url, clerk_secret_key)| WriteBack {
            clerk_api_url,
            clerk_secret_key: clerk_secret_key.into(),
            rate_share,
        });
        Ok(Settings { tables, instance, removal, mode, write_back, defaults, event_bus })
    }
    /// Goes on with the key that Secrets Manager holds.
    pub fn follow(&mut self, secrets: Option<&Arc<Secrets>>) {
        if let Some(write_back) = &mut self.write_back {
            write_back.clerk_secret_key.follow(secrets, &CLERK_SECRET_KEY);
        }
    }
}
