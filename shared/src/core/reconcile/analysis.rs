//! The report of `analyze`: compares Clerk, the Directory and Profiles.

use serde::Serialize;

use super::run::{Mode, Run};
use super::run_id::RunId;
use super::tally::{Drift, PendingEffects, Tally};
use crate::core::id::{InstanceId, Key, Kind, OrganizationId, PerKind};
use crate::core::mirror::item::Item;

/// The findings about one kind of entity. Each count except the first and the last is a difference. Counts that a run
/// of reconcile has, too, have the same name and meaning there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// The row agrees with Clerk.
    pub in_sync: u64,
    /// In Clerk, not in the Directory.
    pub missing: u64,
    /// The row is older than Clerk's state.
    pub outdated: u64,
    /// The row has the same contents at an older time.
    pub behind: u64,
    /// The row differs at the same time.
    pub tied: u64,
    /// Live in the Directory, and confirmed to be absent from Clerk.
    pub absent: u64,
    /// A membership that is live in the Directory although its user or organization is deleted.
    pub orphaned: u64,
    /// Absences that would need an operator's approval.
    pub pending_approval: u64,
    /// Deleted in the Directory, and present in Clerk.
    pub conflict: u64,
    /// The row has been newer than Clerk's state for long.
    pub ahead: u64,
    /// Absence candidates that Clerk did not confirm.
    pub unproven: u64,
    /// Rows of Clerk's lists, or of the Directory, that cannot be read.
    pub unreadable: u64,
    /// Live rows that `MIRROR=off` excludes.
    pub unmirrored: u64,
    /// Live rows of the last 15 minutes that Clerk's list does not contain.
    pub unconfirmed: u64,
    /// Live rows of the Directory whose key does not match their ids.
    pub misplaced: u64,
    /// Live in the Directory, without a record in Profiles.
    pub without_profile: u64,
    /// Records in Profiles whose user, organization or membership is deleted or was never stored.
    pub without_owner: u64,
    /// Records in Profiles of deleted entities, which `DELETION_POLICY=retain` keeps.
    pub kept: u64,
}

impl Findings {
    /// The findings of a run that wrote nothing.
    pub fn from_tally(tally: &Tally) -> Findings {
        let Drift { missing, outdated, behind, tied, absent, orphaned, .. } = tally.drift;
        let Drift { conflict, ahead, unproven, unreadable, unmirrored, .. } = tally.drift;
        Findings {
            in_sync: tally.unchanged,
            missing,
            outdated,
            behind,
            tied,
            absent,
            orphaned,
            pending_approval: tally.pending_approval,
            conflict,
            ahead,
            unproven,
            unreadable,
            unmirrored,
            unconfirmed: tally.unconfirmed,
            ..Findings::default()
        }
    }

    /// Each count of differences with its name, in the order of the report.
    pub fn wrong(&self) -> [(&'static str, u64); 16] {
        [
            ("missing", self.missing),
            ("outdated", self.outdated),
            ("absent", self.absent),
            ("without_profile", self.without_profile),
            ("without_owner", self.without_owner),
            ("conflict", self.conflict),
            ("behind", self.behind),
            ("tied", self.tied),
            ("orphaned", self.orphaned),
            ("pending_approval", self.pending_approval),
            ("ahead", self.ahead),
            ("unproven", self.unproven),
            ("unreadable", self.unreadable),
            ("unmirrored", self.unmirrored),
            ("unconfirmed", self.unconfirmed),
            ("misplaced", self.misplaced),
        ]
    }
}

/// The findings about the two tables, besides the comparison with Clerk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Records {
    pub read: u64,
    /// Rows in Profiles with keys that no record has.
    pub strange: u64,
    /// The DynamoDB read units of the audit.
    pub read_units: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Analysis {
    /// Whether there are no differences.
    pub in_sync: bool,
    /// The run that compared the Directory with Clerk.
    pub run: RunId,
    /// Whether that run could compare everything.
    pub complete: bool,
    /// Whether live users and memberships are copied. If not, it is unknown whether they have records.
    pub mirror: bool,
    /// The findings by kind.
    #[serde(flatten)]
    pub findings: PerKind<Findings>,
    /// The findings about Profiles as a whole.
    pub profiles: Records,
    /// The pending effects. For records in Profiles, the audit's counts are more exact.
    pub effects: PendingEffects,
}

impl Analysis {
    /// Combines the findings of a run and an audit. The audit's counts are those that no run has.
    pub fn new(run: &Run, mirror: bool, audit: &PerKind<Findings>, profiles: Records) -> Analysis {
        let mut findings = PerKind::default();
        for kind in Kind::ALL {
            let Findings { misplaced, without_profile, without_owner, kept, .. } = *audit.get(kind);
            let compared = Findings::from_tally(run.tally.get(kind));
            *findings.get_mut(kind) = Findings { misplaced, without_profile, without_owner, kept, ..compared };
        }
        let mut listed = Kind::ALL.into_iter().filter(|kind| !run.listings.get(*kind).is_off);
        let complete = listed.all(|kind| run.is_complete(kind));
        let effects = run.effects;
        let mut analysis =
            Analysis { in_sync: false, run: run.run.clone(), complete, mirror, findings, profiles, effects };
        // Every reason for not being in sync is one of the reported counts.
        analysis.in_sync =
            run.mode == Mode::Report && complete && analysis.wrong().iter().all(|(_, number)| *number == 0);
        analysis
    }

