//! The rule: when a new state may replace the stored one.
//!
//! All writers put a whole row under one condition, so the Directory always contains the greatest state so far,
//! independent of order and repetition. The rule exists twice, side by side: [`Guard::admits`] decides over values,
//! [`Guard::condition`] is the same as a DynamoDB condition. Test `i15_…` compares the two on a real engine.

use std::borrow::Cow;

use super::digest::Digest;
use super::item::{CONSEQUENCES_AT, Item, PURGING_AT};
use super::rank::Rank;
use crate::core::controls::{Invariant, guards};
use crate::core::id::MembershipId;
use crate::core::millis::Millis;

/// The parts of a row that the rule compares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The rank of the state.
    pub rank: Rank,
    /// The digest of the contents.
    pub digest: Digest,
    /// The id of a membership: it distinguishes two memberships of one generation.
    pub membership_id: Option<MembershipId>,
    /// When the row was stored: a state that was replaced and came back is another one. Nothing if the time is lost;
    /// then only the rank and the digest are compared, because otherwise such a row could never be replaced.
    pub stored_at: Option<Millis>,
    /// Whether it is a finished tombstone: it is final.
    pub is_finished: bool,
    /// Whether it is a user's tombstone whose purge has begun.
    pub is_purging: bool,
}

/// One stored row, distinguished from all later rows with the same contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exact {
    rank: Rank,
    digest: Digest,
    stored_at: Option<Millis>,
}

impl From<Stamp> for Exact {
    fn from(stamp: Stamp) -> Exact {
        Exact { rank: stamp.rank, digest: stamp.digest, stored_at: stamp.stored_at }
    }
}

impl From<&Item> for Exact {
    fn from(item: &Item) -> Exact {
        Stamp::from(item).into()
    }
}

/// The part of a rank that marks a live state. The marks of a tombstone mean nothing on a live row.
const LIVE: &str = ".0.";

/// The condition of a write if a row is already stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guard {
    /// A greater rank. For timely live events, signed deletions, rows of a listing, confirmed absences.
    Newer,
    /// A greater rank of an entity and a generation that are already stored. For late live events: the entity may have
    /// been deleted since, and the deletion event lost.
    NewerAndKnown,
    /// A greater rank, or the same rank if the digest is still the one that was read before the entity was fetched.
    NewerOrSeen(Digest),
    /// No stored row. For placeholders, and for the first attempt of a tombstone that keeps the stored contents.
    Absent,
    /// Exactly this stored row, without a purge in progress. For a tombstone that keeps the contents that were read, an
    /// undo, and a membership that replaces another one of its generation.
    Exactly(Exact),
}

/// The result of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The state is stored now.
    Applied,
    /// The state was stored already.
    Duplicate,
    /// A newer state is stored, or Clerk has no newer state.
    Superseded,
    /// The stored state has the same rank and another digest, or belongs to another membership of the same generation:
    /// only Clerk can tell which is right.
    Tie,
    /// A late event would create an entity or a generation: only Clerk can tell whether it still exists.
    Unproven,
}

