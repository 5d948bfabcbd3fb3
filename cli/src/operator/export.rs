//! `rollcall export`: everything that is held about one person, as JSON.

use anyhow::anyhow;
use rollcall::adapters::dynamo_operations::DynamoOperations;
use rollcall::adapters::dynamo_owned::DynamoOwned;
use rollcall::services::export::{ExportError, Holdings};

use super::desk::Desk;
use super::say;
use super::target::Environment;
use crate::args::ExportArgs;
use crate::{Clock, Status};

/// Exports.
///
/// # Errors
///
/// If it cannot, with what to do about it.
pub async fn run(args: ExportArgs, environment: Environment, clock: Clock) -> anyhow::Result<Status> {
    let desk = Desk::open(&args.target, environment, clock).await?;
    let (settings, client) = (&desk.settings, || desk.target.dynamodb.clone());
    let owned = settings.removal.owned.iter().cloned();
    let holdings = Holdings {
        directory: DynamoOwned::partition(client(), settings.directory_table.clone()),
        profiles: DynamoOwned::partition(client(), settings.profiles_table.clone()),
        owned: owned.map(|table| DynamoOwned::new(client(), table)).collect(),
        operations: DynamoOperations::new(client(), settings.operations_table.clone()),
    };
    let export = desk.reconcile.reconciler().export(&args.id, &holdings).await.map_err(|error| match error {
        ExportError::Operator(error) => desk.explain(error),
        error => anyhow!(error),
    })?;
    for table in &export.missing_tables {
        eprintln!("rollcall: there is no table {table}: check OWNED_TABLES");
    }
    let is_whole = export.missing_tables.is_empty();
    say(if args.json { serde_json::to_string(&export)? } else { serde_json::to_string_pretty(&export)? });
    Ok(if is_whole { Status::Done } else { Status::Left })
}
