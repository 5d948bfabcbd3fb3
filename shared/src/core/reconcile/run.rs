//! A run: what it remembers from one page to the next, and what it reports in the end.

use serde::{Deserialize, Serialize};

use super::absence::{Listing, is_too_many};
use super::basis::Basis;
use super::phase::Phase;
use super::run_id::RunId;
use super::tally::{Cost, Drift, PendingEffects, Tally};
use crate::core::controls::{Invariant, guards};
use crate::core::id::{InstanceId, Kind, PerKind, UserId};
use crate::core::millis::Millis;

/// A run that was begun longer ago than this, in ms, is not gone on with: what it has seen is too old.
pub const TOO_OLD_TO_RESUME: u64 = 12 * 60 * 60 * 1000;
/// How long a run can be approved, in ms from its start.
pub const TOO_OLD_TO_APPROVE: u64 = 7 * 24 * 60 * 60 * 1000;

/// Whether a run writes what it plans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It repairs the Directory.
    #[default]
    Repair,
    /// It stops at the plan: nothing is written but its report.
    Report,
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Under way, or interrupted.
    #[default]
    Running,
    /// Finished, but for deletions that wait for an operator.
    PendingApproval,
    /// Finished, but something could not be looked at: it says what.
    Incomplete,
    Done,
}

/// An interrupted run that was not gone on with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instead {
    pub run: RunId,
    /// The variables whose values are others now; none if an earlier version, which did not keep them, began it.
    pub settings: Vec<String>,
}

/// A run, as it is kept and as it is reported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub run: RunId,
    /// Its start, in Unix ms: the moment to which its proofs refer.
    pub started_at: Millis,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Millis>,
    pub mode: Mode,
    pub state: RunState,
    /// What it does next.
    pub next: Phase,
    /// The first page that showed nobody, as long as it is not proven that it was this instance's: a run that was
    /// interrupted since begins there again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unproven: Option<Phase>,
    /// What follows once all that was left undone is settled, if Clerk failed before that: the listing goes on there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub later: Option<Phase>,
    /// The instance whose key stopped the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreign: Option<InstanceId>,
    /// Whether live users and memberships are kept at all.
    #[serde(default = "yes")]
    pub mirror: bool,
    /// The settings under which it began. Empty for a run of an earlier version.
    #[serde(default)]
    pub basis: Basis,
    /// The interrupted run that it did not go on with, because that one began under other settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead_of: Option<Instead>,
    /// Whether an operator has approved the pending deletions.
    #[serde(default)]
    pub approved: bool,
    /// How many absences of each kind that consent covers.
    #[serde(default)]
    pub consent: PerKind<u64>,
    /// How the listings went.
    pub listings: PerKind<Listing>,
    /// How many of a kind are known to have ended while the run was listing.
    pub ended_meanwhile: PerKind<u64>,
    /// What it found and did.
    pub tally: PerKind<Tally>,
    /// What should have followed from changes and had not.
    #[serde(default)]
    pub effects: PendingEffects,
    /// How many write-backs the run before it has left to this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backlog_before: Option<u64>,
    /// What it has cost.
    pub cost: Cost,
    /// Absences that the sifting has found so far.
    #[serde(default)]
    pub absent: PerKind<u64>,
    /// What was unproven before the sifting began: it stays so when the rest is settled again.
    #[serde(default)]
    pub unproven_before: PerKind<u64>,
    /// Pages that are recorded, of everything but the next: the number of the next one.
    pub pages: u64,
    /// Pages of users who lack something in Clerk. They are recorded anew whenever all that was left undone is settled
    /// anew.
    #[serde(default)]
    pub unlinked_pages: u64,
    /// Users whom the listing showed, the first and the last: one of them must come back whenever others are asked
    /// about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub control_users: Vec<UserId>,
}

impl Run {
    /// A run that begins at `start`.
    pub fn begin(start: Millis, mode: Mode, mirror: bool) -> Run {
        let next = if mirror {
            Phase::Users { after: None, since: None }
        } else {
            Phase::Listed { kind: Kind::Organization, offset: 0 }
        };
        let off = Listing { is_off: !mirror, ..Listing::default() };
        Run {
            run: RunId::at(start),
            started_at: start,
            finished_at: None,
            mode,
            state: RunState::Running,
            next,
            unproven: None,
            later: None,
            foreign: None,
            mirror,
            basis: Basis::default(),
            instead_of: None,
            approved: false,
            consent: PerKind::default(),
            listings: PerKind { user: off, organization: Listing::default(), membership: off },
            ended_meanwhile: PerKind::default(),
            tally: PerKind::default(),
            effects: PendingEffects::default(),
            backlog_before: None,
            cost: Cost::default(),
            absent: PerKind::default(),
            unproven_before: PerKind::default(),
            pages: 0,
            unlinked_pages: 0,
            control_users: Vec::new(),
        }
    }

