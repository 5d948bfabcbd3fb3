//! `rollcall migrate verify`: reads everything, asks Clerk, and writes a report.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use rollcall::adapters::clerk::api::ClerkApi;
use rollcall::adapters::clerk::error::ClerkError;
use rollcall::adapters::dynamo::application::ApplicationTable;
use rollcall::adapters::dynamo::error::StoreError;
use rollcall::core::id::UserId;
use rollcall::core::reconcile::rate_limiter::RateLimiter;
use rollcall_migrate::folder::{Folder, REPORT, Run};
use rollcall_migrate::ids::{IdMap, MAP};
use rollcall_migrate::input::Options;
use rollcall_migrate::metadata::plan::{Job, MigrationError, Terms};
use rollcall_migrate::metadata::survey::{Input, Survey};
use rollcall_migrate::table::download;
use rollcall_migrate::table::pass::TableError;
use rollcall_migrate::verify::VerifyError;
use rollcall_migrate::verify::backups::{Backup, read_back};
use rollcall_migrate::verify::criteria::{Criterion, Examined, Facts, State, decide};
use rollcall_migrate::verify::distinct::Distinct;
use rollcall_migrate::verify::examine::{Known, Subject, Tally, examine};
use rollcall_migrate::verify::exceptions::Exceptions;
use rollcall_migrate::verify::existence::ask;
use rollcall_migrate::verify::findings::Findings;
use rollcall_migrate::verify::request::{Collection, Request, Source, new_field};
use rollcall_migrate::verify::users::{UsersTally, judged, users};
use serde_json::{Value, json};

use super::verify_args::VerifyArgs;
use super::verify_texts;
use crate::operator::context::OperatorContext;
use crate::operator::deployment::Environment;
use crate::operator::progress::Progress;
use crate::operator::reconcile::store;
use crate::operator::text::{count, moment};
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
    let context = OperatorContext::open(&args.deployment, environment, clock.clone()).await?;
    let clerk = &context.operator.applier.clerk;
    let instance = clerk.identify().await.map_err(|error| context.explain(error.into()))?;
    clerk.set_rate(&RateLimiter::share(context.settings.rate_share, instance.is_production));
    let instance = instance.id.to_string();
    let migrated = Migrated::open(&request, &instance)?;
    let started = moment(clock());
    let folder = Folder::open(
        &args.folder(),
        &Run {
            command: "verify".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            // It may change: a verification is repeated after something was mended.
            input_sha256: String::new(),
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
    if args.json {
        say(&report.json)?;
    } else {
        say(text)?;
        say(format_args!("\nTo sign and keep: {}", folder.file("report.txt").display()))?;
    }
    let is_left = report.criteria.iter().any(|criterion| criterion.state == State::NotProven);
    Ok(if is_left { Status::Left } else { Status::Done })
}

/// The migration of the users.
struct Migrated {
    run: Run,
    job: Job,
    exceptions: Exceptions,
    map: Arc<IdMap>,
    map_sha256: String,
}

impl Migrated {
    /// Opens its folder, for reading. The export must be the one that was migrated.
    fn open(request: &Request, instance: &str) -> anyhow::Result<Migrated> {
        let path = &request.users.folder;
        let text = std::fs::read(path.join("run.json"))
            .with_context(|| format!("users.folder: {} is no folder of `rollcall migrate metadata`", path.display()))?;
        let run: Run = serde_json::from_slice(&text).with_context(|| format!("{}/run.json", path.display()))?;
        if run.command != "metadata" {
            bail!(
                "users.folder: {} is a folder of `rollcall migrate {}`, not of metadata",
                path.display(),
                run.command
            );
        }
        if run.instance != instance {
            bail!(
                "users.folder: {} belongs to the Clerk instance {}, and the deployment to {instance}",
                path.display(),
                run.instance
            );
        }
        let terms: Terms = serde_json::from_str(&run.options)
            .with_context(|| format!("{}/run.json, options: another release of Rollcall wrote them", path.display()))?;
        let columns = vec![terms.mapping.legacy_id.clone()];
        let options = Options { format: request.users.format.clone(), columns, ..Options::default() };
        let input = Input { paths: request.users.files.clone(), options };
        let sha256 = digest(&input)?;
        if sha256 != run.input_sha256 {
            bail!(
                "users.files: the export has the SHA-256 {sha256}, and the one that was migrated in {} has {}: name the \
                 export that was migrated, or migrate this one first",
                path.display(),
                run.input_sha256
            );
        }
        let exceptions = request.users.exceptions.as_ref().map(Exceptions::read).transpose()?.unwrap_or_default();
        let map_sha256 = if path.join(MAP).exists() { self::sha256(&path.join(MAP))? } else { String::new() };
        let map = Arc::new(IdMap::read(path)?);
        Ok(Migrated { run, job: terms.job(input), exceptions, map, map_sha256 })
    }
}

fn digest(input: &Input) -> anyhow::Result<String> {
    let names = || input.paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
    input.digest().with_context(|| format!("reading {}", names()))
}

fn sha256(path: &Path) -> anyhow::Result<String> {
    digest(&Input { paths: vec![path.to_owned()], options: Options::default() })
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
        let backups = self.backups(&tallies, &hashes).await?;
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
                    self.progress.say("reading the tables", &format!("{table}, {} items", count(items)));
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
        tally.await.map_err(|error| explain(error, self.context))
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
        read.await?.map_err(|error| explain(error, self.context))
    }

    async fn backups(&self, tallies: &[Tally], hashes: &[String]) -> anyhow::Result<Vec<Backup>> {
        let mut backups = Vec::new();
        for ((collection, tally), hash) in self.request.collections.iter().zip(tallies).zip(hashes) {
            if collection.backup.is_empty() {
                continue;
            }
            let options = Options { format: collection.format.clone(), ..Options::default() };
            let input = Input { paths: collection.backup.clone(), options };
            let (name, hash, rows) = (collection.name.clone(), hash.clone(), tally.rows);
            let progress = Arc::clone(&self.progress);
            let backup = signals::read(move || {
                read_back(&name, &input, &hash, rows, |rows| reading(&progress, &format!("the backup of {name}"), rows))
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
                .map(|reference| json!({ "field": reference.field, "new_field": new_field(reference) }))
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
        json!({
            "users": {
                "folder": users.folder.display().to_string(),
                "migrated_at": run.started,
                "sha256": run.input_sha256,
                "map_sha256": map_sha256,
                "old_ids": self.migrated.map.len(),
                "exceptions": exceptions.len(),
                "exceptions_sha256": users.exceptions.as_ref().map(|signed| &signed.sha256),
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
