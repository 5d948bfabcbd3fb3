//! Opening the connection to DynamoDB before the first invocation.
//!
//! Lambda gives a start a whole core, and an invocation the share of its memory: at 256 MB a seventh of a core. Most of a
//! first invocation is the TLS handshake, which is the same for every request.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;

/// How long a start waits for DynamoDB.
const PATIENCE: Duration = Duration::from_secs(1);

/// Sends `GET /` without a signature: DynamoDB answers to anybody that it is healthy. No permission is needed, no table is
/// named, and no operation shows in the account's logs. A failure is no failure of the start: the first request will show it.
pub async fn open(client: &Client) {
    let greeting = client.list_tables().customize().interceptor(Greeting);
    let greeting = greeting.config_override(aws_sdk_dynamodb::Config::builder().retry_config(RetryConfig::disabled()));
    // The answer is none of the operation's, so it is an error in any case.
    let _ = tokio::time::timeout(PATIENCE, Box::pin(greeting.send())).await;
}

/// Makes any request a `GET /` that says nothing.
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
