//! The operator's commands, with the real binary.

mod analyze;
pub(crate) mod commands;
mod explain;
mod findings;
mod person;
mod printing;
mod tail;
mod unknown_ids;
