//! Generates docs/configuration.md from the code and the template.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use rollcall::settings::variables::{ROLLCALL_SECRET_ARN, Source, Variable};
use serde_yaml_ng::Value;

use super::{Need, need};
use crate::functions::FUNCTIONS;
use crate::template;

/// The page.
///
/// # Errors
///
/// If the parameters of the template cannot be read.
pub(super) fn markdown() -> anyhow::Result<String> {
    let template = template::read()?;
    let (variables, parameters) = (variables(&template), parameters(&template)?);
    Ok(format!("{}{variables}\n{PARAMETERS}{parameters}", include_str!("page.md")))
}

const PARAMETERS: &str = "## Template parameters

In the order of `sam deploy --guided`. A parameter without a default is required.

";

/// A variable and the functions that read it.
struct Row {
    variable: &'static Variable,
    readers: Vec<&'static str>,
}

/// Each variable once, in the order in which the functions read them.
fn rows() -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for function in &FUNCTIONS {
        for variable in function.variables() {
            let at = rows.iter().position(|row| row.variable.name == variable.name).unwrap_or_else(|| {
                rows.push(Row { variable, readers: Vec::new() });
                rows.len() - 1
            });
            rows[at].readers.push(function.name);
        }
    }
    rows
}

fn variables(template: &Value) -> String {
    let set_from = set_from(template);
    let mut page = "| variable | meaning | default | required | from | read by | parameter |\n\
                    | --- | --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    for Row { variable, readers } in rows() {
        let required = required(variable, &readers);
        let (from, name) = match variable.source {
            Source::Environment => ("environment", variable.name),
            Source::Secret => ("the secret", ROLLCALL_SECRET_ARN.name),
        };
        let parameters = set_from.get(name).into_iter().flatten().map(|name| code(name)).collect::<Vec<_>>().join(", ");
        let readers = if readers.len() == FUNCTIONS.len() { "all".to_owned() } else { readers.join(", ") };
        let default = variable.default.map(code).unwrap_or_default();
        page += &line([&code(variable.name), variable.meaning, &default, &required, from, &readers, &parameters]);
    }
    page
}

/// The column *required*: one text for all readers, or one for each group of readers.
fn required(variable: &Variable, readers: &[&'static str]) -> String {
    let mut groups: BTreeMap<Need, Vec<&str>> = BTreeMap::new();
    for reader in readers {
        groups.entry(need(reader, variable)).or_default().push(reader);
    }
    let is_one = groups.len() == 1;
    let text = |(need, readers): (Need, Vec<&str>)| {
        let need = match need {
            Need::Always => "yes".to_owned(),
            Need::Unless(condition) => format!("unless {condition}"),
            Need::Under(condition) => format!("under {condition}"),
            Need::Never => String::new(),
        };
        if is_one { need } else { format!("{}: {need}", readers.join(", ")) }
    };
    groups.into_iter().map(text).collect::<Vec<_>>().join("; ")
}

/// The parameters from which the template sets each variable, by the variable's name.
fn set_from(template: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let resources = template["Resources"].as_mapping().into_iter().flat_map(|resources| resources.values());
    let environments = resources.filter_map(|it| it["Properties"]["Environment"]["Variables"].as_mapping());
    for (name, value) in environments.flatten() {
        let mut words = Vec::new();
        leaves(value, &mut words);
        let parameters = words.into_iter().filter(|word| !template["Parameters"][*word].is_null());
        found.entry(text(name)).or_default().extend(parameters.map(str::to_owned));
    }
    found
}

fn leaves<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Sequence(values) => values.iter().for_each(|value| leaves(value, found)),
        Value::Mapping(values) => values.values().for_each(|value| leaves(value, found)),
        Value::Tagged(tagged) => leaves(&tagged.value, found),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn parameters(template: &Value) -> anyhow::Result<String> {
    let mut page = "| | parameter | default | meaning |\n| --- | --- | --- | --- |\n".to_owned();
    let groups = &template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"];
    for group in groups.as_sequence().context("template.yaml contains no ParameterGroups")? {
        let mut label = format!("**{}**", text(&group["Label"]["default"]));
        for name in group["Parameters"].as_sequence().context("a ParameterGroup contains no Parameters")? {
            let parameter = &template["Parameters"][name];
            let default = match parameter.get("Default") {
                None => String::new(),
                Some(default) if text(default).is_empty() => "empty".to_owned(),
                Some(default) => code(&text(default)),
            };
            page +=
                &line([&std::mem::take(&mut label), &code(&text(name)), &default, &text(&parameter["Description"])]);
        }
    }
    Ok(page)
}

/// A scalar as the template writes it.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(is_true) => is_true.to_string(),
        _ => String::new(),
    }
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

fn line<const COLUMNS: usize>(cells: [&str; COLUMNS]) -> String {
    let mut line = "|".to_owned();
    for cell in cells {
        let cell = cell.replace('|', "\\|");
        line += &if cell.is_empty() { " |".to_owned() } else { format!(" {cell} |") };
    }
    line + "\n"
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_checked_in_page_is_the_one_that_the_code_makes() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
        let page = std::fs::read_to_string(path).unwrap();
        let made = markdown().unwrap();
        let different = page.lines().zip(made.lines()).find(|(page, made)| page != made);
        assert!(page == made, "docs/configuration.md is not up to date: run `make docs`\n{different:#?}");
    }

    #[test]
    fn every_variable_is_described_once_and_the_same_for_every_reader() {
        let rows = rows();
        assert!(rows.len() > 25, "{}", rows.len());
        for function in &FUNCTIONS {
            for variable in function.variables() {
                let row = rows.iter().find(|row| row.variable.name == variable.name).unwrap();
                // A function may do without what others need.
                assert_eq!(variable.required_if(false), row.variable.required_if(false), "{}", function.name);
            }
        }
        for Row { variable, .. } in rows {
            let Variable { name, meaning, looks_like, .. } = variable;
            assert!(!meaning.is_empty() && !looks_like.is_empty() && !meaning.ends_with('.'), "{name}");
        }
    }

    #[test]
    fn a_variable_and_its_parameter_have_the_same_default() {
        let template = template::read().unwrap();
        let set_from = set_from(&template);
        let mut compared = 0;
        for Row { variable, .. } in rows() {
            let parameters: Vec<&String> = set_from.get(variable.name).into_iter().flatten().collect();
            let [parameter] = parameters[..] else { continue };
            let default = template["Parameters"][parameter].get("Default").map(text).filter(|text| !text.is_empty());
            assert_eq!(default.as_deref(), variable.default, "{} and {parameter}", variable.name);
            compared += 1;
        }
        assert!(compared > 20, "{compared}");
    }
}
