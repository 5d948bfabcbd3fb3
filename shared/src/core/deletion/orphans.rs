//! Rows of deleted users that a purge did not remove: what a clean-up may do with the rows of one owner, and which
//! proof of the deletion it needs.

use super::owned::IdKind;
use super::restore::Restoration;
use crate::core::id::{AnyUserId, EntityId, InternalId, UserId};
use crate::core::mirror::item::{Item, NOBODY};
use crate::core::mirror::tombstone::DeletionPolicy;

/// What is known about the owner of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The owner is live, or, under `MIRROR=off`, is not known to be deleted.
    Live,
    /// The Directory has never had a row of the owner, or has one that cannot be read: nothing proves a deletion.
    Unknown,
    /// The owner is deleted, and the grace period is not over: the purge removes the rows.
    Due,
    /// The owner is deleted, and the rows are kept on purpose by a deletion policy.
    Kept,
    /// The owner is deleted, and an operator has restored the rows on purpose: only an operator removes them again.
    Restored(Restoration),
    /// The owner is deleted, and the rows remained.
    Orphaned(Orphaned),
}

/// A deleted user with rows that remained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphaned {
    /// Whether rows of Profiles are only redacted, and rows of other tables are kept.
    pub redacts: bool,
    pub proof: Proof,
}

/// What proves that a user is deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The finished tombstone. The rows have the internal id, of which Clerk cannot be asked.
    Tombstone,
    /// The tombstone, and Clerk's answer that this user does not exist.
    Clerk(UserId),
    /// The tombstone contains no Clerk id although its effects are pending, so that Clerk cannot be asked.
    Impossible,
}

/// What decides about the rows of one owner.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// The user's row of the Directory; nothing if there is none, or if it cannot be read.
    pub stored: Option<&'a Item>,
    /// The Clerk id in rows of tables that are keyed by it.
    pub named: Option<&'a UserId>,
    /// The deletion policy of the settings.
    pub policy: DeletionPolicy,
    /// Whether the grace period is not over.
    pub waits: bool,
    /// Whether live users are stored.
    pub mirror: bool,
    /// The note of a restoration of rows of the user, if such rows stay.
    pub restored: Option<&'a Restoration>,
    /// Whether the operator removes restored rows, too.
    pub with_restored: bool,
}

/// The user whom a row names; nothing for another text.
pub fn owner(kind: IdKind, text: &str) -> Option<AnyUserId> {
    match text.parse().ok()? {
        id @ AnyUserId::Clerk(_) if kind == IdKind::Clerk => Some(id),
        id @ AnyUserId::Internal(_) if kind == IdKind::Internal => Some(id),
        AnyUserId::Clerk(_) | AnyUserId::Internal(_) => None,
    }
}

/// The user of a partition of Profiles.
pub fn owner_of_partition(pk: &str) -> Option<InternalId> {
    pk.strip_prefix("USER#")?.parse().ok()
}

/// Judges the owner of rows.
pub fn standing(about: Circumstances<'_>) -> Standing {
    let Some(stored) = about.stored else {
        // Without a mirror a user without a tombstone is presumably live.
        return if about.mirror { Standing::Unknown } else { Standing::Live };
    };
    if !stored.is_deleted() {
        return Standing::Live;
    }
    let waits = about.waits && !stored.is_finished();
    let restored = about.restored.filter(|note| note.is_under(stored));
    // The purge keeps the restored rows, so they are not due. Nothing is removed within the grace period.
    if let Some(restoration) = restored.filter(|_| about.policy != DeletionPolicy::Retain && waits) {
        return Standing::Restored(restoration.clone());
    }
    if waits {
        return Standing::Due;
    }
    let policy = effective(about.policy, stored);
    if policy == DeletionPolicy::Retain {
        return Standing::Kept;
    }
    if let Some(restoration) = restored.filter(|_| !about.with_restored) {
        return Standing::Restored(restoration.clone());
    }
    let clerk = match stored.entity() {
        Some(EntityId::User(user)) => Some(user),
        _ => about.named.cloned(),
    };
    let proof = match (stored.is_finished(), about.named, clerk) {
        (true, None, _) => Proof::Tombstone,
        (_, _, Some(user)) => Proof::Clerk(user),
        (_, _, None) => Proof::Impossible,
    };
    Standing::Orphaned(Orphaned { redacts: policy == DeletionPolicy::Redact, proof })
}

