//! How much memory a row takes as DynamoDB's client holds it: many times more than in the table, where a small map is a
//! few bytes and here a hash table of its own.

use std::mem::size_of;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::adapters::dynamo::row::Row;

/// What an allocation takes beyond what was asked for.
const ALLOCATION: usize = 16;
/// The fewest places that a hash table has.
const FEWEST_PLACES: usize = 4;

/// A row's size in memory, in bytes: an estimate from above.
pub(in crate::adapters) fn in_memory(row: &Row) -> usize {
    size_of::<Row>()
        + table(row.len())
        + row.iter().map(|(name, value)| name.len() + ALLOCATION + heap(value)).sum::<usize>()
}

/// What a value takes beyond its own place.
fn heap(value: &AttributeValue) -> usize {
    let texts = |texts: &[String]| texts.iter().map(|text| size_of::<String>() + ALLOCATION + text.len()).sum();
    match value {
        AttributeValue::S(text) | AttributeValue::N(text) => text.len() + ALLOCATION,
        AttributeValue::B(bytes) => bytes.as_ref().len() + ALLOCATION,
        AttributeValue::Ss(set) | AttributeValue::Ns(set) => texts(set),
        AttributeValue::Bs(set) => set.iter().map(|bytes| 2 * ALLOCATION + bytes.as_ref().len()).sum(),
        // A list that grows is up to twice as long as what it holds.
        AttributeValue::L(list) => {
            ALLOCATION + 2 * list.len() * size_of::<AttributeValue>() + list.iter().map(heap).sum::<usize>()
        }
        AttributeValue::M(map) => {
            table(map.len()) + map.iter().map(|(name, value)| name.len() + ALLOCATION + heap(value)).sum::<usize>()
        }
        _ => 0,
    }
}

/// A hash table for so many attributes: up to seven eighths of its places are taken, and their number is a power of two.
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
        // Four places of a name and a value for each map, whatever is in it.
        let least = 4_000 * FEWEST_PLACES * size_of::<(String, AttributeValue)>();
        assert!((least..2 * least).contains(&in_memory(&row(4_000))), "{} {least}", in_memory(&row(4_000)));
        assert!(least > 1_000_000, "{least}");
        let text = Row::from([("text".to_owned(), AttributeValue::S("x".repeat(5_000)))]);
        assert!((5_000..6_000).contains(&in_memory(&text)));
    }
}
