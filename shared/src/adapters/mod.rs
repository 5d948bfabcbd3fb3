//! IO: thin, named after the technology and the role, each with its failures mapped where the call is made.

pub mod aws;
mod backoff;
pub mod boot;
pub mod clerk;
pub mod dynamo;
pub mod lambda;
pub mod tls;
