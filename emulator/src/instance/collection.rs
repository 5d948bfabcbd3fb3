//! All entities of one kind, stored and generated, sorted by creation time.
//!
//! A generated entity that is changed or removed is withdrawn from the population; a changed entity is stored. So every
//! list merges two sequences: the stored entities in their index, and between two of them a range of generated
//! entities, which are computed only when they are returned.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
    iter::Peekable,
    ops::{
        Bound::{self, Excluded, Unbounded},
        Range,
    },
};

use super::{
    generated::{EPOCH_MS, Population},
    model::{Membership, Organization, User},
};

/// `(created_at, id)`: the order of every list. The id orders entities of the same millisecond.
pub(crate) type Creation = (i64, String);

/// The direction of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Ascending,
    Descending,
}

/// The part of a list between two creations, both exclusive.
#[derive(Clone, Debug, Default)]
pub(crate) struct Window {
    pub(crate) above: Option<Creation>,
    pub(crate) below: Option<Creation>,
}

impl Window {
    /// Limits the window to the rows after a row, in a list of this direction.
    pub(crate) fn behind(mut self, cursor: Creation, direction: Direction) -> Self {
        match direction {
            Direction::Ascending => self.above = Some(self.above.map_or(cursor.clone(), |above| above.max(cursor))),
            Direction::Descending => self.below = Some(self.below.map_or(cursor.clone(), |below| below.min(cursor))),
        }
        self
    }

    pub(crate) fn contains(&self, creation: (i64, &str)) -> bool {
        self.above.as_ref().is_none_or(|above| creation > (above.0, above.1.as_str()))
            && self.below.as_ref().is_none_or(|below| creation < (below.0, below.1.as_str()))
    }
}

/// A kind of entities that can be generated.
pub(crate) trait Entity: Clone {
    const PREFIX: &'static str;

    fn id(&self) -> &str;
    fn created_at(&self) -> i64;
    fn count(population: &Population) -> u64;
    fn generated(population: &Population, number: u64) -> Self;
}

impl Entity for User {
    const PREFIX: &'static str = "user";

    fn id(&self) -> &str {
        &self.id
    }

    fn created_at(&self) -> i64 {
        self.created_at
    }

    fn count(population: &Population) -> u64 {
        population.size().users
    }

    fn generated(population: &Population, number: u64) -> Self {
        population.user(number)
    }
}

impl Entity for Organization {
    const PREFIX: &'static str = "org";

    fn id(&self) -> &str {
        &self.id
    }

    fn created_at(&self) -> i64 {
        self.created_at
    }

    fn count(population: &Population) -> u64 {
        population.size().organizations
    }

    fn generated(population: &Population, number: u64) -> Self {
        population.organization(number)
    }
}

impl Entity for Membership {
    const PREFIX: &'static str = "orgmem";

    fn id(&self) -> &str {
        &self.id
    }

    fn created_at(&self) -> i64 {
        self.created_at
    }

    fn count(population: &Population) -> u64 {
        population.size().memberships
    }

    fn generated(population: &Population, number: u64) -> Self {
        population.membership(number)
    }
}

/// All entities of one kind.
pub(super) struct Collection<T> {
    population: Population,
    /// The numbers of generated entities that were changed or removed.
    withdrawn: BTreeSet<u64>,
    kept: HashMap<String, T>,
    kept_by_creation: BTreeSet<Creation>,
}

impl<T: Entity> Collection<T> {
    pub(super) fn new(population: Population) -> Self {
        Self { population, withdrawn: BTreeSet::new(), kept: HashMap::new(), kept_by_creation: BTreeSet::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.kept.len() + usize::try_from(T::count(&self.population)).unwrap_or(usize::MAX) - self.withdrawn.len()
    }

    pub(super) fn get(&self, id: &str) -> Option<Cow<'_, T>> {
        let generated = || self.generated(self.population.number(T::PREFIX, id, T::count(&self.population))?);
        self.kept.get(id).map(Cow::Borrowed).or_else(generated)
    }

