//! `rollcall restore`: writes the rows of backups back into Profiles and the owned tables. `run` restores all backups of
//! one run.

mod run;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, anyhow, bail};
use clap::Args;
use rollcall::adapters::aws::backups::{Backups, read_file};
use rollcall::adapters::dynamo::error::StoreError;
use rollcall::adapters::dynamo::owned::rows::{DynamoOwned, OwnedError};
use rollcall::adapters::dynamo::stores::Stores;
use rollcall::core::deletion::backup_run::BackupRun;
use rollcall::core::id::InstanceId;
use rollcall::services::operator::restore::{Backup, NoBackup, Places, Planned, Restored, Restorer};
use rollcall::settings::deletion::{BackupPlace, Removal, backup_place};
use rollcall::settings::tables::Tables;
use rollcall::settings::variables::{CLERK_INSTANCE_ID, Reader};
use serde_json::{Value, json};

use super::checks;
use super::context::lacks_confirmation;
use super::deployment::{Deployment, Environment};
use super::fix::until_stopped;
use super::reconcile::store;
use super::text::{count, moment, table};
use super::{Screen, say};
use crate::args::DeploymentArgs;
use crate::{Clock, Status};

/// `rollcall restore`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  rollcall restore --run 1a2b3c4d --dry-run --stack rollcall
  rollcall restore s3://backups/2026-11-25/2d649aef/1.ndjson --stack rollcall")]
pub struct RestoreArgs {
    /// The backups.
    #[arg(
        required_unless_present = "run",
        conflicts_with = "run",
        value_name = "FILE",
        help = "All backups of the user: local files, or s3://bucket/name as the command printed it"
    )]
    pub files: Vec<String>,
    /// Restore all backups of one run of cleanup, full-sync or fix-duplicates, from the place in BACKUP_BUCKET. The
    /// command that removed the rows prints RUN, which is part of the names of its backups
    #[arg(long, value_name = "RUN")]
    pub run: Option<BackupRun>,
    /// Overwrite rows whose key exists already with other values. Without this option they stay as they are and are
    /// counted
    #[arg(long)]
    pub replace: bool,
    /// Check the backups, show the number of rows for each table, and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Skip the confirmation prompt
    #[arg(long, short)]
    pub yes: bool,
    /// Print one JSON object; requires --yes or --dry-run
    #[arg(long)]
    pub json: bool,
    /// The deployment to work on.
    #[command(flatten)]
    pub deployment: DeploymentArgs,
}

/// Restores backups.
///
/// # Errors
///
/// If a backup cannot be restored. The error has advice.
pub async fn run(args: RestoreArgs, environment: Environment, clock: Clock, screen: &Screen) -> anyhow::Result<Status> {
    if lacks_confirmation(args.yes, args.dry_run, args.json, screen) {
        return Ok(Status::Usage);
    }
    let deployment = Deployment::find(&args.deployment, environment, false).await?.with_owned_tables().await?;
    let (places, restorer) = places(&deployment, clock).await?;
    let work = Work { args: &args, deployment: &deployment, places, restorer, screen };
    match &args.run {
        Some(run) => Box::pin(run::restore(&work, run)).await,
        None => Box::pin(files(&work)).await,
    }
}

/// What both ways of restoring need.
struct Work<'a> {
    args: &'a RestoreArgs,
    deployment: &'a Deployment,
    places: Places,
    restorer: Restorer,
    screen: &'a Screen,
}

