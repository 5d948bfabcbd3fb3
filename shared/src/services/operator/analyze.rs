//! Compares the Directory and Profiles page by page: finds owners without a record, and records without an owner. Reads
//! only.
//!
//! Pages are read eventually consistent, which costs half. Apparent differences are read again, strongly consistent,
//! before they are counted.

use std::collections::{BTreeMap, BTreeSet};

use crate::adapters::dynamo::directory::scan::Rows;
use crate::adapters::dynamo::error::StoreError;
use crate::adapters::dynamo::profiles::scan::Found;
use crate::adapters::dynamo::stores::Stores;
use crate::core::id::{InstanceId, Key, Kind, PerKind};
use crate::core::mirror::item::Item;
use crate::core::mirror::tombstone::DeletionPolicy;
use crate::core::reconcile::analysis::{Findings, Owned, Records, Stands, is_in_place, owned, owners_of, record_of};
use futures_util::{StreamExt, TryStreamExt, stream};

/// Keys in one request.
const TOGETHER: usize = 100;
/// Requests to DynamoDB at once.
const CONCURRENCY: usize = 8;

/// The dependencies of an audit.
pub struct Auditor {
    pub stores: Stores,
    /// The configured instance.
    pub instance: InstanceId,
    pub deletion: DeletionPolicy,
    /// Whether the data of deleted users are purged after a grace period.
    pub waits: bool,
    /// Whether live users and memberships are stored.
    pub mirror: bool,
}

#[derive(Debug, Default)]
pub struct Audit {
    /// By kind: only differences that no run of reconcile finds.
    pub findings: PerKind<Findings>,
    /// About Profiles as a whole.
    pub profiles: Records,
}

/// Receives the number of rows read so far, of both tables together.
pub type Watch<'a> = &'a (dyn Fn(u64) + Send + Sync);

impl Auditor {
    /// Reads both tables completely.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn audit(&self, watch: Watch<'_>) -> Result<Audit, StoreError> {
        let (mut audit, mut rows, mut from) = (Audit::default(), 0, None);
        loop {
            let page = self.stores.directory.scan_presence(from.as_ref()).await?;
            (audit.profiles.read_units, rows) =
                (audit.profiles.read_units + page.units, rows + count(page.items.len()));
            self.directory_page(&mut audit, &page.items).await?;
            watch(rows);
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        loop {
            let page = self.stores.profiles.scan(from.as_ref()).await?;
            (audit.profiles.read_units, rows) = (audit.profiles.read_units + page.units, rows + count(page.keys.len()));
            self.profiles_page(&mut audit, &page).await?;
            watch(rows);
            from = page.next;
            if from.is_none() {
                return Ok(audit);
            }
        }
    }

    /// Counts the live entities of a page without a record.
    async fn directory_page(&self, audit: &mut Audit, items: &BTreeMap<Key, Item>) -> Result<(), StoreError> {
        let mut wanted = BTreeMap::new();
        for (key, item) in items {
            let Some(kind) = Kind::from_key(key).filter(|_| !item.is_deleted()) else { continue };
            if is_in_place(item, &self.instance) == Some(false) {
                audit.findings.get_mut(kind).misplaced += 1;
            } else if self.mirror {
                // Otherwise the row should not exist at all, which reconcile reports.
                wanted.extend(record_of(key).map(|record| (record, key)));
            }
        }
        for consistent in [false, true] {
            let records: Vec<Key> = wanted.keys().cloned().collect();
            for record in self.records(audit, &records, consistent).await? {
                wanted.remove(&record);
            }
        }
        // An entity that was deleted meanwhile, or whose owner was, needs no record.
        let owners: BTreeMap<&Key, Vec<Key>> =
            wanted.keys().filter_map(|record| owners_of(record).map(|(_, owners)| (record, owners))).collect();
        let stands = self.stands(audit, owners.values().flatten(), true).await?;
        for (record, owners) in owners {
            let has_ended =
                owners.iter().any(|owner| matches!(stands.get(owner), Some(Stands::Ended | Stands::Ending)));
            let is_gone = owners.first().is_none_or(|itself| !stands.contains_key(itself));
            if !has_ended && !is_gone {
                let kind = if record.sk == "PROFILE" { Kind::User } else { Kind::Membership };
                audit.findings.get_mut(kind).without_profile += 1;
            }
        }
        Ok(())
    }

