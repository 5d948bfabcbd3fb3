//! The options of `rollcall migrate rekey-table`.

use std::path::PathBuf;

use clap::Args;
use rollcall_migrate::references::Reference;

use crate::args::DeploymentArgs;

/// `rollcall migrate rekey-table`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  rollcall migrate rekey-table profiles --map users.json.migration --reference user_id --dry-run --stack rollcall
  rollcall migrate rekey-table sessions --map users.json.migration --reference coach_id=coach_clerk_user_id --reference \
client_id=client_clerk_user_id --stack rollcall
  rollcall migrate rekey-table tasks --map users.json.migration --reference user_id --into tasks-by-clerk-id --stack rollcall
  rollcall migrate rekey-table profiles --undo --stack rollcall")]
pub struct RekeyTableArgs {
    /// DynamoDB table of the application, by its name
    #[arg(value_name = "TABLE")]
    pub table: String,
    /// Folder of a `rollcall migrate metadata` that has written everything or only matched the rows (--match-only): it has
    /// the map of old ids to Clerk ids
    #[arg(long, required_unless_present = "undo", value_name = "DIR")]
    pub map: Option<PathBuf>,
    /// Attribute with the id of an old user, and the name of the new attribute beside it [default name: clerk_user_id]. Dots
    /// go into maps. May be repeated: a row is changed only if every reference leads to a user
    #[arg(long = "reference", required_unless_present = "undo", value_name = "ATTRIBUTE[=NAME]")]
    pub references: Vec<Reference>,
    /// Also find an id whose type differs, such as the text of a number. Such rows are counted
    #[arg(long)]
    pub loose_ids: bool,
    /// Skip rows whose reference is absent, null or empty, instead of reporting them
    #[arg(long)]
    pub allow_missing: bool,
    /// Copy the rows into this table, whose key has the new attribute, and leave the old table as it is
    #[arg(long, value_name = "NEW_TABLE")]
    pub into: Option<String>,
    /// Write at most so many write units in a second
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub write_units: Option<u32>,
    /// Folder of the journal and the results. Default: the name of the table with .rekey. Its files hold personal data, as
    /// the table does
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// Remove the new attributes that this command has written, where they are unchanged
    #[arg(long, conflicts_with_all = ["map", "references", "into", "loose_ids", "allow_missing"])]
    pub undo: bool,
    /// Show the plan and write nothing to a table
    #[arg(long)]
    pub dry_run: bool,
    /// Skip the confirmation prompt
    #[arg(long, short)]
    pub yes: bool,
    /// Print one JSON object; requires --yes or --dry-run
    #[arg(long)]
    pub json: bool,
    /// The deployment to work on.
    #[command(flatten)]
    pub deployment: DeploymentArgs,
}

impl RekeyTableArgs {
    /// The folder of the journal and the results.
    pub(super) fn folder(&self) -> PathBuf {
        self.folder.clone().unwrap_or_else(|| PathBuf::from(format!("{}.rekey", self.table)))
    }
}
