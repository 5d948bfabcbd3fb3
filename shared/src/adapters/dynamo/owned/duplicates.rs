//! Removes duplicates in one transaction with a check of the row that stays: if that row is gone or has changed,
//! nothing is removed.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, Delete, TransactWriteItem};

use super::as_read::{AsRead, MAX_ATTRIBUTES, as_read};
use super::row_size::in_memory;
use super::rows::OwnedRow;
use crate::adapters::dynamo::error::StoreError;
use crate::adapters::dynamo::row::Row;
use crate::adapters::dynamo::transaction::{Transacted, transact};

/// Duplicates in one transaction, with the row that stays. Source: AWS, API reference of `TransactWriteItems`: 100
/// actions.
pub const MAX_TOGETHER: usize = 99;
/// So many bytes of memory the rows of one transaction take at most. Source: as above: 4 MB in all; a row takes less in
/// a request than in memory.
const MAX_BYTES: usize = 3 * 1024 * 1024;
/// The result of a removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    Done,
    /// One of the rows is gone or differs from the one that was read. Nothing was removed.
    Changed,
}

/// Whether a condition can compare the whole row.
pub fn is_comparable(row: &OwnedRow) -> bool {
    row.row.len() <= MAX_ATTRIBUTES
}

/// Divides duplicates of one row so that each part fits into one transaction.
pub fn parts(keeper: &OwnedRow, duplicates: Vec<OwnedRow>) -> Vec<Vec<OwnedRow>> {
    let (mut parts, mut size) = (Vec::<Vec<OwnedRow>>::new(), usize::MAX);
    for row in duplicates {
        let own = in_memory(&row.row);
        match parts.last_mut().filter(|part| part.len() < MAX_TOGETHER && size + own <= MAX_BYTES) {
            Some(part) => part.push(row),
            None => {
                size = in_memory(&keeper.row);
                parts.push(vec![row]);
            }
        }
        size = size.saturating_add(own);
    }
    parts
}

/// Removes duplicates if they and the row that stays are as they were read.
///
/// An attribute that was added since, while all others are unchanged, is not noticed: DynamoDB has no condition for it.
///
/// # Errors
///
/// [`StoreError`].
pub async fn remove(client: &Client, keeper: &OwnedRow, duplicates: &[OwnedRow]) -> Result<Removal, StoreError> {
    let unreadable = |error: aws_sdk_dynamodb::error::BuildError| StoreError::Unreadable(error.into());
    let AsRead { condition, names, values } = as_read(&keeper.row);
    let check = ConditionCheck::builder()
        .table_name(&keeper.table)
        .set_key(Some(keeper.key()))
        .condition_expression(condition)
        .set_expression_attribute_names(Some(names))
        .set_expression_attribute_values(Some(values));
    let check = check.build().map_err(unreadable)?;
    let mut items = vec![TransactWriteItem::builder().condition_check(check).build()];
    for row in duplicates {
        let AsRead { condition, names, values } = as_read(&row.row);
        let delete = Delete::builder()
            .table_name(&row.table)
            .set_key(Some(row.key()))
            .condition_expression(condition)
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(Some(values));
        items.push(TransactWriteItem::builder().delete(delete.build().map_err(unreadable)?).build());
    }
    Ok(match transact(client, items).await? {
        Transacted::Done { .. } => Removal::Done,
        Transacted::ConditionFailed(_) => Removal::Changed,
    })
}

/// The attributes in which a duplicate differs from the row that stays, without the key.
pub fn differing(keeper: &OwnedRow, duplicate: &OwnedRow) -> BTreeSet<String> {
    let names: BTreeSet<&String> = keeper.row.keys().chain(duplicate.row.keys()).collect();
    let differs = |name: &&String| {
        !keeper.key.contains(name)
            && match (keeper.row.get(*name), duplicate.row.get(*name)) {
                (Some(one), Some(other)) => !is_same(one, other),
                _ => true,
            }
    };
    names.into_iter().filter(differs).cloned().collect()
}

/// Whether two values are equal; the elements of a set have no order.
fn is_same(one: &AttributeValue, other: &AttributeValue) -> bool {
    fn sorted<T: Ord>(elements: &[T]) -> Vec<&T> {
        let mut sorted: Vec<&T> = elements.iter().collect();
        sorted.sort();
        sorted
    }
    match (one, other) {
        (AttributeValue::Ss(one), AttributeValue::Ss(other)) | (AttributeValue::Ns(one), AttributeValue::Ns(other)) => {
            sorted(one) == sorted(other)
        }
        (AttributeValue::L(one), AttributeValue::L(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same(one, other))
        }
        (AttributeValue::M(one), AttributeValue::M(other)) => is_same_row(one, other),
        (one, other) => one == other,
    }
}

/// Whether two rows have equal attributes; the elements of a set have no order.
pub(super) fn is_same_row(one: &Row, other: &Row) -> bool {
    let is_same = |(name, value): (&String, &AttributeValue)| other.get(name).is_some_and(|it| is_same(value, it));
    one.len() == other.len() && one.iter().all(is_same)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(attributes: &[(&str, &str)]) -> OwnedRow {
        let attribute = |(name, text): &(&str, &str)| ((*name).to_owned(), AttributeValue::S((*text).to_owned()));
        let row = attributes.iter().map(attribute).collect();
        OwnedRow { table: "tasks".to_owned(), key: vec!["id".to_owned()], owner: None, row }
    }

    #[test]
    fn e6_the_differing_attributes_are_named_without_the_key() {
        let mut keeper = row(&[("id", "1"), ("same", "x"), ("other", "x"), ("only", "x")]);
        let mut duplicate = row(&[("id", "2"), ("same", "x"), ("other", "y"), ("new", "y")]);
        let set = |texts: [&str; 2]| AttributeValue::Ss(texts.map(str::to_owned).to_vec());
        keeper.row.insert("set".to_owned(), set(["a", "b"]));
        duplicate.row.insert("set".to_owned(), set(["b", "a"]));
        let expected = ["new", "only", "other"].map(str::to_owned);
        assert_eq!(differing(&keeper, &duplicate), BTreeSet::from(expected));
    }

    #[test]
    fn e6_a_transaction_has_a_hundred_rows_and_three_megabytes_at_most() {
        let keeper = row(&[("id", "0")]);
        let sizes = |rows: usize, text: &str| {
            let rows = (0..rows).map(|_| row(&[("id", "1"), ("text", text)])).collect();
            parts(&keeper, rows).iter().map(Vec::len).collect::<Vec<_>>()
        };
        assert_eq!(sizes(200, "x"), [99, 99, 2]);
        assert_eq!(sizes(4, &"x".repeat(1_600_000)), [1, 1, 1, 1]);
        assert_eq!(sizes(5, &"x".repeat(1_400_000)), [2, 2, 1]);
        assert_eq!(sizes(0, "x"), [0; 0]);
    }
}
