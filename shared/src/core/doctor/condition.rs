//! The state of the copy: the last run, the lease, the last event, the quarantine, due purges, and the size of session
//! tokens.

use super::Finding;
use crate::core::millis::Millis;
use crate::core::mirror::item::{Item, Writer};
use crate::core::reconcile::run::{Mode, Run, RunState};

const RUN: &str = "last-run";
const LEASE: &str = "lease";
const EVENTS: &str = "events";
const QUARANTINE: &str = "quarantine";
const PURGES: &str = "due-purges";
const TOKENS: &str = "token-size";

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
/// The alarm `RunsMissing` uses the same time, in ms: a nightly run, and two hours for its work.
pub(super) const OVERDUE: u64 = 26 * HOUR;
/// How much a clock may be wrong, in ms, before a lease counts as one that nobody renews.
const CLOCK_DOUBT: u64 = MINUTE;
/// Clerk advises against more custom claims in a session token, in bytes: the cookie with the token has 4 KB.
/// Source: Clerk, "Metadata in the session token".
pub const CLAIMS_LIMIT: usize = 1200;

/// How long ago, in words.
pub(super) fn ago(milliseconds: u64) -> String {
    match milliseconds {
        0..MINUTE => format!("{} s ago", milliseconds / 1000),
        MINUTE..HOUR => format!("{} min ago", milliseconds / MINUTE),
        _ if milliseconds < 48 * HOUR => format!("{} h ago", milliseconds / HOUR),
        _ => format!("{} days ago", milliseconds / (24 * HOUR)),
    }
}

/// Judges the latest runs, the latest first. `is_active` says whether a run holds the lease.
pub fn last_run(runs: &[Run], is_active: bool, now: Millis) -> Vec<Finding> {
    let over = runs.iter().find_map(|run| Some((run, run.finished_at?)));
    let mut found = Vec::new();
    match over {
        None => found.push(
            Finding::problem(RUN, "no run of reconcile has finished yet")
                .cause("the deployment is new, or the schedule does not start runs")
                .mend("run `rollcall reconcile`; then check the parameter ReconcileState of the stack and the executions of its state machine"),
        ),
        Some((run, at)) => {
            let age = now.since(at);
            if age > OVERDUE {
                found.push(
                    Finding::problem(RUN, format!("the last run finished {}", ago(age)))
                        .cause("the schedule is disabled, or the state machine does not start reconcile")
                        .mend("run `rollcall reconcile` now; check the parameter ReconcileState of the stack and the executions of its state machine"),
                );
            }
            if run.state == RunState::PendingApproval {
                found.push(
                    Finding::problem(RUN, "deletions are pending approval")
                        .cause("a run found more rows whose entities Clerk does not have than it may delete without approval")
                        .mend(format!(
                            "check them with `rollcall status`, then `rollcall reconcile --approve {}`",
                            run.run
                        )),
                );
            } else if run.effects.left > 0 {
                found.push(
                    Finding::problem(RUN, format!("effects that failed in the last run: {}", run.effects.left))
                        .cause("records or deletions could not be completed; the log of reconcile says why")
                        .mend("see `rollcall tail --once --since 48h --only reconcile --errors`, correct the cause, then run `rollcall reconcile`"),
                );
            } else if run.mode == Mode::Repair && !run.is_in_sync() {
                found.push(
                    Finding::problem(
                        RUN,
                        format!("the last run was not in sync; differences that are left: {}", run.differences()),
                    )
                    .cause("an operator has to decide about these differences, or a list of Clerk was incomplete")
                    .mend("`rollcall reconcile --dry-run` shows them; docs/operations.md, Kinds of drift, says what to do about each"),
                );
            } else if !run.is_in_sync() {
                found.push(
                    Finding::warning(RUN, format!("differences that the last report found: {}", run.differences()))
                        .cause("a run that only reports repairs nothing")
                        .mend("run `rollcall reconcile --override RECONCILE_POLICY=repair`"),
                );
            }
            if found.is_empty() {
                found.push(Finding::ok(RUN, format!("in sync, as of the run that finished {}", ago(age))));
            }
        }
    }
    if let Some(run) = runs.first().filter(|run| run.state == RunState::Running && !is_active) {
        found.retain(Finding::is_found);
        found.push(
            Finding::warning(RUN, format!("run {} was interrupted", run.run))
                .cause("its process was killed, or its invocations failed; nothing is lost, and no work is done twice")
                .mend("`rollcall reconcile` continues the run; so does the next scheduled run"),
        );
    }
    found
}

