//! A run: the state that it stores between two pages, and its report.

use serde::{Deserialize, Serialize};

use super::absence::{Listing, is_too_many};
use super::basis::Basis;
use super::phase::Phase;
use super::run_id::RunId;
use super::tally::{Cost, Drift, PendingEffects, Tally};
use crate::core::controls::{Invariant, guards};
use crate::core::id::{InstanceId, Kind, PerKind, UserId};
use crate::core::millis::Millis;

/// A run that began more than this many ms ago is not continued: its listings are too old.
pub const TOO_OLD_TO_RESUME: u64 = 12 * 60 * 60 * 1000;
/// How long a run can be approved, in ms from its start.
pub const TOO_OLD_TO_APPROVE: u64 = 7 * 24 * 60 * 60 * 1000;

/// Whether a run writes what it plans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The run repairs the Directory.
    #[default]
    Repair,
    /// The run only reports: it writes nothing else.
    Report,
}

/// The state of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Under way, or interrupted.
    #[default]
    Running,
    /// Finished, with deletions that are pending approval.
    PendingApproval,
    /// Finished, but some entities could not be compared: the report names the reasons.
    Incomplete,
    Done,
}

/// An interrupted run that was not continued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instead {
    pub run: RunId,
    /// The variables whose values differ now; empty if an earlier version, which did not store them, began the run.
    pub settings: Vec<String>,
}

