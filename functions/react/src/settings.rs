//! Settings of the react function.

use std::sync::Arc;

use rollcall::adapters::clerk::access::ClerkAccess;
use rollcall::adapters::clerk::secrets::Secrets;
use rollcall::core::profile::Defaults;
use rollcall::core::reconcile::run::Mode;
use rollcall::settings::deletion::Removal;
use rollcall::settings::tables::Tables;
use rollcall::settings::variables::{
    CLERK_RATE_SHARE, EVENT_BUS, InvalidSettings, METADATA_WRITEBACK, RECONCILE_POLICY, Reader, Variable, event_bus,
    rate_share, reconcile_policy, switch,
};

/// Every variable that the function reads. Only the write-back needs the key.
pub const GROUPS: &[&[Variable]] = &[
    &Tables::VARIABLES,
    &ClerkAccess::VARIABLES_WITH_OPTIONAL_KEY,
    &Removal::VARIABLES,
    &[RECONCILE_POLICY, METADATA_WRITEBACK, CLERK_RATE_SHARE, EVENT_BUS],
    &Defaults::VARIABLES,
];

#[derive(Debug)]
pub struct Settings {
    pub tables: Tables,
    pub clerk: ClerkAccess,
    /// The deletion policy, the grace period, the owned tables and the backups.
    pub removal: Removal,
    /// Whether react may write the Directory. Under `report` only the webhook does.
    pub mode: Mode,
    /// Whether ids and roles are written back to Clerk.
    pub writes_back: bool,
    /// The share of Clerk's rate limit that the write-back may use, in percent.
    pub rate_share: u8,
    pub defaults: Defaults,
    /// The bus of the change events.
    pub event_bus: Option<String>,
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
        let writes_back = reader.read(&METADATA_WRITEBACK, switch).unwrap_or(true);
        let clerk = ClerkAccess::read(&mut reader, writes_back);
        let rate_share = rate_share(&mut reader);
        let removal = Removal::read(&mut reader, tables.as_ref());
        let mode = reader.read(&RECONCILE_POLICY, reconcile_policy).unwrap_or_default();
        let defaults = Defaults::read(&mut reader);
        let event_bus = reader.read(&EVENT_BUS, event_bus);
        reader.finish(|| {
            Some(Settings {
                tables: tables?,
                clerk: clerk?,
                removal,
                mode,
                writes_back,
                rate_share,
                defaults,
                event_bus,
            })
        })
    }

    /// Uses the secret key from Secrets Manager from now on.
    pub fn follow(&mut self, secrets: Option<&Arc<Secrets>>) {
        self.clerk.follow(secrets);
    }
}