/// Whether nobody can be renewing a lease that ends at `until`: a lease is taken for `length` ms, so a later end was
/// written by a clock that was ahead.
pub fn is_left_behind(until: Millis, now: Millis, length: u64) -> bool {
    until.since(now) > length + CLOCK_DOUBT
}

/// Judges the lease: the time at which it ends, if there is one. `length` is how long a lease lasts, in ms.
pub fn lease(until: Option<Millis>, now: Millis, length: u64) -> Finding {
    match until {
        None => Finding::ok(LEASE, "no run is active"),
        Some(until) if is_left_behind(until, now, length) => {
            let minutes = until.since(now) / MINUTE;
            Finding::problem(LEASE, format!("the lease lasts another {minutes} min, and until then no run can begin"))
                .cause(format!("a lease lasts {} min; a machine whose clock was ahead took this one", length / MINUTE))
                .mend("`rollcall doctor --fix` releases it, unless a run renews it")
        }
        Some(_) => Finding::ok(LEASE, "a run is active"),
    }
}

/// What a sample of the Directory's rows says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    pub rows: u64,
    /// Whether the sample has all rows.
    pub is_whole: bool,
    /// The latest time at which a row of the sample was written by the webhook.
    pub last_event: Option<Millis>,
    pub users: u64,
    /// The users whose public metadata have more than [`CLAIMS_LIMIT`] bytes.
    pub large: u64,
    /// The largest public metadata, in bytes.
    pub largest: usize,
}

impl Sample {
    /// Counts one row.
    pub fn add(&mut self, item: &Item) {
        self.rows += 1;
        if item.provenance.applied_by == Writer::Webhook {
            self.last_event = self.last_event.max(Some(item.provenance.applied_at));
        }
        if item.key.sk == "USER" && item.deleted_at.is_none() {
            self.users += 1;
            let metadata = item.fields.get("public_metadata").map_or(0, |metadata| metadata.to_string().len());
            self.largest = self.largest.max(metadata);
            self.large += u64::from(metadata > CLAIMS_LIMIT);
        }
    }
}

/// Judges whether events arrive. `repaired` is the number of missing and outdated rows that the last run found and the
/// time at which it began.
pub fn events(sample: &Sample, repaired: Option<(u64, Millis)>, now: Millis) -> Finding {
    let endpoint = "compare the output WebhookUrl with the endpoint in Clerk's dashboard, and look at its attempts there; \
                    then run `rollcall reconcile`";
    if sample.rows == 0 {
        return Finding::not_applicable(EVENTS, "the Directory has no rows, so no event is known to have arrived");
    }
    let among = if sample.is_whole { "all" } else { "a sample of" };
    let Some(last) = sample.last_event else {
        return Finding::warning(EVENTS, format!("no event is known to have arrived ({among} {} rows)", sample.rows))
            .cause("the rows were written by reconcile, ensure-profile or commands; the webhook may not be connected")
            .mend(endpoint);
    };
    let known = format!("the last event that is known to have been applied arrived {}", ago(now.since(last)));
    match repaired {
        Some((rows, at)) if rows > 0 => Finding::warning(
            EVENTS,
            format!("{known}; rows that events should have written, found by the run of {}: {rows}", at.utc_date()),
        )
        .cause("events were lost or rejected")
        .mend(endpoint),
        _ => Finding::ok(EVENTS, format!("{known} ({among} {} rows)", sample.rows)),
    }
}

/// Judges the number of notes in the quarantine.
pub fn quarantine(notes: u64) -> Finding {
    if notes == 0 {
        return Finding::ok(QUARANTINE, "the quarantine is empty");
    }
    Finding::warning(QUARANTINE, format!("events in quarantine: {notes}"))
        .cause("Clerk sent signed events with fields that this release cannot read")
        .mend("`rollcall quarantine list` shows the events and the fields; run `rollcall reconcile`, which fetches the entities from Clerk")
}

/// Judges the number of notes of purges that were due more than two hours ago, at most a day.
pub fn due_purges(overdue: u64) -> Finding {
    if overdue == 0 {
        return Finding::ok(PURGES, "no purge is overdue");
    }
    Finding::problem(PURGES, format!("overdue purges: {overdue}"))
        .cause("the hourly purge is not scheduled, or fails; the log of reconcile has the error")
        .mend("see docs/operations.md, Report of the hourly purge; `rollcall reconcile` purges at once")
}

/// When a purge counts as overdue: the hourly purge had two chances.
pub fn is_overdue(due_at: Millis, now: Millis) -> bool {
    now.since(due_at) > 2 * HOUR
}

