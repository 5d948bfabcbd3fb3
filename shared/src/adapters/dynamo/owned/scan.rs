//! Reads all rows of Profiles or of an owned table page by page, and only some of their attributes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aws_sdk_dynamodb::types::{AttributeValue, ScalarAttributeType};
use sha2::{Digest, Sha256};

use super::rows::{DynamoOwned, MAX_FOUND, OwnedError, OwnedRow, Place, Schema};
use crate::adapters::dynamo::directory::scan::SEARCH_PAGE;
use crate::adapters::dynamo::row::Row;
use crate::core::deletion::duplicates::order;

/// Rows whose attributes are named if a rule names an attribute that no row has. A row may have 400 KB.
const SAMPLE: i32 = 10;

/// A page of a table.
#[derive(Debug)]
pub struct Page {
    pub rows: Vec<SomeAttributes>,
    /// The start of the next page; nothing after the last page.
    pub next: Option<Place>,
}

/// Some attributes of a row.
#[derive(Clone, Debug, PartialEq)]
pub struct SomeAttributes(Row);

/// The hash of some values of a row.
pub type ValuesHash = [u8; 16];

impl DynamoOwned {
    /// A page of all rows behind `from` with some attributes, eventually consistent: whoever changes a row reads it
    /// again.
    ///
    /// # Errors
    ///
    /// [`OwnedError`].
    pub async fn scan(&self, attributes: &BTreeSet<String>, from: Option<&Place>) -> Result<Page, OwnedError> {
        let mut request = self.client.scan().table_name(self.name()).limit(SEARCH_PAGE);
        let names: Vec<String> = (0..attributes.len()).map(|at| format!("#a{at}")).collect();
        request = request.projection_expression(names.join(", "));
        for (placeholder, name) in names.into_iter().zip(attributes) {
            request = request.expression_attribute_names(placeholder, name);
        }
        let page = request.set_exclusive_start_key(from.map(|place| place.0.clone())).send().await;
        let page = page.map_err(|error| self.failure(error))?;
        let next = page.last_evaluated_key.filter(|key| !key.is_empty()).map(Place);
        Ok(Page { rows: page.items.unwrap_or_default().into_iter().map(SomeAttributes).collect(), next })
    }

    /// The names of the attributes of the first rows, `SAMPLE` at most.
    ///
    /// # Errors
    ///
    /// [`OwnedError`].
    pub async fn attribute_names(&self) -> Result<BTreeSet<String>, OwnedError> {
        let page = self.client.scan().table_name(self.name()).limit(SAMPLE).send().await;
        let page = page.map_err(|error| self.failure(error))?;
        Ok(page.items.unwrap_or_default().into_iter().flat_map(Row::into_keys).collect())
    }

    /// The rows with these keys, whole and strongly consistent, each by its key in DynamoDB's JSON; missing rows are
    /// left out.
    ///
    /// # Errors
    ///
    /// [`OwnedError`].
    pub async fn read(&self, keys: &BTreeSet<String>) -> Result<HashMap<String, OwnedRow>, OwnedError> {
        let schema = self.schema.get_or_try_init(|| self.own_key()).await?;
        let rows = self.whole(keys.iter().filter_map(|key| from_json(key)).collect()).await?;
        self.learn(&rows);
        let of_table = |row| OwnedRow { table: self.name().to_owned(), key: schema.clone(), owner: None, row };
        let rows = rows.into_iter().map(of_table);
        Ok(rows.filter_map(|row| Some((key_json(&row)?, row))).collect())
    }

    /// How many rows should be read whole at once, by the size of recent rows.
    pub fn together(&self) -> usize {
        usize::try_from(self.most()).unwrap_or(1).clamp(1, MAX_FOUND)
    }
}

impl SomeAttributes {
    /// The same attributes of a whole row.
    pub fn of(row: &OwnedRow) -> SomeAttributes {
        SomeAttributes(row.row.clone())
    }

