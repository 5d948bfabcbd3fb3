//! `rollcall cleanup`: removes rows of deleted users from Profiles and the owned tables.
//!
//! `plan` reads all tables, judges the owners of their rows, and asks Clerk; `carry_out` asks Clerk again and
//! removes. `owners` stores the owners meanwhile, `texts` formats the results.

mod owners;
mod texts;

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use rollcall::adapters::dynamo::owned::rows::DynamoOwned;
use rollcall::core::deletion::backup_run::BackupRun;
use rollcall::core::id::UserId;
use rollcall::core::reconcile::absence::is_too_many;
use rollcall::services::deletion::purge::Removed;
use rollcall::services::operator::cleanup::{Absence, PROVEN_TOGETHER, ToClean};
use serde::Serialize;

use self::owners::{Owner, Owners, State};
pub(super) use self::texts::{done as done_text, plan as plan_text};
use super::context::{OperatorContext, lacks_confirmation};
use super::deployment::Environment;
use super::fix::{APPROVE, FixArgs, Hold, consents, until_stopped};
use super::progress::Progress;
use super::text::{count, counted};
use super::{Screen, note, say};
use crate::args::DeploymentArgs;
use crate::{Clock, Status};

/// Owners that are judged together: as many keys as one request reads.
const JUDGED_TOGETHER: i64 = 100;

/// `rollcall cleanup`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  rollcall cleanup --dry-run --stack rollcall
  rollcall cleanup --yes --json --stack rollcall")]
pub struct CleanupArgs {
    /// Approve a plan that concerns many users: the number of users in that plan. A plan that concerns more users is
    /// not carried out. It is necessary if the plan concerns
    /// more than 25 users who are also more than 1% of all users with rows, or more than half of all users with rows
    #[arg(long, value_name = "USERS")]
    pub approve: Option<u64>,
    /// Also remove rows that `rollcall restore` has brought back, and whose user is still deleted
    #[arg(long)]
    pub restored: bool,
    /// Whether the command asks, writes, and how it prints.
    #[command(flatten)]
    pub fix: FixArgs,
    /// The deployment to work on.
    #[command(flatten)]
    pub deployment: DeploymentArgs,
}

/// Removes the rows of deleted users.
///
/// # Errors
///
/// If the command fails. The error has advice.
pub async fn run(args: CleanupArgs, environment: Environment, clock: Clock, screen: &Screen) -> anyhow::Result<Status> {
    let fix = args.fix;
    if lacks_confirmation(fix.yes, fix.dry_run, fix.json, screen) {
        return Ok(Status::Usage);
    }
    let context = OperatorContext::open(&args.deployment, environment, clock).await?;
    let tables = tables(&context);
    let run = BackupRun::new(fastrand::u32(..));
    let Some(plan) = until_stopped(Box::pin(plan(&context, &tables, args.restored, screen, !fix.json))).await? else {
        return Ok(Status::Left);
    };
    if !fix.json {
        say(texts::plan(&plan, &context))?;
    }
    let hold = plan.hold(args.approve);
    if let Some(hold) = hold.filter(|_| !fix.json) {
        note(hold.text("user", plan.counts.users, APPROVE));
    }
    let is_empty = plan.counts.users == 0;
    let report = |done: Option<&Cleaned>| -> anyhow::Result<()> {
        let report = Report {
            dry_run: fix.dry_run,
            held: hold.is_some(),
            forbidden_by_policy: context.is_forbidden(),
            counts: &plan.counts,
            done,
        };
        Ok(say(serde_json::to_string(&report)?)?)
    };
    if is_empty || hold.is_some() || !consents(fix, &context, screen, "Remove these rows?")? {
        if fix.json {
            report(None)?;
        }
        return Ok(if is_empty && !plan.counts.finds_more() { Status::Done } else { Status::Left });
    }
    let mut done = Cleaned::default();
    let ended = until_stopped(Box::pin(carry_out(&context, &plan, run, &mut done, screen, !fix.json))).await;
    if fix.json {
        report(Some(&done))?;
    } else {
        say(texts::done(&done, &context))?;
    }
    ended?;
    Ok(if plan.counts.finds_more() || done.is_left() { Status::Left } else { Status::Done })
}

