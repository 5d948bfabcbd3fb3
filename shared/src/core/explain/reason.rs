//! Why something was not applied, answered or done. Functions log a [`Reason`] by its name; [`Reason::sentence`] says what
//! it means. The conversions match every outcome of the core, so that an outcome without a reason does not compile; the
//! errors of adapters and services have their own, `reason()`.

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
    /// Clerk was asked and had no later state than the stored one.
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
    /// Whether Clerk was asked.
    pub asked: bool,
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

    /// What it means, as a sentence without its subject's name.
    pub fn sentence(self) -> &'static str {
        match self {
            Reason::Duplicate => "the same state was stored already, so there was nothing to write.",
            Reason::LaterState => "a later state was stored already, so the older one was not written.",
            Reason::AlreadyDeleted => {
                "the row was a tombstone already. An event about a live state never replaces a tombstone."
            }
            Reason::LaterMembership => {
                "the user has left and joined again, and a later membership was stored already, so the event about \
                 the earlier membership was not applied."
            }
            Reason::Final => {
                "the deletion was final by then: no event changes such a tombstone, not even another deletion."
            }
            Reason::Gone => {
                "an event of this age does not prove that the entity exists, so Rollcall asked Clerk. Clerk did not have \
                 the entity, so nothing was written."
            }
            Reason::NothingNewer => "Clerk was asked, and had no later state than the stored one. Nothing was written.",
            Reason::Tie => "two different states have the same time, and Clerk was not asked which is right.",
            Reason::Unproven => "the event was late, and Clerk was not asked whether the entity still exists.",
            Reason::NotCopied => "MIRROR=off: live users and memberships are not stored.",
            Reason::TypeIgnored => "events of this type are not about a copied entity.",
            Reason::Untrusted => {
                "the request was not accepted as one of Clerk: its signature is missing, wrong or too old, or the \
                 request is no webhook. It was not read, so whom it is about is unknown. If Clerk sent it, compare \
                 CLERK_WEBHOOK_SECRET with the signing secret of the endpoint in Clerk's dashboard."
            }
            Reason::Foreign => {
                "the event was sent by another Clerk instance. Use a deployment for each instance, and remove this \
                 endpoint from the other instance."
            }
            Reason::Quarantined => {
                "the event had a valid signature, but its contents were not valid. The event is noted in quarantine. The \
                 next run of reconcile compares the entity with Clerk."
            }
            Reason::StoreUnavailable => {
                "DynamoDB did not answer. Nothing was lost: the event is delivered again, or the step is repeated."
            }
            Reason::StoreRejected => {
                "DynamoDB rejected the request. If this goes on, check that the table exists and that the function has the \
                 permission; then the next delivery or run of reconcile succeeds."
            }
            Reason::StoreUnreadable => {
                "a stored row could not be read: another program, or another release, wrote it. See \
                 docs/runbook.md, \"Rows that cannot be read\"."
            }
            Reason::ClerkUnavailable => {
                "Rollcall had to ask Clerk, and Clerk did not answer. The event is delivered again, or the next run of \
                 reconcile tries again."
            }
            Reason::ClerkUnauthorized => {
                "Clerk had to be asked and rejected the secret key. Correct CLERK_SECRET_KEY; then the next delivery or \
                 run succeeds."
            }
            Reason::ClerkRejected => "Clerk had to be asked and rejected the request. The next run tries again.",
            Reason::ClerkUnreadable => {
                "Clerk had to be asked, and its answer could not be read: a proxy may have answered. The next run tries \
                 again."
            }
            Reason::ClerkForeign => {
                "the secret key belongs to another Clerk instance. Correct CLERK_SECRET_KEY or CLERK_INSTANCE_ID."
            }
            Reason::OrganizationsOff => {
                "organizations are disabled in the Clerk instance, so Clerk has no such entity."
            }
            Reason::ClerkBehind => {
                "Clerk was asked and answered with an older state than that of the event (replica lag). The event is \
                 delivered again."
            }
            Reason::Undated => {
                "neither the event nor Clerk says when the membership began (created_at), so it is unknown which \
                 membership was deleted. The event is noted in quarantine; reconcile compares the membership with \
                 Clerk."
            }
            Reason::Contended => {
                "other writers changed the row at every attempt. The event is delivered again, or the next run tries \
                 again."
            }
            Reason::UserDeleted => {
                "the user is deleted in the Directory, so the user's requests are answered with 410."
            }
            Reason::UserBanned => {
                "the user is banned, so the user's requests are answered with 403. Unban the user in Clerk to change this."
            }
            Reason::UserDeprovisioned => {
                "the organization's directory has removed the user, so the user's requests are answered with 403. Add the \
                 user in that directory again to change this."
            }
            Reason::UserNotFound => "Clerk did not have the user, so the user's request was answered with 404.",
            Reason::UserNotSynced => {
                "the Directory had no row of the user at that time, so the user's request was answered with 404."
            }
            Reason::UserNotAsked => {
                "the Directory had no row of the user, and Clerk had been asked about the user too often in the last ten \
                 seconds, so the request was answered with 503. A request ten seconds later is answered."
            }
            Reason::OrganizationNotSynced => {
                "the Directory had no row of the organization, so the caller was answered without it. An event, \
                 `rollcall sync` or the next run stores the organization."
            }
            Reason::Unauthenticated => "a request had no valid session, so it is unknown who sent it.",
            Reason::RequestRejected => "a request of the user was not valid. The row has no part in it.",
            Reason::RequestFailed => "a request of the user failed. The row was not changed.",
            Reason::ServedFromCopy => "Clerk could not be asked about the user, who was answered from what is stored.",
            Reason::Conflict => {
                "a run found that the entity is deleted in the Directory and exists in Clerk. No run changes this: an \
                 operator decides with `rollcall undo`."
            }
            Reason::Ahead => {
                "a run found that the row is later than Clerk's state for over 15 minutes. No run changes this: an \
                 operator decides with `rollcall undo`."
            }
            Reason::Unconfirmed => {
                "a run did not find the entity in Clerk's list, and could not confirm the absence. Only a confirmed \
                 absence is a deletion; the next run asks again."
            }
            Reason::UnreadableInClerk => {
                "a run could not read the entity in Clerk's list, so it was not compared. The next run tries again."
            }
            Reason::RowUnreadable => {
                "some attributes of the row, or the row itself, could not be read: another program, or another release, \
                 wrote it. See docs/runbook.md, \"Rows that cannot be read\"."
            }
            Reason::RowRemoved => "the row was removed, by an undo under MIRROR=off or by another program.",
            Reason::KeyMismatch => {
                "the key of the row does not match the ids in it: another program wrote the row, or the row is from \
                 another instance."
            }
            Reason::MembershipNotDeleted => {
                "the user or the organization is deleted, and a membership could not be deleted with it, because its row \
                 cannot be read or was changing. The next run of reconcile tries again."
            }
            Reason::PurgeFailed => {
                "the removal of the data failed. The removal is tried again every hour; nothing is removed without a \
                 backup."
            }
            Reason::PurgeWaits => "the removal of the data waits, because a membership of the user is not deleted yet.",
            Reason::TableMissing => {
                "a table of OWNED_TABLES does not exist, so no rows were removed from it. Correct the setting if the name \
                 is misspelt."
            }
            Reason::WriteBackFailed => {
                "dbId and role could not be added to the metadata in Clerk. The next run of reconcile tries again."
            }
            Reason::WriteBackConflict => {
                "the metadata in Clerk has another dbId than the internal id. An existing value is never changed: \
                 correct it in Clerk."
            }
            Reason::UndoFailed => "the deletion of the membership could not be undone. Run `rollcall undo` again.",
            Reason::Unknown => "this release does not know the line: another release wrote it.",
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
    match met.offered {
        Some(offered) if stored.rank.generation > offered.generation => Reason::LaterMembership,
        Some(offered) if stored.rank > offered && stored.is_deleted() && !offered.is_deleted() => {
            Reason::AlreadyDeleted
        }
        Some(offered) if stored.rank > offered || !met.asked => Reason::LaterState,
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
        for (stored, offered, asked, expected) in [
            (Some(row(live(0, 5))), Some(live(0, 4)), false, Reason::LaterState),
            (Some(row(dead(0, 5))), Some(live(0, 9)), false, Reason::AlreadyDeleted),
            (Some(row(dead(0, 5))), Some(dead(0, 4)), false, Reason::LaterState),
            (Some(row(live(7, 8))), Some(dead(6, 9)), false, Reason::LaterMembership),
            (Some(finished), Some(dead(0, 9)), false, Reason::Final),
            (None, Some(live(0, 4)), true, Reason::Gone),
            (None, None, true, Reason::Gone),
            (Some(row(live(0, 4))), Some(live(0, 4)), true, Reason::NothingNewer),
            (Some(row(live(0, 4))), None, true, Reason::NothingNewer),
        ] {
            let met = Met { outcome: Some(Outcome::Superseded), offered, stored: stored.as_ref(), asked };
            assert_eq!(Reason::of_event(&met), Some(expected), "{met:?}");
        }
    }

    #[test]
    fn every_reason_has_a_name_of_its_own_and_a_sentence() {
        for reason in Reason::VARIANTS {
            assert_eq!(reason.name().parse::<Reason>().unwrap(), *reason);
            assert!(reason.sentence().ends_with('.'), "{reason:?}");
        }
        for refusal in admission::Refusal::VARIANTS {
            assert_eq!(Reason::from(*refusal).name(), refusal.code(), "the log has the code of the answer");
        }
    }
}
