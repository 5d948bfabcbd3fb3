//! Notes of due purges in the Operations table, by hour.

use super::Operations;
use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};

use crate::adapters::dynamo::batch::attributes;
use crate::adapters::dynamo::error::StoreError;
use crate::adapters::dynamo::row::{Row, key_of};
use crate::core::deletion::pending::PurgeFailure;
use crate::core::deletion::purge::Due;
use crate::core::id::Key;
use crate::core::millis::Millis;

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
    #[serde(flatten)]
    failure: Option<&'a PurgeFailure>,
    expires_at: u64,
}

/// A note of a due purge, as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The hour, and the internal id of the user.
    pub key: Key,
    /// What the note says; nothing if it cannot be read.
    pub due: Option<Due>,
    /// Why the latest attempt failed.
    pub failure: Option<PurgeFailure>,
}

#[derive(Deserialize)]
struct Read {
    #[serde(flatten)]
    due: Due,
    #[serde(flatten)]
    failure: Option<PurgeFailure>,
}

/// The prefix of the partitions of all hours.
const HOURS: &str = "PURGE#";

impl Operations {
    /// Notes a purge. A second note of the same purge changes nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn note_purge(&self, due: &Due) -> Result<(), StoreError> {
        self.put_purge(due, None, due.due_at).await
    }

    /// Notes why the latest attempt at a purge failed, and keeps the note of the purge for another while.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn note_failed_purge(&self, due: &Due, failure: &PurgeFailure) -> Result<(), StoreError> {
        self.put_purge(due, Some(failure), due.due_at.max(failure.failed_at)).await
    }

    async fn put_purge(&self, due: &Due, failure: Option<&PurgeFailure>, kept_from: Millis) -> Result<(), StoreError> {
        let expires_at = kept_from.get() / 1000 + LEFT_SECONDS;
        let kept = Kept { pk: due.partition(), due, failure, expires_at };
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

    /// The next notes behind `after` of an hour, `limit` at most, and the start of the next page. A note that cannot be
    /// read is returned, too.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn purge_notes(
        &self,
        partition: &str,
        after: Option<&Key>,
        limit: i32,
    ) -> Result<(Vec<Note>, Option<Key>), StoreError> {
        let request = self.client.query().table_name(&self.table).limit(limit).consistent_read(true);
        let request = request
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", AttributeValue::S(partition.to_owned()))
            .set_exclusive_start_key(after.map(attributes));
        let found = request.send().await.map_err(StoreError::from_sdk)?;
        let next = found.last_evaluated_key.as_ref().and_then(key_of);
        let note = |row: Row| {
            let key = key_of(&row)?;
            let read = serde_dynamo::from_item::<_, Read>(row).ok();
            let (due, failure) = read.map(|Read { due, failure }| (due, failure)).unzip();
            Some(Note { key, due, failure: failure.flatten() })
        };
        Ok((found.items.unwrap_or_default().into_iter().filter_map(note).collect(), next))
    }

    /// A page of the hours for which there are notes, unordered, and the start of the next page. It scans the table: the
    /// settings do not say which hours there are, because a grace period may have been longer before.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn purge_hours(&self, from: Option<&Key>) -> Result<(Vec<String>, Option<Key>), StoreError> {
        let request = self.client.scan().table_name(&self.table).projection_expression("pk, sk");
        let request = request
            .filter_expression("begins_with(pk, :hours)")
            .expression_attribute_values(":hours", AttributeValue::S(HOURS.to_owned()))
            .set_exclusive_start_key(from.map(attributes));
        let found = request.send().await.map_err(StoreError::from_sdk)?;
        let next = found.last_evaluated_key.as_ref().and_then(key_of);
        Ok((found.items().iter().filter_map(key_of).map(|key| key.pk).collect(), next))
    }
}
