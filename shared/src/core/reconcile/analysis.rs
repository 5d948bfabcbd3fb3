//! Whether everybody has what they should: Clerk, the copy and the application's records, held against each other.

use serde::Serialize;

use super::run::{Mode, Run};
use super::run_id::RunId;
use super::tally::{Drift, PendingEffects, Tally};
use crate::core::id::{InstanceId, Key, Kind, OrganizationId, PerKind};
use crate::core::mirror::item::Item;

/// What was found of one kind of entities. Every count but the first and the last is something wrong. Those that a run of
/// reconcile counts, too, have the same names there, and the same meaning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// The copy is as Clerk is.
    pub in_sync: u64,
    /// Clerk has it, the copy does not.
    pub missing: u64,
    /// The copy is older than Clerk.
    pub outdated: u64,
    /// The copy is the same, at an older time.
    pub behind: u64,
    /// The copy differs, at the same time.
    pub tied: u64,
    /// It lives in the copy, and is proven to be in Clerk no more.
    pub absent: u64,
    /// A membership that lives in the copy although its user or organization has ended.
    pub orphaned: u64,
    /// Absences that would have to wait for an operator.
    pub pending_approval: u64,
    /// It lives in Clerk and has ended in the copy.
    pub conflict: u64,
    /// The copy has been newer than Clerk for long.
    pub ahead: u64,
    /// In doubt: Clerk gave no proof.
    pub unproven: u64,
    /// Rows of Clerk's lists, or of the Directory, that cannot be read.
    pub unreadable: u64,
    /// Live rows that `MIRROR=off` keeps out.
    pub unmirrored: u64,
    /// Live rows of the last quarter of an hour that Clerk's list does not show.
    pub unconfirmed: u64,
    /// Live rows of the Directory whose ids belong under another key.
    pub misplaced: u64,
    /// It lives in the copy, and Profiles has no record of it.
    pub without_profile: u64,
    /// Records in Profiles whose user, organization or membership has ended or was never known here.
    pub without_owner: u64,
    /// Records in Profiles of what has ended, which `DELETION_POLICY=retain` keeps.
    pub kept: u64,
}

impl Findings {
    /// What a run that wrote nothing has found.
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

    /// Each count of something wrong by its name, in the order in which they are shown.
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

/// What an audit of the two tables found, beside the comparison with Clerk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Records {
    pub read: u64,
    /// Rows in Profiles under keys that no record has.
    pub strange: u64,
    /// DynamoDB read units that the audit took.
    pub read_units: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Analysis {
    /// Whether nothing is wrong.
    pub in_sync: bool,
    /// The run that compared the copy with Clerk.
    pub run: RunId,
    /// Whether that run could look at everything.
    pub complete: bool,
    /// Whether live users and memberships are copied. If not, whether they have records cannot be told.
    pub mirror: bool,
    /// What was found, by kind.
    #[serde(flatten)]
    pub findings: PerKind<Findings>,
    /// What was found of Profiles as a whole.
    pub profiles: Records,
    /// What should have followed from changes and has not. Of the records in Profiles the audit knows better.
    pub effects: PendingEffects,
}

impl Analysis {
    /// Puts together what a run and an audit have found. The audit's counts are those that no run has.
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
        // All that keeps it from being in sync is something that it shows.
        analysis.in_sync =
            run.mode == Mode::Report && complete && analysis.wrong().iter().all(|(_, number)| *number == 0);
        analysis
    }

    /// Each count of something wrong by its name, all kinds together.
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

/// Whether a live row of the Directory is under the key that its ids make. Nothing for one that does not say whose it
/// is.
pub fn is_in_place(item: &Item, instance: &InstanceId) -> Option<bool> {
    item.entity().map(|entity| entity.key(instance) == item.key)
}

/// The record in Profiles that belongs to a row of the Directory; nothing for an organization.
pub fn record_of(key: &Key) -> Option<Key> {
    match Kind::from_key(key)? {
        Kind::User => Some(Key { pk: key.pk.clone(), sk: "PROFILE".to_owned() }),
        Kind::Membership => Some(key.clone()),
        Kind::Organization => None,
    }
}

/// Of whom a record in Profiles is, and under which keys the Directory has all without whom it should not be, itself
/// first. Nothing for a key that no record has.
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

/// What the Directory says of one owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    Live,
    /// It is a user who has ended, and whose data wait for the end of the grace period.
    Ending,
    Ended,
    /// It is not there.
    Unknown,
}

/// What becomes of a record's owners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owned {
    /// All is well, as far as this can be told.
    Well,
    /// An owner has ended, and the record is kept on purpose.
    Kept,
    /// An owner has ended, or was never known here.
    WithoutOwner,
}

/// Judges a record by its owners. Without a mirror the Directory knows nobody who lives; with `retain` what has ended
/// keeps its records, with `redact` it keeps what is left of them.
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
        // A run that repaired compared what is no more.
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
