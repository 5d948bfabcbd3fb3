//! Rows of DynamoDB as lines of an export, and as [`Row`]s.
//!
//! There is one conversion: a row becomes the line that an export would have, and the reader of exports reads it.

use std::collections::BTreeMap;
use std::path::Path;

use aws_sdk_dynamodb::types::AttributeValue;
use rollcall::adapters::dynamo::application::Item;
use serde::Serialize;

use crate::input::{InputError, Place, Row};

/// A row in DynamoDB's JSON, its attributes sorted by name.
pub type Typed = BTreeMap<String, serde_dynamo::AttributeValue>;

/// A line of an export.
#[derive(Debug, Serialize)]
struct Line {
    #[serde(rename = "Item")]
    item: Typed,
}

/// The row in DynamoDB's JSON.
pub fn typed(item: &Item) -> Typed {
    item.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect()
}

/// The row of DynamoDB's client.
pub fn untyped(typed: Typed) -> Item {
    typed.into_iter().map(|(name, value)| (name, value.into())).collect()
}

/// The line of an export, `{"Item":{…}}`, without a line end.
pub fn line(item: &Item) -> Vec<u8> {
    serde_json::to_vec(&Line { item: typed(item) }).unwrap_or_else(|error| unreachable!("a row is JSON: {error}"))
}

/// The row as the reader of an export gives it.
///
/// # Errors
///
/// If the row has a form that an export would not have, as no row of DynamoDB does.
pub fn row(item: &Item, table: &Path) -> Result<Row, InputError> {
    crate::input::exported_row(line(item), Place::of(table))
}

/// Some attributes of the row: those of a key that it has.
pub fn key(item: &Item, names: &[String]) -> Item {
    names.iter().filter_map(|name| Some((name.clone(), item.get(name)?.clone()))).collect()
}

/// The key as a text, by which equal keys are found.
pub fn text_of(key: &Item) -> String {
    serde_json::to_string(&typed(key)).unwrap_or_else(|error| unreachable!("a key is JSON: {error}"))
}

/// The bytes of a row as DynamoDB counts them for the units of a request, by the rules of its documentation.
pub fn size(item: &Item) -> u64 {
    item.iter().map(|(name, value)| bytes(name.len()) + size_of_value(value)).sum()
}

fn size_of_value(value: &AttributeValue) -> u64 {
    match value {
        AttributeValue::S(text) => bytes(text.len()),
        AttributeValue::N(digits) => size_of_number(digits),
        AttributeValue::B(blob) => bytes(blob.as_ref().len()),
        AttributeValue::Ss(texts) => texts.iter().map(|text| bytes(text.len())).sum(),
        AttributeValue::Ns(numbers) => numbers.iter().map(|digits| size_of_number(digits)).sum(),
        AttributeValue::Bs(blobs) => blobs.iter().map(|blob| bytes(blob.as_ref().len())).sum(),
        // Three bytes, and one for each element.
        AttributeValue::L(values) => 3 + values.iter().map(|value| 1 + size_of_value(value)).sum::<u64>(),
        AttributeValue::M(inner) => 3 + bytes(inner.len()) + size(inner),
        _ => 1,
    }
}

/// One byte for two significant digits, and one more.
fn size_of_number(number: &str) -> u64 {
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    bytes(digits.trim_matches('0').len()).div_ceil(2) + 1 + u64::from(number.starts_with('-'))
}

