//! Restores all backups of one run: page by page, so that thousands of files need little memory.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, bail};
use futures_util::{StreamExt, stream};
use rollcall::adapters::aws::backup_names::BackupNames;
use rollcall::adapters::aws::backups::Backups;
use rollcall::core::deletion::backup_run::BackupRun;
use rollcall::core::id::InternalId;
use rollcall::services::operator::restore::{Checked, Planned, Restored};
use rollcall::settings::deletion::{BACKUP_BUCKET, backup_place};
use rollcall::settings::variables::Reader;
use serde_json::json;

use super::super::fix::until_stopped;
use super::super::progress::Progress;
use super::super::text::{count, counted, table};
use super::super::{note, say};
use super::{Work, parse, planned_text, still_deleted};
use crate::Status;

/// Backups that are read at once. A backup has a few megabytes, and 64 MB at most.
const AT_ONCE: usize = 4;

/// The contents of all backups of a run.
#[derive(Debug, Default)]
struct Contents {
    backups: u64,
    /// Rows by table.
    rows: BTreeMap<String, u64>,
    /// Backups of users who are deleted in the Directory.
    deleted: u64,
    planned: Planned,
}

/// Restores the backups of a run.
///
/// # Errors
///
/// If the run has no backups, or one of them cannot be restored. Nothing is restored before all are checked.
pub(super) async fn restore(work: &Work<'_>, run: &BackupRun) -> anyhow::Result<Status> {
    let backups = place(work)?;
    let Some(contents) = until_stopped(Box::pin(check(work, &backups, *run))).await? else { return Ok(Status::Left) };
    if contents.backups == 0 {
        bail!(
            "{} has no backups of run {run}: check the run and BACKUP_BUCKET. Backups of purges and erasures belong to \
             no run: pass their names",
            backups.place()
        );
    }
    let args = work.args;
    if !args.json {
        let rows: Vec<Vec<String>> =
            contents.rows.iter().map(|(table, rows)| vec![table.clone(), count(*rows)]).collect();
        let files = counted(contents.backups, "backup");
        say(format_args!("Run {run}: {files} in {}\n{}", backups.place(), table(&["table", "rows"], &rows, 1)))?;
        // After the restoration the result says it.
        if contents.deleted > 0 && (!args.yes || args.dry_run) {
            say(still_deleted(contents.deleted, &work.deployment.options))?;
        }
    }
    if work.compares() && !args.json {
        say(planned_text(&contents.planned))?;
    }
    if !work.consents()? {
        let Contents { backups, rows, deleted, planned } = &contents;
        let json = json!({
            "dry_run": args.dry_run, "run": run.to_string(), "backups": backups, "rows": rows,
            "of_deleted_users": deleted,
        });
        return work.show_plan(json, planned);
    }
    let all = Mutex::new(Restored::default());
    let ended = until_stopped(Box::pin(write(work, &backups, *run, contents.backups, &all))).await;
    let all = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    let status = work.show(&all, matches!(ended, Ok(Some(()))))?;
    ended.map(|_| status)
}

/// The bucket or the folder of the settings.
fn place(work: &Work<'_>) -> anyhow::Result<Backups> {
    let place = work.deployment.settings(|lookup| {
        let mut reader = Reader::new(lookup);
        let place = reader.read(&BACKUP_BUCKET, backup_place);
        reader.finish(|| Some(place))
    })?;
    let place = place.context("BACKUP_BUCKET is not set: pass --override BACKUP_BUCKET=PLACE")?;
    Ok(Backups::at(place, &work.deployment.aws))
}

/// Reads and checks one backup.
async fn read(
    work: &Work<'_>,
    backups: &Backups,
    name: &str,
) -> anyhow::Result<(InternalId, BTreeMap<String, u64>, Checked)> {
    let bytes = backups.read(name).await.with_context(|| name.to_owned())?;
    let bytes = bytes.with_context(|| format!("{name}: the backup has expired or was removed"))?;
    let backup = parse(bytes).with_context(|| name.to_owned())?;
    let (user, rows) = (backup.header.user, backup.rows());
    Ok((user, rows, backup.check(&work.places).with_context(|| name.to_owned())?))
}

/// Checks all backups of the run, and counts their rows.
async fn check(work: &Work<'_>, backups: &Backups, run: BackupRun) -> anyhow::Result<Contents> {
    let progress = Progress::start(work.screen, !work.args.json);
    let (mut contents, mut names) = (Contents::default(), BackupNames::of(backups, run));
    while let Some(page) = names.next_page().await? {
        let mut read = stream::iter(&page).map(|name| read(work, backups, name)).buffer_unordered(AT_ONCE);
        while let Some(one) = read.next().await {
            let (user, rows, checked) = one?;
            if work.compares() {
                let compared = checked.compare(&work.restorer, work.args.replace, &mut contents.planned).await;
                compared.map_err(|error| work.explain(&error))?;
            }
            contents.backups += 1;
            for (table, rows) in rows {
                *contents.rows.entry(table).or_default() += rows;
            }
            let is_deleted = work.restorer.is_deleted(user).await.map_err(|error| work.explain(&error))?;
            contents.deleted += u64::from(is_deleted);
            progress.say("reading backups", &counted(contents.backups, "backup"));
        }
    }
    Ok(contents)
}

/// The counts of one backup, which are carried over also if the work is dropped in the middle.
struct Counting<'a> {
    all: &'a Mutex<Restored>,
    restored: Restored,
}

impl Drop for Counting<'_> {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).add(std::mem::take(&mut self.restored));
    }
}

/// Restores all backups of the run, and adds to `all` what is done.
async fn write(
    work: &Work<'_>,
    backups: &Backups,
    run: BackupRun,
    number: u64,
    all: &Mutex<Restored>,
) -> anyhow::Result<()> {
    let progress = Progress::start(work.screen, !work.args.json);
    let (mut done, mut names) = (0, BackupNames::of(backups, run));
    while let Some(page) = names.next_page().await? {
        let one = |name: &String| {
            let (name, place) = (name.clone(), backups.place());
            async move {
                let (_, _, checked) = read(work, backups, &name).await?;
                let file = format!("{place}/{name}");
                let mut counting = Counting { all, restored: Restored::default() };
                let written = checked.restore(&work.restorer, &file, work.args.replace, &mut counting.restored).await;
                written.map_err(|error| work.explain(&error))
            }
        };
        let mut written = stream::iter(page.iter().map(one)).buffer_unordered(AT_ONCE);
        while let Some(result) = written.next().await {
            result?;
            done += 1;
            progress.count("restoring backups", done, number);
        }
    }
    if done < number {
        note(format_args!("{} of {} backups were there at the end", count(done), count(number)));
    }
    Ok(())
}
