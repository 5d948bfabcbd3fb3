//! `rollcall migrate metadata`: plan, consent, and the work, or the undo.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use rollcall::adapters::clerk::api::ClerkApi;
use rollcall::adapters::clerk::error::ClerkError;
use rollcall::core::reconcile::rate_limiter::RateLimiter;
use rollcall_migrate::folder::{Folder, REPORT, Run};
use rollcall_migrate::ids::write_map;
use rollcall_migrate::metadata::apply::{JOURNAL, RESULTS, apply, changed_before};
use rollcall_migrate::metadata::outcome::{Counts, Outcome};
use rollcall_migrate::metadata::plan::{Job, MigrationError, PLAN, lines, plan};
use rollcall_migrate::metadata::survey::{Input, Survey};
use rollcall_migrate::metadata::undo::{open_intents, take_back};
use rollcall_migrate::table::download;
use serde_json::{Value, json};

use super::args::{MetadataArgs, each_once};
use super::rekey_table::{application_table, explain_table};
use super::texts::{self, Rate};
use crate::operator::context::{OperatorContext, lacks_confirmation};
use crate::operator::deployment::Environment;
use crate::operator::progress::Progress;
use crate::operator::text::{count, counted, moment};
use crate::operator::{Screen, note, say};
use crate::{Clock, Status, signals};

/// Migrates, or takes a migration back.
///
/// # Errors
///
/// If the input or the folder cannot be used, or Clerk does not answer. The error has advice.
pub(super) async fn run(
    args: MetadataArgs,
    environment: Environment,
    clock: Clock,
    screen: &Screen,
) -> anyhow::Result<Status> {
    if lacks_confirmation(args.yes, args.dry_run, args.json, screen) {
        return Ok(Status::Usage);
    }
    each_once(&args.files)?;
    let mapping = if args.undo { None } else { Some(args.mapping.checked()?) };
    if let Some(risky) =
        mapping.iter().flat_map(|mapping| &mapping.fields).find(|field| field.source.contains("raw_user_meta_data"))
    {
        note(format_args!(
            "warning: users of Supabase can write {} themselves. A role from there makes anybody an administrator: take \
             raw_app_meta_data or a table of your own",
            risky.source
        ));
    }
    let context = OperatorContext::open(&args.deployment, environment, clock.clone()).await?;
    let clerk = &context.operator.applier.clerk;
    let instance = clerk.identify().await.map_err(|error| explain(error.into(), &context))?;
    let (share, is_production) = (context.settings.rate_share, instance.is_production);
    let rate = context.deployment.has_rate_limits().then_some(Rate { share, is_production });
    clerk
        .set_rate(&rate.map_or_else(RateLimiter::unlimited, |rate| RateLimiter::share(rate.share, rate.is_production)));
    let work = Work { args: &args, context: &context, clerk, rate, screen };
    let instance = instance.id.to_string();
    match mapping {
        None => work.undo(&instance).await,
        Some(mapping) => {
            let paths = match &args.table {
                Some(table) => vec![work.stored(table).await?],
                None => args.files.clone(),
            };
            let input = Input { paths, options: args.format.options(&mapping)? };
            let job = Job {
                input,
                mapping,
                rules: args.rules(),
                on_null: args.null.into(),
                on_conflict: args.on_conflict.into(),
            };
            let run = Run {
                command: COMMAND.to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                input_sha256: job
                    .input
                    .digest()
                    .with_context(|| format!("reading {}", job.input.paths[0].display()))?,
                options: serde_json::to_string(&job.terms())?,
                instance: instance.clone(),
                started: moment(clock()),
            };
            let folder = Folder::open(&args.folder(), &run, &[JOURNAL])?;
            work.migrate(&job, &folder, &instance).await
        }
    }
}

/// The command in the record of a run.
const COMMAND: &str = "metadata";
/// The rows that a person has to look at, with their reasons.
const UNMATCHED: &str = "unmatched.ndjson";
const AMBIGUOUS: &str = "ambiguous.ndjson";
const REFUSED: &str = "refused.ndjson";

