//! `rollcall migrate`: moves users of an old collection to Clerk.

mod args;
mod metadata;
mod reasons;
mod rekey;
mod rekey_args;
mod rekey_table;
mod rekey_table_args;
mod rekey_table_texts;
mod rekey_texts;
mod texts;
mod verify;
mod verify_args;
mod verify_inputs;
mod verify_texts;

use clap::Subcommand;

pub use self::args::MetadataArgs;
pub use self::rekey_args::RekeyArgs;
pub use self::rekey_table_args::RekeyTableArgs;
pub use self::verify_args::VerifyArgs;
use super::Screen;
use super::deployment::Environment;
use crate::{Clock, Status};

/// `rollcall migrate`.
#[derive(Debug, Subcommand)]
pub enum MigrateCommand {
    /// Merge fields of old users into their public metadata in Clerk. Shows a plan first, writes a journal, can be
    /// repeated, continued and undone
    Metadata(Box<MetadataArgs>),
    /// Write the Clerk id of its user beside each reference to an old user, in files of other collections. Every other byte
    /// stays; rows whose user is unknown go to files of their own
    Rekey(Box<RekeyArgs>),
    /// Write the Clerk id of its user beside each reference to an old user, in a DynamoDB table; or copy the rows into a
    /// table with the Clerk id in its key. Each write has a condition; can be repeated, continued and undone
    RekeyTable(Box<RekeyTableArgs>),
    /// Prove that nothing needs the old collection any more: read all collections, ask Clerk for each user, and write a
    /// report to sign. Writes nothing else. Exit status: 0 if no criterion is contradicted, 2 if one is
    Verify(VerifyArgs),
}

impl MigrateCommand {
    /// Whether the command may change something in Clerk. Files under their final names are all or nothing.
    pub(super) fn changes(&self) -> bool {
        match self {
            MigrateCommand::Metadata(args) => !args.dry_run,
            MigrateCommand::Rekey(_) => false,
            MigrateCommand::RekeyTable(args) => !args.dry_run,
            MigrateCommand::Verify(_) => false,
        }
    }

    pub(super) fn is_json(&self) -> bool {
        match self {
            MigrateCommand::Metadata(args) => args.json,
            MigrateCommand::Rekey(args) => args.json,
            MigrateCommand::RekeyTable(args) => args.json,
            MigrateCommand::Verify(args) => args.json,
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
        MigrateCommand::Rekey(args) => rekey::run(*args, clock, screen).await,
        MigrateCommand::RekeyTable(args) => rekey_table::run(*args, environment, clock, screen).await,
        MigrateCommand::Verify(args) => verify::run(args, environment, clock, screen).await,
    }
}
