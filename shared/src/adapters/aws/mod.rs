//! AWS beside DynamoDB: how it is reached, EventBridge, S3.

pub mod backups;
pub mod config;
pub mod event_bus;
