//! Notes of restorations in the Operations table: one for each deleted user whose rows an operator has restored.
//!
//! They do not expire: an expired note would let a clean-up remove the rows. An undo, an erasure, and a clean-up that
//! removes the restored rows delete the note.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, TransactWriteItem};
use serde::Serialize;

use super::Operations;
use crate::adapters::dynamo::batch;
use crate::adapters::dynamo::batch::attributes;
use crate::adapters::dynamo::error::StoreError;
use crate::adapters::dynamo::row::key_of;
use crate::core::deletion::restore::Restoration;
use crate::core::id::{InternalId, Key};
use crate::core::mirror::item::Item;

#[derive(Serialize)]
struct Kept<'a> {
    pk: String,
    sk: String,
    #[serde(flatten)]
    restoration: &'a Restoration,
}

/// The key of the note of a user.
fn key(user: InternalId) -> Key {
    Key { pk: format!("RESTORED#{user}"), sk: "USER".to_owned() }
}

impl Operations {
    /// Notes a restoration in the place of an earlier one.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn note_restoration(&self, user: InternalId, restoration: &Restoration) -> Result<(), StoreError> {
        let Key { pk, sk } = key(user);
        let row = serde_dynamo::to_item(Kept { pk, sk, restoration });
        let row = row.map_err(|error| StoreError::Unreadable(error.into()))?;
        let request = self.client.put_item().table_name(&self.table).set_item(Some(row));
        request.send().await.map_err(StoreError::from_sdk).map(drop)
    }

    /// The notes of these users, strongly consistent. A note that cannot be read is an error: the rows must stay.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn restorations(&self, users: &[InternalId]) -> Result<BTreeMap<InternalId, Restoration>, StoreError> {
        let keys: Vec<Key> = users.iter().copied().map(key).collect();
        let (rows, _) = batch::get_all(&self.client, &self.table, &keys, batch::whole).await?;
        let mut users: HashMap<Key, InternalId> = keys.into_iter().zip(users.iter().copied()).collect();
        let mut found = BTreeMap::new();
        for row in rows {
            let Some(user) = key_of(&row).and_then(|key| users.remove(&key)) else { continue };
            let restoration = serde_dynamo::from_item(row);
            found.insert(user, restoration.map_err(|error| StoreError::Unreadable(error.into()))?);
        }
        Ok(found)
    }

    /// The note of one user, strongly consistent.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn restoration(&self, user: InternalId) -> Result<Option<Restoration>, StoreError> {
        let request = self.client.get_item().table_name(&self.table).set_key(Some(attributes(&key(user))));
        let found = request.consistent_read(true).send().await.map_err(StoreError::from_sdk)?.item;
        found.map(serde_dynamo::from_item).transpose().map_err(|error| StoreError::Unreadable(error.into()))
    }

    /// Deletes the note of a user.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn forget_restoration(&self, user: InternalId) -> Result<(), StoreError> {
        let request = self.client.delete_item().table_name(&self.table).set_key(Some(attributes(&key(user))));
        request.send().await.map_err(StoreError::from_sdk).map(drop)
    }

    /// Deletes the note of a user if it is still this one: another restoration may have begun since.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn forget_this_restoration(&self, user: InternalId, read: &Restoration) -> Result<(), StoreError> {
        let request = self.client.delete_item().table_name(&self.table).set_key(Some(attributes(&key(user))));
        let request = request
            .condition_expression("restored_at = :restored_at AND #backup = :backup")
            .expression_attribute_names("#backup", "backup")
            .expression_attribute_values(":restored_at", AttributeValue::N(read.restored_at.get().to_string()))
            .expression_attribute_values(":backup", AttributeValue::S(read.backup.clone()));
        match request.send().await {
            Err(error) if error.code() == Some("ConditionalCheckFailedException") => Ok(()),
            done => done.map_err(StoreError::from_sdk).map(drop),
        }
    }

    /// A check that there is no note of a restoration under this tombstone, for a transaction.
    pub(in crate::adapters) fn is_not_restored(
        &self,
        user: InternalId,
        tombstone: &Item,
    ) -> Result<TransactWriteItem, StoreError> {
        let number = AttributeValue::N(tombstone.provenance.applied_at.get().to_string());
        let check = ConditionCheck::builder()
            .table_name(&self.table)
            .set_key(Some(attributes(&key(user))))
            .condition_expression("attribute_not_exists(#rank) OR #rank <> :rank OR applied_at <> :applied_at")
            .expression_attribute_names("#rank", "rank")
            .expression_attribute_values(":rank", AttributeValue::S(tombstone.rank.to_string()))
            .expression_attribute_values(":applied_at", number);
        let check = check.build().map_err(|error| StoreError::Unreadable(error.into()))?;
        Ok(TransactWriteItem::builder().condition_check(check).build())
    }
}
