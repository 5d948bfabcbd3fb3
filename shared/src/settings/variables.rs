//! Settings: named variables, read through a look-up function. All problems are reported at once.
//!
//! This module does not read the environment: each `main.rs` passes the look-up function in. Secrets come from the
//! environment on a developer's machine and from Secrets Manager in a deployment; the reader treats both alike.

use std::fmt;

use secrecy::SecretString;
use serde::Serialize;
use serde_json::{Map, Value};
use url::Url;

use crate::core::account::document::normalized;
use crate::core::ensure::decide;
use crate::core::mirror::tombstone::DeletionPolicy;
use crate::core::profile;
use crate::core::reconcile::run::Mode;

/// The source of a variable's value in a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    Environment,
    /// The JSON secret in `ROLLCALL_SECRET_ARN`; the environment on a developer's machine.
    Secret,
}

/// The description of one setting. Error texts, `rollcall settings` and docs/configuration.md are generated from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Variable {
    /// The name, in the environment and in the secret.
    pub name: &'static str,
    /// Whether a function does not start without it.
    pub required: bool,
    pub source: Source,
    /// Its meaning in Markdown, for the configuration page. Links are relative to docs/.
    pub meaning: &'static str,
    /// The expected format, for the error if the value is missing or invalid.
    pub looks_like: &'static str,
    /// The default value, if there is one.
    pub default: Option<&'static str>,
}

/// An optional variable of the environment, without a default.
pub(super) const fn variable(name: &'static str, meaning: &'static str, looks_like: &'static str) -> Variable {
    Variable { name, required: false, source: Source::Environment, meaning, looks_like, default: None }
}

