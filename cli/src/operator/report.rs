//! Formats the report of a run. It contains kinds, counts and the id of the run, and no ids or data of entities.

use ::reconcile::{Outcome, Report};
use rollcall::adapters::dynamo::operations::runs::Lease;
use rollcall::core::id::Kind;
use rollcall::core::reconcile::run::{Instead, Mode, Run};
use rollcall::core::reconcile::tally::{Drift, PendingEffects, Tally};
use serde_json::{Value, json};

use super::text::{count, counted, moment, plural, seconds, table};
use crate::Status;

/// The report as JSON, as the function returns it, with `in_sync`.
pub fn to_json(report: &Report) -> Value {
    let mut json = json!(report);
    json["in_sync"] = report.run.as_ref().is_some_and(Run::is_in_sync).into();
    json
}

/// The exit status after a run.
pub fn status(report: &Report) -> Status {
    let in_sync = report.state == Outcome::Done && report.run.as_ref().is_some_and(Run::is_in_sync);
    if in_sync { Status::Done } else { Status::Left }
}

/// The whole report as text. `options` are the options that another command needs to work on the same deployment.
pub fn text(report: &Report, options: &str) -> String {
    let Some(run) = &report.run else { return busy(report.lease.as_ref(), options) };
    let total = run.total();
    let title = match run.mode {
        Mode::Repair => format!("Run {}", run.run),
        Mode::Report => format!("Plan of run {}: the Directory was not changed", run.run),
    };
    let mut parts = vec![title];
    parts.extend(run.instead_of.as_ref().map(instead_of));
    parts.push(counts(run));
    parts.extend(found(&total.drift, run.mode));
    parts.extend(effects(&run.effects, run.mode));
    parts.extend(unconfirmed(total.unconfirmed));
    parts.extend(incomplete(run));
    let cost = &run.cost;
    parts.push(format!(
        "Duration {}, {} to Clerk, {:.1} read and {:.1} write units of DynamoDB.",
        seconds(cost.milliseconds),
        counted(cost.clerk_calls, "call"),
        cost.read_units,
        cost.write_units
    ));
    parts.push(conclusion(report.state, run, options));
    parts.join("\n\n")
}

/// Why an interrupted run was not continued.
fn instead_of(other: &Instead) -> String {
    let Instead { run, settings } = other;
    let why = if settings.is_empty() {
        "was started by an earlier version".to_owned()
    } else {
        format!("was started with other settings ({})", settings.join(", "))
    };
    format!("Run {run} was interrupted. That run {why} and cannot be continued, so a new run was started.")
}

/// Rows that may become differences.
fn unconfirmed(rows: u64) -> Option<String> {
    let are = if rows == 1 { "was" } else { "were" };
    (rows > 0).then(|| {
        format!(
            "{} {are} stored less than 15 minutes before the run, but {} not in Clerk's list: a later run checks \
             again.",
            counted(rows, "row"),
            if rows == 1 { "is" } else { "are" }
        )
    })
}

/// The text if another run is active.
pub fn busy(lease: Option<&Lease>, options: &str) -> String {
    let until = lease.map(|lease| format!(" Its lease lasts at least until {}.", moment(lease.until)));
    let until = until.unwrap_or_default();
    format!(
        "Another run is active.{until} See the run with `rollcall status{options}`. Try again when the run is \
             finished."
    )
}

fn counts(run: &Run) -> String {
    let header = match run.mode {
        Mode::Repair => ["", "in Clerk", "unchanged", "created", "updated", "deleted", "cascaded", "pending"],
        Mode::Report => ["", "in Clerk", "unchanged", "to create", "to update", "to delete", "to cascade", "pending"],
    };
    let row = |kind: Kind| {
        let Tally { unchanged, created, updated, deleted, cascade_deleted, pending_approval, drift, .. } =
            *run.tally.get(kind);
        let changes = match run.mode {
            Mode::Repair => [created, updated, deleted, cascade_deleted],
            Mode::Report => [drift.missing, drift.outdated + drift.behind + drift.tied, drift.absent, drift.orphaned],
        };
        let listing = run.listings.get(kind);
        let seen = if listing.is_off { "–".to_owned() } else { count(listing.seen) };
        let numbers = [unchanged].into_iter().chain(changes).chain([pending_approval]).map(count);
        [plural(kind).to_owned(), seen].into_iter().chain(numbers).collect()
    };
    table(&header, &Kind::ALL.map(row), 1)
}