    /// The generated entity with this number, if it was not changed or removed.
    pub(super) fn generated(&self, number: u64) -> Option<Cow<'_, T>> {
        self.still_generated(number).then(|| Cow::Owned(T::generated(&self.population, number)))
    }

    pub(super) fn still_generated(&self, number: u64) -> bool {
        number < T::count(&self.population) && !self.withdrawn.contains(&number)
    }

    pub(super) fn insert(&mut self, entity: T) {
        self.kept_by_creation.insert((entity.created_at(), entity.id().to_owned()));
        self.kept.insert(entity.id().to_owned(), entity);
    }

    pub(super) fn remove(&mut self, id: &str) -> Option<T> {
        if let Some(entity) = self.kept.remove(id) {
            self.kept_by_creation.remove(&(entity.created_at(), id.to_owned()));
            return Some(entity);
        }
        let number = self.population.number(T::PREFIX, id, T::count(&self.population))?;
        self.withdrawn.insert(number).then(|| T::generated(&self.population, number))
    }

    /// The entities in the window, in the order of creation.
    pub(super) fn rows(&self, direction: Direction, window: &Window) -> Rows<'_, T> {
        let ends = (bound(window.above.as_ref()), bound(window.below.as_ref()));
        let nothing = window.above.as_ref().zip(window.below.as_ref()).is_some_and(|(above, below)| above >= below);
        let kept: Box<dyn Iterator<Item = &Creation>> = match direction {
            // A range whose end is before its start would panic.
            _ if nothing => Box::new(std::iter::empty()),
            Direction::Ascending => Box::new(self.kept_by_creation.range(ends)),
            Direction::Descending => Box::new(self.kept_by_creation.range(ends).rev()),
        };
        let end = window.below.as_ref().map_or(u64::MAX, |below| self.numbers_before((below.0, &below.1), false));
        let start = window.above.as_ref().map_or(0, |above| self.numbers_before((above.0, &above.1), true));
        let kept = Box::new(kept.map(|(at, id)| (*at, id.as_str())));
        self.merged(direction, start..end, &self.withdrawn, None, kept)
    }

    /// The memberships of one organization: generated ones, and the given stored ones in any order.
    pub(super) fn rows_in<'a>(
        &'a self,
        organization: Option<u64>,
        direction: Direction,
        withdrawn: &'a BTreeSet<u64>,
        kept: impl Iterator<Item = &'a str>,
    ) -> Rows<'a, T> {
        let mut kept: Vec<_> = kept.filter_map(|id| Some((self.kept.get(id)?.created_at(), id))).collect();
        kept.sort_unstable();
        if direction == Direction::Descending {
            kept.reverse();
        }
        let numbers = if organization.is_some() { 0..u64::MAX } else { 0..0 };
        self.merged(direction, numbers, withdrawn, organization, Box::new(kept.into_iter()))
    }

    fn merged<'a>(
        &'a self,
        direction: Direction,
        numbers: Range<u64>,
        withdrawn: &'a BTreeSet<u64>,
        organization: Option<u64>,
        kept: Box<dyn Iterator<Item = (i64, &'a str)> + 'a>,
    ) -> Rows<'a, T> {
        let end = numbers.end.min(T::count(&self.population));
        let left = numbers.start.min(end)..end;
        Rows { all: self, direction, left, withdrawn, organization, kept: kept.peekable() }
    }

    /// The count of numbers created before this creation, or with it if `inclusive`.
    fn numbers_before(&self, (at, id): (i64, &str), inclusive: bool) -> u64 {
        let Ok(number) = u64::try_from(at.saturating_sub(EPOCH_MS)) else { return 0 };
        let same_moment = self.population.id(T::PREFIX, number);
        number + u64::from(same_moment.as_str() < id || (inclusive && same_moment == id))
    }
}

