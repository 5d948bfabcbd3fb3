//! Settings of the ensure-profile function.

use std::sync::Arc;

use rollcall::adapters::clerk::access::ClerkAccess;
use rollcall::adapters::clerk::secrets::Secrets;
use rollcall::adapters::clerk::sessions::Sessions;
use rollcall::core::ensure::decide::EnsurePolicy;
use rollcall::core::profile::Defaults;
use rollcall::settings::mirror::Mirror;
use rollcall::settings::tables::Tables;
use rollcall::settings::variables::{
    CLERK_RATE_SHARE, ENSURE_POLICY, InvalidSettings, Reader, SIGN_IN_URL, SUPPORT_CONTACT, Variable, ensure_policy,
    http_url, rate_share, support_contact,
};
use url::Url;

/// Every variable that the function reads. Under `verify` the function sends no request to Clerk and needs no key.
pub const GROUPS: &[&[Variable]] = &[
    &Tables::VARIABLES,
    &ClerkAccess::VARIABLES_WITH_OPTIONAL_KEY,
    &Sessions::VARIABLES,
    &[SIGN_IN_URL, ENSURE_POLICY],
    &Mirror::VARIABLES,
    &Defaults::VARIABLES,
    &[SUPPORT_CONTACT, CLERK_RATE_SHARE],
];

#[derive(Debug)]
pub struct Settings {
    pub tables: Tables,
    pub clerk: ClerkAccess,
    pub sessions: Sessions,
    /// The page to which `/sync` redirects browsers without a session.
    pub sign_in_url: Option<Url>,
    pub policy: EnsurePolicy,
    pub mirror: Mirror,
    pub defaults: Defaults,
    /// The contact that is shown with errors that only an operator can resolve.
    pub support: Option<String>,
    /// The share of Clerk's rate limit that the function may use, in percent.
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
        let policy = reader.read(&ENSURE_POLICY, ensure_policy).unwrap_or(EnsurePolicy::Create);
        let clerk = ClerkAccess::read(&mut reader, policy == EnsurePolicy::Create);
        let sessions = Sessions::read(&mut reader);
        let sign_in_url = reader.read(&SIGN_IN_URL, http_url);
        let mirror = Mirror::read(&mut reader);
        let defaults = Defaults::read(&mut reader);
        let support = reader.read(&SUPPORT_CONTACT, support_contact);
        let rate_share = rate_share(&mut reader);
        if policy == EnsurePolicy::Verify && !mirror.is_on {
            reader.contradicts(&ENSURE_POLICY, "is verify, but with MIRROR=off there is no copy to verify");
        }
        reader.finish(|| {
            Some(Settings {
                tables: tables?,
                clerk: clerk?,
                sessions: sessions?,
                sign_in_url,
                policy,
                mirror,
                defaults,
                support,
                rate_share,
            })
        })
    }

    /// Uses the secret key from Secrets Manager from now on.
    pub fn follow(&mut self, secrets: Option<&Arc<Secrets>>) {
        self.clerk.follow(secrets);
    }
}
