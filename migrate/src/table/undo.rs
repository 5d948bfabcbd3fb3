//! Removes the Clerk ids that a run has written, where a row still has them.

use std::collections::HashSet;
use std::io::BufRead;
use std::path::Path;

use futures_util::{StreamExt, TryStreamExt, stream};
use rollcall::adapters::dynamo::application::{ApplicationTable, Item, Written};
use rollcall::adapters::dynamo::error::StoreError;
use serde::{Deserialize, Serialize};

use super::item::{Typed, typed, untyped};
use super::pass::{BATCH, Intent, JOURNAL, Set, TOGETHER, TableError};
use crate::folder::{Folder, FolderError};
use crate::metadata::journal::{JournalError, records};
use crate::metadata::survey::{Mark, Marks, mark};

/// The values that stay, because somebody has changed them since: a line with the key and the path for each.
pub const KEPT: &str = "kept.ndjson";
const CANDIDATES: &str = "kept.ndjson.draft";

/// What an undo did, counted by values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Removed {
    pub removed: u64,
    /// The row has no value there, or does not exist any more.
    pub absent: u64,
    /// Somebody has changed the value or the reference beside it since: the value stays.
    pub changed_since: u64,
    /// DynamoDB rejected the request, so the value may still be there.
    pub refused: u64,
}

impl Removed {
    /// Whether each value has one result.
    pub fn adds_up(&self, values: u64) -> bool {
        self.removed + self.absent + self.changed_since + self.refused == values
    }
}

/// The values in the journal, each place of a row once: a row whose reference changed during a run, or a run that was
/// interrupted, has several lines about one place.
///
/// Memory: 16 bytes for each value.
///
/// # Errors
///
/// If the journal cannot be read.
pub fn values(journal: &Path) -> Result<u64, JournalError> {
    let mut places = Vec::new();
    for record in records::<Intent>(journal)? {
        let Intent { key, set } = record?.record;
        places.extend(set.into_iter().map(|set| place(&key, &set.path)));
    }
    Ok(u64::try_from(Marks::of(places).len()).unwrap_or(u64::MAX))
}

fn place(key: &Typed, path: &[String]) -> Mark {
    let text = serde_json::to_string(&(key, path)).unwrap_or_else(|error| unreachable!("a key is JSON: {error}"));
    mark(&text)
}

/// A line of [`KEPT`]: a value that stays, because it is another one than the run wrote.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    key: Typed,
    path: Vec<String>,
}

/// Takes the values of the journal out of the table. Then the journal has another name: a value that the application
/// writes later is not taken for one of this run. A value whose reference is another one now stays.
///
/// Memory: 16 bytes for each value.
///
/// # Errors
///
/// [`TableError`]. Run again, it goes on.
pub async fn undo(table: &ApplicationTable, folder: &Folder, mut each: impl FnMut(u64)) -> Result<Removed, TableError> {
    let total = values(&folder.file(JOURNAL))?;
    let (mut removed, mut others, mut refused) = (Removed::default(), 0, HashSet::new());
    let mut candidates = folder.create(CANDIDATES)?;
    let mut intents = records::<Intent>(&folder.file(JOURNAL))?;
    loop {
        let mut wanted = Vec::new();
        for intent in intents.by_ref().take(BATCH) {
            let Intent { key, set } = intent?.record;
            let key = untyped(key);
            wanted.extend(set.into_iter().map(|set| (key.clone(), set)));
        }
        if wanted.is_empty() {
            break;
        }
        let write = async |(key, set): (Item, Set)| {
            let Set { path, from, reference, value, was_null } = set;
            let (value, reference) = (value.into(), reference.into());
            let written = table.remove(&key, (&path, &value), (&from, &reference), was_null).await?;
            Ok::<_, StoreError>((key, path, written))
        };
        let written: Vec<_> = stream::iter(wanted).map(write).buffer_unordered(TOGETHER).try_collect().await?;
        for (key, path, written) in written {
            match written {
                Written::Done => removed.removed += 1,
                Written::Otherwise(row) if has(&row, &path) => {
                    others += 1;
                    candidates.add_json(&Kept { key: typed(&key), path })?;
                }
                // The path leads into a map that does not exist any more.
                Written::Otherwise(_) | Written::Gone => others += 1,
                Written::Refused(_) => drop(refused.insert(place(&typed(&key), &path))),
            }
        }
        each(removed.removed + others);
    }
    candidates.finish()?;
    settle(table, folder, &mut removed).await?;
    removed.refused = u64::try_from(refused.len()).unwrap_or(u64::MAX);
    removed.absent = total.saturating_sub(removed.removed + removed.changed_since + removed.refused);
    if removed.refused == 0 {
        folder.forget_journal()?;
        folder.rename(JOURNAL, &past_journal(folder))?;
    }
    Ok(removed)
}

/// Decides about the values that were other ones. A row whose reference changed meanwhile has several intents, and another
/// one of them may have removed the value.
async fn settle(table: &ApplicationTable, folder: &Folder, removed: &mut Removed) -> Result<(), TableError> {
    let mut known: HashSet<Mark> = HashSet::new();
    let mut kept = folder.create(KEPT)?;
    for line in folder.read(CANDIDATES)?.lines() {
        let failed = |source| FolderError::Io { path: folder.file(CANDIDATES), source };
        let line = line.map_err(failed)?;
        let one: Kept = serde_json::from_str(&line).map_err(|error| failed(error.into()))?;
        if !known.insert(mark(&line)) {
            continue;
        }
        match table.get(&untyped(one.key.clone())).await? {
            Some(row) if has(&row, &one.path) => {
                removed.changed_since += 1;
                kept.add_json(&one)?;
            }
            _ => {}
        }
    }
    kept.finish()?;
    Ok(folder.remove(CANDIDATES)?)
}

/// A free name for a journal whose values were taken back.
fn past_journal(folder: &Folder) -> String {
    let names = (1..).map(|number| format!("journal-undone-{number}.ndjson"));
    names.into_iter().find(|name| !folder.file(name).exists()).unwrap_or_default()
}

/// Whether the row has a value there. A null is none: an undo puts it back.
fn has(row: &Item, path: &[String]) -> bool {
    match path.split_first() {
        None => false,
        Some((name, [])) => row.get(name).is_some_and(|value| !value.is_null()),
        Some((name, rest)) => row.get(name).and_then(|value| value.as_m().ok()).is_some_and(|inner| has(inner, rest)),
    }
}