/// The meaning of each kind of drift, and what to do about the kinds that no run repairs.
fn meaning(name: &str) -> &'static str {
    match name {
        "missing" => "in Clerk, but not in the Directory",
        "outdated" => "older in the Directory than in Clerk",
        "behind" => "equal contents, but an older version in the Directory",
        "tied" => "different contents with the same version: Clerk is asked again",
        "absent" => "in the Directory, but confirmed not to exist in Clerk",
        "orphaned" => "memberships of a deleted user or organization",
        "conflict" => {
            "deleted in the Directory, but existing in Clerk; the Directory is not changed: see the ids in the log"
        }
        "ahead" => "newer in the Directory than in Clerk for over 15 minutes: see the ids in the log",
        "unproven" => {
            "absence candidates that could not be confirmed: run reconcile again; if they remain, check whether \
             organizations are disabled in Clerk"
        }
        "unreadable" => "unreadable entries of Clerk's lists or rows of the Directory: see the ids in the log",
        "unmirrored" => "live rows from before MIRROR=off; they are not removed automatically",
        _ => "",
    }
}

fn found(drift: &Drift, mode: Mode) -> Vec<String> {
    let by_name = drift.by_name();
    let (repaired, left) = by_name.split_at(by_name.len() - 5);
    let heading = match mode {
        Mode::Repair => "Repaired differences:",
        Mode::Report => "Differences that a repair would resolve:",
    };
    let groups = [(heading, repaired), ("Differences that require an operator:", left)];
    let group = |(heading, kinds): (&str, &[(&str, u64)])| {
        let found = kinds.iter().filter(|(_, number)| *number > 0);
        let rows: Vec<Vec<String>> =
            found.map(|(name, number)| vec![count(*number), (*name).to_owned(), meaning(name).to_owned()]).collect();
        (!rows.is_empty()).then(|| format!("{heading}\n{}", table(&[], &rows, 3)))
    };
    groups.into_iter().filter_map(group).collect()
}

/// The pending effects.
fn effects(effects: &PendingEffects, mode: Mode) -> Option<String> {
    let PendingEffects { profiles, tombstones, links, linked: _, backlog, conflicts, left, waiting, purged, gone } =
        *effects;
    let found = [
        (profiles, "users and memberships without a record in Profiles"),
        (tombstones, "deleted users and organizations with pending effects"),
        (purged, "of these, users whose data were removed"),
        (links, "users without dbId or role in their public metadata in Clerk"),
        (backlog, "of these, for the next runs (at most 10,000 write-backs per run)"),
        (left, "effects that failed; the next run tries again"),
    ];
    let found = found.into_iter().filter(|(number, _)| *number > 0);
    let rows: Vec<Vec<String>> = found.map(|(number, what)| vec![count(number), what.to_owned()]).collect();
    let heading = match mode {
        Mode::Repair if left > 0 => "Pending effects, completed by this run except for those that failed:",
        Mode::Repair => "Pending effects, completed by this run:",
        Mode::Report => "Pending effects:",
    };
    let found = (!rows.is_empty()).then(|| format!("{heading}\n{}", table(&[], &rows, 2)));
    // Not a problem, so it is a sentence of its own.
    let waiting = (waiting > 0)
        .then(|| format!("{} within the grace period or waiting for the purge.", counted(waiting, "deleted user")));
    let conflicts = (conflicts > 0).then(|| {
        format!(
            "{} with another dbId in their metadata in Clerk; the metadata was not changed: see the ids in the log.",
            counted(conflicts, "user")
        )
    });
    let gone = (gone > 0)
        .then(|| format!("{} not written back because they no longer exist in Clerk.", counted(gone, "user")));
    let all: Vec<String> = found.into_iter().chain(conflicts).chain(gone).chain(waiting).collect();
    (!all.is_empty()).then(|| all.join("\n\n"))
}

