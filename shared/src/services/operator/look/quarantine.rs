//! The notes of signed events that could not be processed, the latest day first.

use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Map, Value};

use super::{Look, LookError};
use crate::adapters::dynamo::operations::quarantine::days;
use crate::core::id::{DeliveryId, Key};
use crate::core::millis::Millis;

/// Days that are read at once: most of them have no notes.
const CONCURRENCY: usize = 8;

/// Notes as they are stored, and the start of the next page.
#[derive(Debug, Default)]
pub struct NotePage {
    pub notes: Vec<Map<String, Value>>,
    /// The key of the last note of this page; nothing after the last page.
    pub next: Option<Key>,
}

impl Look {
    /// The next notes behind `after`: `most` of them or a few more, unless there are no more.
    ///
    /// # Errors
    ///
    /// [`LookError::Store`].
    pub async fn quarantine_page(&self, after: Option<&Key>, most: i32, now: Millis) -> Result<NotePage, LookError> {
        let is_left = |day: &String| after.is_none_or(|after| *day <= after.pk);
        let days: Vec<String> = days(now).filter(is_left).collect();
        let page = |day: String| {
            let from = after.filter(|after| after.pk == day);
            async move { self.stores.operations.quarantine_day(&day, from, most).await }
        };
        let mut pages = stream::iter(days).map(page).buffered(CONCURRENCY);
        let mut page = NotePage::default();
        while let Some((notes, next)) = pages.try_next().await? {
            page.notes.extend(notes);
            let is_full = usize::try_from(most).is_ok_and(|most| page.notes.len() >= most);
            if next.is_some() || is_full {
                // The end of a day is a position, too: nothing follows it on that day.
                page.next = next.or_else(|| page.notes.last().and_then(key));
                break;
            }
        }
        Ok(page)
    }

    /// The note of one message.
    ///
    /// # Errors
    ///
    /// [`LookError::WrongKind`], [`LookError::Unknown`], [`LookError::Store`].
    pub async fn quarantine_note(&self, id: &str, now: Millis) -> Result<Map<String, Value>, LookError> {
        let is_message = |id: &&str| id.starts_with("msg_");
        let id: Option<DeliveryId> = Some(id).filter(is_message).and_then(|id| id.parse().ok());
        let id = id.ok_or(LookError::WrongKind("a message: expected the id of a message at Svix (msg_…)"))?;
        self.stores.operations.quarantine_note(&id, now).await?.ok_or(LookError::Unknown)
    }
}

fn key(note: &Map<String, Value>) -> Option<Key> {
    let text = |name: &str| note.get(name).and_then(Value::as_str).map(str::to_owned);
    Some(Key { pk: text("pk")?, sk: text("sk")? })
}
