//! Shared code of undo, erase and export: finds the entity, opens the clients, explains errors.

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
    /// The deployment that the command works on.
    pub(super) target: Target,
    /// The operations on the tables and on Clerk.
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

    /// The tables that may contain rows of a user.
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

    /// The error with advice.
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

/// Whether a command must stop because it needs a confirmation and cannot ask for it. Prints the reason.
pub(super) fn lacks_confirmation(yes: bool, dry_run: bool, json: bool, screen: &Screen) -> bool {
    let lacks = !yes && !dry_run && (json || !screen.asks);
    if lacks {
        note("rollcall: cannot ask for confirmation (--json, or no terminal): pass --yes or --dry-run");
    }
    lacks
}