/// The plan and the result, as JSON.
#[derive(Serialize)]
struct Report<'a> {
    dry_run: bool,
    /// Whether the plan needs `--approve`.
    held: bool,
    /// Whether RECONCILE_POLICY forbids the plan.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    forbidden_by_policy: bool,
    #[serde(flatten)]
    counts: &'a Counts,
    #[serde(skip_serializing_if = "Option::is_none")]
    done: Option<&'a Cleaned>,
}

/// Profiles and the owned tables. Profiles is the first.
pub(super) fn tables(context: &OperatorContext) -> Vec<DynamoOwned> {
    let holdings = context.holdings();
    std::iter::once(holdings.profiles).chain(holdings.owned).collect()
}

/// What a clean-up would do.
pub(super) struct Plan<'a> {
    pub(super) counts: Counts,
    tables: &'a [DynamoOwned],
    owners: Owners,
    control: Option<UserId>,
    /// Whether restored rows are removed, too.
    with_restored: bool,
}

/// The counts of a plan.
#[derive(Debug, Default, Serialize)]
pub(super) struct Counts {
    /// Users whose rows the command removes or redacts.
    pub(super) users: u64,
    /// Live users with rows.
    pub(super) live_users: u64,
    pub(super) tables: BTreeMap<String, TableCounts>,
    /// Users of whom the Directory knows nothing. Nothing of theirs is removed.
    pub(super) unknown_users: u64,
    /// Users who are deleted in the Directory, and exist in Clerk.
    pub(super) conflicts: u64,
    /// Deleted users whose absence Clerk did not confirm.
    pub(super) unproven_users: u64,
    /// Deleted users whose rows an operator has restored. They stay.
    pub(super) restored_users: u64,
    /// Some of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) restored: Vec<RestoredUser>,
    /// The ids of some of the unknown, conflicting and unproven users.
    pub(super) ids: BTreeMap<&'static str, Vec<String>>,
    /// Tables of `OWNED_TABLES` that do not exist.
    pub(super) missing_tables: Vec<String>,
}

/// A deleted user whose rows an operator has restored.
#[derive(Debug, Serialize)]
pub(super) struct RestoredUser {
    pub(super) id: String,
    /// When the rows were restored, in Unix ms.
    pub(super) restored_at: u64,
    /// The file from which they were restored.
    pub(super) backup: String,
}

/// The rows of one table, by the state of their owners.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct TableCounts {
    /// All rows.
    pub(super) rows: u64,
    /// Of live users.
    pub(super) live: u64,
    /// Of deleted users within the grace period. The purge removes them.
    pub(super) due: u64,
    /// Of deleted users, kept by a deletion policy.
    pub(super) kept: u64,
    /// To be removed.
    pub(super) remove: u64,
    /// To be redacted.
    pub(super) redact: u64,
    /// Of users of whom the Directory knows nothing.
    pub(super) unknown: u64,
    /// Of users who are deleted in the Directory, and exist in Clerk.
    pub(super) conflict: u64,
    /// Of deleted users whose absence Clerk did not confirm.
    pub(super) unproven: u64,
    /// Of deleted users, restored by an operator.
    pub(super) restored: u64,
    /// Rows that name no user.
    pub(super) nameless: u64,
}

/// So many ids of each kind are listed.
const MAX_IDS: usize = 100;

impl Counts {
    /// Whether there are rows that only an operator can judge.
    pub(super) fn finds_more(&self) -> bool {
        let nameless = self.tables.values().any(|table| table.nameless > 0);
        let users = self.unknown_users + self.conflicts + self.unproven_users + self.restored_users;
        nameless || users > 0 || !self.missing_tables.is_empty()
    }
}

impl Plan<'_> {
    /// Why the plan may not be carried out; nothing if it may.
    pub(super) fn hold(&self, approved: Option<u64>) -> Option<Hold> {
        Hold::of(self.counts.users, is_too_many(self.counts.users, self.counts.live_users), approved)
    }
}

