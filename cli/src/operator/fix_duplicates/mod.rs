//! `rollcall fix-duplicates`: removes rows of a table that mean the same, and keeps the oldest.
//!
//! `plan` reads the table and decides, `carry_out` removes. `groups` stores the rows meanwhile,
//! `pairs` shows them as JSON, `rule` reads the rule
//! from the command line, `texts` formats the results.

mod groups;
mod pairs;
pub(super) mod rule;
mod texts;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::{Context, anyhow, bail};
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use rollcall::adapters::aws::backups::Backups;
use rollcall::adapters::dynamo::owned::rows::OwnedError;
use rollcall::core::deletion::backup_run::BackupRun;
use rollcall::core::deletion::duplicates::Differences;
use rollcall::core::reconcile::absence::is_too_many;
use rollcall::core::tables::bare_table_name;
use rollcall::services::operator::duplicates::{Cleared, DuplicateRule, Duplicates, Pair};
use serde::Serialize;

use self::groups::{Decided, Groups, Position};
use self::pairs::Pairs;
use self::rule::Format;
pub(super) use self::texts::{done as done_text, plan as plan_text};
use super::cleanup::tables;
use super::context::{OperatorContext, lacks_confirmation};
use super::deployment::Environment;
use super::fix::{APPROVE, FixArgs, Hold, consents, until_stopped};
use super::progress::Progress;
use super::text::{count, counted};
use super::{Screen, note, say};
use crate::args::DeploymentArgs;
use crate::{Clock, Status};

/// `rollcall fix-duplicates`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  rollcall fix-duplicates --table tasks --by user_id title --oldest created_at --dry-run --stack rollcall")]
pub struct FixDuplicatesArgs {
    /// The table: Profiles, or a table of OWNED_TABLES
    #[arg(long, value_name = "NAME")]
    pub table: String,
    /// Rows with equal values of these attributes are duplicates
    #[arg(
        long, value_name = "ATTRIBUTE", num_args = 1.., value_delimiter = ',', required = true,
        value_parser = NonEmptyStringValueParser::new()
    )]
    pub by: Vec<String>,
    /// The attribute that says when a row was created. The oldest row of each group stays
    #[arg(long, value_name = "ATTRIBUTE", value_parser = NonEmptyStringValueParser::new())]
    pub oldest: String,
    /// What the attribute contains
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Approve a plan that removes more than 25 rows and more than one in a hundred, or more than half of all rows: the
    /// number of duplicates in that plan. A plan that removes more is not carried out
    #[arg(long, value_name = "ROWS")]
    pub approve: Option<u64>,
    /// Whether the command asks, writes, and how it prints.
    #[command(flatten)]
    pub fix: FixArgs,
    /// The deployment to work on.
    #[command(flatten)]
    pub deployment: DeploymentArgs,
}

