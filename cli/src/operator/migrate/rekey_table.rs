//! `rollcall migrate rekey-table`: plan, consent, and passes over a table until nothing is left to write, or the undo.

use std::path::Path;

use anyhow::{Context, anyhow, bail};
use rollcall::adapters::dynamo::application::{ApplicationTable, Description, RejectedRequest};
use rollcall::adapters::dynamo::error::StoreError;
use rollcall::core::tables::bare_table_name;
use rollcall_migrate::folder::{Folder, REPORT, Run};
use rollcall_migrate::ids::IdMap;
use rollcall_migrate::rekey::origin::Origin;
use rollcall_migrate::table::copy::{self, New, Shared};
use rollcall_migrate::table::decide::Rules;
use rollcall_migrate::table::outcome::{Counts, LEFT, Outcome};
use rollcall_migrate::table::pass::{self, JOURNAL, Job, PASSES, TableError};
use rollcall_migrate::table::{shape, undo};
use serde_json::{Value, json};

use super::rekey_table_args::RekeyTableArgs;
use super::rekey_table_texts as texts;
use crate::operator::context::{OperatorContext, lacks_confirmation};
use crate::operator::deployment::Environment;
use crate::operator::progress::Progress;
use crate::operator::reconcile::store;
use crate::operator::text::{count, counted, moment};
use crate::operator::{Screen, say};
use crate::{Clock, Status, Usage};

/// Rekeys a table, or takes that back.
///
/// # Errors
///
/// If a table, the map or the folder cannot be used, or DynamoDB does not answer. The error has advice.
pub(super) async fn run(
    args: RekeyTableArgs,
    environment: Environment,
    clock: Clock,
    screen: &Screen,
) -> anyhow::Result<Status> {
    if lacks_confirmation(args.yes, args.dry_run, args.json, screen) {
        return Ok(Status::Usage);
    }
    if args.into.as_ref() == Some(&args.table) {
        return Err(Usage("--into must name another table".to_owned()).into());
    }
    if let Some(problem) = shape::overlap(&args.references) {
        return Err(Usage(problem).into());
    }
    let context = OperatorContext::open(&args.deployment, environment, clock.clone()).await?;
    let instance = context.operator.applier.instance.to_string();
    let work = Work { args: &args, context: &context, screen };
    let Some(map) = &args.map else {
        let (table, _) = application_table(&args.table, args.write_units, &context).await?;
        return work.undo(&table, &instance).await;
    };
    let origin = Origin::of(map)?;
    if origin.instance != instance {
        bail!(
            "the map in {} has users of the Clerk instance {}, and CLERK_INSTANCE_ID of the deployment is {instance}: name \
             the deployment of that instance, or make a map of this one with `rollcall migrate metadata --match-only`",
            map.display(),
            origin.instance
        );
    }
    let table = application_table(&args.table, args.write_units, &context).await?;
    let run = Run {
        command: "rekey-table".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        input_sha256: origin.sha256,
        options: serde_json::to_string(&json!({
            "table": args.table, "into": args.into, "references": args.references, "loose_ids": args.loose_ids,
            "allow_missing": args.allow_missing,
        }))?,
        instance,
        started: moment(clock()),
    };
    if let Some(problem) = args.into.is_none().then(|| shape::problem(&table.1, &args.references)).flatten() {
        bail!("table {}: {problem}", args.table);
    }
    let new = match &args.into {
        None => None,
        Some(name) => {
            let (new, description) = application_table(name, args.write_units, &context).await?;
            if let Some(problem) = shape::problem_of_new(&description, &args.references) {
                bail!("table {name}: {problem}");
            }
            Some(New { table: new, description })
        }
    };
    let map = IdMap::read(map)?;
    let rules =
        Rules { references: args.references.clone(), map, loose: args.loose_ids, allow_missing: args.allow_missing };
    let job = Job { table: table.0, description: table.1, rules };
    let folder = Folder::open(&args.folder(), &run, &WRITTEN)?;
    work.rekey(&job, new.as_ref(), &folder).await
}

/// The files that a run makes before it writes to a table.
const WRITTEN: [&str; 2] = [JOURNAL, copy::COPIED];

