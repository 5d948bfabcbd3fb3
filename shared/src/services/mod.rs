//! The order of IO around the core's decisions.

pub mod analyze;
pub mod apply;
pub mod ensure;
pub mod receive;
pub mod reconcile;
