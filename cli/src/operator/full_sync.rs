//! `rollcall full-sync`: analyzes, then runs all repairs, after one plan and one consent.

use ::reconcile::{Order, Outcome, Reconcile, Report};
use clap::Args;
use rollcall::adapters::aws::backups::Backups;
use rollcall::adapters::dynamo::owned::rows::DynamoOwned;
use rollcall::core::deletion::backup_run::BackupRun;
use rollcall::core::reconcile::run::{Mode, Run};
use rollcall::services::operator::fix_profiles::Records;
use serde_json::{Value, json};

use super::analyze::{Analyzed, analyze};
use super::cleanup::{self, Cleaned};
use super::context::{OperatorContext, lacks_confirmation};
use super::deployment::Environment;
use super::fix::{APPROVE, FixArgs, Hold, INCOMPLETE, consents, until_stopped};
use super::fix_duplicates::rule::TableRule;
use super::fix_duplicates::{self, Done};
use super::reconcile::Runs;
use super::{Screen, fix_profiles, note, report, say};
use crate::args::DeploymentArgs;
use crate::{Clock, Status};

/// `rollcall full-sync`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  rollcall full-sync --dry-run --stack rollcall")]
pub struct FullSyncArgs {
    /// Also remove duplicates of this table. The rule is TABLE:BY,BY:OLDEST or TABLE:BY,BY:OLDEST:FORMAT: rows with equal
    /// values of the attributes BY are duplicates, and the row with the earliest time in the attribute OLDEST stays.
    /// Example: tasks:user_id,date:created_at. May be repeated
    #[arg(long, value_name = "RULE")]
    pub duplicates: Vec<TableRule>,
    /// Approve a clean-up of many users: the number of users in the plan of the step cleanup. Without this option such a
    /// clean-up is left out, and the other steps run
    #[arg(long, value_name = "USERS")]
    pub approve: Option<u64>,
    /// Approve the removal of many duplicates from the tables of all rules: see `rollcall fix-duplicates --help`
    #[arg(long, value_name = "ROWS")]
    pub approve_duplicates: Option<u64>,
    /// Also remove rows that `rollcall restore` has brought back: see `rollcall cleanup --help`
    #[arg(long)]
    pub restored: bool,
    /// Whether the command asks, writes, and how it prints.
    #[command(flatten)]
    pub fix: FixArgs,
    /// The deployment to work on.
    #[command(flatten)]
    pub deployment: DeploymentArgs,
}

/// The plans of all steps.
struct Plans<'a> {
    analyzed: Analyzed,
    /// Nothing under `MIRROR=off`.
    records: Option<Records>,
    cleanup: cleanup::Plan<'a>,
    duplicates: Vec<fix_duplicates::Plan>,
}

/// Which steps need an approval.
#[derive(Clone, Copy, Debug)]
struct Holds {
    cleanup: Option<Hold>,
    duplicates: Option<Hold>,
}

/// The results of the steps that began, also if one of them did not end.
#[derive(Default)]
struct Results {
    /// Whether all steps ended.
    complete: bool,
    reconcile: Option<Report>,
    records: Option<Records>,
    /// Nothing if the plan was empty, or needs approval.
    cleanup: Option<Cleaned>,
    duplicates: Vec<Done>,
}

