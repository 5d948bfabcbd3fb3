//! Finds the users of rows in Clerk: as many ids in each request as it may have, and the rows in their order again.
//!
//! A row waits until its ids are asked for together with those of later rows. Ids of a kind that few rows have are asked
//! for at the latest when [`MOST_ROWS`] rows wait behind the first one.

use std::collections::{BTreeMap, VecDeque};

use rollcall::adapters::clerk::api::ClerkApi;
use rollcall::adapters::clerk::error::ClerkError;
use rollcall::adapters::clerk::identified::LookUp;
use rollcall::adapters::clerk::lists::MAX_IDS;
use rollcall::core::clerk::identifications::IdentifiedUser;
use rollcall::core::id::UserId;

use super::decide::Wanted;
use super::outcome::Line;
use super::values::Refused;
use crate::matching::{Keys, Rules};

/// Rows that are held at the same time. Nearly all of them are lines already: 10,000 need about 3 MB.
const MOST_ROWS: usize = 10_000;
/// The kinds of ids. Addresses are last: they are asked for only if the ids lead to nobody.
const KINDS: [LookUp; 3] = [LookUp::Id, LookUp::ExternalId, LookUp::Address];
const ADDRESS: usize = 2;

/// A row whose user is looked for.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) row: u64,
    pub(super) place: String,
    pub(super) legacy_id: Option<String>,
    pub(super) keys: Keys,
    /// An error if a value cannot be carried over. The user is looked for nevertheless: other rows refer to the person.
    pub(super) wanted: Result<Vec<Wanted>, Refused>,
    /// Whether the address cannot be one: then a row that leads to no user is refused.
    pub(super) has_bad_address: bool,
}

/// A row in the order of the input.
enum Entry {
    Waiting(Waiting),
    Decided(Line),
}

struct Waiting {
    row: Pending,
    /// The requests that are still to come for it.
    open: usize,
    /// Whether its address has been asked for, or is being asked for.
    has_address_asked: bool,
    found: Vec<IdentifiedUser>,
}

/// The rows on their way through Clerk. `decide` makes the line of a row when all users that it may belong to are known.
pub(super) struct Lookups<D> {
    rules: Rules,
    decide: D,
    /// The number of the first entry.
    first: u64,
    entries: VecDeque<Entry>,
    /// The values to ask for, by kind, with the rows that have them.
    queues: [BTreeMap<String, Vec<u64>>; 3],
}

impl<D: Fn(&Pending, &[IdentifiedUser]) -> Line> Lookups<D> {
    pub(super) fn new(rules: Rules, decide: D) -> Lookups<D> {
        Lookups { rules, decide, first: 0, entries: VecDeque::new(), queues: Default::default() }
    }

    /// Adds the next row, or the line about a row that needs no user.
    pub(super) fn add(&mut self, row: Result<Pending, Line>) {
        let number = self.first + u64::try_from(self.entries.len()).unwrap_or(u64::MAX);
        let row = match row {
            Err(line) => return self.entries.push_back(Entry::Decided(line)),
            Ok(row) => row,
        };
        let mut open = 0;
        if !row.keys.is_deleted {
            // A text that is no id of Clerk is not worth a request, and would be rejected.
            let clerk_id = row.keys.clerk_id.as_ref().filter(|id| id.parse::<UserId>().is_ok());
            for (kind, value) in [clerk_id, row.keys.legacy_id.as_ref()].into_iter().enumerate() {
                if let Some(value) = value {
                    self.queues[kind].entry(value.clone()).or_default().push(number);
                    open += 1;
                }
            }
        }
        self.entries.push_back(Entry::Waiting(Waiting { row, open, has_address_asked: false, found: Vec::new() }));
        if open == 0 {
            self.go_on(number);
        }
    }

    /// Sends the requests that are full, and with `is_end` all others.
    ///
    /// # Errors
    ///
    /// [`ClerkError`].
    pub(super) async fn ask(&mut self, clerk: &ClerkApi, is_end: bool) -> Result<(), ClerkError> {
        while let Some(kind) = self.next_kind(is_end) {
            let mut asked = BTreeMap::new();
            while asked.len() < MAX_IDS
                && let Some((value, rows)) = self.queues[kind].pop_first()
            {
                asked.insert(value, rows);
            }
            let values: Vec<&str> = asked.keys().map(String::as_str).collect();
            for user in clerk.identified(KINDS[kind], &values).await? {
                let rows: Vec<u64> =
                    named_by(&user, KINDS[kind]).filter_map(|value| asked.get(value)).flatten().copied().collect();
                for row in rows {
                    self.found(row, &user);
                }
            }
            for row in asked.into_values().flatten() {
                let Some(Entry::Waiting(waiting)) = self.entry(row) else { continue };
                waiting.open -= 1;
                if waiting.open == 0 {
                    self.go_on(row);
                }
            }
        }
        Ok(())
    }

    /// The line of the first row, if it is decided.
    pub(super) fn pop(&mut self) -> Option<Line> {
        let entry = self.entries.pop_front()?;
        match entry {
            Entry::Decided(line) => {
                self.first += 1;
                Some(line)
            }
            waiting @ Entry::Waiting(_) => {
                self.entries.push_front(waiting);
                None
            }
        }
    }