impl Work<'_> {
    /// Whether the rows may be restored. Asks if that is necessary.
    fn consents(&self) -> anyhow::Result<bool> {
        if self.args.dry_run {
            return Ok(false);
        }
        if self.args.yes || self.screen.ask_on(self.deployment, "Restore these rows?")? {
            return Ok(true);
        }
        say("Nothing was restored.")?;
        Ok(false)
    }

    /// Whether the plan says which rows would change. Without a plan to read the comparison is not worth its requests.
    fn compares(&self) -> bool {
        self.args.dry_run || !self.args.yes
    }

    /// Ends a command that restores nothing.
    fn show_plan(&self, mut json: Value, planned: &Planned) -> anyhow::Result<Status> {
        if self.args.json {
            json["plan"] = json!(planned);
            say(json)?;
        } else if self.args.dry_run {
            say("Nothing was restored.")?;
        }
        Ok(if planned.is_empty() && self.args.dry_run { Status::Done } else { Status::Left })
    }

    /// Prints the result, also of a restoration that did not end.
    fn show(&self, all: &Restored, is_complete: bool) -> anyhow::Result<Status> {
        if self.args.json {
            let mut json = json!(all);
            json["complete"] = is_complete.into();
            say(json)?;
        } else {
            say(text(all, is_complete, &self.deployment.options))?;
        }
        let is_left = !all.taken.is_empty() || !all.without_table.is_empty() || !is_complete;
        Ok(if is_left { Status::Left } else { Status::Done })
    }

    fn explain(&self, error: &StoreError) -> anyhow::Error {
        store(error, &self.deployment.options)
    }
}

/// Restores the files that the command names.
async fn files(work: &Work<'_>) -> anyhow::Result<Status> {
    let Work { args, deployment, places, restorer, .. } = work;
    let mut backups = Vec::new();
    // All backups are read and checked before the first write.
    for file in &args.files {
        backups.push((file, read(file, deployment).await.with_context(|| file.clone())?));
    }
    // The oldest backup has the original rows. It is restored first; with --replace, where the last write stays, it is
    // restored last.
    backups.sort_by_key(|(_, backup)| backup.header.written_at);
    if args.replace {
        backups.reverse();
    }
    let (mut plan, mut deleted) = (Vec::new(), 0);
    for (_, backup) in &backups {
        let is_deleted = restorer.is_deleted(backup.header.user).await.map_err(|error| work.explain(&error))?;
        deleted += u64::from(is_deleted);
        let rows: Vec<Vec<String>> = backup.rows().into_iter().map(|(table, rows)| vec![table, count(rows)]).collect();
        let header = format!("user {}, removed at {}", backup.header.user, moment(backup.header.written_at));
        let state = if is_deleted { ", still deleted in the Directory" } else { "" };
        plan.push(format!("{header}{state}\n{}", table(&["table", "rows"], &rows, 1)));
    }
    let rows = backups.iter().map(|(_, backup)| backup.rows()).collect::<Vec<_>>();
    let checked = backups.into_iter().map(|(file, backup)| Ok((file, backup.check(places)?)));
    let checked = checked.collect::<Result<Vec<_>, NoBackup>>()?;
    if !args.json {
        for shown in &plan {
            say(shown)?;
        }
        // After the restoration the result says it.
        if deleted > 0 && (!args.yes || args.dry_run) {
            say(still_deleted(deleted, &deployment.options))?;
        }
    }
    let mut planned = Planned::default();
    if work.compares() {
        let compared = until_stopped(async {
            for (_, checked) in &checked {
                let compared = checked.compare(restorer, args.replace, &mut planned).await;
                compared.map_err(|error| work.explain(&error))?;
            }
            Ok(())
        });
        if compared.await?.is_none() {
            return Ok(Status::Left);
        }
        if !args.json {
            say(planned_text(&planned))?;
        }
    }
    if !work.consents()? {
        let json = json!({ "dry_run": args.dry_run, "rows": rows, "of_deleted_users": deleted });
        return work.show_plan(json, &planned);
    }
    let mut all = Restored::default();
    let ended = until_stopped(async {
        for (file, backup) in checked {
            let restored = backup.restore(restorer, file, args.replace, &mut all).await;
            restored.map_err(|error| work.explain(&error))?;
        }
        Ok(())
    });
    let ended = ended.await;
    let status = work.show(&all, matches!(ended, Ok(Some(()))))?;
    ended.map(|_| status)
}

