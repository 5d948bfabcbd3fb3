//! Notes of due purges in the Operations table, by hour.

use super::Operations;
use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;

use crate::adapters::dynamo::batch::attributes;
use crate::adapters::dynamo::error::StoreError;
use crate::adapters::dynamo::row::Row;
use crate::core::deletion::purge::Due;
use crate::core::id::Key;

/// How long an unprocessed note stays, in seconds from when it was due. The nightly run does not need notes: it reads
/// the tombstones.
const LEFT_SECONDS: u64 = 30 * 24 * 60 * 60;

/// A position between two pages.
#[derive(Debug)]
pub struct Place(Row);

#[derive(Serialize)]
struct Kept<'a> {
    pk: String,
    #[serde(flatten)]
    due: &'a Due,
    expires_at: u64,
}

impl Operations {
    /// Notes a purge. A second note of the same purge changes nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn note_purge(&self, due: &Due) -> Result<(), StoreError> {
        let expires_at = due.due_at.get() / 1000 + LEFT_SECONDS;
        let kept = Kept { pk: due.partition(), due, expires_at };
        let row = serde_dynamo::to_item(kept).map_err(|error| StoreError::Unreadable(error.into()))?;
        self.client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(row))
            .send()
            .await
            .map_err(StoreError::from_sdk)?;
        Ok(())
    }

    /// A page of the purges of an hour, [`Self::MOST`] at most. An unreadable note stays until it expires.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn due_purges(
        &self,
        partition: &str,
        from: Option<Place>,
    ) -> Result<(Vec<Due>, Option<Place>), StoreError> {
        let request = self.client.query().table_name(&self.table).limit(Self::MOST).consistent_read(true);
        let request = request.set_exclusive_start_key(from.map(|place| place.0));
        let request = request
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", AttributeValue::S(partition.to_owned()));
        let found = request.send().await.map_err(StoreError::from_sdk)?;
        let next = found.last_evaluated_key.filter(|key| !key.is_empty()).map(Place);
        let mut due = Vec::new();
        for row in found.items.unwrap_or_default() {
            if let Ok(note) = serde_dynamo::from_item(row) {
                due.push(note);
            } else {
                tracing::error!(partition, "a note of a due purge cannot be read; the nightly run does this purge");
            }
        }
        Ok((due, next))
    }

    /// The notes of a page: as many as tombstones that are read together.
    pub const MOST: i32 = 100;

    /// Deletes the note of a purge that is done or not needed any more.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn forget_purge(&self, due: &Due) -> Result<(), StoreError> {
        let key = Key { pk: due.partition(), sk: due.sk.clone() };
        let request = self.client.delete_item().table_name(&self.table).set_key(Some(attributes(&key)));
        request.send().await.map_err(StoreError::from_sdk).map(drop)
    }
}
