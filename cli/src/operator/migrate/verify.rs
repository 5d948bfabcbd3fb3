//! `rollcall migrate verify`: reads everything, asks Clerk, and writes a report.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail, ensure};
use rollcall::adapters::clerk::api::ClerkApi;
use rollcall::adapters::clerk::error::ClerkError;
use rollcall::adapters::dynamo::application::ApplicationTable;
use rollcall::adapters::dynamo::error::StoreError;
use rollcall::core::id::UserId;
use rollcall::core::reconcile::rate_limiter::RateLimiter;
use rollcall_migrate::folder::{Folder, REPORT, Run};
use rollcall_migrate::ids::MAP;
use rollcall_migrate::input::Options;
use rollcall_migrate::metadata::plan::MigrationError;
use rollcall_migrate::metadata::survey::{Input, Survey};
use rollcall_migrate::table::download;
use rollcall_migrate::table::pass::TableError;
use rollcall_migrate::verify::VerifyError;
use rollcall_migrate::verify::backups::{Backup, Original, read_back};
use rollcall_migrate::verify::criteria::{Criterion, Examined, Facts, State, decide};
use rollcall_migrate::verify::distinct::Distinct;
use rollcall_migrate::verify::examine::{Known, Subject, examine};
use rollcall_migrate::verify::exceptions::Seen;
use rollcall_migrate::verify::existence::ask;
use rollcall_migrate::verify::findings::Findings;
use rollcall_migrate::verify::request::{Collection, Request, Source, new_field};
use rollcall_migrate::verify::tally::Tally;
use rollcall_migrate::verify::users::{UsersTally, judged, users};
use serde_json::{Value, json};

use super::verify_args::VerifyArgs;
use super::verify_inputs::{Migrated, digest, present, sha256};
use super::verify_texts;
use crate::operator::context::OperatorContext;
use crate::operator::deployment::Environment;
use crate::operator::progress::Progress;
use crate::operator::reconcile::store;
use crate::operator::text::{count, counted, moment};
use crate::operator::{Screen, say};
use crate::{Clock, Status, Usage, signals};

/// Verifies a migration.
///
/// # Errors
///
/// If an input or the folder cannot be used, or Clerk or a table does not answer. There is no report then.
pub(super) async fn run(
    args: VerifyArgs,
    environment: Environment,
    clock: Clock,
    screen: &Screen,
) -> anyhow::Result<Status> {
    let place = args.file.display().to_string();
    let text = std::fs::read_to_string(&args.file).with_context(|| place.clone())?;
    let base = args.file.parent().unwrap_or(Path::new(""));
    let request = Request::from_toml(&text, base).map_err(|error| Usage(format!("{place}: {error}")))?;
    present(&request, &args.file)?;
    let context = OperatorContext::open(&args.deployment, environment, clock.clone()).await?;
    let clerk = &context.operator.applier.clerk;
    let instance = clerk.identify().await.map_err(|error| context.explain(error.into()))?;
    clerk.set_rate(&RateLimiter::share(context.settings.rate_share, instance.is_production));
    let instance = instance.id.to_string();
    let migrated = Migrated::open(&request, &args.file, &instance)?;
    let started = moment(clock());
    let folder = Folder::open(
        &args.folder(),
        &Run {
            command: "verify".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            // It may change: a verification is repeated after something was mended. An error about the folder shows this.
            input_sha256: "not recorded".to_owned(),
            options: std::fs::canonicalize(&args.file)?.display().to_string(),
            instance: instance.clone(),
            started: started.clone(),
        },
        &[REPORT],
    )?;
    let progress = Arc::new(Progress::start(screen, !args.json));
    let work = Work { request: &request, migrated: &migrated, context: &context, clerk, folder: &folder, progress };
    let mut report = work.verify().await?;
    let head = json!({
        "report": "rollcall migrate verify",
        "rollcall": env!("CARGO_PKG_VERSION"),
        "clerk_instance": instance,
        "started": started,
        "as_of": moment(clock()),
        "folder": folder.path().display().to_string(),
        "verify_file": { "path": place, "sha256": sha256(&args.file)? },
        "clerk_requests": clerk.calls(),
    });
    if let (Some(report), Value::Object(head)) = (report.json.as_object_mut(), head) {
        report.extend(head);
    }
    let text = verify_texts::report(&report.json, &report.criteria);
    for (name, content) in [(REPORT, format!("{:#}", report.json)), ("report.txt", text.clone())] {
        let mut file = folder.create(name)?;
        file.add(content.as_bytes())?;
        file.finish()?;
    }
    let is_left = report.criteria.iter().any(|criterion| criterion.state == State::NotProven);
    if args.json {
        say(&report.json)?;
    } else {
        say(text)?;
        let file = folder.file("report.txt");
        if is_left {
            say(format_args!("\nNot to sign yet, because a criterion is not proven: {}", file.display()))?;
        } else {
            say(format_args!("\nTo sign and keep: {}", file.display()))?;
        }
    }
    Ok(if is_left { Status::Left } else { Status::Done })
}

