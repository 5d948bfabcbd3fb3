//! Copies the rows of a table to a new one, which has a Clerk id in its key. The old table is only read.
//!
//! A row that the new table has already is unchanged if it is equal, and a conflict if not: it is never replaced. Old rows
//! that would have the same key are all conflicts, so the order of the scan decides nothing.
//!
//! Memory: 16 bytes for each row.

use aws_sdk_dynamodb::types::{AttributeValue, ScalarAttributeType};
use futures_util::{StreamExt, TryStreamExt, stream};
use rollcall::adapters::dynamo::application::{ApplicationTable, Description, Item, Written};
use rollcall::adapters::dynamo::error::StoreError;

use super::decide::{Decision, same_rows, with_changes};
use super::item::{key, text_of};
use super::outcome::{Counts, Outcome, Results};
use super::pass::{BATCH, Job, TOGETHER, TableError, of_row};
use crate::folder::{Folder, FolderError};
use crate::metadata::survey::{Marks, mark};

/// The file in the folder that says that rows were copied.
pub const COPIED: &str = "copied.json";

/// The new table.
#[derive(Debug)]
pub struct New {
    pub table: ApplicationTable,
    pub description: Description,
}

/// Keys that several rows would have.
pub type Shared = Marks;

/// What becomes of the rows, without a write.
///
/// # Errors
///
/// [`TableError`].
pub async fn plan(
    job: &Job,
    new: &New,
    folder: &Folder,
    mut each: impl FnMut(u64),
) -> Result<(Counts, Shared), TableError> {
    let (mut marks, mut read) = (Vec::new(), 0);
    let mut from = None;
    loop {
        let (page, next) = job.table.page(from.as_ref()).await?;
        for row in &page {
            if let Ok((at, _)) = copied(new, row, &job.decide(row)?) {
                marks.push(mark(&text_of(&at)));
            }
            read += 1;
        }
        each(read);
        match next {
            Some(next) => from = Some(next),
            None => break,
        }
    }
    let shared = Marks::repeated(marks);
    let counts = go(job, new, folder, &shared, false, |counts| each(counts.read)).await?;
    Ok((counts, shared))
}

/// Copies every row that the new table lacks.
///
/// # Errors
///
/// [`TableError`].
pub async fn pass(
    job: &Job,
    new: &New,
    folder: &Folder,
    shared: &Shared,
    each: impl FnMut(&Counts),
) -> Result<Counts, TableError> {
    go(job, new, folder, shared, true, each).await
}

/// Notes in the folder that rows were copied: no undo knows which of them the application has changed since.
fn mark_as_copied(new: &New, folder: &Folder) -> Result<(), FolderError> {
    let mut file = folder.create(COPIED)?;
    file.add_json(&serde_json::json!({ "into": new.table.name() }))?;
    file.finish()
}

type Copied = Result<(Item, Item), (Outcome, Vec<super::outcome::Problem>)>;

/// The key and the row for the new table, or why there is none.
fn copied(new: &New, row: &Item, decision: &Decision) -> Copied {
    if !matches!(decision.outcome, Outcome::Changed | Outcome::Unchanged | Outcome::Skipped) {
        return Err((decision.outcome, decision.problems.clone()));
    }
    let copy = with_changes(row, &decision.changes);
    let at = key(&copy, &new.description.key);
    let fits = |(name, value): (&String, &AttributeValue)| match (new.description.types.get(name), value) {
        (Some(ScalarAttributeType::S), AttributeValue::S(text)) => !text.is_empty(),
        (Some(ScalarAttributeType::N), AttributeValue::N(_)) => true,
        (Some(ScalarAttributeType::B), AttributeValue::B(bytes)) => !bytes.as_ref().is_empty(),
        _ => false,
    };
    if at.len() != new.description.key.len() || !at.iter().all(fits) {
        return Err((Outcome::Refused, vec![of_row("no_key_for_the_new_table".to_owned())]));
    }
    Ok((at, copy))
}

async fn go(
    job: &Job,
    new: &New,
    folder: &Folder,
    shared: &Shared,
    writes: bool,
    mut each: impl FnMut(&Counts),
) -> Result<Counts, TableError> {
    let mut results = Results::create(folder, &job.rules)?;
    if writes {
        mark_as_copied(new, folder)?;
    }
    let mut from = None;
    loop {
        let (page, next) = job.table.page(from.as_ref()).await?;
        for rows in page.chunks(BATCH) {
            let mut wanted = Vec::new();
            for row in rows {
                let decision = job.decide(row)?;
                results.read(row, &decision);
                match copied(new, row, &decision) {
                    Err((outcome, problems)) => {
                        results.add(&key(row, &job.description.key), row, outcome, &problems)?;
                    }
                    Ok((at, _)) if shared.has(&text_of(&at)) => {
                        let problem = of_row("key_of_several_rows".to_owned());
                        results.add(&key(row, &job.description.key), row, Outcome::Conflict, &[problem])?;
                    }
                    Ok((at, copy)) => wanted.push((row, at, copy)),
                }
            }
            let write = |(row, at, copy): (_, Item, Item)| async move {
                let there = new.table.get(&at).await?;
                let written = match there {
                    Some(there) => Written::Otherwise(there),
                    None if writes => match new.table.add(&new.description.key, &copy).await? {
                        // The answer to the first attempt was lost.
                        Written::Otherwise(there) if same_rows(&there, &copy) => Written::Done,
                        written => written,
                    },
                    None => Written::Done,
                };
                Ok::<_, StoreError>((key(row, &job.description.key), row, copy, written))
            };
            let written: Vec<_> = stream::iter(wanted).map(write).buffer_unordered(TOGETHER).try_collect().await?;
            for (at, row, copy, written) in written {
                match written {
                    Written::Done => {
                        results.writes(&copy);
                        results.add(&at, row, Outcome::Changed, &[])?;
                    }
                    Written::Otherwise(there) if same_rows(&there, &copy) => {
                        results.add(&at, row, Outcome::Unchanged, &[])?;
                    }
                    Written::Otherwise(_) => {
                        results.add(&at, row, Outcome::Conflict, &[of_row("other_row".to_owned())])?;
                    }
                    Written::Refused(reason) => results.add(&at, row, Outcome::Refused, &[of_row(reason)])?,
                    Written::Gone => {
                        results.add(&at, row, Outcome::Failed, &[of_row("changes_too_often".to_owned())])?;
                    }
                }
            }
            each(&results.counts);
        }
        match next {
            Some(next) => from = Some(next),
            None => return Ok(results.finish()?),
        }
    }
}
