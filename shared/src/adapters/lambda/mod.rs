//! Lambda: requests and answers, log lines, metrics.

pub mod http;
pub mod log;
pub mod metrics;
