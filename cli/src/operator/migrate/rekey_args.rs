//! The options of `rollcall migrate rekey`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use rollcall_migrate::references::Reference;
use rollcall_migrate::rekey::terms::{Emit, Terms};

use super::args::FormatArgs;

/// `rollcall migrate rekey`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  rollcall migrate rekey profiles.json --map users.json.migration --reference user_id --dry-run
  rollcall migrate rekey sessions.json --map users.json.migration --reference coach_id=coach_clerk_user_id --reference \
client_id=client_clerk_user_id
  rollcall migrate rekey profiles.bson --map users.json.migration --reference user_id --emit patch
  rollcall migrate rekey profiles.csv --csv --map users.csv.migration --reference user_id --emit patch --id id")]
pub struct RekeyArgs {
    /// Files of one collection: mongoexport, .bson (with --emit patch), NDJSON, each also packed by gzip; CSV, COPY text and
    /// pg_dump with the options below. What is written is not packed
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Folder of a finished `rollcall migrate metadata`, which has the map of old ids to Clerk ids
    #[arg(long, value_name = "DIR")]
    pub map: PathBuf,
    /// Field with the id of an old user, and the name of the new field beside it [default name: clerk_user_id]. Dots go
    /// into documents and arrays. May be repeated: a row passes only if every reference leads to a user
    #[arg(long = "reference", required = true, value_name = "FIELD[=NAME]")]
    pub references: Vec<Reference>,
    /// Also find an id whose type differs, such as the text of an ObjectId. Such rows are counted
    #[arg(long)]
    pub loose_ids: bool,
    /// What happens to rows with a reference that leads to no user: report puts them into a file of their own, keep lets
    /// them pass without the new field, fail writes no rows at all if any row is left. None drops a row
    #[arg(long, value_enum, default_value_t, value_name = "POLICY")]
    pub orphans: Orphans,
    /// Let rows pass whose reference is absent, null or empty; they get no new field
    #[arg(long)]
    pub allow_missing: bool,
    /// Report rows whose reference leads to the same user as another row's, for a collection with one row for each user.
    /// They pass
    #[arg(long)]
    pub unique: bool,
    /// What is written: rows are the files with the new fields; patch is the rows' ids and the new fields, for `mongoimport
    /// --mode=merge` or SQL, so that later writes to the rows survive
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    pub emit: EmitRule,
    /// Field that names a row in a patch
    #[arg(long, value_name = "FIELD", default_value = "_id")]
    pub id: String,
    #[command(flatten)]
    pub format: FormatArgs,
    /// Folder for the new files. Default: the first file's name with .rekey. They hold personal data, as the input does
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// Count only, and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// What happens to orphans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Orphans {
    #[default]
    Report,
    Keep,
    Fail,
}

/// See [`Emit`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum EmitRule {
    #[default]
    Rows,
    Patch,
}

impl RekeyArgs {
    pub(super) fn terms(&self) -> Terms {
        Terms {
            references: self.references.clone(),
            loose: self.loose_ids,
            allow_missing: self.allow_missing,
            // Where nothing is left, fail writes what report writes.
            keep: self.orphans == Orphans::Keep,
            unique: self.unique,
            emit: match self.emit {
                EmitRule::Rows => Emit::Rows,
                EmitRule::Patch => Emit::Patch,
            },
            id: self.id.clone(),
        }
    }

    /// The columns that CSV and COPY text must have.
    pub(super) fn columns(&self) -> Vec<String> {
        let id = (self.emit == EmitRule::Patch).then(|| self.id.clone());
        self.references.iter().map(|reference| reference.field.clone()).chain(id).collect()
    }

    /// The folder for the new files.
    pub(super) fn folder(&self) -> PathBuf {
        self.folder.clone().unwrap_or_else(|| {
            let mut name = self.files[0].clone().into_os_string();
            name.push(".rekey");
            PathBuf::from(name)
        })
    }
}
