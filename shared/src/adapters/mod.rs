//! IO: thin, named after the technology and the role, each with its failures mapped where the call is made.

pub mod aws;
pub mod backups;
pub mod bus;
pub mod clerk_api;
pub mod clerk_lists;
mod dynamo_batch;
pub mod dynamo_caller;
pub mod dynamo_directory;
pub mod dynamo_members;
pub mod dynamo_operations;
pub mod dynamo_owned;
pub mod dynamo_profiles;
pub mod dynamo_purges;
pub mod dynamo_records;
pub mod dynamo_runs;
pub mod dynamo_survey;
pub mod dynamo_tables;
mod dynamo_transaction;
pub mod http;
pub mod log;
pub mod metrics;
pub mod secrets;
pub mod session_tokens;
pub mod sessions;
pub mod store_error;
pub mod svix_signature;
pub mod tls;
