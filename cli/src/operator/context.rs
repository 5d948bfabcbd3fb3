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

use super::deployment::{Deployment, Environment};
use super::reconcile::{explain, store};
use super::{Screen, checks, note};
use crate::Clock;
use crate::args::DeploymentArgs;

pub(super) struct OperatorContext {
    /// The deployment that the command works on.
    pub(super) deployment: Deployment,
    /// The operations on the tables and on Clerk.
    pub(super) operator: Operator,
    pub(super) settings: Settings,
}

impl OperatorContext {
    pub(super) async fn open(
        args: &DeploymentArgs,
        environment: Environment,
        clock: Clock,
    ) -> anyhow::Result<OperatorContext> {
        let deployment = Deployment::find(args, environment, true).await?.with_owned_tables().await?;
        let settings = deployment.settings(Settings::read)?;
        checks::all(&deployment, &settings).await?;
        let backups = Backups::for_removal(&settings.removal, &deployment.aws);
        let operator = Reconcile::new(settings.clone(), &deployment.dynamodb, backups, clock).into_operator();
        Ok(OperatorContext { deployment, operator, settings })
    }

    /// The tables that may contain rows of a user.
    pub(super) fn holdings(&self) -> Holdings {
        let client = || self.deployment.dynamodb.clone();
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
            OperatorError::Store(error) => store(&error, &self.deployment.options),
            OperatorError::Clerk(error @ ClerkError::Unavailable(_)) => {
                explain(ReconcileError::Clerk(error), &self.deployment.options)
            }
            error => anyhow!(error),
        }
    }
}

/// Whether a command must stop because it needs a confirmation and cannot ask for it. Prints the reason.
pub(crate) fn lacks_confirmation(yes: bool, dry_run: bool, json: bool, screen: &Screen) -> bool {
    lacks(yes || dry_run, json, screen, "--yes or --dry-run")
}

/// The same for a command without `--dry-run`.
pub(crate) fn lacks_yes(yes: bool, json: bool, screen: &Screen) -> bool {
    lacks(yes, json, screen, "--yes")
}

fn lacks(is_confirmed: bool, json: bool, screen: &Screen, options: &str) -> bool {
    let lacks = !is_confirmed && (json || !screen.asks);
    if lacks {
        note(format_args!("rollcall: cannot ask for confirmation (--json, or no terminal): pass {options}"));
    }
    lacks
}
