//! `rollcall reconcile`: starts a run by hand; shows the plan, asks, then writes.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ::reconcile::settings::Settings;
use ::reconcile::{Order, Outcome, Reconcile, Report};
use anyhow::{anyhow, bail};
use clap::Args;
use indicatif::MultiProgress;
use rollcall::adapters::aws::backups::Backups;
use rollcall::adapters::clerk::error::ClerkError;
use rollcall::adapters::dynamo::error::StoreError;
use rollcall::adapters::dynamo::operations::runs::CandidatePage;
use rollcall::core::id::{EntityId, Kind};
use rollcall::core::reconcile::difference::Difference;
use rollcall::core::reconcile::run::{Mode, Run, RunState};
use rollcall::core::reconcile::run_id::RunId;
use rollcall::services::reconcile::{ReconcileError, Reconciler, Tell};
use serde_json::json;

use super::context::lacks_confirmation;
use super::deployment::{Deployment, Environment};
use super::progress::Progress;
use super::text::plural;
use super::{KEPT, Screen, checks, note, report, say};
use crate::args::DeploymentArgs;
use crate::{Clock, Status, signals};

/// `rollcall reconcile`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  rollcall reconcile --stack rollcall --dry-run
  rollcall reconcile --stack rollcall --approve 2026-11-25T03:00:00.000Z")]
pub struct ReconcileArgs {
    /// Show the plan without changing the Directory; only the report of the run is stored
    #[arg(long)]
    pub dry_run: bool,
    /// Id of the run whose pending deletions you approve, such as 2026-11-25T03:00:00.000Z (see `rollcall status`).
    /// Rollcall confirms each absence again before it deletes
    #[arg(long, value_name = "RUN")]
    pub approve: Option<RunId>,
    /// Skip the confirmation prompt
    #[arg(long, short)]
    pub yes: bool,
    /// Print the id of each difference as it is found, before the report. With --json, one JSON object a line, and the
    /// report as the last line
    #[arg(long)]
    pub ids: bool,
    /// Print one JSON object; requires --yes or --dry-run
    #[arg(long)]
    pub json: bool,
    /// Also show each step of the run, and log each deleted entity (level INFO), on standard error
    #[arg(long, short)]
    pub verbose: bool,
    /// The deployment to work on.
    #[command(flatten)]
    pub deployment: DeploymentArgs,
}

/// The parts that a command needs to start runs.
pub(super) struct Runs<'a> {
    pub(super) reconcile: Reconcile,
    pub(super) clock: Clock,
    pub(super) screen: &'a Screen,
    /// Whether progress is shown.
    pub(super) shows: bool,
    /// Whether each step is shown.
    pub(super) verbose: bool,
    /// The options that another command needs to work on the same deployment.
    pub(super) options: &'a str,
}

