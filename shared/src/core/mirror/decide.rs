//! Decides which write an event needs, and what a failed condition means.

use super::item::Item;
use super::projection::Context;
use super::rule::{Guard, Outcome, Stamp, same_generation_other_membership};
use super::tombstone::{Deletion, DeletionPolicy};
use crate::core::clerk::event::{Dated, Event};
use crate::core::clerk::objects;
use crate::core::millis::Millis;

/// A live event that is older than this, in ms, creates no row: the later deletion event may have been lost.
pub const LATE_AFTER: u64 = 10 * 60 * 1000;
/// A live event whose `updated_at` is later than its own envelope by more than this, in ms, is not applied: its rank
/// would be greater than those of all later states.
pub const AHEAD_AFTER: u64 = 5 * 60 * 1000;

/// The settings for the decisions about an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The deletion policy.
    pub deletion: DeletionPolicy,
    /// Whether live users and memberships are stored.
    pub mirror: bool,
}

/// What to do about an event.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan {
    Ignore,
    Write(Box<Write>),
    /// Fetch the entity and apply Clerk's response: the payload lacks the time of its generation, leaves open whether
    /// the user may be admitted, or has implausible times.
    Fetch(Evidence),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    pub item: Item,
    pub guard: Guard,
    /// The deletion, if its tombstone keeps the stored contents.
    retained: Option<Deletion>,
}

impl Write {
    /// A write that keeps nothing of the replaced row.
    pub fn new(item: Item, guard: Guard) -> Write {
        Write { item, guard, retained: None }
    }
}

/// What to do after a failed condition.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Nothing: this is the final outcome.
    Settled(Outcome),
    /// Write again, with the state that is stored now.
    Again(Box<Write>),
    /// Ask Clerk: only its state decides.
    Fetch,
    /// Clerk's response is older than the event, as from a lagging replica: try again later.
    Wait,
    /// The generation of a deleted membership is unknown.
    Undated,
}

/// The state of an event, to compare it with Clerk's response.
#[derive(Clone, Debug, PartialEq)]
pub enum Evidence {
    /// A state or a deletion with a time.
    Dated(Stamp),
    /// A state or a deletion without a time.
    Undated { ended: bool },
}

