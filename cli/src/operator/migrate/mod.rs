//! `rollcall migrate`: moves users of an old collection to Clerk.

mod args;
mod metadata;
mod texts;

use clap::Subcommand;

pub use self::args::MetadataArgs;
use super::Screen;
use super::deployment::Environment;
use crate::{Clock, Status};

/// `rollcall migrate`.
#[derive(Debug, Subcommand)]
pub enum MigrateCommand {
    /// Merge fields of old users into their public metadata in Clerk. Shows a plan first, writes a journal, can be
    /// repeated, continued and undone
    Metadata(Box<MetadataArgs>),
}

impl MigrateCommand {
    /// Whether the command may change something in Clerk.
    pub(super) fn changes(&self) -> bool {
        match self {
            MigrateCommand::Metadata(args) => !args.dry_run,
        }
    }

    pub(super) fn is_json(&self) -> bool {
        match self {
            MigrateCommand::Metadata(args) => args.json,
        }
    }
}

/// Runs a command of the migration.
///
/// # Errors
///
/// If the command fails. The error has advice.
pub async fn run(
    command: MigrateCommand,
    environment: Environment,
    clock: Clock,
    screen: &Screen,
) -> anyhow::Result<Status> {
    match command {
        MigrateCommand::Metadata(args) => metadata::run(*args, environment, clock, screen).await,
    }
}