/// Why a listing is incomplete. An incomplete listing is no reason for a deletion.
fn incomplete(run: &Run) -> Option<String> {
    let listed = Kind::ALL.into_iter().filter(|kind| !run.listings.get(*kind).is_off);
    let reasons = listed.filter(|kind| !run.is_complete(*kind)).map(|kind| {
        let listing = run.listings.get(kind);
        let mut reasons = vec![format!(
            "{} entries listed, but Clerk counted {} before and {} after the listing",
            count(listing.seen),
            count(listing.before),
            count(listing.after)
        )];
        reasons.extend((!listing.is_finished).then(|| "the listing did not finish".to_owned()));
        reasons.extend((listing.nameless > 0).then(|| format!("{} without an id", counted(listing.nameless, "row"))));
        reasons.extend((listing.short_pages > 0).then(|| counted(listing.short_pages, "short page")));
        format!("  {}: {}", plural(kind), reasons.join("; "))
    });
    let reasons: Vec<String> = reasons.collect();
    let heading = "Incomplete lists of Clerk (absences in these lists were not treated as deletions):";
    (!reasons.is_empty()).then(|| format!("{heading}\n{}", reasons.join("\n")))
}

/// The last line: whether everything is in sync, and what to do.
fn conclusion(state: Outcome, run: &Run, options: &str) -> String {
    let total = run.total();
    let (repairable, operators) = (total.drift.repairable(), total.drift.for_operators());
    let written = total.created + total.updated + total.deleted + total.cascade_deleted;
    let mut sentences = Vec::new();
    if run.is_in_sync() {
        sentences.push(match written {
            0 => "In sync.".to_owned(),
            written => format!("In sync: {} written.", counted(written, "row")),
        });
    }
    let repairable = match run.mode {
        Mode::Repair => repairable,
        Mode::Report => repairable + run.effects.profiles + run.effects.tombstones + run.effects.links,
    };
    if run.mode == Mode::Report && repairable > 0 {
        let them = if repairable == 1 { "it" } else { "them" };
        sentences.push(format!(
            "{}: run `rollcall reconcile{options}` to repair {them}.",
            counted(repairable, "difference")
        ));
    }
    if total.pending_approval > 0 {
        let pending = counted(total.pending_approval, "deletion");
        sentences.push(match run.mode {
            Mode::Repair => {
                format!("{pending} pending approval: run `rollcall reconcile --approve {}{options}`", run.run)
            }
            Mode::Report => format!("{pending} would require approval."),
        });
    }
    if state == Outcome::Incomplete {
        sentences.push("The comparison is incomplete: run reconcile again.".to_owned());
    }
    if run.effects.left > 0 {
        sentences.push(format!("{} not completed: run reconcile again.", counted(run.effects.left, "pending effect")));
    }
    let operators = operators + run.effects.conflicts;
    if operators > 0 {
        let need = if operators == 1 { "requires" } else { "require" };
        sentences.push(format!("{} {need} an operator: see docs/operations.md.", counted(operators, "difference")));
    }
    sentences.join(" ")
}

/// The deletions of a run that are pending approval, by kind.
pub fn pending_approval(run: &Run) -> String {
    let kinds =
        Kind::ALL.into_iter().map(|kind| (kind, run.tally.get(kind).pending_approval)).filter(|(_, count)| *count > 0);
    let kinds: Vec<String> = kinds.map(|(kind, pending)| format!("{} {}", count(pending), plural(kind))).collect();
    kinds.join(", ")
}

#[cfg(test)]
mod tests {
    use rollcall::core::millis::Millis;

    use super::*;

    fn run(mode: Mode, change: impl FnOnce(&mut Run)) -> Report {
        let at = |ms| Millis::try_from(ms).unwrap();
        let mut run = Run::begin(at(1_767_225_600_000), mode, true);
        for kind in Kind::ALL {
            run.listings.get_mut(kind).is_finished = true;
        }
        change(&mut run);
        run.finish(at(1_767_225_601_000));
        rollcall::services::reconcile::RunResult::Ran(Box::new(run)).into()
    }

    fn last(report: &Report) -> String {
        text(report, " --local").lines().last().unwrap().to_owned()
    }

