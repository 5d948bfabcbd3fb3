//! `rollcall export`: prints all stored data of one user as JSON.

use anyhow::anyhow;
use clap::Args;
use rollcall::core::deletion::subject::Subject;
use rollcall::services::operator::export::ExportError;

use super::context::OperatorContext;
use super::deployment::Environment;
use super::{note, say};
use crate::args::DeploymentArgs;
use crate::{Clock, Status};

/// `rollcall export`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  rollcall export user_2nNG9rEYQoliquKw5eHQ9eFeurU --stack rollcall > answer.json")]
pub struct ExportArgs {
    /// Clerk id or internal id of the user
    pub id: Subject,
    /// Print the JSON on one line
    #[arg(long)]
    pub json: bool,
    /// The deployment to work on.
    #[command(flatten)]
    pub deployment: DeploymentArgs,
}

/// Exports the data of one user.
///
/// # Errors
///
/// If the export fails. The error has advice.
pub async fn run(args: ExportArgs, environment: Environment, clock: Clock) -> anyhow::Result<Status> {
    let context = OperatorContext::open(&args.deployment, environment, clock).await?;
    let export = context.operator.export(&args.id, &context.holdings()).await.map_err(|error| match error {
        ExportError::Operator(error) => context.explain(error),
        error => anyhow!(error),
    })?;
    for table in &export.missing_tables {
        note(format_args!("rollcall: table {table} does not exist: check OWNED_TABLES"));
    }
    let is_whole = export.missing_tables.is_empty();
    say(if args.json { serde_json::to_string(&export)? } else { serde_json::to_string_pretty(&export)? })?;
    Ok(if is_whole { Status::Done } else { Status::Left })
}
