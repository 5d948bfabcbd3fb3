//! A table of the application that is migrated: described, read page by page, and changed row by row under conditions.
//!
//! Reads are strongly consistent: a pass over the table must see what an earlier pass has written. No row is written
//! without a condition, and none by a batch, which knows no conditions.

use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, KeySchemaElement, KeyType, ReturnConsumedCapacity, ReturnValuesOnConditionCheckFailure,
    ScalarAttributeType,
};
use thiserror::Error;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, sleep_until};

use super::error::StoreError;

/// A row in the form of DynamoDB's client.
pub type Item = HashMap<String, AttributeValue>;

/// A throttled request is repeated so often, beyond the attempts of the client. The waits are 0.5, 1, 2, 4 and 8 seconds.
const PATIENCE: u32 = 5;
const THROTTLED: [&str; 3] = ["ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"];
/// DynamoDB refuses the row, and no other request: it would be too large, or an index would have a key of a wrong type.
const OF_THE_ROW: [&str; 2] = ["ValidationException", "ItemCollectionSizeLimitExceededException"];

/// What DynamoDB says of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The key attributes, the partition key first.
    pub key: Vec<String>,
    /// The type of each attribute that is in the key of the table or of an index.
    pub types: HashMap<String, ScalarAttributeType>,
    /// The global and local indexes, each with its key attributes.
    pub indexes: Vec<(String, Vec<String>)>,
    /// DynamoDB counts rows and bytes about every six hours.
    pub items: u64,
    pub bytes: u64,
}

/// A value beside another one in a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The names of the maps around an attribute, and its name.
    pub from: Vec<String>,
    /// The row must have this value there.
    pub old: AttributeValue,
    pub to: Vec<String>,
    pub new: AttributeValue,
    pub place: Place,
}

/// What a row has in the place of a new value. A write requires that the row still has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Absent,
    /// A null, which the new value replaces.
    Null,
    /// The new value itself: it is not written.
    New,
}

/// What became of a write of a row.
#[derive(Debug)]
pub enum Written {
    Done,
    /// The row does not exist any more.
    Gone,
    /// The row is another one than the condition requires.
    Otherwise(Item),
    /// DynamoDB refuses the row for this reason, which is a code.
    Refused(String),
}

/// The cause of each [`StoreError::Rejected`] of this module: which request DynamoDB rejected.
#[derive(Debug, Error)]
#[error("a request to table {table} was rejected, which needs the permission {permission}")]
pub struct RejectedRequest {
    pub table: String,
    /// The action of IAM that the request needs on the table.
    pub permission: &'static str,
    source: Box<dyn Error + Send + Sync>,
}

/// A table of the application.
#[derive(Debug)]
pub struct ApplicationTable {
    client: Client,
    name: String,
    /// Write units in a second.
    rate: Option<f64>,
    /// When the next write may begin.
    free: Mutex<Instant>,
}

impl ApplicationTable {
    pub fn new(client: Client, name: String) -> ApplicationTable {
        ApplicationTable { client, name, rate: None, free: Mutex::new(Instant::now()) }
    }

    /// Writes at most this number of write units in a second, also of indexes.
    #[must_use]
    pub fn paced(mut self, units: Option<u32>) -> ApplicationTable {
        self.rate = units.map(f64::from);
        self
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Keys and indexes; nothing if the table does not exist.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn describe(&self) -> Result<Option<Description>, StoreError> {
        let table = match self.client.describe_table().table_name(&self.name).send().await {
            Ok(described) => described.table,
            Err(error) if error.code() == Some("ResourceNotFoundException") => None,
            Err(error) => return Err(self.error("dynamodb:DescribeTable", StoreError::from_sdk(error))),
        };
        let Some(table) = table else { return Ok(None) };
        let global = table.global_secondary_indexes().iter().map(|index| (index.index_name(), index.key_schema()));
        let local = table.local_secondary_indexes().iter().map(|index| (index.index_name(), index.key_schema()));
        let types = table.attribute_definitions().iter();
        Ok(Some(Description {
            key: keys(table.key_schema()),
            types: types.map(|one| (one.attribute_name().to_owned(), one.attribute_type().clone())).collect(),
            indexes: global.chain(local).map(|(name, key)| (name.unwrap_or_default().to_owned(), keys(key))).collect(),
            items: table.item_count().and_then(|items| u64::try_from(items).ok()).unwrap_or_default(),
            bytes: table.table_size_bytes().and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or_default(),
        }))
    }

    /// The attribute with the time at which DynamoDB removes a row, if it does. Needs the permission
    /// `dynamodb:DescribeTimeToLive`.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn time_to_live(&self) -> Result<Option<String>, StoreError> {
        let described = self.client.describe_time_to_live().table_name(&self.name).send().await;
        let described =
            described.map_err(|error| self.error("dynamodb:DescribeTimeToLive", StoreError::from_sdk(error)))?;
        Ok(described.time_to_live_description.and_then(|described| described.attribute_name))
    }

