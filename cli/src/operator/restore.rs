//! `rollcall restore`: writes the rows of backups back into Profiles and the owned tables.

use std::collections::BTreeMap;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use rollcall::adapters::aws::backups::{Backups, read_file};
use rollcall::adapters::dynamo::owned::rows::{DynamoOwned, OwnedError};
use rollcall::core::id::InstanceId;
use rollcall::services::operator::restore::{Backup, Places, Restored};
use rollcall::settings::deletion::{BackupPlace, Removal, backup_place};
use rollcall::settings::tables::Tables;
use rollcall::settings::variables::{CLERK_INSTANCE_ID, Reader};
use serde_json::json;

use super::checks;
use super::context::lacks_confirmation;
use super::deployment::{Deployment, Environment};
use super::reconcile::store;
use super::text::{count, moment, table};
use super::{Screen, say};
use crate::Status;
use crate::args::DeploymentArgs;

/// `rollcall restore`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  rollcall restore s3://backups/2026-11-25/2d649aef/1.ndjson --stack rollcall")]
pub struct RestoreArgs {
    /// The backups.
    #[arg(
        required = true,
        value_name = "FILE",
        help = "All backups of the user: local files, or s3://bucket/name as the command printed it"
    )]
    pub files: Vec<String>,
    /// Overwrite rows whose key exists already. Without this option they stay as they are and are counted
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
pub async fn run(args: RestoreArgs, environment: Environment, screen: &Screen) -> anyhow::Result<Status> {
    if lacks_confirmation(args.yes, args.dry_run, args.json, screen) {
        return Ok(Status::Usage);
    }
    let deployment = Deployment::find(&args.deployment, environment, false).await?.with_owned_tables().await?;
    let places = places(&deployment).await?;
    let mut backups = Vec::new();
    // All backups are read and checked before the first write.
    for file in &args.files {
        backups.push(read(file, &deployment).await.with_context(|| file.clone())?);
    }
    // The oldest backup has the original rows. It is restored first; with --replace, where the last write stays, it is
    // restored last.
    backups.sort_by_key(|backup: &Backup| backup.header.written_at);
    if args.replace {
        backups.reverse();
    }
    let header = |backup: &Backup| {
        let header = &backup.header;
        format!("user {}, removed at {}", header.user, moment(header.written_at))
    };
    let shown = |backup: &Backup| {
        let rows: Vec<Vec<String>> = backup.rows().into_iter().map(|(table, rows)| vec![table, count(rows)]).collect();
        format!("{}\n{}", header(backup), table(&["table", "rows"], &rows, 1))
    };
    let plan: Vec<String> = backups.iter().map(shown).collect();
    let rows = backups.iter().map(Backup::rows).collect::<Vec<_>>();
    let checked = backups.into_iter().map(|backup| backup.check(&places)).collect::<Result<Vec<_>, _>>()?;
    if !args.json {
        for shown in &plan {
            say(shown)?;
        }
    }
    if args.dry_run {
        if args.json {
            say(json!({ "dry_run": true, "rows": rows }))?;
        } else {
            say("Nothing was restored.")?;
        }
        return Ok(Status::Left);
    }
    if !args.yes && !screen.ask_on(&deployment, "Restore these rows?")? {
        say("Nothing was restored.")?;
        return Ok(Status::Left);
    }
    let mut all = Restored::default();
    for backup in checked {
        let restored = backup.restore(&deployment.dynamodb, args.replace).await;
        let restored = restored.map_err(|error| store(&error, &deployment.options))?;
        add(&mut all.restored, restored.restored);
        add(&mut all.taken, restored.taken);
        add(&mut all.without_table, restored.without_table);
    }
    if args.json {
        say(json!(all))?;
    } else {
        say(text(&all))?;
    }
    let is_left = !all.taken.is_empty() || !all.without_table.is_empty();
    Ok(if is_left { Status::Left } else { Status::Done })
}

/// The tables into which backups may be restored: those of the settings only, whatever a file names.
async fn places(deployment: &Deployment) -> anyhow::Result<Places> {
    let (instance, tables, owned) = deployment.settings(|lookup| {
        let mut reader = Reader::new(lookup);
        let tables = Tables::read(&mut reader);
        let instance: Option<InstanceId> = reader.read(&CLERK_INSTANCE_ID, |text| text.parse().ok());
        let owned = Removal::read_owned(&mut reader, tables.as_ref());
        reader.finish(|| Some((instance?, tables?, owned)))
    })?;
    checks::named(deployment, &tables).await?;
    let client = || deployment.dynamodb.clone();
    let profiles = DynamoOwned::partition(client(), tables.profiles);
    let owned: Vec<DynamoOwned> = owned.into_iter().map(|table| DynamoOwned::new(client(), table)).collect();
    Places::new(instance, &profiles, &owned).await.map_err(|error| match error {
        OwnedError::Store(error) => store(&error, &deployment.options),
        error => anyhow!(error),
    })
}

fn add(all: &mut BTreeMap<String, u64>, more: BTreeMap<String, u64>) {
    for (table, rows) in more {
        *all.entry(table).or_default() += rows;
    }
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
    let text = String::from_utf8(bytes).context("not a Rollcall backup: the file is not UTF-8 text")?;
    Ok(Backup::parse(&text)?)
}

fn text(all: &Restored) -> String {
    let tables: std::collections::BTreeSet<&String> =
        all.restored.keys().chain(all.taken.keys()).chain(all.without_table.keys()).collect();
    let of = |rows: &BTreeMap<String, u64>, table: &String| count(rows.get(table).copied().unwrap_or_default());
    let rows: Vec<Vec<String>> = tables
        .into_iter()
        .map(|name| vec![name.clone(), of(&all.restored, name), of(&all.taken, name), of(&all.without_table, name)])
        .collect();
    let mut text = if rows.is_empty() {
        "The backup contains no rows.".to_owned()
    } else {
        table(&["table", "restored", "key exists", "table missing"], &rows, 1)
    };
    if !all.taken.is_empty() {
        text += "\nRows whose key already exists were not restored: pass --replace to overwrite them.";
    }
    text
}
