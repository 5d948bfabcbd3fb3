//! The `rollcall` command.
//!
//! [`args`] is what may be typed, [`dev`] the local stack, [`trigger`] sends one sample event, [`operator`] looks after
//! a deployment, [`settings`] lists what every function reads, [`functions`] the functions. The stack is a library of its own because the tests
//! start it, too.

#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod args;
pub mod dev;
pub mod functions;
pub mod invocation;
pub mod operator;
pub mod presets;
pub mod settings;
mod signals;
pub mod template;
pub mod trigger;

use std::fmt;

use rollcall::core::millis::Millis;

/// Tells the time. A `main.rs` hands in the machine's clock, a test one of its own.
pub type Clock = std::sync::Arc<dyn Fn() -> Millis + Send + Sync>;

/// The exit status of a command: the same numbers everywhere, so that scripts may rely on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Done, or in sync.
    Done = 0,
    Failure = 1,
    /// Drift was found, or work is left.
    Left = 2,
    /// Called in a way that makes no sense.
    Usage = 64,
}

/// A command was called in a way that makes no sense: it ends with [`Status::Usage`].
#[derive(Debug)]
pub struct Usage(pub String);

impl fmt::Display for Usage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}