/// Starts a run, or approves pending deletions.
///
/// # Errors
///
/// If the run fails. The error has advice.
pub async fn run(
    args: ReconcileArgs,
    environment: Environment,
    clock: Clock,
    screen: &Screen,
) -> anyhow::Result<Status> {
    let deployment = Deployment::find(&args.deployment, environment, true).await?.with_owned_tables().await?;
    let settings = deployment.settings(|lookup| Settings::read(lookup))?;
    let policy = settings.mode;
    let writes = policy == Mode::Repair && !args.dry_run;
    let must_ask = writes && !args.yes;
    if lacks_confirmation(!must_ask, false, args.json, screen) {
        return Ok(Status::Usage);
    }
    checks::all(&deployment, &settings).await?;
    let backups = Backups::for_removal(&settings.removal, &deployment.aws);
    let reconcile = Reconcile::new(settings, &deployment.dynamodb, backups, clock.clone());
    // An operator watches the run and may stop it at any time.
    let reconcile = reconcile.by_hand();
    let ids = Arc::new(Ids::new(args.json, screen));
    let reconcile = if args.ids { reconcile.telling(Ids::tell(&ids)) } else { reconcile };
    let runs =
        Runs { reconcile, clock, screen, shows: !args.json, verbose: args.verbose, options: &deployment.options };
    let show = |report: &Report| -> anyhow::Result<()> {
        ids.finish()?;
        if args.json {
            say(report::to_json(report))?;
        } else {
            say(report::text(report, &deployment.options))?;
        }
        Ok(())
    };
    let order = match args.approve {
        Some(run) => {
            let pending = runs.pending_approval(&run).await?;
            if !args.json {
                say(format_args!(
                    "Run {run}: the deletion of {pending} is pending approval. Each absence is confirmed again before \
                     the deletion."
                ))?;
            }
            if policy == Mode::Report {
                bail!(ReconcileError::ReportOnly);
            }
            if args.dry_run {
                runs.list(&run, args.json).await?;
                return Ok(Status::Left);
            }
            if must_ask && !screen.ask_on(&deployment, "Delete these entities?")? {
                say("Nothing was deleted.")?;
                return Ok(Status::Left);
            }
            Order::Approve(run)
        }
        None if must_ask => {
            let Some(plan) = runs.carry_out(&Order::Run(Mode::Report)).await? else { return Ok(Status::Left) };
            show(&plan)?;
            if !plan.run.as_ref().is_some_and(is_worth_a_run) {
                return Ok(report::status(&plan));
            }
            if !screen.ask_on(&deployment, "Apply this plan?")? {
                say("Nothing was written.")?;
                return Ok(Status::Left);
            }
            Order::Run(Mode::Repair)
        }
        None => {
            if !args.dry_run && !writes && !args.json {
                screen.note("RECONCILE_POLICY=report: the run only reports and does not change the Directory");
            }
            Order::Run(if writes { Mode::Repair } else { Mode::Report })
        }
    };
    let Some(report) = runs.carry_out(&order).await? else { return Ok(Status::Left) };
    show(&report)?;
    Ok(report::status(&report))
}

/// Prints the ids of the differences, one a line, until the first report: a run after a plan would name them again.
struct Ids {
    json: bool,
    /// Hidden while a line is printed: both may be on one terminal.
    bars: MultiProgress,
    /// What has gone wrong; nothing is printed after it.
    result: Mutex<io::Result<()>>,
    is_over: AtomicBool,
}

impl Ids {
    fn new(json: bool, screen: &Screen) -> Ids {
        Ids { json, bars: screen.bars.clone(), result: Mutex::new(Ok(())), is_over: AtomicBool::new(false) }
    }

    fn tell(ids: &Arc<Ids>) -> Tell {
        let ids = ids.clone();
        Arc::new(move |entity, difference| ids.print(entity, difference))
    }

    fn print(&self, entity: &EntityId, difference: Difference) {
        let mut result = self.result.lock().unwrap_or_else(PoisonError::into_inner);
        if result.is_err() || self.is_over.load(Ordering::Relaxed) {
            return;
        }
        let (kind, difference) = (entity.kind().name(), difference.name());
        let line = if self.json {
            json!({ "kind": kind, "id": entity.to_string(), "difference": difference }).to_string()
        } else {
            format!("{difference:<10}  {kind:<12}  {entity}")
        };
        *result = self.bars.suspend(|| say(line));
    }

    fn finish(&self) -> io::Result<()> {
        self.is_over.store(true, Ordering::Relaxed);
        std::mem::replace(&mut *self.result.lock().unwrap_or_else(PoisonError::into_inner), Ok(()))
    }
}

/// Whether a repair would change anything after this plan. Storing deletions as pending approval counts as a change.
fn is_worth_a_run(plan: &Run) -> bool {
    let total = plan.total();
    total.drift.repairable() + total.pending_approval > 0
}

