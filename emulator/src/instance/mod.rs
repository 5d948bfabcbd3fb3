//! The emulated instance: its users, organizations and memberships, and the only way to change them.
//!
//! Everything outside reads through the methods of [`Instance`] and changes through [`Change`], so that how entities
//! are kept (in memory, in indexes, one day generated on demand) is this module's business alone.

mod changes_to_organizations;
mod changes_to_users;
pub(crate) mod model;
pub(crate) mod render;
mod sessions;
pub(crate) mod snapshot;

use std::collections::{BTreeMap, BTreeSet, HashMap};

pub(crate) use changes_to_organizations::{NewMembership, NewOrganization, OrganizationEdit};
pub(crate) use changes_to_users::{Field, MetadataEdit, NewUser, UserEdit};
use fastrand::Rng;
use model::{Membership, Organization, Session, User};
use serde_json::Value;
pub use snapshot::SnapshotError;

use crate::{errors::ApiError, webhooks::Event};

/// `(created_at, id)`: the order of every list, with the id to tell those of one millisecond apart.
type Creation = (i64, String);

/// All entities with the indexes that the lists and the uniqueness rules need.
pub(crate) struct Instance {
    seed: u64,
    /// How many ids were issued. Part of the snapshot: an id is never issued twice.
    issued: u64,
    users: HashMap<String, User>,
    users_by_creation: BTreeSet<Creation>,
    identifiers: HashMap<String, String>,
    organizations: HashMap<String, Organization>,
    organizations_by_creation: BTreeSet<Creation>,
    slugs: HashMap<String, String>,
    memberships: HashMap<String, Membership>,
    memberships_by_creation: BTreeSet<Creation>,
    /// (organization, user) to membership.
    members: BTreeMap<(String, String), String>,
    /// (user, organization).
    organizations_of: BTreeSet<(String, String)>,
    members_counts: HashMap<String, usize>,
    /// By id, which is the order that the snapshot keeps.
    sessions: BTreeMap<String, Session>,
}

/// Which way a list runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Ascending,
    Descending,
}

impl Instance {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            issued: 0,
            users: HashMap::new(),
            users_by_creation: BTreeSet::new(),
            identifiers: HashMap::new(),
            organizations: HashMap::new(),
            organizations_by_creation: BTreeSet::new(),
            slugs: HashMap::new(),
            memberships: HashMap::new(),
            memberships_by_creation: BTreeSet::new(),
            members: BTreeMap::new(),
            organizations_of: BTreeSet::new(),
            members_counts: HashMap::new(),
            sessions: BTreeMap::new(),
        }
    }

    pub(crate) fn user(&self, id: &str) -> Option<&User> {
        self.users.get(id)
    }

    pub(crate) fn organization(&self, id: &str) -> Option<&Organization> {
        self.organizations.get(id)
    }

    /// Clerk takes an id or a slug wherever it reads one organization.
    pub(crate) fn organization_by_id_or_slug(&self, key: &str) -> Option<&Organization> {
        self.organizations.get(key).or_else(|| self.organizations.get(self.slugs.get(key)?))
    }

    pub(crate) fn is_member(&self, organization_id: &str, user_id: &str) -> bool {
        self.members.contains_key(&(organization_id.to_owned(), user_id.to_owned()))
    }

    pub(crate) fn membership(&self, organization_id: &str, user_id: &str) -> Option<&Membership> {
        let id = self.members.get(&(organization_id.to_owned(), user_id.to_owned()))?;
        self.memberships.get(id)
    }

    pub(crate) fn session(&self, id: &str) -> Option<&Session> {
        self.sessions.get(id)
    }

    pub(crate) fn members_count(&self, organization_id: &str) -> usize {
        self.members_counts.get(organization_id).copied().unwrap_or(0)
    }

    /// Users in the order of their creation, from behind `after` on.
    pub(crate) fn users(&self, direction: Direction, after: Option<&User>) -> impl Iterator<Item = &User> {
        let cursor = after.map(|user| (user.created_at, user.id.clone()));
        let order = in_order(&self.users_by_creation, direction, cursor);
        order.filter_map(|(_, id)| self.users.get(id))
    }

    pub(crate) fn organizations(&self, direction: Direction) -> impl Iterator<Item = &Organization> {
        let order = in_order(&self.organizations_by_creation, direction, None);
        order.filter_map(|(_, id)| self.organizations.get(id))
    }

    pub(crate) fn memberships(&self, direction: Direction) -> impl Iterator<Item = &Membership> {
        let order = in_order(&self.memberships_by_creation, direction, None);
        order.filter_map(|(_, id)| self.memberships.get(id))
    }

    /// The memberships of one organization, unordered.
    pub(crate) fn memberships_in(&self, organization_id: &str) -> impl Iterator<Item = &Membership> {
        let first = (organization_id.to_owned(), String::new());
        let pairs =
            self.members.range(first..).take_while(move |((organization, _), _)| organization == organization_id);
        pairs.filter_map(|(_, id)| self.memberships.get(id))
    }

    /// The memberships of one user, unordered.
    pub(crate) fn memberships_of(&self, user_id: &str) -> impl Iterator<Item = &Membership> {
        let first = (user_id.to_owned(), String::new());
        let pairs = self.organizations_of.range(first..).take_while(move |(user, _)| user == user_id);
        pairs.filter_map(|(user, organization)| {
            self.memberships.get(self.members.get(&(organization.clone(), user.clone()))?)
        })
    }

    /// An id in the shape of Clerk's: the prefix and 27 letters and digits.
    pub(crate) fn issue(&mut self, prefix: &str) -> String {
        format!("{prefix}_2{}", self.letters(26))
    }

    /// Letters and digits that depend on the seed and on how often this was asked before, on nothing else.
    pub(crate) fn letters(&mut self, length: usize) -> String {
        self.issued += 1;
        let mut dice = Rng::with_seed(self.seed ^ self.issued.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        std::iter::repeat_with(|| dice.alphanumeric()).take(length).collect()
    }

    fn insert_user(&mut self, user: User) {
        for key in user.identifiers() {
            self.identifiers.insert(key, user.id.clone());
        }
        self.users_by_creation.insert((user.created_at, user.id.clone()));
        self.users.insert(user.id.clone(), user);
    }

    fn remove_user(&mut self, id: &str) -> Option<User> {
        let user = self.users.remove(id)?;
        for key in user.identifiers() {
            self.identifiers.remove(&key);
        }
        self.users_by_creation.remove(&(user.created_at, user.id.clone()));
        Some(user)
    }

    fn insert_organization(&mut self, organization: Organization) {
        self.slugs.insert(organization.slug.clone(), organization.id.clone());
        self.organizations_by_creation.insert((organization.created_at, organization.id.clone()));
        self.organizations.insert(organization.id.clone(), organization);
    }

    fn remove_organization(&mut self, id: &str) -> Option<Organization> {
        let organization = self.organizations.remove(id)?;
        self.slugs.remove(&organization.slug);
        self.organizations_by_creation.remove(&(organization.created_at, organization.id.clone()));
        Some(organization)
    }

    fn insert_membership(&mut self, membership: Membership) {
        let (organization, user) = (membership.organization_id.clone(), membership.user_id.clone());
        *self.members_counts.entry(organization.clone()).or_default() += 1;
        self.organizations_of.insert((user.clone(), organization.clone()));
        self.members.insert((organization, user), membership.id.clone());
        self.memberships_by_creation.insert((membership.created_at, membership.id.clone()));
        self.memberships.insert(membership.id.clone(), membership);
    }

    fn remove_membership(&mut self, organization_id: &str, user_id: &str) -> Option<Membership> {
        let id = self.members.remove(&(organization_id.to_owned(), user_id.to_owned()))?;
        let membership = self.memberships.remove(&id)?;
        if let Some(count) = self.members_counts.get_mut(organization_id) {
            *count -= 1;
        }
        self.organizations_of.remove(&(user_id.to_owned(), organization_id.to_owned()));
        self.memberships_by_creation.remove(&(membership.created_at, id));
        Some(membership)
    }
}