/// Analyzes and repairs everything.
///
/// # Errors
///
/// If a step fails. The error has advice.
pub async fn run(
    args: FullSyncArgs,
    environment: Environment,
    clock: Clock,
    screen: &Screen,
) -> anyhow::Result<Status> {
    let fix = args.fix;
    if lacks_confirmation(fix.yes, fix.dry_run, fix.json, screen) {
        return Ok(Status::Usage);
    }
    let context = OperatorContext::open(&args.deployment, environment, clock.clone()).await?;
    let work = FullSync { context: &context, with_restored: args.restored, clock, screen, shows: !fix.json };
    let tables = cleanup::tables(&context);
    // A wrong rule is found before anything is read.
    let mut rules = Vec::new();
    for TableRule { table, rule } in &args.duplicates {
        rules.push(fix_duplicates::duplicates(&context, table, rule.clone()).await?);
    }
    let Some(plans) = Box::pin(work.plan(&tables, rules)).await? else { return Ok(Status::Left) };
    if let Analyzed::Busy(busy) = &plans.analyzed {
        say(if fix.json { report::to_json(busy).to_string() } else { report::text(busy, work.options()) })?;
        return Ok(Status::Left);
    }
    let holds = plans.holds(&args);
    if !fix.json {
        say(plans.text(&work)?)?;
    }
    let users = plans.cleanup.counts.users;
    for (hold, what, planned, option) in [
        (holds.cleanup, "user", users, APPROVE),
        (holds.duplicates, "duplicate", plans.duplicates(), "--approve-duplicates"),
    ] {
        if let Some(hold) = hold.filter(|_| !fix.json) {
            note(hold.text(what, planned, option));
        }
    }
    // An approval of a smaller number is of another plan: then no step is carried out.
    let has_grown = [holds.cleanup, holds.duplicates].iter().any(|hold| matches!(hold, Some(Hold::Grown(_))));
    if has_grown || !plans.has_work(holds) || !consents(fix, &context, screen, "Carry out this plan?")? {
        if fix.json {
            say(plans.json(None, holds, &context, fix.dry_run)?)?;
        }
        return Ok(if plans.is_in_sync() { Status::Done } else { Status::Left });
    }
    let mut results = Results::default();
    let ended = Box::pin(work.carry_out(&plans, holds, &mut results)).await;
    if fix.json {
        say(plans.json(Some(&results), holds, &context, false)?)?;
    } else {
        say(results.text(&plans, &work)?)?;
    }
    ended?;
    Ok(if results.is_whole(&plans, holds) { Status::Done } else { Status::Left })
}

struct FullSync<'a> {
    context: &'a OperatorContext,
    /// Whether restored rows are removed, too.
    with_restored: bool,
    clock: Clock,
    screen: &'a Screen,
    shows: bool,
}