/// Reads all tables, and decides about the owners of their rows.
pub(super) async fn plan<'a>(
    context: &OperatorContext,
    tables: &'a [DynamoOwned],
    with_restored: bool,
    screen: &Screen,
    shows: bool,
) -> anyhow::Result<Plan<'a>> {
    let progress = Progress::start(screen, shows);
    let operator = &context.operator;
    let missing = operator.check_tables(tables).await.map_err(|error| context.explain_cleanup(error))?;
    let (mut owners, mut counts) = (Owners::new()?, Counts::default());
    for (source, table) in tables.iter().enumerate().filter(|(_, table)| !missing.iter().any(|it| it == table.name())) {
        let (mut from, mut rows) = (None, 0);
        loop {
            let page = operator.owners(table, from.as_ref()).await.map_err(|error| context.explain_owned(error))?;
            owners.add(source, &page)?;
            let of_table = counts.tables.entry(table.name().to_owned()).or_default();
            of_table.nameless += page.nameless;
            of_table.rows += page.rows;
            rows += page.rows;
            progress.say(&format!("reading {}", table.name()), &counted(rows, "row"));
            from = page.next;
            if from.is_none() {
                break;
            }
        }
    }
    counts.missing_tables = missing;
    let controls = judge(context, &owners, with_restored, &progress).await?;
    // Clerk is asked only if there is something to prove.
    let control = if owners.count(State::Asked)? > 0 {
        operator.control_user(&controls).await.map_err(|error| context.explain(error))?
    } else {
        None
    };
    prove(context, &owners, control.as_ref(), &progress).await?;
    sum(&owners, tables, &mut counts)?;
    Ok(Plan { counts, tables, owners, control, with_restored })
}

/// Judges all owners by the Directory. Returns some live users.
async fn judge(
    context: &OperatorContext,
    owners: &Owners,
    with_restored: bool,
    progress: &Progress,
) -> anyhow::Result<Vec<UserId>> {
    let (mut after, mut judged, mut controls) = (String::new(), 0, Vec::new());
    loop {
        let page = owners.page(&after, JUDGED_TOGETHER)?;
        let Some((last, _)) = page.last() else { return Ok(controls) };
        after = last.to_string();
        let found = context.operator.standings(&page, with_restored).await;
        let found = found.map_err(|error| context.explain(error))?;
        for ((user, _), standing) in page.iter().zip(&found.0) {
            owners.judge(*user, standing)?;
        }
        if controls.is_empty() {
            controls = found.1;
        }
        judged += page.len();
        progress.say("reading the Directory", &counted(u64::try_from(judged)?, "user"));
    }
}

/// Asks Clerk about all owners whose absence must be proven.
async fn prove(
    context: &OperatorContext,
    owners: &Owners,
    control: Option<&UserId>,
    progress: &Progress,
) -> anyhow::Result<()> {
    let (mut after, mut asked) = (String::new(), 0);
    loop {
        let some = owners.in_state(State::Asked, &after, PROVEN_TOGETHER)?;
        let Some(last) = some.last() else { return Ok(()) };
        after = last.user.to_string();
        let absences = absences(context, &some, control).await?;
        for owner in &some {
            let absence = owner.asks.as_ref().and_then(|id| absences.get(id)).copied();
            owners.prove(owner.user, absence.unwrap_or(Absence::Unproven))?;
        }
        asked += some.len();
        progress.say("asking Clerk", &counted(u64::try_from(asked)?, "user"));
    }
}

async fn absences(
    context: &OperatorContext,
    owners: &[Owner],
    control: Option<&UserId>,
) -> anyhow::Result<BTreeMap<UserId, Absence>> {
    let users: Vec<UserId> = owners.iter().filter_map(|owner| owner.asks.clone()).collect();
    if users.is_empty() {
        return Ok(BTreeMap::new());
    }
    context.operator.prove_absence(users, control).await.map_err(|error| context.explain(error))
}

fn sum(owners: &Owners, tables: &[DynamoOwned], counts: &mut Counts) -> anyhow::Result<()> {
    for sum in owners.sums()? {
        let Some(table) = tables.get(sum.source) else { continue };
        let of_table = counts.tables.entry(table.name().to_owned()).or_default();
        let held = sum.held;
        let place = match sum.state {
            it if it == State::Live as i64 => &mut of_table.live,
            it if it == State::Due as i64 => &mut of_table.due,
            it if it == State::Kept as i64 => &mut of_table.kept,
            it if it == State::Unknown as i64 => &mut of_table.unknown,
            it if it == State::Restored as i64 => &mut of_table.restored,
            it if it == State::Exists as i64 => &mut of_table.conflict,
            it if it == State::Proven as i64 && !sum.redacts => &mut of_table.remove,
            it if it == State::Proven as i64 && sum.source == 0 => {
                of_table.kept += held.redacted;
                of_table.redact += held.rows - held.redacted;
                continue;
            }
            it if it == State::Proven as i64 => &mut of_table.kept,
            _ => &mut of_table.unproven,
        };
        *place += held.rows;
    }
    counts.users = owners.count(State::Proven)?;
    counts.live_users = owners.count(State::Live)?;
    counts.unknown_users = owners.count(State::Unknown)?;
    counts.conflicts = owners.count(State::Exists)?;
    counts.unproven_users = owners.count(State::Unproven)?;
    counts.restored_users = owners.count(State::Restored)?;
    let restored = owners.restored(MAX_IDS)?.into_iter();
    counts.restored = restored.map(|(id, restored_at, backup)| RestoredUser { id, restored_at, backup }).collect();
    for (name, state) in [("unknown", State::Unknown), ("conflict", State::Exists), ("unproven", State::Unproven)] {
        let ids = owners.ids(state, MAX_IDS)?;
        if !ids.is_empty() {
            counts.ids.insert(name, ids);
        }
    }
    Ok(())
}

