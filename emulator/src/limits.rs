//! Enforces Clerk's rate limits: a number of requests per window, for the instance and for each changed entity.

use std::collections::HashMap;

use tokio::time::Instant;

use crate::{config::RateLimits, lock::Lock};

/// Fixed windows, each begun by its first request. They use tokio's clock, not the configured one: with a frozen clock
/// a window would never end.
pub(crate) struct Limiter {
    limits: RateLimits,
    windows: Lock<HashMap<String, (Instant, u32)>>,
}

impl Limiter {
    pub(crate) fn new(limits: RateLimits) -> Self {
        Self { limits, windows: Lock::new(HashMap::new()) }
    }

    /// Counts a request; `changed` is the path of the entity that it changes. The error is the number of seconds to
    /// wait.
    pub(crate) fn admit(&self, changed: Option<&str>) -> Result<(), u64> {
        let now = Instant::now();
        let mut windows = self.windows.lock();
        windows.retain(|_, (begun, _)| now.duration_since(*begun) < self.limits.window);
        let mut count = |key: &str, allowed: u32| {
            let (begun, used) = windows.entry(key.to_owned()).or_insert((now, 0));
            if *used >= allowed {
                let left = self.limits.window.saturating_sub(now.duration_since(*begun));
                return Err(left.as_secs() + u64::from(left.subsec_nanos() > 0));
            }
            *used += 1;
            Ok(())
        };
        count("", self.limits.requests)?;
        changed.map_or(Ok(()), |entity| count(entity, self.limits.changes_per_entity))
    }
}
