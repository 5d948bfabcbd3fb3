//! Wiring: settings, clients once, run.
#![expect(clippy::disallowed_methods, reason = "only a main.rs reads the environment and the clock")]

use std::sync::Arc;
use std::time::SystemTime;

use lambda_runtime::Error;
use reconcile::{Reconcile, service, settings::Settings};
use rollcall::adapters::backups::Backups;
use rollcall::adapters::{aws, log, secrets};
use rollcall::core::millis::Millis;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    log::start();
    let aws = aws::config().await;
    let lookup = secrets::lookup(|name| std::env::var(name).ok(), &aws).await?;
    let settings =
        Settings::read(&lookup).inspect_err(|problems| tracing::error!(%problems, "the settings are not complete"))?;
    let clock = Arc::new(|| Millis::from(SystemTime::now()));
    let backups = Backups::of(&settings.removal, &aws);
    let reconcile = Reconcile::new(settings, &aws_sdk_dynamodb::Client::new(&aws), backups, clock);
    lambda_runtime::run(service(Arc::new(reconcile))).await
}