/// Removes duplicates.
///
/// # Errors
///
/// If the command fails. The error has advice.
pub async fn run(
    args: FixDuplicatesArgs,
    environment: Environment,
    clock: Clock,
    screen: &Screen,
) -> anyhow::Result<Status> {
    let fix = args.fix;
    if lacks_confirmation(fix.yes, fix.dry_run, fix.json, screen) {
        return Ok(Status::Usage);
    }
    let context = OperatorContext::open(&args.deployment, environment, clock).await?;
    let rule = DuplicateRule { by: args.by, oldest: args.oldest, format: args.format.into() };
    let duplicates = duplicates(&context, &args.table, rule).await?;
    context.operator.check_instance().await.map_err(|error| context.explain(error))?;
    let Some(plan) = until_stopped(Box::pin(plan(&context, duplicates, screen, !fix.json))).await? else {
        return Ok(Status::Left);
    };
    if !fix.json {
        say(texts::plan(&plan)?)?;
    }
    let hold = plan.hold(args.approve);
    if let Some(hold) = hold.filter(|_| !fix.json) {
        note(hold.text("duplicate", plan.found.duplicates, APPROVE));
    }
    let is_empty = plan.found.duplicates == 0;
    let report = |done: Option<&Done>| -> anyhow::Result<()> {
        let report = Report {
            dry_run: fix.dry_run,
            held: hold.is_some(),
            forbidden_by_policy: context.is_forbidden(),
            plan: plan.json(),
            done,
        };
        Ok(say(serde_json::to_string(&report)?)?)
    };
    if is_empty || hold.is_some() || !consents(fix, &context, screen, "Remove these duplicates?")? {
        if fix.json {
            report(None)?;
        }
        return Ok(if is_empty && plan.found.undecided == 0 { Status::Done } else { Status::Left });
    }
    let run = BackupRun::new(fastrand::u32(..));
    let mut done = Done::default();
    let ended = until_stopped(Box::pin(carry_out(&context, &plan, run, &mut done, screen, !fix.json))).await;
    if fix.json {
        report(Some(&done))?;
    } else {
        say(texts::done(&plan, &done, &context.deployment.options)?)?;
    }
    ended?;
    Ok(if plan.found.undecided > 0 || done.is_left() { Status::Left } else { Status::Done })
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
    plan: PlanJson<'a>,
    #[serde(flatten)]
    done: Option<&'a Done>,
}

/// A plan as JSON.
#[derive(Serialize)]
pub(super) struct PlanJson<'a> {
    #[serde(flatten)]
    found: &'a Found,
    pairs: Pairs<'a>,
}

/// A search for duplicates in a table of the settings.
///
/// # Errors
///
/// If the settings name no such table, it does not exist, or backups have no place.
pub(super) async fn duplicates(
    context: &OperatorContext,
    name: &str,
    rule: DuplicateRule,
) -> anyhow::Result<Duplicates> {
    let tables = tables(context);
    let names: Vec<String> = tables.iter().map(|table| table.name().to_owned()).collect();
    let table = tables.into_iter().find(|table| bare_table_name(table.name()) == bare_table_name(name));
    let table = table.with_context(|| {
        format!("{name} is neither the Profiles table nor in OWNED_TABLES: the tables are {}", names.join(", "))
    })?;
    let schema = table.describe().await.map_err(|error| match error {
        error @ OwnedError::Missing(_) => anyhow!("{error}: check OWNED_TABLES"),
        error => context.explain_owned(error),
    })?;
    let backups = Backups::for_removal(&context.settings.removal, &context.deployment.aws);
    let backups = backups.context(
        "BACKUP_BUCKET is not set, and duplicates are removed only after a backup: pass --override BACKUP_BUCKET=PLACE",
    )?;
    let operator = &context.operator;
    Ok(Duplicates {
        table,
        schema,
        rule,
        instance: operator.applier.instance.clone(),
        dynamodb: context.deployment.dynamodb.clone(),
        backups,
        clock: operator.clock.clone(),
    })
}

/// Which duplicates would be removed.
pub(super) struct Plan {
    pub(super) found: Found,
    duplicates: Duplicates,
    groups: Groups,
}

impl Plan {
    /// The plan as JSON. After the removal it says of each duplicate whether it is removed.
    pub(super) fn json(&self) -> PlanJson<'_> {
        PlanJson { found: &self.found, pairs: Pairs(&self.groups) }
    }

    /// Why the plan may not be carried out; nothing if it may.
    pub(super) fn hold(&self, approved: Option<u64>) -> Option<Hold> {
        let duplicates = self.found.duplicates;
        Hold::of(duplicates, is_too_many(duplicates, self.found.rows.saturating_sub(duplicates)), approved)
    }
}

