//! Entry point: reads the settings, creates the clients, starts the Lambda runtime.
#![expect(clippy::disallowed_methods, reason = "only a main.rs reads the environment and the clock")]

use std::sync::Arc;
use std::time::SystemTime;

use lambda_runtime::Error;
use react::{FUNCTION, React, service, settings::Settings};
use rollcall::adapters::aws::backups::Backups;
use rollcall::adapters::aws::event_bus::Bus;
use rollcall::adapters::boot::Boot;
use rollcall::core::millis::Millis;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let environment = |name: &str| std::env::var(name).ok();
    let boot = Boot::start(&FUNCTION, environment, Arc::new(|| Millis::from(SystemTime::now()))).await?;
    let mut settings = boot.settings(Settings::read)?;
    settings.follow(boot.secrets());
    let bus = Bus::named(settings.event_bus.take(), &boot.aws);
    let backups = Backups::for_removal(&settings.removal, &boot.aws);
    let react = React::new(settings, &boot.dynamodb, backups, bus, boot.clock.clone());
    lambda_runtime::run(boot.counted(service(Arc::new(react)))).await
}
