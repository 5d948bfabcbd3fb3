//! Duplicates of a table: reads what the decision needs, compares whole rows, writes a backup and removes.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use aws_sdk_dynamodb::Client;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::patience::patient;
use crate::adapters::aws::backups::{BackupError, Backups};
use crate::adapters::dynamo::error::StoreError;
use crate::adapters::dynamo::owned::backup::{FORMAT, Header, Line};
use crate::adapters::dynamo::owned::duplicates::{Removal, differing, is_comparable, parts, remove};
use crate::adapters::dynamo::owned::rows::{DynamoOwned, OwnedError, OwnedRow, Place, Schema};
use crate::adapters::dynamo::owned::scan::{SomeAttributes, ValuesHash, key_json};
use crate::core::deletion::backup_run::BackupRun;
use crate::core::deletion::duplicates::{Instant, Seen, TimeFormat, instant};
use crate::core::deletion::orphans::{owner, owner_of_partition};
use crate::core::id::{InstanceId, InternalId};
use crate::core::millis::Clock;
use crate::core::mirror::rank::Rank;

/// Maximum number of concurrent transactions.
const CONCURRENCY: usize = 8;

/// What makes rows of a table duplicates of one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DuplicateRule {
    /// Rows with equal values of these attributes are duplicates.
    pub by: Vec<String>,
    /// The attribute with the time of creation.
    pub oldest: String,
    pub format: TimeFormat,
}

/// A search for duplicates in one table.
pub struct Duplicates {
    pub table: DynamoOwned,
    pub schema: Schema,
    pub rule: DuplicateRule,
    /// The configured instance.
    pub instance: InstanceId,
    pub dynamodb: Client,
    pub backups: Backups,
    /// The clock.
    pub clock: Clock,
}

/// A row as far as a search needs it.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The hash of the values that make rows duplicates.
    pub group: ValuesHash,
    pub seen: Seen,
    /// The key, in DynamoDB's JSON.
    pub key: String,
}

/// A page of a search.
#[derive(Debug, Default)]
pub struct FoundPage {
    pub found: Vec<Found>,
    /// Rows in all.
    pub rows: u64,
    /// Rows that lack one of the attributes, or have a list, a map, a set or null there: they have no duplicates.
    pub ungrouped: u64,
    /// Rollcall's own records in Profiles, which have no duplicates either: their keys are unique by themselves.
    pub records: u64,
    /// The attributes of the rule that occur in a row.
    pub attributes: BTreeSet<String>,
    /// The start of the next page; nothing after the last page.
    pub next: Option<Place>,
}

/// A duplicate and the row that stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    pub group: ValuesHash,
    /// The key of the row that stays, in DynamoDB's JSON.
    pub keeper: String,
    /// The key of the duplicate.
    pub duplicate: String,
    /// When the row that stays was created.
    pub keeper_at: Instant,
    /// When the duplicate was created.
    pub at: Instant,
}

/// The result of some removals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cleared {
    pub removed: u64,
    /// Rows that have changed since the search, or whose keeper has. They stay.
    pub changed: u64,
    /// Rows with too many attributes for one condition. They stay.
    pub too_wide: u64,
    /// The names of the backups.
    pub backups: Vec<String>,
    /// The keys of the removed rows, in DynamoDB's JSON.
    pub keys: Vec<String>,
}

impl Cleared {
    /// Adds removed rows.
    fn add(&mut self, removed: &[OwnedRow]) {
        self.removed += count(removed.len());
        self.keys.extend(removed.iter().filter_map(key_json));
    }
}