    /// Whether a run of this mode under these settings goes on with it at `now`.
    pub fn can_resume(&self, mode: Mode, basis: &Basis, now: Millis) -> bool {
        self.is_interrupted(mode, now) && (self.basis == *basis || !guards(Invariant::I16))
    }

    /// Whether a run of this mode would go on with it at `now`, were the settings the same.
    fn is_interrupted(&self, mode: Mode, now: Millis) -> bool {
        let is_young = now.since(self.started_at) <= TOO_OLD_TO_RESUME;
        self.state == RunState::Running && self.mode == mode && is_young
    }

    /// What is said of the latest run of this mode, `recent` the latest first, if it was interrupted under other
    /// settings
    /// than these.
    pub fn passed_over(recent: &[Run], mode: Mode, basis: &Basis, now: Millis) -> Option<Instead> {
        let latest = recent.iter().find(|run| run.mode == mode).filter(|run| run.is_interrupted(mode, now))?;
        let known = latest.basis.is_known();
        let settings = if known { latest.basis.differences(basis) } else { Vec::new() };
        (!known || !settings.is_empty()).then(|| Instead { run: latest.run.clone(), settings })
    }

    /// The variables whose values are others than when it began; none if an earlier version began it.
    pub fn changed_settings(&self, basis: &Basis) -> Vec<String> {
        if self.basis.is_known() { self.basis.differences(basis) } else { Vec::new() }
    }

    /// The same run, as it goes on after an interruption.
    #[must_use]
    pub fn resume(mut self) -> Run {
        self.foreign = None;
        match (&mut self.later, self.unproven.take()) {
            (_, None) => {}
            (Some(later), Some(page)) => *later = page,
            (None, Some(page)) => self.next = page,
        }
        self
    }

    /// Whether what comes next rests on what Clerk shows.
    pub fn is_asking(&self) -> bool {
        !matches!(self.next, Phase::Effects { .. } | Phase::WriteBack { .. } | Phase::Done)
    }

    /// Goes on with what needs no listing, because Clerk has failed.
    pub fn put_off(&mut self) {
        self.later = Some(std::mem::replace(&mut self.next, Phase::Effects { from: None }));
    }

    /// Goes back to where Clerk failed, if that is what follows. What is still left will be counted again.
    pub fn take_up(&mut self) -> bool {
        let Some(later) = self.later.take() else { return false };
        let PendingEffects { profiles, tombstones, purged, .. } = self.effects;
        self.effects = PendingEffects { profiles, tombstones, purged, ..PendingEffects::default() };
        self.unlinked_pages = 0;
        self.next = later;
        true
    }

    /// Remembers a user whom the listing showed.
    pub fn control_user(&mut self, user: UserId) {
        self.control_users.truncate(1);
        self.control_users.push(user);
    }

    /// The same run with an operator's consent to what it holds: all that was in doubt is looked at and proven again.
    #[must_use]
    pub fn approve(mut self) -> Run {
        for kind in Kind::ALL {
            let tally = self.tally.get_mut(kind);
            *self.consent.get_mut(kind) = tally.pending_approval;
            (tally.pending_approval, tally.drift.unproven) = (0, *self.unproven_before.get(kind));
        }
        let (state, next) = (RunState::Running, Phase::Screen { kind: Kind::User, after: None });
        let (absent, effects) = (PerKind::default(), PendingEffects::default());
        Run { state, finished_at: None, next, approved: true, absent, effects, ..self }
    }

    /// Whether the absences of a kind must wait for an operator: they are too many, more than an operator has consented
    /// to,
    /// or others wait already.
    pub fn must_be_approved(&self, kind: Kind) -> bool {
        let absent = *self.absent.get(kind);
        self.is_pending_approval()
            || (absent > *self.consent.get(kind) && is_too_many(absent, self.listings.get(kind).seen))
    }

    /// What follows once all of a kind is sifted.
    pub fn after_sifting(&self, kind: Kind) -> Phase {
        if self.tally.get(kind).pending_approval > 0 {
            Run::after_proving(kind)
        } else {
            Phase::Confirm { kind, after: None }
        }
    }

    /// What follows once all absences of a kind are proven.
    pub fn after_proving(kind: Kind) -> Phase {
        match kind {
            Kind::User => Phase::Screen { kind: Kind::Organization, after: None },
            Kind::Organization => Phase::Screen { kind: Kind::Membership, after: None },
            Kind::Membership => Phase::Effects { from: None },
        }
    }

