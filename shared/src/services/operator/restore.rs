//! The restoration of a backup: writes each row if no row has its key, or if only its redacted rest is stored. The
//! Directory is never changed: only Clerk decides which users are live. All rows are checked before the first one is
//! written. Before the first row of a deleted user a note is stored, so that a clean-up leaves the rows.

use std::collections::{BTreeMap, HashSet};

use aws_sdk_dynamodb::Client;
use futures_util::{StreamExt, stream};
use serde::Serialize;
use thiserror::Error;

use super::patience::patient;
use crate::adapters::dynamo::directory::Directory;
use crate::adapters::dynamo::error::StoreError;
use crate::adapters::dynamo::operations::Operations;
use crate::adapters::dynamo::owned::backup::{FORMAT, Header, Line};
use crate::adapters::dynamo::owned::restore::{
    Expected, PutBack, Returning, expected, is_storable, key_text, place_of, put_back, scalar,
};
use crate::adapters::dynamo::owned::rows::{DynamoOwned, OwnedError};
use crate::core::deletion::restore::{Misplaced, OwnerOf, Place, Restoration, places};
use crate::core::id::{InstanceId, InternalId};
use crate::core::millis::Clock;
use crate::core::mirror::item::Item;
use crate::core::tables::bare_table_name;

/// Maximum number of concurrent writes.
const CONCURRENCY: usize = 16;

#[derive(Debug)]
pub struct Backup {
    pub header: Header,
    pub lines: Vec<Line>,
}

/// The tables into which rows may be restored: Profiles and the owned tables of one deployment.
#[derive(Debug)]
pub struct Places {
    instance: InstanceId,
    all: Vec<Place>,
    /// The tables of `OWNED_TABLES` that do not exist.
    missing: Vec<String>,
}

/// The tables that a restoration reads and writes beside those of the rows.
pub struct Restorer {
    /// The DynamoDB client.
    pub dynamodb: Client,
    /// The rows of the users. They are only read.
    pub directory: Directory,
    /// The notes of restorations.
    pub operations: Operations,
    /// The clock.
    pub clock: Clock,
}

/// A backup whose rows may all be restored.
#[derive(Debug)]
pub struct Checked {
    user: InternalId,
    rows: Vec<Returning>,
    without_table: BTreeMap<String, u64>,
}

/// Why a file cannot be restored.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum NoBackup {
    /// The first line is not the header of a backup.
    #[error("not a Rollcall backup: the first line is not a backup header")]
    NoHeader,
    /// The format is of a later version.
    #[error("backup format {0} is not supported by this version")]
    Unknown(u32),
    /// A line cannot be read. Nothing is restored then.
    #[error("nothing was restored: line {0} of the backup cannot be read")]
    Broken(usize),
    /// The backup is of another instance.
    #[error("the backup belongs to another Clerk instance ({0}): check CLERK_INSTANCE_ID")]
    Foreign(InstanceId),
    /// A row does not belong into the table that its line names.
    #[error("nothing was restored: line {0} of the backup is not allowed")]
    Misplaced(usize, #[source] Misplaced),
    /// DynamoDB would reject a row.
    #[error("nothing was restored: line {0} of the backup contains a value that DynamoDB does not accept")]
    Unstorable(usize),
    /// A row has the mark of a redaction, but belongs to a table without redactions.
    #[error(
        "nothing was restored: line {0} of the backup marks a row as redacted, but only records of Profiles can be \
         redacted"
    )]
    Redacted(usize),
    /// A row occurs twice.
    #[error("nothing was restored: line {0} of the backup has the same key as an earlier line")]
    Twice(usize),
}

/// The result of a restoration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// Restored rows, by table.
    pub restored: BTreeMap<String, u64>,
    /// Rows that are stored already as the backup has them, by table.
    pub unchanged: BTreeMap<String, u64>,
    /// Other rows whose key already exists, by table.
    pub taken: BTreeMap<String, u64>,
    /// Rows whose table does not exist, by table.
    pub without_table: BTreeMap<String, u64>,
    /// Backups of users who are deleted in the Directory: their rows stay until an operator decides.
    pub of_deleted_users: u64,
}

