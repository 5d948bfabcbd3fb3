//! Describes tables by DynamoDB's `DescribeTable`.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{KeySchemaElement, KeyType, PointInTimeRecoveryStatus, SseStatus};

use super::error::StoreError;
use crate::core::doctor::tables::Protection;
use crate::core::tables::Shape;

/// The shape of a table; nothing if it does not exist.
///
/// # Errors
///
/// [`StoreError`].
pub async fn shape(client: &Client, table: &str) -> Result<Option<Shape>, StoreError> {
    let described = match client.describe_table().table_name(table).send().await {
        Ok(described) => described.table,
        Err(error) if error.code() == Some("ResourceNotFoundException") => None,
        Err(error) => return Err(StoreError::from_sdk(error)),
    };
    Ok(described.map(|table| {
        let indexes = table.global_secondary_indexes().iter();
        let stream = table.stream_specification().filter(|stream| stream.stream_enabled());
        Shape {
            keys: keys(table.key_schema()),
            indexes: indexes
                .map(|index| (index.index_name().unwrap_or_default().to_owned(), keys(index.key_schema())))
                .collect(),
            stream: stream.and_then(|stream| stream.stream_view_type()).map(|view| view.as_str().to_owned()),
        }
    }))
}

/// How a table is protected; nothing if it does not exist. Needs the permission `dynamodb:DescribeContinuousBackups`.
///
/// # Errors
///
/// [`StoreError`].
pub async fn protection(client: &Client, table: &str) -> Result<Option<Protection>, StoreError> {
    let described = match client.describe_table().table_name(table).send().await {
        Ok(described) => described.table,
        Err(error) if error.code() == Some("ResourceNotFoundException") => None,
        Err(error) => return Err(StoreError::from_sdk(error)),
    };
    let Some(described) = described else { return Ok(None) };
    let backups = client.describe_continuous_backups().table_name(table).send().await.map_err(StoreError::from_sdk)?;
    let backups = backups.continuous_backups_description.and_then(|backups| backups.point_in_time_recovery_description);
    let recovery = backups.and_then(|recovery| recovery.point_in_time_recovery_status);
    Ok(Some(Protection {
        has_kms_key: described.sse_description().and_then(|sse| sse.status()) == Some(&SseStatus::Enabled),
        has_point_in_time_recovery: recovery == Some(PointInTimeRecoveryStatus::Enabled),
        has_deletion_protection: described.deletion_protection_enabled() == Some(true),
    }))
}

/// The partition key first, whatever the order in the response.
fn keys(schema: &[KeySchemaElement]) -> Vec<String> {
    let of = |kind: KeyType| schema.iter().filter(move |part| *part.key_type() == kind);
    of(KeyType::Hash).chain(of(KeyType::Range)).map(|part| part.attribute_name().to_owned()).collect()
}
