//! Takes a migration back, the newest change first.

use rollcall::adapters::clerk::api::ClerkApi;
use rollcall::adapters::clerk::error::ClerkError;
use rollcall::adapters::clerk::identified::LookUp;
use rollcall::adapters::clerk::lists::MAX_IDS;
use rollcall::core::id::UserId;
use serde::Serialize;
use serde_json::Value;

use super::apply::{JOURNAL, RESULTS};
use super::decide::undo;
use super::journal::{self, Journal, Record, record_at};
use super::plan::MigrationError;
use crate::folder::{Folder, FolderError, REPORT};

/// What was taken back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Undone {
    /// Users who have their values from before the migration again.
    pub restored: u64,
    /// Users who had them already.
    pub unchanged: u64,
    /// Users with a value that somebody has changed since: that value stays.
    pub changed_since: u64,
    /// Users whom Clerk does not have any more.
    pub gone: u64,
    pub failed: u64,
}

impl Undone {
    /// Whether a person has to look at something.
    pub fn is_left(&self) -> bool {
        self.changed_since + self.failed > 0
    }
}

/// The changes in the journal that may be in Clerk, newest first, by the bytes at which their lines begin.
///
/// # Errors
///
/// If the journal is unreadable, or is missing although a run has come to writing.
pub fn open_intents(folder: &Folder) -> Result<Vec<u64>, MigrationError> {
    let path = folder.file(JOURNAL);
    if !path.exists() {
        return if has_written(folder)? { Err(MigrationError::NoJournal(path)) } else { Ok(Vec::new()) };
    }
    let intents = journal::open_intents(&path)?;
    Ok(intents.into_iter().rev().map(|(begin, _)| begin).collect())
}

/// Whether a run has come to writing: then it made a journal. The report is that of the last run, the results those of the
/// last run that wrote.
fn has_written(folder: &Folder) -> Result<bool, FolderError> {
    let path = folder.file(REPORT);
    if folder.file(RESULTS).exists() || !path.exists() {
        return Ok(folder.file(RESULTS).exists());
    }
    let report: serde_json::Result<Value> = serde_json::from_reader(folder.read(REPORT)?);
    Ok(!report.map_err(|source| FolderError::Unreadable { path, source })?["done"].is_null())
}

/// Takes these changes back; `each` gets the number of changes that are done. It may be dropped at any time: a change that
/// is taken back already is found unchanged by the next run.
///
/// # Errors
///
/// [`MigrationError`]. What was done is in the journal, and the next run goes on.
pub async fn take_back(
    intents: &[u64],
    clerk: &ClerkApi,
    folder: &Folder,
    mut each: impl FnMut(usize),
) -> Result<Undone, MigrationError> {
    let path = folder.file(JOURNAL);
    let mut journal = Journal::open(&path)?;
    let mut result = Undone::default();
    let mut done = 0;
    for batch in intents.chunks(MAX_IDS) {
        let mut records = Vec::new();
        for intent in batch {
            if let Record::Intent { user, changes, .. } = record_at(&path, *intent)? {
                records.push((*intent, user, changes));
            }
        }
        let ids: Vec<&str> = records.iter().map(|(_, user, _)| user.as_str()).collect();
        let mut found = clerk.identified(LookUp::Id, &ids).await?;
        for (intent, user, changes) in records {
            done += 1;
            let Some(now) = found.iter_mut().find(|found| found.id.as_str() == user) else {
                result.gone += 1;
                continue;
            };
            let back = undo(&now.public_metadata, &changes);
            if !back.patch.is_empty() {
                let id: &UserId = &now.id;
                match clerk.merge_public_metadata(id, &back.patch).await {
                    Ok(Some(())) => {
                        // An older change of the same user in this batch is decided by what Clerk has now.
                        now.public_metadata = super::merge::merged(&now.public_metadata, &back.patch);
                        result.restored += 1;
                    }
                    Ok(None) => {
                        result.gone += 1;
                        continue;
                    }
                    Err(ClerkError::Unavailable(_) | ClerkError::Rejected(..) | ClerkError::Unreadable(_)) => {
                        result.failed += 1;
                        continue;
                    }
                    Err(error) => return Err(error.into()),
                }
            } else if back.changed_since.is_empty() {
                result.unchanged += 1;
            }
            result.changed_since += u64::from(!back.changed_since.is_empty());
            journal.add(&Record::Undone { user, intent });
        }
        journal.flush()?;
        each(done);
    }
    Ok(result)
}
