//! The operator's commands, with the real binary.

mod analyze;
mod at_every_request;
pub(crate) mod commands;
mod deployed;
mod doctor;
mod endpoint;
mod every_command;
mod explain;
mod findings;
mod interrupted;
mod look;
mod look_operations;
mod mend;
mod no_room;
mod person;
mod printing;
mod probe;
mod slow;
pub(crate) mod system_e;
mod tail;
mod unknown_ids;
