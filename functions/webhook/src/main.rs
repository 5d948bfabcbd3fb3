//! Wiring: settings, clients once, run.
#![expect(clippy::disallowed_methods, reason = "only a main.rs reads the environment and the clock")]

use std::sync::Arc;
use std::time::SystemTime;

use lambda_runtime::Error;
use rollcall::adapters::aws::config;
use rollcall::adapters::clerk::secrets;
use rollcall::adapters::lambda::{log, metrics};
use rollcall::core::millis::Millis;
use webhook::{Webhook, service, settings::Settings};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    log::start();
    let environment = |name: &str| std::env::var(name).ok();
    let metrics = metrics::start(environment("AWS_LAMBDA_FUNCTION_NAME"));
    let aws = config::lambda(environment);
    let (lookup, secrets) = secrets::followed(environment, &aws, Arc::new(now))
        .await
        .inspect_err(|error| tracing::error!(%error, "the settings are not complete"))?;
    let mut settings =
        Settings::read(&lookup).inspect_err(|problems| tracing::error!(%problems, "the settings are not complete"))?;
    settings.follow(secrets.as_ref());
    let webhook = Webhook::new(settings, &aws_sdk_dynamodb::Client::new(&aws));
    lambda_runtime::run(metrics.around(service(Arc::new(webhook), now))).await
}

fn now() -> Millis {
    Millis::from(SystemTime::now())
}