    #[test]
    fn the_last_line_says_how_it_stands_and_what_to_do() {
        for (mode, change, expected, exit) in [
            (Mode::Repair, (|_| ()) as fn(&mut Tally), "In sync.", Status::Done),
            (Mode::Report, |_| (), "In sync.", Status::Done),
            (
                Mode::Repair,
                |tally| (tally.created, tally.drift.missing) = (3, 3),
                "In sync: 3 rows written.",
                Status::Done,
            ),
            (
                Mode::Report,
                |tally| tally.drift.missing = 3,
                "3 differences: run `rollcall reconcile --local` to repair them.",
                Status::Left,
            ),
            (
                Mode::Repair,
                |tally| tally.pending_approval = 1_000,
                "1,000 deletions pending approval: run `rollcall reconcile --approve 2026-01-01T00:00:00.000Z --local`",
                Status::Left,
            ),
            (Mode::Report, |tally| tally.pending_approval = 1, "1 deletion would require approval.", Status::Left),
            (
                Mode::Repair,
                |tally| tally.drift.conflict = 1,
                "1 difference requires an operator: see docs/operations.md.",
                Status::Left,
            ),
            (
                Mode::Repair,
                |tally| tally.drift.unproven = 2,
                "The comparison is incomplete: run reconcile again. 2 differences require an operator: see \
                 docs/operations.md.",
                Status::Left,
            ),
        ] {
            let report = run(mode, |run| change(&mut run.tally.user));
            assert_eq!((last(&report).as_str(), status(&report)), (expected, exit));
            assert_eq!(to_json(&report)["in_sync"], exit == Status::Done);
        }
    }

    #[test]
    fn a_table_shows_what_was_done_and_a_plan_what_would_be() {
        let change = |run: &mut Run| {
            run.listings.user.seen = 1_234;
            let drift = Drift { missing: 2, outdated: 1, behind: 1, tied: 1, absent: 4, ..Drift::default() };
            run.tally.user = Tally { unchanged: 7, created: 1, updated: 2, deleted: 3, drift, ..Tally::default() };
        };
        let row = |report: &Report| {
            let text = text(report, "");
            let row = text.lines().find(|line| line.trim_start().starts_with("users")).unwrap().to_owned();
            (text, row.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        };
        let (text, cells) = row(&run(Mode::Repair, change));
        assert_eq!(cells, ["users", "1,234", "7", "1", "2", "3", "0", "0"]);
        assert!(text.contains("Repaired differences:") && !text.contains("conflict"), "{text}");
        let (text, cells) = row(&run(Mode::Report, change));
        assert_eq!(cells, ["users", "1,234", "7", "2", "3", "4", "0", "0"]);
        assert!(text.starts_with("Plan of run ") && text.contains("would resolve:"), "{text}");
    }

    #[test]
    fn every_kind_of_drift_is_explained() {
        for (name, _) in Drift::default().by_name() {
            assert!(!meaning(name).is_empty(), "{name}");
        }
        let report = run(Mode::Repair, |run| run.tally.membership.drift.ahead = 5);
        let text = text(&report, "");
        assert!(text.contains("Differences that require an operator:\n  5  ahead  newer in the Directory"), "{text}");
    }

    #[test]
    fn a_list_that_left_somebody_out_is_told_with_its_counts() {
        let mut report = run(Mode::Repair, |run| {
            let listing = &mut run.listings.membership;
            (listing.seen, listing.before, listing.after, listing.short_pages) = (90, 120, 121, 1);
        });
        let shown = text(&report, "");
        let line = "  memberships: 90 entries listed, but Clerk counted 120 before and 121 after the listing; 1 short \
                    page";
        assert!(shown.lines().any(|shown| shown == line), "{shown}");
        // A list that is switched off is never incomplete.
        if let Some(run) = &mut report.run {
            for kind in Kind::ALL {
                run.listings.get_mut(kind).is_off = true;
            }
        }
        assert!(!text(&report, "").contains("Incomplete lists"));
        assert_eq!(status(&report), Status::Left);
    }

    #[test]
    fn somebody_elses_run_is_no_failure_and_no_success() {
        let lease = Lease { holder: "x".to_owned(), until: Millis::try_from(1_767_225_600_000).unwrap() };
        let report = Report::from(rollcall::services::reconcile::RunResult::Busy(lease));
        assert!(text(&report, "").contains("until 2026-01-01T00:00:00Z"));
        assert_eq!((status(&report), to_json(&report)["in_sync"].as_bool()), (Status::Left, Some(false)));
    }
}
