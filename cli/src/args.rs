//! What may be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clerk_emulator::HostName;
use rollcall::core::deletion::subject::Subject;
use rollcall::core::reconcile::run::RunId;

/// Rollcall keeps a DynamoDB copy of Clerk's users, organizations and memberships in sync with Clerk.
#[derive(Debug, Parser)]
#[command(name = "rollcall", version, about, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the local stack: DynamoDB, a Clerk emulator and the functions, in this process
    Dev(DevArgs),
    /// Send a sample event, signed like Clerk's, to the webhook, and show what became of it
    Trigger(TriggerArgs),
    /// Compare the Directory with Clerk and end the differences
    Reconcile(ReconcileArgs),
    /// Show the latest runs of reconcile, and the deletions that wait for approval
    Status(StatusArgs),
    /// Hold Clerk, the Directory and Profiles against each other; change nothing
    Analyze(AnalyzeArgs),
    /// Let a user, an organization or a membership live again that has ended here and lives in Clerk
    Undo(UndoArgs),
    /// Put the rows of a backup back
    Restore(RestoreArgs),
    /// Delete a user in Clerk and here, and remove what the deletion policy removes
    Erase(EraseArgs),
    /// Print everything that is held about one user, as JSON
    Export(ExportArgs),
    /// Store a list of owned tables that is too long for a function's environment
    OwnedTables(OwnedTablesArgs),
    /// List the variables that every function reads
    Settings(SettingsArgs),
}

/// What an operator's command works on.
#[derive(Args, Clone, Debug, Default)]
pub struct TargetArgs {
    /// Work on the local stack of `rollcall dev`, not on what the environment names
    #[arg(long)]
    pub local: bool,
    /// Where the local stack's Clerk is, if not on its usual port
    #[arg(long, value_name = "URL", requires = "local")]
    pub clerk_url: Option<String>,
    /// Where the local stack's DynamoDB is, if not on its usual port
    #[arg(long, value_name = "URL", requires = "local")]
    pub dynamodb_url: Option<String>,
    /// The folder that the local stack was started with
    #[arg(long, value_name = "DIR", requires = "local")]
    pub data: Option<PathBuf>,
    /// The policy set that the local stack was started with
    #[arg(long, value_name = "NAME", requires = "local")]
    pub preset: Option<String>,
}

/// `rollcall reconcile`.
#[derive(Args, Debug)]
pub struct ReconcileArgs {
    /// Stop at the plan: write nothing but the run's report
    #[arg(long)]
    pub dry_run: bool,
    /// End what this run holds back, such as 2026-11-25T03:00:00.000Z: all of it is proven again first
    #[arg(long, value_name = "RUN")]
    pub approve: Option<RunId>,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Log every deletion, too
    #[arg(long, short)]
    pub verbose: bool,
    /// What to work on.
    #[command(flatten)]
    pub target: TargetArgs,
}

/// `rollcall status`.
#[derive(Args, Debug)]
pub struct StatusArgs {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// What to work on.
    #[command(flatten)]
    pub target: TargetArgs,
}

/// `rollcall dev`.
#[derive(Args, Debug)]
pub struct DevArgs {
    /// Port of the functions' HTTP API; 0 picks a free one
    #[arg(long, default_value_t = 3000)]
    pub port: u16,
    /// Port of the Clerk emulator; 0 picks a free one
    #[arg(long, default_value_t = 3001)]
    pub clerk_port: u16,
    /// Port of DynamoDB; 0 picks a free one
    #[arg(long, default_value_t = 3002)]
    pub dynamodb_port: u16,
    /// Answer requests under this name, too: that of a tunnel or a container, such as abc.ngrok-free.app. Repeat it
    /// for several
    #[arg(long, value_name = "NAME")]
    pub allow_host: Vec<HostName>,
    /// Keep the tables and Clerk's data in this folder, and go on with them next time
    #[arg(long, value_name = "DIR", conflicts_with = "memory")]
    pub data: Option<PathBuf>,
    /// Keep everything in memory (the default)
    #[arg(long)]
    pub memory: bool,
    /// Sample users to begin with, in a few organizations; from 10,000 up they are generated on demand, take no memory,
    /// and are announced by no webhook: the Directory is empty until `rollcall reconcile
    /// --local`. Not with --data
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub users: usize,
    /// Decide as one of the policy sets of presets/ does: clerk-only, org-profiles, progress-and-purge, read-only-copy or
    /// user-records; a variable of the environment outranks it
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// Print one JSON object with the addresses once all is ready
    #[arg(long)]
    pub json: bool,
}

