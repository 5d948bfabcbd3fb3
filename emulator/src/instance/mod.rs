//! The emulated instance: its users, organizations and memberships, and the only way to change them.
//!
//! Other modules read through the methods of [`Instance`] and change through [`Change`]. Only this module contains how
//! entities are stored (in memory, in indexes, generated on demand).

mod changes_to_organizations;
mod changes_to_users;
mod collection;
mod generated;
pub(crate) mod model;
pub(crate) mod render;
mod sessions;
pub(crate) mod snapshot;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap},
};

pub(crate) use changes_to_organizations::{NewMembership, NewOrganization, OrganizationEdit};
pub(crate) use changes_to_users::{Field, MetadataEdit, NewUser, UserEdit};
use collection::Collection;
pub(crate) use collection::{Direction, Rows, Window};
use fastrand::Rng;
pub use generated::GeneratedError;
use generated::Population;
use model::{Membership, Organization, Session, User};
use serde_json::Value;
pub use snapshot::SnapshotError;

use crate::{config::Generated, errors::ApiError, faults::Variants, webhooks::Event};

/// All entities with the indexes for lists and unique attributes. The indexes contain the stored entities only: the
/// positions of generated entities are computed.
pub(crate) struct Instance {
    seed: u64,
    /// The number of issued ids. It is part of the snapshot: an id is never issued twice.
    issued: u64,
    population: Population,
    users: Collection<User>,
    identifiers: HashMap<String, String>,
    organizations: Collection<Organization>,
    slugs: HashMap<String, String>,
    memberships: Collection<Membership>,
    /// (organization, user) to membership.
    members: BTreeMap<(String, String), String>,
    /// (user, organization).
    organizations_of: BTreeSet<(String, String)>,
    members_counts: HashMap<String, usize>,
    /// The generated memberships that were changed or removed, by organization.
    withdrawn_members: HashMap<u64, BTreeSet<u64>>,
    /// By id, the order of the snapshot.
    sessions: BTreeMap<String, Session>,
}

/// Most organizations have no withdrawn memberships.
static NONE_WITHDRAWN: BTreeSet<u64> = BTreeSet::new();

impl Instance {
    pub(crate) fn new(seed: u64) -> Self {
        Self::with_population(seed, Population::empty())
    }

    pub(crate) fn generated(seed: u64, size: Generated) -> Result<Self, GeneratedError> {
        Ok(Self::with_population(seed, Population::new(seed, size)?))
    }

    fn with_population(seed: u64, population: Population) -> Self {
        Self {
            seed,
            issued: 0,
            population,
            users: Collection::new(population),
            identifiers: HashMap::new(),
            organizations: Collection::new(population),
            slugs: HashMap::new(),
            memberships: Collection::new(population),
            members: BTreeMap::new(),
            organizations_of: BTreeSet::new(),
            members_counts: HashMap::new(),
            withdrawn_members: HashMap::new(),
            sessions: BTreeMap::new(),
        }
    }

