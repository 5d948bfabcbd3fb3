//! Why something was not applied, answered or done. Functions log a [`Reason`] by its name; `reasons` says what it means.
//! The conversions match every outcome of the core, so that an outcome without a reason does not compile; the errors of
//! adapters and services have their own, `reason()`.

use serde::Serialize;
use strum::{EnumString, IntoStaticStr, VariantArray};

use crate::core::ensure::admission;
use crate::core::mirror::item::Item;
use crate::core::mirror::rank::Rank;
use crate::core::mirror::rule::Outcome;
use crate::core::reconcile::presence::Presence;

/// Why something was not applied, answered or done.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EnumString, IntoStaticStr, VariantArray, Serialize,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum Reason {
    // An event that was answered without a write.
    /// The same state was stored already.
    Duplicate,
    /// A later state was stored.
    LaterState,
    /// The entity was deleted, and a deletion outranks every live state of its generation.
    AlreadyDeleted,
    /// A later membership of the same user and organization was stored.
    LaterMembership,
    /// All effects of the deletion are complete, or the purge has begun: the row is final.
    Final,
    /// Clerk was asked and did not have the entity.
    Gone,
    /// Clerk was asked and had the entity, in no later state than the stored one.
    NothingNewer,
    /// Only Clerk's state decides, and the event was answered without it. Never logged.
    Tie,
    /// Only Clerk knows whether the entity exists, and the event was answered without it. Never logged.
    Unproven,
    /// `MIRROR=off`.
    NotCopied,
    /// An event type that is not about a copied entity.
    TypeIgnored,

    // A delivery that was not processed.
    /// Not signed by Clerk, too old, too large, or not a request of Svix.
    Untrusted,
    /// Another instance sent the event.
    Foreign,
    /// The event could not be read.
    Quarantined,

    // Failures. Svix, the stream or the next run tries again.
    StoreUnavailable,
    StoreRejected,
    StoreUnreadable,
    ClerkUnavailable,
    ClerkUnauthorized,
    ClerkRejected,
    ClerkUnreadable,
    ClerkForeign,
    OrganizationsOff,
    /// Clerk returned an older state than that of the event.
    ClerkBehind,
    /// A deleted membership without `created_at`.
    Undated,
    /// Other writers changed the row at every attempt.
    Contended,

    // Callers. The names are the codes of the answers.
    UserDeleted,
    UserBanned,
    UserDeprovisioned,
    UserNotFound,
    UserNotSynced,
    UserNotAsked,
    OrganizationNotSynced,
    /// No valid session.
    Unauthenticated,
    /// The request of a caller was wrong, whatever the row.
    RequestRejected,
    /// The request of a caller failed.
    RequestFailed,
    /// Clerk could not be asked about a caller, who got what is stored.
    ServedFromCopy,

    // Runs of reconcile.
    Conflict,
    Ahead,
    /// Clerk gave neither a confirmation of the absence nor the entity.
    Unconfirmed,
    /// An entry of Clerk's list cannot be read.
    UnreadableInClerk,

    // Effects.
    RowUnreadable,
    RowRemoved,
    KeyMismatch,
    MembershipNotDeleted,
    PurgeFailed,
    PurgeWaits,
    TableMissing,
    WriteBackFailed,
    WriteBackConflict,
    UndoFailed,

    /// A line of another release.
    Unknown,
}

/// What an event offered, and what it met.
#[derive(Clone, Copy, Debug)]
pub struct Met<'a> {
    /// The outcome; nothing if entities of this kind are not stored.
    pub outcome: Option<Outcome>,
    /// The rank that was offered last.
    pub offered: Option<Rank>,
    /// The stored row, as far as it was read.
    pub stored: Option<&'a Item>,
    /// Whether Clerk has the entity; nothing if Clerk was not asked.
    pub in_clerk: Option<bool>,
}

/// Why Clerk was asked about an event.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EnumString, IntoStaticStr, VariantArray, Serialize,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum Asked {
    /// The event was late, and its entity or generation was not stored.
    Late,
    /// The event lacked a time, or its time was later than its own envelope.
    Untimed,
    /// The event left open whether the user may be admitted.
    Unclear,
    /// Another state with the same time was stored.
    Tie,
}

impl Asked {
    /// The name in logs.
    pub const fn name(self) -> &'static str {
        self.into_str()
    }

    /// Why Clerk was asked after a write with the rank `offered`, which met the rank `stored`.
    pub fn after(offered: Option<Rank>, stored: Option<Rank>) -> Asked {
        match offered.zip(stored) {
            Some((offered, stored)) if stored.generation >= offered.generation => Asked::Tie,
            Some(_) | None => Asked::Late,
        }
    }
}

