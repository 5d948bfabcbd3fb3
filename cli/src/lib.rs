//! The `rollcall` command.
//!
//! [`args`] defines the command line, [`dev`] the local stack; [`trigger`] sends one sample event; [`operator`]
//! contains the operator's commands; [`settings`] lists the variables of each function; [`functions`] is the registry
//! of the functions; [`log`] formats the log; [`completions`] and [`manual`] print what is derived from the command line. The local stack is a library because the tests start it, too.

#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod args;
pub mod completions;
pub mod dev;
pub mod functions;
pub mod invocation;
pub mod log;
pub mod manual;
pub mod operator;
pub mod presets;
pub mod settings;
mod signals;
pub mod template;
pub mod trigger;

use std::fmt;

use rollcall::core::millis::Millis;

/// Returns the current time. `main.rs` passes the machine's clock, a test passes its own.
pub type Clock = std::sync::Arc<dyn Fn() -> Millis + Send + Sync>;

/// The exit status of a command. The numbers are the same for all commands, so that scripts may rely on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Done, or in sync.
    Done = 0,
    Failure = 1,
    /// Drift was found, work is not completed, a question was declined, or a signal stopped the command.
    Left = 2,
    /// Wrong usage.
    Usage = 64,
}

/// Wrong usage of a command: it ends with [`Status::Usage`].
#[derive(Debug)]
pub struct Usage(pub String);

impl fmt::Display for Usage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}