    /// A page of all rows behind a key, of 1 MB at most, and the key of its last row; nothing after the last page.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn page(&self, from: Option<&Item>) -> Result<(Vec<Item>, Option<Item>), StoreError> {
        let page = patiently(async || {
            let scan = self.client.scan().table_name(&self.name).consistent_read(true);
            let page = scan.set_exclusive_start_key(from.cloned()).send().await;
            page.map_err(|error| self.error("dynamodb:Scan", StoreError::from_sdk(error)))
        });
        let page = page.await?;
        Ok((page.items.unwrap_or_default(), page.last_evaluated_key.filter(|key| !key.is_empty())))
    }

    /// The row with this key.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn get(&self, key: &Item) -> Result<Option<Item>, StoreError> {
        let row = patiently(async || {
            let get = self.client.get_item().table_name(&self.name).consistent_read(true);
            let row = get.set_key(Some(key.clone())).send().await;
            row.map_err(|error| self.error("dynamodb:GetItem", StoreError::from_sdk(error)))
        });
        Ok(row.await?.item)
    }

    /// Sets the new values that an existing row lacks, all or none. One of them at least must be lacking.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn set(&self, key: &Item, changes: &[Change]) -> Result<Written, StoreError> {
        let mut places = Places::new(key);
        let (mut sets, mut conditions) = (Vec::new(), vec!["attribute_exists(#key)".to_owned()]);
        for change in changes {
            let (from, to) = (places.path(&change.from), places.path(&change.to));
            let (old, new) = (places.value(&change.old), places.value(&change.new));
            conditions.push(format!("{from} = {old}"));
            match change.place {
                Place::New => conditions.push(format!("{to} = {new}")),
                Place::Absent => conditions.push(format!("attribute_not_exists({to})")),
                Place::Null => conditions.push(format!("{to} = {}", places.value(&AttributeValue::Null(true)))),
            }
            if change.place != Place::New {
                sets.push(format!("{to} = {new}"));
            }
        }
        self.update(key, &format!("SET {}", sets.join(", ")), &conditions, &places).await
    }

    /// Removes an attribute of an existing row if it has this value, or makes it null again. The row must still have the
    /// reference from which the value was made: without it, the attribute may be the only one that says whose row it is.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn remove(
        &self,
        key: &Item,
        (path, value): (&[String], &AttributeValue),
        (from, reference): (&[String], &AttributeValue),
        was_null: bool,
    ) -> Result<Written, StoreError> {
        let mut places = Places::new(key);
        let (path, from) = (places.path(path), places.path(from));
        let (value, reference) = (places.value(value), places.value(reference));
        let conditions =
            ["attribute_exists(#key)".to_owned(), format!("{path} = {value}"), format!("{from} = {reference}")];
        let update = match was_null {
            true => format!("SET {path} = {}", places.value(&AttributeValue::Null(true))),
            false => format!("REMOVE {path}"),
        };
        self.update(key, &update, &conditions, &places).await
    }

    async fn update(
        &self,
        key: &Item,
        update: &str,
        conditions: &[String],
        places: &Places,
    ) -> Result<Written, StoreError> {
        let written = patiently(async || {
            let write = self.client.update_item().table_name(&self.name).set_key(Some(key.clone()));
            let write = write.update_expression(update).condition_expression(conditions.join(" AND "));
            let write = write.set_expression_attribute_names(Some(places.names.clone()));
            let write = write.set_expression_attribute_values(Some(places.values.clone()));
            let write = write.return_consumed_capacity(ReturnConsumedCapacity::Total);
            let write =
                write.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld).send();
            let answer = write.await;
            self.pause(answer.as_ref().ok().and_then(|answer| answer.consumed_capacity.as_ref()?.capacity_units)).await;
            match answer {
                Ok(_) => Ok(Written::Done),
                Err(error) => {
                    let failed = match error.as_service_error() {
                        Some(UpdateItemError::ConditionalCheckFailedException(failed)) => Some(failed.item.clone()),
                        _ => None,
                    };
                    outcome(failed, || self.error("dynamodb:UpdateItem", StoreError::from_sdk(error)))
                }
            }
        });
        written.await
    }

    /// Adds a row, unless there is one with its key.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn add(&self, key: &[String], row: &Item) -> Result<Written, StoreError> {
        let written = patiently(async || {
            let write = self.client.put_item().table_name(&self.name).set_item(Some(row.clone()));
            let write = write.condition_expression("attribute_not_exists(#key)");
            let write = write.expression_attribute_names("#key", key.first().map_or("", String::as_str));
            let write = write.return_consumed_capacity(ReturnConsumedCapacity::Total);
            let write =
                write.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld).send();
            let answer = write.await;
            self.pause(answer.as_ref().ok().and_then(|answer| answer.consumed_capacity.as_ref()?.capacity_units)).await;
            match answer {
                Ok(_) => Ok(Written::Done),
                Err(error) => {
                    let failed = match error.as_service_error() {
                        Some(PutItemError::ConditionalCheckFailedException(failed)) => Some(failed.item.clone()),
                        _ => None,
                    };
                    outcome(failed, || self.error("dynamodb:PutItem", StoreError::from_sdk(error)))
                }
            }
        });
        written.await
    }

    /// The error, with the permission of the request if DynamoDB rejected it.
    fn error(&self, permission: &'static str, error: StoreError) -> StoreError {
        match error {
            StoreError::Rejected(code, source) => {
                let request = RejectedRequest { table: self.name.clone(), permission, source };
                StoreError::Rejected(code, request.into())
            }
            error => error,
        }
    }

    /// Waits as long as the rate requires after a write of this number of units. A refused write counts as one.
    async fn pause(&self, units: Option<f64>) {
        let Some(rate) = self.rate else { return };
        let until = {
            let mut free = self.free.lock().await;
            *free = (*free).max(Instant::now()) + Duration::from_secs_f64(units.unwrap_or(1.0) / rate);
            *free
        };
        sleep_until(until).await;
    }
}