/// The tables into which backups may be restored: those of the settings only, whatever a file names.
async fn places(deployment: &Deployment, clock: Clock) -> anyhow::Result<(Places, Restorer)> {
    let (instance, tables, owned) = deployment.settings(|lookup| {
        let mut reader = Reader::new(lookup);
        let tables = Tables::read(&mut reader);
        let instance: Option<InstanceId> = reader.read(&CLERK_INSTANCE_ID, |text| text.parse().ok());
        let owned = Removal::read_owned(&mut reader, tables.as_ref());
        reader.finish(|| Some((instance?, tables?, owned)))
    })?;
    checks::named(deployment, &tables).await?;
    let client = || deployment.dynamodb.clone();
    let stores = Stores::new(&deployment.dynamodb, &tables);
    let restorer = Restorer { dynamodb: client(), directory: stores.directory, operations: stores.operations, clock };
    let profiles = DynamoOwned::partition(client(), tables.profiles);
    let owned: Vec<DynamoOwned> = owned.into_iter().map(|table| DynamoOwned::new(client(), table)).collect();
    let places = Places::new(instance, &profiles, &owned).await.map_err(|error| match error {
        OwnedError::Store(error) => store(&error, &deployment.options),
        error => anyhow!(error),
    })?;
    Ok((places, restorer))
}

/// Reads a local file, or `s3://bucket/name`.
async fn read(file: &str, deployment: &Deployment) -> anyhow::Result<Backup> {
    let bytes = match file.strip_prefix("s3://").map(|rest| rest.split_once('/')) {
        None => read_file(file.as_ref())
            .context("the backup cannot be read")?
            .context("the backup cannot be read: the file does not exist")?,
        Some(None) => bail!("a backup in S3 must be named s3://bucket/name"),
        Some(Some((bucket, name))) => {
            let place = backup_place(bucket).filter(|place| matches!(place, BackupPlace::Bucket(_)));
            let place = place.context("not a valid bucket name")?;
            Backups::at(place, &deployment.aws).read(name).await?.context("the backup does not exist or has expired")?
        }
    };
    parse(bytes)
}

fn parse(bytes: Vec<u8>) -> anyhow::Result<Backup> {
    let text = String::from_utf8(bytes).context("not a Rollcall backup: the file is not UTF-8 text")?;
    Ok(Backup::parse(&text)?)
}

/// Why a clean-up does not remove the rows again, and what to do next.
fn still_deleted(backups: u64, options: &str) -> String {
    format!(
        "{} of users who are still deleted in the Directory. The purge, `cleanup` and `full-sync` keep the restored rows. \
         If Clerk has a user, run `rollcall undo ID{options}`; to remove restored rows again, run `rollcall cleanup \
         --restored{options}`.",
        if backups == 1 { "1 backup is".to_owned() } else { format!("{} backups are", count(backups)) }
    )
}

/// What the rows of the backups would change.
fn planned_text(planned: &Planned) -> String {
    let Planned { to_restore, to_replace, unchanged, taken, without_table } = planned;
    let rows = by_table([to_restore, to_replace, unchanged, taken, without_table]);
    if planned.is_empty() {
        return "All rows are stored as the backups have them.".to_owned();
    }
    table(&["table", "to restore", "to overwrite", "unchanged", "key exists", "table missing"], &rows, 1)
}

/// A row of numbers for each table.
fn by_table<const N: usize>(kinds: [&BTreeMap<String, u64>; N]) -> Vec<Vec<String>> {
    let tables: BTreeSet<&String> = kinds.into_iter().flat_map(BTreeMap::keys).collect();
    let of = |rows: &BTreeMap<String, u64>, table: &String| count(rows.get(table).copied().unwrap_or_default());
    let row = |name: &String| std::iter::once(name.clone()).chain(kinds.map(|rows| of(rows, name))).collect();
    tables.into_iter().map(row).collect()
}

fn text(all: &Restored, is_complete: bool, options: &str) -> String {
    let Restored { restored, unchanged, taken, without_table, of_deleted_users } = all;
    let rows = by_table([restored, unchanged, taken, without_table]);
    let mut text = match (rows.is_empty(), is_complete) {
        (false, _) => table(&["table", "restored", "unchanged", "key exists", "table missing"], &rows, 1),
        (true, true) => "The backup contains no rows.".to_owned(),
        // A request on its way may have restored a row.
        (true, false) => "No restored row is counted.".to_owned(),
    };
    if !is_complete {
        text += "\nThe restoration is not complete: run the command again to continue.";
    }
    if !taken.is_empty() {
        text += "\nRows whose key already exists were not restored: pass --replace to overwrite them.";
    }
    if *of_deleted_users > 0 {
        text += &format!("\n{}", still_deleted(*of_deleted_users, options));
    }
    text
}
