//! Opens the connection to DynamoDB before the first invocation.
//!
//! Lambda gives a start a whole core, but an invocation only the share of its memory: at 256 MB a seventh of a core.
//! Most of a first invocation is the TLS handshake, which is the same for every request.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;

/// The longest wait for DynamoDB in a start.
const PATIENCE: Duration = Duration::from_secs(1);

/// Sends `GET /` without a signature, the health check of DynamoDB's endpoint. It needs no permission, names no table,
/// and does not appear in the account's logs. A failure does not stop the start: the first real request reports it.
pub async fn open(client: &Client) {
    let greeting = client.list_tables().customize().interceptor(Greeting);
    let greeting = greeting.config_override(aws_sdk_dynamodb::Config::builder().retry_config(RetryConfig::disabled()));
    // The response belongs to no operation, so the SDK always returns an error.
    let _ = tokio::time::timeout(PATIENCE, Box::pin(greeting.send())).await;
}

/// Replaces any request by `GET /`.
#[derive(Debug)]
struct Greeting;

impl Intercept for Greeting {
    fn name(&self) -> &'static str {
        "Greeting"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        request.set_method("GET")?;
        let names: Vec<String> = request.headers().iter().map(|(name, _)| name.to_owned()).collect();
        for name in names.iter().filter(|name| *name != "host") {
            request.headers_mut().remove(name.as_str());
        }
        *request.body_mut() = "".into();
        Ok(())
    }
}
