//! Reads `template.yaml`. The local stack creates its tables from this file, and the configuration page lists its
//! parameters.

use serde_yaml_ng::Value;

const TEMPLATE: &str = include_str!("../../template.yaml");

/// The template as data. CloudFormation's short forms, such as `!Ref`, stay tags.
///
/// # Errors
///
/// If the template is not valid YAML.
pub fn read() -> serde_yaml_ng::Result<Value> {
    serde_yaml_ng::from_str(TEMPLATE)
}
