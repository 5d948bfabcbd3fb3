//! Lambda: functions, requests and responses, logs, metrics.

pub mod function;
pub mod http;
pub mod log;
pub mod metrics;
