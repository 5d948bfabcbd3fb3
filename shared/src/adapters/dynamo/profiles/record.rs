//! Changes of a record by its owner: one transaction, which checks the rows of the owners and the values that were
//! read.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update};
use serde_json::{Map, Value};

use super::Profiles;
use super::write::OwnerState;
use crate::adapters::dynamo::batch::attributes;
use crate::adapters::dynamo::error::StoreError;
use crate::adapters::dynamo::row::{Row, is_exact, key_of, profile};
use crate::adapters::dynamo::transaction::{Transacted, condition_failed, transact};
use crate::core::account::write::{Changes, VERSION, version};
use crate::core::controls::{Invariant, guards};
use crate::core::id::Key;

/// A record as DynamoDB returned it. The conditions of a change compare these exact values.
#[derive(Debug)]
pub struct Record {
    row: Row,
    /// The record as JSON, which the owner sees.
    pub shown: Map<String, Value>,
    /// The fields whose values JSON cannot express exactly.
    pub inexact: BTreeSet<String>,
}

/// The outcome of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Updated {
    /// The change is stored.
    Done,
    /// The record has changed since it was read, or an owner is not live any more.
    Changed,
}

impl Record {
    pub(in crate::adapters) fn new(row: Row) -> Record {
        let inexact = row.iter().filter(|(_, value)| !is_exact(value)).map(|(name, _)| name.clone()).collect();
        let shown = profile(row.clone()).shown();
        Record { row, shown, inexact }
    }
}

impl Profiles {
    /// Changes some fields of a record, if these fields and the count of writes still have the values that were read,
    /// the record is not redacted, and the owners are live. All other fields of the record stay as they are.
    ///
    /// # Errors
    ///
    /// [`StoreError`]. A false condition is no error.
    pub async fn update(
        &self,
        record: &Record,
        changes: &Changes,
        owners: &[(Key, OwnerState)],
    ) -> Result<Updated, StoreError> {
        let checks = owners.iter().map(|(key, owner)| self.check(key, *owner));
        let mut items = checks.collect::<Result<Vec<_>, StoreError>>()?;
        items.push(self.change(record, changes)?);
        match transact(&self.client, items).await? {
            Transacted::Done { .. } => Ok(Updated::Done),
            Transacted::ConditionFailed(reasons) if reasons.iter().any(condition_failed) => Ok(Updated::Changed),
            Transacted::ConditionFailed(_) => Err(StoreError::Unreadable("a cancelled transaction".into())),
        }
    }

    fn change(&self, record: &Record, changes: &Changes) -> Result<TransactWriteItem, StoreError> {
        let key = key_of(&record.row).ok_or_else(|| StoreError::Unreadable("a record without a key".into()))?;
        let mut conditions = vec!["attribute_exists(pk)".to_owned(), "attribute_not_exists(redacted_at)".to_owned()];
        let mut sets = vec!["#version = :version".to_owned()];
        let mut removes = Vec::new();
        let mut update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(attributes(&key)))
            .expression_attribute_names("#version", VERSION)
            .expression_attribute_values(":version", AttributeValue::N((version(&record.shown) + 1).to_string()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::None);
        let touched = changes.fields().map(String::as_str).chain(guards(Invariant::I20).then_some(VERSION));
        for (at, name) in touched.enumerate() {
            let (field, old) = (format!("#f{at}"), format!(":o{at}"));
            update = update.expression_attribute_names(&field, name);
            match record.row.get(name) {
                _ if !guards(Invariant::I20) => {}
                None => conditions.push(format!("attribute_not_exists({field})")),
                Some(value) => {
                    conditions.push(format!("{field} = {old}"));
                    update = update.expression_attribute_values(old, value.clone());
                }
            }
            if let Some(value) = changes.set.get(name) {
                let new = format!(":n{at}");
                let value: AttributeValue =
                    serde_dynamo::to_attribute_value(value).map_err(|error| StoreError::Unreadable(error.into()))?;
                update = update.expression_attribute_values(&new, value);
                sets.push(format!("{field} = {new}"));
            } else if changes.remove.contains(name) {
                removes.push(field);
            }
        }
        let mut expression = format!("SET {}", sets.join(", "));
        if !removes.is_empty() {
            expression.push_str(&format!(" REMOVE {}", removes.join(", ")));
        }
        let update = update.update_expression(expression).condition_expression(conditions.join(" AND "));
        let update = update.build().map_err(|error| StoreError::Unreadable(error.into()))?;
        Ok(TransactWriteItem::builder().update(update).build())
    }
}
