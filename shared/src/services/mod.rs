//! The order of IO around the core's decisions.

use std::sync::Arc;

use crate::core::millis::Millis;

pub mod analyze;
pub mod apply;
pub mod cascade;
pub mod deletion;
pub mod ensure;
pub mod erase;
pub mod export;
pub mod link;
pub mod provision;
pub mod purge;
pub mod questions;
pub mod react;
pub mod receive;
pub mod recent;
pub mod reconcile;
pub mod restore;
pub mod undo;

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Millis + Send + Sync>;
