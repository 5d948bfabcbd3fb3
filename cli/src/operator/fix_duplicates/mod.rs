//! `rollcall fix-duplicates`: removes rows of a table that mean the same, and keeps the oldest.
//!
//! `plan` reads the table and decides, `carry_out` removes. `groups` stores the rows meanwhile, `rule` reads the rule
//! from the command line, `texts` formats the results.

mod groups;
pub(super) mod rule;
mod texts;

use std::collections::BTreeMap;

use anyhow::{Context, anyhow};
use clap::Args;
use rollcall::adapters::aws::backups::Backups;
use rollcall::adapters::dynamo::owned::rows::OwnedError;
use rollcall::core::deletion::duplicates::Differences;
use rollcall::core::tables::bare_table_name;
use rollcall::services::operator::duplicates::{Cleared, DuplicateRule, Duplicates};
use serde::Serialize;

use self::groups::{Decided, Groups, Position};
use self::rule::Format;
pub(super) use self::texts::{done as done_text, plan as plan_text};
use super::cleanup::tables;
use super::context::{OperatorContext, lacks_confirmation};
use super::deployment::Environment;
use super::fix::{FixArgs, consents, until_stopped};
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
    #[arg(long, value_name = "ATTRIBUTE", num_args = 1.., value_delimiter = ',', required = true)]
    pub by: Vec<String>,
    /// The attribute that says when a row was created. The oldest row of each group stays
    #[arg(long, value_name = "ATTRIBUTE")]
    pub oldest: String,
    /// What the attribute contains
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
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
        say(texts::plan(&plan))?;
    }
    let is_empty = plan.found.duplicates == 0;
    if is_empty || !consents(fix, &context, screen, "Remove these duplicates?")? {
        if fix.json {
            say(serde_json::to_string(&Report { dry_run: true, found: &plan.found, done: None })?)?;
        }
        return Ok(if is_empty && plan.found.undecided == 0 { Status::Done } else { Status::Left });
    }
    let Some(done) = until_stopped(Box::pin(carry_out(&context, &plan, screen, !fix.json))).await? else {
        return Ok(Status::Left);
    };
    if fix.json {
        say(serde_json::to_string(&Report { dry_run: false, found: &plan.found, done: Some(&done) })?)?;
    } else {
        say(texts::done(&plan, &done))?;
    }
    Ok(if plan.found.undecided > 0 || done.is_left() { Status::Left } else { Status::Done })
}

/// The plan and the result, as JSON.
#[derive(Serialize)]
struct Report<'a> {
    dry_run: bool,
    #[serde(flatten)]
    found: &'a Found,
    #[serde(flatten)]
    done: Option<&'a Done>,
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
    let (mut groups, mut from) = (Groups::new()?, None);
    let mut found = Found { table: duplicates.table.name().to_owned(), ..Found::default() };
    loop {
        let page = duplicates.page(from.as_ref()).await.map_err(|error| context.explain_owned(error))?;
        groups.add(&page)?;
        found.rows += page.rows;
        found.ungrouped += page.ungrouped;
        found.records += page.records;
        progress.say(&format!("reading {}", found.table), &counted(found.rows, "row"));
        from = page.next;
        if from.is_none() {
            break;
        }
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
        let (pairs, last) = groups.pairs(&after, duplicates.together())?;
        let Some(last) = last else { break };
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

/// The result of a removal.
#[derive(Debug, Default, Serialize)]
pub(super) struct Done {
    pub(super) removed: u64,
    /// Rows that have changed since the plan, or whose oldest row has. They stay.
    pub(super) changed: u64,
    /// Rows with too many attributes for one condition. They stay.
    pub(super) too_wide: u64,
    /// The number of backups.
    pub(super) backups: u64,
    /// The names of all backups of this run, as a pattern of the shell.
    pub(super) backup_pattern: Option<String>,
}

impl Done {
    /// Whether duplicates are left.
    pub(super) fn is_left(&self) -> bool {
        self.changed + self.too_wide > 0
    }

    fn add(&mut self, cleared: &Cleared) {
        self.removed += cleared.removed;
        self.changed += cleared.changed;
        self.too_wide += cleared.too_wide;
        self.backups += u64::try_from(cleared.backups.len()).unwrap_or(u64::MAX);
    }
}

/// Removes the duplicates of the plan.
pub(super) async fn carry_out(
    context: &OperatorContext,
    plan: &Plan,
    screen: &Screen,
    shows: bool,
) -> anyhow::Result<Done> {
    let progress = Progress::start(screen, shows);
    let Plan { found, duplicates, groups } = plan;
    let (mut done, mut after) = (Done::default(), Position::default());
    let run = format!("{:08x}", fastrand::u32(..));
    let pattern = format!("{}/*/*/*-{run}-*.ndjson", duplicates.backups.place());
    if shows {
        // Said before the first row is removed: an interruption leaves the backups.
        note(format_args!("The backups of this run are {pattern}"));
    }
    loop {
        let (pairs, last) = groups.pairs(&after, duplicates.together())?;
        let Some(last) = last else { break };
        let cleared = duplicates.clear(&pairs, &run).await.map_err(|error| {
            let error = context.explain_duplicates(error);
            match done.removed {
                0 => error,
                removed => error.context(format!("{} rows were removed before; backups: {pattern}", count(removed))),
            }
        })?;
        done.add(&cleared);
        progress.say("removing duplicates", &format!("{} of {}", count(done.removed), count(found.duplicates)));
        after = last;
    }
    if done.backups > 0 {
        done.backup_pattern = Some(pattern);
    }
    Ok(done)
}
