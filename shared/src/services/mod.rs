//! The order of IO around the core's decisions.

use std::sync::Arc;

use crate::core::millis::Millis;

pub mod analyze;
pub mod apply;
pub mod cascade;
pub mod ensure;
pub mod link;
pub mod provision;
pub mod react;
pub mod receive;
pub mod reconcile;

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Millis + Send + Sync>;
