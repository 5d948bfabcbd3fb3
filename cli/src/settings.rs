//! `rollcall settings`: what every function reads. The deployment's tests compare it with `template.yaml`, and
//! docs/configuration.md is made of it.

mod page;

use std::collections::BTreeMap;

use clerk_emulator::output::say;
use rollcall::settings::variables::Variable;

use crate::args::SettingsArgs;
use crate::functions::FUNCTIONS;

/// The variables of each function, by the name of its folder.
pub fn variables() -> BTreeMap<&'static str, Vec<Variable>> {
    FUNCTIONS.map(|function| (function.name, function.variables().copied().collect())).into()
}

/// Prints the variables.
///
/// # Errors
///
/// If they cannot be written as JSON or as a page, or not to standard output.
pub fn run(args: &SettingsArgs) -> anyhow::Result<()> {
    if args.json {
        return Ok(say(serde_json::to_string_pretty(&variables())?)?);
    }
    if args.markdown {
        return Ok(say(page::markdown()?.trim_end())?);
    }
    let mut lines = Vec::new();
    for (function, variables) in variables() {
        lines.push(function.to_owned());
        lines.extend(variables.iter().map(|variable| {
            let need = if variable.required { "required" } else { "optional" };
            format!("  {:27} {need}  {}", variable.name, variable.looks_like)
        }));
    }
    Ok(say(lines.join("\n"))?)
}