/// A table of the application, and what DynamoDB says of it.
pub(super) async fn application_table(
    name: &str,
    units: Option<u32>,
    context: &OperatorContext,
) -> anyhow::Result<(ApplicationTable, Description)> {
    if !shape::is_table_name(name) {
        return Err(Usage(format!("{name:?} is not the name of a table")).into());
    }
    let own = &context.settings.tables;
    let is_own = |table: &String| bare_table_name(table) == name;
    if [&own.directory, &own.profiles, &own.operations].into_iter().any(is_own) {
        bail!("{name} is a table of Rollcall itself: name a table of your application");
    }
    let table = ApplicationTable::new(context.deployment.dynamodb.clone(), name.to_owned()).paced(units);
    let described = table.describe().await.map_err(|error| explain_table(error.into(), context))?;
    let described = described.ok_or_else(|| {
        let place = context.deployment.place_in_words();
        anyhow!("table {name} does not exist on {place}: check the name and the region")
    })?;
    Ok((table, described))
}

/// The error with advice.
pub(super) fn explain_table(error: TableError, context: &OperatorContext) -> anyhow::Error {
    match error {
        TableError::Store(error) => rejected(&error).unwrap_or_else(|| store(&error, &context.deployment.options)),
        error => error.into(),
    }
}

/// Which request DynamoDB rejected, and what it needs.
fn rejected(error: &StoreError) -> Option<anyhow::Error> {
    let StoreError::Rejected(code, cause) = error else { return None };
    let RejectedRequest { table, permission, .. } = cause.downcast_ref()?;
    Some(if code.starts_with("AccessDenied") {
        anyhow!(
            "table {table}: DynamoDB denied access ({code}): your role needs the permission {permission} on this table"
        )
    } else {
        anyhow!("table {table}: DynamoDB rejected a request ({code}): check the table, AWS_REGION and your credentials")
    })
}

struct Work<'a> {
    args: &'a RekeyTableArgs,
    context: &'a OperatorContext,
    screen: &'a Screen,
}

