//! Lambda: functions, their requests and answers, log lines, metrics.

pub mod function;
pub mod http;
pub mod log;
pub mod metrics;
