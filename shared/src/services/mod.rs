//! Services: the sequence of requests around the core's decisions.

pub mod account;
pub mod apply;
pub mod authorize;
pub mod deletion;
pub mod ensure;
pub mod operator;
pub mod provision;
pub mod react;
pub mod receive;
pub mod reconcile;
pub mod write_back;