    /// Each count of differences with its name, for all kinds together.
    pub fn wrong(&self) -> Vec<(&'static str, u64)> {
        let mut all = Findings::default().wrong();
        for kind in Kind::ALL {
            for (sum, (_, number)) in all.iter_mut().zip(self.findings.get(kind).wrong()) {
                sum.1 += number;
            }
        }
        let PendingEffects { tombstones, links, conflicts, left, .. } = self.effects;
        let effects = [("tombstones", tombstones), ("links", links), ("link_conflicts", conflicts), ("left", left)];
        all.into_iter().chain([("strange", self.profiles.strange)]).chain(effects).collect()
    }
}

/// Whether a live row of the Directory has the key that its ids make. Nothing for a row without ids.
pub fn is_in_place(item: &Item, instance: &InstanceId) -> Option<bool> {
    item.entity().map(|entity| entity.key(instance) == item.key)
}

/// The key of the record in Profiles for a row of the Directory; nothing for an organization.
pub fn record_of(key: &Key) -> Option<Key> {
    match Kind::from_key(key)? {
        Kind::User => Some(Key { pk: key.pk.clone(), sk: "PROFILE".to_owned() }),
        Kind::Membership => Some(key.clone()),
        Kind::Organization => None,
    }
}

/// The kind of a record in Profiles, and the keys of its owners in the Directory, its own entity first. Nothing for a
/// key that no record has.
pub fn owners_of(record: &Key) -> Option<(Kind, Vec<Key>)> {
    let user = || Key { pk: record.pk.clone(), sk: "USER".to_owned() };
    record.pk.strip_prefix("USER#").filter(|id| !id.is_empty())?;
    if record.sk == "PROFILE" {
        return Some((Kind::User, vec![user()]));
    }
    let organization: OrganizationId = record.sk.strip_prefix("ORG#")?.parse().ok()?;
    let organization = Key { pk: format!("ORG#{organization}"), sk: "ORG".to_owned() };
    Some((Kind::Membership, vec![record.clone(), user(), organization]))
}

/// The state of one owner in the Directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    Live,
    /// The owner is a deleted user within the grace period.
    Ending,
    Ended,
    /// The owner has no row.
    Unknown,
}

/// The state of a record, by its owners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owned {
    /// The record is all right, as far as this can be checked.
    Well,
    /// An owner is deleted, and the record is kept on purpose.
    Kept,
    /// An owner is deleted, or was never stored.
    WithoutOwner,
}

