//! The arguments of the command line. The doc comments are the help texts.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand};
use clerk_emulator::HostName;
use rollcall::core::deletion::subject::Subject;
use rollcall::core::reconcile::run_id::RunId;

use crate::operator::deployment::overrides::Override;

/// The default ports of the local stack. No common framework or database uses them.
pub const DEFAULT_PORT: u16 = 4400;
const DEFAULT_CLERK_PORT: u16 = 4401;
const DEFAULT_DYNAMODB_PORT: u16 = 4402;

/// The heading of the options that say which deployment a command works on.
const DEPLOYMENT: &str = "Deployment";

/// Shown below the help of `rollcall` itself.
const TABLES: &str = "\
Tables:
  Directory   the copy of Clerk: one row for each user, organization and membership
  Profiles    the application's records: one for each user and each membership
  Operations  Rollcall's own rows: runs, lease, quarantine, due purges";

/// Rollcall keeps a DynamoDB copy of Clerk's users, organizations and memberships in sync with Clerk. This command
/// operates a deployment and runs a local stack.
#[derive(Debug, Parser)]
#[command(name = "rollcall", version, max_term_width = 100, after_help = TABLES)]
pub struct Cli {
    /// The command to run.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the local stack in one process: DynamoDB, the Clerk emulator and the functions
    Dev(DevArgs),
    /// Send a signed sample event to the webhook and show the result
    Trigger(TriggerArgs),
    /// Compare the Directory with Clerk and repair the differences
    Reconcile(ReconcileArgs),
    /// Show the latest runs of reconcile and the deletions that are pending approval
    Status(StatusArgs),
    /// Compare Clerk, the Directory and Profiles and report all differences, also missing and ownerless records.
    /// Changes neither table; stores only the report of the run
    Analyze(AnalyzeArgs),
    /// Undo the deletion of a user, an organization or a membership that still exists in Clerk. If the row is live but
    /// its version is more than five minutes later than Clerk's, replace the row with Clerk's state
    Undo(UndoArgs),
    /// Write the rows of a purge's or an erasure's backup back into Profiles and the owned tables. Does not change the
    /// Directory (see undo)
    Restore(RestoreArgs),
    /// Delete a user in Clerk and remove the user's data from the tables (GDPR article 17). DELETION_POLICY says which
    /// data are removed
    Erase(EraseArgs),
    /// Print all stored data of one user as JSON
    Export(ExportArgs),
    /// Store a list of owned tables (tables of the application with rows of users) that is too long for OWNED_TABLES in
    /// the Operations table, and print the value to set in OWNED_TABLES instead
    OwnedTables(OwnedTablesArgs),
    /// List the environment variables of each function
    Settings(SettingsArgs),
}

/// The deployment that a command works on. The settings are those of the deployment, not those of the shell.
#[derive(Args, Clone, Debug, Default)]
#[command(group = ArgGroup::new("place").required(true).args(["stack", "function", "local"]))]
pub struct DeploymentArgs {
    /// Work on this CloudFormation stack, with the settings of its reconcile function
    #[arg(long, value_name = "NAME", conflicts_with_all = ["port", "data"], help_heading = DEPLOYMENT)]
    pub stack: Option<String>,
    /// Work on the deployment of this reconcile function (name or ARN), for a deployment without a stack of Rollcall
    #[arg(long, value_name = "NAME", conflicts_with_all = ["port", "data"], help_heading = DEPLOYMENT)]
    pub function: Option<String>,
    /// Work on the local stack that `rollcall dev` has started, with the settings of that stack
    #[arg(long, help_heading = DEPLOYMENT)]
    pub local: bool,
    /// Which local stack.
    #[command(flatten)]
    pub which: LocalArgs,
    /// Use another value than the deployment for one setting, such as RECONCILE_POLICY=report. NAME alone uses the
    /// value of the variable in the shell. May be repeated
    #[arg(long = "override", value_name = "NAME[=VALUE]", help_heading = DEPLOYMENT)]
    pub overrides: Vec<Override>,
}

/// Which local stack a command works on, if several are running.
#[derive(Args, Clone, Debug, Default)]
pub struct LocalArgs {
    /// Port of the HTTP API of the local stack, if several local stacks are running
    #[arg(long, value_name = "PORT", conflicts_with = "data", help_heading = DEPLOYMENT)]
    pub port: Option<u16>,
    /// Data folder of the local stack, if several local stacks are running
    #[arg(long, value_name = "DIR", help_heading = DEPLOYMENT)]
    pub data: Option<PathBuf>,
}

/// `rollcall reconcile`.
#[derive(Args, Debug)]
pub struct ReconcileArgs {
    /// Show the plan without changing the Directory; only the report of the run is stored
    #[arg(long)]
    pub dry_run: bool,
    /// Id of the run whose pending deletions you approve, such as 2026-11-25T03:00:00.000Z (see `rollcall status`).
    /// Rollcall confirms each absence again before it deletes
    #[arg(long, value_name = "RUN")]
    pub approve: Option<RunId>,
    /// Skip the confirmation prompt
    #[arg(long, short)]
    pub yes: bool,
    /// Print one JSON object; requires --yes or --dry-run
    #[arg(long)]
    pub json: bool,
    /// Also log each deleted entity (level INFO, on standard error)
    #[arg(long, short)]
    pub verbose: bool,
    /// The deployment to work on.
    #[command(flatten)]
    pub deployment: DeploymentArgs,
}

