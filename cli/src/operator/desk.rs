//! What the commands about one person share: whom they mean, what they work with, and what a failure means.

use ::reconcile::Reconcile;
use ::reconcile::settings::Settings;
use anyhow::anyhow;
use rollcall::adapters::backups::Backups;
use rollcall::adapters::clerk_api::ClerkError;
use rollcall::services::reconcile::ReconcileError;
use rollcall::services::undo::OperatorError;

use super::Screen;
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

/// Whether a command must not go on: nobody can be asked whether to, and nobody has said so.
pub(super) fn must_say_yes(yes: bool, dry_run: bool, json: bool, screen: &Screen) -> bool {
    let must = !yes && !dry_run && (json || !screen.asks);
    if must {
        eprintln!("rollcall: nobody can be asked here: add --yes, or --dry-run");
    }
    must
}
