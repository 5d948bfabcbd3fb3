//! The options of `rollcall migrate verify`.

use std::path::PathBuf;

use clap::Args;

use crate::args::DeploymentArgs;

/// `rollcall migrate verify`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  rollcall migrate verify verify.toml --stack rollcall
  rollcall migrate verify verify.toml --folder verified-2026-12-01 --json --stack rollcall")]
pub struct VerifyArgs {
    /// TOML file that names the migrated users, the other collections with their references, and the backups. Paths in it
    /// are relative to it
    #[arg(value_name = "VERIFY.toml")]
    pub file: PathBuf,
    /// Folder of the report and the findings, and of the rows of live tables. Default: the file's name with .verification.
    /// A later verification replaces what is in it
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// Print the report as one JSON object
    #[arg(long)]
    pub json: bool,
    /// The deployment to work on.
    #[command(flatten)]
    pub deployment: DeploymentArgs,
}

impl VerifyArgs {
    /// The folder of the verification.
    pub(super) fn folder(&self) -> PathBuf {
        self.folder.clone().unwrap_or_else(|| {
            let mut name = self.file.clone().into_os_string();
            name.push(".verification");
            PathBuf::from(name)
        })
    }
}
