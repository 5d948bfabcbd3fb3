//! Waiting before another attempt.

use std::time::Duration;

/// Waits before another attempt at what others got in the way of: up to 25 ms after the first, twice as long after each
/// further one. By chance, so that two who met do not meet again.
pub(super) async fn backoff(attempts: u32) {
    let most = 25_u64 << attempts.saturating_sub(1).min(5);
    tokio::time::sleep(Duration::from_millis(fastrand::u64(1..=most))).await;
}