pub const DIRECTORY_TABLE: Variable = variable(
    "DIRECTORY_TABLE",
    "the name or ARN of the Directory table",
    "the name of the Directory table, such as rollcall-directory",
)
.required_if(true);
pub const PROFILES_TABLE: Variable = variable(
    "PROFILES_TABLE",
    "the name or ARN of the Profiles table",
    "the name of the Profiles table, such as rollcall-profiles",
)
.required_if(true);
pub const OPERATIONS_TABLE: Variable = variable(
    "OPERATIONS_TABLE",
    "the name or ARN of the Operations table",
    "the name of the Operations table, such as rollcall-operations",
)
.required_if(true);
pub const CLERK_INSTANCE_ID: Variable = variable(
    "CLERK_INSTANCE_ID",
    "the id of the Clerk instance, `ins_…`; events of other instances are rejected. It is part of every internal id: \
     never change it for existing tables",
    "the id of your Clerk instance, such as ins_2nUcu…",
)
.required_if(true);
pub const CLERK_API_URL: Variable = variable(
    "CLERK_API_URL",
    "the base URL of Clerk's Backend API; only an emulator needs another value",
    "the base URL of Clerk's Backend API, without /v1; by default https://api.clerk.com",
)
.with_default("https://api.clerk.com");
pub const CLERK_SECRET_KEY: Variable = variable(
    "CLERK_SECRET_KEY",
    "the secret key of the instance, for requests to Clerk's Backend API. Required unless `ROLLCALL_SECRET_ARN` is \
     set; ensure-profile does not need it under `ENSURE_POLICY=verify`, react not under `METADATA_WRITEBACK=off`, and \
     account only under `MIRROR=off` or `ACCOUNT_DELETION=on`",
    "the secret key of your Clerk instance, such as sk_live_…; required unless ROLLCALL_SECRET_ARN is set",
)
.required_if(true)
.secret();
pub const CLERK_WEBHOOK_SECRET: Variable = variable(
    "CLERK_WEBHOOK_SECRET",
    "the endpoint's signing secret, or several separated by spaces during a \
     [rotation](webhook-setup.md#rotating-the-secrets). Required unless `ROLLCALL_SECRET_ARN` is set. The name in Clerk's \
     SDKs, `CLERK_WEBHOOK_SIGNING_SECRET`, is read, too; two different values are an error",
    "one or several signing secrets, separated by spaces, such as whsec_…; required unless ROLLCALL_SECRET_ARN is set",
)
.required_if(true)
.secret();
/// The name of `CLERK_WEBHOOK_SECRET` in Clerk's SDKs.
pub const CLERK_WEBHOOK_SIGNING_SECRET: &str = "CLERK_WEBHOOK_SIGNING_SECRET";
pub const ROLLCALL_SECRET_ARN: Variable = variable(
    "ROLLCALL_SECRET_ARN",
    "the ARN of a Secrets Manager secret, a JSON object with `CLERK_SECRET_KEY` and `CLERK_WEBHOOK_SECRET`. If set, \
     both secrets are read only from Secrets Manager. Deployed functions always use it",
    "the ARN of a Secrets Manager secret, a JSON object with CLERK_SECRET_KEY and CLERK_WEBHOOK_SECRET",
);
pub const DELETION_POLICY: Variable = variable(
    "DELETION_POLICY",
    "[what a deletion keeps](operations.md#deletion-policies): `redact` = the user's row stays, without \
     personal data; `purge` = only the primary key, the internal id and the deletion time stay; `retain` = the whole \
     row stays",
    "redact (default), purge or retain",
)
.with_default("redact");
pub const RECONCILE_POLICY: Variable = variable(
    "RECONCILE_POLICY",
    "`repair` = reconcile repairs differences; `report` = reconcile only reports them, and react does not process \
     deletions. The template then requires `DELETION_POLICY=retain`",
    "repair (default) or report",
)
.with_default("repair");
pub const CLERK_RATE_SHARE: Variable = variable(
    "CLERK_RATE_SHARE",
    "the share of Clerk's rate limit, in percent from 1 to 100, that each of reconcile, react (write-back), \
     ensure-profile and account may use; the four together may use four times this share",
    "a whole number from 1 to 100: the percentage of Clerk's rate limit that each of reconcile, react, ensure-profile \
     and account may use; by default 20",
)
.with_default("20");
pub const MIRROR: Variable = variable(
    "MIRROR",
    "`on` = users, organizations and memberships are copied; `off` = only organizations and the tombstones of deleted \
     users",
    "on (default) or off",
)
.with_default("on");
pub const METADATA_WRITEBACK: Variable = variable(
    "METADATA_WRITEBACK",
    "`on` = `dbId` and `role` are added to the public metadata of users in Clerk where they are missing; `off` = Clerk's \
     metadata are never changed",
    "on (default) or off",
)
.with_default("on");
pub const ROLES: Variable = variable(
    "ROLES",
    "the allowed values of `public_metadata.role`, separated by commas; every other value is stored as `user`, and \
     counted in the metric `UnknownRoles`",
    "the allowed values of role in a user's public metadata, separated by commas; by default admin,user",
)
.with_default("admin,user");
pub const EVENT_BUS: Variable = variable(
    "EVENT_BUS",
    "the name or ARN of the EventBridge bus for change events. If it is not set, change events are only logged",
    "the name or ARN of an EventBridge bus for change events; if it is not set, change events are only logged",
);
pub const CLERK_ISSUER: Variable = variable(
    "CLERK_ISSUER",
    "the issuer (`iss`) of session tokens: the Frontend API URL of the instance. For proxies and satellite domains: \
     several URLs, separated by spaces",
    "the Frontend API URL of your Clerk instance, such as https://clerk.example.com, not the JWKS URL; several URLs \
     are separated by spaces",
)
.required_if(true);
pub const CLERK_JWKS_URL: Variable = variable(
    "CLERK_JWKS_URL",
    "the JWKS URL of the instance, where Clerk publishes the keys that sign session tokens; by default the first \
     `CLERK_ISSUER` followed by `/.well-known/jwks.json`",
    "the JWKS URL of your Clerk instance; by default {first CLERK_ISSUER}/.well-known/jwks.json",
);
pub const CLERK_PUBLISHABLE_KEY: Variable = variable(
    "CLERK_PUBLISHABLE_KEY",
    "the publishable key, `pk_live_…`, from which the name of the session cookie is derived; if it is not set, the \
     name is derived from `CLERK_ISSUER`. Needed behind a proxied Frontend API",
    "the publishable key of your Clerk instance, such as pk_live_…; only needed if CLERK_ISSUER is the URL of a proxy",
);
pub const CLERK_JWT_KEY: Variable = variable(
    "CLERK_JWT_KEY",
    "the instance's JWT public key as PEM, line breaks also as `\\n`. If set, no JWKS is fetched: after Clerk rotates \
     the key, enter the new key here",
    "the PEM of the instance's JWT public key, lines separated by line breaks or \\n; if set, no JWKS is fetched",
);
pub const ALLOWED_ORIGINS: Variable = variable(
    "ALLOWED_ORIGINS",
    "the allowed origins, separated by spaces or commas, such as `https://app.example.com`, `https://*.example.com` \
     (one label) or `tauri://localhost`: the values accepted in the claim `azp`, the origins allowed by CORS, and the \
     origins to which `/sync` may redirect",
    "your origins, separated by spaces or commas, such as https://app.example.com, https://*.example.com (* may stand \
     only for the whole first label) or tauri://localhost",
)
.required_if(true);
pub const ALLOW_MISSING_AZP: Variable = variable(
    "ALLOW_MISSING_AZP",
    "`true` = session tokens without the claim `azp` are accepted, as native apps send them",
    "true or false (default)",
)
.with_default("false");
pub const SIGN_IN_URL: Variable = variable(
    "SIGN_IN_URL",
    "the URL of the sign-in page to which `/sync` redirects browsers without a session; if it is not set, they get an \
     error",
    "the URL of your sign-in page, such as https://app.example.com/sign-in",
);
pub const ENSURE_POLICY: Variable = variable(
    "ENSURE_POLICY",
    "`create` = ensure-profile creates missing rows and records; `verify` = it creates nothing, sends no request to \
     Clerk, and counts missing rows in the metric `NotSynced`. `verify` needs `MIRROR=on`",
    "create (default) or verify",
)
.with_default("create");
pub const PROFILE_DEFAULTS: Variable = variable(
    "PROFILE_DEFAULTS",
    "the default attributes of a user's new record in Profiles, a JSON object",
    DEFAULTS_LOOK_LIKE,
)
.with_default("{}");
pub const MEMBERSHIP_PROFILE_DEFAULTS: Variable = variable(
    "MEMBERSHIP_PROFILE_DEFAULTS",
    "the default attributes of a membership's new record in Profiles, a JSON object",
    DEFAULTS_LOOK_LIKE,
)
.with_default("{}");
const DEFAULTS_LOOK_LIKE: &str = r#"a JSON object with the default attributes of a new record, such as {"theme":"light"}, without the attributes that Rollcall sets (pk, sk, user_id, organization_id, created_at, redacted_at, profile_version, expires_at); by default {}"#;
pub const SUPPORT_CONTACT: Variable = variable(
    "SUPPORT_CONTACT",
    "an e-mail address or URL that is shown in errors that only an operator can resolve",
    "an e-mail address or URL, at most 200 characters, shown in errors that only an operator can resolve",
);

