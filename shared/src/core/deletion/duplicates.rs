//! Duplicates: which of several rows that mean the same stays. The oldest row stays, by an attribute that the operator
//! names. DynamoDB itself stores no time of creation.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::{Iso8601, Rfc3339};
use uuid::Uuid;

/// How an attribute tells when a row was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeFormat {
    /// ISO 8601 text with an offset, or a Unix time in s or ms.
    #[default]
    Time,
    /// An id that begins with its time in ms.
    Ulid,
    /// An id that begins with its time in ms.
    UuidV7,
    /// An id that begins with its time in s.
    ObjectId,
}

/// Unix times below this are seconds, those from here on milliseconds: seconds from 1973 to 5138, milliseconds from
/// 1973 to 5138. Smaller and larger numbers are no times: counters, microseconds.
const FIRST_MS: i128 = 100_000_000_000;
const FIRST_S: i128 = 100_000_000;
const NS_OF_S: i128 = 1_000_000_000;

/// A point in time, in Unix ns.
pub type Instant = i64;

/// Reads a time from the text or the digits of an attribute; nothing if it is not one.
pub fn instant(format: TimeFormat, text: &str) -> Option<Instant> {
    let text = text.trim();
    let nanoseconds = match format {
        TimeFormat::Time => unix_time(text).or_else(|| iso_time(text))?,
        TimeFormat::Ulid => ulid_ms(text)? * 1_000_000,
        TimeFormat::UuidV7 => {
            let id = Uuid::parse_str(text).ok().filter(|id| id.get_version_num() == 7)?;
            i128::try_from(id.as_u128() >> 80).ok()? * 1_000_000
        }
        TimeFormat::ObjectId => {
            let is_hex = text.len() == 24 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            i128::from(u32::from_str_radix(text.get(..8).filter(|_| is_hex)?, 16).ok()?) * NS_OF_S
        }
    };
    Instant::try_from(nanoseconds).ok()
}

/// A Unix time in s or ms, with or without decimals.
fn unix_time(text: &str) -> Option<i128> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits =
        |text: &str, most: usize| (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole, 14) || !is_digits(decimals, 38) {
        return None;
    }
    let whole: i128 = whole.parse().ok()?;
    let unit = match whole {
        FIRST_S..FIRST_MS => NS_OF_S,
        FIRST_MS..100_000_000_000_000 => 1_000_000,
        _ => return None,
    };
    let decimals = &decimals[..decimals.len().min(9)];
    let part = decimals.parse::<i128>().ok()? * unit / 10_i128.pow(u32::try_from(decimals.len()).ok()?);
    Some(whole * unit + part)
}

/// A time with a date, a time of day and an offset. Without an offset, nobody knows which instant is meant.
fn iso_time(text: &str) -> Option<i128> {
    let mut text = text.to_owned();
    // As Postgres writes it.
    if text.as_bytes().get(10) == Some(&b' ') {
        text.replace_range(10..11, "T");
    }
    let parsed = OffsetDateTime::parse(&text, &Iso8601::DEFAULT).or_else(|_| OffsetDateTime::parse(&text, &Rfc3339));
    parsed.ok().map(OffsetDateTime::unix_timestamp_nanos)
}

/// The time of a ULID, in Unix ms. Source: ulid/spec: Crockford's base 32, the first ten characters are the time.
fn ulid_ms(text: &str) -> Option<i128> {
    const DIGITS: &str = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let digits = text.chars().map(|digit| DIGITS.find(digit.to_ascii_uppercase()));
    let digits: Vec<usize> = digits.collect::<Option<_>>().filter(|digits: &Vec<usize>| digits.len() == 26)?;
    let ms = digits[..10].iter().try_fold(0_i128, |ms, digit| Some(ms * 32 + i128::try_from(*digit).ok()?))?;
    (ms < 1 << 48).then_some(ms)
}

/// A row of a group, as far as the decision needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its key, as bytes whose order is that of the key.
    pub order: Vec<u8>,
    /// When it was created; nothing if that cannot be read.
    pub at: Option<Instant>,
    /// The user to whom it belongs; nothing if that cannot be read.
    pub owner: Option<String>,
}

