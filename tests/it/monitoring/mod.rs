//! What is logged and counted.

mod logs;
pub(crate) mod metrics;
