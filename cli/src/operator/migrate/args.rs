//! The options of `rollcall migrate`.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};
use rollcall::core::write_back;
use rollcall_migrate::input::{Format, Options};
use rollcall_migrate::mapping::{Draft, Mapping, Rule, Source};
use rollcall_migrate::matching::Rules;
use rollcall_migrate::metadata::decide::OnConflict;
use rollcall_migrate::metadata::values::OnNull;

use crate::Usage;
use crate::args::DeploymentArgs;

/// `rollcall migrate metadata`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  rollcall migrate metadata users.json --field primary_role=primary_role --dry-run --stack rollcall
  rollcall migrate metadata users.bson.gz --mapping mapping.toml --match-email --stack rollcall
  rollcall migrate metadata users.csv --csv --legacy-id id --field plan=plan_name --stack rollcall
  rollcall migrate metadata --table users --legacy-id id --field plan --dry-run --stack rollcall
  rollcall migrate metadata users.json --undo --stack rollcall")]
pub struct MetadataArgs {
    /// Export of the old users: mongoexport, .bson, NDJSON, DynamoDB (the folder of an export, or the output of a scan), each
    /// also packed by gzip; CSV and COPY text with the options below
    #[arg(required_unless_present = "table", conflicts_with = "table", value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Read the old users from this DynamoDB table instead. The rows are stored in the folder first, and a later run uses
    /// these rows
    #[arg(long, value_name = "TABLE", conflicts_with_all = ["csv", "copy", "pg_dump"])]
    pub table: Option<String>,
    #[command(flatten)]
    pub format: FormatArgs,
    #[command(flatten)]
    pub mapping: MappingArgs,
    /// Also match users by e-mail address: only if the address is proven in the row (--email-proof) and in Clerk, and
    /// belongs to one row and one user
    #[arg(long)]
    pub match_email: bool,
    /// Also accept addresses in Clerk that an import or an administrator marked as verified
    #[arg(long, requires = "match_email")]
    pub trust_imported_addresses: bool,
    /// What null in a field of the row means: leave Clerk's value as it is, or remove it
    #[arg(long, value_enum, default_value_t, value_name = "RULE")]
    pub null: NullRule,
    /// What to do where Clerk has another value: keep Clerk's value and report the user, or write the value of the row
    #[arg(long, value_enum, default_value_t, value_name = "RULE")]
    pub on_conflict: ConflictRule,
    /// Folder of the plan, the journal and the results. Default: the name of the first file or the table with .migration. Its files hold
    /// personal data: delete the folder when the migration cannot be undone any more
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// Undo the migration in the folder: give users their values from before, where nobody has changed them since
    #[arg(long)]
    pub undo: bool,
    /// Show the plan and write nothing to Clerk
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

/// What the files are, if their content does not tell.
#[derive(Args, Debug)]
pub struct FormatArgs {
    /// The files are CSV with a header
    #[arg(long, conflicts_with_all = ["copy", "pg_dump"])]
    pub csv: bool,
    /// The delimiter of the CSV files
    #[arg(long, value_name = "CHARACTER", default_value = ",", requires = "csv")]
    pub delimiter: char,
    /// The files are PostgreSQL's COPY text, with these columns separated by commas; without a value, with a header
    #[arg(long, value_name = "COLUMNS", num_args = 0..=1, default_missing_value = "", conflicts_with = "pg_dump")]
    pub copy: Option<String>,
    /// The file is a plain pg_dump: read this table, such as public.users
    #[arg(long, value_name = "TABLE")]
    pub pg_dump: Option<String>,
}

/// Which fields name a user, and which become metadata.
#[derive(Args, Debug)]
pub struct MappingArgs {
    /// TOML file with the names below: legacy_id, clerk_id, email, email_proof, deleted, and a table [metadata]. The
    /// options override it
    #[arg(long = "mapping", value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Field with the old id [default: _id]
    #[arg(long, value_name = "FIELD")]
    pub legacy_id: Option<String>,
    /// Field with the Clerk id, if the rows have one
    #[arg(long, value_name = "FIELD")]
    pub clerk_id: Option<String>,
    /// Field with the e-mail address
    #[arg(long, value_name = "FIELD")]
    pub email: Option<String>,
    /// Field that proves the address: proven unless null, false, empty or absent
    #[arg(long, value_name = "FIELD")]
    pub email_proof: Option<String>,
    /// Field that marks a deleted user: deleted unless null, false, empty or absent. Such rows are skipped
    #[arg(long, value_name = "FIELD")]
    pub deleted: Option<String>,
    /// Field that becomes metadata: KEY=FIELD, or KEY if both have the same name. May be repeated
    #[arg(long = "field", value_name = "KEY=FIELD")]
    pub fields: Vec<String>,
    /// Key of --field whose object replaces Clerk's object; otherwise the objects are merged. May be repeated
    #[arg(long = "replace", value_name = "KEY")]
    pub replaced: Vec<String>,
    /// Only match the rows with users: write the map of old ids to Clerk ids, and nothing to Clerk
    #[arg(long)]
    pub match_only: bool,
}

/// See [`OnNull`].
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum NullRule {
    #[default]
    Leave,
    Remove,
}

/// See [`OnConflict`].
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum ConflictRule {
    #[default]
    Keep,
    Source,
}

impl From<NullRule> for OnNull {
    fn from(rule: NullRule) -> OnNull {
        match rule {
            NullRule::Leave => OnNull::Leave,
            NullRule::Remove => OnNull::Remove,
        }
    }
}

impl From<ConflictRule> for OnConflict {
    fn from(rule: ConflictRule) -> OnConflict {
        match rule {
            ConflictRule::Keep => OnConflict::Keep,
            ConflictRule::Source => OnConflict::Source,
        }
    }
}

impl MetadataArgs {
    /// How a row finds its user.
    pub(super) fn rules(&self) -> Rules {
        Rules { by_address: self.match_email, trust_imported_addresses: self.trust_imported_addresses }
    }

