//! Settings: named variables, read through a look-up, with every problem reported at once.
//!
//! Nothing here reads the environment: a `main.rs` passes the look-up in. Secrets come from the environment on a
//! developer's machine and from Secrets Manager when deployed; the reader sees no difference.

use std::fmt;

use serde::Serialize;

use super::tombstone::DeletionPolicy;

/// Where a variable's value comes from when deployed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The function's environment.
    Environment,
    /// The JSON secret that `ROLLCALL_SECRET_ARN` names; the environment on a developer's machine.
    Secret,
    /// AWS's own variables, read by its SDK.
    Aws,
}

/// One setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Variable {
    /// Its name, in the environment and in the secret alike.
    pub name: &'static str,
    /// Whether a function refuses to start without it.
    pub required: bool,
    /// Where it comes from.
    pub source: Source,
    /// What it is and what it should look like.
    pub looks_like: &'static str,
}

const fn variable(name: &'static str, required: bool, source: Source, looks_like: &'static str) -> Variable {
    Variable { name, required, source, looks_like }
}

/// The Directory's table.
pub const DIRECTORY_TABLE: Variable = variable(
    "DIRECTORY_TABLE",
    true,
    Source::Environment,
    "the name of the Directory table, such as rollcall-directory",
);
/// The Operations table.
pub const OPERATIONS_TABLE: Variable = variable(
    "OPERATIONS_TABLE",
    true,
    Source::Environment,
    "the name of the Operations table, such as rollcall-operations",
);
/// Clerk's instance.
pub const CLERK_INSTANCE_ID: Variable =
    variable("CLERK_INSTANCE_ID", true, Source::Environment, "the id of your Clerk instance, such as ins_2nUcu…");
/// Clerk's Backend API.
pub const CLERK_API_URL: Variable = variable(
    "CLERK_API_URL",
    false,
    Source::Environment,
    "the base URL of Clerk's Backend API, by default https://api.clerk.com",
);
/// The key to the Backend API.
pub const CLERK_SECRET_KEY: Variable =
    variable("CLERK_SECRET_KEY", true, Source::Secret, "the secret key of your Clerk instance, such as sk_live_…");
/// The webhook's signing secrets.
pub const CLERK_WEBHOOK_SECRET: Variable = variable(
    "CLERK_WEBHOOK_SECRET",
    true,
    Source::Secret,
    "one or several signing secrets, separated by spaces, such as whsec_…",
);
/// The secret that holds the two above.
pub const ROLLCALL_SECRET_ARN: Variable = variable(
    "ROLLCALL_SECRET_ARN",
    false,
    Source::Environment,
    "the ARN of a Secrets Manager secret, a JSON object with CLERK_SECRET_KEY and CLERK_WEBHOOK_SECRET",
);
/// What a deletion leaves.
pub const DELETION_POLICY: Variable =
    variable("DELETION_POLICY", false, Source::Environment, "redact (default), purge or retain");
/// Whether live users and memberships are kept.
pub const MIRROR: Variable = variable("MIRROR", false, Source::Environment, "on (default) or off");

/// All the problems of one start, each by the name of its variable.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct InvalidSettings(Vec<(&'static str, String)>);

impl fmt::Display for InvalidSettings {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problems: Vec<String> = self.0.iter().map(|(name, problem)| format!("{name} {problem}")).collect();
        out.write_str(&problems.join("; "))
    }
}

impl std::error::Error for InvalidSettings {}

impl InvalidSettings {
    /// The names of the variables that are missing or malformed.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.0.iter().map(|(name, _)| *name).collect()
    }
}

/// Reads variables one after the other and remembers what was wrong.
pub struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    problems: InvalidSettings,
}

impl<'a> Reader<'a> {
    /// A reader over `lookup`. A blank value counts as missing.
    #[must_use]
    pub fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Reader<'a> {
        Reader { lookup, problems: InvalidSettings::default() }
    }

    /// Reads a variable and parses it; nothing if it is missing or malformed, which the reader then remembers.
    pub fn read<T>(&mut self, variable: &Variable, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let value = (self.lookup)(variable.name).filter(|value| !value.trim().is_empty());
        let Some(value) = value else {
            if variable.required {
                self.problems.0.push((variable.name, format!("is missing: it should be {}", variable.looks_like)));
            }
            return None;
        };
        let parsed = parse(value.trim());
        if parsed.is_none() {
            // Never the value itself: it may be a secret in the wrong place.
            self.problems.0.push((variable.name, format!("is malformed: it should be {}", variable.looks_like)));
        }
        parsed
    }

    /// What was wrong, all of it.
    #[must_use]
    pub fn finish(self) -> InvalidSettings {
        self.problems
    }
}

/// A table's name or ARN. Source: AWS, "Naming rules and data types".
#[must_use]
pub fn table_name(text: &str) -> Option<String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let name = text.strip_prefix("arn:").and_then(|arn| arn.rsplit_once("table/")).map_or(text, |(_, name)| name);
    ((3..=255).contains(&name.len()) && name.bytes().all(allowed)).then(|| text.to_owned())
}

/// `on` or `off`.
#[must_use]
pub fn switch(text: &str) -> Option<bool> {
    match text {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

/// `redact`, `purge` or `retain`.
#[must_use]
pub fn deletion_policy(text: &str) -> Option<DeletionPolicy> {
    match text {
        "redact" => Some(DeletionPolicy::Redact),
        "purge" => Some(DeletionPolicy::Purge),
        "retain" => Some(DeletionPolicy::Retain),
        _ => None,
    }
}
