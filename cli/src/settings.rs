//! `rollcall settings`: lists the environment variables of each function. A test compares the list with
//! `template.yaml`; `make docs` generates docs/configuration.md from the list.

mod page;

use std::collections::BTreeMap;

use clap::Args;
use clerk_emulator::output::say;
use rollcall::settings::variables::Variable;

use crate::functions::FUNCTIONS;

/// `rollcall settings`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  rollcall settings")]
pub struct SettingsArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Print the configuration page (docs/configuration.md) as Markdown
    #[arg(long, conflicts_with = "json")]
    pub markdown: bool,
}

/// The variables of each function, by the name of the function.
pub fn variables() -> BTreeMap<&'static str, Vec<Variable>> {
    FUNCTIONS.map(|function| (function.name, function.variables().copied().collect())).into()
}

/// Prints the variables.
///
/// # Errors
///
/// If the variables cannot be formatted or standard output cannot be written.
pub fn run(args: &SettingsArgs) -> anyhow::Result<()> {
    if args.json {
        return Ok(say(serde_json::to_string_pretty(&variables())?)?);
    }
    if args.markdown {
        return Ok(say(page::markdown()?.trim_end())?);
    }
    let of_function = |(function, variables): (&str, Vec<Variable>)| {
        let texts = variables.iter().map(|variable| text(function, variable));
        format!("{function}\n{}", texts.collect::<String>())
    };
    let functions: Vec<String> = variables().into_iter().map(of_function).collect();
    Ok(say(functions.join("\n").trim_end())?)
}

/// A variable for the terminal: whether it is required, its meaning, its format and its default.
fn text(function: &str, variable: &Variable) -> String {
    let need = match need(function, variable) {
        Need::Always => "required".to_owned(),
        Need::Unless(condition) => format!("required unless {}", without_markup(condition)),
        Need::Under(condition) => format!("required under {}", without_markup(condition)),
        Need::Never => "optional".to_owned(),
    };
    let default = variable.default.map(|default| format!("      default: {default}\n")).unwrap_or_default();
    let Variable { name, looks_like, .. } = variable;
    format!("  {name} ({need})\n      {}\n      format: {looks_like}\n{default}", without_markup(variable.meaning))
}

/// Markdown without the targets of its links and without backticks.
fn without_markup(markdown: &str) -> String {
    let mut text = markdown.replace('`', "");
    while let Some(middle) = text.find("](") {
        let end = text[middle..].find(')').map_or(text.len(), |length| middle + length + 1);
        text.replace_range(middle..end, "");
        if let Some(start) = text[..middle].rfind('[') {
            text.remove(start);
        }
    }
    text
}

/// Whether a function needs a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need {
    Always,
    /// Except under this condition, in Markdown.
    Unless(&'static str),
    /// Only under this condition, in Markdown.
    Under(&'static str),
    Never,
}

/// Whether a function needs a variable. `required` of a [`Variable`] has no conditions.
pub(crate) fn need(function: &str, variable: &Variable) -> Need {
    match (variable.name, function) {
        ("BACKUP_BUCKET", _) => Need::Unless("`DELETION_POLICY=retain`"),
        ("CLERK_SECRET_KEY", "ensure-profile") => {
            Need::Unless("`ROLLCALL_SECRET_ARN` is set or `ENSURE_POLICY=verify`")
        }
        ("CLERK_SECRET_KEY", "react") => Need::Unless("`ROLLCALL_SECRET_ARN` is set or `METADATA_WRITEBACK=off`"),
        ("CLERK_SECRET_KEY", "account") => {
            Need::Under("`MIRROR=off` or `ACCOUNT_DELETION=on`, unless `ROLLCALL_SECRET_ARN` is set")
        }
        ("CLERK_SECRET_KEY" | "CLERK_WEBHOOK_SECRET", _) => Need::Unless("`ROLLCALL_SECRET_ARN` is set"),
        _ if variable.required => Need::Always,
        _ => Need::Never,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of the variables that a function reports as missing or malformed.
    fn missing(function: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Vec<&'static str> {
        let error = match function {
            "webhook" => webhook::settings::Settings::read(lookup).err(),
            "ensure-profile" => ensure_profile::settings::Settings::read(lookup).err(),
            "account" => account::settings::Settings::read(lookup).err(),
            "authorizer" => authorizer::settings::Settings::read(lookup).err(),
            "react" => react::settings::Settings::read(lookup).err(),
            "reconcile" => reconcile::settings::Settings::read(lookup).err(),
            _ => panic!("{function} is missing in this test"),
        };
        error.map(|error| error.names()).unwrap_or_default()
    }

    #[test]
    fn a_function_needs_what_is_printed_as_required() {
        for (function, variables) in variables() {
            let without_all = missing(function, &|_| None);
            for variable in &variables {
                let need = need(function, variable);
                let is_needed = matches!(need, Need::Always | Need::Unless(_));
                assert_eq!(without_all.contains(&variable.name), is_needed, "{function}: {}", variable.name);
                if let Need::Under(condition) = need {
                    let settings = condition.split('`').filter_map(|word| word.split_once('='));
                    for (name, value) in settings {
                        let under = missing(function, &|asked| (asked == name).then(|| value.to_owned()));
                        assert!(under.contains(&variable.name), "{function}: {} under {name}={value}", variable.name);
                    }
                    continue;
                }
                let Need::Unless(condition) = need else { continue };
                let Some((name, value)) =
                    condition.rsplit(' ').next().and_then(|last| last.trim_matches('`').split_once('='))
                else {
                    // The secret is read before the settings.
                    assert_eq!(condition, "`ROLLCALL_SECRET_ARN` is set");
                    continue;
                };
                let under = missing(function, &|asked| (asked == name).then(|| value.to_owned()));
                assert!(!under.contains(&variable.name), "{function}: {} unless {condition}", variable.name);
            }
        }
    }

    #[test]
    fn the_terminal_gets_meaning_format_and_default_without_markup() {
        let policy = rollcall::settings::variables::DELETION_POLICY;
        let text = text("react", &policy);
        assert!(text.starts_with("  DELETION_POLICY (optional)\n      "), "{text}");
        assert!(text.ends_with("      default: redact\n") && text.contains("      format: redact"), "{text}");
        assert!(!text.contains('`') && !text.contains("]("), "{text}");
        assert_eq!(without_markup("see [this page](a.md#b) and `that`"), "see this page and that");
        assert_eq!(without_markup("a list: `[{\"table\":\"tasks\"}]`"), "a list: [{\"table\":\"tasks\"}]");
    }
}