/// Judges a record by its owners. Under `MIRROR=off` the Directory has no live users; with `retain` deleted users keep
/// their records, with `redact` they keep the redacted ones.
pub fn owned(owners: &[Stands], mirror: bool, is_kept: bool) -> Owned {
    if mirror && owners.contains(&Stands::Unknown) {
        return Owned::WithoutOwner;
    }
    match owners.contains(&Stands::Ended) {
        _ if owners.contains(&Stands::Ending) => Owned::Kept,
        true if is_kept => Owned::Kept,
        true => Owned::WithoutOwner,
        false => Owned::Well,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::millis::Millis;

    fn key(pk: &str, sk: &str) -> Key {
        Key { pk: pk.to_owned(), sk: sk.to_owned() }
    }

    #[test]
    fn a_record_and_its_owners_lead_to_each_other() {
        let (user, membership) = (key("USER#1", "USER"), key("USER#1", "ORG#org_1"));
        assert_eq!(record_of(&user), Some(key("USER#1", "PROFILE")));
        assert_eq!(record_of(&membership), Some(membership.clone()));
        assert_eq!(record_of(&key("ORG#org_1", "ORG")), None);
        assert_eq!(owners_of(&key("USER#1", "PROFILE")), Some((Kind::User, vec![user.clone()])));
        let owners = vec![membership.clone(), user, key("ORG#org_1", "ORG")];
        assert_eq!(owners_of(&membership), Some((Kind::Membership, owners)));
        for strange in [("ORG#org_1", "ORG"), ("USER#", "PROFILE"), ("USER#1", "USER"), ("USER#1", "ORG#"), ("x", "y")]
        {
            assert_eq!(owners_of(&key(strange.0, strange.1)), None, "{strange:?}");
        }
    }

    #[test]
    fn a_record_is_judged_by_its_owners_and_the_policies() {
        use Stands::{Ended, Ending, Live, Unknown};
        for (owners, mirror, is_kept, expected) in [
            (vec![Ending], true, false, Owned::Kept),
            (vec![Ended, Ending, Live], true, false, Owned::Kept),
            (vec![Live], true, false, Owned::Well),
            (vec![Ended], true, false, Owned::WithoutOwner),
            (vec![Ended], true, true, Owned::Kept),
            (vec![Unknown], true, true, Owned::WithoutOwner),
            (vec![Unknown], false, false, Owned::Well),
            (vec![Ended], false, false, Owned::WithoutOwner),
            (vec![Live, Live, Live], true, false, Owned::Well),
            (vec![Live, Live, Ended], true, false, Owned::WithoutOwner),
            (vec![Live, Unknown, Live], true, false, Owned::WithoutOwner),
            (vec![Unknown, Unknown, Live], false, false, Owned::Well),
            (vec![Unknown, Ended, Live], false, true, Owned::Kept),
        ] {
            assert_eq!(owned(&owners, mirror, is_kept), expected, "{owners:?} mirror {mirror} is_kept {is_kept}");
        }
    }

    #[test]
    fn it_is_in_step_only_if_nothing_at_all_is_wrong() {
        let analysis = |mode, change: fn(&mut Run, &mut PerKind<Findings>, &mut Records)| {
            let mut run = Run::begin(Millis::ZERO, mode, true);
            for kind in Kind::ALL {
                run.listings.get_mut(kind).is_finished = true;
            }
            let (mut audit, mut records) = (PerKind::default(), Records::default());
            change(&mut run, &mut audit, &mut records);
            run.finish(Millis::ZERO);
            Analysis::new(&run, true, &audit, records)
        };
        let in_sync = |change| analysis(Mode::Report, change).in_sync;
        assert!(in_sync(|_, _, _| ()));
        assert!(in_sync(|run, audit, records| {
            (run.tally.user.unchanged, audit.user.kept, records.read) = (3, 1, 3);
        }));
        assert!(!in_sync(|run, _, _| run.tally.user.drift.behind = 1));
        assert!(!in_sync(|run, _, _| run.listings.membership.is_finished = false));
        assert!(!in_sync(|run, _, _| run.tally.membership.pending_approval = 1));
        assert!(!in_sync(|_, audit, _| audit.membership.without_profile = 1));
        assert!(!in_sync(|_, audit, _| audit.user.without_owner = 1));
        assert!(!in_sync(|run, _, _| run.tally.user.unconfirmed = 1));
        assert!(!in_sync(|run, _, _| run.effects.links = 1));
        assert!(!in_sync(|run, _, _| run.effects.tombstones = 1));
        assert!(!in_sync(|_, audit, _| audit.membership.misplaced = 1));
        assert!(!in_sync(|_, _, records| records.strange = 1));
        // A run that repaired has compared an earlier state.
        assert!(!analysis(Mode::Repair, |_, _, _| ()).in_sync);
        let found = analysis(Mode::Report, |run, _, _| {
            let drift =
                Drift { missing: 1, outdated: 2, behind: 3, tied: 4, absent: 5, orphaned: 6, ..Drift::default() };
            run.tally.membership = Tally { unchanged: 9, pending_approval: 7, drift, ..Tally::default() };
        });
        let Findings { in_sync, missing, outdated, behind, tied, absent, orphaned, pending_approval, .. } =
            found.findings.membership;
        assert_eq!((in_sync, missing, outdated, behind, tied), (9, 1, 2, 3, 4));
        assert_eq!((absent, orphaned, pending_approval), (5, 6, 7));
    }
}
