//! What the ensure-profile function reads before its first event.

use std::sync::Arc;

use rollcall::adapters::clerk::api::DEFAULT_URL;
use rollcall::adapters::clerk::secrets::{Secret, Secrets};
use rollcall::adapters::clerk::sessions::Sessions;
use rollcall::core::ensure::decide::Policy;
use rollcall::core::id::InstanceId;
use rollcall::core::mirror::roles::Roles;
use rollcall::core::profile::Defaults;
use rollcall::settings::tables::Tables;
use rollcall::settings::variables::{
    ALLOW_MISSING_AZP, ALLOWED_ORIGINS, CLERK_API_URL, CLERK_INSTANCE_ID, CLERK_ISSUER, CLERK_JWKS_URL, CLERK_JWT_KEY,
    CLERK_PUBLISHABLE_KEY, CLERK_RATE_SHARE, CLERK_SECRET_KEY, DIRECTORY_TABLE, ENSURE_POLICY, InvalidSettings,
    MEMBERSHIP_PROFILE_DEFAULTS, MIRROR, OPERATIONS_TABLE, PROFILE_DEFAULTS, PROFILES_TABLE, ROLES,
    ROLLCALL_SECRET_ARN, Reader, SIGN_IN_URL, SUPPORT_CONTACT, USUAL_RATE_SHARE, Variable, api_url, ensure_policy,
    http_url, percent, profile_defaults, secret_key, support_contact, switch,
};
use secrecy::SecretString;
use url::Url;

/// Everything the function reads, `ROLLCALL_SECRET_ARN` included, which `main.rs` follows before it reads the rest. Under
/// `verify` it calls nobody with a key, and needs none.
pub const VARIABLES: [Variable; 21] = [
    DIRECTORY_TABLE,
    PROFILES_TABLE,
    OPERATIONS_TABLE,
    CLERK_INSTANCE_ID,
    CLERK_ISSUER,
    CLERK_JWKS_URL,
    CLERK_JWT_KEY,
    CLERK_PUBLISHABLE_KEY,
    ALLOWED_ORIGINS,
    ALLOW_MISSING_AZP,
    SIGN_IN_URL,
    ENSURE_POLICY,
    MIRROR,
    ROLES,
    PROFILE_DEFAULTS,
    MEMBERSHIP_PROFILE_DEFAULTS,
    SUPPORT_CONTACT,
    CLERK_API_URL,
    CLERK_RATE_SHARE,
    CLERK_SECRET_KEY.required_if(false),
    ROLLCALL_SECRET_ARN,
];

/// The settings, checked.
#[derive(Debug)]
pub struct Settings {
    /// The three tables.
    pub tables: Tables,
    /// Whose users they are.
    pub instance: InstanceId,
    /// Who is signed in.
    pub sessions: Sessions,
    /// Where somebody who is not signed in goes.
    pub sign_in_url: Option<Url>,
    /// What may be done about what is missing.
    pub policy: Policy,
    /// Whether live users and memberships are kept at all.
    pub mirror: bool,
    /// Which names are roles.
    pub roles: Roles,
    /// What new records hold.
    pub defaults: Defaults,
    /// Whom callers may turn to.
    pub support: Option<String>,
    /// Where Clerk's Backend API is.
    pub clerk_api_url: Url,
    /// The share of Clerk's rate that may be used, in percent.
    pub rate_share: u8,
    /// The key to it; empty under `verify`, which asks nothing.
    pub clerk_secret_key: Secret,
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
        let sessions = Sessions::read(&mut reader);
        let sign_in_url = reader.read(&SIGN_IN_URL, http_url);
        let policy = reader.read(&ENSURE_POLICY, ensure_policy).unwrap_or(Policy::Create);
        let mirror = reader.read(&MIRROR, switch).unwrap_or(true);
        let roles = reader.read(&ROLES, Roles::parse).unwrap_or_default();
        let user = reader.read(&PROFILE_DEFAULTS, profile_defaults).unwrap_or_default();
        let membership = reader.read(&MEMBERSHIP_PROFILE_DEFAULTS, profile_defaults).unwrap_or_default();
        let support = reader.read(&SUPPORT_CONTACT, support_contact);
        let clerk_api_url = reader.read(&CLERK_API_URL, api_url).or_else(|| api_url(DEFAULT_URL));
        let rate_share = reader.read(&CLERK_RATE_SHARE, percent).unwrap_or(USUAL_RATE_SHARE);
        let is_asked = policy == Policy::Create;
        let key = reader.read(&CLERK_SECRET_KEY.required_if(is_asked), secret_key);
        let clerk_secret_key = if is_asked { key } else { Some(SecretString::default()) }.map(Secret::from);
        if policy == Policy::Verify && !mirror {
            reader.contradicts(&ENSURE_POLICY, "is verify, but with MIRROR=off there is no copy to verify");
        }
        let problems = reader.finish();
        if !problems.names().is_empty() {
            return Err(problems);
        }
        let (Some(tables), Some(instance), Some(sessions), Some(clerk_api_url), Some(clerk_secret_key)) =
            (tables, instance, sessions, clerk_api_url, clerk_secret_key)
        else {
            return Err(problems);
        };
        Ok(Settings {
            tables,
            instance,
            sessions,
            sign_in_url,
            policy,
            mirror,
            roles,
            defaults: Defaults { user, membership },
            support,
            clerk_api_url,
            rate_share,
            clerk_secret_key,
        })
    }
    /// Goes on with the key that Secrets Manager holds.
    pub fn follow(&mut self, secrets: Option<&Arc<Secrets>>) {
        self.clerk_secret_key.follow(secrets, &CLERK_SECRET_KEY);
    }
}
