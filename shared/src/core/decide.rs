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
    /// The payload lacks the date that its generation needs: fetch the entity, apply what comes.
    Fetch {
        /// Whether the event says that the entity ended.
        ended: bool,
    },
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

impl Write {
    /// A write that keeps nothing of what it replaces.
    #[must_use]
    pub fn new(item: Item, guard: Guard) -> Write {
        Write { item, guard, retained: None }
    }
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
    /// Clerk's answer is older than the event that asked for it, as a lagging replica's is: ask again later.
    Wait,
    /// Something ended, and nobody says of which generation it was.
    Undated,
}

/// What an event had to say, for weighing Clerk's answer against it.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// This state, or this end.
    Dated(Stamp),
    /// Something without a date, by which an entity ended or not.
    Undated {
        /// Whether it ended.
        ended: bool,
    },
}

/// Which write an event asks for. `now` decides nothing but whether the event is late.
#[must_use]
pub fn plan(dated: Dated, policy: Policy, context: &Context<'_>, now: Millis) -> Plan {
    let Dated { event, sent_at } = dated;
    let guard = if now.since(sent_at) > LATE_AFTER { Guard::NewerAndKnown } else { Guard::Newer };
    let live = |item| Plan::Write(Box::new(Write::new(item, guard)));
    match event {
        Event::User(_) | Event::Membership(_) | Event::MembershipDeleted(_) if !policy.mirror => Plan::Ignore,
        Event::User(user) => live(context.user(user)),
        Event::Organization(organization) => live(context.organization(organization)),
        Event::Membership(membership) => context.membership(membership).map_or(Plan::Fetch { ended: false }, live),
        Event::UserDeleted(_) | Event::OrganizationDeleted(_) | Event::MembershipDeleted(_) => {
            let generation = match &event {
                Event::MembershipDeleted(membership) => membership.created_at,
                _ => Some(Millis::ZERO),
            };
            let Some(generation) = generation else {
                return Plan::Fetch { ended: true };
            };
            let (entity, membership_id) = (event.entity(), event.membership_id().cloned());
            // Without a mirror there is nothing to keep of a user but the fact of the deletion.
            let unmirrored = !policy.mirror && matches!(event, Event::UserDeleted(_));
            let policy = if unmirrored { DeletionPolicy::Purge } else { policy.deletion };
            Plan::Write(Box::new(tombstone(
                Deletion { entity, membership_id, generation, at: sent_at },
                policy,
                context,
            )))
        }
    }
}