/// The default share of Clerk's rate limit, in percent.
pub const DEFAULT_RATE_SHARE: u8 = 20;

/// Reads the share of Clerk's rate limit that a function may use, in percent.
pub fn rate_share(reader: &mut Reader<'_>) -> u8 {
    reader.read(&CLERK_RATE_SHARE, percent).unwrap_or(DEFAULT_RATE_SHARE)
}

/// All problems of the settings, each with the name of its variable.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct InvalidSettings(Vec<(&'static str, String)>);

impl fmt::Display for InvalidSettings {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.lines().join("; "))
    }
}

impl std::error::Error for InvalidSettings {}

impl InvalidSettings {
    /// Each problem as a line of its own.
    pub fn lines(&self) -> Vec<String> {
        self.0.iter().map(|(name, problem)| format!("{name} {problem}")).collect()
    }

    /// The names of the variables that are missing or malformed.
    pub fn names(&self) -> Vec<&'static str> {
        self.0.iter().map(|(name, _)| *name).collect()
    }
}

/// Reads variables one after the other and notes the problems.
pub struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    problems: InvalidSettings,
}

impl Variable {
    /// The name of the same setting in Clerk's SDKs, if it is another one.
    pub fn name_in_clerks_sdks(&self) -> Option<&'static str> {
        (self.name == CLERK_WEBHOOK_SECRET.name).then_some(CLERK_WEBHOOK_SIGNING_SECRET)
    }

    /// The same variable, required or not.
    #[must_use]
    pub const fn required_if(self, required: bool) -> Variable {
        Variable { required, ..self }
    }

    const fn secret(self) -> Variable {
        Variable { source: Source::Secret, ..self }
    }

    pub(super) const fn with_default(self, default: &'static str) -> Variable {
        Variable { default: Some(default), ..self }
    }
}

impl<'a> Reader<'a> {
    /// A reader over `lookup`. A blank value counts as missing.
    pub fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Reader<'a> {
        Reader { lookup, problems: InvalidSettings::default() }
    }

    /// Reads and parses a variable; nothing if it is missing or invalid, which the reader notes.
    pub fn read<T>(&mut self, variable: &Variable, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let look_up = |name: &str| (self.lookup)(name).filter(|value| !value.trim().is_empty());
        let value = match (look_up(variable.name), variable.name_in_clerks_sdks().and_then(look_up)) {
            (Some(ours), Some(clerks)) if ours.trim() != clerks.trim() => {
                let other = variable.name_in_clerks_sdks().unwrap_or_default();
                self.problems.0.push((variable.name, format!("differs from {other}: set only one of them")));
                return None;
            }
            (ours, clerks) => ours.or(clerks),
        };
        let Some(value) = value else {
            if variable.required {
                self.problems.0.push((variable.name, format!("is missing: expected {}", variable.looks_like)));
            }
            return None;
        };
        let parsed = parse(value.trim());
        if parsed.is_none() {
            // Never the value: it may be a secret in the wrong variable.
            self.problems.0.push((variable.name, format!("is invalid: expected {}", variable.looks_like)));
        }
        parsed
    }

    /// Notes that a variable contradicts another one.
    pub fn contradicts(&mut self, variable: &Variable, problem: &str) {
        self.problems.0.push((variable.name, problem.to_owned()));
    }

    /// The settings, created from the values.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings`] with all problems. `settings` returns nothing only if a required variable is missing or
    /// invalid.
    pub fn finish<S>(self, settings: impl FnOnce() -> Option<S>) -> Result<S, InvalidSettings> {
        match settings() {
            Some(settings) if self.problems.0.is_empty() => Ok(settings),
            _ => Err(self.problems),
        }
    }
}

