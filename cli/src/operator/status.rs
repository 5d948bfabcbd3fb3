//! `rollcall status`: shows the latest runs and the deletions pending approval.

use clap::Args;
use rollcall::adapters::dynamo::operations::Operations;
use rollcall::adapters::dynamo::operations::runs::Lease;
use rollcall::core::millis::Millis;
use rollcall::core::reconcile::run::{Mode, Run, RunState, TOO_OLD_TO_APPROVE};
use rollcall::core::tables::table_name;
use rollcall::settings::variables::{InvalidSettings, OPERATIONS_TABLE, Reader};
use serde_json::{Value, json};

use super::checks;
use super::deployment::{Deployment, Environment};
use super::reconcile::store;
use super::text::{count, counted, moment, table};
use super::{report, say};
use crate::args::DeploymentArgs;
use crate::{Clock, Status};

/// `rollcall status`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  rollcall status --stack rollcall")]
pub struct StatusArgs {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// The deployment to work on.
    #[command(flatten)]
    pub deployment: DeploymentArgs,
}

/// The number of runs that are shown.
const SHOWN: usize = 10;
/// The number of runs in which the last repair is searched: newer runs may be reports only.
pub(super) const MAX_RECENT: i32 = 50;

/// The state of reconcile, from the Operations table.
#[derive(Debug)]
struct Standing {
    /// The runs, the latest first.
    runs: Vec<Run>,
    /// The lease of the active run.
    lease: Option<Lease>,
    /// The run whose deletions are pending approval.
    waiting: Option<Run>,
}

/// Prints the status.
///
/// # Errors
///
/// If the Operations table cannot be read.
pub async fn run(args: StatusArgs, environment: Environment, clock: Clock) -> anyhow::Result<Status> {
    let deployment = Deployment::find(&args.deployment, environment, false).await?;
    let table = deployment.settings(|lookup| operations_table(lookup))?;
    checks::operations(&deployment, &table).await?;
    let operations = Operations::new(deployment.dynamodb.clone(), table);
    let now = clock();
    let lease = operations.lease(now).await.map_err(|error| store(&error, &deployment.options))?;
    let latest = operations.latest_runs(MAX_RECENT).await.map_err(|error| store(&error, &deployment.options))?;
    let standing = Standing::new(latest, lease, now);
    if args.json {
        say(standing.to_json())?;
    } else {
        say(standing.text(&deployment.options))?;
    }
    Ok(if standing.is_in_sync() { Status::Done } else { Status::Left })
}

