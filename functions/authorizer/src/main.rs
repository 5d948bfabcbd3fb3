//! Entry point: reads the settings, creates the clients, starts the Lambda runtime.
#![expect(clippy::disallowed_methods, reason = "only a main.rs reads the environment and the clock")]

use std::sync::Arc;
use std::time::SystemTime;

use authorizer::{Authorizer, FUNCTION, service, settings::Settings};
use lambda_runtime::Error;
use rollcall::adapters::boot::Boot;
use rollcall::core::millis::Millis;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let environment = |name: &str| std::env::var(name).ok();
    let boot = Boot::start(&FUNCTION, environment, Arc::new(|| Millis::from(SystemTime::now()))).await?;
    let authorizer = Authorizer::new(boot.settings(Settings::read)?, &boot.dynamodb);
    let clock = boot.clock.clone();
    lambda_runtime::run(boot.counted(service(Arc::new(authorizer), move || clock()))).await
}