/// Why nothing of a group is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Undecided {
    /// The time of a row is missing or cannot be read.
    NoTime,
    /// The rows belong to several users.
    SeveralUsers,
    /// A row names no user, so that a backup of it could not be restored.
    NoUser,
}

impl Undecided {
    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Undecided::NoTime => "no_time",
            Undecided::SeveralUsers => "several_users",
            Undecided::NoUser => "no_user",
        }
    }
}

/// A group of rows with the same values, read row by row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// The number of rows.
    pub rows: u64,
    oldest: Option<(Instant, Vec<u8>)>,
    owner: Option<String>,
    undecided: Option<Undecided>,
}

/// The decision about a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There are no duplicates.
    Single,
    /// The row with this key stays, and the others are removed.
    Keep(Vec<u8>),
    /// Nothing is removed.
    Undecided(Undecided),
}

impl Group {
    /// Adds a row.
    pub fn add(&mut self, row: Seen) {
        self.rows += 1;
        match (&self.owner, row.owner) {
            (_, None) => self.doubt(Undecided::NoUser),
            (None, Some(owner)) => self.owner = Some(owner),
            (Some(before), Some(owner)) if *before != owner => self.doubt(Undecided::SeveralUsers),
            (Some(_), Some(_)) => {}
        }
        let Some(at) = row.at else { return self.doubt(Undecided::NoTime) };
        let row = (at, row.order);
        if self.oldest.as_ref().is_none_or(|oldest| row < *oldest) {
            self.oldest = Some(row);
        }
    }

    fn doubt(&mut self, why: Undecided) {
        self.undecided = self.undecided.or(Some(why));
    }

    /// The decision, after all rows were added.
    pub fn verdict(self) -> Verdict {
        match (self.rows, self.undecided, self.oldest) {
            (0 | 1, ..) | (_, None, None) => Verdict::Single,
            (_, Some(why), _) => Verdict::Undecided(why),
            (_, None, Some((_, order))) => Verdict::Keep(order),
        }
    }
}

/// The parts of a key as bytes whose order is that of the parts, one after another: a shorter part comes before each
/// longer part that begins with it.
pub fn order<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut order = Vec::new();
    for part in parts {
        for byte in part {
            order.push(*byte);
            if *byte == 0 {
                order.push(0xff);
            }
        }
        order.extend([0, 1]);
    }
    order
}

/// How often each attribute differs between duplicates and the rows that stay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    names: BTreeMap<String, u64>,
    /// Differences of attributes beyond `MAX_NAMES`.
    pub others: u64,
}

/// So many attributes are counted by name: a table may have other attributes in each row.
const MAX_NAMES: usize = 100;

impl Differences {
    /// Counts the attributes in which a duplicate differs.
    pub fn add(&mut self, names: &BTreeSet<String>) {
        for name in names {
            if self.names.len() < MAX_NAMES || self.names.contains_key(name) {
                *self.names.entry(name.clone()).or_default() += 1;
            } else {
                self.others += 1;
            }
        }
    }