/// A DynamoDB condition: the expression, and the values of its placeholders.
#[derive(Debug, PartialEq, Eq)]
pub struct Condition {
    /// The `ConditionExpression`.
    pub expression: String,
    /// `ExpressionAttributeNames`.
    pub names: Vec<(&'static str, &'static str)>,
    /// `ExpressionAttributeValues` that are strings.
    pub values: Vec<(&'static str, String)>,
    /// `ExpressionAttributeValues` that are times, in Unix ms.
    pub moments: Vec<(&'static str, Millis)>,
}

impl Guard {
    /// Whether `offered` may replace `stored`.
    pub fn admits(&self, offered: &Stamp, stored: Option<&Stamp>) -> bool {
        let Some(stored) = stored else {
            return !matches!(self, Guard::NewerAndKnown | Guard::Exactly(..));
        };
        match self {
            Guard::Newer => newer(offered, stored),
            Guard::NewerAndKnown => stored.rank.generation >= offered.rank.generation && newer(offered, stored),
            Guard::NewerOrSeen(seen) => {
                newer(offered, stored) || (stored.rank == offered.rank && stored.digest == *seen)
            }
            Guard::Absent => false,
            Guard::Exactly(seen) => {
                stored.rank == seen.rank
                    && stored.digest == seen.digest
                    && (seen.stored_at.is_none() || stored.stored_at == seen.stored_at)
                    && (stored.is_finished || !stored.is_purging)
            }
        }
    }

    /// The same rule as a condition on the stored item.
    pub fn condition(&self, offered: &Stamp) -> Condition {
        // Users and organizations have one generation and one id; only a membership must be identified.
        let newer = match offered.membership_id {
            None => {
                "(#rank < :rank AND (contains(#rank, :live) \
                 OR attribute_not_exists(#finished) AND attribute_not_exists(#purging)))"
            }
            Some(_) => {
                "(#rank < :rank AND (contains(#rank, :live) \
                 OR attribute_not_exists(#finished) AND attribute_not_exists(#purging)) \
                 AND (#rank < :generation OR #membership_id = :membership_id))"
            }
        };
        let newer = without_guards(newer, offered);
        let expression = match self {
            Guard::Newer => format!("attribute_not_exists(#rank) OR {newer}"),
            Guard::NewerAndKnown => format!("attribute_exists(#rank) AND #rank >= :generation AND {newer}"),
            Guard::NewerOrSeen(_) => {
                format!("attribute_not_exists(#rank) OR {newer} OR (#rank = :rank AND #digest = :seen)")
            }
            Guard::Absent => "attribute_not_exists(#rank)".to_owned(),
            Guard::Exactly(seen) => {
                let moment = if seen.stored_at.is_some() { "AND #applied_at = :applied_at " } else { "" };
                format!(
                    "#rank = :stored AND #digest = :seen {moment}\
                     AND (contains(#rank, :live) OR attribute_exists(#finished) OR attribute_not_exists(#purging))"
                )
            }
        };
        let (exact, seen) = match self {
            Guard::NewerOrSeen(seen) => (None, Some(seen)),
            Guard::Exactly(seen) => (Some(seen), Some(&seen.digest)),
            Guard::Newer | Guard::NewerAndKnown | Guard::Absent => (None, None),
        };
        let values = [
            (":rank", Some(offered.rank.to_string())),
            (":generation", Some(offered.rank.generation_prefix())),
            (":membership_id", offered.membership_id.as_ref().map(ToString::to_string)),
            (":stored", exact.map(|seen| seen.rank.to_string())),
            (":live", Some(LIVE.to_owned())),
            (":seen", seen.map(|seen| seen.as_str().to_owned())),
        ];
        // DynamoDB rejects unused placeholders.
        let used = |placeholder: &str| expression.contains(placeholder);
        let names = [
            ("#rank", "rank"),
            ("#digest", "digest"),
            ("#applied_at", "applied_at"),
            ("#membership_id", "membership_id"),
            ("#finished", CONSEQUENCES_AT),
            ("#purging", PURGING_AT),
        ];
        Condition {
            names: names.into_iter().filter(|(placeholder, _)| used(placeholder)).collect(),
            values: values
                .into_iter()
                .filter(|(placeholder, _)| used(placeholder))
                .filter_map(|(placeholder, value)| Some((placeholder, value?)))
                .collect(),
            moments: exact.and_then(|seen| Some((":applied_at", seen.stored_at?))).into_iter().collect(),
            expression,
        }
    }

    /// What a failed condition means: `stored` is the stored row, if there is one.
    pub fn refusal(&self, offered: &Stamp, stored: Option<&Stamp>) -> Outcome {
        let Some(stored) = stored else {
            return Outcome::Unproven;
        };
        if stored.is_finished || stored.is_purging {
            return Outcome::Superseded;
        }
        // Any stored row makes a placeholder unnecessary, also another placeholder.
        if *self == Guard::Absent && stored.rank <= offered.rank && stored.digest != offered.digest {
            return Outcome::Superseded;
        }
        if same_generation_other_membership(offered, stored) {
            return Outcome::Tie;
        }
        if *self == Guard::NewerAndKnown && stored.rank.generation < offered.rank.generation {
            return Outcome::Unproven;
        }
        match stored.rank.cmp(&offered.rank) {
            std::cmp::Ordering::Greater => Outcome::Superseded,
            std::cmp::Ordering::Equal if stored.digest == offered.digest => Outcome::Duplicate,
            // A lower stored rank can only fail an `Exactly` whose row was replaced meanwhile.
            std::cmp::Ordering::Equal | std::cmp::Ordering::Less => Outcome::Tie,
        }
    }
}

/// The condition, unless a negative control has removed a check.
fn without_guards<'a>(newer: &'a str, offered: &Stamp) -> Cow<'a, str> {
    if !guards(Invariant::I2) {
        newer.replace("#rank < :rank", "#rank <> :rank").into()
    } else if !guards(Invariant::I3) && !offered.rank.is_deleted() {
        format!("({newer} OR attribute_exists(deleted_at))").into()
    } else if !guards(Invariant::I7) {
        newer.replace("#rank < :rank", "#rank <= :rank").into()
    } else {
        newer.into()
    }
}