    /// Whether the row has an attribute.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The value of a text attribute.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_s().ok().map(String::as_str)
    }

    /// The text or the digits of an attribute.
    pub fn text_or_digits(&self, name: &str) -> Option<&str> {
        match self.0.get(name)? {
            AttributeValue::S(text) | AttributeValue::N(text) => Some(text.as_str()),
            _ => None,
        }
    }

    /// The hash of these attributes; nothing if one of them is missing, or is a list, a map, a set or null. Values of
    /// different types are different.
    pub fn hash(&self, names: &[String]) -> Option<ValuesHash> {
        let mut hash = Sha256::new();
        for name in names {
            let (kind, bytes) = match self.0.get(name)? {
                AttributeValue::S(text) => (b'S', text.as_bytes()),
                AttributeValue::N(digits) => (b'N', digits.as_bytes()),
                AttributeValue::B(bytes) => (b'B', bytes.as_ref()),
                AttributeValue::Bool(true) => (b'T', [].as_slice()),
                AttributeValue::Bool(false) => (b'F', [].as_slice()),
                _ => return None,
            };
            hash.update([kind]);
            hash.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(bytes);
        }
        hash.finalize()[..16].try_into().ok()
    }

    /// The order of the row by its key, and the key in DynamoDB's JSON; nothing without the whole key.
    pub fn key(&self, schema: &Schema) -> Option<(Vec<u8>, String)> {
        let (mut parts, mut key) = (Vec::new(), Row::new());
        for name in &schema.key {
            let value = self.0.get(name)?;
            key.insert(name.clone(), value.clone());
            parts.push(match (value, schema.types.get(name)) {
                (AttributeValue::S(text), None | Some(ScalarAttributeType::S)) => text.as_bytes(),
                (AttributeValue::N(digits), _) => digits.as_bytes(),
                (AttributeValue::B(bytes), _) => bytes.as_ref(),
                _ => return None,
            });
        }
        Some((order(parts), to_json(key)?))
    }
}

/// The key of a row in DynamoDB's JSON; nothing for a key that has no such form, which DynamoDB does not store.
pub fn key_json(row: &OwnedRow) -> Option<String> {
    to_json(row.key())
}

/// A key in DynamoDB's JSON, its attributes sorted by name.
fn to_json(key: Row) -> Option<String> {
    let key: BTreeMap<String, serde_dynamo::AttributeValue> =
        key.into_iter().map(|(name, value)| (name, value.into())).collect();
    serde_json::to_string(&key).ok()
}

fn from_json(key: &str) -> Option<Row> {
    let key: HashMap<String, serde_dynamo::AttributeValue> = serde_json::from_str(key).ok()?;
    Some(key.into_iter().map(|(name, value)| (name, value.into())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(attributes: &[(&str, AttributeValue)]) -> SomeAttributes {
        SomeAttributes(attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
    }

    #[test]
    fn e6_rows_are_duplicates_only_if_all_values_and_types_are_equal() {
        let (s, n) = (|text: &str| AttributeValue::S(text.to_owned()), |text: &str| AttributeValue::N(text.to_owned()));
        let by = ["a".to_owned(), "b".to_owned()];
        let hash = |a: AttributeValue, b: AttributeValue| row(&[("a", a), ("b", b)]).hash(&by);
        let one = hash(s("x"), n("1"));
        assert!(one.is_some());
        assert_eq!(row(&[("b", n("1")), ("a", s("x")), ("c", s("other"))]).hash(&by), one);
        for (a, b) in [(s("x"), s("1")), (s("x1"), s("")), (s(""), s("x1")), (s("X"), n("1")), (n("1"), s("x"))] {
            assert_ne!(hash(a, b), one);
        }
        for value in [AttributeValue::Null(true), AttributeValue::L(vec![]), AttributeValue::Ss(vec!["x".to_owned()])] {
            assert_eq!(hash(s("x"), value), None);
        }
        assert_eq!(row(&[("a", s("x"))]).hash(&by), None);
    }

    #[test]
    fn e6_a_key_is_read_back_as_it_was_written() {
        let key = row(&[("pk", AttributeValue::S("a\u{0}ä\"".to_owned())), ("at", AttributeValue::N("12".to_owned()))]);
        let schema = Schema { key: vec!["pk".to_owned(), "at".to_owned()], types: HashMap::new() };
        let (_, json) = key.key(&schema).unwrap();
        assert_eq!(from_json(&json), Some(key.0.clone()));
        assert_eq!(row(&[("pk", AttributeValue::S("a".to_owned()))]).key(&schema), None);
    }
}
