//! Conditional writes to the Directory. If the condition fails, the write returns the stored row.

use super::Directory;
use std::collections::HashMap;

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, ConsumedCapacity, Put as PutAction, ReturnConsumedCapacity,
    ReturnValuesOnConditionCheckFailure, TransactWriteItem,
};

use crate::adapters::dynamo::batch::attributes;
use crate::adapters::dynamo::error::StoreError;
use crate::adapters::dynamo::item;
use crate::adapters::dynamo::transaction::{Transacted, transact};
use crate::core::millis::Millis;
use crate::core::mirror::item::{CONSEQUENCES_AT, Item, NOBODY, PURGING_AT};
use crate::core::mirror::rule::{Guard, Stamp};

/// Maximum number of items in one cascade transaction: a transaction has 100 actions, and one is the check of the
/// parent. Source: AWS, API reference of `TransactWriteItems`.
pub const MAX_TOGETHER: i32 = 99;

/// The result of a conditional write.
#[derive(Debug)]
pub enum Put {
    /// Stored.
    Applied {
        /// Write capacity units, indexes included.
        units: f64,
    },
    /// The condition failed. Contains the stored item; nothing if the condition required an item and none is stored.
    ConditionFailed(Option<Box<Item>>),
}

/// What a finished tombstone does with Clerk's id of the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClerkId {
    /// It keeps the id, if there was one.
    Keep,
    /// It replaces the id by [`NOBODY`].
    Redact,
    Remove,
}

/// The result of a write that depends on another item.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PutUnder {
    /// Stored.
    Applied {
        /// Write capacity units, indexes and the check included.
        units: f64,
    },
    /// A condition failed: the item or its parent has changed.
    ConditionFailed,
}