/// The write that an event needs. `now` only decides whether the event is late.
pub fn plan(dated: Dated, policy: Policy, context: &Context<'_>, now: Millis) -> Plan {
    let Dated { event, sent_at } = dated;
    match event {
        Event::User(_) | Event::Membership(_) | Event::MembershipDeleted(_) if !policy.mirror => Plan::Ignore,
        Event::User(user) => {
            let is_unclear = user.is_unclear();
            live(Some(context.user(user)), is_unclear, sent_at, now)
        }
        Event::Organization(organization) => live(Some(context.organization(organization)), false, sent_at, now),
        Event::Membership(membership) => live(context.membership(membership), false, sent_at, now),
        Event::UserDeleted(_) | Event::OrganizationDeleted(_) | Event::MembershipDeleted(_) => {
            let generation = match &event {
                Event::MembershipDeleted(membership) => membership.created_at,
                _ => Some(Millis::ZERO),
            };
            // A membership cannot be created after its deletion: the rank of such a tombstone would be greater than
            // those of all later memberships.
            let believed = generation.zip(sent_at).filter(|(begun, ended)| !is_ahead(*begun, *ended));
            let Some((generation, sent_at)) = believed else {
                return Plan::Fetch(Evidence::Undated { ended: true });
            };
            let (entity, membership_id) = (event.entity(), event.membership_id().cloned());
            // Under `MIRROR=off` the tombstone of a user keeps only the fact of the deletion.
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

/// What a live event with this state needs; `is_unclear` if the state leaves open whether the user may be admitted.
fn live(item: Option<Item>, is_unclear: bool, sent_at: Option<Millis>, now: Millis) -> Plan {
    let believed = item
        .zip(sent_at)
        .filter(|(item, sent_at)| !is_ahead(item.rank.version, *sent_at) && !is_ahead(item.rank.generation, *sent_at));
    match believed {
        None => Plan::Fetch(Evidence::Undated { ended: false }),
        // Its time is valid: Clerk's response must not be older.
        Some((item, _)) if is_unclear => Plan::Fetch(Evidence::Dated(Stamp::from(&item))),
        Some((item, sent_at)) => {
            let is_late = now.since(sent_at) > LATE_AFTER;
            let guard = if is_late { Guard::NewerAndKnown } else { Guard::Newer };
            Plan::Write(Box::new(Write::new(item, guard)))
        }
    }
}

/// Whether a time in a payload is implausibly later than the payload's envelope.
fn is_ahead(date: Millis, sent_at: Millis) -> bool {
    date.since(sent_at) > AHEAD_AFTER
}

/// The write of a tombstone. A tombstone that keeps the stored contents needs them: its first attempt succeeds only if
/// no row exists, and the failed condition returns the stored row, so that no read is needed.
pub fn tombstone(deletion: Deletion, policy: DeletionPolicy, context: &Context<'_>) -> Write {
    let item = deletion.tombstone(policy, None, context);
    match policy {
        DeletionPolicy::Retain => Write { item, guard: Guard::Absent, retained: Some(deletion) },
        DeletionPolicy::Redact | DeletionPolicy::Purge => Write::new(item, Guard::Newer),
    }
}

/// What a failed condition means, given the stored row.
pub fn refused(write: &Write, stored: Option<&Item>, context: &Context<'_>) -> Next {
    let (offered, seen) = (Stamp::from(&write.item), stored.map(Stamp::from));
    if let Some(deletion) = &write.retained
        && Guard::Newer.admits(&offered, seen.as_ref())
    {
        let item = deletion.tombstone(DeletionPolicy::Retain, stored, context);
        let guard = seen.map_or(Guard::Absent, |seen| Guard::Exactly(seen.into()));
        return Next::Again(Box::new(Write { item, guard, retained: write.retained.clone() }));
    }
    // A tombstone that keeps contents is judged like other signed deletions.
    let guard = if write.retained.is_some() { &Guard::Newer } else { &write.guard };
    match guard.refusal(&offered, seen.as_ref()) {
        Outcome::Tie | Outcome::Unproven => Next::Fetch,
        settled => Next::Settled(settled),
    }
}

/// What to do with the entity in Clerk's response. `stored` is the row that was read before the request, `said` the
/// state of the event.
pub fn fetched(entity: Option<objects::Entity>, stored: Option<&Item>, said: &Evidence, context: &Context<'_>) -> Next {
    if entity.is_none() && *said == (Evidence::Undated { ended: true }) {
        return Next::Undated;
    }
    // Clerk has nothing, or a membership without a creation time: nothing is written. Reconcile deletes a remaining
    // row.
    let Some(item) = entity.and_then(|entity| context.entity(entity)) else {
        return Next::Settled(Outcome::Superseded);
    };
    let offered = Stamp::from(&item);
    if let Evidence::Dated(event) = said
        && event.membership_id == offered.membership_id
        && !event.rank.is_deleted()
        && offered.rank < event.rank
    {
        return Next::Wait;
    }
    let guard = match stored.map(Stamp::from) {
        Some(seen) if seen.is_finished => return Next::Settled(Outcome::Superseded),
        Some(seen) if same_generation_other_membership(&offered, &seen) => Guard::Exactly(seen.into()),
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
    use crate::core::clerk::event::Envelope;
    use crate::core::id::InstanceId;
    use crate::core::mirror::item::{Provenance, Writer};
    use crate::core::mirror::rank::Rank;
    use crate::core::mirror::roles::Roles;

    const SENT: i64 = 1_767_225_600_032;

    /// Plans a sample event of the repository, received `age` ms after it was sent, under a policy.
    fn planned(sample: &str, age: i64, deletion: DeletionPolicy, mirror: bool) -> Plan {
        let dated = Envelope::parse(sample.as_bytes()).unwrap().open().unwrap().unwrap();
        let sent_at = dated.sent_at.map_or(SENT, |sent_at| i64::try_from(sent_at.get()).unwrap());
        let now = Millis::try_from(sent_at + age).unwrap();
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

    const USER: &str = include_str!("../../../../events/user.created.json");
    const USER_DELETED: &str = include_str!("../../../../events/user.deleted.json");
    const ORGANIZATION: &str = include_str!("../../../../events/organization.created.json");
    const MEMBERSHIP: &str = include_str!("../../../../events/organizationMembership.created.json");
    const MEMBERSHIP_DELETED: &str = include_str!("../../../../events/organizationMembership.deleted.json");

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
            let fetch = Plan::Fetch(Evidence::Undated { ended });
            assert_eq!(planned(&event.to_string(), 0, DeletionPolicy::Redact, true), fetch);
            let nothing = with_context(|context| fetched(None, None, &Evidence::Undated { ended }, context));
            assert_eq!(nothing == Next::Undated, ended);
        }
    }

    /// A sample with one field of its data, or of its envelope, set to something else.
    fn altered(sample: &str, path: &str, value: &serde_json::Value) -> String {
        let mut event: serde_json::Value = serde_json::from_str(sample).unwrap();
        *event.pointer_mut(path).unwrap() = value.clone();
        event.to_string()
    }

    #[test]
    fn fault_s14_a_date_over_five_minutes_past_its_envelope_is_fetched_and_not_believed() {
        let sent_at =
            |sample: &str| Envelope::parse(sample.as_bytes()).unwrap().open().unwrap().unwrap().sent_at.unwrap().get();
        for (sample, path, ended) in [
            (USER, "/data/updated_at", false),
            (ORGANIZATION, "/data/updated_at", false),
            (MEMBERSHIP, "/data/updated_at", false),
            (MEMBERSHIP, "/data/created_at", false),
            (MEMBERSHIP_DELETED, "/data/created_at", true),
        ] {
            let limit = sent_at(sample) + AHEAD_AFTER;
            let plan = |at: u64| planned(&altered(sample, path, &at.into()), 0, DeletionPolicy::Redact, true);
            assert!(matches!(plan(limit), Plan::Write(_)), "{path}");
            for ahead in [limit + 1, 9_999_999_999_999] {
                assert_eq!(plan(ahead), Plan::Fetch(Evidence::Undated { ended }), "{path}");
            }
        }
        // The age of the event is unknown.
        let undated = altered(USER, "/timestamp", &serde_json::Value::Null);
        let fetch = Plan::Fetch(Evidence::Undated { ended: false });
        assert_eq!(planned(&undated, 0, DeletionPolicy::Redact, true), fetch);
    }

    #[test]
    fn fault_b7_an_event_that_leaves_open_who_is_let_in_is_fetched_at_no_earlier_state() {
        for field in ["banned", "locked", "deprovisioned"] {
            for unclear in
                [serde_json::json!(null), "no".into(), 0.into(), serde_json::json!({}), serde_json::json!([])]
            {
                let mut event: serde_json::Value = serde_json::from_str(USER).unwrap();
                event["data"][field] = unclear.clone();
                let plan = planned(&event.to_string(), 0, DeletionPolicy::Redact, true);
                let Plan::Fetch(Evidence::Dated(stamp)) = plan else { panic!("{field} {unclear}: {plan:?}") };
                assert_eq!(stamp.rank, Rank::live(Millis::ZERO, Millis::try_from(SENT - 17).unwrap()));
            }
            let mut event: serde_json::Value = serde_json::from_str(USER).unwrap();
            event["data"].as_object_mut().unwrap().remove(field);
            let item = write(planned(&event.to_string(), 0, DeletionPolicy::Redact, true)).item;
            assert_eq!((&item.fields["banned"], &item.fields["locked"]), (&false.into(), &false.into()));
        }
    }

    #[test]
    fn a_retained_tombstone_replaces_exactly_what_its_refusal_showed() {
        let live = write(planned(USER, 0, DeletionPolicy::Retain, true)).item;
        let first = write(planned(USER_DELETED, 0, DeletionPolicy::Retain, true));
        assert_eq!(first.guard, Guard::Absent);
        let Next::Again(second) = with_context(|context| refused(&first, Some(&live), context)) else { panic!() };
        assert_eq!(second.guard, Guard::Exactly((&live).into()));
        assert_eq!(second.item.fields["name"], live.fields["name"]);
        // If something greater is stored, it is superseded like other deletions.
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
            objects::Entity::User(serde_json::from_value(user).unwrap())
        };
        let item = |updated_at, name| with_context(|context| context.entity(answer(updated_at, name)).unwrap());
        let (stored, event) = (item(SENT, "One"), Evidence::Dated(Stamp::from(&item(SENT, "Two"))));
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
