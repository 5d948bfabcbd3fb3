//! Decisions of the webhook's path: which write an event asks for, and what a refused write means.

use super::clerk;
use super::event::{Dated, Event};
use super::item::Item;
use super::millis::Millis;
use super::projection::Context;
use super::rule::{Guard, Outcome, Stamp, same_generation_other_membership};
use super::tombstone::{Deletion, DeletionPolicy};

/// Beyond this age, in ms, a live event no longer creates anything: the delete that followed it may have been lost.
pub const LATE_AFTER: u64 = 10 * 60 * 1000;

/// The settings that decide what an event asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What a deletion leaves.
    pub deletion: DeletionPolicy,
    /// Whether live users and memberships are kept at all.
    pub mirror: bool,
}

/// What to do about an event.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan {
    /// Nothing.
    Ignore,
    /// One conditional write.
    Write(Box<Write>),
    /// Only Clerk can say: fetch the entity, apply what comes.
    Fetch,
}

/// One conditional write.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// What to store.
    pub item: Item,
    /// Under which condition.
    pub guard: Guard,
    /// The deletion whose tombstone keeps what was stored, if this is one.
    retained: Option<Deletion>,
}

/// What to do after a refused write.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Nothing: this is what became of it.
    Settled(Outcome),
    /// Write again, over the state now known.
    Again(Box<Write>),
    /// Only Clerk can say.
    Fetch,
}

/// Which write an event asks for. `now` decides nothing but whether the event is late.
#[must_use]
pub fn plan(dated: Dated, policy: Policy, context: &Context<'_>, now: Millis) -> Plan {
    let Dated { event, sent_at } = dated;
    let guard = if now.since(sent_at) > LATE_AFTER { Guard::NewerAndKnown } else { Guard::Newer };
    let live = |item| Plan::Write(Box::new(Write { item, guard, retained: None }));
    match event {
        Event::User(_) | Event::Membership(_) | Event::MembershipDeleted(_) if !policy.mirror => Plan::Ignore,
        Event::User(user) => live(context.user(user)),
        Event::Organization(organization) => live(context.organization(organization)),
        Event::Membership(membership) => context.membership(membership).map_or(Plan::Fetch, live),
        Event::UserDeleted(_) | Event::OrganizationDeleted(_) | Event::MembershipDeleted(_) => {
            let generation = match &event {
                Event::MembershipDeleted(membership) => membership.created_at,
                _ => Some(Millis::ZERO),
            };
            let Some(generation) = generation else {
                return Plan::Fetch;
            };
            let (entity, membership_id) = (event.entity(), event.membership_id().cloned());
            // Without a mirror there is nothing to keep of a user but the fact of the deletion.
            let unmirrored = !policy.mirror && matches!(event, Event::UserDeleted(_));
            let policy = if unmirrored { DeletionPolicy::Purge } else { policy.deletion };
            Plan::Write(Box::new(end(Deletion { entity, membership_id, generation, at: sent_at }, policy, context)))
        }
    }
}

/// The write of a tombstone. One that keeps what is stored must know it: its first attempt succeeds only where nothing
/// is, and its refusal brings the stored item along, so that no read is needed.
fn end(deletion: Deletion, policy: DeletionPolicy, context: &Context<'_>) -> Write {
    let item = deletion.tombstone(policy, None, context);
    match policy {
        DeletionPolicy::Retain => Write { item, guard: Guard::Absent, retained: Some(deletion) },
        DeletionPolicy::Redact | DeletionPolicy::Purge => Write { item, guard: Guard::Newer, retained: None },
    }
}

/// What a refused write means, given the item that stood in the way.
#[must_use]
pub fn refused(write: &Write, stored: Option<&Item>, context: &Context<'_>) -> Next {
    let (offered, seen) = (Stamp::from(&write.item), stored.map(Stamp::from));
    if let Some(deletion) = &write.retained
        && Guard::Newer.admits(&offered, seen.as_ref())
    {
        let item = deletion.tombstone(DeletionPolicy::Retain, stored, context);
        let guard = seen.map_or(Guard::Absent, |seen| Guard::Exactly(seen.rank, seen.digest));
        return Next::Again(Box::new(Write { item, guard, retained: write.retained.clone() }));
    }
    // A retained tombstone is judged as what it is, a signed delete.
    let guard = if write.retained.is_some() { &Guard::Newer } else { &write.guard };
    match guard.refusal(&offered, seen.as_ref()) {
        Outcome::Tie | Outcome::Unproven => Next::Fetch,
        settled => Next::Settled(settled),
    }
}

/// What to do with the entity that Clerk answered; `stored` is the item read before the question was asked.
#[must_use]
pub fn fetched(entity: Option<clerk::Entity>, stored: Option<&Item>, context: &Context<'_>) -> Next {
    // Clerk has nothing, or a membership that it will not date: nothing is written, and the deletion's own event or
    // reconcile ends it.
    let Some(item) = entity.and_then(|entity| context.entity(entity)) else {
        return Next::Settled(Outcome::Superseded);
    };
    let offered = Stamp::from(&item);
    let guard = match stored.map(Stamp::from) {
        Some(seen) if same_generation_other_membership(&offered, &seen) => Guard::Exactly(seen.rank, seen.digest),
        Some(seen) if seen.rank > offered.rank => return Next::Settled(Outcome::Superseded),
        Some(seen) if seen.rank == offered.rank && seen.digest == offered.digest => {
            return Next::Settled(Outcome::Duplicate);
        }
        Some(seen) if seen.rank == offered.rank => Guard::NewerOrSeen(seen.digest),
        _ => Guard::Newer,
    };
    Next::Again(Box::new(Write { item, guard, retained: None }))
}
