//! Configuration of all AWS clients: TLS by ring, time limits, retries.

use std::time::Duration;

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_sdk_dynamodb::config::{SharedCredentialsProvider, SharedHttpClient};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

/// The time limit of a store operation, with retries. Svix waits 15 s, and the webhook function has 10 s.
pub const OPERATION_TIMEOUT: Duration = Duration::from_secs(5);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);

/// The configuration of a function's AWS clients, from the variables that Lambda sets, and `AWS_ENDPOINT_URL`.
///
/// An operator may use profiles, roles and single sign-on; a function has only its environment. AWS's default chain for
/// the others would be a tenth of a binary and a fourth of a cold start. Variables for a single service, such as
/// `AWS_ENDPOINT_URL_DYNAMODB`, have no effect.
pub fn lambda(environment: impl Fn(&str) -> Option<String>) -> SdkConfig {
    let set = |name: &str| environment(name).filter(|value| !value.is_empty());
    let is_on = |name: &str| set(name).as_deref() == Some("true");
    let credentials = SharedCredentialsProvider::new(EnvironmentVariableCredentialsProvider::new());
    let mut builder = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(credentials)
        .region(set("AWS_REGION").map(Region::new))
        .use_fips(is_on("AWS_USE_FIPS_ENDPOINT"))
        .use_dual_stack(is_on("AWS_USE_DUALSTACK_ENDPOINT"))
        .http_client(https())
        .timeout_config(limits())
        .retry_config(retries());
    builder.set_endpoint_url(set("AWS_ENDPOINT_URL"));
    builder.build()
}

/// The configuration of an operator's AWS clients, from all sources that AWS's tools use.
pub async fn config() -> SdkConfig {
    loader().load().await
}

/// The same before it is loaded, for another endpoint and other credentials.
pub fn loader() -> ConfigLoader {
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(https())
        .timeout_config(limits())
        .retry_config(retries())
}

/// TLS is rustls with ring: aws-lc gathers entropy at its first use, which costs a cold function over 150 ms at 256 MB.
fn https() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https()
}

fn limits() -> TimeoutConfig {
    TimeoutConfig::builder().operation_timeout(OPERATION_TIMEOUT).operation_attempt_timeout(ATTEMPT_TIMEOUT).build()
}

fn retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(50))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(set: &'static [(&str, &str)]) -> SdkConfig {
        lambda(move |name| set.iter().find(|(it, _)| *it == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn a_function_is_configured_by_the_variables_that_lambda_sets() {
        let config = with(&[("AWS_REGION", "eu-west-1"), ("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")]);
        assert_eq!(config.region().map(AsRef::as_ref), Some("eu-west-1"));
        assert_eq!((config.endpoint_url(), config.use_fips()), (Some("http://127.0.0.1:4566"), Some(false)));
        assert_eq!(config.retry_config().map(RetryConfig::max_attempts), Some(3));
        let limits = config.timeout_config().and_then(TimeoutConfig::operation_timeout);
        assert_eq!(limits, Some(OPERATION_TIMEOUT));
        assert!(config.credentials_provider().is_some());
    }

    #[test]
    fn an_empty_variable_counts_as_none_and_a_fips_endpoint_is_used_where_it_is_asked_for() {
        let config = with(&[("AWS_REGION", ""), ("AWS_ENDPOINT_URL", ""), ("AWS_USE_FIPS_ENDPOINT", "true")]);
        assert_eq!((config.region(), config.endpoint_url(), config.use_fips()), (None, None, Some(true)));
    }
}
