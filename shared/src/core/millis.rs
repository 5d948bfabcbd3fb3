//! A time in Unix milliseconds, as in Clerk's data.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The time at which a piece of work stops and leaves the rest to the next call; none if there is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deadline(Option<Millis>);

impl Deadline {
    /// No deadline.
    pub const NONE: Deadline = Deadline(None);

    /// Whether the deadline is over at `now`.
    pub fn is_over(self, now: Millis) -> bool {
        self.0.is_some_and(|deadline| now >= deadline)
    }
}

impl From<Option<Millis>> for Deadline {
    fn from(at: Option<Millis>) -> Deadline {
        Deadline(at)
    }
}

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Millis + Send + Sync>;

/// Unix milliseconds with at most the thirteen digits of a rank: from 1970 to the year 2286.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "u64")]
pub struct Millis(u64);

/// A number outside of 1970 to 2286.
#[derive(Debug, Error)]
#[error("a time must be Unix milliseconds between 0 and {}", Millis::MAX.0)]
pub struct OutOfRange;

const MOMENT: &[time::format_description::FormatItem<'_>] =
    time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// Ten to the eleventh: as milliseconds a day in 1973, as seconds the year 5138. No time of an event of Clerk is
/// ambiguous.
const SECONDS_BELOW: u64 = 100_000_000_000;

impl Millis {
    pub const ZERO: Millis = Millis(0);
    /// The greatest time with thirteen digits.
    pub const MAX: Millis = Millis(9_999_999_999_999);

    /// The time as a number of milliseconds.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Reads an envelope's `timestamp`: milliseconds in real deliveries, seconds in Clerk's published examples.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`].
    pub fn from_envelope(timestamp: i64) -> Result<Millis, OutOfRange> {
        let moment = Millis::try_from(timestamp)?;
        Ok(if moment.0 < SECONDS_BELOW { Millis(moment.0 * 1000) } else { moment })
    }

    /// Milliseconds from `earlier` to this time, 0 if `earlier` is later.
    pub const fn since(self, earlier: Millis) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The next millisecond, or the last one.
    #[must_use]
    pub fn next(self) -> Millis {
        Millis(self.0 + 1).min(Millis::MAX)
    }

    /// The time in UTC to the millisecond, such as `2026-11-21T08:00:00.015Z`.
    pub fn utc(self) -> String {
        let nanoseconds = i128::from(self.0) * 1_000_000;
        let at =
            time::OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
        at.format(MOMENT).unwrap_or_default()
    }

    /// The day in UTC, such as `2026-11-21`.
    pub fn utc_date(self) -> String {
        let seconds = i64::try_from(self.0 / 1000).unwrap_or_default();
        time::OffsetDateTime::from_unix_timestamp(seconds)
            .unwrap_or(time::OffsetDateTime::UNIX_EPOCH)
            .date()
            .to_string()
    }
}

impl TryFrom<i64> for Millis {
    type Error = OutOfRange;

    fn try_from(value: i64) -> Result<Self, OutOfRange> {
        u64::try_from(value).ok().map(Millis).filter(|moment| *moment <= Millis::MAX).ok_or(OutOfRange)
    }
}

impl From<SystemTime> for Millis {
    /// The nearest time with thirteen digits.
    fn from(time: SystemTime) -> Millis {
        let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        u64::try_from(since_epoch).map_or(Millis::MAX, |ms| Millis(ms).min(Millis::MAX))
    }
}

impl From<Millis> for u64 {
    fn from(moment: Millis) -> u64 {
        moment.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_may_carry_seconds_or_milliseconds() {
        for (given, expected) in [(1_716_883_200, 1_716_883_200_000), (1_767_225_600_032, 1_767_225_600_032), (0, 0)] {
            assert_eq!(Millis::from_envelope(given).unwrap(), Millis(expected), "{given}");
        }
    }

    #[test]
    fn only_thirteen_digits_are_a_moment() {
        assert!(Millis::try_from(9_999_999_999_999).is_ok());
        for bad in [-1, 10_000_000_000_000, i64::MAX, i64::MIN] {
            assert!(Millis::try_from(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_day_is_written_in_utc() {
        assert_eq!(Millis(1_767_225_599_999).utc_date(), "2025-12-31");
        assert_eq!(Millis(1_767_225_600_000).utc_date(), "2026-01-01");
    }
}
