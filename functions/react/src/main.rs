//! Wiring: settings, clients once, run.
#![expect(clippy::disallowed_methods, reason = "only a main.rs reads the environment and the clock")]

use std::sync::Arc;
use std::time::SystemTime;

use lambda_runtime::Error;
use react::{React, service, settings::Settings};
use rollcall::adapters::backups::Backups;
use rollcall::adapters::bus::Bus;
use rollcall::adapters::{aws, log, secrets};
use rollcall::core::millis::Millis;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    log::start();
    let aws = aws::config().await;
    let lookup = secrets::lookup(|name| std::env::var(name).ok(), &aws).await?;
    let mut settings =
        Settings::read(&lookup).inspect_err(|problems| tracing::error!(%problems, "the settings are not complete"))?;
    let bus = match settings.event_bus.take() {
        None => Bus::Nowhere,
        Some(name) => Bus::EventBridge { client: aws_sdk_eventbridge::Client::new(&aws), name },
    };
    let clock = Arc::new(|| Millis::from(SystemTime::now()));
    let backups = Backups::of(&settings.removal, &aws);
    let react = React::new(settings, &aws_sdk_dynamodb::Client::new(&aws), backups, bus, clock);
    lambda_runtime::run(service(Arc::new(react))).await
}