impl Work<'_> {
    fn explain(&self, error: TableError) -> anyhow::Error {
        explain_table(error, self.context)
    }

    async fn rekey(&self, job: &Job, new: Option<&New>, folder: &Folder) -> anyhow::Result<Status> {
        folder.check_journal(JOURNAL)?;
        let progress = Progress::start(self.screen, !self.args.json);
        let all = job.description.items;
        let show = |step: &'static str, rows: u64| progress.count(step, rows, all.max(rows));
        let (planned, shared) = match new {
            None => {
                pass::plan(job, folder, |rows| show("reading the table", rows)).await.map(|it| (it, Shared::default()))
            }
            Some(new) => copy::plan(job, new, folder, |rows| show("reading the table", rows)).await,
        }
        .map_err(|error| self.explain(error))?;
        drop(progress);
        if !planned.adds_up() {
            bail!("the plan's results do not add up to the {} that were read", counted(planned.read, "row"));
        }
        if let Some(attribute) = planned.nowhere() {
            bail!(
                "no row of {} has the attribute {attribute}: check its spelling (--reference). Nothing was written",
                self.args.table
            );
        }
        let lacks = match new {
            Some(new) => self.lacks(job, new).await?,
            None => Vec::new(),
        };
        if !self.args.json {
            say(texts::plan(&planned, &self.args.table, self.args.into.as_deref(), &lacks))?;
            if planned.left() > 0 {
                say(format_args!("\nRows that are left: {}", folder.file(LEFT).display()))?;
            }
        }
        if self.args.dry_run || planned.of(Outcome::Changed) == 0 {
            return self.finish(folder, &planned, &[], &lacks);
        }
        if !self.args.yes && !self.screen.ask_on(&self.context.deployment, "Write these rows?")? {
            say("Nothing was written.")?;
            return Ok(Status::Left);
        }
        let mut passes: Vec<Counts> = Vec::new();
        while passes.len() < PASSES && passes.last().is_none_or(|last| last.of(Outcome::Changed) > 0) {
            let progress = Progress::start(self.screen, !self.args.json);
            let each = |counts: &Counts| {
                progress.count("writing the rows", counts.read, planned.read.max(counts.read));
                progress.say("writing the rows", &format!("{} written", count(counts.of(Outcome::Changed))));
            };
            let done = match new {
                None => pass::pass(job, folder, each).await,
                Some(new) => copy::pass(job, new, folder, &shared, each).await,
            };
            let done = done.map_err(|error| self.explain(error))?;
            drop(progress);
            if !done.adds_up() {
                bail!("the results do not add up to the {} that were read", counted(done.read, "row"));
            }
            passes.push(done);
        }
        self.finish(folder, &planned, &passes, &lacks)
    }

    async fn lacks(&self, job: &Job, new: &New) -> anyhow::Result<Vec<String>> {
        let old_ttl = job.table.time_to_live().await.map_err(|error| self.explain(error.into()))?;
        let new_ttl = new.table.time_to_live().await.map_err(|error| self.explain(error.into()))?;
        Ok(shape::lacks(&job.description, old_ttl.as_deref(), &new.description, new_ttl.as_deref()))
    }

    /// Writes the report and decides about the exit status.
    fn finish(&self, folder: &Folder, planned: &Counts, passes: &[Counts], lacks: &[String]) -> anyhow::Result<Status> {
        let last = passes.last().unwrap_or(planned);
        let written: u64 = passes.iter().map(|counts| counts.of(Outcome::Changed)).sum();
        let is_settled = last.of(Outcome::Changed) == 0;
        let report = json!({
            "dry_run": self.args.dry_run, "table": self.args.table, "into": self.args.into,
            "folder": folder.path().display().to_string(), "plan": planned, "passes": passes, "written": written,
            "left": last.left(), "complete": is_settled, "new_table_lacks": lacks,
        });
        let mut file = folder.create(REPORT)?;
        file.add_json(&report)?;
        file.finish()?;
        if self.args.json {
            say(&report)?;
        } else if !passes.is_empty() {
            say(texts::done(last, written, is_settled))?;
            if self.args.into.is_none() {
                say(format_args!(
                    "To undo: rollcall migrate rekey-table {}{} --undo{}",
                    self.args.table,
                    self.args.folder.iter().map(|it| format!(" --folder {}", it.display())).collect::<String>(),
                    self.context.deployment.options
                ))?;
            }
        }
        Ok(if last.left() > 0 || !is_settled { Status::Left } else { Status::Done })
    }

    async fn undo(&self, table: &ApplicationTable, instance: &str) -> anyhow::Result<Status> {
        let path = self.args.folder();
        let run = earlier(&path, &self.args.table)?;
        let into = options(&run)["into"].as_str().map(str::to_owned);
        let folder = Folder::open(&path, &Run { instance: instance.to_owned(), ..run }, &WRITTEN)?;
        if let Some(into) = into.filter(|_| folder.file(copy::COPIED).exists()) {
            bail!(
                "rows of {} were copied to {into}, and {0} was not changed: an undo is to delete the table {into}, if your \
                 application does not use it",
                self.args.table
            );
        }
        let journal = folder.file(JOURNAL);
        folder.check_journal(JOURNAL)?;
        let values = if journal.exists() { undo::values(&journal)? } else { 0 };
        if !self.args.json {
            say(format_args!("{} can be removed from {}.", counted(values, "value"), self.args.table))?;
        }
        if self.args.dry_run || values == 0 {
            let status = if values == 0 { Status::Done } else { Status::Left };
            return self.undone(&json!({ "dry_run": self.args.dry_run, "values": values }), status);
        }
        if !self.args.yes && !self.screen.ask_on(&self.context.deployment, "Remove these values?")? {
            say("Nothing was changed.")?;
            return Ok(Status::Left);
        }
        let progress = Progress::start(self.screen, !self.args.json);
        let done = undo::undo(table, &folder, |done| progress.count("removing", done, values)).await;
        let done = done.map_err(|error| self.explain(error))?;
        drop(progress);
        if !done.adds_up(values) {
            bail!("the results do not add up to the {values} values of the journal");
        }
        if !self.args.json {
            say(texts::undone(&done))?;
            if done.changed_since > 0 {
                say(format_args!("\nThe rows whose values stay: {}", folder.file(undo::KEPT).display()))?;
            }
        }
        let report = json!({ "dry_run": false, "values": values, "undone": done });
        self.undone(&report, if done.changed_since + done.refused > 0 { Status::Left } else { Status::Done })
    }

    fn undone(&self, report: &Value, status: Status) -> anyhow::Result<Status> {
        if self.args.json {
            say(report)?;
        }
        Ok(status)
    }
}

/// The record of the run in a folder, which must be one about this table.
fn earlier(path: &Path, table: &str) -> anyhow::Result<Run> {
    let text = std::fs::read(path.join("run.json"))
        .with_context(|| format!("{} is no folder of this command: name the folder with --folder", path.display()))?;
    let earlier: Run = serde_json::from_slice(&text).with_context(|| format!("{}/run.json", path.display()))?;
    if earlier.command != "rekey-table" {
        bail!(
            "{} is a folder of `rollcall migrate {}`: name another folder (--folder)",
            path.display(),
            earlier.command
        );
    }
    match options(&earlier)["table"].as_str() {
        Some(of) if of != table => {
            bail!("{} is the folder of the table {of}: name the folder of {table} (--folder)", path.display())
        }
        _ => Ok(earlier),
    }
}

fn options(run: &Run) -> Value {
    serde_json::from_str(&run.options).unwrap_or_default()
}