fn in_order(
    index: &BTreeSet<Creation>,
    direction: Direction,
    after: Option<Creation>,
) -> Box<dyn Iterator<Item = &Creation> + '_> {
    use std::ops::Bound::{Excluded, Unbounded};
    match (direction, after) {
        (Direction::Ascending, None) => Box::new(index.iter()),
        (Direction::Ascending, Some(cursor)) => Box::new(index.range((Excluded(cursor), Unbounded))),
        (Direction::Descending, None) => Box::new(index.iter().rev()),
        (Direction::Descending, Some(cursor)) => Box::new(index.range(..cursor).rev()),
    }
}

/// One change at one moment. It collects the events that the change gives rise to, in their order.
pub(crate) struct Change<'a> {
    instance: &'a mut Instance,
    now: i64,
    /// Whether a deleted user's or organization's memberships are announced, too.
    cascade_membership_events: bool,
    events: Vec<Event>,
}

impl<'a> Change<'a> {
    pub(crate) fn at(now: i64, instance: &'a mut Instance, cascade_membership_events: bool) -> Self {
        Self { instance, now, cascade_membership_events, events: Vec::new() }
    }

    pub(crate) fn into_events(self) -> Vec<Event> {
        self.events
    }

    fn emit(&mut self, kind: &'static str, entity_id: &str, data: Value) {
        self.events.push(Event { kind, entity_id: entity_id.to_owned(), data });
    }

    /// A change never moves `updated_at` back, but two within one millisecond share it.
    fn later(&self, updated_at: i64) -> i64 {
        self.now.max(updated_at)
    }

    fn existing_user(&self, id: &str) -> Result<User, ApiError> {
        self.instance.user(id).cloned().ok_or_else(|| ApiError::not_found("user", id))
    }

    fn existing_organization(&self, key: &str) -> Result<Organization, ApiError> {
        let found = self.instance.organization_by_id_or_slug(key).cloned();
        found.ok_or_else(|| ApiError::not_found("organization", key))
    }

    fn existing_membership(&self, organization_id: &str, user_id: &str) -> Result<Membership, ApiError> {
        let found = self.instance.membership(organization_id, user_id).cloned();
        found.ok_or_else(|| ApiError::not_found("organization membership of user", user_id))
    }
}
