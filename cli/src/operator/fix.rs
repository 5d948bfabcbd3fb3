//! Shared code of the commands that repair whole tables: the options, the consent, the interruption.

use clap::Args;
use rollcall::adapters::dynamo::owned::rows::OwnedError;
use rollcall::core::reconcile::run::Mode;
use rollcall::services::deletion::purge::PurgeError;
use rollcall::services::operator::OperatorError;
use rollcall::services::operator::cleanup::CleanupError;
use rollcall::services::operator::duplicates::DuplicatesError;

use super::context::OperatorContext;
use super::reconcile::store;
use super::{KEPT, Screen, note, say};
use crate::signals;

/// Whether a command asks, writes, and how it prints.
#[derive(Args, Clone, Copy, Debug)]
pub struct FixArgs {
    /// Show what would be done and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Skip the confirmation prompt
    #[arg(long, short)]
    pub yes: bool,
    /// Print one JSON object; requires --yes or --dry-run
    #[arg(long)]
    pub json: bool,
}

/// Runs work until a signal stops it; nothing if one did.
pub(super) async fn until_stopped<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<Option<T>> {
    let stop = signals::stop_signal()?;
    tokio::select! {
        done = work => done.map(Some),
        () = stop => {
            note(KEPT);
            Ok(None)
        }
    }
}

/// Whether a plan may be carried out. Asks if that is necessary, and says why if nothing is done.
pub(super) fn consents(
    args: FixArgs,
    context: &OperatorContext,
    screen: &Screen,
    question: &str,
) -> anyhow::Result<bool> {
    let settings = &context.settings;
    if settings.mode == Mode::Report && !args.dry_run {
        note("RECONCILE_POLICY=report: nothing is written; pass --override RECONCILE_POLICY=repair for this command");
    }
    if !args.dry_run && settings.mode == Mode::Repair && (args.yes || screen.ask_on(&context.deployment, question)?) {
        return Ok(true);
    }
    if !args.json {
        say("Nothing was written.")?;
    }
    Ok(false)
}

impl OperatorContext {
    /// The error of a clean-up with advice.
    pub(super) fn explain_cleanup(&self, error: CleanupError) -> anyhow::Error {
        match error {
            CleanupError::Operator(error) => self.explain(error),
            CleanupError::Owned(error) => self.explain_owned(error),
            CleanupError::Purge(PurgeError::Store(error)) => self.explain(OperatorError::Store(error)),
            CleanupError::Purge(PurgeError::Owned(error)) => self.explain_owned(error),
            CleanupError::Purge(PurgeError::Backup(error)) => {
                anyhow::Error::from(error).context("without a backup nothing is removed; run the command again")
            }
        }
    }

    /// The error of an owned table with advice.
    pub(super) fn explain_owned(&self, error: OwnedError) -> anyhow::Error {
        match error {
            OwnedError::Store(error) => store(&error, &self.deployment.options),
            error => error.into(),
        }
    }

    /// The error of a removal of duplicates with advice.
    pub(super) fn explain_duplicates(&self, error: DuplicatesError) -> anyhow::Error {
        match error {
            DuplicatesError::Owned(error) => self.explain_owned(error),
            DuplicatesError::Store(error) => store(&error, &self.deployment.options),
            DuplicatesError::Backup(error) => {
                anyhow::Error::from(error).context("without a backup nothing is removed; run the command again")
            }
        }
    }
}
