//! The deployment that a command works on, with its settings. They are those of the reconcile function that runs, or of
//! the local stack; never those of the shell.
//!
//! [`overrides`] compares the settings with the shell and takes in `--override`. `stack` reads a deployed stack, `local`
//! finds a local one.

pub(crate) mod local;
pub mod overrides;
pub(super) mod stack;

use std::sync::Arc;

use anyhow::{anyhow, bail};
use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use rollcall::adapters::aws::config;
use rollcall::adapters::clerk::secrets::{self, SecretError};
use rollcall::adapters::dynamo::client::client;
use rollcall::adapters::dynamo::operations::owned_lists;
use rollcall::settings::account::ROLE_POINTER;
use rollcall::settings::variables::{CLERK_INSTANCE_ID, CLERK_SECRET_KEY, InvalidSettings, ROLLCALL_SECRET_ARN};

pub use self::stack::DeployedStack;
use crate::Usage;
use crate::args::{DeploymentArgs, LocalArgs};
use crate::dev::record::{self, Record};
use crate::dev::stack::{self as dev_stack, Lookup};

/// Reads a variable of the environment.
pub type Environment = fn(&str) -> Option<String>;

/// Where the functions run.
#[derive(Clone, Debug)]
pub enum Place {
    Stack(DeployedStack),
    /// The reconcile function of a deployment that is no stack of Rollcall.
    Function(String),
    Local(Box<Record>),
}

/// The settings and the clients of a deployment.
pub struct Deployment {
    /// A client of the DynamoDB with the tables.
    pub dynamodb: Client,
    /// The configuration of AWS clients.
    pub aws: SdkConfig,
    pub place: Place,
    /// The options that another command needs to work on the same deployment, after a space.
    pub options: String,
    /// The deployment in words, such as `stack production`.
    name: String,
    lookup: Lookup,
}

impl Deployment {
    /// Finds the deployment and reads its settings. The secret of `ROLLCALL_SECRET_ARN` is read only for a command that
    /// calls Clerk (`asks_clerk`).
    ///
    /// # Errors
    ///
    /// If the deployment does not exist or cannot be read, or a variable in the shell contradicts its settings.
    pub async fn find(args: &DeploymentArgs, shell: Environment, asks_clerk: bool) -> anyhow::Result<Deployment> {
        let mut given = Vec::new();
        for given_override in &args.overrides {
            given.push((given_override.name(), given_override.value(shell).map_err(Usage)?));
        }
        let place = Box::pin(place(args, shell)).await?;
        let (aws, deployed) = (place.aws, place.lookup);
        let base = {
            let (given, deployed) = (given.clone(), deployed.clone());
            move |name: &str| {
                let chosen =
                    |name: &str| given.iter().rev().find(|(it, _)| *it == name).map(|(_, value)| value.clone());
                // The secret would take precedence over a key in the environment.
                let is_replaced = name == ROLLCALL_SECRET_ARN.name && chosen(CLERK_SECRET_KEY.name).is_some();
                if is_replaced { None } else { chosen(name).or_else(|| deployed(name)) }
            }
        };
        let lookup: Lookup = if asks_clerk { Arc::new(secrets::lookup(base, &aws).await?) } else { Arc::new(base) };
        let effective = lookup.clone();
        let knows_pointer = !matches!(place.place, Place::Function(_));
        let found =
            overrides::contradictions(shell, move |name| effective(name), &args.overrides, asks_clerk, knows_pointer);
        if !found.is_empty() {
            let lines: Vec<String> = found.iter().map(|contradiction| format!("\n  {contradiction}")).collect();
            bail!(Usage(format!(
                "nothing was done: variables in the shell contradict the settings of {}. Unset each variable, or choose \
                 its value with --override NAME{}",
                place.name,
                lines.concat()
            )));
        }
        let (dynamodb, name, place) = (place.dynamodb, place.name, place.place);
        Ok(Deployment { dynamodb, aws, place, options: options(args), name, lookup })
    }

    /// The same deployment with the list of owned tables, which `OWNED_TABLES` may only name.
    ///
    /// # Errors
    ///
    /// If the list does not exist, or the Operations table cannot be read.
    pub async fn with_owned_tables(self) -> anyhow::Result<Deployment> {
        let settings = self.lookup.clone();
        let lookup = owned_lists::lookup(move |name: &str| settings(name), &self.dynamodb).await?;
        Ok(Deployment { lookup: Arc::new(lookup), ..self })
    }

    /// Where a command is about to act, for the person who is asked for consent.
    pub fn place_in_words(&self) -> String {
        let region = self.aws.region().filter(|_| !self.is_local());
        let region = region.map(|region| format!(" in region {region}")).unwrap_or_default();
        let instance = self.setting(CLERK_INSTANCE_ID.name).unwrap_or_else(|| "unknown".to_owned());
        format!("{}{region}, Clerk instance {instance}", self.name)
    }

    /// Whether the deployment is the local stack.
    pub fn is_local(&self) -> bool {
        matches!(self.place, Place::Local(_))
    }

    /// Whether Clerk limits the rate of requests. The emulator of a local stack does so only if asked for.
    pub fn has_rate_limits(&self) -> bool {
        match &self.place {
            Place::Local(record) => record.rate_limits,
            Place::Stack(_) | Place::Function(_) => true,
        }
    }

    /// The release of Rollcall that is deployed, if the deployment says it.
    pub fn version(&self) -> Option<&str> {
        match &self.place {
            Place::Stack(stack) => stack.version(),
            Place::Local(record) => Some(&record.version),
            Place::Function(_) => None,
        }
    }

    /// The value of a setting.
    pub fn setting(&self, name: &str) -> Option<String> {
        (self.lookup)(name)
    }

