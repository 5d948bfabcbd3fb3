//! A pass over a table: Clerk ids are written beside the references.
//!
//! A row is read by a scan, decided about, noted in the journal, and changed under the condition that it still has these
//! references. If it has others, DynamoDB answers with the row as it is now, and it is decided about again. A scan misses
//! rows that are added behind it, so passes are repeated until one writes nothing. A pass costs no write for a row that
//! has its Clerk ids; so an interrupted run goes on by another pass, and no place in the table is noted.

use std::path::Path;

use futures_util::{StreamExt, TryStreamExt, stream};
use rollcall::adapters::dynamo::application::{ApplicationTable, Change, Description, Item, Place, Written};
use rollcall::adapters::dynamo::error::StoreError;
use serde::{Deserialize, Serialize};

use super::decide::{Decision, Rules, decide, with_changes};
use super::item::{Typed, key, typed};
use super::outcome::{Counts, Outcome, Problem, Results};
use crate::folder::{Folder, FolderError};
use crate::input::InputError;
use crate::metadata::journal::{Journal, JournalError};

/// The journal in the folder.
pub const JOURNAL: &str = "journal.ndjson";
/// Rows whose intents reach the disk together.
pub(crate) const BATCH: usize = 100;
/// Requests at the same time.
pub(crate) const TOGETHER: usize = 16;
/// So often a row is decided about.
const ROUNDS: usize = 4;
/// Passes over a table at most.
pub const PASSES: usize = 3;

/// A table and what becomes of its rows.
#[derive(Debug)]
pub struct Job {
    pub table: ApplicationTable,
    pub description: Description,
    pub rules: Rules,
}

/// Why a migration of a table stops.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Input(#[from] InputError),
}

/// A line of the journal: a row is about to get these values, which it lacks.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    pub key: Typed,
    pub set: Vec<Set>,
}

/// A value that a row gets.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Set {
    pub path: Vec<String>,
    /// The path and the value of the reference from which the value was made.
    pub from: Vec<String>,
    pub reference: serde_dynamo::AttributeValue,
    pub value: serde_dynamo::AttributeValue,
    /// Whether the row has a null there before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub was_null: bool,
}

impl Intent {
    fn new(key: &Item, changes: &[Change]) -> Intent {
        let set = |change: &Change| Set {
            path: change.to.clone(),
            from: change.from.clone(),
            reference: change.old.clone().into(),
            value: change.new.clone().into(),
            was_null: change.place == Place::Null,
        };
        // An undo must not take away what the application has written.
        let written = changes.iter().filter(|change| change.place != Place::New);
        Intent { key: typed(key), set: written.map(set).collect() }
    }
}

impl Job {
    pub(crate) fn decide(&self, row: &Item) -> Result<Decision, InputError> {
        decide(row, &self.rules, Path::new(self.table.name()))
    }
}

/// Decides about every row, and writes none.
///
/// # Errors
///
/// [`TableError`].
pub async fn plan(job: &Job, folder: &Folder, mut each: impl FnMut(u64)) -> Result<Counts, TableError> {
    let mut results = Results::create(folder, &job.rules)?;
    let mut from = None;
    loop {
        let (page, next) = job.table.page(from.as_ref()).await?;
        for row in &page {
            let decision = job.decide(row)?;
            results.read(row, &decision);
            if decision.outcome == Outcome::Changed {
                results.writes(&with_changes(row, &decision.changes));
            }
            results.add(&key(row, &job.description.key), row, decision.outcome, &decision.problems)?;
        }
        each(results.counts.read);
        match next {
            Some(next) => from = Some(next),
            None => return Ok(results.finish()?),
        }
    }
}

/// Writes the Clerk ids of every row that lacks one.
///
/// # Errors
///
/// [`TableError`]. What was written is in the journal.
pub async fn pass(job: &Job, folder: &Folder, mut each: impl FnMut(&Counts)) -> Result<Counts, TableError> {
    folder.check_journal(JOURNAL)?;
    let mut results = Results::create(folder, &job.rules)?;
    let mut journal = Journal::<Intent>::open(&folder.file(JOURNAL))?;
    let mut from = None;
    loop {
        let (page, next) = job.table.page(from.as_ref()).await?;
        for rows in page.chunks(BATCH) {
            batch(job, rows, folder, &mut journal, &mut results).await?;
            each(&results.counts);
        }
        match next {
            Some(next) => from = Some(next),
            None => return Ok(results.finish()?),
        }
    }
}

async fn batch(
    job: &Job,
    rows: &[Item],
    folder: &Folder,
    journal: &mut Journal<Intent>,
    results: &mut Results,
) -> Result<(), TableError> {
    let mut rows: Vec<Item> = rows.to_vec();
    for round in 0..ROUNDS {
        let mut wanted = Vec::new();
        for row in rows {
            let (decision, at) = (job.decide(&row)?, key(&row, &job.description.key));
            if round == 0 {
                results.read(&row, &decision);
            }
            if decision.outcome == Outcome::Changed {
                results.writes(&with_changes(&row, &decision.changes));
                journal.add(&Intent::new(&at, &decision.changes));
                wanted.push((at, row, decision.changes));
            } else {
                results.add(&at, &row, decision.outcome, &decision.problems)?;
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        journal.flush()?;
        folder.note_journal()?;
        let write = async |(at, row, changes): (Item, Item, Vec<Change>)| {
            let written = job.table.set(&at, &changes).await?;
            Ok::<_, StoreError>((at, row, written))
        };
        let written: Vec<_> = stream::iter(wanted).map(write).buffer_unordered(TOGETHER).try_collect().await?;
        rows = Vec::new();
        for (at, row, written) in written {
            match written {
                Written::Done => results.add(&at, &row, Outcome::Changed, &[])?,
                Written::Gone => results.add(&at, &row, Outcome::Gone, &[])?,
                Written::Refused(reason) => results.add(&at, &row, Outcome::Refused, &[of_row(reason)])?,
                Written::Otherwise(now) => rows.push(now),
            }
        }
    }
    for row in rows {
        let at = key(&row, &job.description.key);
        results.add(&at, &row, Outcome::Failed, &[of_row("changes_too_often".to_owned())])?;
    }
    Ok(())
}

/// A problem of the row as a whole.
pub(crate) fn of_row(reason: String) -> Problem {
    Problem { path: String::new(), id: None, reason }
}
