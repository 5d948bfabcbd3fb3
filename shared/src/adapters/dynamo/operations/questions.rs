//! Limits of requests to Clerk in the Operations table: what was recently asked about a caller, and how many requests
//! each function has sent. All containers share these rows; DynamoDB removes them some minutes after they are needed.

use super::Operations;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};

use crate::adapters::dynamo::batch::attributes;
use crate::adapters::dynamo::error::StoreError;
use crate::core::ensure::questions::{Asked, WINDOW};
use crate::core::id::{InternalId, Key};
use crate::core::millis::Millis;

/// How long a row stays, in seconds: many times as long as it is used.
const STAYS_SECONDS: u64 = 10 * 60;

/// The condition under which the stored questions about a caller may be replaced.
#[derive(Clone, Copy, Debug)]
pub enum Guard<'a> {
    /// There are none of the last seconds.
    Quiet,
    /// The stored ones are of this writer.
    Of(&'a str),
}

impl Operations {
    /// Replaces the questions about a caller. If the condition fails, returns the stored ones.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn note_question(
        &self,
        caller: InternalId,
        asked: &Asked,
        guard: Guard<'_>,
        now: Millis,
    ) -> Result<Option<Asked>, StoreError> {
        let questions: AttributeValue =
            serde_dynamo::to_attribute_value(&asked.questions).map_err(|error| StoreError::Unreadable(error.into()))?;
        let number = |number: u64| AttributeValue::N(number.to_string());
        let request = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(attributes(&Key { pk: format!("ASKED#{caller}"), sk: "CALLER".to_owned() })))
            .update_expression(
                "SET asked_at = :asked_at, writer = :writer, questions = :questions, expires_at = :expires_at",
            )
            .expression_attribute_values(":asked_at", number(asked.asked_at.get()))
            .expression_attribute_values(":writer", AttributeValue::S(asked.writer.clone()))
            .expression_attribute_values(":questions", questions)
            .expression_attribute_values(":expires_at", number(now.get() / 1000 + STAYS_SECONDS))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let request = match guard {
            // A time that is far in the future, from a wrong clock, is ignored.
            Guard::Quiet => request
                .condition_expression("attribute_not_exists(pk) OR asked_at <= :before OR asked_at >= :after")
                .expression_attribute_values(":before", number(now.get().saturating_sub(WINDOW)))
                .expression_attribute_values(":after", number(now.get() + WINDOW)),
            Guard::Of(writer) => request
                .condition_expression("writer = :seen")
                .expression_attribute_values(":seen", AttributeValue::S(writer.to_owned())),
        };
        match request.send().await {
            Ok(_) => Ok(None),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(refused)) => {
                    // The row may have been removed since it was read.
                    let Some(stored) = refused.item().filter(|stored| !stored.is_empty()) else {
                        return Ok(Some(Asked::nothing(now)));
                    };
                    let stored = serde_dynamo::from_item(stored.clone());
                    stored.map(Some).map_err(|error| StoreError::Unreadable(error.into()))
                }
                _ => Err(StoreError::from_sdk(error)),
            },
        }
    }

    /// Adds requests to those of a function within a window, and returns the sum.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn spend_budget(&self, function: &str, window: u64, requests: u32) -> Result<u64, StoreError> {
        let number = |number: u64| AttributeValue::N(number.to_string());
        let request = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(attributes(&Key { pk: format!("BUDGET#{window}"), sk: function.to_owned() })))
            .update_expression("ADD requests :requests SET expires_at = :expires_at")
            .expression_attribute_values(":requests", number(requests.into()))
            .expression_attribute_values(":expires_at", number((window + WINDOW) / 1000 + STAYS_SECONDS))
            .return_values(ReturnValue::UpdatedNew);
        let now = request.send().await.map_err(StoreError::from_sdk)?.attributes.unwrap_or_default();
        let spent = now.get("requests").and_then(|spent| spent.as_n().ok()).and_then(|spent| spent.parse().ok());
        spent.ok_or_else(|| StoreError::Unreadable("a budget without a number".into()))
    }
}
