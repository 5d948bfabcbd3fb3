//! The condition that a row is still as it was read.
//!
//! An attribute that was added since, while all others are unchanged, is not noticed: DynamoDB has no condition for it.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::adapters::dynamo::row::Row;

/// The maximum number of attributes that one condition can compare. Source: AWS, "Quotas in Amazon DynamoDB": 300
/// operators, of which each attribute needs two, and 4 KB of text.
pub(super) const MAX_ATTRIBUTES: usize = 140;

/// A condition on a row.
pub(super) struct AsRead {
    pub(super) condition: String,
    pub(super) names: HashMap<String, String>,
    pub(super) values: HashMap<String, AttributeValue>,
}

/// The condition that the attributes of a row have the values that were read; the first [`MAX_ATTRIBUTES`] by their
/// names.
pub(super) fn as_read(row: &Row) -> AsRead {
    let mut attributes: Vec<(&String, &AttributeValue)> = row.iter().collect();
    attributes.sort_by_key(|(name, _)| *name);
    let mut conditions = Vec::new();
    let (mut names, mut values) = (HashMap::new(), HashMap::new());
    for (at, (name, value)) in attributes.into_iter().take(MAX_ATTRIBUTES).enumerate() {
        conditions.push(format!("#a{at} = :a{at}"));
        names.insert(format!("#a{at}"), name.clone());
        values.insert(format!(":a{at}"), value.clone());
    }
    AsRead { condition: conditions.join(" AND "), names, values }
}