/// `on` or `off`.
pub fn switch(text: &str) -> Option<bool> {
    match text {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

/// `redact`, `purge` or `retain`.
pub fn deletion_policy(text: &str) -> Option<DeletionPolicy> {
    match text {
        "redact" => Some(DeletionPolicy::Redact),
        "purge" => Some(DeletionPolicy::Purge),
        "retain" => Some(DeletionPolicy::Retain),
        _ => None,
    }
}

/// `repair` or `report`.
pub fn reconcile_policy(text: &str) -> Option<Mode> {
    match text {
        "repair" => Some(Mode::Repair),
        "report" => Some(Mode::Report),
        _ => None,
    }
}

/// A whole percentage; 0 would allow no requests at all.
pub fn percent(text: &str) -> Option<u8> {
    text.parse().ok().filter(|percent| (1..=100).contains(percent))
}

/// The name or ARN of a bus. Source: AWS, API reference of `PutEvents`, pattern of `EventBusName`.
pub fn event_bus(text: &str) -> Option<String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/' | b':');
    ((1..=1600).contains(&text.len()) && text.bytes().all(allowed)).then(|| text.to_owned())
}

/// `true` or `false`.
pub fn boolean(text: &str) -> Option<bool> {
    text.parse().ok()
}

/// `create` or `verify`.
pub fn ensure_policy(text: &str) -> Option<decide::EnsurePolicy> {
    match text {
        "create" => Some(decide::EnsurePolicy::Create),
        "verify" => Some(decide::EnsurePolicy::Verify),
        _ => None,
    }
}

/// An http or https URL with a host.
pub fn http_url(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|url| matches!(url.scheme(), "https" | "http") && url.has_host())
}

/// The base URL of the Backend API, to which `/v1` is added; a URL that ends in `/v1` means the same.
pub fn api_url(text: &str) -> Option<Url> {
    let text = text.trim_end_matches('/');
    http_url(text.strip_suffix("/v1").unwrap_or(text))
}

/// A secret key that can be sent in a header; its prefix is not checked.
pub fn secret_key(text: &str) -> Option<SecretString> {
    text.bytes().all(|byte| byte.is_ascii_graphic()).then(|| SecretString::from(text))
}

/// One or several issuers, separated by commas or white space, as tokens contain them: URLs without a slash at the end.
/// The JWKS URL is not an issuer: all sessions would be rejected.
pub fn issuers(text: &str) -> Option<Vec<String>> {
    let listed = text.split([' ', ',', '\t', '\n']).filter(|issuer| !issuer.is_empty());
    let issuers: Option<Vec<String>> = listed.map(issuer).collect();
    issuers.filter(|issuers| !issuers.is_empty())
}

fn issuer(text: &str) -> Option<String> {
    let text = text.trim_end_matches('/');
    let url = http_url(text)?;
    let is_keys =
        url.path().contains("/.well-known") || url.path().ends_with("/jwks.json") || url.path().ends_with("/jwks");
    let is_plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    (is_plain && !is_keys).then(|| text.to_owned())
}

/// The JWKS URL: never without a path, where a web page would be returned.
pub fn jwks_url(text: &str) -> Option<Url> {
    http_url(text).filter(|url| url.path().len() > 1)
}

/// The key in PEM format; in a variable without line breaks they are written as `\n`.
pub fn pem(text: &str) -> String {
    text.replace("\\n", "\n")
}

/// A JSON object without the attributes that Rollcall sets.
pub fn profile_defaults(text: &str) -> Option<Map<String, Value>> {
    let defaults: Map<String, Value> = serde_json::from_str(text).ok()?;
    let is_free = |name: &String| !name.is_empty() && !profile::PROTECTED.contains(&name.as_str());
    defaults.keys().all(is_free).then_some(defaults).and_then(|defaults| normalized(defaults).ok())
}

/// Text that is shown to callers unchanged.
pub fn support_contact(text: &str) -> Option<String> {
    (text.chars().count() <= 200 && !text.chars().any(char::is_control)).then(|| text.to_owned())
}