    /// The folder of the migration.
    pub(super) fn folder(&self) -> PathBuf {
        self.folder.clone().unwrap_or_else(|| {
            let name = self.table.as_ref().map(PathBuf::from).unwrap_or_else(|| self.files[0].clone());
            let mut name = name.into_os_string();
            name.push(".migration");
            PathBuf::from(name)
        })
    }
}

impl FormatArgs {
    /// How to read the files. CSV and COPY text must have the mapped columns.
    pub(super) fn options(&self, mapping: &Mapping) -> anyhow::Result<Options> {
        self.with_columns(mapping.sources().map(str::to_owned).collect())
    }

    /// How to read the files. CSV and COPY text must have these columns.
    pub(super) fn with_columns(&self, mut columns: Vec<String>) -> anyhow::Result<Options> {
        let format = if self.csv {
            let delimiter = u8::try_from(self.delimiter).context("--delimiter must be an ASCII character")?;
            Format::Csv { delimiter }
        } else if let Some(columns) = &self.copy {
            let columns = columns.split(',').filter(|column| !column.is_empty()).map(str::to_owned).collect::<Vec<_>>();
            Format::Copy { columns: (!columns.is_empty()).then_some(columns) }
        } else if let Some(table) = &self.pg_dump {
            Format::PgDump { table: table.clone() }
        } else {
            return Ok(Options::default());
        };
        columns.sort();
        columns.dedup();
        Ok(Options { format, columns, ..Options::default() })
    }
}

impl MappingArgs {
    /// The file and the options, checked.
    pub(super) fn checked(&self) -> anyhow::Result<Mapping> {
        let mut draft = self.file.as_deref().map(read).transpose()?.unwrap_or_default();
        draft.match_only = self.match_only;
        let set = |given: &Option<String>, place: &mut Option<String>| {
            if given.is_some() {
                place.clone_from(given);
            }
        };
        set(&self.legacy_id, &mut draft.legacy_id);
        set(&self.clerk_id, &mut draft.clerk_id);
        set(&self.email, &mut draft.email);
        set(&self.email_proof, &mut draft.email_proof);
        set(&self.deleted, &mut draft.deleted);
        let mut given = HashSet::new();
        for field in &self.fields {
            let (key, source) = field.split_once('=').unwrap_or((field, field));
            if !given.insert(key) {
                return Err(Usage(format!("--field {key}: the key is given twice: name each key once")).into());
            }
            draft.metadata.insert(key.to_owned(), Source::Field(source.to_owned()));
        }
        for key in &self.replaced {
            let Some(source) = draft.metadata.get_mut(key) else {
                return Err(Usage(format!("--replace {key}: no --field and no mapping has this key")).into());
            };
            let from = match source {
                Source::Field(from) => from.clone(),
                Source::Rule(rule) => rule.from.clone(),
            };
            *source = Source::Rule(Rule { from, replace: true });
        }
        let checked = draft.checked(&[write_back::ID, write_back::ROLE].map(|key| vec![key.to_owned()]));
        checked.map_err(|error| Usage(error.to_string()).into())
    }
}

/// Checks that no file is named twice.
///
/// # Errors
///
/// [`Usage`].
pub(super) fn each_once(files: &[PathBuf]) -> Result<(), Usage> {
    let mut seen = HashSet::new();
    for file in files {
        // A file that does not exist is an error of the reading.
        let place = std::fs::canonicalize(file).unwrap_or_else(|_| file.clone());
        if !seen.insert(place) {
            return Err(Usage(format!("{} is given twice: name each file once", file.display())));
        }
    }
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<Draft> {
    let text = std::fs::read_to_string(path).with_context(|| format!("--mapping {}", path.display()))?;
    Draft::from_toml(&text).map_err(|error| Usage(format!("--mapping {}: {error}", path.display())).into())
}