    /// Whether the listing of a kind may be trusted to show all that live.
    pub fn is_complete(&self, kind: Kind) -> bool {
        self.listings.get(kind).is_complete(*self.ended_meanwhile.get(kind))
    }

    /// How many entities the listings have shown.
    pub fn seen(&self) -> u64 {
        Kind::ALL.into_iter().map(|kind| self.listings.get(kind).seen).sum()
    }

    /// What it found and did, all kinds together.
    pub fn total(&self) -> Tally {
        Kind::ALL.into_iter().fold(Tally::default(), |total, kind| total + *self.tally.get(kind))
    }

    /// How many differences it has found that are still there: all that a report found, and what a repair has left.
    pub fn differences(&self) -> u64 {
        let (total, effects) = (self.total(), &self.effects);
        let of_drift: u64 = total.drift.by_name().iter().map(|(_, number)| number).sum();
        match self.mode {
            Mode::Report => {
                of_drift
                    + total.pending_approval
                    + effects.profiles
                    + effects.tombstones
                    + effects.links
                    + effects.conflicts
            }
            Mode::Repair => total.drift.for_operators() + total.pending_approval + effects.left + effects.conflicts,
        }
    }

    /// Whether deletions wait for an operator.
    pub fn is_pending_approval(&self) -> bool {
        Kind::ALL.into_iter().any(|kind| self.tally.get(kind).pending_approval > 0)
    }

    /// Ends the run at `now`. Whoever was a control user is forgotten, unless deletions are pending approval.
    pub fn finish(&mut self, now: Millis) {
        let is_settled = |kind: Kind| {
            let drift = &self.tally.get(kind).drift;
            (self.listings.get(kind).is_off || self.is_complete(kind)) && drift.unproven + drift.unreadable == 0
        };
        self.state = match (self.is_pending_approval(), Kind::ALL.into_iter().all(is_settled)) {
            (true, _) => RunState::PendingApproval,
            (false, true) => RunState::Done,
            (false, false) => RunState::Incomplete,
        };
        if self.state != RunState::PendingApproval {
            self.control_users.clear();
        }
        (self.next, self.finished_at) = (Phase::Done, Some(now));
    }

    /// Whether the next runs will come to an end with what is to be written back.
    pub fn is_backlog_shrinking(&self) -> bool {
        self.effects.backlog == 0 || self.backlog_before.is_none_or(|before| self.effects.backlog < before)
    }

    /// Whether the Directory is now what Clerk is, as far as the run can tell.
    pub fn is_in_sync(&self) -> bool {
        let drift = Kind::ALL.into_iter().map(|kind| self.tally.get(kind).drift);
        let is_open = |drift: Drift| match self.mode {
            Mode::Repair => drift.is_for_operators(),
            Mode::Report => drift != Drift::default(),
        };
        let is_undone = match self.mode {
            Mode::Repair => self.effects.is_left() || !self.is_backlog_shrinking(),
            Mode::Report => self.effects.is_any(),
        };
        self.state == RunState::Done && !is_undone && !drift.into_iter().any(is_open)
    }
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::id::Key;

    fn millis(value: i64) -> Millis {
        Millis::try_from(value).unwrap()
    }

    fn complete(mode: Mode) -> Run {
        let mut run = Run::begin(millis(1_767_225_600_000), mode, true);
        for kind in Kind::ALL {
            run.listings.get_mut(kind).is_finished = true;
        }
        run
    }

