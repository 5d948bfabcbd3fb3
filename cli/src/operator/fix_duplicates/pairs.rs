//! The duplicates and the rows that stay, as JSON, straight from the database: they may not fit into memory as values.

use serde::ser::{Error, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::groups::Groups;

/// All duplicates with the rows that stay.
pub(in super::super) struct Pairs<'a>(pub(super) &'a Groups);

#[derive(Serialize)]
struct Pair {
    /// The key of the row that stays, in DynamoDB's JSON.
    keeps: Box<RawValue>,
    /// The key of the duplicate.
    duplicate: Box<RawValue>,
    /// Whether the duplicate is removed.
    removed: bool,
}

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut pairs = serializer.serialize_seq(None)?;
        let mut failure = None;
        let read = self.0.each(|keeps, duplicate, removed| {
            let (keeps, duplicate) = (RawValue::from_string(keeps)?, RawValue::from_string(duplicate)?);
            failure = pairs.serialize_element(&Pair { keeps, duplicate, removed }).err();
            Ok(failure.is_none())
        });
        read.map_err(S::Error::custom)?;
        failure.map_or_else(|| pairs.end(), Err)
    }
}
