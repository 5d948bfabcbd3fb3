//! IO: thin, named after the technology and the role, each with its failures mapped where the call is made.

pub mod aws;
pub mod clerk;
pub mod dynamo;
pub mod lambda;
pub mod tls;
