//! Removes the Clerk ids that a run has written, where a row still has them.

use std::collections::BTreeMap;
use std::path::Path;

use futures_util::{StreamExt, TryStreamExt, stream};
use rollcall::adapters::dynamo::application::{ApplicationTable, Item, Written};
use rollcall::adapters::dynamo::error::StoreError;
use serde::Serialize;

use super::item::{text_of, untyped};
use super::pass::{BATCH, Intent, TOGETHER, TableError};
use crate::metadata::journal::{JournalError, records};

/// What an undo did, counted by values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Removed {
    pub removed: u64,
    /// The row has no value there, or does not exist any more.
    pub absent: u64,
    /// Somebody has changed the value since: it stays.
    pub changed_since: u64,
    /// DynamoDB rejected the request, so the value may still be there.
    pub refused: u64,
}

/// The values in the journal.
///
/// # Errors
///
/// If the journal cannot be read.
pub fn values(journal: &Path) -> Result<u64, JournalError> {
    let mut values = 0;
    for record in records::<Intent>(journal)? {
        values += u64::try_from(record?.record.set.len()).unwrap_or(u64::MAX);
    }
    Ok(values)
}

/// Takes the values of the journal out of the table.
///
/// # Errors
///
/// [`TableError`]. Run again, it goes on.
pub async fn undo(table: &ApplicationTable, journal: &Path, mut each: impl FnMut(u64)) -> Result<Removed, TableError> {
    let mut removed = Removed::default();
    let mut others = BTreeMap::new();
    let mut intents = records::<Intent>(journal)?;
    loop {
        let mut wanted = Vec::new();
        for intent in intents.by_ref().take(BATCH) {
            let Intent { key, set } = intent?.record;
            let key = untyped(key);
            wanted.extend(set.into_iter().map(|set| (key.clone(), set.path, set.value.into())));
        }
        if wanted.is_empty() {
            break;
        }
        let write = async |(key, path, value): (Item, Vec<String>, _)| {
            let written = table.remove(&key, &path, &value).await?;
            Ok::<_, StoreError>((key, path, written))
        };
        let written: Vec<_> = stream::iter(wanted).map(write).buffer_unordered(TOGETHER).try_collect().await?;
        for (key, path, written) in written {
            match written {
                Written::Done => removed.removed += 1,
                Written::Otherwise(row) if has(&row, &path) => {
                    others.insert((text_of(&key), path.clone()), (key, path));
                }
                // The path leads into a map that does not exist any more.
                Written::Otherwise(_) | Written::Gone => removed.absent += 1,
                Written::Refused(_) => removed.refused += 1,
            }
        }
        each(removed.removed + removed.absent + u64::try_from(others.len()).unwrap_or(u64::MAX));
    }
    // A row whose reference changed meanwhile has several intents, and another one of them may have removed the value.
    for (key, path) in others.into_values() {
        match table.get(&key).await? {
            Some(row) if has(&row, &path) => removed.changed_since += 1,
            _ => removed.absent += 1,
        }
    }
    Ok(removed)
}

fn has(row: &Item, path: &[String]) -> bool {
    match path.split_first() {
        None => false,
        Some((name, [])) => row.contains_key(name),
        Some((name, rest)) => row.get(name).and_then(|value| value.as_m().ok()).is_some_and(|inner| has(inner, rest)),
    }
}
