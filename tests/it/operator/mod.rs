//! The operator's commands, with the real binary.

mod analyze;
pub(crate) mod commands;
mod doctor;
mod every_command;
mod explain;
mod findings;
mod look;
mod look_operations;
mod mend;
mod person;
mod printing;
mod probe;
mod system_e;
mod tail;
mod unknown_ids;
