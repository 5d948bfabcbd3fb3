//! Estimates the memory of a row in DynamoDB's client: many times its size in the table, because each small map is a
//! hash table.

use std::mem::size_of;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::adapters::dynamo::row::Row;

/// The overhead of an allocation, in bytes.
const ALLOCATION: usize = 16;
/// The smallest capacity of a hash table.
const FEWEST_PLACES: usize = 4;

/// An upper estimate of a row's size in memory, in bytes.
pub(in crate::adapters) fn in_memory(row: &Row) -> usize {
    size_of::<Row>()
        + table(row.len())
        + row.iter().map(|(name, value)| name.len() + ALLOCATION + heap(value)).sum::<usize>()
}

/// The size of a value beyond its own slot, in bytes.
fn heap(value: &AttributeValue) -> usize {
    let texts = |texts: &[String]| texts.iter().map(|text| size_of::<String>() + ALLOCATION + text.len()).sum();
    match value {
        AttributeValue::S(text) | AttributeValue::N(text) => text.len() + ALLOCATION,
        AttributeValue::B(bytes) => bytes.as_ref().len() + ALLOCATION,
        AttributeValue::Ss(set) | AttributeValue::Ns(set) => texts(set),
        AttributeValue::Bs(set) => set.iter().map(|bytes| 2 * ALLOCATION + bytes.as_ref().len()).sum(),
        // The capacity of a growing list is up to twice its length.
        AttributeValue::L(list) => {
            ALLOCATION + 2 * list.len() * size_of::<AttributeValue>() + list.iter().map(heap).sum::<usize>()
        }
        AttributeValue::M(map) => {
            table(map.len()) + map.iter().map(|(name, value)| name.len() + ALLOCATION + heap(value)).sum::<usize>()
        }
        _ => 0,
    }
}

/// The size of a hash table with so many attributes: at most seven eighths of its slots are used, and their number is a
/// power of two.
fn table(attributes: usize) -> usize {
    if attributes == 0 {
        return 0;
    }
    let places = (attributes * 8 / 7 + 1).next_power_of_two().max(FEWEST_PLACES);
    places * (size_of::<(String, AttributeValue)>() + 1) + ALLOCATION
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn a_row_of_small_maps_is_counted_with_its_hash_tables() {
        let number = || AttributeValue::N("1".to_owned());
        let map = || AttributeValue::M(HashMap::from([("a".to_owned(), number())]));
        let row = |maps: usize| Row::from([("list".to_owned(), AttributeValue::L((0..maps).map(|_| map()).collect()))]);
        // Four slots of a name and a value for each map, whatever it contains.
        let least = 4_000 * FEWEST_PLACES * size_of::<(String, AttributeValue)>();
        assert!((least..2 * least).contains(&in_memory(&row(4_000))), "{} {least}", in_memory(&row(4_000)));
        assert!(least > 1_000_000, "{least}");
        let text = Row::from([("text".to_owned(), AttributeValue::S("x".repeat(5_000)))]);
        assert!((5_000..6_000).contains(&in_memory(&text)));
    }
}
