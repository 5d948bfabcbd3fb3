//! Reads the presets: files of settings in `presets/`, in the format of `sam deploy --config-file`. The local stack
//! uses the same files.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use heck::ToShoutySnakeCase;
use include_dir::{Dir, include_dir};
use serde::Deserialize;

use crate::Usage;

static PRESETS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../presets");

/// Settings by the names of their variables.
pub type Preset = BTreeMap<String, String>;

/// The part of SAM's configuration file that a preset uses.
#[derive(Deserialize)]
struct File {
    default: Environment,
}

#[derive(Deserialize)]
struct Environment {
    deploy: Command,
}

#[derive(Deserialize)]
struct Command {
    parameters: Parameters,
}

#[derive(Deserialize)]
struct Parameters {
    parameter_overrides: Vec<String>,
}

/// The names of all presets, in order.
pub fn names() -> Vec<&'static str> {
    let files = PRESETS.files().filter(|file| file.path().extension().is_some_and(|extension| extension == "toml"));
    let mut names: Vec<&str> = files.filter_map(|file| file.path().file_stem()?.to_str()).collect();
    names.sort_unstable();
    names
}

/// The settings of a preset.
///
/// # Errors
///
/// If the preset does not exist, or its file cannot be read.
pub fn read(name: &str) -> anyhow::Result<Preset> {
    let Some(file) = PRESETS.get_file(format!("{name}.toml")) else {
        bail!(Usage(format!("unknown preset {name}: choose one of {}", names().join(", "))));
    };
    parse(file.contents_utf8().unwrap_or_default()).with_context(|| format!("presets/{name}.toml"))
}

fn parse(text: &str) -> anyhow::Result<Preset> {
    let file: File = toml::from_str(text)?;
    let overrides = file.default.deploy.parameters.parameter_overrides;
    let setting = |entry: &String| {
        let (parameter, value) =
            entry.split_once('=').with_context(|| format!("{entry} is not in the form Name=Value"))?;
        // The template sets `DELETION_POLICY` from `DeletionPolicy`.
        Ok((parameter.to_shouty_snake_case(), value.trim_matches('"').replace("\\\"", "\"")))
    };
    overrides.iter().map(setting).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_read_and_its_variables_are_some_that_a_function_reads() {
        let known: Vec<&str> =
            crate::settings::variables().into_values().flatten().map(|variable| variable.name).collect();
        let expected = ["clerk-only", "org-profiles", "progress-and-purge", "read-only-copy", "user-records"];
        assert_eq!(names(), expected);
        for name in names() {
            for (variable, value) in read(name).unwrap() {
                assert!(known.contains(&variable.as_str()) && !value.is_empty(), "{name}: {variable}={value}");
            }
        }
        let refused = read("nothing").unwrap_err().to_string();
        assert!(refused.contains("choose one of clerk-only, org-profiles"), "{refused}");
    }

    #[test]
    fn a_preset_says_what_its_system_has_decided() {
        let of = |name: &str, variable: &str| read(name).unwrap().remove(variable).unwrap_or_default();
        assert_eq!(of("clerk-only", "MIRROR"), "off");
        assert_eq!(of("clerk-only", "PROFILE_WRITABLE"), r#"["bio","timezone"]"#);
        assert_eq!(of("clerk-only", "ORGANIZATION_ROLES_POINTER"), "/organization_roles");
        assert_eq!(of("read-only-copy", "RECONCILE_POLICY"), "report");
        assert_eq!(
            (of("read-only-copy", "ENSURE_POLICY"), of("read-only-copy", "DELETION_POLICY")),
            ("verify".into(), "retain".into())
        );
        assert_eq!(
            (of("user-records", "METADATA_WRITEBACK"), of("user-records", "DELETION_POLICY")),
            ("on".into(), "redact".into())
        );
        assert_eq!(of("progress-and-purge", "DELETION_POLICY"), "purge");
        assert_eq!(of("progress-and-purge", "ACCOUNT_DELETION"), "on");
        assert_eq!(of("progress-and-purge", "PROFILE_DEFAULTS"), r#"{"level":1,"points":0}"#);
    }
}
