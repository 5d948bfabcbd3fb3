//! The pause before another attempt at a contended write.

use std::time::Duration;

/// Waits before another attempt: up to 25 ms after the first attempt, twice as long after each further one. The time is
/// random, so that two competing writers do not collide again.
pub(crate) async fn backoff(attempts: u32) {
    let most = 25_u64 << attempts.saturating_sub(1).min(5);
    tokio::time::sleep(Duration::from_millis(fastrand::u64(1..=most))).await;
}