/// Judges the size of session tokens by the public metadata of the sample.
pub fn tokens(sample: &Sample) -> Finding {
    let Sample { users, large, largest, .. } = *sample;
    if users == 0 {
        return Finding::not_applicable(TOKENS, "the Directory has no live users");
    }
    if large == 0 {
        return Finding::ok(TOKENS, format!("the public metadata of {users} users have at most {largest} bytes"));
    }
    Finding::warning(
        TOKENS,
        format!(
            "{large} of {users} users have more than {CLAIMS_LIMIT} bytes of public metadata (the largest {largest})"
        ),
    )
    .cause("if your session token contains public_metadata, the cookie of such a user exceeds 4 KB, and sign-in fails")
    .mend("put only the needed fields into the session token (Clerk's dashboard, Sessions), or shorten the metadata")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::doctor::Verdict::{NotApplicable, Ok, Problem, Warning};
    use crate::core::id::Kind;

    fn at(hours: i64) -> Millis {
        Millis::try_from(1_767_225_600_000 + hours * 3_600_000).unwrap()
    }

    fn over(hours: i64, mode: Mode, change: fn(&mut Run)) -> Run {
        let mut run = Run::begin(at(hours), mode, true);
        for kind in Kind::ALL {
            run.listings.get_mut(kind).is_finished = true;
        }
        change(&mut run);
        run.finish(at(hours).next());
        run
    }

    #[test]
    fn the_last_run_is_judged_by_its_age_and_its_result() {
        let of = |runs: &[Run], active, now| last_run(runs, active, at(now))[0].result;
        let done = over(0, Mode::Repair, |_| ());
        assert_eq!(of(&[], false, 0), Problem);
        assert_eq!(of(std::slice::from_ref(&done), false, 26), Ok);
        assert_eq!(of(std::slice::from_ref(&done), false, 27), Problem);
        for (change, expected) in [
            ((|run| run.tally.user.pending_approval = 1) as fn(&mut Run), Problem),
            (|run| run.effects.left = 1, Problem),
            (|run| run.tally.user.drift.conflict = 1, Problem),
            (|run| run.tally.user.drift.missing = 1, Ok),
        ] {
            assert_eq!(of(&[over(0, Mode::Repair, change)], false, 1), expected);
        }
        assert_eq!(of(&[over(0, Mode::Report, |run| run.tally.user.drift.missing = 1)], false, 1), Warning);
        let begun = Run::begin(at(1), Mode::Repair, true);
        assert_eq!(of(&[begun.clone(), done.clone()], true, 1), Ok);
        assert_eq!(of(&[begun, done], false, 1), Warning);
    }

    #[test]
    fn a_lease_that_ends_too_late_is_one_that_nobody_renews() {
        let length = 5 * MINUTE;
        let ends =
            |minutes: u64| Some(Millis::try_from(i64::try_from(at(0).get() + minutes * MINUTE).unwrap()).unwrap());
        let of = |until| lease(until, at(0), length).result;
        assert_eq!([of(None), of(ends(0)), of(ends(5)), of(ends(6)), of(ends(7))], [Ok, Ok, Ok, Ok, Problem]);
    }

    #[test]
    fn events_that_do_not_arrive_are_found_by_what_a_run_had_to_repair() {
        let sample = Sample { rows: 9, last_event: Some(at(0)), ..Sample::default() };
        let of = |sample: &Sample, repaired| events(sample, repaired, at(1)).result;
        assert_eq!(of(&Sample::default(), None), NotApplicable);
        assert_eq!(of(&Sample { last_event: None, ..sample }, None), Warning);
        assert_eq!(of(&sample, None), Ok);
        assert_eq!(of(&sample, Some((0, at(0)))), Ok);
        assert_eq!(of(&sample, Some((1, at(0)))), Warning);
        assert!(events(&sample, None, at(50)).message.contains("2 days ago"));
    }

    #[test]
    fn notes_overdue_purges_and_large_metadata_are_found() {
        assert_eq!([quarantine(0).result, quarantine(1).result], [Ok, Warning]);
        assert_eq!([due_purges(0).result, due_purges(1).result], [Ok, Problem]);
        assert!(!is_overdue(at(0), at(2)) && is_overdue(at(0), at(3)) && !is_overdue(at(5), at(3)));
        let sample = Sample { users: 2, largest: 1201, large: 1, ..Sample::default() };
        assert_eq!([tokens(&sample).result, tokens(&Sample { large: 0, ..sample }).result], [Warning, Ok]);
        assert_eq!(tokens(&Sample::default()).result, NotApplicable);
        assert_eq!(ago(59_999), "59 s ago");
    }
}