impl Runs<'_> {
    /// Carries out the order to its end and shows the progress. Returns `None` if a signal stopped it.
    pub(super) async fn carry_out(&self, order: &Order) -> anyhow::Result<Option<Report>> {
        let stop = signals::stop_signal()?;
        tokio::pin!(stop);
        let progress = Progress::start(self.screen, self.shows).verbose(self.verbose);
        let holder = Reconciler::new_holder();
        let watch = |run: &Run| progress.show(run);
        loop {
            let ran = tokio::select! {
                ran = self.reconcile.run_as(&holder, order, None, &watch) => ran,
                () = &mut stop => {
                    drop(progress);
                    self.give_up(&holder).await;
                    return Ok(None);
                }
            };
            let report = ran.map_err(|error| self.explain(error))?;
            if report.state != Outcome::Continue {
                return Ok(Some(report));
            }
        }
    }

    /// Releases the lease of an interrupted run, if it had one, so that the next run need not wait until the lease ends.
    async fn give_up(&self, holder: &str) {
        match self.reconcile.operations().release_lease(holder).await {
            Ok(()) => note(KEPT),
            Err(error) => note(format_args!(
                "{KEPT} The lease of this run cannot be released ({error}): wait five minutes, or run `rollcall doctor \
                 --fix{}`.",
                self.options
            )),
        }
    }

    /// The number of deletions of each kind that are pending approval.
    async fn pending_approval(&self, id: &RunId) -> anyhow::Result<String> {
        let run = self.reconcile.operations().run(id).await.map_err(|error| self.explain(error.into()))?;
        let run = run.ok_or_else(|| self.explain(ReconcileError::Unknown(id.clone())))?;
        let is_pending_approval =
            run.state == RunState::PendingApproval || (run.state == RunState::Running && run.approved);
        if run.mode == Mode::Report || !is_pending_approval {
            return Err(self.explain(ReconcileError::NotPendingApproval(id.clone())));
        }
        if (self.clock)().since(run.started_at) > rollcall::core::reconcile::run::TOO_OLD_TO_APPROVE {
            return Err(self.explain(ReconcileError::TooOld(id.clone())));
        }
        let pending = report::pending_approval(&run);
        // An approval that was interrupted has no counts any more.
        Ok(if pending.is_empty() { "the remaining entities".to_owned() } else { pending })
    }

    /// Lists the entities whose deletion is pending approval, so that an operator can look them up in Clerk.
    async fn list(&self, run: &RunId, json: bool) -> anyhow::Result<()> {
        let mut all = BTreeMap::new();
        for kind in Kind::ALL {
            let (mut after, mut ids) = (None, Vec::new());
            while let Some((position, candidates)) = self
                .reconcile
                .operations()
                .candidates(run, kind, CandidatePage::Found, after.as_ref())
                .await
                .map_err(|error| self.explain(error.into()))?
            {
                let absent = candidates.into_iter().filter(|candidate| candidate.absent);
                ids.extend(absent.map(|candidate| candidate.entity.to_string()));
                after = Some(position);
            }
            all.insert(plural(kind), ids);
        }
        if json {
            say(serde_json::to_string_pretty(&all)?)?;
        } else {
            for (kind, ids) in all.iter().filter(|(_, ids)| !ids.is_empty()) {
                say(format_args!("\nabsent {kind}:\n  {}", ids.join("\n  ")))?;
            }
        }
        Ok(())
    }

    /// The error with advice.
    pub(super) fn explain(&self, error: ReconcileError) -> anyhow::Error {
        explain(error, self.options)
    }
}

