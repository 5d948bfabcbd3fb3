//! What the reconcile function, and the commands that do the same, read before they begin.

use std::sync::Arc;

use reqwest::Url;
use rollcall::adapters::clerk::api::DEFAULT_URL;
use rollcall::adapters::clerk::secrets::{Secret, Secrets};
use rollcall::core::id::InstanceId;
use rollcall::core::mirror::roles::Roles;
use rollcall::core::profile::Defaults;
use rollcall::core::reconcile::basis::Basis;
use rollcall::core::reconcile::run::Mode;
use rollcall::settings::deletion::{BACKUP_BUCKET, BACKUP_DAYS, OWNED_TABLES, PURGE_AFTER_HOURS, Removal};
use rollcall::settings::tables::Tables;
use rollcall::settings::variables::{
    CLERK_API_URL, CLERK_INSTANCE_ID, CLERK_RATE_SHARE, CLERK_SECRET_KEY, DELETION_POLICY, DIRECTORY_TABLE,
    InvalidSettings, MEMBERSHIP_PROFILE_DEFAULTS, METADATA_WRITEBACK, MIRROR, OPERATIONS_TABLE, PROFILE_DEFAULTS,
    PROFILES_TABLE, RECONCILE_POLICY, ROLES, ROLLCALL_SECRET_ARN, Reader, USUAL_RATE_SHARE, Variable, api_url, percent,
    profile_defaults, reconcile_policy, secret_key, switch,
};
use serde_json::{Map, Value, json};

/// Everything the function reads, `ROLLCALL_SECRET_ARN` included, which `main.rs` follows before it reads the rest.
pub const VARIABLES: [Variable; 19] = [
    DIRECTORY_TABLE,
    PROFILES_TABLE,
    OPERATIONS_TABLE,
    CLERK_INSTANCE_ID,
    CLERK_API_URL,
    CLERK_SECRET_KEY,
    ROLLCALL_SECRET_ARN,
    DELETION_POLICY,
    PURGE_AFTER_HOURS,
    OWNED_TABLES,
    BACKUP_BUCKET,
    BACKUP_DAYS,
    MIRROR,
    ROLES,
    RECONCILE_POLICY,
    CLERK_RATE_SHARE,
    METADATA_WRITEBACK,
    PROFILE_DEFAULTS,
    MEMBERSHIP_PROFILE_DEFAULTS,
];

/// The settings, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The three tables.
    pub tables: Tables,
    /// Whose copy this is.
    pub instance: InstanceId,
    /// Where Clerk's Backend API is.
    pub clerk_api_url: Url,
    /// The key to it.
    pub clerk_secret_key: Secret,
    /// What deletions leave, and what they remove.
    pub removal: Removal,
    /// Whether live users and memberships are kept at all.
    pub mirror: bool,
    /// Which names are roles.
    pub roles: Roles,
    /// Whether anything is written.
    pub mode: Mode,
    /// The share of Clerk's rate that may be used, in percent.
    pub rate_share: u8,
    /// Whether ids and roles are written back into Clerk.
    pub writes_back: bool,
    /// What new records in Profiles hold.
    pub defaults: Defaults,
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
        let clerk_secret_key = reader.read(&CLERK_SECRET_KEY, secret_key).map(Secret::from);
        let removal = Removal::read(&mut reader, tables.as_ref());
        let mirror = reader.read(&MIRROR, switch).unwrap_or(true);
        let roles = reader.read(&ROLES, Roles::parse).unwrap_or_default();
        let mode = reader.read(&RECONCILE_POLICY, reconcile_policy).unwrap_or_default();
        let rate_share = reader.read(&CLERK_RATE_SHARE, percent).unwrap_or(USUAL_RATE_SHARE);
        let writes_back = reader.read(&METADATA_WRITEBACK, switch).unwrap_or(true);
        let defaults = Defaults {
            user: reader.read(&PROFILE_DEFAULTS, profile_defaults).unwrap_or_default(),
            membership: reader.read(&MEMBERSHIP_PROFILE_DEFAULTS, profile_defaults).unwrap_or_default(),
        };
        let problems = reader.finish();
        if !problems.names().is_empty() {
            return Err(problems);
        }
        let (Some(tables), Some(instance), Some(clerk_api_url), Some(clerk_secret_key)) =
            (tables, instance, clerk_api_url, clerk_secret_key)
        else {
            return Err(problems);
        };
        Ok(Settings {
            tables,
            instance,
            clerk_api_url,
            clerk_secret_key,
            removal,
            mirror,
            roles,
            mode,
            rate_share,
            writes_back,
            defaults,
        })
    }

    /// What decides which rows a run writes, and what it writes. A run goes on only under the same.
    #[must_use]
    pub fn basis(&self) -> Basis {
        let on = |is_on: bool| if is_on { "on".to_owned() } else { "off".to_owned() };
        let object = |fields: &Map<String, Value>| Value::Object(fields.clone()).to_string();
        Basis::of([
            (DIRECTORY_TABLE.name, self.tables.directory.clone()),
            (PROFILES_TABLE.name, self.tables.profiles.clone()),
            (CLERK_INSTANCE_ID.name, self.instance.to_string()),
            (RECONCILE_POLICY.name, format!("{:?}", self.mode).to_lowercase()),
            (MIRROR.name, on(self.mirror)),
            (ROLES.name, self.roles.listed()),
            (METADATA_WRITEBACK.name, on(self.writes_back)),
            (DELETION_POLICY.name, format!("{:?}", self.removal.policy).to_lowercase()),
            (PURGE_AFTER_HOURS.name, self.removal.hold.to_string()),
            (OWNED_TABLES.name, json!(self.removal.owned).to_string()),
            (PROFILE_DEFAULTS.name, object(&self.defaults.user)),
            (MEMBERSHIP_PROFILE_DEFAULTS.name, object(&self.defaults.membership)),
        ])
    }

    /// Goes on with the key that Secrets Manager holds.
    pub fn follow(&mut self, secrets: Option<&Arc<Secrets>>) {
        self.clerk_secret_key.follow(secrets, &CLERK_SECRET_KEY);
    }
}