/// The result of a write that failed; `failed` is the stored row if its condition did.
fn outcome(failed: Option<Option<Item>>, error: impl FnOnce() -> StoreError) -> Result<Written, StoreError> {
    match failed {
        Some(Some(row)) if !row.is_empty() => Ok(Written::Otherwise(row)),
        Some(_) => Ok(Written::Gone),
        None => match error() {
            StoreError::Rejected(code, _) if OF_THE_ROW.contains(&code.as_str()) => Ok(Written::Refused(code)),
            error => Err(error),
        },
    }
}

/// Repeats a request as long as DynamoDB throttles it.
async fn patiently<T>(request: impl AsyncFn() -> Result<T, StoreError>) -> Result<T, StoreError> {
    let mut attempt = 0;
    loop {
        match request().await {
            Err(StoreError::Unavailable(code, _)) if THROTTLED.contains(&code.as_str()) && attempt < PATIENCE => {
                sleep(Duration::from_millis(500 << attempt)).await;
                attempt += 1;
            }
            result => return result,
        }
    }
}

/// Placeholders of an expression.
struct Places {
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

impl Places {
    /// `#key` is one of the key attributes.
    fn new(key: &Item) -> Places {
        let name = key.keys().min().cloned().unwrap_or_default();
        Places { names: HashMap::from([("#key".to_owned(), name)]), values: HashMap::new() }
    }

    fn path(&mut self, path: &[String]) -> String {
        let mut placeholders = Vec::new();
        for name in path {
            let placeholder = format!("#n{}", self.names.len());
            self.names.insert(placeholder.clone(), name.clone());
            placeholders.push(placeholder);
        }
        placeholders.join(".")
    }

    fn value(&mut self, value: &AttributeValue) -> String {
        let placeholder = format!(":v{}", self.values.len());
        self.values.insert(placeholder.clone(), value.clone());
        placeholder
    }
}

/// The partition key first, whatever the order in the response.
fn keys(schema: &[KeySchemaElement]) -> Vec<String> {
    let of = |kind: KeyType| schema.iter().filter(move |part| *part.key_type() == kind);
    of(KeyType::Hash).chain(of(KeyType::Range)).map(|part| part.attribute_name().to_owned()).collect()
}