/// Why a removal stopped. What is removed stays removed.
#[derive(Debug, thiserror::Error)]
pub enum DuplicatesError {
    #[error(transparent)]
    Owned(#[from] OwnedError),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The backup could not be written, so no further rows were removed.
    #[error(transparent)]
    Backup(#[from] BackupError),
}

/// Both rows of a pair, whole.
struct Whole {
    keeper: OwnedRow,
    duplicate: OwnedRow,
    user: InternalId,
}

impl Duplicates {
    /// Reads a page of the table.
    ///
    /// # Errors
    ///
    /// [`OwnedError`].
    pub async fn page(&self, from: Option<&Place>) -> Result<FoundPage, OwnedError> {
        let named = self.rule.by.iter().chain([&self.rule.oldest, &self.table.setting().key]);
        let attributes: BTreeSet<String> = named.chain(&self.schema.key).cloned().collect();
        let page = patient(|| self.table.scan(&attributes, from)).await?;
        let mut found = FoundPage { next: page.next, ..FoundPage::default() };
        for row in page.rows {
            found.rows += 1;
            if self.is_record(&row) {
                found.records += 1;
                continue;
            }
            let named = self.rule.by.iter().chain([&self.rule.oldest]);
            found.attributes.extend(named.filter(|name| row.has(name)).cloned());
            match self.found(&row) {
                Some(row) => found.found.push(row),
                None => found.ungrouped += 1,
            }
        }
        Ok(found)
    }

    /// The names of attributes of some rows, for the message about a name that no row has.
    ///
    /// # Errors
    ///
    /// [`OwnedError`].
    pub async fn attribute_names(&self) -> Result<BTreeSet<String>, OwnedError> {
        patient(|| self.table.attribute_names()).await
    }

    /// Whether this is a record of Rollcall in Profiles.
    fn is_record(&self, row: &SomeAttributes) -> bool {
        self.table.is_by_partition() && row.text("sk").is_some_and(|sk| sk == "PROFILE" || sk.starts_with("ORG#"))
    }

    fn found(&self, row: &SomeAttributes) -> Option<Found> {
        let group = row.hash(&self.rule.by)?;
        let (order, key) = row.key(&self.schema)?;
        let owner = self.user(row).map(|user| user.to_string());
        Some(Found { group, seen: Seen { order, at: self.at(row), owner }, key })
    }

    fn at(&self, row: &SomeAttributes) -> Option<Instant> {
        instant(self.rule.format, row.text_or_digits(&self.rule.oldest)?)
    }

    /// The user to whom a backup would have to give the row back.
    fn user(&self, row: &SomeAttributes) -> Option<InternalId> {
        let setting = self.table.setting();
        let text = row.text(&setting.key)?;
        if self.table.is_by_partition() {
            return owner_of_partition(text);
        }
        owner(setting.id, text).map(|id| id.internal(&self.instance))
    }

    /// How many pairs should be read at once.
    pub fn together(&self) -> usize {
        // Each pair has two rows.
        (self.table.together() / 2).max(1)
    }

    /// The attributes in which each duplicate differs from the row that stays.
    ///
    /// # Errors
    ///
    /// [`DuplicatesError`].
    pub async fn differences(&self, pairs: &[Pair]) -> Result<Vec<BTreeSet<String>>, DuplicatesError> {
        let rows = self.read(pairs).await?;
        let both = |pair: &Pair| Some(differing(rows.get(&pair.keeper)?, rows.get(&pair.duplicate)?));
        Ok(pairs.iter().filter_map(both).collect())
    }

    async fn read(&self, pairs: &[Pair]) -> Result<HashMap<String, OwnedRow>, OwnedError> {
        let keys = pairs.iter().flat_map(|pair| [&pair.keeper, &pair.duplicate]).cloned().collect();
        patient(|| self.table.read(&keys)).await
    }

    /// Removes duplicates: reads both rows of each pair again, writes a backup for each user, and removes what is still
    /// as it was read. Adds to `cleared` what is done, also if it fails or is interrupted. `run` distinguishes the backups
    /// of one run.
    ///
    /// # Errors
    ///
    /// [`DuplicatesError`].
    pub async fn clear(&self, pairs: &[Pair], run: BackupRun, cleared: &mut Cleared) -> Result<(), DuplicatesError> {
        let rows = self.read(pairs).await?;
        let mut by_keeper: BTreeMap<&String, Vec<Whole>> = BTreeMap::new();
        for pair in pairs {
            // An earlier attempt, or somebody else, may have removed the duplicate.
            let Some(duplicate) = rows.get(&pair.duplicate) else { continue };
            let keeper = rows.get(&pair.keeper);
            let users = (
                keeper.and_then(|keeper| self.user_as_found(keeper, pair, pair.keeper_at)),
                self.user_as_found(duplicate, pair, pair.at),
            );
            let (Some(keeper), (Some(user), Some(same))) = (keeper, users) else {
                cleared.changed += 1;
                continue;
            };
            if user != same {
                cleared.changed += 1;
                continue;
            }
            if !is_comparable(keeper) || !is_comparable(duplicate) {
                cleared.too_wide += 1;
                continue;
            }
            let whole = Whole { keeper: keeper.clone(), duplicate: duplicate.clone(), user };
            by_keeper.entry(&pair.keeper).or_default().push(whole);
        }
        cleared.backups.extend(self.back_up(by_keeper.values().flatten(), run).await?);
        let (shared, mut work) = (Mutex::new(cleared), Vec::new());
        for wholes in by_keeper.into_values() {
            let Some(keeper) = wholes.first().map(|whole| whole.keeper.clone()) else { continue };
            for part in parts(&keeper, wholes.into_iter().map(|whole| whole.duplicate).collect()) {
                work.push(self.remove(keeper.clone(), part, &shared));
            }
        }
        let mut done = stream::iter(work).buffer_unordered(CONCURRENCY);
        while done.try_next().await?.is_some() {}
        Ok(())
    }

    /// The user of a row, if the row has still the values by which it was found.
    fn user_as_found(&self, row: &OwnedRow, pair: &Pair, at: Instant) -> Option<InternalId> {
        let row = SomeAttributes::of(row);
        let is_as_found = row.hash(&self.rule.by) == Some(pair.group) && self.at(&row) == Some(at);
        self.user(&row).filter(|_| is_as_found)
    }

    /// Writes a backup for each user, in the format of a purge: `rollcall restore` reads it.
    async fn back_up(
        &self,
        wholes: impl Iterator<Item = &Whole>,
        run: BackupRun,
    ) -> Result<Vec<String>, DuplicatesError> {
        let mut texts = BTreeMap::<InternalId, String>::new();
        let now = (self.clock)();
        let unwritable = BackupError::Unwritable;
        for whole in wholes {
            let text = match texts.entry(whole.user) {
                Entry::Occupied(text) => text.into_mut(),
                Entry::Vacant(text) => {
                    let header = Header {
                        rollcall_backup: FORMAT,
                        instance: self.instance.clone(),
                        user: whole.user,
                        // There is no tombstone: the user may be live.
                        rank: Rank::PLACEHOLDER,
                        written_at: now,
                    };
                    text.insert(serde_json::to_string(&header).map_err(unwritable)? + "\n")
                }
            };
            let line = Line::new(whole.duplicate.clone(), None);
            *text += &serde_json::to_string(&line).map_err(unwritable)?;
            text.push('\n');
        }
        let keep = |(user, text): (InternalId, String)| async move {
            let random = fastrand::u32(..);
            let name = format!("{}/{user}/{}-{run}-{random:08x}.ndjson", now.utc_date(), now.get());
            self.backups.keep(&name, text).await.map(|()| name)
        };
        let names = stream::iter(texts.into_iter().map(keep)).buffer_unordered(CONCURRENCY).try_collect().await?;
        Ok(names)
    }

    /// Removes some duplicates of one row; one by one if one of them has changed. Adds to `cleared` after each request, so
    /// that an interruption loses no count.
    async fn remove(
        &self,
        keeper: OwnedRow,
        duplicates: Vec<OwnedRow>,
        cleared: &Mutex<&mut Cleared>,
    ) -> Result<(), DuplicatesError> {
        let cleared = || cleared.lock().unwrap_or_else(PoisonError::into_inner);
        let together = patient(|| remove(&self.dynamodb, &keeper, &duplicates)).await?;
        if together == Removal::Done {
            cleared().add(&duplicates);
            return Ok(());
        }
        for row in duplicates {
            let alone = patient(|| remove(&self.dynamodb, &keeper, std::slice::from_ref(&row))).await?;
            // After a lost answer the row is gone already.
            if alone == Removal::Done || self.is_gone(&row).await? {
                cleared().add(std::slice::from_ref(&row));
            } else {
                cleared().changed += 1;
            }
        }
        Ok(())
    }

    async fn is_gone(&self, row: &OwnedRow) -> Result<bool, DuplicatesError> {
        let keys = key_json(row).into_iter().collect();
        Ok(patient(|| self.table.read(&keys)).await?.is_empty())
    }
}

fn count(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}