/// `rollcall status`.
#[derive(Args, Debug)]
pub struct StatusArgs {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// The deployment to work on.
    #[command(flatten)]
    pub deployment: DeploymentArgs,
}

/// `rollcall dev`.
#[derive(Args, Debug)]
pub struct DevArgs {
    /// Port of the functions' HTTP API; 0 selects a free port
    #[arg(long, default_value_t = DEFAULT_PORT)]
    pub port: u16,
    /// Port of the Clerk emulator; 0 selects a free port
    #[arg(long, default_value_t = DEFAULT_CLERK_PORT)]
    pub clerk_port: u16,
    /// Port of DynamoDB; 0 selects a free port
    #[arg(long, default_value_t = DEFAULT_DYNAMODB_PORT)]
    pub dynamodb_port: u16,
    /// Additional host name to accept, for a tunnel or a container, such as abc.ngrok-free.app. May be repeated
    #[arg(long, value_name = "NAME")]
    pub allow_host: Vec<HostName>,
    /// Store the tables and the emulator's data in this folder and reuse them on the next start
    #[arg(long, value_name = "DIR", conflicts_with = "memory")]
    pub data: Option<PathBuf>,
    /// Store all data in memory (default)
    #[arg(long)]
    pub memory: bool,
    /// Number of sample users at the start. If N is 10,000 or more, all users are generated on demand and no webhooks
    /// are sent for them: run `rollcall reconcile --local` to fill the Directory. Such an N cannot be combined with
    /// --data
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub users: usize,
    /// Preset of settings (DELETION_POLICY, MIRROR, ROLES …), a file of presets/: clerk-only, org-profiles,
    /// progress-and-purge, read-only-copy or user-records. An environment variable takes precedence over the preset
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// Print one JSON object with the addresses when the stack is ready
    #[arg(long)]
    pub json: bool,
}

/// `rollcall trigger`.
#[derive(Args, Debug)]
pub struct TriggerArgs {
    /// Event type, such as user.created, or a variant, such as user.updated.banned
    #[arg(required_unless_present = "list")]
    pub event_type: Option<String>,
    /// List the available sample events
    #[arg(long)]
    pub list: bool,
    /// URL of another webhook than that of the local stack
    #[arg(long, conflicts_with_all = ["port", "data"])]
    pub url: Option<String>,
    /// Signing secret. Without this option: the secret of the local stack; with --url or --print the variable
    /// CLERK_WEBHOOK_SECRET
    #[arg(long)]
    pub secret: Option<String>,
    /// Clerk instance of the event. Without this option: the instance of the local stack; with --url or --print the
    /// variable CLERK_INSTANCE_ID
    #[arg(long)]
    pub instance_id: Option<String>,
    /// Id of a user or an organization that replaces the id in the sample
    #[arg(long)]
    pub id: Option<String>,
    /// Keep the timestamps of the sample; default: the current time
    #[arg(long)]
    pub keep_times: bool,
    /// Print the API Gateway event for `cargo lambda invoke --data-file` and send nothing
    #[arg(long)]
    pub print: bool,
    /// Print the response as JSON
    #[arg(long)]
    pub json: bool,
    /// Which local stack.
    #[command(flatten)]
    pub which: LocalArgs,
}

/// `rollcall analyze`.
#[derive(Args, Debug)]
pub struct AnalyzeArgs {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// The deployment to work on.
    #[command(flatten)]
    pub deployment: DeploymentArgs,
}

/// `rollcall undo`.
#[derive(Args, Debug)]
pub struct UndoArgs {
    /// Clerk id of a user or an organization, internal id of a user, or a membership as org_…/user_… (as in logs)
    pub id: Subject,
    /// Show what the undo would change and write nothing
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

/// `rollcall restore`.
#[derive(Args, Debug)]
pub struct RestoreArgs {
    /// The backups.
    #[arg(required = true, value_name = "FILE", help = "Backups to restore: files or s3://bucket/name")]
    pub files: Vec<String>,
    /// Overwrite rows that exist already
    #[arg(long)]
    pub replace: bool,
    /// Show the contents of the backups and write nothing
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

/// `rollcall erase`.
#[derive(Args, Debug)]
pub struct EraseArgs {
    /// Clerk id or internal id of the user
    pub id: Subject,
    /// Remove the data without the grace period. Only a backup can bring the data back
    #[arg(long)]
    pub now: bool,
    /// Write a tombstone for an id that exists neither in Clerk nor in the tables. Rollcall then never stores a user
    /// with this id: later events are answered `superseded`
    #[arg(long)]
    pub even_if_unknown: bool,
    /// Show what would be deleted and delete nothing
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

/// `rollcall export`.
#[derive(Args, Debug)]
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

/// `rollcall owned-tables`.
#[derive(Args, Debug)]
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

/// `rollcall settings`.
#[derive(Args, Debug)]
pub struct SettingsArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Print the configuration page (docs/configuration.md) as Markdown
    #[arg(long, conflicts_with = "json")]
    pub markdown: bool,
}
