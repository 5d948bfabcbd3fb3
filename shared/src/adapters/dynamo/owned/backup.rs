//! The format of a backup file: NDJSON. The first line names the user and the time of the removal. Each further line
//! contains one row in DynamoDB's JSON and the names of its key attributes: all that is needed to restore it.

use std::collections::HashMap;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::rows::OwnedRow;
use crate::adapters::dynamo::row::Row;
use crate::core::id::{InstanceId, InternalId};
use crate::core::millis::Millis;
use crate::core::mirror::rank::Rank;

/// The first line of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The version of the format.
    pub rollcall_backup: u32,
    /// The instance of the user.
    pub instance: InstanceId,
    /// The user whose rows they are.
    pub user: InternalId,
    /// The rank of the tombstone.
    pub rank: Rank,
    /// When the removal was about to begin, in Unix ms.
    pub written_at: Millis,
}

/// The version of the format that this code writes.
pub const FORMAT: u32 = 1;

/// A row as a line of a backup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    pub table: String,
    /// The names of its key attributes.
    pub key: Vec<String>,
    /// The time of the redaction, if the row was redacted and not removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redacted_at: Option<Millis>,
    #[serde(deserialize_with = "each_once")]
    pub row: serde_dynamo::Item,
}

/// Reads a row in which no attribute name occurs twice: otherwise it would be unclear which of the values is right.
fn each_once<'de, D: Deserializer<'de>>(deserializer: D) -> Result<serde_dynamo::Item, D::Error> {
    struct Attributes;
    impl<'de> Visitor<'de> for Attributes {
        type Value = HashMap<String, serde_dynamo::AttributeValue>;

        fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str("the attributes of a row")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut attributes = HashMap::new();
            while let Some((name, value)) = map.next_entry::<String, serde_dynamo::AttributeValue>()? {
                if attributes.insert(name, value).is_some() {
                    return Err(serde::de::Error::custom("an attribute occurs twice in a row"));
                }
            }
            Ok(attributes)
        }
    }
    deserializer.deserialize_map(Attributes).map(Into::into)
}

impl Line {
    /// The line of a row.
    pub fn new(owned: OwnedRow, redacted_at: Option<Millis>) -> Line {
        let OwnedRow { table, key, row, .. } = owned;
        Line { table, key, redacted_at, row: row.into() }
    }

    /// The row in DynamoDB's form.
    pub fn row(self) -> Row {
        self.row.into()
    }
}