impl Directory {
    /// Puts the whole item if the rule admits it. All writers use this write.
    ///
    /// # Errors
    ///
    /// [`StoreError`], never for a failed condition.
    pub async fn put(&self, item: &Item, guard: &Guard) -> Result<Put, StoreError> {
        let condition = guard.condition(&Stamp::from(item));
        let attributes =
            serde_dynamo::to_item(item.to_attributes()).map_err(|error| StoreError::Unreadable(error.into()))?;
        let mut request = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(attributes))
            .condition_expression(condition.expression)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        for (placeholder, name) in condition.names {
            request = request.expression_attribute_names(placeholder, name);
        }
        for (placeholder, value) in condition.values {
            request = request.expression_attribute_values(placeholder, AttributeValue::S(value));
        }
        for (placeholder, moment) in condition.moments {
            request = request.expression_attribute_values(placeholder, number(moment));
        }
        match request.send().await {
            Ok(output) => {
                let units = output.consumed_capacity().and_then(ConsumedCapacity::capacity_units).unwrap_or_default();
                Ok(Put::Applied { units })
            }
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(refusal)) => match refusal.item() {
                    None => Ok(Put::ConditionFailed(None)),
                    Some(stored) if stored.is_empty() => Ok(Put::ConditionFailed(None)),
                    Some(stored) => Ok(Put::ConditionFailed(Some(Box::new(item::item(stored.clone())?)))),
                },
                _ => Err(StoreError::from_sdk(error)),
            },
        }
    }

    /// Puts items if the rule admits each of them and their parent is still exactly the given one: a cascade. All or
    /// none; [`MAX_TOGETHER`] at most.
    ///
    /// # Errors
    ///
    /// [`StoreError`], never for a failed condition.
    pub async fn put_under(&self, items: &[(Item, Guard)], parent: &Item) -> Result<PutUnder, StoreError> {
        let unreadable = |error: aws_sdk_dynamodb::error::BuildError| StoreError::Unreadable(error.into());
        let mut actions = vec![self.is_still_exactly(parent)?];
        for (item, guard) in items {
            let condition = guard.condition(&Stamp::from(item));
            let row =
                serde_dynamo::to_item(item.to_attributes()).map_err(|error| StoreError::Unreadable(error.into()))?;
            let mut put = PutAction::builder()
                .table_name(&self.table)
                .set_item(Some(row))
                .condition_expression(condition.expression);
            for (placeholder, name) in condition.names {
                put = put.expression_attribute_names(placeholder, name);
            }
            for (placeholder, value) in condition.values {
                put = put.expression_attribute_values(placeholder, AttributeValue::S(value));
            }
            for (placeholder, moment) in condition.moments {
                put = put.expression_attribute_values(placeholder, number(moment));
            }
            actions.push(TransactWriteItem::builder().put(put.build().map_err(unreadable)?).build());
        }
        Ok(match transact(&self.client, actions).await? {
            Transacted::Done { units } => PutUnder::Applied { units },
            Transacted::ConditionFailed(_) => PutUnder::ConditionFailed,
        })
    }

    /// A check that the stored row is still exactly this one, for a transaction.
    pub(in crate::adapters) fn is_still_exactly(&self, read: &Item) -> Result<TransactWriteItem, StoreError> {
        let (condition, names, values) = exactly(read);
        let check = ConditionCheck::builder()
            .table_name(&self.table)
            .set_key(Some(attributes(&read.key)))
            .condition_expression(condition)
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(Some(values));
        let check = check.build().map_err(|error| StoreError::Unreadable(error.into()))?;
        Ok(TransactWriteItem::builder().condition_check(check).build())
    }

    /// Marks a tombstone as finished (`consequences_at`), if the stored row is still exactly this one and has no mark
    /// yet. Returns the write units; nothing if nothing was written.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn finish(&self, tombstone: &Item, now: Millis, id: ClerkId) -> Result<Option<f64>, StoreError> {
        let expression = match id {
            ClerkId::Keep => "SET #finished = :now",
            ClerkId::Redact => "SET #finished = :now, #id = :nobody REMOVE #purging",
            ClerkId::Remove => "SET #finished = :now REMOVE #purging, #id",
        };
        let mut request = self.mark(tombstone, expression, now);
        if id != ClerkId::Keep {
            request = request
                .expression_attribute_names("#id", "clerk_user_id")
                .expression_attribute_names("#purging", PURGING_AT);
        }
        if id == ClerkId::Redact {
            request = request.expression_attribute_values(":nobody", AttributeValue::S(NOBODY.to_owned()));
        }
        send(request).await
    }

    /// Marks the tombstone of a user as being purged (`purging_at`), if the stored row is still exactly this one and is
    /// not finished: after that, no undo is possible. Returns the write units; nothing if the row is another one.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn begin_purge(&self, tombstone: &Item, now: Millis) -> Result<Option<f64>, StoreError> {
        let request = self.mark(tombstone, "SET #purging = :now", now);
        send(request.expression_attribute_names("#purging", PURGING_AT)).await
    }

    /// Deletes the tombstone of an entity that lives in Clerk and is not mirrored: an undo under `MIRROR=off`. Returns
    /// whether the stored row was still exactly this one, without a purge in progress.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn withdraw(&self, tombstone: &Item) -> Result<bool, StoreError> {
        let (condition, names, values) = exactly(tombstone);
        let request = self.client.delete_item().table_name(&self.table).set_key(Some(attributes(&tombstone.key)));
        let request = request
            .condition_expression(format!(
                "{condition} AND (attribute_exists(#finished) OR attribute_not_exists(#purging))"
            ))
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(Some(values))
            .expression_attribute_names("#finished", CONSEQUENCES_AT)
            .expression_attribute_names("#purging", PURGING_AT);
        match request.send().await {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some("ConditionalCheckFailedException") => Ok(false),
            Err(error) => Err(StoreError::from_sdk(error)),
        }
    }

    /// Removes the mark of a finished tombstone from a membership whose user is live again, if the stored row is still
    /// exactly this one.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn reopen(&self, tombstone: &Item) -> Result<(), StoreError> {
        let (condition, names, values) = exactly(tombstone);
        let request = self.client.update_item().table_name(&self.table).set_key(Some(attributes(&tombstone.key)));
        let request = request
            .update_expression("REMOVE #finished")
            .condition_expression(condition)
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(Some(values))
            .expression_attribute_names("#finished", CONSEQUENCES_AT);
        send(request).await.map(drop)
    }

    fn mark(&self, tombstone: &Item, expression: &str, now: Millis) -> UpdateItemFluentBuilder {
        let (condition, names, values) = exactly(tombstone);
        let request = self.client.update_item().table_name(&self.table).set_key(Some(attributes(&tombstone.key)));
        request
            .update_expression(expression)
            .condition_expression(format!("{condition} AND attribute_not_exists(#finished)"))
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(Some(values))
            .expression_attribute_names("#finished", CONSEQUENCES_AT)
            .expression_attribute_values(":now", number(now))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
    }
}

fn number(moment: Millis) -> AttributeValue {
    AttributeValue::N(moment.get().to_string())
}

/// The condition that the stored row is exactly the one that was read, as names and values. Rank and digest do not
/// suffice: after an undo, the same message can write a tombstone with the same rank and digest again; then only the
/// time of the write differs. If the row has lost that time, only the rank is compared: otherwise such a tombstone
/// could never be finished.
fn exactly(read: &Item) -> (&'static str, HashMap<String, String>, HashMap<String, AttributeValue>) {
    let mut names = HashMap::from([("#rank".to_owned(), "rank".to_owned())]);
    let mut values = HashMap::from([(":rank".to_owned(), AttributeValue::S(read.rank.to_string()))]);
    let Some(stored_at) = read.stored_at() else { return ("#rank = :rank", names, values) };
    names.insert("#applied_at".to_owned(), "applied_at".to_owned());
    values.insert(":applied_at".to_owned(), number(stored_at));
    ("#rank = :rank AND #applied_at = :applied_at", names, values)
}

/// Sends an update of a mark. Returns its write units; nothing if its condition failed.
async fn send(request: UpdateItemFluentBuilder) -> Result<Option<f64>, StoreError> {
    match request.send().await {
        Ok(marked) => {
            let units = marked.consumed_capacity().and_then(ConsumedCapacity::capacity_units);
            Ok(Some(units.unwrap_or_default()))
        }
        Err(error) if error.code() == Some("ConditionalCheckFailedException") => Ok(None),
        Err(error) => Err(StoreError::from_sdk(error)),
    }
}