/// The result of a clean-up, also of one that did not end.
#[derive(Debug, Default, Serialize)]
pub(super) struct Cleaned {
    /// Whether all users of the plan were processed.
    pub(super) complete: bool,
    /// The run: `rollcall restore --run` restores its backups.
    pub(super) run: Option<String>,
    /// Rows that were removed or redacted, by table.
    pub(super) removed: BTreeMap<String, u64>,
    /// Users whose rows were removed or redacted.
    pub(super) users: u64,
    /// Users whose deletion was not proven any more right before the removal. Their rows stay.
    pub(super) changed: u64,
    /// Rows that have changed since their backup, by table. They stay.
    pub(super) kept: BTreeMap<String, u64>,
    /// The names of the backups.
    pub(super) backups: Vec<String>,
    pub(super) missing_tables: BTreeSet<String>,
}

impl Cleaned {
    pub(super) fn is_left(&self) -> bool {
        self.changed > 0 || !self.kept.is_empty() || !self.complete
    }

    /// Takes over what was removed so far.
    fn update(&mut self, removed: &Removed) {
        self.removed.clone_from(&removed.rows);
        self.kept.clone_from(&removed.kept);
        self.missing_tables.extend(removed.missing.iter().cloned());
        let known = self.backups.len().min(removed.backups.len());
        self.backups.extend(removed.backups[known..].iter().cloned());
    }
}

/// Carries the counts over, also if the work is dropped in the middle.
struct Counting<'a> {
    cleaned: &'a mut Cleaned,
    removed: Removed,
}

impl Drop for Counting<'_> {
    fn drop(&mut self) {
        self.cleaned.update(&self.removed);
    }
}

/// Removes the rows of the plan, and adds to `cleaned` what is done. Clerk is asked about each user again right before.
pub(super) async fn carry_out(
    context: &OperatorContext,
    plan: &Plan<'_>,
    run: BackupRun,
    cleaned: &mut Cleaned,
    screen: &Screen,
    shows: bool,
) -> anyhow::Result<()> {
    let progress = Progress::start(screen, shows);
    let run = run.to_string();
    cleaned.run = Some(run.clone());
    let mut counting = Counting { cleaned, removed: Removed::default() };
    let mut after = String::new();
    loop {
        let some = plan.owners.in_state(State::Proven, &after, PROVEN_TOGETHER)?;
        let Some(last) = some.last() else { break };
        after = last.user.to_string();
        let absences = absences(context, &some, plan.control.as_ref()).await?;
        for owner in some {
            let is_absent = |id: &UserId| absences.get(id) == Some(&Absence::Proven);
            let before = rows(&counting.removed);
            let is_done = if owner.asks.as_ref().is_none_or(is_absent) {
                let tables = owner.sources.iter().filter_map(|source| plan.tables.get(*source)).collect();
                let Owner { user, asks: clerk, redacts, .. } = owner;
                let of = ToClean { user, clerk, redacts, tables, with_restored: plan.with_restored, run: &run };
                let cleaned = context.operator.clean(&of, &mut counting.removed).await;
                cleaned.map_err(|error| context.explain_cleanup(error))?
            } else {
                false
            };
            counting.cleaned.changed += u64::from(!is_done);
            counting.cleaned.users += u64::from(rows(&counting.removed) > before);
        }
        let users = format!("{} of {}", count(counting.cleaned.users), counted(plan.counts.users, "user"));
        progress.say("removing rows", &users);
    }
    counting.cleaned.complete = true;
    Ok(())
}

fn rows(removed: &Removed) -> u64 {
    removed.rows.values().sum()
}
