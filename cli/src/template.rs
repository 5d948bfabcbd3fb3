//! `template.yaml`, of which the local stack makes its tables and the configuration page its parameters: there is no
//! second description that could differ.

use serde_yaml_ng::Value;

const TEMPLATE: &str = include_str!("../../template.yaml");

/// The template as data. CloudFormation's short forms, such as `!Ref`, stay tags.
///
/// # Errors
///
/// If the template is no YAML.
pub fn read() -> serde_yaml_ng::Result<Value> {
    serde_yaml_ng::from_str(TEMPLATE)
}