    #[test]
    fn a_run_is_named_by_its_start_and_names_sort_by_time() {
        let name = RunId::at(millis(1_767_225_600_015));
        assert_eq!(name.as_str(), "2026-01-01T00:00:00.015Z");
        assert_eq!(name.as_str().parse::<RunId>().unwrap(), name);
        assert!(name < RunId::at(millis(1_767_225_600_016)));
        for bad in ["", "now", "2026-01-01", "2026-13-01T00:00:00.000Z", "2026-01-01T00:00:00.000Z#"] {
            assert!(bad.parse::<RunId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_run_reads_back_as_it_was_kept() {
        let mut run = complete(Mode::Report);
        run.next = Phase::Search { from: Some(Key { pk: "USER#1".to_owned(), sk: "USER".to_owned() }) };
        run.cost.read_units = 0.5;
        let kept = serde_json::to_value(&run).unwrap();
        assert_eq!(serde_json::from_value::<Run>(kept).unwrap(), run);
    }

    #[test]
    fn only_a_run_of_the_same_kind_that_is_not_too_old_is_gone_on_with() {
        let (basis, other) = (Basis::new([("MIRROR", "on".to_owned())]), Basis::new([("MIRROR", "off".to_owned())]));
        let run = Run { basis: basis.clone(), ..complete(Mode::Repair) };
        let after = |ms: u64| millis(i64::try_from(run.started_at.get() + ms).unwrap());
        assert!(run.can_resume(Mode::Repair, &basis, after(TOO_OLD_TO_RESUME)));
        assert!(!run.can_resume(Mode::Repair, &basis, after(TOO_OLD_TO_RESUME + 1)));
        assert!(!run.can_resume(Mode::Report, &basis, after(0)));
        assert!(!run.can_resume(Mode::Repair, &other, after(0)));
        let mut over = run.clone();
        over.finish(after(1));
        assert!(!over.can_resume(Mode::Repair, &basis, after(1)));
    }

    #[test]
    fn i16_another_run_names_the_interrupted_one_and_the_settings_that_differ() {
        let (basis, other) = (Basis::new([("MIRROR", "on".to_owned())]), Basis::new([("MIRROR", "off".to_owned())]));
        let run = Run { basis: basis.clone(), ..complete(Mode::Repair) };
        let now = run.started_at.next();
        let said = |runs: &[Run], basis| Run::passed_over(runs, Mode::Repair, basis, now).map(|said| said.settings);
        assert_eq!(said(std::slice::from_ref(&run), &other), Some(vec!["MIRROR".to_owned()]));
        assert_eq!(said(std::slice::from_ref(&run), &basis), None);
        // Of an earlier version nothing is known, so it is passed over, too.
        let earlier = complete(Mode::Repair);
        assert!(!earlier.can_resume(Mode::Repair, &basis, now));
        assert_eq!(said(&[earlier], &basis), Some(vec![]));
        // What is over, and what a later run has replaced, needs no word.
        let mut over = run.clone();
        over.finish(now);
        assert_eq!(said(&[over, run], &other), None);
    }

    #[test]
    fn a_record_of_an_earlier_version_is_read() {
        let mut kept = serde_json::to_value(complete(Mode::Repair)).unwrap();
        for name in ["basis", "instead_of"] {
            kept.as_object_mut().unwrap().remove(name);
        }
        assert!(!serde_json::from_value::<Run>(kept).unwrap().basis.is_known());
    }

    #[test]
    fn consent_covers_what_was_pending_and_no_more() {
        let mut run = complete(Mode::Repair);
        run.listings.user.seen = 70;
        run.absent = PerKind { user: 30, organization: 1, membership: 0 };
        assert!(run.must_be_approved(Kind::User));
        run.tally.user.pending_approval = 30;
        assert!(run.must_be_approved(Kind::Membership), "others wait");
        let mut run = run.approve();
        run.absent = PerKind { user: 30, organization: 1, membership: 0 };
        assert!(!run.must_be_approved(Kind::User));
        // The deletion of the only organization was not pending then, so nobody has approved it.
        assert!(run.must_be_approved(Kind::Organization));
        run.absent.user = 31;
        assert!(run.must_be_approved(Kind::User));
    }

    #[test]
    fn a_run_ends_as_what_it_was() {
        let ended = |change: &dyn Fn(&mut Run)| {
            let mut run = complete(Mode::Repair);
            change(&mut run);
            run.finish(millis(1_767_225_600_001));
            (run.state, run.is_in_sync())
        };
        assert_eq!(ended(&|_| ()), (RunState::Done, true));
        assert_eq!(ended(&|run| run.tally.user.pending_approval = 1), (RunState::PendingApproval, false));
        assert_eq!(ended(&|run| run.listings.membership.is_finished = false), (RunState::Incomplete, false));
        assert_eq!(ended(&|run| run.tally.user.drift.unproven = 1), (RunState::Incomplete, false));
        assert_eq!(ended(&|run| run.tally.user.drift.missing = 1), (RunState::Done, true));
        assert_eq!(ended(&|run| run.tally.user.drift.conflict = 1), (RunState::Done, false));
        // A backlog of write-backs is no difference as long as it shrinks.
        for (before, backlog, in_sync) in
            [(None, 190_000, true), (Some(190_000), 180_000, true), (Some(5), 5, false), (Some(5), 0, true)]
        {
            let with = ended(&|run| (run.backlog_before, run.effects.backlog) = (before, backlog));
            assert_eq!(with, (RunState::Done, in_sync), "{before:?} {backlog}");
        }
        assert_eq!(
            ended(&|run| {
                run.mode = Mode::Report;
                run.tally.user.drift.missing = 1;
            }),
            (RunState::Done, false)
        );
        // What is not mirrored is not listed.
        let mut run = Run::begin(millis(5), Mode::Repair, false);
        run.listings.organization.is_finished = true;
        run.finish(millis(6));
        assert_eq!(run.state, RunState::Done);
    }
}