    /// The number of duplicates that differ, by attribute.
    pub fn by_name(&self) -> &BTreeMap<String, u64> {
        &self.names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e6_times_in_every_notation_are_the_same_instants() {
        let at = 1_704_067_200_000_000_000;
        for text in [
            "2024-01-01T00:00:00Z",
            "2024-01-01T01:00:00+01:00",
            "2024-01-01T01:00:00+0100",
            "2024-01-01 00:00:00+00",
            "2023-12-31T18:30:00.000-05:30",
            "2024-01-01T00:00:00.000000Z",
            "1704067200",
            "1704067200.0",
            "1704067200000",
            " 1704067200000 ",
        ] {
            assert_eq!(instant(TimeFormat::Time, text), Some(at), "{text}");
        }
        assert_eq!(instant(TimeFormat::Time, "1704067200.25"), Some(at + 250_000_000));
        assert_eq!(instant(TimeFormat::Time, "1704067200000.5"), Some(at + 500_000));
        for text in [
            "",
            "2024-01-01",
            "2024-01-01T00:00:00",
            "yesterday",
            "0",
            "5",
            "-1704067200",
            "1e12",
            "1704067200000000",
            "01HKZ3N1Q0000000000000000A",
            "2024-13-01T00:00:00Z",
        ] {
            assert_eq!(instant(TimeFormat::Time, text), None, "{text}");
        }
    }

    #[test]
    fn e6_ids_tell_their_time_only_if_they_are_such_ids() {
        for (format, text, ms) in [
            (TimeFormat::Ulid, "01ARYZ6S41TSV4RRFFQ69G5FAV", Some(1_469_918_176_385)),
            (TimeFormat::Ulid, "01aryz6s41tsv4rrffq69g5fav", Some(1_469_918_176_385)),
            (TimeFormat::Ulid, "81ARYZ6S41TSV4RRFFQ69G5FAV", None),
            (TimeFormat::Ulid, "01ARYZ6S41TSV4RRFFQ69G5FAU", None),
            (TimeFormat::Ulid, "01ARYZ6S41", None),
            (TimeFormat::UuidV7, "017f22e2-79b0-7cc3-98c4-dc0c0c07398f", Some(1_645_557_742_000)),
            (TimeFormat::UuidV7, "017f22e2-79b0-4cc3-98c4-dc0c0c07398f", None),
            (TimeFormat::ObjectId, "507f1f77bcf86cd799439011", Some(1_350_508_407_000)),
            (TimeFormat::ObjectId, "507f1f77bcf86cd79943901", None),
            (TimeFormat::ObjectId, "507f1f77bcf86cd79943901x", None),
        ] {
            assert_eq!(instant(format, text), ms.map(|ms: i64| ms * 1_000_000), "{text}");
        }
    }

    fn seen(key: &str, at: Option<i64>, owner: Option<&str>) -> Seen {
        Seen { order: order([key.as_bytes()]), at, owner: owner.map(str::to_owned) }
    }

    fn verdict(rows: impl IntoIterator<Item = Seen>) -> Verdict {
        let mut group = Group::default();
        rows.into_iter().for_each(|row| group.add(row));
        group.verdict()
    }

    #[test]
    fn e6_the_oldest_row_stays_and_a_doubt_leaves_the_whole_group() {
        let ada = Some("ada");
        let [a, b, c] = [seen("a", Some(1), ada), seen("b", Some(1), ada), seen("c", Some(9), ada)];
        let keep = |row: &Seen| Verdict::Keep(row.order.clone());
        assert_eq!(verdict([c.clone(), b.clone(), a.clone()]), keep(&a));
        assert_eq!(verdict([c.clone(), b.clone()]), keep(&b));
        assert_eq!(verdict([a.clone()]), Verdict::Single);
        assert_eq!(verdict([seen("x", None, None)]), Verdict::Single);
        for (other, why) in [
            (seen("x", None, ada), Undecided::NoTime),
            (seen("x", Some(5), None), Undecided::NoUser),
            (seen("x", Some(5), Some("eve")), Undecided::SeveralUsers),
        ] {
            assert_eq!(verdict([a.clone(), other.clone(), c.clone()]), Verdict::Undecided(why));
            assert_eq!(verdict([other, a.clone()]), Verdict::Undecided(why));
        }
    }

    #[test]
    fn e6_keys_are_compared_part_by_part_in_the_order_of_their_bytes() {
        let of = |parts: &[&[u8]]| order(parts.iter().copied());
        let sorted: [&[&[u8]]; 7] =
            [&[b""], &[b"", b"z"], &[b"\0"], &[b"a", b""], &[b"a", b"b"], &[b"a\0", b"a"], &[b"ab", b""]];
        for pair in sorted.windows(2) {
            assert!(of(pair[0]) < of(pair[1]), "{pair:?}");
        }
    }

    #[test]
    fn e6_only_so_many_attributes_are_counted_by_name() {
        let mut differences = Differences::default();
        differences.add(&(0..MAX_NAMES + 3).map(|at| format!("{at:04}")).collect());
        differences.add(&BTreeSet::from(["0000".to_owned()]));
        assert_eq!((differences.by_name().len(), differences.others), (MAX_NAMES, 3));
        assert_eq!(differences.by_name()["0000"], 2);
    }
}
