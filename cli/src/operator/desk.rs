//! What the commands about one person share: whom they mean, what they work with, and what a failure means.

use ::reconcile::Reconcile;
use ::reconcile::settings::Settings;
use anyhow::{Context, anyhow};
use rollcall::adapters::backups::Backups;
use rollcall::adapters::clerk_api::ClerkError;
use rollcall::core::subject::Subject;
use rollcall::services::reconcile::ReconcileError;
use rollcall::services::undo::OperatorError;

use super::reconcile::{explain, store};
use super::target::{Environment, Target};
use crate::Clock;
use crate::args::TargetArgs;

/// An operator's tools.
pub(super) struct Desk {
    /// The tables, and where they are.
    pub(super) target: Target,
    /// The function, of which the commands do a part.
    pub(super) reconcile: Reconcile,
    /// Its settings.
    pub(super) settings: Settings,
}

impl Desk {
    /// Gets them ready.
    pub(super) async fn open(args: &TargetArgs, environment: Environment, clock: Clock) -> anyhow::Result<Desk> {
        let target = Target::find(args, environment, true).await?;
        let settings = target.settings(Settings::read)?;
        let backups = Backups::of(&settings.removal, &target.aws);
        let reconcile = Reconcile::new(settings.clone(), &target.dynamodb, backups, clock);
        Ok(Desk { target, reconcile, settings })
    }

    /// A failure with what to do about it.
    pub(super) fn explain(&self, error: OperatorError) -> anyhow::Error {
        match error {
            OperatorError::Store(error) => store(&error, &self.target.options),
            OperatorError::Clerk(error @ ClerkError::Unavailable(_)) => {
                explain(ReconcileError::Clerk(error), &self.target.options)
            }
            error => anyhow!(error),
        }
    }
}

/// Reads an id as it was typed.
pub(super) fn subject(text: &str) -> anyhow::Result<Subject> {
    text.parse().with_context(|| {
        format!(
            "{text:?} is no id: give Clerk's id of a user or an organization, the internal id of a user, or a membership \
             as organization/user"
        )
    })
}
