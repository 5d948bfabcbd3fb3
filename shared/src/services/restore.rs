//! The restoration of a backup: each row where nothing is, or where only what was left of it is. The Directory is never
//! touched: who lives is Clerk's to say.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::Client;
use futures_util::{StreamExt, stream};
use serde::Serialize;
use thiserror::Error;

use crate::adapters::backups::{FORMAT, Header, Line};
use crate::adapters::dynamo_owned::{PutBack, put_back};
use crate::adapters::store_error::StoreError;

/// Rows that are put at once.
const AT_ONCE: usize = 16;

/// A backup, read.
#[derive(Debug)]
pub struct Backup {
    /// Whose it is.
    pub header: Header,
    /// Its rows.
    pub lines: Vec<Line>,
}

/// What a file is not.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum NoBackup {
    /// It has no first line of a backup.
    #[error("the file is no backup of Rollcall's: its first line says nothing of one")]
    NoHeader,
    /// It is of a later version.
    #[error("the backup has format {0}, which this version does not know")]
    Unknown(u32),
    /// A line is broken. Nothing is restored then.
    #[error("line {0} of the backup cannot be read, so nothing was restored")]
    Broken(usize),
}

/// What became of its rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// Rows that are there again, by table.
    pub restored: BTreeMap<String, u64>,
    /// Rows in whose place there is another one, by table.
    pub taken: BTreeMap<String, u64>,
    /// Rows whose table does not exist, by table.
    pub without_table: BTreeMap<String, u64>,
}

impl Backup {
    /// Reads all of a backup before any of it is restored.
    ///
    /// # Errors
    ///
    /// [`NoBackup`].
    pub fn parse(text: &str) -> Result<Backup, NoBackup> {
        let mut lines = text.lines().enumerate();
        let header: Option<Header> = lines.next().and_then(|(_, line)| serde_json::from_str(line).ok());
        let header = header.ok_or(NoBackup::NoHeader)?;
        if header.rollcall_backup != FORMAT {
            return Err(NoBackup::Unknown(header.rollcall_backup));
        }
        let read = |(at, line): (usize, &str)| -> Result<Line, NoBackup> {
            let line: Option<Line> = serde_json::from_str(line).ok();
            line.filter(|line| !line.key.is_empty()).ok_or(NoBackup::Broken(at + 1))
        };
        Ok(Backup { header, lines: lines.map(read).collect::<Result<_, _>>()? })
    }

    /// Its rows, by table.
    #[must_use]
    pub fn rows(&self) -> BTreeMap<String, u64> {
        let mut rows = BTreeMap::new();
        for line in &self.lines {
            *rows.entry(line.table.clone()).or_default() += 1;
        }
        rows
    }

    /// Puts its rows back; `replaces` whatever is in their place.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: what is restored until then stays, and doing it again goes on.
    pub async fn restore(self, dynamodb: &Client, replaces: bool) -> Result<Restored, StoreError> {
        let mut restored = Restored::default();
        let one = |line: Line| async move {
            let table = line.table.clone();
            put_back(dynamodb, line, replaces).await.map(|put| (table, put))
        };
        let work: Vec<_> = self.lines.into_iter().map(one).collect();
        let mut done = stream::iter(work).buffer_unordered(AT_ONCE);
        while let Some(one) = done.next().await {
            let (table, put) = one?;
            let rows = match put {
                PutBack::Done => &mut restored.restored,
                PutBack::Taken => &mut restored.taken,
                PutBack::NoTable => &mut restored.without_table,
            };
            *rows.entry(table).or_default() += 1;
        }
        Ok(restored)
    }
}