struct Work<'a> {
    args: &'a MetadataArgs,
    context: &'a OperatorContext,
    clerk: &'a ClerkApi,
    /// Nothing if Clerk limits no rate.
    rate: Option<Rate>,
    screen: &'a Screen,
}

impl Work<'_> {
    /// The rows of a table in a file of the folder, so that every reading finds the same rows.
    async fn stored(&self, table: &str) -> anyhow::Result<PathBuf> {
        let table = application_table(table, None, self.context).await?.0;
        let progress = Progress::start(self.screen, !self.args.json);
        let folder = self.args.folder();
        let stored = download::store(&table, &folder, |rows| {
            progress.say("reading the table", &counted(rows, "row"));
        });
        let stored = stored.await.map_err(|error| explain_table(error, self.context))?;
        drop(progress);
        if stored.is_earlier && !self.args.json {
            say(format_args!("The rows are those that an earlier run stored in {}.", stored.path.display()))?;
        }
        Ok(stored.path)
    }

    async fn migrate(&self, job: &Job, folder: &Folder, instance: &str) -> anyhow::Result<Status> {
        let explain = |error| explain(error, self.context);
        folder.check_journal(JOURNAL)?;
        let before = changed_before(&folder.file(JOURNAL))?;
        let progress = Arc::new(Progress::start(self.screen, !self.args.json));
        let (reading, input, mapping) = (Arc::clone(&progress), job.input.clone(), job.mapping.clone());
        // In a thread of its own: a signal stops the command, however large the input is.
        let survey = signals::read(move || {
            Survey::of(&input, &mapping, |rows| {
                if rows % 1000 == 0 {
                    reading.say("reading the input", &counted(rows, "row"));
                }
            })
        })
        .await??;
        for field in &survey.nowhere {
            let advice = format!("no row has the field {field}: check its spelling in the options or the mapping");
            if !job.mapping.may_be_nowhere(field) {
                bail!("{advice}. Nothing was written");
            }
            if !self.args.json {
                self.screen.note(format_args!("warning: {advice}"));
            }
        }
        let planned = plan(job, &survey, self.clerk, folder, &before, |rows| {
            progress.count("asking Clerk for the users", rows, survey.rows);
        });
        let planned = planned.await.map_err(explain)?;
        drop(progress);
        if !planned.adds_up() {
            bail!("the plan's results do not add up to the {} that were read", counted(planned.read, "row"));
        }
        if !self.args.json {
            say(texts::plan(&planned, instance, self.rate))?;
            say(format_args!("\nEach row: {}", folder.file(PLAN).display()))?;
        }
        if self.args.dry_run || planned.of("changed") == 0 {
            return self.finish(&planned, None, &survey, folder);
        }
        if !self.args.yes && !self.screen.ask_on(&self.context.deployment, "Write these values to Clerk?")? {
            say("Nothing was written.")?;
            return Ok(Status::Left);
        }
        let progress = Progress::start(self.screen, !self.args.json);
        let done = apply(job, self.clerk, folder, |rows, changed| {
            progress.count("writing to Clerk", rows, survey.rows);
            progress.say("writing to Clerk", &format!("{} changed", count(changed)));
        });
        let done = done.await.map_err(explain)?;
        drop(progress);
        if !self.args.json {
            say(texts::done(&done))?;
            say(format_args!("\nEach row: {}", folder.file(RESULTS).display()))?;
            say(format_args!(
                "To undo: rollcall migrate metadata {} --undo{}",
                self.names(),
                self.context.deployment.options
            ))?;
        }
        self.finish(&planned, Some(&done), &survey, folder)
    }

    fn names(&self) -> String {
        let table = self.args.table.iter().map(|table| format!("--table {table}"));
        let files = self.args.files.iter().map(|file| file.display().to_string()).chain(table);
        let folder = self.args.folder.iter().map(|folder| format!("--folder {}", folder.display()));
        files.chain(folder).collect::<Vec<_>>().join(" ")
    }

    /// Writes the map of ids, the rows to work on and the report, and decides about the exit status.
    fn finish(
        &self,
        planned: &Counts,
        done: Option<&Counts>,
        survey: &Survey,
        folder: &Folder,
    ) -> anyhow::Result<Status> {
        let name = if done.is_some() { RESULTS } else { PLAN };
        write_map(folder, lines(folder, name)?)?;
        let [mut unmatched, mut ambiguous, mut refused] =
            [folder.create(UNMATCHED)?, folder.create(AMBIGUOUS)?, folder.create(REFUSED)?];
        for line in lines(folder, name)? {
            let line = line?;
            match &line.outcome {
                Outcome::Unmatched { .. } => unmatched.add_json(&line)?,
                Outcome::Ambiguous { .. } => ambiguous.add_json(&line)?,
                Outcome::Refused { .. } => refused.add_json(&line)?,
                _ => {}
            }
        }
        for file in [unmatched, ambiguous, refused] {
            file.finish()?;
        }
        let last = done.unwrap_or(planned);
        let report = json!({
            "dry_run": done.is_none() && self.args.dry_run,
            "folder": folder.path().display().to_string(),
            "plan": planned,
            "done": done,
            "fields_in_no_row": survey.nowhere,
            "clerk_requests": self.clerk.calls(),
        });
        let mut file = folder.create(REPORT)?;
        file.add_json(&report)?;
        file.finish()?;
        if self.args.json {
            say(&report)?;
        }
        let is_open = done.is_none() && planned.of("changed") > 0;
        Ok(if last.left() > 0 || is_open { Status::Left } else { Status::Done })
    }

    async fn undo(&self, instance: &str) -> anyhow::Result<Status> {
        let path = self.args.folder();
        let folder = Folder::open(&path, &earlier(&path, instance)?, &[JOURNAL])?;
        let intents = open_intents(&folder)?;
        let number = u64::try_from(intents.len())?;
        if !self.args.json {
            say(format_args!(
                "{} of users in {} can be undone. Webhooks that were sent, and what the application did since, \
                 cannot.",
                counted(number, "change"),
                path.display()
            ))?;
        }
        let is_empty = intents.is_empty();
        if self.args.dry_run || is_empty {
            return self.undone(
                &json!({ "dry_run": self.args.dry_run, "changes": number }),
                if is_empty { Status::Done } else { Status::Left },
            );
        }
        if !self.args.yes && !self.screen.ask_on(&self.context.deployment, "Undo these changes in Clerk?")? {
            say("Nothing was changed.")?;
            return Ok(Status::Left);
        }
        let progress = Progress::start(self.screen, !self.args.json);
        let done = take_back(&intents, self.clerk, &folder, |done| {
            progress.count("undoing", u64::try_from(done).unwrap_or(u64::MAX), number);
        });
        let done = done.await.map_err(|error| explain(error, self.context))?;
        drop(progress);
        if !self.args.json {
            say(texts::undone(&done))?;
        }
        let report = json!({ "dry_run": false, "changes": number, "undone": done });
        self.undone(&report, if done.is_left() { Status::Left } else { Status::Done })
    }

    fn undone(&self, report: &Value, status: Status) -> anyhow::Result<Status> {
        if self.args.json {
            say(report)?;
        }
        Ok(status)
    }
}

/// The record of the migration in a folder, which must be one of this instance.
fn earlier(path: &Path, instance: &str) -> anyhow::Result<Run> {
    let text = std::fs::read(path.join("run.json"))
        .with_context(|| format!("{} is no folder of a migration: name the folder with --folder", path.display()))?;
    let run: Run = serde_json::from_slice(&text).with_context(|| format!("{}/run.json", path.display()))?;
    if run.command != COMMAND {
        bail!("{} is a folder of `rollcall migrate {}`: name another folder (--folder)", path.display(), run.command);
    }
    Ok(Run { instance: instance.to_owned(), ..run })
}

fn explain(error: MigrationError, context: &OperatorContext) -> anyhow::Error {
    match error {
        MigrationError::Clerk(
            error @ (ClerkError::Unavailable(_) | ClerkError::Unauthorized(_) | ClerkError::Foreign(_)),
        ) => context.explain(error.into()),
        error => anyhow!(error),
    }
}