/// The policy for the rows of a deleted user: that of the settings, or the one under which the effects of the deletion
/// were completed, if that one keeps more. What was kept then was kept on purpose.
pub(in crate::core) fn effective(now: DeletionPolicy, tombstone: &Item) -> DeletionPolicy {
    let then = match tombstone.fields.get("clerk_user_id").and_then(serde_json::Value::as_str) {
        _ if !tombstone.is_finished() => now,
        Some(NOBODY) => DeletionPolicy::Redact,
        Some(_) => DeletionPolicy::Retain,
        None => DeletionPolicy::Purge,
    };
    match (now, then) {
        (DeletionPolicy::Retain, _) | (_, DeletionPolicy::Retain) => DeletionPolicy::Retain,
        (DeletionPolicy::Redact, _) | (_, DeletionPolicy::Redact) => DeletionPolicy::Redact,
        (DeletionPolicy::Purge, DeletionPolicy::Purge) => DeletionPolicy::Purge,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;
    use crate::core::id::Key;
    use crate::core::millis::Millis;
    use crate::core::mirror::digest::Digest;
    use crate::core::mirror::item::{CONSEQUENCES_AT, Provenance, Writer};
    use crate::core::mirror::rank::Rank;

    fn row(is_deleted: bool, fields: &serde_json::Value) -> Item {
        let at = Millis::try_from(5).unwrap();
        let rank = if is_deleted { Rank::deleted(Millis::ZERO, at) } else { Rank::live(Millis::ZERO, at) };
        Item {
            key: Key { pk: "USER#7".to_owned(), sk: "USER".to_owned() },
            rank,
            digest: Digest::new("user", &Map::new()),
            provenance: Provenance { applied_at: at, applied_by: Writer::Webhook, delivery_id: None },
            created_at: None,
            updated_at: None,
            deleted_at: is_deleted.then_some(at),
            fields: fields.as_object().unwrap().clone(),
        }
    }

    #[test]
    fn e5_only_rows_of_a_known_and_finally_deleted_owner_are_orphaned() {
        use DeletionPolicy::{Purge, Redact, Retain};
        let ada: UserId = "user_ada".parse().unwrap();
        let live = row(false, &json!({ "clerk_user_id": "user_ada" }));
        let pending = row(true, &json!({ "clerk_user_id": "user_ada" }));
        let nameless = row(true, &json!({}));
        let purged = row(true, &json!({ CONSEQUENCES_AT: 9 }));
        let redacted = row(true, &json!({ CONSEQUENCES_AT: 9, "clerk_user_id": NOBODY }));
        let retained = row(true, &json!({ CONSEQUENCES_AT: 9, "clerk_user_id": "user_ada" }));
        let orphaned = |redacts, proof| Standing::Orphaned(Orphaned { redacts, proof });
        let by_clerk = || Proof::Clerk(ada.clone());
        for (at, (stored, named, policy, waits, mirror, expected)) in [
            (Some(&live), None, Purge, false, true, Standing::Live),
            (None, Some(&ada), Purge, false, true, Standing::Unknown),
            (None, Some(&ada), Purge, false, false, Standing::Live),
            (Some(&pending), None, Purge, true, true, Standing::Due),
            (Some(&pending), Some(&ada), Redact, true, false, Standing::Due),
            (Some(&pending), None, Purge, false, true, orphaned(false, by_clerk())),
            (Some(&pending), None, Redact, false, true, orphaned(true, by_clerk())),
            (Some(&nameless), None, Purge, false, true, orphaned(false, Proof::Impossible)),
            (Some(&nameless), Some(&ada), Purge, false, true, orphaned(false, by_clerk())),
            (Some(&purged), None, Purge, false, true, orphaned(false, Proof::Tombstone)),
            (Some(&purged), None, Purge, true, true, orphaned(false, Proof::Tombstone)),
            (Some(&purged), Some(&ada), Purge, false, true, orphaned(false, by_clerk())),
            (Some(&purged), None, Redact, false, true, orphaned(true, Proof::Tombstone)),
            (Some(&redacted), None, Purge, false, true, orphaned(true, Proof::Tombstone)),
            (Some(&redacted), Some(&ada), Redact, false, true, orphaned(true, by_clerk())),
            (Some(&retained), None, Purge, false, true, Standing::Kept),
            (Some(&retained), Some(&ada), Redact, false, true, Standing::Kept),
            (Some(&purged), None, Retain, false, true, Standing::Kept),
            (Some(&pending), Some(&ada), Retain, false, true, Standing::Kept),
        ]
        .into_iter()
        .enumerate()
        {
            let about = Circumstances { stored, named, policy, waits, mirror, restored: None, with_restored: false };
            assert_eq!(standing(about), expected, "{at}");
        }
    }

    #[test]
    fn e5_rows_that_were_restored_under_this_tombstone_are_no_orphans() {
        let at = |ms| Millis::try_from(ms).unwrap();
        let purged = row(true, &json!({ CONSEQUENCES_AT: 9 }));
        let note = Restoration { rank: purged.rank, applied_at: at(5), restored_at: at(7), backup: String::new() };
        let judged = |stored: &Item, policy, note: &Restoration| {
            let about = Circumstances {
                stored: Some(stored),
                named: None,
                policy,
                waits: false,
                mirror: true,
                restored: Some(note),
                with_restored: false,
            };
            (standing(about), standing(Circumstances { waits: true, with_restored: true, ..about }))
        };
        let purge = DeletionPolicy::Purge;
        let restored = Standing::Restored(note.clone());
        let (kept, removed) = judged(&purged, purge, &note);
        assert!(kept == restored && matches!(removed, Standing::Orphaned(_)), "the option removes them");
        // Within the grace period the option removes nothing, and the purge removes nothing afterwards.
        let pending = row(true, &json!({ "clerk_user_id": "user_ada" }));
        assert_eq!(judged(&pending, purge, &note), (restored.clone(), restored));
        assert_eq!(judged(&purged, DeletionPolicy::Retain, &note), (Standing::Kept, Standing::Kept));
        assert_eq!(judged(&row(false, &json!({})), purge, &note), (Standing::Live, Standing::Live));
        // The user has lived since, and was deleted again: by another event, or by the same one a second time.
        let later = Restoration { rank: Rank::deleted(Millis::ZERO, at(4)), ..note.clone() };
        let again = Restoration { applied_at: at(4), ..note };
        for note in [later, again] {
            assert!(matches!(judged(&purged, purge, &note).0, Standing::Orphaned(_)));
        }
    }

    #[test]
    fn e5_a_text_that_is_no_id_of_a_user_names_nobody() {
        let id = "1c1157ac-33d3-5114-bbd8-09b23e2ca922";
        assert!(matches!(owner(IdKind::Clerk, "user_1"), Some(AnyUserId::Clerk(_))));
        assert!(matches!(owner(IdKind::Internal, id), Some(AnyUserId::Internal(_))));
        for (kind, text) in [
            (IdKind::Clerk, id),
            (IdKind::Internal, "user_1"),
            (IdKind::Clerk, "507f1f77bcf86cd799439011"),
            (IdKind::Clerk, "org_1"),
            (IdKind::Clerk, "user_ 1"),
            (IdKind::Clerk, ""),
            (IdKind::Internal, "1C1157AC-33D3-5114-BBD8-09B23E2CA922"),
        ] {
            assert_eq!(owner(kind, text), None, "{text}");
        }
        assert!(owner_of_partition(&format!("USER#{id}")).is_some());
        assert_eq!((owner_of_partition("ORG#org_1"), owner_of_partition("USER#1")), (None, None));
    }
}
