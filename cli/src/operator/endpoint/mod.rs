//! `rollcall endpoint`: the webhook's endpoint at Svix, which sends Clerk's events.

mod ensure;
mod fallback;
mod status;
mod texts;

use anyhow::anyhow;
use clap::{Args, Subcommand};
use rollcall::adapters::clerk::error::ClerkError;
use rollcall::adapters::clerk::signing_secrets;
use rollcall::adapters::svix::ControlError;
use rollcall::core::endpoint::Wanted;
use rollcall::core::tables::bare_table_name;
use rollcall::settings::variables::CLERK_WEBHOOK_SECRET;
use secrecy::{ExposeSecret, SecretString};

use super::Screen;
use super::context::OperatorContext;
use super::deployment::{Environment, Place};
use crate::args::DeploymentArgs;
use crate::{Clock, Status, Usage};

/// `rollcall endpoint`.
#[derive(Debug, Subcommand)]
pub enum EndpointCommand {
    /// Show the endpoint and its latest attempts, and tell why events do not arrive. Writes nothing. Exit status: 0 if events
    /// can arrive, 2 if something is wrong
    Status(StatusArgs),
    /// Create the endpoint of the stack, or change it to what the stack needs, and store its signing secret in Secrets
    /// Manager. Other endpoints are left as they are. A second run changes nothing
    Ensure(EnsureArgs),
}

/// `rollcall endpoint status`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  rollcall endpoint status --stack rollcall")]
pub struct StatusArgs {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// The deployment to work on.
    #[command(flatten)]
    pub deployment: DeploymentArgs,
}

/// `rollcall endpoint ensure`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  rollcall endpoint ensure --dry-run --stack rollcall
  rollcall endpoint ensure --stack rollcall
  rollcall endpoint ensure --adopt ep_2nNG9rEYQoliquKw5eHQ9eFeurU --stack rollcall")]
pub struct EnsureArgs {
    /// Take over this endpoint, which was made in Clerk's dashboard and has the URL of the stack
    #[arg(long, value_name = "ENDPOINT")]
    pub adopt: Option<String>,
    /// Show the plan and write nothing
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

impl EndpointCommand {
    /// Whether the command may change something.
    pub(super) fn changes(&self) -> bool {
        matches!(self, EndpointCommand::Ensure(args) if !args.dry_run)
    }

    pub(super) fn is_json(&self) -> bool {
        match self {
            EndpointCommand::Status(args) => args.json,
            EndpointCommand::Ensure(args) => args.json,
        }
    }
}

/// Runs a command about the endpoint.
///
/// # Errors
///
/// If the deployment cannot be read, or Clerk does not answer. The error has advice.
pub async fn run(
    command: EndpointCommand,
    environment: Environment,
    clock: Clock,
    screen: &Screen,
) -> anyhow::Result<Status> {
    match command {
        EndpointCommand::Status(args) => status::run(args, environment, clock).await,
        EndpointCommand::Ensure(args) => ensure::run(args, environment, clock, screen).await,
    }
}

/// The output of template.yaml with the URL of the webhook.
const URL: &str = "WebhookUrl";

/// The endpoint that the deployment needs.
fn wanted(context: &OperatorContext) -> anyhow::Result<Wanted> {
    let instance = &context.operator.applier.instance;
    match &context.deployment.place {
        Place::Stack(stack) => {
            let url = stack.outputs.get(URL).ok_or_else(|| {
                anyhow!("stack {} has no output {URL}: deploy this release of Rollcall first", stack.name)
            })?;
            Ok(Wanted::of(instance, &stack.name, url))
        }
        Place::Local(record) => Ok(Wanted::of(instance, "local", &format!("{}/webhooks/clerk", record.addresses.api))),
        Place::Function(function) => {
            let name = bare_table_name(function);
            Err(Usage(format!("function {name} does not say the URL of its webhook: name the stack with --stack"))
                .into())
        }
    }
}

/// Whether the deployment's signing secrets contain this one, and no stand-in of a guide, with which anybody could sign. A
/// stack without any secret has none of them.
fn has_secret(context: &OperatorContext, secret: &SecretString) -> bool {
    let stored = match &context.deployment.place {
        Place::Local(record) => Some(record.addresses.webhook_secret.clone()),
        Place::Stack(_) | Place::Function(_) => context.deployment.setting(CLERK_WEBHOOK_SECRET.name),
    };
    stored.is_some_and(|stored| {
        stored.split_whitespace().any(|one| one == secret.expose_secret())
            && stored.split_whitespace().all(signing_secrets::is_usable)
    })
}

/// The error with advice. One about Svix is handled by the caller, which prints the fallback.
fn explain(error: ControlError, context: &OperatorContext) -> anyhow::Error {
    match error {
        ControlError::Clerk(
            error @ (ClerkError::Unavailable(_) | ClerkError::Unauthorized(_) | ClerkError::Foreign(_)),
        ) => context.explain(error.into()),
        error => error.into(),
    }
}
