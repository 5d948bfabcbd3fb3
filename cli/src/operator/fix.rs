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
use super::text::{count, counted};
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

/// Ends the result of work that failed or was interrupted. A request on its way at that moment may be done and not be
/// counted.
pub(super) const INCOMPLETE: &str =
    "Not complete: this is what was done so far, without a request on its way. Run the command again to continue.";

/// The option that approves a plan.
pub(super) const APPROVE: &str = "--approve";

/// Why a plan is not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// It concerns more than a command does without approval.
    TooMany,
    /// It concerns more than was approved.
    Grown(u64),
}

impl Hold {
    /// Why a plan for so many is not carried out; nothing if it may be. An approval is a limit. A smaller plan passes, so
    /// that the same command continues after an interruption; a larger one is not the plan that the operator has read.
    pub(super) fn of(planned: u64, is_too_many: bool, approved: Option<u64>) -> Option<Hold> {
        match approved {
            None => is_too_many.then_some(Hold::TooMany),
            Some(approved) => (planned > approved).then_some(Hold::Grown(approved)),
        }
    }

    /// The reason, for people. `what` is one of what the plan concerns, `option` is the option that approves it.
    pub(super) fn text(self, what: &str, planned: u64, option: &str) -> String {
        match self {
            Hold::TooMany => format!(
                "rollcall: the plan concerns {}, more than this command changes without approval. If that is \
                 right, approve it with {option} {planned}",
                counted(planned, what)
            ),
            Hold::Grown(approved) => format!(
                "rollcall: the plan concerns {}, and {option} says {}. Look at the plan, and approve it with \
                 {option} {planned}",
                counted(planned, what),
                count(approved)
            ),
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
    if context.is_forbidden() && !args.json {
        // A dry run says it, too: it shows what the command would do.
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
    /// Whether the policy forbids what a plan says. In JSON `forbidden_by_policy` says so.
    pub(super) fn is_forbidden(&self) -> bool {
        self.settings.mode == Mode::Report
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_approval_is_a_limit() {
        for (planned, is_too_many, approved, expected) in [
            (0, false, Some(5), None),
            (3, false, None, None),
            (412, true, None, Some(Hold::TooMany)),
            (412, true, Some(412), None),
            (412, true, Some(500), None),
            (412, true, Some(411), Some(Hold::Grown(411))),
            (3, false, Some(3), None),
            (3, false, Some(412), None),
            (3, false, Some(2), Some(Hold::Grown(2))),
        ] {
            assert_eq!(Hold::of(planned, is_too_many, approved), expected, "{planned} {approved:?}");
        }
        let text = Hold::Grown(400).text("user", 412, APPROVE);
        assert!(text.contains("412 users,") && text.contains("says 400") && text.contains("--approve 412"), "{text}");
        let text = Hold::TooMany.text("user", 1, APPROVE);
        assert!(text.contains("concerns 1 user,"), "{text}");
    }
}