/// The write of a tombstone. One that keeps what is stored must know it: its first attempt succeeds only where nothing
/// is, and its refusal brings the stored item along, so that no read is needed.
#[must_use]
pub fn tombstone(deletion: Deletion, policy: DeletionPolicy, context: &Context<'_>) -> Write {
    let item = deletion.tombstone(policy, None, context);
    match policy {
        DeletionPolicy::Retain => Write { item, guard: Guard::Absent, retained: Some(deletion) },
        DeletionPolicy::Redact | DeletionPolicy::Purge => Write::new(item, Guard::Newer),
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

/// What to do with the entity that Clerk answered. `stored` is the item read before the question was asked, `said` what
/// the event had to say.
#[must_use]
pub fn fetched(entity: Option<clerk::Entity>, stored: Option<&Item>, said: &Said, context: &Context<'_>) -> Next {
    if entity.is_none() && *said == (Said::Undated { ended: true }) {
        return Next::Undated;
    }
    // Clerk has nothing, or a membership that it will not date: nothing is written. Reconcile ends what is left.
    let Some(item) = entity.and_then(|entity| context.entity(entity)) else {
        return Next::Settled(Outcome::Superseded);
    };
    let offered = Stamp::from(&item);
    if let Said::Dated(event) = said
        && event.membership_id == offered.membership_id
        && !event.rank.is_deleted()
        && offered.rank < event.rank
    {
        return Next::Wait;
    }
    let guard = match stored.map(Stamp::from) {
        Some(seen) if seen.is_finished => return Next::Settled(Outcome::Superseded),
        Some(seen) if same_generation_other_membership(&offered, &seen) => Guard::Exactly(seen.rank, seen.digest),
        Some(seen) if seen.rank > offered.rank => return Next::Settled(Outcome::Superseded),
        Some(seen) if seen.rank == offered.rank && seen.digest == offered.digest => {
            return Next::Settled(Outcome::Duplicate);
        }
        Some(seen) if seen.rank == offered.rank => Guard::NewerOrSeen(seen.digest),
        _ => Guard::Newer,
    };
    Next::Again(Box::new(Write::new(item, guard)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::Envelope;
    use crate::core::id::InstanceId;
    use crate::core::item::{Provenance, Writer};
    use crate::core::rank::Rank;
    use crate::core::roles::Roles;

    const SENT: i64 = 1_767_225_600_032;

    /// Plans a sample event of the repository, received `age` ms after it was sent, under a policy.
    fn planned(sample: &str, age: i64, deletion: DeletionPolicy, mirror: bool) -> Plan {
        let dated = Envelope::parse(sample.as_bytes()).unwrap().open().unwrap().unwrap();
        let now = Millis::try_from(i64::try_from(dated.sent_at.get()).unwrap() + age).unwrap();
        with_context(|context| plan(dated, Policy { deletion, mirror }, context, now))
    }

    fn with_context<T>(decide: impl FnOnce(&Context<'_>) -> T) -> T {
        let instance: InstanceId = "ins_1".parse().unwrap();
        let provenance = Provenance { applied_at: Millis::ZERO, applied_by: Writer::Webhook, delivery_id: None };
        decide(&Context { instance: &instance, roles: Roles::usual(), provenance: &provenance })
    }

    fn write(plan: Plan) -> Write {
        match plan {
            Plan::Write(write) => *write,
            other => panic!("{other:?}"),
        }
    }

    const USER: &str = include_str!("../../../events/user.created.json");
    const USER_DELETED: &str = include_str!("../../../events/user.deleted.json");
    const ORGANIZATION: &str = include_str!("../../../events/organization.created.json");
    const MEMBERSHIP: &str = include_str!("../../../events/organizationMembership.created.json");
    const MEMBERSHIP_DELETED: &str = include_str!("../../../events/organizationMembership.deleted.json");

    #[test]
    fn an_event_is_late_after_ten_minutes_and_a_deletion_never_is() {
        let limit = i64::try_from(LATE_AFTER).unwrap();
        for (age, guard) in
            [(-60_000, Guard::Newer), (0, Guard::Newer), (limit, Guard::Newer), (limit + 1, Guard::NewerAndKnown)]
        {
            for sample in [USER, ORGANIZATION, MEMBERSHIP] {
                assert_eq!(write(planned(sample, age, DeletionPolicy::Redact, true)).guard, guard, "{age}");
            }
            assert_eq!(write(planned(USER_DELETED, age, DeletionPolicy::Redact, true)).guard, Guard::Newer);
        }
    }

    #[test]
    fn a_mirror_that_is_off_keeps_the_end_of_a_user_alone() {
        for sample in [USER, MEMBERSHIP, MEMBERSHIP_DELETED] {
            assert_eq!(planned(sample, 0, DeletionPolicy::Retain, false), Plan::Ignore);
        }
        let end = write(planned(USER_DELETED, 0, DeletionPolicy::Retain, false));
        assert_eq!((end.guard, end.item.fields.len()), (Guard::Newer, 2));
        assert_eq!(write(planned(ORGANIZATION, 0, DeletionPolicy::Redact, false)).guard, Guard::Newer);
    }

    #[test]
    fn a_membership_without_a_date_is_fetched() {
        for (sample, ended) in [(MEMBERSHIP, false), (MEMBERSHIP_DELETED, true)] {
            let mut event: serde_json::Value = serde_json::from_str(sample).unwrap();
            event["data"]["created_at"] = serde_json::Value::Null;
            assert_eq!(planned(&event.to_string(), 0, DeletionPolicy::Redact, true), Plan::Fetch { ended });
            let nothing = with_context(|context| fetched(None, None, &Said::Undated { ended }, context));
            assert_eq!(nothing == Next::Undated, ended);
        }
    }

    #[test]
    fn a_retained_tombstone_replaces_exactly_what_its_refusal_showed() {
        let live = write(planned(USER, 0, DeletionPolicy::Retain, true)).item;
        let first = write(planned(USER_DELETED, 0, DeletionPolicy::Retain, true));
        assert_eq!(first.guard, Guard::Absent);
        let Next::Again(second) = with_context(|context| refused(&first, Some(&live), context)) else { panic!() };
        assert_eq!(second.guard, Guard::Exactly(live.rank, live.digest.clone()));
        assert_eq!(second.item.fields["name"], live.fields["name"]);
        // Once something greater is stored, it is superseded like every other delete.
        let mut greater = live;
        greater.rank = Rank::deleted(Millis::ZERO, Millis::MAX);
        let next = with_context(|context| refused(&second, Some(&greater), context));
        assert_eq!(next, Next::Settled(Outcome::Superseded));
    }

    #[test]
    fn what_clerk_answers_is_weighed_against_the_event_and_the_stored_item() {
        let answer = |updated_at: i64, name: &str| {
            let mut user: serde_json::Value = serde_json::from_str::<serde_json::Value>(USER).unwrap()["data"].clone();
            user["updated_at"] = updated_at.into();
            user["first_name"] = name.into();
            clerk::Entity::User(serde_json::from_value(user).unwrap())
        };
        let item = |updated_at, name| with_context(|context| context.entity(answer(updated_at, name)).unwrap());
        let (stored, event) = (item(SENT, "One"), Said::Dated(Stamp::from(&item(SENT, "Two"))));
        let next = |found, stored: Option<&Item>| with_context(|context| fetched(found, stored, &event, context));
        assert_eq!(next(None, Some(&stored)), Next::Settled(Outcome::Superseded));
        assert_eq!(next(Some(answer(SENT - 1, "Stale")), Some(&stored)), Next::Wait);
        assert_eq!(next(Some(answer(SENT, "One")), Some(&stored)), Next::Settled(Outcome::Duplicate));
        for (updated_at, stored, guard) in [
            (SENT, Some(&stored), Guard::NewerOrSeen(stored.digest.clone())),
            (SENT + 1, Some(&stored), Guard::Newer),
            (SENT, None, Guard::Newer),
        ] {
            let Next::Again(write) = next(Some(answer(updated_at, "Two")), stored) else { panic!("{updated_at}") };
            assert_eq!(write.guard, guard);
        }
        let tombstone = with_context(|context| {
            let entity = crate::core::id::EntityId::User("user_2nNG9rEYQoliquKw5eHQ9eFeurU".parse().unwrap());
            let at = Millis::try_from(1).unwrap();
            let deletion = Deletion { entity, membership_id: None, generation: Millis::ZERO, at };
            deletion.tombstone(DeletionPolicy::Redact, None, context)
        });
        assert_eq!(next(Some(answer(SENT, "Two")), Some(&tombstone)), Next::Settled(Outcome::Superseded));
    }
}