/// `rollcall trigger`.
#[derive(Args, Debug)]
pub struct TriggerArgs {
    /// The event's type, such as user.created; or a variant, such as user.updated.banned
    #[arg(required_unless_present = "list")]
    pub event_type: Option<String>,
    /// List the events that can be sent
    #[arg(long)]
    pub list: bool,
    /// The webhook to send it to; by default that of the local stack
    #[arg(long)]
    pub url: Option<String>,
    /// The DynamoDB in which to look for the result; by default that of the local stack, if the event went there
    #[arg(long, value_name = "URL")]
    pub dynamodb_url: Option<String>,
    /// The secret to sign it with; by default that of the local stack
    #[arg(long, env = "CLERK_WEBHOOK_SECRET", hide_env_values = true)]
    pub secret: Option<String>,
    /// Send it as an event of this Clerk instance; by default that of the local stack
    #[arg(long, env = "CLERK_INSTANCE_ID")]
    pub instance_id: Option<String>,
    /// Send it about this user or organization instead of the sample's
    #[arg(long)]
    pub id: Option<String>,
    /// Keep the sample's times instead of moving them to now
    #[arg(long)]
    pub keep_times: bool,
    /// Print the event as API Gateway would hand it to the function, for `cargo lambda invoke --data-file`, and send
    /// nothing
    #[arg(long)]
    pub print: bool,
    /// Print the answer as JSON
    #[arg(long)]
    pub json: bool,
}

/// `rollcall analyze`.
#[derive(Args, Debug)]
pub struct AnalyzeArgs {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// What to work on.
    #[command(flatten)]
    pub target: TargetArgs,
}

/// `rollcall undo`.
#[derive(Args, Debug)]
pub struct UndoArgs {
    /// Clerk's id of a user or an organization, a user's internal id, or a membership as organization/user
    pub id: Subject,
    /// Say what would live again; write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// What to work on.
    #[command(flatten)]
    pub target: TargetArgs,
}

/// `rollcall restore`.
#[derive(Args, Debug)]
pub struct RestoreArgs {
    /// The backups
    #[arg(required = true, value_name = "FILE", help = "The backups: files, or s3://bucket/name")]
    pub files: Vec<String>,
    /// Put rows back even where there is another one by now
    #[arg(long)]
    pub replace: bool,
    /// Say what the backups grace_hours; write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// What to work on.
    #[command(flatten)]
    pub target: TargetArgs,
}

/// `rollcall erase`.
#[derive(Args, Debug)]
pub struct EraseArgs {
    /// Clerk's id of a user, or the internal id
    pub id: Subject,
    /// Remove the data at once: there is no way back but the backup
    #[arg(long)]
    pub now: bool,
    /// Go on although neither Clerk nor the tables know the id: what still comes of it is then refused for ever
    #[arg(long)]
    pub even_if_unknown: bool,
    /// Say what would be deleted; delete nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Print one JSON object; needs --yes or --dry-run
    #[arg(long)]
    pub json: bool,
    /// What to work on.
    #[command(flatten)]
    pub target: TargetArgs,
}

/// `rollcall export`.
#[derive(Args, Debug)]
pub struct ExportArgs {
    /// Clerk's id of a user, or the internal id
    pub id: Subject,
    /// Print it on one line
    #[arg(long)]
    pub json: bool,
    /// What to work on.
    #[command(flatten)]
    pub target: TargetArgs,
}

/// `rollcall owned-tables`.
#[derive(Args, Debug)]
pub struct OwnedTablesArgs {
    /// A file with the JSON list, as `OWNED_TABLES` has it; - is standard input
    pub file: PathBuf,
    /// Check the list and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// What to work on.
    #[command(flatten)]
    pub target: TargetArgs,
}

/// `rollcall settings`.
#[derive(Args, Debug)]
pub struct SettingsArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Print docs/configuration.md
    #[arg(long, conflicts_with = "json")]
    pub markdown: bool,
}
