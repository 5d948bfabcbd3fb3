//! Wiring: settings, clients once, run.
#![expect(clippy::disallowed_methods, reason = "only a main.rs reads the environment and the clock")]

use std::sync::Arc;
use std::time::SystemTime;

use lambda_runtime::Error;
use reconcile::{Reconcile, service, settings::Settings};
use rollcall::adapters::aws::backups::Backups;
use rollcall::adapters::aws::config;
use rollcall::adapters::clerk::secrets;
use rollcall::adapters::dynamo::operations::owned_lists;
use rollcall::adapters::lambda::{log, metrics};
use rollcall::core::millis::Clock;
use rollcall::core::millis::Millis;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    log::start();
    let environment = |name: &str| std::env::var(name).ok();
    let metrics = metrics::start(environment("AWS_LAMBDA_FUNCTION_NAME"));
    let clock: Clock = Arc::new(|| Millis::from(SystemTime::now()));
    let aws = config::lambda(environment);
    let (lookup, secrets) = secrets::followed(environment, &aws, clock.clone())
        .await
        .inspect_err(|error| tracing::error!(%error, "the settings are not complete"))?;
    let dynamodb = aws_sdk_dynamodb::Client::new(&aws);
    let lookup = owned_lists::lookup(lookup, &dynamodb)
        .await
        .inspect_err(|error| tracing::error!(%error, "the settings are not complete"))?;
    let mut settings =
        Settings::read(&lookup).inspect_err(|problems| tracing::error!(%problems, "the settings are not complete"))?;
    settings.follow(secrets.as_ref());
    let backups = Backups::of(&settings.removal, &aws);
    let reconcile = Reconcile::new(settings, &dynamodb, backups, clock);
    lambda_runtime::run(metrics.around(service(Arc::new(reconcile)))).await
}
