//! The order of IO around the core's decisions.

pub mod receive;