    /// The same deployment with the secret of `ROLLCALL_SECRET_ARN`, which [`Deployment::find`] reads only if it is asked
    /// to.
    ///
    /// # Errors
    ///
    /// If the secret cannot be read.
    pub(super) async fn with_secret(&self) -> Result<Deployment, SecretError> {
        let settings = self.lookup.clone();
        let lookup = Arc::new(secrets::lookup(move |name: &str| settings(name), &self.aws).await?);
        let (dynamodb, aws) = (self.dynamodb.clone(), self.aws.clone());
        let (place, options, name) = (self.place.clone(), self.options.clone(), self.name.clone());
        Ok(Deployment { dynamodb, aws, place, options, name, lookup })
    }

    /// Reads the settings. The error has all problems, one per line.
    ///
    /// # Errors
    ///
    /// If one is missing or malformed.
    pub fn settings<T>(
        &self,
        read: impl FnOnce(&dyn Fn(&str) -> Option<String>) -> Result<T, InvalidSettings>,
    ) -> anyhow::Result<T> {
        read(&|name| self.setting(name)).map_err(|error| {
            let lines = error.lines().join("\n  ");
            anyhow!("the settings of the deployment are incomplete or invalid\n  {lines}")
        })
    }
}

/// What [`place`] finds.
struct Found {
    place: Place,
    /// For errors.
    name: String,
    aws: SdkConfig,
    dynamodb: Client,
    lookup: Lookup,
}

async fn place(args: &DeploymentArgs, shell: Environment) -> anyhow::Result<Found> {
    if args.local {
        let record = local::find(&args.which, record::folder(shell).as_deref())?;
        let settings = record.settings.clone();
        return Ok(Found {
            name: format!("the local stack on port {}", record.port().unwrap_or_default()),
            aws: dev_stack::local_config(&record.addresses.dynamodb).await,
            dynamodb: dev_stack::client(&record.addresses.dynamodb).await,
            lookup: Arc::new(move |name| settings.get(name).cloned()),
            place: Place::Local(Box::new(record)),
        });
    }
    let aws = config::config().await;
    if aws.region().is_none() {
        bail!("no AWS region is configured: set AWS_REGION or AWS_PROFILE");
    }
    let (place, name, function) = match (&args.stack, &args.function) {
        (Some(stack), _) => {
            let stack = stack::describe(&aws, stack).await?;
            let function = stack.function()?.to_owned();
            (Place::Stack(stack.clone()), format!("stack {}", stack.name), function)
        }
        (None, Some(function)) => (Place::Function(function.clone()), format!("function {function}"), function.clone()),
        (None, None) => bail!(Usage("name the deployment with --stack, --function or --local".to_owned())),
    };
    let settings = stack::environment(&aws, &function).await?;
    endpoints(&aws, shell, settings.get(ENDPOINT).map(String::as_str), &name)?;
    let missing: Vec<&str> = ALWAYS_SET.into_iter().filter(|variable| !settings.contains_key(*variable)).collect();
    if !missing.is_empty() {
        bail!(
            "function {function} is not a reconcile function of Rollcall: it has no {}. Name the reconcile function; if it \
             is one, set these variables of the function",
            missing.join(", ")
        );
    }
    let pointer = match &place {
        Place::Stack(stack) => stack.parameter(ROLE_POINTER.name).map(str::to_owned),
        Place::Function(_) | Place::Local(_) => None,
    };
    let lookup: Lookup = Arc::new(move |name| {
        let set = settings.get(name).filter(|value| !value.is_empty());
        // The reconcile function does not read it.
        set.or(pointer.as_ref().filter(|_| name == ROLE_POINTER.name)).cloned()
    });
    Ok(Found { place, name, dynamodb: client(&aws), aws, lookup })
}

/// Which no other function has all of. Their defaults must not stand for those of another function.
const ALWAYS_SET: [&str; 4] = ["RECONCILE_POLICY", "DELETION_POLICY", "MIRROR", "ROLES"];
const ENDPOINT: &str = "AWS_ENDPOINT_URL";
/// The services whose endpoints a developer may have set for a local program.
const SERVICES: [&str; 8] =
    ["DYNAMODB", "CLOUDFORMATION", "LAMBDA", "SECRETS_MANAGER", "S3", "CLOUDWATCH", "CLOUDWATCH_LOGS", "STS"];

/// Refuses an endpoint that is not the deployment's own: settings would come from one place, and rows from another one.
fn endpoints(aws: &SdkConfig, shell: Environment, deployed: Option<&str>, place: &str) -> anyhow::Result<()> {
    let of_services = SERVICES.map(|service| format!("{ENDPOINT}_{service}"));
    let mut found: Vec<String> = of_services.iter().filter(|name| shell(name).is_some()).cloned().collect();
    if aws.endpoint_url() != deployed {
        found.push(format!("{ENDPOINT} (or endpoint_url in the AWS configuration)"));
    }
    if found.is_empty() {
        return Ok(());
    }
    bail!(Usage(format!(
        "nothing was done: {place} is not at the endpoint that this shell sets. Unset {}",
        found.join(", ")
    )))
}

/// The options of the deployment, as they were given.
fn options(args: &DeploymentArgs) -> String {
    let DeploymentArgs { stack, function, local, which: LocalArgs { port, data }, overrides } = args;
    let data = data.as_ref().map(|data| format!(" --data {}", data.display()));
    let parts = [
        stack.as_ref().map(|stack| format!(" --stack {stack}")),
        function.as_ref().map(|function| format!(" --function {function}")),
        local.then(|| " --local".to_owned()),
        port.map(|port| format!(" --port {port}")),
        data,
    ];
    let overrides = overrides.iter().map(|given| format!(" {given}"));
    parts.into_iter().flatten().chain(overrides).collect()
}
