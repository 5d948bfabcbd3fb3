//! The quarantine in the Operations table: notes of signed events that could not be processed.

use super::Operations;
use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::adapters::dynamo::batch;
use crate::adapters::dynamo::batch::{MAX_REQUESTS, attributes};
use crate::adapters::dynamo::error::StoreError;
use crate::adapters::dynamo::row::{key_of, plain};
use crate::core::clerk::event::Unprocessable;
use crate::core::id::{DeliveryId, InstanceId, Key};
use crate::core::millis::Millis;

/// How long a quarantine note stays, in seconds: it contains ids of persons, who may be deleted meanwhile.
const QUARANTINE_SECONDS: u64 = 90 * DAY_SECONDS;
const DAY_SECONDS: u64 = 24 * 60 * 60;

/// A note of a signed event that could not be processed: enough to fetch the entity from Clerk, without the body.
#[derive(Debug, Serialize)]
struct Quarantined<'a> {
    pk: String,
    sk: &'a str,
    received_at: Millis,
    /// Unix seconds, as DynamoDB's time to live requires.
    expires_at: u64,
    failed_at: &'a str,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance_id: Option<&'a InstanceId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entity_id: Option<&'a str>,
}

impl Operations {
    /// Notes a signed event that cannot be processed. A later delivery of the same message overwrites the note, also on
    /// another day: not every sender obeys the header that stops it.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: the event must then be delivered again.
    pub async fn quarantine(
        &self,
        delivery: &DeliveryId,
        event: &Unprocessable,
        now: Millis,
    ) -> Result<(), StoreError> {
        let note = Quarantined {
            pk: self.noted(delivery, now).await?.unwrap_or_else(|| format!("QUARANTINE#{}", now.utc_date())),
            sk: delivery.as_str(),
            received_at: now,
            expires_at: now.get() / 1000 + QUARANTINE_SECONDS,
            failed_at: &event.failed_at,
            kind: event.kind.as_deref(),
            instance_id: event.instance_id.as_ref(),
            entity_id: event.entity.as_deref(),
        };
        let item = serde_dynamo::to_item(note).map_err(|error| StoreError::Unreadable(error.into()))?;
        self.client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .send()
            .await
            .map_err(StoreError::from_sdk)?;
        Ok(())
    }

    /// The partition of an existing note of this message; nothing if there is none. One request with one key for each
    /// day that notes stay; it is rarely needed.
    async fn noted(&self, delivery: &DeliveryId, now: Millis) -> Result<Option<String>, StoreError> {
        let key = |pk| attributes(&Key { pk, sk: delivery.to_string() });
        let wanted = KeysAndAttributes::builder().set_keys(Some(partitions(now).map(key).collect()));
        let wanted = wanted.projection_expression("pk, sk").consistent_read(true).build();
        let wanted = wanted.map_err(|error| StoreError::Unreadable(error.into()))?;
        let wanted = HashMap::from([(self.table.clone(), wanted)]);
        let (found, _) = batch::get(&self.client, wanted, MAX_REQUESTS).await?;
        Ok(found.iter().find_map(|(_, row)| key_of(row)).map(|key| key.pk))
    }

    /// The notes of events about an entity, of all days that notes stay.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn quarantined(&self, entity: &str, now: Millis) -> Result<Vec<Map<String, Value>>, StoreError> {
        let mut notes = Vec::new();
        for partition in partitions(now) {
            let of_day = self.client.query().table_name(&self.table).key_condition_expression("pk = :pk");
            let of_day = of_day
                .expression_attribute_values(":pk", AttributeValue::S(partition))
                .filter_expression("entity_id = :entity")
                .expression_attribute_values(":entity", AttributeValue::S(entity.to_owned()));
            let mut pages = of_day.into_paginator().items().send();
            while let Some(note) = pages.next().await {
                notes.push(plain(note.map_err(StoreError::from_sdk)?));
            }
        }
        Ok(notes)
    }
}

/// The partitions of all days that notes stay, the latest first: fewer than one request may name.
pub(super) fn partitions(now: Millis) -> impl Iterator<Item = String> {
    (0..=QUARANTINE_SECONDS / DAY_SECONDS).map(move |days| {
        let day = now.get().saturating_sub(days * DAY_SECONDS * 1000);
        let day = Millis::try_from(i64::try_from(day).unwrap_or_default()).unwrap_or(Millis::ZERO).utc_date();
        format!("QUARANTINE#{day}")
    })
}
