//! How fast Clerk may be asked.

use std::collections::VecDeque;
use std::time::Duration;

/// The time over which Clerk counts requests. Source: Clerk, "System limits".
pub const WINDOW: Duration = Duration::from_secs(10);
/// Requests within it that Clerk answers for an instance in production, all clients together. Source: likewise.
const PRODUCTION: u32 = 1_000;
/// The same for an instance in development.
const DEVELOPMENT: u32 = 100;

/// The requests within [`WINDOW`] that are a share of Clerk's limit, in percent; one at least.
pub fn requests(percent: u8, production: bool) -> u32 {
    let limit = if production { PRODUCTION } else { DEVELOPMENT };
    (limit * u32::from(percent) / 100).max(1)
}

/// Lets so many requests through in any window of [`WINDOW`], wherever it begins. Times are counted from any fixed
/// moment.
#[derive(Debug)]
pub struct RateLimiter {
    most: usize,
    sent: VecDeque<Duration>,
    /// Until when Clerk has asked to be left alone.
    paused_until: Duration,
}

impl RateLimiter {
    /// A share of Clerk's limit, in percent; one request at least.
    pub fn share(percent: u8, production: bool) -> RateLimiter {
        let most = usize::try_from(requests(percent, production)).unwrap_or(usize::MAX);
        RateLimiter { most, sent: VecDeque::new(), paused_until: Duration::ZERO }
    }

    /// Takes a turn at `now`.
    ///
    /// # Errors
    ///
    /// How long to wait before asking for a turn again.
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

    /// Lets nobody through for so long: Clerk has asked for that, and means every request.
    pub fn pause(&mut self, now: Duration, wait: Duration) {
        self.paused_until = self.paused_until.max(now + wait);
    }

    /// Goes on at another share; what was sent still counts.
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
            let mut pace = RateLimiter::share(percent, production);
            let (mut now, mut sent) = (Duration::ZERO, Vec::new());
            while sent.len() < most * 3 {
                match pace.acquire(now) {
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
            // And it uses what it has: three windows' worth takes little more than two windows.
            assert!(*sent.last().unwrap() < WINDOW * 2 + Duration::from_secs(5), "{:?}", sent.last());
        }
    }

    #[test]
    fn a_rest_is_everybodys() {
        let mut pace = RateLimiter::share(100, true);
        let at = Duration::from_secs;
        assert_eq!(pace.acquire(at(1)), Ok(()));
        pace.pause(at(2), at(5));
        pace.pause(at(3), at(1));
        assert_eq!(pace.acquire(at(4)), Err(at(3)));
        assert_eq!(pace.acquire(at(7)), Ok(()));
    }

    #[test]
    fn what_was_sent_counts_at_another_share_too() {
        let mut pace = RateLimiter::share(100, false);
        assert!((0..50).all(|_| pace.acquire(Duration::ZERO).is_ok()));
        pace.change(&RateLimiter::share(20, false));
        assert_eq!(pace.acquire(Duration::from_secs(1)), Err(Duration::from_secs(9)));
    }
}