impl FullSync<'_> {
    fn options(&self) -> &str {
        &self.context.deployment.options
    }

    fn step(&self, number: usize, name: &str) {
        if self.shows {
            note(format_args!("step {number} of 5: {name}"));
        }
    }

    /// Plans all steps; nothing if a signal stopped it, and only the analysis if another run is active.
    async fn plan<'t>(
        &self,
        tables: &'t [DynamoOwned],
        rules: Vec<rollcall::services::operator::duplicates::Duplicates>,
    ) -> anyhow::Result<Option<Plans<'t>>> {
        let (context, screen, shows) = (self.context, self.screen, self.shows);
        let settings = context.settings.clone();
        let analyzed = Box::pin(analyze(&context.deployment, settings, self.clock.clone(), screen, shows)).await?;
        let Some(analyzed) = analyzed else { return Ok(None) };
        let records = if context.operator.mirror {
            let mut records = Records::default();
            let found = until_stopped(Box::pin(fix_profiles::records(context, &mut records, screen, shows, false)));
            if found.await?.is_none() {
                return Ok(None);
            }
            Some(records)
        } else {
            None
        };
        let cleanup =
            until_stopped(Box::pin(cleanup::plan(context, tables, self.with_restored, screen, shows))).await?;
        let Some(cleanup) = cleanup else { return Ok(None) };
        let mut duplicates = Vec::new();
        for rule in rules {
            let plan = until_stopped(Box::pin(fix_duplicates::plan(context, rule, screen, shows))).await?;
            let Some(plan) = plan else { return Ok(None) };
            duplicates.push(plan);
        }
        Ok(Some(Plans { analyzed, records, cleanup, duplicates }))
    }

    /// Carries out all steps until one fails, a signal stops it, or another run is active. Adds to `results` what is done.
    async fn carry_out(&self, plans: &Plans<'_>, holds: Holds, results: &mut Results) -> anyhow::Result<()> {
        let (context, screen, shows) = (self.context, self.screen, self.shows);
        let run = BackupRun::new(fastrand::u32(..));
        self.step(2, "reconcile");
        let backups = Backups::for_removal(&context.settings.removal, &context.deployment.aws);
        let reconcile =
            Reconcile::new(context.settings.clone(), &context.deployment.dynamodb, backups, self.clock.clone());
        let reconcile = reconcile.by_hand();
        let runs =
            Runs { reconcile, clock: self.clock.clone(), screen, shows, verbose: false, options: self.options() };
        let Some(report) = Box::pin(runs.carry_out(&Order::Run(Mode::Repair))).await? else { return Ok(()) };
        let is_busy = report.state == Outcome::Busy;
        results.reconcile = Some(report);
        if is_busy {
            // The plan is of a moment ago: the other run changes what the further steps rest on.
            if shows {
                note("another run has begun since the plan: the further steps were not carried out");
            }
            return Ok(());
        }
        self.step(3, "fix-profiles");
        if plans.records.is_some() {
            let records = results.records.insert(Records::default());
            let ended = until_stopped(Box::pin(fix_profiles::records(context, records, screen, shows, true)));
            if ended.await?.is_none() {
                return Ok(());
            }
        }
        self.step(4, "cleanup");
        if plans.cleanup.counts.users > 0 && holds.cleanup.is_none() {
            let cleaned = results.cleanup.insert(Cleaned::default());
            let ended =
                until_stopped(Box::pin(cleanup::carry_out(context, &plans.cleanup, run, cleaned, screen, shows)));
            if ended.await?.is_none() {
                return Ok(());
            }
        }
        self.step(5, "fix-duplicates");
        let plans = plans.duplicates.iter().enumerate();
        for (at, plan) in plans.filter(|(_, plan)| holds.duplicates.is_none() && plan.found.duplicates > 0) {
            results.duplicates.push(Done { plan: at, ..Done::default() });
            let Some(done) = results.duplicates.last_mut() else { continue };
            let ended = until_stopped(Box::pin(fix_duplicates::carry_out(context, plan, run, done, screen, shows)));
            if ended.await?.is_none() {
                return Ok(());
            }
        }
        results.complete = true;
        Ok(())
    }
}

impl Plans<'_> {
    /// The duplicates of all tables.
    fn duplicates(&self) -> u64 {
        self.duplicates.iter().map(|plan| plan.found.duplicates).sum()
    }

    fn holds(&self, args: &FullSyncArgs) -> Holds {
        let is_too_many = self.duplicates.iter().any(|plan| plan.hold(None).is_some());
        Holds {
            cleanup: self.cleanup.hold(args.approve),
            duplicates: Hold::of(self.duplicates(), is_too_many, args.approve_duplicates),
        }
    }

    /// Whether a step would do anything.
    fn has_work(&self, holds: Holds) -> bool {
        let reconciles = match &self.analyzed {
            Analyzed::Done(_, run) => is_worth_a_run(run),
            Analyzed::Busy(_) => false,
        };
        reconciles
            || self.records.is_some_and(|records| records.missing() > 0)
            || (self.cleanup.counts.users > 0 && holds.cleanup.is_none())
            || (self.duplicates() > 0 && holds.duplicates.is_none())
    }

    /// Whether nothing at all is wrong.
    fn is_in_sync(&self) -> bool {
        let counts = &self.cleanup.counts;
        self.analyzed.is_in_sync()
            && self.records.is_none_or(|records| records.unreadable == 0)
            && counts.users == 0
            && !counts.finds_more()
            && self.duplicates.iter().all(|plan| plan.found.duplicates + plan.found.undecided == 0)
    }

    fn text(&self, work: &FullSync<'_>) -> anyhow::Result<String> {
        let mut parts = Vec::new();
        if let Analyzed::Done(analysis, run) = &self.analyzed {
            parts.push(format!("1. analyze\n\n{}", super::analyze::text(analysis, run, work.options())));
            parts.push("2. reconcile repairs what the analysis names.".to_owned());
        }
        let records = self.records.map(|records| fix_profiles::plan_text(&records));
        let records = records.unwrap_or_else(|| "MIRROR=off: missing records cannot be found.".to_owned());
        parts.push(format!("3. fix-profiles\n\n{records}"));
        parts.push(format!("4. cleanup\n\n{}", cleanup::plan_text(&self.cleanup, work.context)));
        let duplicates = self.duplicates.iter().map(fix_duplicates::plan_text).collect::<anyhow::Result<Vec<_>>>()?;
        parts.push(match duplicates.as_slice() {
            [] => "5. fix-duplicates: no rule was given (--duplicates).".to_owned(),
            texts => format!("5. fix-duplicates\n\n{}", texts.join("\n\n")),
        });
        Ok(parts.join("\n\n"))
    }

    fn json(
        &self,
        results: Option<&Results>,
        holds: Holds,
        context: &OperatorContext,
        dry_run: bool,
    ) -> anyhow::Result<Value> {
        let analysis = match &self.analyzed {
            Analyzed::Done(analysis, _) => serde_json::to_value(analysis)?,
            Analyzed::Busy(_) => Value::Null,
        };
        let found: Vec<_> = self.duplicates.iter().map(fix_duplicates::Plan::json).collect();
        let plan = json!({
            "profiles": self.records, "cleanup": self.cleanup.counts, "cleanup_held": holds.cleanup.is_some(),
            "duplicates_held": holds.duplicates.is_some(), "duplicates": found,
        });
        let done = results.map(|results| {
            json!({
                "complete": results.complete, "reconcile": results.reconcile.as_ref().map(report::to_json),
                "profiles": results.records, "cleanup": results.cleanup, "duplicates": results.duplicates,
            })
        });
        let mut json = json!({ "dry_run": dry_run, "analysis": analysis, "plan": plan, "done": done });
        if context.is_forbidden() {
            json["forbidden_by_policy"] = true.into();
        }
        Ok(json)
    }
}