impl Reason {
    /// The name in logs.
    pub const fn name(self) -> &'static str {
        self.into_str()
    }

    /// Why an event was not applied; nothing if it was.
    pub fn of_event(met: &Met<'_>) -> Option<Reason> {
        Some(match met.outcome {
            None => Reason::NotCopied,
            Some(Outcome::Applied) => return None,
            Some(Outcome::Duplicate) => Reason::Duplicate,
            Some(Outcome::Superseded) => superseded(met),
            Some(Outcome::Tie) => Reason::Tie,
            Some(Outcome::Unproven) => Reason::Unproven,
        })
    }

    /// What a run reports about a row without repairing it; nothing about a row that it repairs or that agrees.
    pub fn of_row(found: Presence) -> Option<Reason> {
        match found {
            Presence::Conflict => Some(Reason::Conflict),
            Presence::Ahead => Some(Reason::Ahead),
            Presence::Unchanged | Presence::Missing | Presence::Outdated | Presence::Behind | Presence::Tied => None,
        }
    }
}

impl From<admission::Refusal> for Reason {
    fn from(refusal: admission::Refusal) -> Reason {
        match refusal {
            admission::Refusal::Deleted => Reason::UserDeleted,
            admission::Refusal::Banned => Reason::UserBanned,
            admission::Refusal::Deprovisioned => Reason::UserDeprovisioned,
            admission::Refusal::NotFound => Reason::UserNotFound,
            admission::Refusal::NotSynced => Reason::UserNotSynced,
            admission::Refusal::NotAsked => Reason::UserNotAsked,
        }
    }
}

fn superseded(met: &Met<'_>) -> Reason {
    let Some(stored) = met.stored else { return Reason::Gone };
    if stored.is_finished() || stored.is_purging() {
        return Reason::Final;
    }
    if met.in_clerk == Some(false) {
        return Reason::Gone;
    }
    match met.offered {
        Some(offered) if stored.rank.generation > offered.generation => Reason::LaterMembership,
        Some(offered) if stored.rank > offered && stored.is_deleted() && !offered.is_deleted() => {
            Reason::AlreadyDeleted
        }
        Some(offered) if stored.rank > offered || met.in_clerk.is_none() => Reason::LaterState,
        Some(_) | None => Reason::NothingNewer,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;
    use crate::core::id::Key;
    use crate::core::millis::Millis;
    use crate::core::mirror::digest::Digest;
    use crate::core::mirror::item::{CONSEQUENCES_AT, Provenance, Writer};

    fn millis(value: i64) -> Millis {
        Millis::try_from(value).unwrap()
    }

    fn row(rank: Rank) -> Item {
        Item {
            key: Key { pk: "USER#1".to_owned(), sk: "ORG#1".to_owned() },
            rank,
            digest: Digest::tombstone(),
            provenance: Provenance { applied_at: millis(9), applied_by: Writer::Webhook, delivery_id: None },
            created_at: None,
            updated_at: None,
            deleted_at: None,
            fields: Map::new(),
        }
    }

    #[test]
    fn a_superseded_event_is_told_by_what_it_met() {
        let (live, dead) = (|g, v| Rank::live(millis(g), millis(v)), |g, v| Rank::deleted(millis(g), millis(v)));
        let finished = {
            let mut row = row(dead(0, 5));
            row.fields.insert(CONSEQUENCES_AT.to_owned(), 9.into());
            row
        };
        for (stored, offered, in_clerk, expected) in [
            (Some(row(live(0, 5))), Some(live(0, 4)), None, Reason::LaterState),
            (Some(row(dead(0, 5))), Some(live(0, 9)), None, Reason::AlreadyDeleted),
            (Some(row(dead(0, 5))), Some(dead(0, 4)), None, Reason::LaterState),
            (Some(row(live(7, 8))), Some(dead(6, 9)), None, Reason::LaterMembership),
            (Some(finished), Some(dead(0, 9)), None, Reason::Final),
            (None, Some(live(0, 4)), Some(false), Reason::Gone),
            (None, None, Some(false), Reason::Gone),
            (Some(row(live(0, 4))), Some(live(0, 4)), Some(true), Reason::NothingNewer),
            (Some(row(live(0, 4))), None, Some(true), Reason::NothingNewer),
            (Some(row(dead(0, 4))), None, Some(false), Reason::Gone),
        ] {
            let met = Met { outcome: Some(Outcome::Superseded), offered, stored: stored.as_ref(), in_clerk };
            assert_eq!(Reason::of_event(&met), Some(expected), "{met:?}");
        }
    }

    #[test]
    fn clerk_is_asked_about_a_late_event_or_about_a_tie() {
        let live = |g, v| Rank::live(millis(g), millis(v));
        for (offered, stored, expected) in [
            (Some(live(0, 4)), None, Asked::Late),
            (Some(live(5, 6)), Some(live(3, 4)), Asked::Late),
            (Some(live(3, 4)), Some(live(3, 4)), Asked::Tie),
        ] {
            assert_eq!(Asked::after(offered, stored), expected, "{offered:?} {stored:?}");
        }
        for asked in Asked::VARIANTS {
            assert_eq!(asked.name().parse::<Asked>().unwrap(), *asked);
        }
    }

    #[test]
    fn every_reason_has_a_name_of_its_own() {
        for reason in Reason::VARIANTS {
            assert_eq!(reason.name().parse::<Reason>().unwrap(), *reason);
        }
        for refusal in admission::Refusal::VARIANTS {
            assert_eq!(Reason::from(*refusal).name(), refusal.code(), "the log has the code of the answer");
        }
    }
}
