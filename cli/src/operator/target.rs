//! The deployment that a command works on: from environment variables, or the local stack (`--local`).

use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use rollcall::adapters::aws::config;
use rollcall::adapters::clerk::secrets;
use rollcall::adapters::dynamo::client::client;
use rollcall::adapters::dynamo::operations::owned_lists;
use rollcall::settings::variables::InvalidSettings;

use crate::args::TargetArgs;
use crate::dev::places::backups_folder;
use crate::dev::stack::{self, LOCAL_CLERK, LOCAL_DYNAMODB, Lookup};
use crate::dev::tables::Tables;
use crate::presets;

/// Reads a variable of the environment.
pub type Environment = fn(&str) -> Option<String>;

/// The local stack is the only client of its Clerk emulator, so it may use the whole rate limit.
const WHOLE_RATE: &str = "100";

/// The settings and the clients of a deployment.
pub struct Target {
    /// A client of the DynamoDB with the tables.
    pub dynamodb: Client,
    /// The configuration of AWS clients.
    pub aws: SdkConfig,
    /// The options that another command needs to work on the same deployment.
    pub options: String,
    lookup: Lookup,
}

impl Target {
    /// Finds the deployment. The secret of `ROLLCALL_SECRET_ARN` is read only for a command that calls Clerk
    /// (`asks_clerk`).
    ///
    /// # Errors
    ///
    /// If there is no AWS region, or the secret cannot be read.
    pub async fn find(args: &TargetArgs, environment: Environment, asks_clerk: bool) -> anyhow::Result<Target> {
        if args.local {
            return Target::local(args, environment).await;
        }
        let aws = config::config().await;
        if aws.region().is_none() {
            bail!("no AWS region is configured: set AWS_REGION, or pass --local to use the stack of `rollcall dev`");
        }
        let lookup: Lookup =
            if asks_clerk { Arc::new(secrets::lookup(environment, &aws).await?) } else { Arc::new(environment) };
        Ok(Target { dynamodb: client(&aws), aws, options: String::new(), lookup })
    }

    async fn local(args: &TargetArgs, environment: Environment) -> anyhow::Result<Target> {
        let clerk = args.clerk_url.clone().unwrap_or_else(|| LOCAL_CLERK.to_owned());
        let dynamodb = args.dynamodb_url.clone().unwrap_or_else(|| LOCAL_DYNAMODB.to_owned());
        let mut options = " --local".to_owned();
        let data = args.data.as_ref().map(|data| data.to_string_lossy().into_owned());
        let given = [
            ("--clerk-url", &args.clerk_url),
            ("--dynamodb-url", &args.dynamodb_url),
            ("--preset", &args.preset),
            ("--data", &data),
        ];
        for (option, given) in given {
            options.extend(given.iter().flat_map(|url| [" ", option, " ", url]));
        }
        let client = stack::client(&dynamodb).await;
        let preset = args.preset.as_deref().map(presets::read).transpose()?.unwrap_or_default();
        let data = args.data.as_deref().map(std::path::Path::canonicalize).transpose();
        let backups = backups_folder(data.context("resolving the folder of --data")?.as_deref(), &dynamodb);
        let lookup = move |name: &str| match name {
            "BACKUP_BUCKET" => Some(backups.to_string_lossy().into_owned()),
            name => local(&clerk, environment, name).or_else(|| preset.get(name).cloned()),
        };
        let aws = stack::local_config(&dynamodb).await;
        Ok(Target { dynamodb: client, aws, options, lookup: Arc::new(lookup) })
    }

    /// The same target with the list of owned tables, which `OWNED_TABLES` may only name.
    ///
    /// # Errors
    ///
    /// If the list does not exist, or the Operations table cannot be read.
    pub async fn with_owned_tables(self) -> anyhow::Result<Target> {
        let settings = self.lookup.clone();
        let lookup = owned_lists::lookup(move |name: &str| settings(name), &self.dynamodb).await?;
        Ok(Target { lookup: Arc::new(lookup), ..self })
    }

    /// Whether the target is the local stack.
    pub fn is_local(&self) -> bool {
        !self.options.is_empty()
    }

    /// The value of a setting.
    pub fn setting(&self, name: &str) -> Option<String> {
        (self.lookup)(name)
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
            anyhow!(
                "the settings are incomplete or invalid (pass --local to use the stack of `rollcall dev`)\n  {lines}"
            )
        })
    }
}

/// A setting of the local stack: fixed values of `rollcall dev`, otherwise the environment.
fn local(clerk: &str, environment: Environment, name: &str) -> Option<String> {
    let tables = Tables::default();
    match name {
        "DIRECTORY_TABLE" => Some(tables.directory),
        "PROFILES_TABLE" => Some(tables.profiles),
        "OPERATIONS_TABLE" => Some(tables.operations),
        "CLERK_API_URL" => Some(clerk.to_owned()),
        "CLERK_INSTANCE_ID" => Some(environment(name).unwrap_or_else(|| clerk_emulator::INSTANCE_ID.to_owned())),
        "CLERK_SECRET_KEY" => Some(environment(name).unwrap_or_else(|| clerk_emulator::SECRET_KEY.to_owned())),
        "CLERK_RATE_SHARE" => Some(environment(name).unwrap_or_else(|| WHOLE_RATE.to_owned())),
        // The local stack has fixed secrets.
        "ROLLCALL_SECRET_ARN" => None,
        name => environment(name),
    }
}