/// Whether the two are different memberships that Clerk created in the same millisecond.
pub fn same_generation_other_membership(offered: &Stamp, stored: &Stamp) -> bool {
    offered.membership_id.is_some()
        && offered.rank.generation == stored.rank.generation
        && offered.membership_id != stored.membership_id
}

fn newer(offered: &Stamp, stored: &Stamp) -> bool {
    let is_final = stored.is_finished || stored.is_purging;
    let is_newer = stored.rank < offered.rank || (stored.rank == offered.rank && !guards(Invariant::I15));
    is_newer && !is_final && !same_generation_other_membership(offered, stored)
}

impl From<&Item> for Stamp {
    fn from(item: &Item) -> Stamp {
        Stamp {
            rank: item.rank,
            digest: item.digest.clone(),
            membership_id: item.membership_id(),
            stored_at: item.stored_at(),
            is_finished: item.is_finished(),
            is_purging: item.is_deleted() && item.fields.contains_key(PURGING_AT),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(generation: i64, deleted: bool, version: i64, digest: &str, membership: Option<&str>) -> Stamp {
        let (generation, version) = (Millis::try_from(generation).unwrap(), Millis::try_from(version).unwrap());
        let rank = if deleted { Rank::deleted(generation, version) } else { Rank::live(generation, version) };
        let digest = Digest::new(digest, &serde_json::Map::new());
        let membership_id = membership.map(|id| id.parse().unwrap());
        Stamp { rank, digest, membership_id, stored_at: Some(Millis::ZERO), is_finished: false, is_purging: false }
    }

    #[test]
    fn of_two_equal_ranks_neither_wins_blindly() {
        let (one, other) = (stamp(0, false, 5, "a", None), stamp(0, false, 5, "b", None));
        assert!(!Guard::Newer.admits(&one, Some(&other)) && !Guard::Newer.admits(&other, Some(&one)));
        assert_eq!(Guard::Newer.refusal(&one, Some(&other)), Outcome::Tie);
        assert_eq!(Guard::Newer.refusal(&one, Some(&one)), Outcome::Duplicate);
    }

    #[test]
    fn a_fetched_state_replaces_only_the_state_seen_before_the_fetch() {
        let (stored, fetched) = (stamp(0, false, 5, "a", None), stamp(0, false, 5, "b", None));
        assert!(Guard::NewerOrSeen(stored.digest.clone()).admits(&fetched, Some(&stored)));
        assert!(!Guard::NewerOrSeen(fetched.digest.clone()).admits(&fetched, Some(&stored)));
    }

    #[test]
    fn a_tombstone_outranks_every_live_state_of_its_generation_only() {
        let tombstone = stamp(4, true, 1, "x", Some("orgmem_1"));
        assert!(!Guard::Newer.admits(&stamp(4, false, 9_999, "a", Some("orgmem_1")), Some(&tombstone)));
        assert!(Guard::Newer.admits(&stamp(6, false, 6, "a", Some("orgmem_2")), Some(&tombstone)));
    }

    #[test]
    fn a_late_event_creates_neither_an_entity_nor_a_generation() {
        let late = stamp(6, false, 7, "a", Some("orgmem_2"));
        assert!(!Guard::NewerAndKnown.admits(&late, None));
        assert_eq!(Guard::NewerAndKnown.refusal(&late, None), Outcome::Unproven);
        let older = stamp(4, false, 5, "a", Some("orgmem_1"));
        assert!(!Guard::NewerAndKnown.admits(&late, Some(&older)));
        assert_eq!(Guard::NewerAndKnown.refusal(&late, Some(&older)), Outcome::Unproven);
        assert!(Guard::NewerAndKnown.admits(&late, Some(&stamp(6, false, 6, "a", Some("orgmem_2")))));
    }

    #[test]
    fn a_finished_tombstone_is_final_for_all_but_an_undo() {
        let tombstone = |membership| Stamp { is_finished: true, ..stamp(4, true, 5, "x", membership) };
        for membership in [None, Some("orgmem_1"), Some("orgmem_2")] {
            for offered in [stamp(4, true, 9, "x", membership), stamp(6, false, 9, "a", membership)] {
                let stored = tombstone(Some("orgmem_1").filter(|_| membership.is_some()));
                let seen = Guard::NewerOrSeen(stored.digest.clone());
                for guard in [Guard::Newer, Guard::NewerAndKnown, seen, Guard::Absent] {
                    assert!(!guard.admits(&offered, Some(&stored)), "{guard:?}");
                    assert_eq!(guard.refusal(&offered, Some(&stored)), Outcome::Superseded, "{guard:?}");
                }
                let undo = Guard::Exactly(stored.clone().into());
                assert!(undo.admits(&offered, Some(&stored)));
                let later = Stamp { stored_at: Millis::try_from(1).ok(), ..stored.clone() };
                assert!(!undo.admits(&offered, Some(&later)));
                let lost = Stamp { stored_at: None, ..stored.clone() };
                assert!(!undo.admits(&offered, Some(&lost)));
                assert!(Guard::Exactly(lost.into()).admits(&offered, Some(&later)), "the rank and the digest must do");
                let purging = Stamp { is_purging: true, is_finished: false, ..stored };
                assert!(!undo.admits(&offered, Some(&purging)));
                assert!(undo.admits(&offered, Some(&Stamp { is_finished: true, ..purging })));
            }
        }
    }

    #[test]
    fn a_membership_never_replaces_another_one_of_its_generation() {
        let (mine, other) = (stamp(4, false, 9, "a", Some("orgmem_1")), stamp(4, true, 5, "b", Some("orgmem_2")));
        for (offered, stored) in [(&mine, &other), (&other, &mine)] {
            assert!(!Guard::Newer.admits(offered, Some(stored)));
            assert_eq!(Guard::Newer.refusal(offered, Some(stored)), Outcome::Tie);
        }
    }

    #[test]
    fn a_placeholder_replaces_nothing() {
        let (placeholder, real) = (stamp(0, false, 0, "p", None), stamp(0, false, 5, "a", None));
        assert!(Guard::Absent.admits(&placeholder, None) && !Guard::Absent.admits(&placeholder, Some(&real)));
        assert!(Guard::Newer.admits(&real, Some(&placeholder)));
        assert_eq!(Guard::Absent.refusal(&placeholder, Some(&real)), Outcome::Superseded);
        let other = stamp(0, false, 0, "q", None);
        assert_eq!(Guard::Absent.refusal(&placeholder, Some(&other)), Outcome::Superseded);
        assert_eq!(Guard::Absent.refusal(&placeholder, Some(&placeholder)), Outcome::Duplicate);
    }

    #[test]
    fn a_condition_has_a_value_for_each_of_its_placeholders_and_no_other() {
        let exactly = Guard::Exactly(stamp(4, true, 5, "x", None).into());
        for guard in
            [Guard::Newer, Guard::NewerAndKnown, Guard::NewerOrSeen(Digest::tombstone()), Guard::Absent, exactly]
        {
            for membership in [None, Some("orgmem_1")] {
                let condition = guard.condition(&stamp(4, false, 5, "a", membership));
                let word = |sign: char| {
                    let words = condition.expression.split(|c: char| !(c.is_alphanumeric() || "_:#".contains(c)));
                    let mut words: Vec<&str> = words.filter(|word| word.starts_with(sign)).collect();
                    words.sort_unstable();
                    words.dedup();
                    words
                };
                let mut names: Vec<&str> = condition.names.iter().map(|(name, _)| *name).collect();
                let mut values: Vec<&str> = condition.values.iter().map(|(value, _)| *value).collect();
                values.extend(condition.moments.iter().map(|(value, _)| *value));
                names.sort_unstable();
                values.sort_unstable();
                assert_eq!((word('#'), word(':')), (names, values), "{}", condition.expression);
            }
        }
    }
}
