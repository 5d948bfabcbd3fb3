//! Lambda: the start of a function, requests and answers, log lines, metrics.

pub mod boot;
pub mod http;
pub mod log;
pub mod metrics;
