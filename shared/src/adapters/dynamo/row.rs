//! Converts rows to plain JSON.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number, Value};

use crate::core::id::Key;
use crate::core::profile::Profile;

/// A row in the form of DynamoDB's client.
pub(in crate::adapters) type Row = HashMap<String, AttributeValue>;

/// Whole numbers up to this one are exact in JavaScript: 2^53.
const EXACT: u64 = 1 << 53;

/// A record from its attributes. The application may have stored values that JSON does not have: binary values become
/// base64, numbers beyond a double become text.
pub(in crate::adapters) fn profile(attributes: HashMap<String, AttributeValue>) -> Profile {
    Profile(plain(attributes))
}

/// A row as plain JSON, likewise.
pub fn plain(attributes: HashMap<String, AttributeValue>) -> Map<String, Value> {
    attributes.into_iter().map(|(name, value)| (name, json(value))).collect()
}

/// The primary key of a row.
pub(in crate::adapters) fn key_of(row: &HashMap<String, AttributeValue>) -> Option<Key> {
    let text = |name| row.get(name).and_then(|value| value.as_s().ok()).cloned();
    Some(Key { pk: text("pk")?, sk: text("sk")? })
}

/// Whether JSON expresses a value exactly: no set, no binary value, no number that a double does not hold.
pub(in crate::adapters) fn is_exact(value: &AttributeValue) -> bool {
    match value {
        AttributeValue::S(_) | AttributeValue::Bool(_) | AttributeValue::Null(_) => true,
        AttributeValue::N(digits) => number(digits).is_number(),
        AttributeValue::L(values) => values.iter().all(is_exact),
        AttributeValue::M(map) => map.values().all(is_exact),
        _ => false,
    }
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

/// DynamoDB stores 38 digits. A number that a browser would round becomes text.
fn number(digits: &str) -> Value {
    let whole = digits.parse::<i64>().ok().filter(|whole| whole.unsigned_abs() <= EXACT).map(Number::from);
    let double = || digits.parse::<f64>().ok().filter(|double| double.fract() != 0.0).and_then(Number::from_f64);
    let same = |number: &Number| number.to_string() == digits;
    whole.or_else(double).filter(same).map_or_else(|| digits.into(), Value::Number)
}
