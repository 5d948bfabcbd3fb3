//! The operator's commands, with the real binary.

mod analyze;
pub(crate) mod commands;
mod findings;
mod person;
mod printing;
mod system_e;
mod unknown_ids;
