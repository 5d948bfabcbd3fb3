//! The operator's commands, with the real binary.

mod analyze;
pub(crate) mod commands;
mod findings;
mod mend;
mod person;
mod printing;
mod unknown_ids;