/// The counts of a plan.
#[derive(Debug, Default, Serialize)]
pub(super) struct Found {
    pub(super) table: String,
    /// Rows that were read.
    pub(super) rows: u64,
    /// Rows without one of the attributes, or with a list, a map, a set or null there.
    pub(super) ungrouped: u64,
    /// Rollcall's own records in Profiles, which have no duplicates.
    pub(super) records: u64,
    /// Groups of which the oldest row stays.
    pub(super) groups: u64,
    /// The other rows of these groups.
    pub(super) duplicates: u64,
    /// Groups of which nothing is removed.
    pub(super) undecided: u64,
    /// Some of them.
    pub(super) undecided_groups: Vec<UndecidedGroup>,
    /// How many duplicates differ from the row that stays, by attribute.
    pub(super) differing: BTreeMap<String, u64>,
    /// Differences of further attributes.
    pub(super) differing_others: u64,
    #[serde(skip)]
    pub(super) reasons: Vec<(String, u64)>,
}

/// A group of which nothing is removed.
#[derive(Debug, Serialize)]
pub(super) struct UndecidedGroup {
    pub(super) why: String,
    pub(super) rows: u64,
    /// The keys of some of its rows, in DynamoDB's JSON.
    pub(super) keys: Vec<serde_json::Value>,
}

/// So many undecided groups are listed,
const MAX_GROUPS: usize = 100;
/// each with so many keys.
const MAX_KEYS: usize = 10;

/// Reads the table, and decides about all groups.
pub(super) async fn plan(
    context: &OperatorContext,
    duplicates: Duplicates,
    screen: &Screen,
    shows: bool,
) -> anyhow::Result<Plan> {
    let progress = Progress::start(screen, shows);
    let (mut groups, mut from, mut attributes) = (Groups::new()?, None, BTreeSet::new());
    let mut found = Found { table: duplicates.table.name().to_owned(), ..Found::default() };
    loop {
        let page = duplicates.page(from.as_ref()).await.map_err(|error| context.explain_owned(error))?;
        groups.add(&page)?;
        found.rows += page.rows;
        found.ungrouped += page.ungrouped;
        found.records += page.records;
        attributes.extend(page.attributes);
        progress.say(&format!("reading {}", found.table), &counted(found.rows, "row"));
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    if found.rows > found.records {
        check_attributes(context, &duplicates, &attributes).await?;
    }
    let Decided { groups: decided, duplicates: number, undecided } = groups.decide()?;
    (found.groups, found.duplicates, found.undecided) = (decided, number, undecided);
    found.reasons = groups.reasons()?;
    for (why, rows, keys) in groups.undecided(MAX_GROUPS, MAX_KEYS)? {
        let keys = keys.iter().map(|key| serde_json::from_str(key)).collect::<Result<_, _>>()?;
        found.undecided_groups.push(UndecidedGroup { why, rows, keys });
    }
    let (mut differences, mut after, mut compared) = (Differences::default(), Position::default(), 0);
    loop {
        let (pairs, positions): (Vec<_>, Vec<_>) = groups.pairs(&after, duplicates.together())?.into_iter().unzip();
        let Some(last) = positions.into_iter().next_back() else { break };
        let differing = duplicates.differences(&pairs).await;
        differing.map_err(|error| context.explain_duplicates(error))?.iter().for_each(|names| differences.add(names));
        compared += u64::try_from(pairs.len())?;
        progress.say("comparing duplicates", &format!("{} of {}", count(compared), count(number)));
        after = last;
    }
    found.differing.clone_from(differences.by_name());
    found.differing_others = differences.others;
    Ok(Plan { found, duplicates, groups })
}

/// So many names of attributes are shown.
const MAX_NAMES: usize = 30;

/// Whether at least one row has each attribute of the rule: otherwise the name is probably misspelt.
async fn check_attributes(
    context: &OperatorContext,
    duplicates: &Duplicates,
    found: &BTreeSet<String>,
) -> anyhow::Result<()> {
    let DuplicateRule { by, oldest, .. } = &duplicates.rule;
    let missing: Vec<&str> =
        by.iter().chain([oldest]).filter(|name| !found.contains(*name)).map(String::as_str).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = duplicates.attribute_names().await.map_err(|error| context.explain_owned(error))?;
    let names: Vec<String> = names.into_iter().take(MAX_NAMES).collect();
    bail!(
        "no row of {} has the attribute {}: check the rule. Some attributes of this table are {}",
        duplicates.table.name(),
        missing.join(", "),
        names.join(", ")
    )
}

/// The result of a removal, also of one that did not end.
#[derive(Debug, Default, Serialize)]
pub(super) struct Done {
    /// The position of the plan, if there are several.
    #[serde(skip)]
    pub(super) plan: usize,
    /// Whether all duplicates of the plan were processed.
    pub(super) complete: bool,
    pub(super) removed: u64,
    /// Rows that have changed since the plan, or whose oldest row has. They stay.
    pub(super) changed: u64,
    /// Rows with too many attributes for one condition. They stay.
    pub(super) too_wide: u64,
    /// The number of backups.
    pub(super) backups: u64,
    /// The run: `rollcall restore --run` restores its backups.
    pub(super) run: Option<String>,
    /// The names of all backups of this run, as a pattern of the shell.
    pub(super) backup_pattern: Option<String>,
}

impl Done {
    /// Whether duplicates are left.
    pub(super) fn is_left(&self) -> bool {
        self.changed + self.too_wide > 0 || !self.complete
    }
}

/// Some removals, whose counts are carried over also if the work is dropped in the middle.
struct Clearing<'a> {
    plan: &'a Plan,
    done: &'a mut Done,
    cleared: Cleared,
    /// The positions of the duplicates, by their keys.
    positions: HashMap<String, Position>,
    pattern: &'a str,
}

