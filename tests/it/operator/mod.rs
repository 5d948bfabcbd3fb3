//! The operator's commands, with the real binary.

mod analyze;
pub(crate) mod commands;
mod doctor;
mod every_command;
mod findings;
mod person;
mod printing;
mod probe;
mod unknown_ids;
