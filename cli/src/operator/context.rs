//! What the commands about one person share: whom they mean, what they work with, and what a failure means.

use ::reconcile::Reconcile;
use ::reconcile::settings::Settings;
use anyhow::anyhow;
use rollcall::adapters::aws::backups::Backups;
use rollcall::adapters::clerk::error::ClerkError;
use rollcall::adapters::dynamo::owned::rows::DynamoOwned;
use rollcall::services::operator::export::Holdings;
use rollcall::services::operator::{Operator, OperatorError};
use rollcall::services::reconcile::ReconcileError;

use super::reconcile::{explain, store};
use super::target::{Environment, Target};
use super::{Screen, check_tables, note};
use crate::Clock;
use crate::args::TargetArgs;

pub(super) struct OperatorContext {
    /// The tables, and where they are.
    pub(super) target: Target,
    /// What acts on the tables and on Clerk.
    pub(super) operator: Operator,
    pub(super) settings: Settings,
}

impl OperatorContext {
    pub(super) async fn open(
        args: &TargetArgs,
        environment: Environment,
        clock: Clock,
    ) -> anyhow::Result<OperatorContext> {
        let target = Target::find(args, environment, true).await?.with_owned_tables().await?;
        let settings = target.settings(Settings::read)?;
        check_tables::all(&target, &settings).await?;
        let backups = Backups::for_removal(&settings.removal, &target.aws);
        let operator = Reconcile::new(settings.clone(), &target.dynamodb, backups, clock).into_operator();
        Ok(OperatorContext { target, operator, settings })
    }

    /// Where something of a user may be.
    pub(super) fn holdings(&self) -> Holdings {
        let client = || self.target.dynamodb.clone();
        let settings = &self.settings;
        let stores = &self.operator.stores;
        Holdings {
            directory: stores.directory.partition(),
            profiles: stores.profiles.partition(),
            owned: settings.removal.owned.iter().map(|table| DynamoOwned::new(client(), table.clone())).collect(),
            operations: stores.operations.clone(),
        }
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
        note("rollcall: not a terminal: pass --yes or --dry-run");
    }
    must
}
