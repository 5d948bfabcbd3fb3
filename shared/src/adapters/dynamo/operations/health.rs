//! What `rollcall doctor` reads of the Operations table, and the one thing that it mends there.

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{AttributeValue, Select};

use super::Operations;
use super::quarantine;
use super::runs::{Lease, REFUSED, lease_key};
use crate::adapters::dynamo::batch::attributes;
use crate::adapters::dynamo::error::StoreError;
use crate::core::deletion::purge;
use crate::core::doctor::condition::is_overdue;
use crate::core::millis::Millis;

impl Operations {
    /// The number of quarantine notes, of all days that notes stay.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn count_quarantined(&self, now: Millis) -> Result<u64, StoreError> {
        let mut notes = 0;
        for partition in quarantine::days(now) {
            let of_day = self.client.query().table_name(&self.table).select(Select::Count);
            let of_day = of_day
                .key_condition_expression("pk = :pk")
                .expression_attribute_values(":pk", AttributeValue::S(partition));
            let mut pages = of_day.into_paginator().send();
            while let Some(page) = pages.next().await {
                notes += u64::try_from(page.map_err(StoreError::from_sdk)?.count()).unwrap_or_default();
            }
        }
        Ok(notes)
    }

    /// The number of purges that are overdue, among those that the hourly purge looks at.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn count_overdue_purges(&self, now: Millis) -> Result<u64, StoreError> {
        let mut overdue = 0;
        for partition in purge::partitions(now) {
            let mut from = None;
            loop {
                let (due, next) = self.due_purges(&partition, from).await?;
                overdue +=
                    u64::try_from(due.iter().filter(|due| is_overdue(due.due_at, now)).count()).unwrap_or(u64::MAX);
                from = next;
                if from.is_none() {
                    break;
                }
            }
        }
        Ok(overdue)
    }

    /// Removes exactly this lease. Returns false if it was renewed, taken over or released since it was read.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn remove_lease(&self, lease: &Lease) -> Result<bool, StoreError> {
        let request = self.client.delete_item().table_name(&self.table).set_key(Some(attributes(&lease_key())));
        let request = request
            .condition_expression("#holder = :holder AND #until = :until")
            .expression_attribute_names("#holder", "holder")
            .expression_attribute_names("#until", "until")
            .expression_attribute_values(":holder", AttributeValue::S(lease.holder.clone()))
            .expression_attribute_values(":until", AttributeValue::N(lease.until.get().to_string()));
        match request.send().await {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some(REFUSED) => Ok(false),
            Err(error) => Err(StoreError::from_sdk(error)),
        }
    }
}
