//! AWS clients other than DynamoDB: configuration, EventBridge, S3.

pub mod backup_names;
pub mod backups;
pub mod config;
pub mod event_bus;
