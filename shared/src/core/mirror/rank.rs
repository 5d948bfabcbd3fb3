//! The rank: the order of all states of one entity.
//!
//! `generation(13 digits) "." state("0" live | "1" deleted) "." version(13 digits)`. Because of the fixed widths, the
//! order of the strings, which DynamoDB compares bytewise, is the order of the values.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::core::millis::Millis;

/// Whether a state is live or deleted. Within one generation a tombstone outranks all live states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntityState {
    Live,
    /// The entity was deleted: the row is a tombstone.
    Deleted,
}

/// The position of one state of one entity. The stored state always has the greatest rank so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rank {
    /// 0 for users and organizations, whose ids Clerk never reuses; `created_at` for memberships.
    pub generation: Millis,
    pub state: EntityState,
    /// Clerk's `updated_at`, or the time of the deletion.
    pub version: Millis,
}

/// A string that is not a rank.
#[derive(Debug, Error)]
#[error("a rank must look like 0000000000000.0.1767225600015")]
pub struct InvalidRank;

impl Rank {
    /// The rank of a placeholder: lower than all ranks of Clerk's states.
    pub const PLACEHOLDER: Rank = Rank::live(Millis::ZERO, Millis::ZERO);

    /// The rank of a live state.
    pub const fn live(generation: Millis, version: Millis) -> Rank {
        Rank { generation, state: EntityState::Live, version }
    }

    /// The rank of a tombstone.
    pub const fn deleted(generation: Millis, version: Millis) -> Rank {
        Rank { generation, state: EntityState::Deleted, version }
    }

    /// The generation as the start of a rank: all ranks of older generations sort before this string, all ranks of this
    /// generation and newer ones after it.
    pub fn generation_prefix(&self) -> String {
        format!("{:013}", self.generation.get())
    }

    /// Whether this is the rank of a tombstone.
    pub fn is_deleted(&self) -> bool {
        self.state == EntityState::Deleted
    }
}

impl fmt::Display for Rank {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            EntityState::Live => 0,
            EntityState::Deleted => 1,
        };
        write!(out, "{:013}.{state}.{:013}", self.generation.get(), self.version.get())
    }
}

impl FromStr for Rank {
    type Err = InvalidRank;

    fn from_str(text: &str) -> Result<Rank, InvalidRank> {
        let digits = |part: &str| {
            let fixed = part.len() == 13 && part.bytes().all(|byte| byte.is_ascii_digit());
            fixed.then(|| part.parse::<i64>().ok()).flatten().and_then(|number| Millis::try_from(number).ok())
        };
        let mut parts = text.split('.');
        let (generation, state, version) = (parts.next(), parts.next(), parts.next());
        if parts.next().is_some() {
            return Err(InvalidRank);
        }
        let state = match state {
            Some("0") => EntityState::Live,
            Some("1") => EntityState::Deleted,
            _ => return Err(InvalidRank),
        };
        Ok(Rank {
            generation: generation.and_then(digits).ok_or(InvalidRank)?,
            state,
            version: version.and_then(digits).ok_or(InvalidRank)?,
        })
    }
}

impl TryFrom<String> for Rank {
    type Error = InvalidRank;

    fn try_from(text: String) -> Result<Rank, InvalidRank> {
        text.parse()
    }
}

impl From<Rank> for String {
    fn from(rank: Rank) -> String {
        rank.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(value: i64) -> Millis {
        Millis::try_from(value).unwrap()
    }

    #[test]
    fn the_order_of_the_strings_is_the_order_of_the_ranks() {
        let moments = [0, 1, 9, 10, 999, 1_767_225_600_000, 9_999_999_999_999].map(millis);
        let mut ranks = Vec::new();
        for generation in moments {
            for version in moments {
                ranks.extend([Rank::live(generation, version), Rank::deleted(generation, version)]);
            }
        }
        for a in &ranks {
            for b in &ranks {
                assert_eq!(a.cmp(b), a.to_string().cmp(&b.to_string()), "{a} and {b}");
            }
            let prefix = a.generation_prefix();
            for b in &ranks {
                assert_eq!(b.to_string() < prefix, b.generation < a.generation, "{b} and {prefix}");
            }
        }
    }

    #[test]
    fn a_rank_reads_back_as_it_was_written() {
        let rank = Rank::deleted(millis(1_767_225_600_000), millis(1_767_226_200_000));
        assert_eq!(rank.to_string(), "1767225600000.1.1767226200000");
        assert_eq!(rank.to_string().parse::<Rank>().unwrap(), rank);
    }

    #[test]
    fn nothing_else_is_a_rank() {
        let good = "0000000000000.0.1767225600015";
        assert!(good.parse::<Rank>().is_ok());
        for bad in [
            "",
            "0.0.0",
            "0000000000000.2.0000000000000",
            "0000000000000.0.+767225600015",
            &format!("{good}."),
            &good[1..],
        ] {
            assert!(bad.parse::<Rank>().is_err(), "{bad}");
        }
    }
}
