//! Runs what EventBridge Scheduler runs in AWS: the hourly purge, and the nightly run at 03:00 UTC.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use reconcile::{Order, Reconcile};
use rollcall::core::millis::Millis;

use crate::Clock;

const HOUR: u64 = 60 * 60 * 1000;
const DAY: u64 = 24 * HOUR;
/// 03:00, in ms after midnight.
const NIGHT: u64 = 3 * HOUR;
/// The interval at which the clock is read: a machine that sleeps stops every timer, but not the clock.
const LOOK: Duration = Duration::from_mins(1);

/// Starts the hourly purge and the nightly run, without end.
pub(super) async fn run(reconcile: Arc<Reconcile>, clock: Clock) -> Infallible {
    let mut night = next_night(clock());
    loop {
        let hour = next_hour(clock());
        while clock().get() < hour {
            tokio::time::sleep(LOOK.min(Duration::from_millis(hour - clock().get().min(hour)))).await;
        }
        // Both log their outcome; a failed purge is repeated in the next hour.
        let _ = reconcile.purge_due(None).await;
        if clock().get() >= night {
            let _ = reconcile.run(&Order::Run(reconcile.policy()), None, &|_| ()).await;
            night = next_night(clock());
        }
    }
}

/// The next full hour after `now`, in Unix ms.
fn next_hour(now: Millis) -> u64 {
    (now.get() / HOUR + 1) * HOUR
}

/// The next 03:00 UTC after `now`, in Unix ms.
fn next_night(now: Millis) -> u64 {
    let days = (now.get() + DAY - NIGHT) / DAY;
    days * DAY + NIGHT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_hour_is_always_ahead_and_never_more_than_an_hour() {
        for (now, expected) in [(0, HOUR), (1, HOUR), (HOUR - 1, HOUR), (HOUR, 2 * HOUR)] {
            assert_eq!(next_hour(Millis::try_from(i64::try_from(now).unwrap()).unwrap()), expected, "{now}");
        }
    }

    #[test]
    fn the_next_night_is_always_ahead_and_never_more_than_a_day() {
        // 2026-01-01T00:00:00Z.
        const MIDNIGHT: u64 = 1_767_225_600_000;
        for (now, expected) in
            [(0, NIGHT), (NIGHT - 1, NIGHT), (NIGHT, NIGHT + DAY), (NIGHT + 1, NIGHT + DAY), (DAY - 1, NIGHT + DAY)]
        {
            let now = Millis::try_from(i64::try_from(MIDNIGHT + now).unwrap()).unwrap();
            assert_eq!(next_night(now), MIDNIGHT + expected, "{now:?}");
        }
    }
}