/// A run, as it is stored and reported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub run: RunId,
    /// Its start, in Unix ms: absences are confirmed for this time.
    pub started_at: Millis,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Millis>,
    pub mode: Mode,
    pub state: RunState,
    /// The next step.
    pub next: Phase,
    /// The first page without any entity, while it is not proven that it came from this instance: a run that was
    /// interrupted since continues there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unproven: Option<Phase>,
    /// The step after the pending effects, if Clerk failed before: the listing continues there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub later: Option<Phase>,
    /// The instance whose key stopped the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreign: Option<InstanceId>,
    /// Whether live users and memberships are stored.
    #[serde(default = "yes")]
    pub mirror: bool,
    /// The settings with which it began. Empty for a run of an earlier version.
    #[serde(default)]
    pub basis: Basis,
    /// The interrupted run that was not continued, because it began under other settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead_of: Option<Instead>,
    /// Whether an operator has approved the pending deletions.
    #[serde(default)]
    pub approved: bool,
    /// How many absences of each kind the approval covers.
    #[serde(default)]
    pub consent: PerKind<u64>,
    /// The progress of the listings.
    pub listings: PerKind<Listing>,
    /// How many entities of a kind were deleted during the listing.
    pub ended_meanwhile: PerKind<u64>,
    /// What it found and did.
    pub tally: PerKind<Tally>,
    /// The pending effects that it found.
    #[serde(default)]
    pub effects: PendingEffects,
    /// The number of write-backs that the previous run left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backlog_before: Option<u64>,
    /// The cost of the run.
    pub cost: Cost,
    /// Absences that the screening has found so far.
    #[serde(default)]
    pub absent: PerKind<u64>,
    /// The count `unproven` before the screening began: it is kept when the rest is screened again.
    #[serde(default)]
    pub unproven_before: PerKind<u64>,
    /// The number of saved pages, except those of write-backs: the number of the next one.
    pub pages: u64,
    /// Pages of users who lack something in Clerk. They are saved again whenever the pending effects are searched
    /// again.
    #[serde(default)]
    pub unlinked_pages: u64,
    /// Users whom the listing showed, the first and the last: the response must contain one of them when Clerk is asked
    /// about others.
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

    /// Whether a run of this mode under these settings continues it at `now`.
    pub fn can_resume(&self, mode: Mode, basis: &Basis, now: Millis) -> bool {
        self.is_interrupted(mode, now) && (self.basis == *basis || !guards(Invariant::I16))
    }

    /// Whether a run of this mode would continue it at `now` under the same settings.
    fn is_interrupted(&self, mode: Mode, now: Millis) -> bool {
        let is_young = now.since(self.started_at) <= TOO_OLD_TO_RESUME;
        self.state == RunState::Running && self.mode == mode && is_young
    }

    /// What is reported about the latest run of this mode (`recent` has the latest first) if it was interrupted under
    /// other settings than these.
    pub fn passed_over(recent: &[Run], mode: Mode, basis: &Basis, now: Millis) -> Option<Instead> {
        let latest = recent.iter().find(|run| run.mode == mode).filter(|run| run.is_interrupted(mode, now))?;
        let known = latest.basis.is_known();
        let settings = if known { latest.basis.differences(basis) } else { Vec::new() };
        (!known || !settings.is_empty()).then(|| Instead { run: latest.run.clone(), settings })
    }

    /// The variables whose values differ from those at its start; empty if an earlier version began it.
    pub fn changed_settings(&self, basis: &Basis) -> Vec<String> {
        if self.basis.is_known() { self.basis.differences(basis) } else { Vec::new() }
    }

    /// The same run, continued after an interruption.
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

    /// Whether the next step depends on Clerk's responses.
    pub fn is_asking(&self) -> bool {
        !matches!(self.next, Phase::Effects { .. } | Phase::WriteBack { .. } | Phase::Done)
    }

    /// Continues with the steps that need no listing, because Clerk has failed.
    pub fn put_off(&mut self) {
        self.later = Some(std::mem::replace(&mut self.next, Phase::Effects { from: None }));
    }

    /// Goes back to the step in which Clerk failed, if there is one. The remaining effects are counted again.
    pub fn take_up(&mut self) -> bool {
        let Some(later) = self.later.take() else { return false };
        let PendingEffects { profiles, tombstones, purged, .. } = self.effects;
        self.effects = PendingEffects { profiles, tombstones, purged, ..PendingEffects::default() };
        self.unlinked_pages = 0;
        self.next = later;
        true
    }

    /// Stores a user whom the listing showed as a control user.
    pub fn control_user(&mut self, user: UserId) {
        self.control_users.truncate(1);
        self.control_users.push(user);
    }

    /// The same run with an operator's approval: all absence candidates are screened and confirmed again.
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

    /// Whether the absences of a kind need an approval: there are too many, more than an operator has approved, or
    /// others are already pending.
    pub fn must_be_approved(&self, kind: Kind) -> bool {
        let absent = *self.absent.get(kind);
        self.is_pending_approval()
            || (absent > *self.consent.get(kind) && is_too_many(absent, self.listings.get(kind).seen))
    }

    /// The step after the screening of a kind.
    pub fn after_screening(&self, kind: Kind) -> Phase {
        if self.tally.get(kind).pending_approval > 0 {
            Run::after_confirmation(kind)
        } else {
            Phase::Confirm { kind, after: None }
        }
    }

    /// The step after the confirmation of all absences of a kind.
    pub fn after_confirmation(kind: Kind) -> Phase {
        match kind {
            Kind::User => Phase::Screen { kind: Kind::Organization, after: None },
            Kind::Organization => Phase::Screen { kind: Kind::Membership, after: None },
            Kind::Membership => Phase::Effects { from: None },
        }
    }

    /// Whether the listing of a kind shows all live entities.
    pub fn is_complete(&self, kind: Kind) -> bool {
        self.listings.get(kind).is_complete(*self.ended_meanwhile.get(kind))
    }

    /// The number of entities in the listings.
    pub fn seen(&self) -> u64 {
        Kind::ALL.into_iter().map(|kind| self.listings.get(kind).seen).sum()
    }

    /// What it found and did, for all kinds together.
    pub fn total(&self) -> Tally {
        Kind::ALL.into_iter().fold(Tally::default(), |total, kind| total + *self.tally.get(kind))
    }

    /// The number of differences that remain: all that a report found, or those that a repair has not resolved.
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

    /// Whether deletions are pending approval.
    pub fn is_pending_approval(&self) -> bool {
        Kind::ALL.into_iter().any(|kind| self.tally.get(kind).pending_approval > 0)
    }

    /// Finishes the run at `now`. The control users are removed, unless deletions are pending approval.
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

    /// Whether the number of remaining write-backs decreases from run to run.
    pub fn is_backlog_shrinking(&self) -> bool {
        self.effects.backlog == 0 || self.backlog_before.is_none_or(|before| self.effects.backlog < before)
    }

    /// Whether the Directory agrees with Clerk, as far as the run can tell.
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
        // The settings of an earlier version's run are unknown, so it is not continued either.
        let earlier = complete(Mode::Repair);
        assert!(!earlier.can_resume(Mode::Repair, &basis, now));
        assert_eq!(said(&[earlier], &basis), Some(vec![]));
        // A finished run, and a run that a later one has replaced, are not reported.
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
        // The deletion of the only organization was not pending then, so it is not approved.
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
