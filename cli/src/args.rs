//! The command line: the commands, and the options that they share. The doc comments are the help texts. The options of
//! a command are in its own module.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand};

use crate::completions::CompletionsArgs;
use crate::dev::DevArgs;
use crate::dev::reset::ResetArgs;
use crate::manual::ManualArgs;
use crate::operator;
use crate::operator::deployment::overrides::Override;
use crate::settings::SettingsArgs;
use crate::trigger::TriggerArgs;

/// The default ports of the local stack. No common framework or database uses them.
pub const DEFAULT_PORT: u16 = 4400;
pub(crate) const DEFAULT_CLERK_PORT: u16 = 4401;
pub(crate) const DEFAULT_DYNAMODB_PORT: u16 = 4402;

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
    /// The options of every command.
    #[command(flatten)]
    pub manner: MannerArgs,
}

/// The options of every command.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct MannerArgs {
    /// Print results and errors only: no progress and no notes
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the local stack in one process: DynamoDB, the Clerk emulator and the functions
    Dev(DevArgs),
    /// Send a signed sample event to the webhook and show the result
    Trigger(TriggerArgs),
    /// Remove all data of a running local stack: the rows of its tables, the users of the emulator, the events and the
    /// backups of removed rows
    Reset(ResetArgs),
    /// The commands that work on a deployment.
    #[command(flatten)]
    Operator(operator::Command),
    /// List the environment variables of each function
    Settings(SettingsArgs),
    /// Print the completion script of a shell
    Completions(CompletionsArgs),
    /// Print the help of all commands as Markdown (docs/cli.md)
    Manual(ManualArgs),
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