fn bound(end: Option<&Creation>) -> Bound<Creation> {
    end.map_or(Unbounded, |creation| Excluded(creation.clone()))
}

/// A list as an iterator. Skipping rows takes as many steps as there are stored and withdrawn entities among them,
/// however many generated entities lie between.
pub(crate) struct Rows<'a, T> {
    all: &'a Collection<T>,
    direction: Direction,
    /// The remaining numbers.
    left: Range<u64>,
    withdrawn: &'a BTreeSet<u64>,
    /// The organization to which the memberships are limited.
    organization: Option<u64>,
    kept: Peekable<Box<dyn Iterator<Item = (i64, &'a str)> + 'a>>,
}

impl<T: Entity> Rows<'_, T> {
    /// The number of remaining rows.
    pub(crate) fn len(self) -> usize {
        let generated = self.place(self.left.end) - self.place(self.left.start);
        let withdrawn = self.withdrawn.range(self.left.clone()).count();
        usize::try_from(generated).unwrap_or(usize::MAX) - withdrawn + self.kept.count()
    }

    /// The number of generated rows with a smaller number, withdrawn ones included.
    fn place(&self, number: u64) -> u64 {
        match self.organization {
            None => number,
            Some(organization) => self.all.population.members_before(organization, number),
        }
    }

    /// The number of the generated row at this index.
    fn number_at(&self, place: u64) -> u64 {
        if self.organization.is_none() {
            return place;
        }
        let (mut low, mut high) = (self.left.start, self.left.end - 1);
        while low < high {
            let middle = low.midpoint(high);
            if self.place(middle + 1) > place {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    }

    /// The next numbers without a stored row between them, and whether a withdrawn number ends the range.
    fn run(&mut self) -> (Range<u64>, bool) {
        let Range { start, end } = self.left;
        let kept = self.kept.peek().map(|creation| self.all.numbers_before(*creation, false).clamp(start, end));
        let mut withdrawn = self.withdrawn.range(start..end);
        match self.direction {
            Direction::Ascending => {
                let stop = kept.unwrap_or(end);
                match withdrawn.next().filter(|gap| **gap < stop) {
                    Some(gap) => (start..*gap, true),
                    None => (start..stop, false),
                }
            }
            Direction::Descending => {
                let stop = kept.unwrap_or(start);
                match withdrawn.next_back().filter(|gap| **gap >= stop) {
                    Some(gap) => (*gap + 1..end, true),
                    None => (stop..end, false),
                }
            }
        }
    }
}

impl<'a, T: Entity> Iterator for Rows<'a, T> {
    type Item = Cow<'a, T>;

    fn next(&mut self) -> Option<Self::Item> {
        self.nth(0)
    }

    /// `skip` calls this, too.
    fn nth(&mut self, rows: usize) -> Option<Self::Item> {
        let mut rows = rows as u64;
        loop {
            let (run, ends_in_gap) = self.run();
            let (first, behind) = (self.place(run.start), self.place(run.end));
            if rows < behind - first {
                let number = match self.direction {
                    Direction::Ascending => self.number_at(first + rows),
                    Direction::Descending => self.number_at(behind - 1 - rows),
                };
                match self.direction {
                    Direction::Ascending => self.left.start = number + 1,
                    Direction::Descending => self.left.end = number,
                }
                return Some(Cow::Owned(T::generated(&self.all.population, number)));
            }
            rows -= behind - first;
            match self.direction {
                Direction::Ascending => self.left.start = run.end + u64::from(ends_in_gap),
                Direction::Descending => self.left.end = run.start - u64::from(ends_in_gap),
            }
            if ends_in_gap {
                continue;
            }
            let (_, id) = self.kept.next()?;
            if rows == 0 {
                return self.all.kept.get(id).map(Cow::Borrowed);
            }
            rows -= 1;
        }
    }
}
