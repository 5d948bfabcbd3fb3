//! What every AWS client of Rollcall shares: TLS by ring, time limits, retries.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, SdkConfig};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

/// The longest that one store operation may take, retries included. Svix waits 15 s, the webhook function lives 10 s.
pub const OPERATION_TIMEOUT: Duration = Duration::from_secs(5);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);

/// The configuration of every AWS client, from AWS's own variables.
pub async fn config() -> SdkConfig {
    loader().load().await
}

/// The same before it is loaded, for an endpoint and credentials of one's own.
///
/// TLS is rustls with ring: aws-lc gathers entropy at its first use, which costs a cold function over 150 ms at 256 MB.
#[must_use]
pub fn loader() -> ConfigLoader {
    let https = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let limits =
        TimeoutConfig::builder().operation_timeout(OPERATION_TIMEOUT).operation_attempt_timeout(ATTEMPT_TIMEOUT);
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(https)
        .timeout_config(limits.build())
        .retry_config(RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(50)))
}

/// Waits before another attempt at what others got in the way of: up to 25 ms after the first, twice as long after each
/// further one. By chance, so that two who met do not meet again.
pub async fn backoff(attempts: u32) {
    let most = 25_u64 << attempts.saturating_sub(1).min(5);
    tokio::time::sleep(Duration::from_millis(fastrand::u64(1..=most))).await;
}