impl Drop for Clearing<'_> {
    fn drop(&mut self) {
        let Cleared { removed, changed, too_wide, backups, keys } = std::mem::take(&mut self.cleared);
        self.done.removed += removed;
        self.done.changed += changed;
        self.done.too_wide += too_wide;
        self.done.backups += u64::try_from(backups.len()).unwrap_or(u64::MAX);
        if self.done.backups > 0 {
            self.done.backup_pattern = Some(self.pattern.to_owned());
        }
        for position in keys.iter().filter_map(|key| self.positions.get(key)) {
            if let Err(error) = self.plan.groups.remove(position) {
                tracing::error!(%error, "the result names a removed duplicate as not removed");
            }
        }
    }
}

/// Removes the duplicates of the plan, and adds to `done` what is done.
pub(super) async fn carry_out(
    context: &OperatorContext,
    plan: &Plan,
    run: BackupRun,
    done: &mut Done,
    screen: &Screen,
    shows: bool,
) -> anyhow::Result<()> {
    let progress = Progress::start(screen, shows);
    let Plan { found, duplicates, groups } = plan;
    let mut after = Position::default();
    let pattern = run.pattern(&duplicates.backups.place());
    done.run = Some(run.to_string());
    if shows {
        // Said before the first row is removed: an interruption leaves the backups.
        note(format_args!("The backups of this run are {pattern}"));
    }
    loop {
        let some = groups.pairs(&after, duplicates.together())?;
        let Some((_, last)) = some.last().cloned() else { break };
        let positions = some.iter().map(|(pair, at)| (pair.duplicate.clone(), at.clone())).collect();
        let pairs: Vec<Pair> = some.into_iter().map(|(pair, _)| pair).collect();
        let mut clearing = Clearing { plan, done, cleared: Cleared::default(), positions, pattern: &pattern };
        let cleared = duplicates.clear(&pairs, run, &mut clearing.cleared).await;
        drop(clearing);
        cleared.map_err(|error| context.explain_duplicates(error))?;
        progress.say("removing duplicates", &format!("{} of {}", count(done.removed), count(found.duplicates)));
        after = last;
    }
    done.complete = true;
    Ok(())
}