fn operations_table(lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, InvalidSettings> {
    let mut reader = Reader::new(lookup);
    let table = reader.read(&OPERATIONS_TABLE, table_name);
    reader.finish(|| table)
}

/// The run among these, the latest first, whose deletions are pending approval.
pub(super) fn waiting(runs: &[Run], now: Millis) -> Option<&Run> {
    let repairing = runs.iter().filter(|run| run.mode == Mode::Repair);
    // A later finished run has checked every pending deletion again.
    let since_done = repairing.take_while(|run| run.state != RunState::Done);
    let is_waiting =
        |run: &&Run| run.state == RunState::PendingApproval && now.since(run.started_at) <= TOO_OLD_TO_APPROVE;
    since_done.filter(|run| run.state != RunState::Running).find(is_waiting)
}

impl Standing {
    fn new(runs: Vec<Run>, lease: Option<Lease>, now: Millis) -> Standing {
        let waiting = waiting(&runs, now).cloned();
        Standing { runs, lease, waiting }
    }

    /// The run that decides whether everything is in sync: the latest finished run, whether it repaired or only
    /// reported.
    fn decisive(&self) -> Option<&Run> {
        self.runs.iter().find(|run| run.state != RunState::Running)
    }

    /// The latest finished repair, if it left no difference.
    fn in_sync_before(&self) -> Option<&Run> {
        let over = self.runs.iter().filter(|run| run.state != RunState::Running);
        over.into_iter().find(|run| run.mode == Mode::Repair).filter(|run| run.is_in_sync())
    }

    fn is_in_sync(&self) -> bool {
        self.decisive().is_some_and(Run::is_in_sync)
    }

    fn to_json(&self) -> Value {
        let waiting = self.waiting.as_ref().map(|run| {
            let pending = run.tally.as_ref().map(|tally| tally.pending_approval);
            json!({ "run": run.run, "pending_approval": pending })
        });
        let runs = &self.runs[..self.runs.len().min(SHOWN)];
        let differences = self.decisive().map(Run::differences);
        let in_sync = self.is_in_sync();
        json!({ "in_sync": in_sync, "differences": differences, "lease": self.lease, "waiting": waiting, "runs": runs })
    }

    fn text(&self, options: &str) -> String {
        if self.runs.is_empty() {
            return format!("No runs yet. Start the first run with `rollcall reconcile{options}`.");
        }
        let rows: Vec<Vec<String>> = self.runs.iter().take(SHOWN).map(|run| self.row(run)).collect();
        let header = ["run", "mode", "state", "finished", "seen", "unchanged", "written", "drift", "pending"];
        let mut parts = vec![table(&header, &rows, 4)];
        parts.extend(
            self.lease
                .as_ref()
                .map(|lease| format!("A run is active. Its lease lasts at least until {}.", moment(lease.until))),
        );
        parts.extend(self.waiting.as_ref().map(|run| {
            let pending = report::pending_approval(run);
            format!("Deletions pending approval: {pending}. Run `rollcall reconcile --approve {}{options}`", run.run)
        }));
        parts.push(match self.decisive() {
            None => "No run has finished yet.".to_owned(),
            Some(run) if run.is_in_sync() => format!("In sync, as of {}.", finished(run)),
            Some(run) => self.out_of_step(run, options),
        });
        parts.join("\n\n")
    }

    /// The last paragraph if the latest finished run was not in sync.
    fn out_of_step(&self, run: &Run, options: &str) -> String {
        let found = match run.differences() {
            0 => "the comparison is incomplete".to_owned(),
            differences => counted(differences, "difference"),
        };
        let advice = format!("`rollcall reconcile{options}`");
        match self.in_sync_before() {
            Some(repair) => {
                let (repaired, reported) = (finished(repair), finished(run));
                format!("In sync at the last repair, {repaired}; {found} since, as of {reported}: run {advice}")
            }
            None => format!("Out of sync, as of {}: {found}. Run {advice}", finished(run)),
        }
    }

    fn row(&self, run: &Run) -> Vec<String> {
        let total = run.total();
        let (mode, state) = match (run.mode, run.state) {
            (Mode::Repair, RunState::Running) if self.lease.is_none() => ("repair", "interrupted"),
            (Mode::Report, RunState::Running) if self.lease.is_none() => ("report", "interrupted"),
            (mode, state) => {
                let mode = if mode == Mode::Repair { "repair" } else { "report" };
                let state = match state {
                    RunState::Running => "running",
                    RunState::PendingApproval => "pending approval",
                    RunState::Incomplete => "incomplete",
                    RunState::Done => "done",
                };
                (mode, state)
            }
        };
        let written = total.created + total.updated + total.deleted + total.cascade_deleted;
        let drift = total.drift.by_name().iter().map(|(_, number)| number).sum();
        let numbers = [run.seen(), total.unchanged, written, drift, total.pending_approval].map(count);
        let texts = [run.run.to_string(), mode.to_owned(), state.to_owned(), finished(run)];
        texts.into_iter().chain(numbers).collect()
    }
}

fn finished(run: &Run) -> String {
    run.finished_at.map_or_else(|| "–".to_owned(), moment)
}

#[cfg(test)]
mod tests {
    use rollcall::core::id::Kind;

    use super::*;

    const DAY: i64 = 24 * 60 * 60 * 1000;

    fn day(day: i64) -> Millis {
        Millis::try_from(1_767_225_600_000 + day * DAY).unwrap()
    }

    fn over(on: i64, mode: Mode, change: fn(&mut Run)) -> Run {
        let mut run = Run::begin(day(on), mode, true);
        for kind in Kind::ALL {
            run.listings.get_mut(kind).is_finished = true;
        }
        change(&mut run);
        run.finish(day(on).next());
        run
    }

    fn pending(on: i64) -> Run {
        over(on, Mode::Repair, |run| {
            (run.tally.user.pending_approval, run.tally.membership.pending_approval) = (30, 1_000);
        })
    }

    #[test]
    fn fault_a12_how_it_stands_is_said_by_the_latest_run_that_is_over() {
        let done = |on| over(on, Mode::Repair, |_| ());
        let drift = |on| over(on, Mode::Repair, |run| run.tally.user.drift.conflict = 1);
        let plan = |on| over(on, Mode::Report, |run| run.tally.user.drift.missing = 1);
        let running = |on| Run::begin(day(on), Mode::Repair, true);
        for (runs, expected) in [
            (vec![], false),
            (vec![running(1)], false),
            (vec![done(1)], true),
            (vec![running(2), done(1)], true),
            (vec![plan(2), done(1)], false),
            (vec![plan(4), plan(3), plan(2), done(1)], false),
            (vec![running(3), plan(2), done(1)], false),
            (vec![done(3), plan(2)], true),
            (vec![over(2, Mode::Report, |_| ()), drift(1)], true),
            (vec![plan(2)], false),
            (vec![over(2, Mode::Report, |_| ())], true),
            (vec![pending(2), done(1)], false),
            (vec![drift(2), done(1)], false),
        ] {
            assert_eq!(Standing::new(runs.clone(), None, day(3)).is_in_sync(), expected, "{runs:?}");
        }
    }

    #[test]
    fn fault_a12_the_last_repair_and_what_was_found_since_are_both_told() {
        let done = over(1, Mode::Repair, |run| run.tally.user.drift.missing = 9);
        let report = over(2, Mode::Report, |run| {
            (run.tally.user.drift.missing, run.tally.user.pending_approval, run.effects.links) = (3, 4, 5);
        });
        let standing = Standing::new(vec![report, done.clone()], None, day(3));
        let expected = "In sync at the last repair, 2026-01-02T00:00:00Z; 12 differences since, as of \
                        2026-01-03T00:00:00Z: run `rollcall reconcile --local`";
        assert_eq!(standing.text(" --local").lines().last(), Some(expected));
        assert_eq!((standing.to_json()["differences"].as_u64(), standing.is_in_sync()), (Some(12), false));
        let drift = over(2, Mode::Repair, |run| run.tally.user.drift.conflict = 1);
        let text = Standing::new(vec![drift, done], None, day(3)).text("");
        assert!(
            text.ends_with("Out of sync, as of 2026-01-03T00:00:00Z: 1 difference. Run `rollcall reconcile`"),
            "{text}"
        );
    }

    #[test]
    fn the_newest_run_that_holds_something_waits_until_one_is_done_or_a_week_is_over() {
        let waiting = |runs: Vec<Run>, now: i64| {
            Standing::new(runs, None, day(now)).waiting.map(|run| run.run.as_str()[..10].to_owned())
        };
        let done = over(2, Mode::Repair, |_| ());
        assert_eq!(waiting(vec![pending(1), pending(0)], 2).as_deref(), Some("2026-01-02"));
        assert_eq!(waiting(vec![done, pending(1)], 2), None);
        assert_eq!(waiting(vec![pending(1)], 8).as_deref(), Some("2026-01-02"));
        assert_eq!(waiting(vec![pending(1)], 9), None);
        let text = Standing::new(vec![pending(1)], None, day(2)).text(" --local");
        let command = "`rollcall reconcile --approve 2026-01-02T00:00:00.000Z --local`";
        assert!(text.contains(&format!("30 users, 1,000 memberships. Run {command}")), "{text}");
        let json = Standing::new(vec![pending(1)], None, day(2)).to_json();
        assert_eq!(json["waiting"]["pending_approval"], json!({ "user": 30, "organization": 0, "membership": 1000 }));
    }

    #[test]
    fn a_run_without_a_lease_was_interrupted() {
        let run = Run::begin(day(1), Mode::Repair, true);
        let lease = Lease { holder: "x".to_owned(), until: day(2) };
        assert!(Standing::new(vec![run.clone()], None, day(1)).text("").contains("interrupted"));
        let text = Standing::new(vec![run], Some(lease), day(1)).text("");
        assert!(
            text.contains("running") && text.contains("A run is active") && text.contains("No run has finished"),
            "{text}"
        );
        assert!(Standing::new(vec![], None, day(1)).text("").contains("No runs yet"));
    }
}
