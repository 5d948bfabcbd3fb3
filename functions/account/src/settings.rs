//! Settings of the account function.

use std::sync::Arc;

use rollcall::adapters::clerk::access::ClerkAccess;
use rollcall::adapters::clerk::secrets::Secrets;
use rollcall::adapters::clerk::sessions::Sessions;
use rollcall::core::profile::Defaults;
use rollcall::settings::account::AccountSettings;
use rollcall::settings::mirror::Mirror;
use rollcall::settings::tables::Tables;
use rollcall::settings::variables::{
    CLERK_RATE_SHARE, InvalidSettings, Reader, SUPPORT_CONTACT, Variable, rate_share, support_contact,
};

/// The variables that the function reads. The function needs the secret key of Clerk only with `MIRROR=off`, or to
/// delete accounts.
pub const GROUPS: &[&[Variable]] = &[
    &Tables::VARIABLES,
    &ClerkAccess::VARIABLES_WITH_OPTIONAL_KEY,
    &Sessions::VARIABLES,
    &Mirror::VARIABLES,
    &Defaults::VARIABLES,
    &AccountSettings::VARIABLES,
    &[SUPPORT_CONTACT, CLERK_RATE_SHARE],
];

#[derive(Debug)]
pub struct Settings {
    pub tables: Tables,
    pub clerk: ClerkAccess,
    pub sessions: Sessions,
    pub mirror: Mirror,
    pub defaults: Defaults,
    pub account: AccountSettings,
    /// Shown with errors that only an operator can resolve.
    pub support: Option<String>,
    /// The share of Clerk's rate limit that may be used, in percent.
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
        let mirror = Mirror::read(&mut reader);
        let account = AccountSettings::read(&mut reader);
        let clerk = ClerkAccess::read(&mut reader, !mirror.is_on || account.deletion);
        let sessions = Sessions::read(&mut reader);
        let defaults = Defaults::read(&mut reader);
        let support = reader.read(&SUPPORT_CONTACT, support_contact);
        let rate_share = rate_share(&mut reader);
        reader.finish(|| {
            Some(Settings {
                tables: tables?,
                clerk: clerk?,
                sessions: sessions?,
                mirror,
                defaults,
                account,
                support,
                rate_share,
            })
        })
    }

    /// Replaces the secret key by the key from Secrets Manager.
    pub fn follow(&mut self, secrets: Option<&Arc<Secrets>>) {
        self.clerk.follow(secrets);
    }
}