/// What a restoration would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Planned {
    /// Rows that would be restored where no row is, or over their redacted rest, by table.
    pub to_restore: BTreeMap<String, u64>,
    /// Rows that would be written over another row of the user, by table.
    pub to_replace: BTreeMap<String, u64>,
    /// Rows that are stored already as the backup has them, by table.
    pub unchanged: BTreeMap<String, u64>,
    /// Other rows whose key exists and that would stay, by table.
    pub taken: BTreeMap<String, u64>,
    /// Rows whose table does not exist, by table.
    pub without_table: BTreeMap<String, u64>,
}

impl Planned {
    /// Whether all rows are stored as the backups have them.
    pub fn is_empty(&self) -> bool {
        [&self.to_restore, &self.to_replace, &self.taken, &self.without_table].into_iter().all(BTreeMap::is_empty)
    }
}

impl Restored {
    /// Adds another result.
    pub fn add(&mut self, more: Restored) {
        let Restored { restored, unchanged, taken, without_table, of_deleted_users } = more;
        self.of_deleted_users += of_deleted_users;
        for (all, more) in [
            (&mut self.restored, restored),
            (&mut self.unchanged, unchanged),
            (&mut self.taken, taken),
            (&mut self.without_table, without_table),
        ] {
            for (table, rows) in more {
                *all.entry(table).or_default() += rows;
            }
        }
    }
}

impl Backup {
    /// Parses the whole backup, before any row is restored.
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

    /// The number of rows, by table.
    pub fn rows(&self) -> BTreeMap<String, u64> {
        let mut rows = BTreeMap::new();
        for line in &self.lines {
            *rows.entry(line.table.clone()).or_default() += 1;
        }
        rows
    }

    /// Checks all lines before the first one is restored.
    ///
    /// # Errors
    ///
    /// [`NoBackup`], with the number of the first line that may not be restored.
    pub fn check(self, places: &Places) -> Result<Checked, NoBackup> {
        if self.header.instance != places.instance {
            return Err(NoBackup::Foreign(self.header.instance));
        }
        let mut checked = Checked { user: self.header.user, rows: Vec::new(), without_table: BTreeMap::new() };
        let mut keys = HashSet::new();
        // The first line is the header.
        for (number, line) in (2..).zip(self.lines) {
            if places.misses(&line.table) {
                *checked.without_table.entry(line.table).or_default() += 1;
                continue;
            }
            let place = places.place(&self.header, &line).map_err(|why| NoBackup::Misplaced(number, why))?;
            if line.redacted_at.is_some() && place.owner != OwnerOf::Partition {
                return Err(NoBackup::Redacted(number));
            }
            if !is_storable(&line) {
                return Err(NoBackup::Unstorable(number));
            }
            if !keys.insert((place.table.clone(), key_text(&line))) {
                return Err(NoBackup::Twice(number));
            }
            checked.rows.push(Returning::to(place, line));
        }
        Ok(checked)
    }
}

impl Places {
    /// Reads the keys of each table.
    ///
    /// # Errors
    ///
    /// [`OwnedError`], never for a missing table of `OWNED_TABLES`.
    pub async fn new(
        instance: InstanceId,
        profiles: &DynamoOwned,
        owned: &[DynamoOwned],
    ) -> Result<Places, OwnedError> {
        let profiles_place = place_of(profiles, profiles.describe().await?, OwnerOf::Partition);
        let (mut places, mut missing) = (vec![profiles_place], Vec::new());
        for table in owned {
            let setting = table.setting();
            match table.describe().await {
                Ok(schema) => {
                    places.push(place_of(table, schema, OwnerOf::Attribute(setting.key.clone(), setting.id)));
                }
                Err(OwnedError::Missing(table)) => missing.push(table),
                Err(error) => return Err(error),
            }
        }
        Ok(Places { instance, all: places, missing })
    }

    fn misses(&self, table: &str) -> bool {
        self.missing.iter().any(|missing| bare_table_name(missing) == bare_table_name(table))
    }