struct Work<'a> {
    request: &'a Request,
    migrated: &'a Migrated,
    context: &'a OperatorContext,
    clerk: &'a ClerkApi,
    folder: &'a Folder,
    progress: Arc<Progress>,
}

struct Report {
    json: Value,
    criteria: Vec<Criterion>,
}

impl Work<'_> {
    async fn verify(self) -> anyhow::Result<Report> {
        let explain = |error| explain(error, self.context);
        let mut subjects = Vec::new();
        for collection in &self.request.collections {
            subjects.push(self.subject(collection).await?);
        }
        let hashes = subjects.iter().map(|subject| digest(&subject.input)).collect::<Result<Vec<_>, _>>()?;
        let mut findings = Findings::start(self.folder)?;
        let users = self.users(&mut findings).await?;
        let none = Arc::new(HashSet::new());
        let (mut tallies, distinct, read) = self.examine(&subjects, &none, findings).await?;
        findings = read;
        let existence = ask(self.clerk, distinct, |done, all| {
            self.progress.count("asking Clerk for the users of the new fields", done, all);
        });
        let existence = existence.await.map_err(|error| explain(error.into()))?;
        let mut users = users;
        if !existence.missing.is_empty() {
            // The rows of users who do not exist are known only now: everything is judged again.
            findings = Findings::start(self.folder)?;
            users = self.again(&mut findings)?;
            let missing = Arc::new(existence.missing.clone());
            (tallies, _, findings) = self.examine(&subjects, &missing, findings).await?;
        }
        let backups = self.backups(&subjects, &tallies, &hashes).await?;
        for (subject, before) in subjects.iter().zip(&hashes) {
            if digest(&subject.input)? != *before {
                bail!("the files of {} changed while they were read: verify again", subject.name);
            }
        }
        if sha256(&self.request.users.folder.join(MAP))? != self.migrated.map_sha256 {
            bail!("the map of ids changed while it was used: verify again when no migration runs");
        }
        let collections: Vec<Examined<'_>> =
            subjects.iter().zip(&tallies).map(|(subject, tally)| Examined { subject, tally: tally.clone() }).collect();
        let facts = Facts {
            users: &users,
            collections: &collections,
            existence: &existence,
            backups: &backups,
            findings: &findings,
        };
        let criteria = decide(&facts);
        let json = self.json(&facts, &hashes, &criteria);
        findings.finish(self.folder)?;
        Ok(Report { json, criteria })
    }

    /// A collection in files; a live table is read into one first.
    async fn subject(&self, collection: &Collection) -> anyhow::Result<Subject> {
        let (paths, is_table) = match &collection.source {
            Source::Files(paths) => (paths.clone(), false),
            Source::Table(table) => {
                let name = format!("table-{}.ndjson", collection.name);
                let application = ApplicationTable::new(self.context.deployment.dynamodb.clone(), table.clone());
                let read = download::write(&application, self.folder, &name, |items| {
                    self.progress.say("reading the tables", &format!("{table}, {}", counted(items, "item")));
                });
                read.await.map_err(|error| match error {
                    TableError::Store(StoreError::Rejected(code, _)) => anyhow!(
                        "table {table}: DynamoDB rejected the scan ({code}): check the name in the verify file and the \
                         permission dynamodb:Scan"
                    ),
                    TableError::Store(error) => store(&error, &self.context.deployment.options),
                    error => error.into(),
                })?;
                (vec![self.folder.file(&name)], true)
            }
        };
        let columns: BTreeSet<String> = collection.references.iter().map(|reference| reference.field.clone()).collect();
        let options =
            Options { format: collection.format.clone(), columns: columns.into_iter().collect(), ..Options::default() };
        Ok(Subject {
            name: collection.name.clone(),
            input: Input { paths, options },
            is_table,
            references: collection.references.clone(),
            loose_ids: collection.loose_ids,
            accepted: collection.accepted.clone(),
            id: collection.id.clone(),
        })
    }

    async fn users(&self, findings: &mut Findings) -> anyhow::Result<UsersTally> {
        let (job, progress) = (&self.migrated.job, Arc::clone(&self.progress));
        let (input, mapping) = (job.input.clone(), job.mapping.clone());
        let survey =
            signals::read(move || Survey::of(&input, &mapping, |rows| reading(&progress, "the users", rows))).await??;
        let known = (&*self.migrated.map, &self.migrated.exceptions);
        let tally = users((job, &survey), self.clerk, self.folder, known, findings, |rows| {
            self.progress.count("asking Clerk for the old users", rows, survey.rows);
        });
        let tally = tally.await.map_err(|error| explain(error, self.context))?;
        ensure!(
            tally.rows == survey.rows && tally.adds_up(),
            "users: the results do not add up to the {} that were read",
            counted(survey.rows, "row")
        );
        Ok(tally)
    }

    /// The users of the plan that was made a moment ago.
    fn again(&self, findings: &mut Findings) -> anyhow::Result<UsersTally> {
        let known = (&*self.migrated.map, &self.migrated.exceptions);
        judged(self.folder, known, findings).map_err(|error| explain(error, self.context))
    }

    /// Reads all collections in a thread of its own: a signal stops the command, however large they are.
    async fn examine(
        &self,
        subjects: &[Subject],
        missing: &Arc<HashSet<UserId>>,
        mut findings: Findings,
    ) -> anyhow::Result<(Vec<Tally>, Distinct, Findings)> {
        let (subjects, missing, progress) = (subjects.to_vec(), Arc::clone(missing), Arc::clone(&self.progress));
        let (map, exceptions) = (Arc::clone(&self.migrated.map), self.migrated.exceptions.clone());
        let read = signals::read(move || -> Result<_, VerifyError> {
            let known = Known { map: &map, exceptions: &exceptions, missing: &missing };
            let (mut tallies, mut distinct) = (Vec::new(), Distinct::default());
            for subject in &subjects {
                let each = |rows| reading(&progress, &subject.name, rows);
                tallies.push(examine(subject, known, &mut findings, &mut distinct, each)?);
            }
            Ok((tallies, distinct, findings))
        });
        let read = read.await?.map_err(|error| explain(error, self.context))?;
        for (collection, tally) in self.request.collections.iter().zip(&read.0) {
            ensure!(
                tally.adds_up(),
                "{}: the results do not add up to the {} that were read",
                collection.name,
                counted(tally.rows, "row")
            );
        }
        Ok(read)
    }

    async fn backups(&self, subjects: &[Subject], tallies: &[Tally], hashes: &[String]) -> anyhow::Result<Vec<Backup>> {
        let mut backups = Vec::new();
        let read = subjects.iter().zip(tallies).zip(hashes);
        for (collection, ((subject, tally), sha256)) in self.request.collections.iter().zip(read) {
            if collection.backup.is_empty() {
                continue;
            }
            let options = Options { format: collection.format.clone(), ..Options::default() };
            let input = Input { paths: collection.backup.clone(), options };
            let original = Original {
                name: subject.name.clone(),
                input: subject.input.clone(),
                sha256: sha256.clone(),
                rows: tally.rows - tally.deleted_rows,
                id: subject.id.clone(),
            };
            let progress = Arc::clone(&self.progress);
            let backup = signals::read(move || {
                let each = |rows| reading(&progress, &format!("the backup of {}", original.name), rows);
                read_back(&original, &input, each)
            });
            backups.push(backup.await?);
        }
        Ok(backups)
    }

    fn json(&self, facts: &Facts<'_>, hashes: &[String], criteria: &[Criterion]) -> Value {
        let Migrated { run, map_sha256, exceptions, .. } = self.migrated;
        let collection = |(examined, sha256): (&Examined<'_>, &String)| {
            let Subject { name, is_table, references, loose_ids, accepted, .. } = examined.subject;
            let references: Vec<Value> = references
                .iter()
                .zip(&examined.tally.listed)
                .map(|(reference, counts)| {
                    json!({ "field": reference.field, "new_field": new_field(reference), "counts": counts })
                })
                .collect();
            json!({
                "name": name,
                "live_table": is_table,
                "sha256": sha256,
                "references": references,
                "loose_ids": loose_ids,
                "accepted_paths": accepted,
                "counts": examined.tally,
            })
        };
        let users = &self.request.users;
        let seen: Vec<&Seen> = facts.collections.iter().map(|one| &one.tally.seen).chain([&facts.users.seen]).collect();
        json!({
            "users": {
                "folder": users.folder.display().to_string(),
                "migrated_at": run.started,
                "sha256": run.input_sha256,
                "map_sha256": map_sha256,
                "old_ids": self.migrated.map.len(),
                "exceptions": exceptions.len(),
                "exceptions_sha256": users.exceptions.as_ref().map(|signed| &signed.sha256),
                "exceptions_without_effect": exceptions.without_effect(&seen),
                "counts": facts.users,
            },
            "collections": facts.collections.iter().zip(hashes).map(collection).collect::<Vec<_>>(),
            "backups": facts.backups,
            "criteria": criteria,
        })
    }
}

fn reading(progress: &Progress, what: &str, rows: u64) {
    if rows.is_multiple_of(1000) {
        progress.say("reading", &format!("{what}, {} rows", count(rows)));
    }
}

fn explain(error: VerifyError, context: &OperatorContext) -> anyhow::Error {
    match error {
        VerifyError::Clerk(error) | VerifyError::Migration(MigrationError::Clerk(error)) => match error {
            ClerkError::Unavailable(_) | ClerkError::Unauthorized(_) | ClerkError::Foreign(_) => {
                context.explain(error.into())
            }
            error => anyhow!(error),
        },
        error => anyhow!(error),
    }
}
