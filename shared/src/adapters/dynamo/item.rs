//! Reads a row of the Directory attribute by attribute and ignores attributes that cannot be read.

use serde_json::{Map, Value};

use super::error::StoreError;
use crate::adapters::lambda::metrics;
use crate::core::explain::reason::Reason;
use crate::core::mirror::item::{Item, Whole};

/// Reads a row, from DynamoDB's responses or from its stream. An attribute that is not as Rollcall writes it is counted
/// and logged without its value. The log line has the row's key, if Rollcall made that key.
///
/// # Errors
///
/// [`StoreError::Unreadable`] for a row without a valid key, rank or digest.
pub fn item<Attribute>(row: impl IntoIterator<Item = (String, Attribute)>) -> Result<Item, StoreError>
where
    Attribute: Into<serde_dynamo::AttributeValue>,
{
    let (mut attributes, mut whole) = (Map::new(), Whole::Yes);
    for (name, attribute) in row {
        // Binary values have no form in JSON. Only their presence counts.
        let value = serde_dynamo::from_attribute_value(attribute).unwrap_or_else(|_: serde_dynamo::Error| {
            whole = Whole::No;
            Value::Null
        });
        attributes.insert(name, value);
    }
    match Item::from_attributes(attributes) {
        Ok((item, read)) => {
            if whole == Whole::No || read == Whole::No {
                metrics::unreadable_row();
                let key = item.key.made_here();
                let (pk, sk) = (key.map(|key| &key.pk), key.map(|key| &key.sk));
                tracing::warn!(
                    pk,
                    sk,
                    reason = Reason::RowUnreadable.name(),
                    "some attributes of a Directory row cannot be read"
                );
            }
            Ok(item)
        }
        Err(key) => {
            metrics::unreadable_row();
            let key = key.as_ref().and_then(|key| key.made_here());
            let (pk, sk) = (key.map(|key| &key.pk), key.map(|key| &key.sk));
            tracing::error!(pk, sk, reason = Reason::RowUnreadable.name(), "a Directory row cannot be read");
            Err(StoreError::Unreadable("a row of the Directory".into()))
        }
    }
}
