//! The Directory on DynamoDB. Its operations carry their condition inside; a refused write is an outcome with the item
//! that stood in the way.

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

/// The items that may be put under one parent together: a transaction has 100 actions, and one is the check.
/// Source: AWS, API reference of `TransactWriteItems`.
pub const MAX_TOGETHER: i32 = 99;

/// What became of a conditional write.
#[derive(Debug)]
pub enum Put {
    /// Stored, for this many write units.
    Applied {
        /// Write capacity units, indexes included.
        units: f64,
    },
    /// Refused, by this item; nothing if the condition asked for an item that is not there.
    Refused(Option<Box<Item>>),
}

/// What becomes of Clerk's id of a user when a tombstone is finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClerkId {
    /// It stays, or there was none.
    Keep,
    /// It becomes [`NOBODY`].
    Redact,
    Remove,
}

/// What became of a write that depends on another item.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PutUnder {
    /// Stored, for this many write units.
    Applied {
        /// Write capacity units, indexes and the check included.
        units: f64,
    },
    /// Refused: the item or its parent is not what it was.
    Refused,
}

impl Directory {
    /// Puts the whole item if the rule admits it: the one write of every writer.
    ///
    /// # Errors
    ///
    /// [`StoreError`], never for a refused condition.
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
                    None => Ok(Put::Refused(None)),
                    Some(stored) if stored.is_empty() => Ok(Put::Refused(None)),
                    Some(stored) => Ok(Put::Refused(Some(Box::new(item::item(stored.clone())?)))),
                },
                _ => Err(StoreError::from_sdk(error)),
            },
        }
    }

    /// Puts items if the rule admits each of them and another one, their parent, is still exactly as it was: a cascade. All
    /// or none; [`MAX_TOGETHER`] at most.
    ///
    /// # Errors
    ///
    /// [`StoreError`], never for a refused condition.
    pub async fn put_under(&self, items: &[(Item, Guard)], parent: &Item) -> Result<PutUnder, StoreError> {
        let unreadable = |error: aws_sdk_dynamodb::error::BuildError| StoreError::Unreadable(error.into());
        let (condition, names, values) = exactly(parent);
        let check = ConditionCheck::builder()
            .table_name(&self.table)
            .set_key(Some(attributes(&parent.key)))
            .condition_expression(condition)
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(Some(values));
        let mut actions =
            vec![TransactWriteItem::builder().condition_check(check.build().map_err(unreadable)?).build()];
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
            Transacted::Refused(_) => PutUnder::Refused,
        })
    }

    /// Notes on a tombstone that its consequences are done, if it is still exactly that one and does not say so yet. Answers
    /// with the write units; with nothing if there was nothing to note.
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

    /// Notes on a user's tombstone that the user's data are being removed from now on, if it is still exactly that one and
    /// not finished: an undo comes too late then. Answers with the write units; with nothing if it is another one.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn begin_purge(&self, tombstone: &Item, now: Millis) -> Result<Option<f64>, StoreError> {
        let request = self.mark(tombstone, "SET #purging = :now", now);
        send(request.expression_attribute_names("#purging", PURGING_AT)).await
    }

    /// Takes a tombstone away whose entity lives and is not kept here: an undo where nobody is mirrored. Answers whether it was
    /// still exactly that one, with no data being removed because of it.
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

    /// Takes the mark off a tombstone of a membership whose user lives again, if it is still exactly that one.
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

/// The condition that a row is exactly the one that was read, its names and its values. Undone, and ended once more by the same
/// message, a tombstone has the same rank and the same digest; only when it was stored is another moment. Where that is lost the rank
/// alone tells: else such a tombstone could never be finished.
fn exactly(read: &Item) -> (&'static str, HashMap<String, String>, HashMap<String, AttributeValue>) {
    let mut names = HashMap::from([("#rank".to_owned(), "rank".to_owned())]);
    let mut values = HashMap::from([(":rank".to_owned(), AttributeValue::S(read.rank.to_string()))]);
    let Some(stored_at) = read.stored_at() else { return ("#rank = :rank", names, values) };
    names.insert("#applied_at".to_owned(), "applied_at".to_owned());
    values.insert(":applied_at".to_owned(), number(stored_at));
    ("#rank = :rank AND #applied_at = :applied_at", names, values)
}

/// Sends a mark. Returns its write units; nothing if its condition does not hold.
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
