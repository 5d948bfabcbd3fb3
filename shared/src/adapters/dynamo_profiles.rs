//! The Profiles table on DynamoDB: records of the application's own, created once and never touched again.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeValue, CancellationReason, ConditionCheck, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number, Value};

use super::dynamo_transaction::{Transacted, is_refused, transact};
use super::store_error::StoreError;
use crate::core::id::Key;
use crate::core::item::Item;
use crate::core::profile::Profile;

/// Whole numbers up to here are exact in JavaScript: 2^53.
const EXACT: u64 = 1 << 53;
/// The Profiles table, with the Directory beside it that says whether an owner lives.
#[derive(Clone, Debug)]
pub struct DynamoProfiles {
    client: Client,
    directory: String,
    profiles: String,
}

/// What must hold of an owner for a record to be created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The Directory has it, and not as a tombstone.
    Lives,
    /// The Directory has no tombstone of it: without a mirror it has nobody who lives.
    HasNotEnded,
}

/// What became of a record that was to be created.
#[derive(Debug)]
pub enum Provisioned {
    /// It is stored: this one, or the one that somebody faster stored.
    Stored {
        /// What is stored.
        profile: Profile,
        /// Whether this call created it.
        created: bool,
    },
    /// An owner has ended, by its place among the owners.
    Ended(usize),
    /// An owner is not there.
    Ownerless,
}

impl DynamoProfiles {
    /// The records in `profiles`, of owners in `directory`.
    #[must_use]
    pub fn new(client: Client, directory: String, profiles: String) -> DynamoProfiles {
        DynamoProfiles { client, directory, profiles }
    }

    /// Creates a record unless there is one, in a transaction that checks all of its owners: a deletion that comes in
    /// between leaves no record behind.
    ///
    /// # Errors
    ///
    /// [`StoreError`], never for an owner that has ended or a race that was lost.
    pub async fn create(&self, profile: Profile, owners: &[(Key, Owner)]) -> Result<Provisioned, StoreError> {
        match transact(&self.client, self.items(&profile, owners)?).await? {
            Transacted::Done { .. } => Ok(Provisioned::Stored { profile, created: true }),
            Transacted::Refused(reasons) => refusal(&reasons, owners.len()),
        }
    }

    fn items(&self, profile: &Profile, owners: &[(Key, Owner)]) -> Result<Vec<TransactWriteItem>, StoreError> {
        let unreadable = |error: aws_sdk_dynamodb::error::BuildError| StoreError::Unreadable(error.into());
        let checks = owners.iter().map(|(key, owner)| {
            let condition = match owner {
                Owner::Lives => "attribute_exists(pk) AND attribute_not_exists(deleted_at)",
                Owner::HasNotEnded => "attribute_not_exists(deleted_at)",
            };
            let check = ConditionCheck::builder()
                .table_name(&self.directory)
                .key("pk", AttributeValue::S(key.pk.clone()))
                .key("sk", AttributeValue::S(key.sk.clone()))
                .condition_expression(condition)
                .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
            Ok(TransactWriteItem::builder().condition_check(check.build().map_err(unreadable)?).build())
        });
        let mut items = checks.collect::<Result<Vec<_>, StoreError>>()?;
        let attributes = serde_dynamo::to_item(&profile.0).map_err(|error| StoreError::Unreadable(error.into()))?;
        let put = Put::builder()
            .table_name(&self.profiles)
            .set_item(Some(attributes))
            .condition_expression("attribute_not_exists(pk)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        items.push(TransactWriteItem::builder().put(put.build().map_err(unreadable)?).build());
        Ok(items)
    }
}

/// The reasons are in the order of the transaction's items: the owners, then the record.
fn refusal(reasons: &[CancellationReason], owners: usize) -> Result<Provisioned, StoreError> {
    let (of_owners, of_record) = reasons.split_at(owners.min(reasons.len()));
    if let Some(at) = of_owners.iter().position(is_refused) {
        let item = of_owners[at].item().filter(|item| !item.is_empty());
        let item = item.map(|item| serde_dynamo::from_item::<_, Item>(item.clone())).transpose();
        let item = item.map_err(|error| StoreError::Unreadable(error.into()))?;
        let has_ended = item.is_some_and(|item| item.is_deleted());
        return Ok(if has_ended { Provisioned::Ended(at) } else { Provisioned::Ownerless });
    }
    let stored = of_record.iter().filter(|reason| is_refused(reason)).find_map(CancellationReason::item);
    Ok(Provisioned::Stored { profile: profile(stored.cloned().unwrap_or_default()), created: false })
}

/// A record from its attributes. An application may have stored what JSON has no word for: binary values become base64,
/// numbers that a double does not hold become text.
pub(super) fn profile(attributes: HashMap<String, AttributeValue>) -> Profile {
    Profile(attributes.into_iter().map(|(name, value)| (name, json(value))).collect())
}

/// The primary key of a row.
pub(super) fn key_of(row: &HashMap<String, AttributeValue>) -> Option<Key> {
    let text = |name| row.get(name).and_then(|value| value.as_s().ok()).cloned();
    Some(Key { pk: text("pk")?, sk: text("sk")? })
}

fn json(value: AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => text.into(),
        AttributeValue::N(digits) => number(&digits),
        AttributeValue::Bool(value) => value.into(),
        AttributeValue::L(values) => values.into_iter().map(json).collect(),
        AttributeValue::M(map) => {
            Value::Object(map.into_iter().map(|(name, value)| (name, json(value))).collect::<Map<_, _>>())
        }
        AttributeValue::Ss(texts) => texts.into(),
        AttributeValue::Ns(numbers) => numbers.iter().map(|digits| number(digits)).collect(),
        AttributeValue::B(bytes) => STANDARD.encode(bytes).into(),
        AttributeValue::Bs(all) => all.into_iter().map(|bytes| STANDARD.encode(bytes)).collect(),
        _ => Value::Null,
    }
}

/// DynamoDB keeps 38 digits. What a browser would read as another number is left as text.
fn number(digits: &str) -> Value {
    let whole = digits.parse::<i64>().ok().filter(|whole| whole.unsigned_abs() <= EXACT).map(Number::from);
    let double = || digits.parse::<f64>().ok().filter(|double| double.fract() != 0.0).and_then(Number::from_f64);
    let same = |number: &Number| number.to_string() == digits;
    whole.or_else(double).filter(same).map_or_else(|| digits.into(), Value::Number)
}
