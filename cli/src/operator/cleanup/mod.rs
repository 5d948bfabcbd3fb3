//! `rollcall cleanup`: removes rows of deleted users from Profiles and the owned tables.
//!
//! `plan` reads all tables, judges the owners of their rows, and asks Clerk; `carry_out` asks Clerk again and
//! removes. `owners` stores the owners meanwhile, `texts` formats the results.

mod owners;
mod texts;

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use rollcall::adapters::dynamo::owned::rows::DynamoOwned;
use rollcall::core::id::UserId;
use rollcall::core::reconcile::absence::is_too_many;
use rollcall::services::operator::cleanup::{Absence, PROVEN_TOGETHER, ToClean};
use serde::Serialize;

use self::owners::{Owner, Owners, State};
pub(super) use self::texts::{done as done_text, held, plan as plan_text};
use super::context::{OperatorContext, lacks_confirmation};
use super::deployment::Environment;
use super::fix::{FixArgs, consents, until_stopped};
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
    /// Approve a plan that concerns many users: the number of users in that plan. It is necessary if the plan concerns
    /// more than 25 users who are also more than 1% of all users with rows, or more than half of all users with rows
    #[arg(long, value_name = "USERS")]
    pub approve: Option<u64>,
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
    let Some(plan) = until_stopped(Box::pin(plan(&context, &tables, screen, !fix.json))).await? else {
        return Ok(Status::Left);
    };
    if !fix.json {
        say(texts::plan(&plan, &context))?;
    }
    let is_held = plan.is_held(args.approve);
    if is_held {
        note(texts::held(&plan));
    }
    let is_empty = plan.counts.users == 0;
    if is_empty || is_held || !consents(fix, &context, screen, "Remove these rows?")? {
        if fix.json {
            say(serde_json::to_string(&Report { dry_run: true, held: is_held, counts: &plan.counts, done: None })?)?;
        }
        return Ok(if is_empty && !plan.counts.finds_more() { Status::Done } else { Status::Left });
    }
    let Some(done) = until_stopped(Box::pin(carry_out(&context, &plan, screen, !fix.json))).await? else {
        return Ok(Status::Left);
    };
    if fix.json {
        let report = Report { dry_run: false, held: false, counts: &plan.counts, done: Some(&done) };
        say(serde_json::to_string(&report)?)?;
    } else {
        say(texts::done(&done, &context))?;
    }
    Ok(if plan.counts.finds_more() || done.is_left() { Status::Left } else { Status::Done })
}

/// The plan and the result, as JSON.
#[derive(Serialize)]
struct Report<'a> {
    dry_run: bool,
    /// Whether the plan needs `--approve`.
    held: bool,
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
    /// The ids of some of these users.
    pub(super) ids: BTreeMap<&'static str, Vec<String>>,
    /// Tables of `OWNED_TABLES` that do not exist.
    pub(super) missing_tables: Vec<String>,
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
    /// Rows that name no user.
    pub(super) nameless: u64,
}

/// So many ids of each kind are listed.
const MAX_IDS: usize = 100;

impl Counts {
    /// Whether there are rows that only an operator can judge.
    pub(super) fn finds_more(&self) -> bool {
        let nameless = self.tables.values().any(|table| table.nameless > 0);
        nameless || self.unknown_users + self.conflicts + self.unproven_users > 0 || !self.missing_tables.is_empty()
    }
}

impl Plan<'_> {
    /// Whether the plan concerns so many users that it must be approved, and it is not.
    pub(super) fn is_held(&self, approved: Option<u64>) -> bool {
        let users = self.counts.users;
        users > 0 && is_too_many(users, self.counts.live_users) && approved.is_none_or(|approved| approved < users)
    }
}

/// Reads all tables, and decides about the owners of their rows.
pub(super) async fn plan<'a>(
    context: &OperatorContext,
    tables: &'a [DynamoOwned],
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
    let controls = judge(context, &owners, &progress).await?;
    // Clerk is asked only if there is something to prove.
    let control = if owners.count(State::Asked)? > 0 {
        operator.control_user(&controls).await.map_err(|error| context.explain(error))?
    } else {
        None
    };
    prove(context, &owners, control.as_ref(), &progress).await?;
    sum(&owners, tables, &mut counts)?;
    Ok(Plan { counts, tables, owners, control })
}

/// Judges all owners by the Directory. Returns some live users.
async fn judge(context: &OperatorContext, owners: &Owners, progress: &Progress) -> anyhow::Result<Vec<UserId>> {
    let (mut after, mut judged, mut controls) = (String::new(), 0, Vec::new());
    loop {
        let page = owners.page(&after, JUDGED_TOGETHER)?;
        let Some((last, _)) = page.last() else { return Ok(controls) };
        after = last.to_string();
        let found = context.operator.standings(&page).await.map_err(|error| context.explain(error))?;
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
    for (name, state) in [("unknown", State::Unknown), ("conflict", State::Exists), ("unproven", State::Unproven)] {
        let ids = owners.ids(state, MAX_IDS)?;
        if !ids.is_empty() {
            counts.ids.insert(name, ids);
        }
    }
    Ok(())
}

/// The result of a clean-up.
#[derive(Debug, Default, Serialize)]
pub(super) struct Cleaned {
    /// Rows that were removed or redacted, by table.
    pub(super) removed: BTreeMap<String, u64>,
    /// Users whose rows were removed or redacted.
    pub(super) users: u64,
    /// Users whose deletion was not proven any more right before the removal. Their rows stay.
    pub(super) changed: u64,
    /// Rows that the application has given to another user meanwhile, by table. They stay.
    pub(super) kept: BTreeMap<String, u64>,
    /// The names of the backups.
    pub(super) backups: Vec<String>,
    pub(super) missing_tables: BTreeSet<String>,
}

impl Cleaned {
    pub(super) fn is_left(&self) -> bool {
        self.changed > 0
    }
}

/// Removes the rows of the plan. Clerk is asked about each user again right before.
pub(super) async fn carry_out(
    context: &OperatorContext,
    plan: &Plan<'_>,
    screen: &Screen,
    shows: bool,
) -> anyhow::Result<Cleaned> {
    let progress = Progress::start(screen, shows);
    let (mut cleaned, mut after) = (Cleaned::default(), String::new());
    loop {
        let some = plan.owners.in_state(State::Proven, &after, PROVEN_TOGETHER)?;
        let Some(last) = some.last() else { return Ok(cleaned) };
        after = last.user.to_string();
        let absences = absences(context, &some, plan.control.as_ref()).await?;
        for owner in some {
            let is_absent = |id: &UserId| absences.get(id) == Some(&Absence::Proven);
            let removed = if owner.asks.as_ref().is_none_or(is_absent) {
                let tables = owner.sources.iter().filter_map(|source| plan.tables.get(*source)).collect();
                let of = ToClean { user: owner.user, clerk: owner.asks, redacts: owner.redacts, tables };
                context.operator.clean(&of).await.map_err(|error| context.explain_cleanup(error))?
            } else {
                None
            };
            let Some(removed) = removed else {
                cleaned.changed += 1;
                continue;
            };
            cleaned.users += u64::from(!removed.rows.is_empty());
            for (all, more) in [(&mut cleaned.removed, removed.rows), (&mut cleaned.kept, removed.kept)] {
                for (table, rows) in more {
                    *all.entry(table).or_default() += rows;
                }
            }
            cleaned.backups.extend(removed.backups);
            cleaned.missing_tables.extend(removed.missing);
        }
        let users = format!("{} of {} users", count(cleaned.users), count(plan.counts.users));
        progress.say("removing rows", &users);
    }
}