    /// The kind of ids that is asked for next.
    fn next_kind(&self, is_end: bool) -> Option<usize> {
        let full = self.queues.iter().position(|queue| queue.len() >= MAX_IDS);
        let of_first = || match self.entries.front() {
            Some(Entry::Waiting(_)) if self.entries.len() >= MOST_ROWS => {
                self.queues.iter().position(|queue| queue.values().flatten().any(|row| *row == self.first))
            }
            _ => None,
        };
        let any = || self.queues.iter().position(|queue| is_end && !queue.is_empty());
        full.or_else(of_first).or_else(any)
    }

    fn entry(&mut self, row: u64) -> Option<&mut Entry> {
        self.position(row).and_then(|at| self.entries.get_mut(at))
    }

    fn position(&self, row: u64) -> Option<usize> {
        usize::try_from(row.checked_sub(self.first)?).ok()
    }

    fn found(&mut self, row: u64, user: &IdentifiedUser) {
        if let Some(Entry::Waiting(waiting)) = self.entry(row)
            && !waiting.found.iter().any(|other| other.id == user.id)
        {
            waiting.found.push(user.clone());
        }
    }

    /// Asks for the address of a row whose ids have led to nobody, or decides.
    fn go_on(&mut self, row: u64) {
        let Some(entry) = self.position(row).and_then(|at| self.entries.get_mut(at)) else { return };
        let Entry::Waiting(waiting) = entry else { return };
        let keys = &waiting.row.keys;
        let is_by_ids = keys.clerk_id.is_some() || !waiting.found.is_empty();
        // An address that several rows have leads to nobody, whatever Clerk has.
        let is_of_use = self.rules.by_address && !is_by_ids && !keys.is_address_shared && !keys.is_deleted;
        if let Some(address) = keys.address.clone().filter(|_| is_of_use && !waiting.has_address_asked) {
            (waiting.open, waiting.has_address_asked) = (1, true);
            self.queues[ADDRESS].entry(address).or_default().push(row);
            return;
        }
        *entry = Entry::Decided((self.decide)(&waiting.row, &waiting.found));
    }
}

/// The values by which a request of this kind finds a user.
fn named_by(user: &IdentifiedUser, by: LookUp) -> Box<dyn Iterator<Item = &str> + '_> {
    match by {
        LookUp::Id => Box::new(std::iter::once(user.id.as_str())),
        LookUp::ExternalId => Box::new(user.external_id.as_deref().into_iter()),
        LookUp::Address => Box::new(user.addresses.iter().map(|address| address.text.as_str())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::outcome::Outcome;

    fn line(row: u64, user: Option<String>) -> Line {
        Line { row, place: String::new(), legacy_id: None, user, by: None, outcome: Outcome::Unchanged }
    }

    fn lookups() -> Lookups<impl Fn(&Pending, &[IdentifiedUser]) -> Line> {
        let rules = Rules { by_address: true, ..Rules::default() };
        Lookups::new(rules, |row, found| line(row.row, found.first().map(|user| user.id.to_string())))
    }

    fn row(number: u64, keys: Keys) -> Result<Pending, Line> {
        Ok(Pending {
            row: number,
            place: String::new(),
            legacy_id: None,
            keys,
            wanted: Ok(Vec::new()),
            has_bad_address: false,
        })
    }

    fn clerk_id(number: u64) -> Keys {
        Keys { clerk_id: Some(format!("user_{number}")), ..Keys::default() }
    }

    #[test]
    fn a_request_waits_until_it_is_full_or_ten_thousand_rows_wait_for_it() {
        let mut lookups = lookups();
        for number in 0..99 {
            lookups.add(row(number, clerk_id(number)));
        }
        assert_eq!((lookups.next_kind(false), lookups.next_kind(true)), (None, Some(0)));
        lookups.add(row(99, clerk_id(99)));
        assert_eq!((lookups.next_kind(false), lookups.pop()), (Some(0), None));

        let mut lookups = super::tests::lookups();
        lookups.add(Err(line(0, None)));
        assert_eq!(lookups.pop(), Some(line(0, None)));
        lookups.add(row(1, clerk_id(1)));
        for number in 2..=9_999 {
            lookups.add(Err(line(number, None)));
        }
        assert_eq!(lookups.next_kind(false), None);
        lookups.add(Err(line(10_000, None)));
        assert_eq!(lookups.next_kind(false), Some(0));
    }

    #[test]
    fn an_address_is_asked_for_only_if_it_can_decide() {
        let address = Keys { address: Some("a@x.org".into()), ..Keys::default() };
        for (keys, kinds) in [
            (address.clone(), [0, 0, 1]),
            (Keys { is_address_shared: true, ..address.clone() }, [0, 0, 0]),
            (Keys { is_deleted: true, clerk_id: Some("user_1".into()), ..address.clone() }, [0, 0, 0]),
            // The row has said who its user is.
            (Keys { clerk_id: Some("not an id".into()), ..address.clone() }, [0, 0, 0]),
            (Keys { clerk_id: Some("user_1".into()), legacy_id: Some("1".into()), ..address }, [1, 1, 0]),
        ] {
            let mut lookups = lookups();
            lookups.add(row(1, keys.clone()));
            assert_eq!(lookups.queues.each_ref().map(BTreeMap::len), kinds, "{keys:?}");
            assert_eq!(lookups.pop().is_some(), kinds == [0, 0, 0], "{keys:?}");
        }
    }
}