    /// Counts the records of a page whose owners are deleted or not stored.
    async fn profiles_page(&self, audit: &mut Audit, page: &Found) -> Result<(), StoreError> {
        let mut open: Vec<(Kind, Vec<Key>, bool)> = Vec::new();
        for record in &page.keys {
            match owners_of(record) {
                Some((kind, owners)) => {
                    audit.profiles.read += 1;
                    open.push((kind, owners, page.redacted.contains(record)));
                }
                None => audit.profiles.strange += 1,
            }
        }
        for consistent in [false, true] {
            let stands = self.stands(audit, open.iter().flat_map(|(_, owners, _)| owners), consistent).await?;
            let mut doubtful = Vec::new();
            for (kind, owners, is_redacted) in open {
                let stand = |owner| stands.get(owner).copied().unwrap_or(Stands::Unknown);
                let owners_stand: Vec<Stands> = owners.iter().map(stand).collect();
                let findings = audit.findings.get_mut(kind);
                let is_kept = is_redacted || self.deletion == DeletionPolicy::Retain;
                match owned(&owners_stand, self.mirror, is_kept) {
                    Owned::Well => {}
                    _ if !consistent => doubtful.push((kind, owners, is_redacted)),
                    Owned::Kept => findings.kept += 1,
                    Owned::WithoutOwner => findings.without_owner += 1,
                }
            }
            open = doubtful;
        }
        Ok(())
    }

    /// Which of these records exist.
    async fn records(&self, audit: &mut Audit, keys: &[Key], consistent: bool) -> Result<BTreeSet<Key>, StoreError> {
        let ask = |keys: Vec<Key>| async move { self.stores.profiles.existing(&keys, consistent).await };
        let batches: Vec<Vec<Key>> = keys.chunks(TOGETHER).map(<[Key]>::to_vec).collect();
        let found: Vec<Found> = stream::iter(batches).map(ask).buffer_unordered(CONCURRENCY).try_collect().await?;
        audit.profiles.read_units += found.iter().map(|found| found.units).sum::<f64>();
        Ok(found.into_iter().flat_map(|found| found.keys).collect())
    }

    /// The states of these rows of the Directory, without missing ones. An unreadable row counts as live: it is
    /// reported as unreadable.
    async fn stands(
        &self,
        audit: &mut Audit,
        keys: impl Iterator<Item = &Key>,
        consistent: bool,
    ) -> Result<BTreeMap<Key, Stands>, StoreError> {
        let keys: BTreeSet<&Key> = keys.collect();
        let keys: Vec<Key> = keys.into_iter().cloned().collect();
        let ask = |keys: Vec<Key>| async move {
            if consistent {
                self.stores.directory.read(&keys).await
            } else {
                self.stores.directory.compare(&keys).await
            }
        };
        let batches: Vec<Vec<Key>> = keys.chunks(TOGETHER).map(<[Key]>::to_vec).collect();
        let found: Vec<Rows> = stream::iter(batches).map(ask).buffer_unordered(CONCURRENCY).try_collect().await?;
        audit.profiles.read_units += found.iter().map(|found| found.units).sum::<f64>();
        let stand = |item: &Item| match item.is_deleted() {
            false => Stands::Live,
            true if self.waits && Kind::from_key(&item.key) == Some(Kind::User) && item.is_unfinished() => {
                Stands::Ending
            }
            true => Stands::Ended,
        };
        let mut stands = BTreeMap::new();
        for rows in found {
            stands.extend(rows.unreadable.into_iter().map(|key| (key, Stands::Live)));
            stands.extend(rows.items.into_iter().map(|(key, item)| (key, stand(&item))));
        }
        Ok(stands)
    }
}

fn count(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}
