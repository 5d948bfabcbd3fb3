//! `rollcall owned-tables`: stores a list of owned tables that is too long for a function's environment,
//! and prints the value to set in its place.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use rollcall::adapters::dynamo::operations::owned_lists;
use rollcall::core::deletion::owned_list::ListName;
use rollcall::settings::deletion::{OWNED_TABLES, Removal};
use rollcall::settings::tables::Tables;
use rollcall::settings::variables::Reader;
use serde_json::json;

use super::deployment::{Deployment, Environment};
use super::reconcile::store;
use super::text::counted;
use super::{checks, say};
use crate::args::DeploymentArgs;
use crate::{Status, signals};

/// `rollcall owned-tables`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  rollcall owned-tables owned.json --stack rollcall")]
pub struct OwnedTablesArgs {
    /// File with the JSON list in the format of OWNED_TABLES; - reads standard input
    pub file: PathBuf,
    /// Check the list without storing it
    #[arg(long)]
    pub dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// The deployment to work on.
    #[command(flatten)]
    pub deployment: DeploymentArgs,
}

/// Checks the list and stores it.
///
/// # Errors
///
/// If the list is invalid or cannot be stored. The error has advice.
pub async fn run(args: OwnedTablesArgs, environment: Environment) -> anyhow::Result<Status> {
    let text = match args.file.to_str() {
        Some("-") => {
            let text = signals::read(|| std::io::read_to_string(std::io::stdin())).await?;
            text.context("reading the list from standard input")?
        }
        _ => std::fs::read_to_string(&args.file).with_context(|| format!("reading {}", args.file.display()))?,
    };
    let deployment = Deployment::find(&args.deployment, environment, false).await?;
    let (tables, owned) = deployment.settings(|lookup| {
        let given = |name: &str| if name == OWNED_TABLES.name { Some(text.clone()) } else { lookup(name) };
        let mut reader = Reader::new(&given);
        let tables = Tables::read(&mut reader);
        let owned = Removal::read_owned(&mut reader, tables.as_ref());
        reader.finish(|| Some((tables?, owned)))
    })?;
    if owned.is_empty() {
        bail!("the list is empty: set OwnedTables to [] instead");
    }
    checks::named(&deployment, &tables).await?;
    let operations = tables.operations;
    // Normalized: spaces and the order of fields do not change the name of the list.
    let list = serde_json::to_string(&owned)?;
    let name = if args.dry_run {
        ListName::new(&list)
    } else {
        let stored = owned_lists::store(&deployment.dynamodb, &operations, &list).await;
        stored.map_err(|error| store(&error, &deployment.options))?
    };
    let (setting, count) = (name.setting(), owned.len());
    say(if args.json {
        json!({ "owned_tables": setting, "tables": count, "stored": !args.dry_run }).to_string()
    } else {
        let stored = if args.dry_run {
            "Nothing was written (--dry-run). The list would be stored"
        } else {
            "The list is stored"
        };
        let next = if deployment.is_local() {
            format!("Restart the stack with --data and OWNED_TABLES={setting}.")
        } else {
            format!(
                "Deploy with OwnedTables={setting} and set OWNED_TABLES={setting} in your shell. OwnedTableArns must \
                 also contain these tables."
            )
        };
        format!(
            "{stored} in table {operations}: {}.\n{next}",
            counted(u64::try_from(count).unwrap_or(u64::MAX), "table")
        )
    })?;
    Ok(Status::Done)
}
