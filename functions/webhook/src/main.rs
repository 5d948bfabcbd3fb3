//! Wiring: settings, clients once, run.
#![expect(clippy::disallowed_methods, reason = "only a main.rs reads the environment and the clock")]

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use lambda_http::{Error, lambda_runtime};
use rollcall::adapters::{aws, log, secrets};
use rollcall::core::millis::Millis;
use webhook::{Webhook, service, settings::Settings};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    log::start();
    let aws = aws::config().await;
    let lookup = secrets::lookup(|name| std::env::var(name).ok(), &aws).await?;
    let settings =
        Settings::read(&lookup).inspect_err(|problems| tracing::error!(%problems, "the settings are not complete"))?;
    let webhook = Webhook::new(settings, &aws_sdk_dynamodb::Client::new(&aws));
    lambda_runtime::run(service(Arc::new(webhook), now)).await
}

fn now() -> Millis {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).ok().and_then(|ms| Millis::try_from(ms).ok()).unwrap_or(Millis::ZERO)
}