fn bytes(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::primitives::Blob;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;
    use serde_json::{Map, json};

    use super::*;
    use crate::input::{self, Options, Value};

    #[test]
    fn sizes_are_those_of_the_documentation() {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let number = |text: &str| AttributeValue::N(text.to_owned());
        for (value, expected) in [
            (text("é"), 2),
            (number("0"), 1),
            (number("-27.50"), 4),
            (number("1000"), 2),
            (AttributeValue::Null(true), 1),
            (AttributeValue::Bool(false), 1),
            (AttributeValue::Ss(vec!["ab".to_owned(), "c".to_owned()]), 3),
            (AttributeValue::L(vec![text("abc"), AttributeValue::Null(true)]), 3 + 1 + 3 + 1 + 1),
            (AttributeValue::M([("k".to_owned(), text("abc"))].into()), 3 + 1 + 1 + 3),
        ] {
            let row = Item::from([("name".to_owned(), value.clone())]);
            assert_eq!(size(&row), 4 + expected, "{value:?}");
        }
    }

    fn number() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<i64>().prop_map(|number| number.to_string()),
            "-?[1-9][0-9]{0,30}",
            "-?[1-9][0-9]{0,5}\\.[0-9]{0,5}[1-9]",
        ]
    }

    fn value() -> impl Strategy<Value = AttributeValue> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..20);
        let leaf = prop_oneof![
            ".*".prop_map(AttributeValue::S),
            number().prop_map(AttributeValue::N),
            bytes().prop_map(|bytes| AttributeValue::B(Blob::new(bytes))),
            any::<bool>().prop_map(AttributeValue::Bool),
            Just(AttributeValue::Null(true)),
            prop::collection::vec(".*", 1..4).prop_map(AttributeValue::Ss),
            prop::collection::vec(number(), 1..4).prop_map(AttributeValue::Ns),
            prop::collection::vec(bytes().prop_map(Blob::new), 1..4).prop_map(AttributeValue::Bs),
        ];
        leaf.prop_recursive(4, 30, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(AttributeValue::L),
                prop::collection::hash_map(".*", inner, 0..5).prop_map(AttributeValue::M),
            ]
        })
    }

    /// DynamoDB's JSON, written by hand.
    fn export(value: &AttributeValue) -> serde_json::Value {
        let base64 = |bytes: &Blob| STANDARD.encode(bytes.as_ref());
        match value {
            AttributeValue::S(text) => json!({ "S": text }),
            AttributeValue::N(digits) => json!({ "N": digits }),
            AttributeValue::B(bytes) => json!({ "B": base64(bytes) }),
            AttributeValue::Bool(value) => json!({ "BOOL": value }),
            AttributeValue::Null(value) => json!({ "NULL": value }),
            AttributeValue::Ss(texts) => json!({ "SS": texts }),
            AttributeValue::Ns(numbers) => json!({ "NS": numbers }),
            AttributeValue::Bs(all) => json!({ "BS": all.iter().map(base64).collect::<Vec<_>>() }),
            AttributeValue::L(values) => json!({ "L": values.iter().map(export).collect::<Vec<_>>() }),
            AttributeValue::M(fields) => {
                let fields = fields.iter().map(|(name, value)| (name.clone(), export(value)));
                json!({ "M": fields.collect::<Map<_, _>>() })
            }
            other => unreachable!("{other:?}"),
        }
    }

    /// The order of attributes says nothing.
    fn sorted(value: &Value) -> String {
        match value {
            Value::Document(document) => {
                let mut fields: Vec<_> = document.iter().map(|(name, value)| (name, sorted(value))).collect();
                fields.sort();
                format!("{fields:?}")
            }
            Value::Array(values) => format!("{:?}", values.iter().map(sorted).collect::<Vec<_>>()),
            other => format!("{other:?}"),
        }
    }

    proptest! {
        #[test]
        fn a2_a_row_of_a_table_is_the_row_of_its_export(item in prop::collection::hash_map(".*", value(), 0..5)) {
            let expected = json!({ "Item": item.iter().map(|(n, v)| (n.clone(), export(v))).collect::<Map<_, _>>() });
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), expected.to_string()).unwrap();
            let of_export = input::open(&[file.path()], Options::default()).unwrap().next().unwrap().unwrap();
            let of_table = row(&item, Path::new("table")).unwrap();
            prop_assert_eq!(
                sorted(&Value::Document(of_table.value)),
                sorted(&Value::Document(of_export.value))
            );
            prop_assert_eq!(untyped(typed(&item)), item.clone());
            let text: serde_json::Value = serde_json::from_slice(&line(&item)).unwrap();
            prop_assert_eq!(text, expected);
        }
    }
}
