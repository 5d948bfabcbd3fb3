//! Reads a live table of DynamoDB into a file of lines `{"Item":…}`, as an export to S3 has them.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rollcall::adapters::dynamo::error::StoreError;
use rollcall_migrate::folder::{Folder, FolderError};
use serde_json::{Map, Value, json};

/// Why a table was not read.
#[derive(Debug)]
pub(super) enum DownloadError {
    Store(StoreError),
    Folder(FolderError),
}

impl From<FolderError> for DownloadError {
    fn from(error: FolderError) -> DownloadError {
        DownloadError::Folder(error)
    }
}

/// Reads all items of the table, strongly consistent. A scan is no snapshot: an item that is written meanwhile may be
/// missing.
pub(super) async fn download(
    client: &Client,
    table: &str,
    folder: &Folder,
    name: &str,
    mut each: impl FnMut(u64),
) -> Result<(), DownloadError> {
    let mut file = folder.create(name)?;
    let (mut from, mut items) = (None, 0);
    loop {
        let page = client.scan().table_name(table).consistent_read(true).set_exclusive_start_key(from).send().await;
        let page = page.map_err(failure)?;
        for item in page.items.unwrap_or_default() {
            items += 1;
            file.add_json(&json!({ "Item": attributes(&item) }))?;
        }
        each(items);
        from = page.last_evaluated_key.filter(|key| !key.is_empty());
        if from.is_none() {
            return Ok(file.finish()?);
        }
    }
}

fn failure<E>(error: E) -> DownloadError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    DownloadError::Store(match error.code().map(str::to_owned) {
        Some(code) => StoreError::Rejected(code, error.into()),
        None => StoreError::Unavailable("no answer".to_owned(), error.into()),
    })
}

fn attributes(item: &HashMap<String, AttributeValue>) -> Map<String, Value> {
    item.iter().map(|(name, value)| (name.clone(), typed(value))).collect()
}

fn typed(value: &AttributeValue) -> Value {
    let binary = |bytes: &[u8]| STANDARD.encode(bytes);
    match value {
        AttributeValue::S(text) => json!({ "S": text }),
        AttributeValue::N(number) => json!({ "N": number }),
        AttributeValue::B(bytes) => json!({ "B": binary(bytes.as_ref()) }),
        AttributeValue::Bool(value) => json!({ "BOOL": value }),
        AttributeValue::M(values) => json!({ "M": attributes(values) }),
        AttributeValue::L(values) => json!({ "L": values.iter().map(typed).collect::<Vec<_>>() }),
        AttributeValue::Ss(texts) => json!({ "SS": texts }),
        AttributeValue::Ns(numbers) => json!({ "NS": numbers }),
        AttributeValue::Bs(values) => {
            json!({ "BS": values.iter().map(|bytes| binary(bytes.as_ref())).collect::<Vec<_>>() })
        }
        // Null, and what a later version of DynamoDB may add, in which no id can be found.
        _ => json!({ "NULL": true }),
    }
}