    pub(crate) fn user(&self, id: &str) -> Option<Cow<'_, User>> {
        self.users.get(id)
    }

    /// The id of the user with this key: see [`User::identifiers`].
    pub(crate) fn user_with(&self, identifier: &str) -> Option<Cow<'_, str>> {
        let kept = self.identifiers.get(identifier).map(|id| Cow::Borrowed(id.as_str()));
        kept.or_else(|| {
            let number = self.population.user_with(identifier)?;
            self.users.generated(number).map(|user| Cow::Owned(user.id.clone()))
        })
    }

    pub(crate) fn organization(&self, id: &str) -> Option<Cow<'_, Organization>> {
        self.organizations.get(id)
    }

    /// Clerk takes an id or a slug wherever it reads one organization.
    pub(crate) fn organization_by_id_or_slug(&self, key: &str) -> Option<Cow<'_, Organization>> {
        self.organizations.get(key).or_else(|| self.organization_with_slug(key))
    }

    pub(crate) fn organization_with_slug(&self, slug: &str) -> Option<Cow<'_, Organization>> {
        let generated = || self.organizations.generated(self.population.organization_with_slug(slug)?);
        self.slugs.get(slug).and_then(|id| self.organizations.get(id)).or_else(generated)
    }

    pub(crate) fn is_member(&self, organization_id: &str, user_id: &str) -> bool {
        self.members.contains_key(&(organization_id.to_owned(), user_id.to_owned()))
            || self.generated_member(organization_id, user_id).is_some()
    }

    pub(crate) fn membership(&self, organization_id: &str, user_id: &str) -> Option<Cow<'_, Membership>> {
        let generated = || self.memberships.generated(self.generated_member(organization_id, user_id)?);
        match self.members.get(&(organization_id.to_owned(), user_id.to_owned())) {
            Some(id) => self.memberships.get(id),
            None => generated(),
        }
    }

    /// The number of a generated membership that was not changed or removed.
    fn generated_member(&self, organization_id: &str, user_id: &str) -> Option<u64> {
        let organization = self.population.organization_number(organization_id)?;
        let user = self.population.user_number(user_id)?;
        let number = self.population.membership_number(organization, user)?;
        self.memberships.still_generated(number).then_some(number)
    }

    pub(crate) fn session(&self, id: &str) -> Option<&Session> {
        self.sessions.get(id)
    }

    pub(crate) fn members_count(&self, organization_id: &str) -> usize {
        let kept = self.members_counts.get(organization_id).copied().unwrap_or(0);
        let Some(number) = self.population.organization_number(organization_id) else { return kept };
        let generated = self.population.members_before(number, self.population.size().memberships);
        kept + usize::try_from(generated).unwrap_or(usize::MAX) - self.withdrawn_in(number).len()
    }

    fn withdrawn_in(&self, organization: u64) -> &BTreeSet<u64> {
        self.withdrawn_members.get(&organization).unwrap_or(&NONE_WITHDRAWN)
    }

    pub(crate) fn users_count(&self) -> usize {
        self.users.len()
    }

    pub(crate) fn organizations_count(&self) -> usize {
        self.organizations.len()
    }

    pub(crate) fn memberships_count(&self) -> usize {
        self.memberships.len()
    }

    /// Users in the order of their creation.
    pub(crate) fn users(&self, direction: Direction, window: &Window) -> Rows<'_, User> {
        self.users.rows(direction, window)
    }

    pub(crate) fn organizations(&self, direction: Direction) -> Rows<'_, Organization> {
        self.organizations.rows(direction, &Window::default())
    }

    pub(crate) fn memberships(&self, direction: Direction) -> Rows<'_, Membership> {
        self.memberships.rows(direction, &Window::default())
    }

    /// The memberships of one organization.
    pub(crate) fn memberships_in<'a>(&'a self, organization_id: &'a str, direction: Direction) -> Rows<'a, Membership> {
        let first = (organization_id.to_owned(), String::new());
        let pairs =
            self.members.range(first..).take_while(move |((organization, _), _)| organization == organization_id);
        let kept = pairs.map(|(_, id)| id.as_str());
        let number = self.population.organization_number(organization_id);
        let withdrawn = number.map_or(&NONE_WITHDRAWN, |number| self.withdrawn_in(number));
        self.memberships.rows_in(number, direction, withdrawn, kept)
    }

    /// The memberships of one user, unordered.
    pub(crate) fn memberships_of<'a>(&'a self, user_id: &'a str) -> impl Iterator<Item = Cow<'a, Membership>> {
        let first = (user_id.to_owned(), String::new());
        let pairs = self.organizations_of.range(first..).take_while(move |(user, _)| user == user_id);
        let kept = pairs.filter_map(|(user, organization)| {
            self.memberships.get(self.members.get(&(organization.clone(), user.clone()))?)
        });
        let numbers = self.population.user_number(user_id).map(|user| self.population.memberships_of(user));
        let generated = numbers.into_iter().flatten().filter_map(|number| self.memberships.generated(number));
        kept.chain(generated)
    }

    /// An id in the shape of Clerk's: the prefix and 27 letters and digits.
    pub(crate) fn issue(&mut self, prefix: &str) -> String {
        format!("{prefix}_2{}", self.letters(26))
    }

    /// Letters and digits that depend only on the seed and on the number of earlier calls.
    pub(crate) fn letters(&mut self, length: usize) -> String {
        self.issued += 1;
        let mut random = Rng::with_seed(self.seed ^ self.issued.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        std::iter::repeat_with(|| random.alphanumeric()).take(length).collect()
    }

    fn insert_user(&mut self, user: User) {
        for key in user.identifiers() {
            self.identifiers.insert(key, user.id.clone());
        }
        self.users.insert(user);
    }

    fn remove_user(&mut self, id: &str) -> Option<User> {
        let user = self.users.remove(id)?;
        for key in user.identifiers() {
            self.identifiers.remove(&key);
        }
        Some(user)
    }

    fn insert_organization(&mut self, organization: Organization) {
        self.slugs.insert(organization.slug.clone(), organization.id.clone());
        self.organizations.insert(organization);
    }

    fn remove_organization(&mut self, id: &str) -> Option<Organization> {
        let organization = self.organizations.remove(id)?;
        self.slugs.remove(&organization.slug);
        Some(organization)
    }

    fn insert_membership(&mut self, membership: Membership) {
        let (organization, user) = (membership.organization_id.clone(), membership.user_id.clone());
        *self.members_counts.entry(organization.clone()).or_default() += 1;
        self.organizations_of.insert((user.clone(), organization.clone()));
        self.members.insert((organization, user), membership.id.clone());
        self.memberships.insert(membership);
    }

    fn remove_membership(&mut self, organization_id: &str, user_id: &str) -> Option<Membership> {
        if let Some(number) = self.generated_member(organization_id, user_id) {
            let membership = self.memberships.generated(number)?.into_owned();
            let (organization, _) = self.population.pair(number);
            self.withdrawn_members.entry(organization).or_default().insert(number);
            return self.memberships.remove(&membership.id);
        }
        let id = self.members.remove(&(organization_id.to_owned(), user_id.to_owned()))?;
        let membership = self.memberships.remove(&id)?;
        if let Some(count) = self.members_counts.get_mut(organization_id) {
            *count -= 1;
        }
        self.organizations_of.remove(&(user_id.to_owned(), organization_id.to_owned()));
        Some(membership)
    }
}

