//! Absence is not deletion: who must be asked about, and how many may be believed.

use serde::{Deserialize, Serialize};

use super::listed::Here;
use super::presence::is_settled;
use crate::core::id::{EntityId, PerKind};
use crate::core::millis::Millis;
use crate::core::mirror::item::Item;

/// So many of one kind may end in a run without anybody's consent, or one in a hundred, whichever is more.
const MAX_UNASKED: u64 = 25;

/// An item that lives here although the listing gives reason to doubt it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    pub entity: EntityId,
    /// Whether it was missing from a listing that should have shown it. Otherwise only its parents are in doubt.
    pub absent: bool,
}

/// Whether a live item is in doubt. `seen` says what the listing showed: of the item itself, and for a membership of its
/// user and its organization.
///
/// Of a membership the parents count as well: it ends with either, listed or not. One that is missing but was stored only
/// a moment ago is not absent yet.
pub fn doubt(entity: &EntityId, stored: &Item, seen: &PerKind<Option<Here>>, start: Millis) -> Option<Candidate> {
    let absent = |itself: Option<Here>| itself.is_none() && is_settled(stored, start);
    let (absent, orphaned) = match entity {
        EntityId::User(_) => (absent(seen.user), false),
        EntityId::Organization(_) => (absent(seen.organization), false),
        EntityId::Membership { .. } => {
            let parents_live = seen.user == Some(Here::Live) && seen.organization == Some(Here::Live);
            (absent(seen.membership), !parents_live)
        }
    };
    (absent || orphaned).then(|| Candidate { entity: entity.clone(), absent })
}

/// Whether so many absences must wait for an operator: more than 25 and more than one in a hundred of those that live, or
/// more than half of them. `seen` of that kind are certain to live.
///
/// The answer never turns back to no as more absences come to light, so counting may stop at the first yes.
pub fn is_too_many(absent: u64, seen: u64) -> bool {
    let live = seen + absent;
    (absent > MAX_UNASKED && absent * 100 > live) || absent * 2 > live
}

/// How a listing went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Listing {
    /// Whether there is nothing to list: the instance does not have this kind, or its copy is not kept.
    pub is_off: bool,
    /// Whether it has been read to its end.
    pub is_finished: bool,
    /// Different entities that it showed.
    pub seen: u64,
    /// Clerk's own count before it.
    pub before: u64,
    /// Clerk's own count after it.
    pub after: u64,
    /// Pages that held fewer rows than asked for although more were to come.
    pub short_pages: u64,
    /// Rows that were read again because the list had moved up meanwhile.
    pub again: u64,
    /// Rows that could not even be told apart.
    pub nameless: u64,
}

impl Listing {
    /// Whether whoever is not in it may be asked about: nothing says that it left anybody out. `ended_meanwhile` of that
    /// kind are known to have ended while it was being read. A row without an id was shown, too: if it is the row of an item
    /// that is stored, Clerk's answer about that item alone decides.
    pub fn is_complete(&self, ended_meanwhile: u64) -> bool {
        self.is_finished && self.seen + self.nameless + ended_meanwhile >= self.before.min(self.after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_absences_pass_and_many_are_held() {
        for (absent, seen, held) in [
            (0, 0, false),
            (1, 0, true),
            (1, 1, false),
            (2, 1, true),
            (25, 25, false),
            (25, 24, true),
            (26, 74, true),
            (26, 2_573, true),
            (26, 2_574, false),
            (100, 9_900, false),
            (101, 9_900, true),
        ] {
            assert_eq!(is_too_many(absent, seen), held, "{absent} absent, {seen} seen");
        }
    }

    #[test]
    fn a_yes_stays_a_yes() {
        for seen in 0..3_000 {
            let first = (0..4_000).find(|absent| is_too_many(*absent, seen)).unwrap();
            assert!((first..first + 100).all(|absent| is_too_many(absent, seen)), "{seen}");
        }
    }

    #[test]
    fn a_listing_is_complete_only_if_nothing_speaks_against_it() {
        let good = Listing { is_finished: true, seen: 100, before: 100, after: 103, ..Listing::default() };
        assert!(good.is_complete(0));
        assert!(Listing { before: 103, after: 100, ..good }.is_complete(0));
        assert!(!Listing { is_finished: false, ..good }.is_complete(0));
        assert!(Listing { nameless: 1, seen: 99, ..good }.is_complete(0));
        assert!(!Listing { nameless: 1, seen: 98, ..good }.is_complete(0));
        let short = Listing { seen: 99, ..good };
        assert!(!short.is_complete(0) && short.is_complete(1));
    }
}
