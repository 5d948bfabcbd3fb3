//! Restores rows of a backup one by one, each under the condition that it does not overwrite a row of another user.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure, ScalarAttributeType};
use serde_dynamo::AttributeValue as Value;

use super::duplicates::is_same_row;
use super::rows::{DynamoOwned, Schema};
use crate::adapters::dynamo::error::StoreError;
use crate::adapters::dynamo::owned::backup::Line;
use crate::core::deletion::purge::REDACTED_AT;
use crate::core::deletion::restore::{KeyAttribute, KeyKind, OwnerOf, Place, Scalar};

/// The largest item, in bytes. Source: AWS, "Quotas in Amazon DynamoDB".
const LARGEST: usize = 400 * 1024;
/// The maximum nesting of lists and maps. Source: as above.
const DEEPEST: usize = 32;
/// The maximum number of digits of a number. Source: as above.
const MAX_DIGITS: usize = 38;

/// A row that may be restored.
#[derive(Clone, Debug)]
pub struct Returning {
    line: Line,
    /// The attribute that names the owner, and the user's id in it; nothing if the key names the owner.
    owner: Option<(String, String)>,
}

/// The result for one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutBack {
    /// The row is restored.
    Done,
    /// The row is stored already as the backup has it.
    Same,
    /// Another row with this key exists.
    Taken,
    /// Its table does not exist.
    NoTable,
}

/// The place for the rows of this table.
pub fn place_of(table: &DynamoOwned, schema: Schema, owner: OwnerOf) -> Place {
    let Schema { key, types } = schema;
    let kind = |it: &ScalarAttributeType| match it {
        ScalarAttributeType::N => KeyKind::Number,
        ScalarAttributeType::B => KeyKind::Bytes,
        _ => KeyKind::Text,
    };
    let keys =
        types.iter().map(|(name, it)| KeyAttribute { name: name.clone(), kind: kind(it), is_own: key.contains(name) });
    Place { table: table.name().to_owned(), keys: keys.collect(), owner }
}

/// A value of a line, as far as keys need it.
pub fn scalar<'a>(line: &'a Line, name: &str) -> Option<Scalar<'a>> {
    Some(match line.row.inner().get(name)? {
        Value::S(text) => Scalar::Text(text),
        Value::N(digits) => Scalar::Sized(KeyKind::Number, digits.len()),
        Value::B(bytes) => Scalar::Sized(KeyKind::Bytes, bytes.len()),
        _ => Scalar::Other,
    })
}

/// The key of a line as text, to distinguish rows of one table.
pub fn key_text(line: &Line) -> String {
    let mut names = line.key.clone();
    names.sort_unstable();
    let values: Vec<Option<&Value>> = names.iter().map(|name| line.row.inner().get(name)).collect();
    format!("{values:?}")
}

/// Whether DynamoDB would accept the row, as far as that can be checked before: a rejected row would leave the
/// restoration half done.
pub fn is_storable(line: &Line) -> bool {
    let row = line.row.inner();
    let is_named = row.keys().all(|name| !name.is_empty() && name.len() <= 65_535);
    is_named
        && row.iter().map(|(name, value)| name.len() + least_size(value)).sum::<usize>() <= LARGEST
        && row.values().all(|value| is_value(value, 1))
}

/// A lower bound of the size of a value, in bytes.
fn least_size(value: &Value) -> usize {
    match value {
        Value::S(text) => text.len(),
        Value::N(digits) => digits.len().min(MAX_DIGITS) / 2,
        Value::B(bytes) => bytes.len(),
        Value::Bool(_) | Value::Null(_) => 1,
        Value::Ss(set) => set.iter().map(String::len).sum(),
        Value::Ns(set) => set.len(),
        Value::Bs(set) => set.iter().map(Vec::len).sum(),
        Value::L(list) => list.iter().map(least_size).sum::<usize>() + 3,
        Value::M(map) => map.iter().map(|(name, value)| name.len() + least_size(value)).sum::<usize>() + 3,
    }
}

fn is_value(value: &Value, depth: usize) -> bool {
    match value {
        Value::S(_) | Value::B(_) | Value::Bool(_) => true,
        Value::Null(is_null) => *is_null,
        Value::N(digits) => is_number(digits),
        Value::Ss(set) => is_set(set),
        Value::Ns(set) => is_set(set) && set.iter().all(|digits| is_number(digits)),
        Value::Bs(set) => is_set(set),
        Value::L(list) => depth <= DEEPEST && list.iter().all(|value| is_value(value, depth + 1)),
        Value::M(map) => depth <= DEEPEST && map.values().all(|value| is_value(value, depth + 1)),
    }
}

/// Whether this is a number of up to 38 digits, between 1E-130 and 1E+126.
fn is_number(text: &str) -> bool {
    let digits = text.split(['e', 'E']).next().unwrap_or_default();
    let digits = digits.trim_start_matches(['-', '+', '0', '.']);
    let significant = digits.bytes().filter(u8::is_ascii_digit).count();
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    let size = text.parse::<f64>().ok().map(f64::abs);
    is_plain && significant <= MAX_DIGITS && size.is_some_and(|size| size == 0.0 || (1e-130..1e126).contains(&size))
}