/// One change at one time. It collects the events of the change in their order.
pub(crate) struct Change<'a> {
    instance: &'a mut Instance,
    now: i64,
    /// Whether events are sent for the memberships of a deleted user or organization.
    cascade_membership_events: bool,
    variants: Variants,
    events: Vec<Event>,
}

impl<'a> Change<'a> {
    pub(crate) fn at(
        now: i64,
        instance: &'a mut Instance,
        cascade_membership_events: bool,
        variants: Variants,
    ) -> Self {
        Self { instance, now, cascade_membership_events, variants, events: Vec::new() }
    }

    pub(crate) fn instance(&self) -> &Instance {
        self.instance
    }

    /// See [`Instance::letters`].
    pub(crate) fn letters(&mut self, length: usize) -> String {
        self.instance.letters(length)
    }

    pub(crate) fn into_events(self) -> Vec<Event> {
        self.events
    }

    fn emit(&mut self, kind: &'static str, entity_id: &str, data: Value) {
        self.events.push(Event { kind, entity_id: entity_id.to_owned(), data });
    }

    /// A change never moves `updated_at` back, but two within one millisecond share it. An entity that is created has
    /// the time of its creation.
    fn later(&self, updated_at: i64) -> i64 {
        if self.variants.frozen_updated_at { updated_at } else { self.now.max(updated_at) }
    }

    fn existing_user(&self, id: &str) -> Result<User, ApiError> {
        let found = self.instance.user(id).map(Cow::into_owned);
        found.ok_or_else(|| ApiError::not_found("user", id))
    }

    fn existing_organization(&self, key: &str) -> Result<Organization, ApiError> {
        let found = self.instance.organization_by_id_or_slug(key).map(Cow::into_owned);
        found.ok_or_else(|| ApiError::not_found("organization", key))
    }

    fn existing_membership(&self, organization_id: &str, user_id: &str) -> Result<Membership, ApiError> {
        let found = self.instance.membership(organization_id, user_id).map(Cow::into_owned);
        found.ok_or_else(|| ApiError::not_found("organization membership of user", user_id))
    }
}
