//! A time span on the command line, such as `10m`.

use std::str::FromStr;

use rollcall::core::millis::Millis;

/// How far back something is looked at, in ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Since(u64);

/// The longest time span: logs do not stay longer than ten years.
const LONGEST: u64 = 3650 * DAY;
const DAY: u64 = 24 * 60 * 60 * 1000;

impl Since {
    /// The time so far before `now`.
    pub fn before(self, now: Millis) -> Millis {
        let at = now.get().saturating_sub(self.0);
        i64::try_from(at).ok().and_then(|at| Millis::try_from(at).ok()).unwrap_or(Millis::ZERO)
    }
}

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Since, String> {
        let split = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let unit = match unit {
            "s" => 1000,
            "m" => 60 * 1000,
            "h" => 60 * 60 * 1000,
            "d" => DAY,
            _ => 0,
        };
        let span = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
        let span = span.filter(|span| (1..=LONGEST).contains(span));
        span.map(Since).ok_or_else(|| "write a number and s, m, h or d, such as 10m, 24h or 7d".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_span_is_a_number_and_a_unit() {
        for (text, span) in [("90s", 90_000), ("10m", 600_000), ("24h", DAY), ("7d", 7 * DAY)] {
            assert_eq!(text.parse(), Ok(Since(span)));
        }
        for wrong in ["", "10", "m", "0m", "-1h", "1.5h", "1w", "10 m", "99999999999999999999d", "4000d"] {
            assert!(wrong.parse::<Since>().is_err(), "{wrong}");
        }
        let now = Millis::try_from(700_000).unwrap();
        assert_eq!(Since(600_000).before(now).get(), 100_000);
        assert_eq!(Since(800_000).before(now), Millis::ZERO);
    }
}
