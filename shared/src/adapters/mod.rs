//! Adapters: thin IO code, by technology and role. Each maps its own errors.

pub mod aws;
pub(crate) mod backoff;
pub mod boot;
pub mod clerk;
pub mod dynamo;
pub mod lambda;
pub mod svix;
pub mod tls;