/// Whether a repair would change anything.
fn is_worth_a_run(plan: &Run) -> bool {
    let total = plan.total();
    let effects = &plan.effects;
    total.drift.repairable() + total.pending_approval + effects.tombstones + effects.links + effects.profiles > 0
}

impl Results {
    /// Whether nothing is left to do.
    fn is_whole(&self, plans: &Plans<'_>, holds: Holds) -> bool {
        let found_more = plans.cleanup.counts.finds_more();
        self.complete
            && self.reconcile.as_ref().is_some_and(|report| report::status(report) == Status::Done)
            && holds.cleanup.is_none()
            && holds.duplicates.is_none()
            && !found_more
            && self.records.is_none_or(|records| records.unreadable == 0)
            && self.cleanup.as_ref().is_none_or(|cleaned| !cleaned.is_left())
            && self.duplicates.iter().all(|done| !done.is_left())
            && plans.duplicates.iter().all(|plan| plan.found.undecided == 0)
    }

    fn text(&self, plans: &Plans<'_>, work: &FullSync<'_>) -> anyhow::Result<String> {
        let mut parts = Vec::new();
        if let Some(report) = &self.reconcile {
            parts.push(format!("2. reconcile\n\n{}", report::text(report, work.options())));
        }
        parts.extend(self.records.map(|records| format!("3. fix-profiles\n\n{}", fix_profiles::done_text(&records))));
        if let Some(cleaned) = &self.cleanup {
            parts.push(format!("4. cleanup\n\n{}", cleanup::done_text(cleaned, work.context)));
        }
        let duplicates = self.duplicates.iter().filter_map(|done| Some((plans.duplicates.get(done.plan)?, done)));
        let duplicates = duplicates.map(|(plan, done)| fix_duplicates::done_text(plan, done, work.options()));
        let duplicates = duplicates.collect::<anyhow::Result<Vec<String>>>()?;
        if !duplicates.is_empty() {
            parts.push(format!("5. fix-duplicates\n\n{}", duplicates.join("\n\n")));
        }
        if !self.complete {
            parts.push(INCOMPLETE.to_owned());
        }
        Ok(parts.join("\n\n"))
    }
}