fn is_set<T: std::hash::Hash + Eq>(values: &[T]) -> bool {
    let different: std::collections::HashSet<&T> = values.iter().collect();
    !values.is_empty() && different.len() == values.len()
}

impl Returning {
    /// Assigns a row to its table, by the table's name in the settings.
    pub fn to(place: &Place, line: Line) -> Returning {
        let owner = match &place.owner {
            OwnerOf::Attribute(name, _) if !line.key.contains(name) => match line.row.inner().get(name) {
                Some(Value::S(id)) => Some((name.clone(), id.clone())),
                _ => None,
            },
            OwnerOf::Attribute(..) | OwnerOf::Partition => None,
        };
        Returning { line: Line { table: place.table.clone(), ..line }, owner }
    }

    pub fn table(&self) -> &str {
        &self.line.table
    }
}

/// What [`put_back`] would do with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The row would be restored where no row is, or over its redacted rest.
    Restored,
    /// The row would be written over another one of the user.
    Replaced,
    /// The row is stored already as the backup has it.
    Same,
    /// Another row with this key would stay.
    Taken,
    /// Its table does not exist.
    NoTable,
}

/// Reads the row that has the key of this one, and says what [`put_back`] would do.
///
/// # Errors
///
/// [`StoreError`].
pub async fn expected(client: &Client, row: Returning, replaces: bool) -> Result<Expected, StoreError> {
    let Returning { line, owner } = row;
    let (table, names, redacted_at) = (line.table.clone(), line.key.clone(), line.redacted_at);
    let new = line.row();
    let key = names.iter().filter_map(|name| Some((name.clone(), new.get(name)?.clone()))).collect();
    let request = client.get_item().table_name(table).set_key(Some(key)).consistent_read(true);
    let stored = match request.send().await {
        Ok(found) => found.item,
        Err(error) if error.code() == Some("ResourceNotFoundException") => return Ok(Expected::NoTable),
        Err(error) => return Err(StoreError::from_sdk(error)),
    };
    let Some(stored) = stored else { return Ok(Expected::Restored) };
    if is_same_row(&stored, &new) {
        return Ok(Expected::Same);
    }
    let redacted = redacted_at.map(|at| AttributeValue::N(at.get().to_string()));
    if redacted.is_some() && stored.get(REDACTED_AT) == redacted.as_ref() {
        return Ok(Expected::Restored);
    }
    let is_of_user = match &owner {
        None => true,
        Some((name, id)) => stored.get(name).and_then(|owner| owner.as_s().ok()) == Some(id),
    };
    Ok(if replaces && is_of_user { Expected::Replaced } else { Expected::Taken })
}

/// Writes a row: if no row has its key, if only its redacted rest is stored, or, with `replaces`, over another row of
/// the user.
///
/// # Errors
///
/// [`StoreError`].
pub async fn put_back(client: &Client, row: Returning, replaces: bool) -> Result<PutBack, StoreError> {
    let Returning { line, owner } = row;
    let key = line.key.first().cloned().unwrap_or_default();
    let mut request = client.put_item().table_name(&line.table);
    let mut condition = Some("attribute_not_exists(#key)".to_owned());
    let mut or = |another: &str| condition = condition.take().map(|condition| format!("{condition} OR {another}"));
    match (replaces, owner, line.redacted_at) {
        // The key names the owner, so any stored row is the user's.
        (true, None, _) => condition = None,
        (true, Some((name, id)), _) => {
            or("#owner = :owner");
            request = request
                .expression_attribute_names("#owner", name)
                .expression_attribute_values(":owner", AttributeValue::S(id));
        }
        (false, _, Some(at)) => {
            or("#redacted = :redacted");
            request = request
                .expression_attribute_names("#redacted", REDACTED_AT)
                .expression_attribute_values(":redacted", AttributeValue::N(at.get().to_string()));
        }
        (false, _, None) => {}
    }
    if condition.is_some() {
        request = request.expression_attribute_names("#key", key);
    }
    let row = line.row();
    let request = request
        .set_condition_expression(condition)
        .set_item(Some(row.clone()))
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    match request.send().await {
        Ok(_) => Ok(PutBack::Done),
        Err(error) => match error.code() {
            Some("ConditionalCheckFailedException") => {
                let refusal = match error.as_service_error() {
                    Some(PutItemError::ConditionalCheckFailedException(refusal)) => refusal.item(),
                    _ => None,
                };
                let is_same = refusal.is_some_and(|stored| is_same_row(stored, &row));
                Ok(if is_same { PutBack::Same } else { PutBack::Taken })
            }
            Some("ResourceNotFoundException") => Ok(PutBack::NoTable),
            _ => Err(StoreError::from_sdk(error)),
        },
    }
}
