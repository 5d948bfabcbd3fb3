//! Settings of the reconcile function and of the commands that do the same work.

use std::sync::Arc;

use rollcall::adapters::clerk::access::ClerkAccess;
use rollcall::adapters::clerk::secrets::Secrets;
use rollcall::core::profile::Defaults;
use rollcall::core::reconcile::basis::Basis;
use rollcall::core::reconcile::run::Mode;
use rollcall::settings::deletion::{OWNED_TABLES, PURGE_AFTER_HOURS, Removal};
use rollcall::settings::mirror::Mirror;
use rollcall::settings::tables::Tables;
use rollcall::settings::variables::{
    CLERK_INSTANCE_ID, CLERK_RATE_SHARE, DELETION_POLICY, DIRECTORY_TABLE, InvalidSettings,
    MEMBERSHIP_PROFILE_DEFAULTS, METADATA_WRITEBACK, MIRROR, PROFILE_DEFAULTS, PROFILES_TABLE, RECONCILE_POLICY, ROLES,
    Reader, Variable, rate_share, reconcile_policy, switch,
};
use serde_json::{Map, Value, json};

/// Every variable that the function reads.
pub const GROUPS: &[&[Variable]] = &[
    &Tables::VARIABLES,
    &ClerkAccess::VARIABLES,
    &Removal::VARIABLES,
    &Mirror::VARIABLES,
    &[RECONCILE_POLICY, CLERK_RATE_SHARE, METADATA_WRITEBACK],
    &Defaults::VARIABLES,
];

#[derive(Clone, Debug)]
pub struct Settings {
    pub tables: Tables,
    pub clerk: ClerkAccess,
    /// The deletion policy, the grace period, the owned tables and the backups.
    pub removal: Removal,
    pub mirror: Mirror,
    /// Whether anything is written.
    pub mode: Mode,
    /// The share of Clerk's rate limit that may be used, in percent.
    pub rate_share: u8,
    /// Whether ids and roles are written back to Clerk.
    pub writes_back: bool,
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
        let clerk = ClerkAccess::read(&mut reader, true);
        let removal = Removal::read(&mut reader, tables.as_ref());
        let mirror = Mirror::read(&mut reader);
        let mode = reader.read(&RECONCILE_POLICY, reconcile_policy).unwrap_or_default();
        let rate_share = rate_share(&mut reader);
        let writes_back = reader.read(&METADATA_WRITEBACK, switch).unwrap_or(true);
        let defaults = Defaults::read(&mut reader);
        reader.finish(|| {
            Some(Settings { tables: tables?, clerk: clerk?, removal, mirror, mode, rate_share, writes_back, defaults })
        })
    }

    /// The settings that decide which rows a run writes, and with which contents. A run continues only under the same
    /// settings.
    pub fn basis(&self) -> Basis {
        let on = |is_on: bool| if is_on { "on".to_owned() } else { "off".to_owned() };
        let object = |fields: &Map<String, Value>| Value::Object(fields.clone()).to_string();
        Basis::new([
            (DIRECTORY_TABLE.name, self.tables.directory.clone()),
            (PROFILES_TABLE.name, self.tables.profiles.clone()),
            (CLERK_INSTANCE_ID.name, self.clerk.instance.to_string()),
            (RECONCILE_POLICY.name, format!("{:?}", self.mode).to_lowercase()),
            (MIRROR.name, on(self.mirror.is_on)),
            (ROLES.name, self.mirror.roles.listed()),
            (METADATA_WRITEBACK.name, on(self.writes_back)),
            (DELETION_POLICY.name, format!("{:?}", self.removal.policy).to_lowercase()),
            (PURGE_AFTER_HOURS.name, self.removal.grace_hours.to_string()),
            (OWNED_TABLES.name, json!(self.removal.owned).to_string()),
            (PROFILE_DEFAULTS.name, object(&self.defaults.user)),
            (MEMBERSHIP_PROFILE_DEFAULTS.name, object(&self.defaults.membership)),
        ])
    }

    /// Uses the secret key from Secrets Manager from now on.
    pub fn follow(&mut self, secrets: Option<&Arc<Secrets>>) {
        self.clerk.follow(secrets);
    }
}
