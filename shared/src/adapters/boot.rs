//! The start of a function: the steps of every `main.rs` before the first invocation.

use std::sync::Arc;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use lambda_http::tower::Service;
use thiserror::Error;

use crate::adapters::aws::config;
use crate::adapters::clerk::secrets::{self, SecretError, Secrets};
use crate::adapters::dynamo::operations::owned_lists::{self, ListError};
use crate::adapters::dynamo::{client, connection};
use crate::adapters::lambda::function::Function;
use crate::adapters::lambda::{log, metrics};
use crate::core::millis::Clock;
use crate::settings::variables::InvalidSettings;

/// A look-up of variables by their names.
type Lookup = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// The state of a function after its start.
pub struct Boot {
    /// The configuration of the AWS clients.
    pub aws: SdkConfig,
    /// DynamoDB, with an open connection.
    pub dynamodb: Client,
    /// The clock.
    pub clock: Clock,
    lookup: Lookup,
    secrets: Option<Arc<Secrets>>,
    metrics: metrics::Metrics,
}

/// Why a function cannot start. The error is already logged.
#[derive(Debug, Error)]
pub enum BootError {
    /// The secret cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The list of owned tables cannot be read.
    #[error(transparent)]
    OwnedTables(#[from] ListError),
    /// Variables are missing or malformed.
    #[error(transparent)]
    Settings(#[from] InvalidSettings),
}

impl Boot {
    /// Starts the log and the metrics, reads the secret and the list of owned tables, and opens the connection to
    /// DynamoDB. Only `main.rs` may read `environment` and `clock`; it passes them in.
    ///
    /// # Errors
    ///
    /// [`BootError`].
    pub async fn start<E>(function: &Function, environment: E, clock: Clock) -> Result<Boot, BootError>
    where
        E: Fn(&str) -> Option<String> + Clone + Send + Sync + 'static,
    {
        log::start(function);
        let metrics = metrics::start(environment("AWS_LAMBDA_FUNCTION_NAME"));
        let aws = config::lambda(environment.clone());
        let dynamodb = client::client(&aws);
        let (read, ()) = tokio::join!(read(environment, &aws, &dynamodb, &clock), connection::open(&dynamodb));
        let (lookup, secrets) = read.inspect_err(incomplete)?;
        Ok(Boot { aws, dynamodb, clock, lookup, secrets, metrics })
    }

    /// Reads the function's settings.
    ///
    /// # Errors
    ///
    /// [`BootError::Settings`] with every variable that is missing or malformed.
    pub fn settings<S>(
        &self,
        read: impl FnOnce(&dyn Fn(&str) -> Option<String>) -> Result<S, InvalidSettings>,
    ) -> Result<S, BootError> {
        read(&*self.lookup).map_err(BootError::from).inspect_err(incomplete)
    }

    /// The secrets in Secrets Manager, if the function reads its secrets there: they may change while the function
    /// runs.
    pub fn secrets(&self) -> Option<&Arc<Secrets>> {
        self.secrets.as_ref()
    }

    /// The function as Lambda runs it: it writes its metrics at the end of each invocation.
    pub fn counted<R, S>(
        &self,
        function: S,
    ) -> impl Service<R, Response = S::Response, Error = S::Error> + Clone + use<R, S>
    where
        S: Service<R> + Clone,
    {
        self.metrics.around(function)
    }
}

async fn read<E>(
    environment: E,
    aws: &SdkConfig,
    dynamodb: &Client,
    clock: &Clock,
) -> Result<(Lookup, Option<Arc<Secrets>>), BootError>
where
    E: Fn(&str) -> Option<String> + Send + Sync + 'static,
{
    let (lookup, secrets) = secrets::followed(environment, aws, clock.clone()).await?;
    let lookup = owned_lists::lookup(lookup, dynamodb).await?;
    Ok((Box::new(lookup), secrets))
}

fn incomplete(error: &BootError) {
    tracing::error!(%error, "the settings are incomplete or invalid");
}
