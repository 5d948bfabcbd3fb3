//! Absence candidates: which entities must be confirmed by Clerk, and how many deletions a run may do without approval.

use serde::{Deserialize, Serialize};

use super::listed::Here;
use super::presence::is_settled;
use crate::core::id::{EntityId, PerKind};
use crate::core::millis::Millis;
use crate::core::mirror::item::Item;

/// So many entities of one kind, or one in a hundred if that is more, may be deleted in a run without approval.
const MAX_UNASKED: u64 = 25;

/// An absence candidate: an entity that is live in the Directory, and that the listing did not show or whose parent it
/// did not show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    pub entity: EntityId,
    /// Whether the entity itself was missing in the listing. Otherwise only one of its parents was.
    pub absent: bool,
}

/// Whether a live row is an absence candidate. `seen` says what the listing showed: of the entity itself, and for a
/// membership of its user and its organization.
///
/// The parents of a membership count as well: it is deleted with either of them, listed or not. An entity that is
/// missing in the listing but was stored only a short time ago is not a candidate yet.
pub fn candidate(entity: &EntityId, stored: &Item, seen: &PerKind<Option<Here>>, start: Millis) -> Option<Candidate> {
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

/// Whether so many absences need an operator's approval: more than 25 and more than one in a hundred live entities, or
/// more than half of the live entities. `seen` entities of that kind are live.
///
/// More absences never change the result from yes to no, so counting may stop at the first yes.
pub fn is_too_many(absent: u64, seen: u64) -> bool {
    let live = seen + absent;
    (absent > MAX_UNASKED && absent * 100 > live) || absent * 2 > live
}

/// The progress of a listing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Listing {
    /// Whether there is nothing to list: the instance does not have this kind, or it is not mirrored.
    pub is_off: bool,
    /// Whether all pages have been read.
    pub is_finished: bool,
    /// The number of different entities in the listing.
    pub seen: u64,
    /// Clerk's count before the listing.
    pub before: u64,
    /// Clerk's count after the listing.
    pub after: u64,
    /// Pages with fewer rows than requested that were not the last.
    pub short_pages: u64,
    /// Rows that were read again because the list had moved up meanwhile.
    pub again: u64,
    /// Rows without a readable id.
    pub nameless: u64,
}

impl Listing {
    /// Whether absence candidates may be taken from it: nothing indicates that the listing left entities out.
    /// `ended_meanwhile` entities of that kind were deleted during the listing. A row without an id was listed, too: if
    /// it belongs to a stored entity, Clerk's response about that entity decides.
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