    /// The place of a line's row: a table may occur several times in `OWNED_TABLES`, with different owner attributes.
    fn place(&self, header: &Header, line: &Line) -> Result<&Place, Misplaced> {
        let mut refusal = None;
        for place in places(&line.table, &self.all)? {
            match place.admits(header.user, &self.instance, &line.key, |name| scalar(line, name)) {
                Ok(()) => return Ok(place),
                Err(why) => refusal = refusal.or(Some(why)),
            }
        }
        Err(refusal.unwrap_or_else(|| Misplaced::Table(line.table.clone())))
    }
}

impl Checked {
    /// Compares the rows with the stored ones, and adds to `plan` what [`Self::restore`] would do. Nothing is written.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn compare(&self, restorer: &Restorer, replaces: bool, plan: &mut Planned) -> Result<(), StoreError> {
        for (table, rows) in &self.without_table {
            *plan.without_table.entry(table.clone()).or_default() += rows;
        }
        let one = |row: Returning| async move {
            let table = row.table().to_owned();
            patient(|| expected(&restorer.dynamodb, row.clone(), replaces)).await.map(|expected| (table, expected))
        };
        let mut compared = stream::iter(self.rows.iter().cloned().map(one)).buffer_unordered(CONCURRENCY);
        while let Some(one) = compared.next().await {
            let (table, expected) = one?;
            let rows = match expected {
                Expected::Restored => &mut plan.to_restore,
                Expected::Replaced => &mut plan.to_replace,
                Expected::Same => &mut plan.unchanged,
                Expected::Taken => &mut plan.taken,
                Expected::NoTable => &mut plan.without_table,
            };
            *rows.entry(table).or_default() += 1;
        }
        Ok(())
    }

    /// Restores the rows, and adds to `restored` what is done; with `replaces` also over existing rows, unless those belong
    /// to another user by now. `file` is the name of the backup.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: restored rows stay, and a repetition continues.
    pub async fn restore(
        self,
        restorer: &Restorer,
        file: &str,
        replaces: bool,
        restored: &mut Restored,
    ) -> Result<(), StoreError> {
        for (table, rows) in self.without_table {
            *restored.without_table.entry(table).or_default() += rows;
        }
        if self.rows.is_empty() {
            return Ok(());
        }
        restored.of_deleted_users += u64::from(restorer.note(self.user, file).await?);
        let one = |row: Returning| async move {
            let table = row.table().to_owned();
            patient(|| put_back(&restorer.dynamodb, row.clone(), replaces)).await.map(|put| (table, put))
        };
        let work: Vec<_> = self.rows.into_iter().map(one).collect();
        let mut done = stream::iter(work).buffer_unordered(CONCURRENCY);
        while let Some(one) = done.next().await {
            let (table, put) = one?;
            let rows = match put {
                PutBack::Done => &mut restored.restored,
                PutBack::Same => &mut restored.unchanged,
                PutBack::Taken => &mut restored.taken,
                PutBack::NoTable => &mut restored.without_table,
            };
            *rows.entry(table).or_default() += 1;
        }
        Ok(())
    }
}

impl Restorer {
    /// Whether the user is deleted.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn is_deleted(&self, user: InternalId) -> Result<bool, StoreError> {
        let key = user.user_key();
        Ok(patient(|| self.directory.get(&key)).await?.is_some_and(|row| row.is_deleted()))
    }

    /// Notes that rows of the user are restored, if the user is deleted. Returns whether that is so.
    ///
    /// The note comes before the first row: otherwise a clean-up could remove the row in between. A live user needs none,
    /// because a later deletion concerns all rows.
    async fn note(&self, user: InternalId, file: &str) -> Result<bool, StoreError> {
        let key = user.user_key();
        let stored = patient(|| self.directory.get(&key)).await?;
        let Some(tombstone) = stored.filter(Item::is_deleted) else { return Ok(false) };
        let note = Restoration {
            rank: tombstone.rank,
            applied_at: tombstone.provenance.applied_at,
            restored_at: (self.clock)(),
            backup: file.to_owned(),
        };
        patient(|| self.operations.note_restoration(user, &note)).await?;
        Ok(true)
    }
}