/// The error with advice. `options` are those of the command that failed.
pub(super) fn explain(error: ReconcileError, options: &str) -> anyhow::Error {
    const GOES_ON: &str = "run the command again to continue";
    let advice = match &error {
        ReconcileError::Store(error @ StoreError::Unavailable(..)) => {
            return anyhow!("{}; {GOES_ON}", store(error, options));
        }
        ReconcileError::Store(error) => return store(error, options),
        ReconcileError::Clerk(ClerkError::Unavailable(_)) => {
            format!("{}; {GOES_ON}", reach("CLERK_API_URL", options))
        }
        ReconcileError::Unknown(_) | ReconcileError::NotPendingApproval(_) => {
            format!("see the runs with `rollcall status{options}`")
        }
        ReconcileError::TooOld(run) => {
            return anyhow!(
                "run {run} is older than 7 days and can no longer be approved: start a new run with `rollcall \
                 reconcile{options}`"
            );
        }
        ReconcileError::Clerk(ClerkError::SwitchedOff) => {
            "enable organizations in Clerk's dashboard, or see docs/operations.md".to_owned()
        }
        ReconcileError::Clerk(ClerkError::Rejected(..) | ClerkError::Unreadable(_)) => {
            "check that CLERK_API_URL is the URL of Clerk's Backend API".to_owned()
        }
        ReconcileError::Overtaken => format!("see the run with `rollcall status{options}`"),
        // These errors contain the advice.
        ReconcileError::Clerk(ClerkError::Unauthorized(_) | ClerkError::Foreign(_))
        | ReconcileError::OtherSettings(..)
        | ReconcileError::ReportOnly => {
            return error.into();
        }
    };
    anyhow!("{error}: {advice}")
}

/// The error of the store with advice.
pub(super) fn store(error: &StoreError, options: &str) -> anyhow::Error {
    let advice = match error {
        StoreError::Unavailable(..) => reach("AWS_REGION", options),
        StoreError::Rejected(..) => {
            "check the table names (DIRECTORY_TABLE, PROFILES_TABLE, OPERATIONS_TABLE), AWS_REGION and the \
             permissions of your credentials"
                .to_owned()
        }
        // The row is of either table; the log names an unreadable Directory row.
        StoreError::Unreadable(_) => format!(
            "if the log names a Directory row whose entity exists in Clerk, remove the row and run `rollcall \
             reconcile{options}`; if the log names no row, check that OPERATIONS_TABLE names the Operations table of \
             this release"
        ),
    };
    anyhow!("{error}: {advice}")
}

fn reach(setting: &str, options: &str) -> String {
    if options.starts_with(" --local") {
        "check that `rollcall dev` is running".to_owned()
    } else {
        format!("check {setting} and the network connection, then try again")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_says_what_to_do() {
        let run = || "2026-01-01T00:00:00.000Z".parse::<RunId>().unwrap();
        for (error, expected) in [
            (ReconcileError::Unknown(run()), "see the runs with `rollcall status --local`"),
            (ReconcileError::NotPendingApproval(run()), "see the runs with `rollcall status --local`"),
            (ReconcileError::TooOld(run()), "`rollcall reconcile --local`"),
            (ReconcileError::Overtaken, "`rollcall status --local`"),
            (ClerkError::Foreign("ins_1".parse().unwrap()).into(), "check CLERK_SECRET_KEY and CLERK_INSTANCE_ID"),
            (ClerkError::Unavailable(None).into(), "check that `rollcall dev` is running"),
            (ClerkError::Unauthorized(401).into(), "check CLERK_SECRET_KEY"),
            (ClerkError::Unreadable(404).into(), "CLERK_API_URL"),
            (StoreError::Rejected("ResourceNotFoundException".to_owned(), "".into()).into(), "DIRECTORY_TABLE"),
            (StoreError::Unavailable("no answer".to_owned(), "".into()).into(), "check that `rollcall dev` is running"),
        ] {
            let text = format!("{:#}", explain(error, " --local"));
            assert!(text.contains(expected), "{text}");
        }
    }

    #[test]
    fn a_plan_is_worth_a_run_if_that_would_do_something() {
        let plan = |change: fn(&mut Run)| {
            let mut run = Run::begin(rollcall::core::millis::Millis::ZERO, Mode::Report, true);
            change(&mut run);
            is_worth_a_run(&run)
        };
        assert!(!plan(|_| ()) && !plan(|run| run.tally.user.drift.conflict = 1));
        assert!(plan(|run| run.tally.user.drift.missing = 1) && plan(|run| run.tally.user.pending_approval = 1));
    }
}
