//! `rollcall settings`: what every function reads. The deployment's tests compare it with `template.yaml`.

use std::collections::BTreeMap;

use rollcall::core::settings::Variable;

use crate::args::SettingsArgs;

/// The variables of each function, by the name of its folder.
#[must_use]
pub fn variables() -> BTreeMap<&'static str, Vec<Variable>> {
    BTreeMap::from([
        ("webhook", webhook::settings::VARIABLES.to_vec()),
        ("ensure-profile", ensure_profile::settings::VARIABLES.to_vec()),
        ("react", react::settings::VARIABLES.to_vec()),
        ("reconcile", reconcile::settings::VARIABLES.to_vec()),
    ])
}

/// Prints them.
///
/// # Errors
///
/// If they cannot be written as JSON.
pub fn run(args: &SettingsArgs) -> anyhow::Result<()> {
    if args.json {
        println!("{}", serde_json::to_string_pretty(&variables())?);
        return Ok(());
    }
    for (function, variables) in variables() {
        println!("{function}");
        for variable in variables {
            let need = if variable.required { "required" } else { "optional" };
            println!("  {:27} {need}  {}", variable.name, variable.looks_like);
        }
    }
    Ok(())
}
