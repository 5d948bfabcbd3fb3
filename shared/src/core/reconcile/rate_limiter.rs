//! The rate limiter for requests to Clerk.

use std::collections::VecDeque;
use std::time::Duration;

/// The period over which Clerk counts requests. Source: Clerk, "System limits".
pub const WINDOW: Duration = Duration::from_secs(10);
/// Clerk's limit within that period for a production instance, for all clients together. Source: as above.
const PRODUCTION: u32 = 1_000;
/// The same for a development instance.
const DEVELOPMENT: u32 = 100;

/// The requests within [`WINDOW`] that are a share of Clerk's limit, in percent; at least one.
pub fn requests(percent: u8, production: bool) -> u32 {
    let limit = if production { PRODUCTION } else { DEVELOPMENT };
    (limit * u32::from(percent) / 100).max(1)
}

/// Allows so many requests in any period of [`WINDOW`], wherever it begins. Times are counted from any fixed start.
#[derive(Debug)]
pub struct RateLimiter {
    most: usize,
    sent: VecDeque<Duration>,
    /// The end of the pause that Clerk has requested.
    paused_until: Duration,
}

impl RateLimiter {
    /// A share of Clerk's limit, in percent; at least one request.
    pub fn share(percent: u8, production: bool) -> RateLimiter {
        let most = usize::try_from(requests(percent, production)).unwrap_or(usize::MAX);
        RateLimiter { most, sent: VecDeque::new(), paused_until: Duration::ZERO }
    }

    /// No limit, for an emulator that has none. The pauses that it requests are kept.
    pub fn unlimited() -> RateLimiter {
        RateLimiter { most: usize::MAX, sent: VecDeque::new(), paused_until: Duration::ZERO }
    }

    /// Takes the permission for one request at `now`.
    ///
    /// # Errors
    ///
    /// How long to wait before the next attempt.
    pub fn acquire(&mut self, now: Duration) -> Result<(), Duration> {
        if now < self.paused_until {
            return Err(self.paused_until.saturating_sub(now));
        }
        while self.sent.front().is_some_and(|sent| now.saturating_sub(*sent) >= WINDOW) {
            self.sent.pop_front();
        }
        match self.sent.front() {
            Some(oldest) if self.sent.len() >= self.most => Err((*oldest + WINDOW).saturating_sub(now)),
            _ => {
                self.sent.push_back(now);
                Ok(())
            }
        }
    }

    /// Stops all requests for so long, because Clerk's `Retry-After` applies to all requests.
    pub fn pause(&mut self, now: Duration, wait: Duration) {
        self.paused_until = self.paused_until.max(now + wait);
    }

    /// Changes the share; requests that are already sent still count.
    pub fn change(&mut self, other: &RateLimiter) {
        self.most = other.most;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_window_sees_more_than_its_share() {
        for (percent, production, most) in [(20, true, 200), (20, false, 20), (100, false, 100), (1, false, 1)] {
            let mut rate_limiter = RateLimiter::share(percent, production);
            let (mut now, mut sent) = (Duration::ZERO, Vec::new());
            while sent.len() < most * 3 {
                match rate_limiter.acquire(now) {
                    Ok(()) => sent.push(now),
                    Err(wait) => {
                        assert!(wait > Duration::ZERO);
                        now += wait;
                    }
                }
                now += Duration::from_millis(3);
            }
            for start in &sent {
                let within = sent.iter().filter(|at| *at >= start && **at < *start + WINDOW).count();
                assert!(within <= most, "{within} requests at {percent} %");
            }
            // And it uses its whole share: three windows' worth takes little more than two windows.
            assert!(*sent.last().unwrap() < WINDOW * 2 + Duration::from_secs(5), "{:?}", sent.last());
        }
    }

    #[test]
    fn a_rest_is_everybodys() {
        let mut rate_limiter = RateLimiter::share(100, true);
        let at = Duration::from_secs;
        assert_eq!(rate_limiter.acquire(at(1)), Ok(()));
        rate_limiter.pause(at(2), at(5));
        rate_limiter.pause(at(3), at(1));
        assert_eq!(rate_limiter.acquire(at(4)), Err(at(3)));
        assert_eq!(rate_limiter.acquire(at(7)), Ok(()));
    }

    #[test]
    fn what_was_sent_counts_at_another_share_too() {
        let mut rate_limiter = RateLimiter::share(100, false);
        assert!((0..50).all(|_| rate_limiter.acquire(Duration::ZERO).is_ok()));
        rate_limiter.change(&RateLimiter::share(20, false));
        assert_eq!(rate_limiter.acquire(Duration::from_secs(1)), Err(Duration::from_secs(9)));
    }
}
