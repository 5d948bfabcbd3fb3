//! Runs in the Operations table: the lease, the row of each run, and the pages that it saves.

use super::Operations;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};
use serde::{Deserialize, Serialize};

use crate::adapters::dynamo::batch::attributes;
use crate::adapters::dynamo::error::StoreError;
use crate::adapters::dynamo::row::Row;
use crate::adapters::dynamo::row::key_of;
use crate::core::id::{Key, Kind};
use crate::core::millis::Millis;
use crate::core::reconcile::absence::Candidate;
use crate::core::reconcile::listed;
use crate::core::reconcile::run::{Run, TOO_OLD_TO_APPROVE};
use crate::core::reconcile::run_id::RunId;

/// How long a lease is valid without a renewal, in ms: longer than any step takes.
pub const LEASE: u64 = 5 * 60 * 1000;
/// How long a run's report stays, in seconds.
const REPORT_SECONDS: u64 = 90 * 24 * 60 * 60;
/// How long the pages of a run stay, in seconds: one day longer than it can be approved.
const PAGES_SECONDS: u64 = TOO_OLD_TO_APPROVE / 1000 + 24 * 60 * 60;
/// The partition of all runs.
const RUNS: &str = "RUN#reconcile";

/// The lease, and its holder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    pub holder: String,
    /// The end of the lease in Unix ms, unless it is renewed.
    pub until: Millis,
}

/// The kinds of pages that a run saves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CandidatePage {
    /// All absence candidates that the search found.
    Found,
    /// Those that Clerk does not return by their ids either.
    Absent,
    /// The same after an operator's approval.
    Approved,
    /// Confirmed absences, of a run that writes no tombstones.
    Proven,
    /// Users whose metadata in Clerk lacks the id or the role.
    Unlinked,
    /// Entities that are deleted in the Directory and exist in Clerk.
    Conflict,
}

impl CandidatePage {
    const fn name(self) -> &'static str {
        match self {
            CandidatePage::Found => "DOUBTS",
            CandidatePage::Absent => "ABSENT",
            CandidatePage::Approved => "APPROVED",
            CandidatePage::Proven => "PROVEN",
            CandidatePage::Unlinked => "UNLINKED",
            CandidatePage::Conflict => "CONFLICT",
        }
    }
}

impl Operations {
    /// Takes or renews the lease, for one write unit. If another holder's lease is still valid, returns that.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn acquire_lease(&self, holder: &str, now: Millis) -> Result<Option<Lease>, StoreError> {
        let until = Millis::try_from(i64::try_from(now.get() + LEASE).unwrap_or(i64::MAX)).unwrap_or(Millis::MAX);
        let lease = Lease { holder: holder.to_owned(), until };
        let mut row = to_row(&lease)?;
        row.extend(attributes(&lease_key()));
        let request = self.client.put_item().table_name(&self.table).set_item(Some(row));
        let request = request
            .condition_expression("attribute_not_exists(pk) OR #until < :now OR #holder = :holder")
            .expression_attribute_names("#until", "until")
            .expression_attribute_names("#holder", "holder")
            .expression_attribute_values(":now", AttributeValue::N(now.get().to_string()))
            .expression_attribute_values(":holder", AttributeValue::S(holder.to_owned()));
        match request.send().await {
            Ok(_) => Ok(None),
            Err(error) if error.code() == Some(REFUSED) => {
                let held = self.client.get_item().table_name(&self.table).set_key(Some(attributes(&lease_key())));
                let held = held.consistent_read(true).send().await.map_err(StoreError::from_sdk)?.item;
                // No row: the lease was released meanwhile, so the next attempt gets it.
                Ok(Some(held.map(from_row).transpose()?.unwrap_or(Lease { holder: String::new(), until: now })))
            }
            Err(error) => Err(StoreError::from_sdk(error)),
        }
    }

    /// Releases the lease, unless another holder has it.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn release_lease(&self, holder: &str) -> Result<(), StoreError> {
        let request = self.client.delete_item().table_name(&self.table).set_key(Some(attributes(&lease_key())));
        let request = request
            .condition_expression("#holder = :holder")
            .expression_attribute_names("#holder", "holder")
            .expression_attribute_values(":holder", AttributeValue::S(holder.to_owned()));
        match request.send().await {
            Err(error) if error.code() != Some(REFUSED) => Err(StoreError::from_sdk(error)),
            _ => Ok(()),
        }
    }

    /// Creates or takes over the row of a run for the holder of the lease. Returns whether that was possible: a new run
    /// is not created if there is one of the same name, which began in the same millisecond.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn open_run(&self, run: &Run, holder: &str, is_new: bool) -> Result<bool, StoreError> {
        let request = self.record(run, holder)?;
        let request = if is_new { request.condition_expression("attribute_not_exists(pk)") } else { request };
        match request.send().await {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some(REFUSED) => Ok(false),
            Err(error) => Err(StoreError::from_sdk(error)),
        }
    }

    /// Saves the row of a run and returns the write units; nothing if another holder has taken the run over.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn save_run(&self, run: &Run, holder: &str) -> Result<Option<f64>, StoreError> {
        let request = self.record(run, holder)?.condition_expression("#holder = :holder");
        let request = request
            .expression_attribute_names("#holder", "holder")
            .expression_attribute_values(":holder", AttributeValue::S(holder.to_owned()));
        match request.send().await {
            Ok(kept) => Ok(Some(kept.consumed_capacity.and_then(|used| used.capacity_units).unwrap_or_default())),
            Err(error) if error.code() == Some(REFUSED) => Ok(None),
            Err(error) => Err(StoreError::from_sdk(error)),
        }
    }

    fn record(&self, run: &Run, holder: &str) -> Result<PutItemFluentBuilder, StoreError> {
        let mut row = to_row(run)?;
        row.extend(attributes(&Key { pk: RUNS.to_owned(), sk: run.run.to_string() }));
        row.insert("holder".to_owned(), AttributeValue::S(holder.to_owned()));
        row.insert("expires_at".to_owned(), expiry(run, REPORT_SECONDS));
        let request = self.client.put_item().table_name(&self.table).set_item(Some(row));
        Ok(request.return_consumed_capacity(ReturnConsumedCapacity::Total))
    }

    /// The latest runs, the latest first. A row that cannot be read, such as one of another version, is left out.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn latest_runs(&self, most: i32) -> Result<Vec<Run>, StoreError> {
        let request = self.client.query().table_name(&self.table).key_condition_expression("pk = :pk");
        let request = request.expression_attribute_values(":pk", AttributeValue::S(RUNS.to_owned()));
        let request = request.scan_index_forward(false).limit(most).consistent_read(true);
        let found = request.send().await.map_err(StoreError::from_sdk)?.items.unwrap_or_default();
        let read = found.into_iter().filter_map(|row| {
            from_row(row)
                .inspect_err(
                    |error| tracing::warn!(%error, "a run in the Operations table cannot be read and was skipped"),
                )
                .ok()
        });
        Ok(read.collect())
    }

    /// One run.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn run(&self, id: &RunId) -> Result<Option<Run>, StoreError> {
        let key = attributes(&Key { pk: RUNS.to_owned(), sk: id.to_string() });
        let request = self.client.get_item().table_name(&self.table).set_key(Some(key)).consistent_read(true);
        request.send().await.map_err(StoreError::from_sdk)?.item.map(from_row).transpose()
    }

    /// Saves the entities that a page of a listing has shown.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn save_listed(&self, run: &Run, kind: Kind, entries: &[u64]) -> Result<f64, StoreError> {
        let entries = AttributeValue::B(Blob::new(listed::to_bytes(entries)));
        self.keep_page(run, kind, (SEEN, run.pages), ("seen", entries)).await
    }

    /// Saves a page of absence candidates or of absences.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn save_candidates(
        &self,
        run: &Run,
        kind: Kind,
        page: CandidatePage,
        candidates: &[Candidate],
    ) -> Result<f64, StoreError> {
        let candidates =
            serde_dynamo::to_attribute_value(candidates).map_err(|error| StoreError::Unreadable(error.into()))?;
        let number = if page == CandidatePage::Unlinked { run.unlinked_pages } else { run.pages };
        self.keep_page(run, kind, (page.name(), number), ("doubts", candidates)).await
    }

    /// The entities that the listing of a kind has shown.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn listed(&self, run: &RunId, kind: Kind) -> Result<Vec<u64>, StoreError> {
        let request = self.pages(run, kind, SEEN, None);
        let pages: Result<Vec<Row>, _> = request.into_paginator().items().send().collect().await;
        let mut entries = Vec::new();
        for page in pages.map_err(StoreError::from_sdk)? {
            let bytes = page.get("seen").and_then(|value| value.as_b().ok());
            let read = bytes.and_then(|bytes| listed::from_bytes(bytes.as_ref()));
            entries.extend(read.ok_or_else(|| StoreError::Unreadable("a page of a run is damaged".into()))?);
        }
        Ok(entries)
    }

    /// The next page of absence candidates or of absences, with its key; nothing after the last page.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn candidates(
        &self,
        run: &RunId,
        kind: Kind,
        page: CandidatePage,
        after: Option<&Key>,
    ) -> Result<Option<(Key, Vec<Candidate>)>, StoreError> {
        let request = self.pages(run, kind, page.name(), after).limit(1);
        let found = request.send().await.map_err(StoreError::from_sdk)?.items.unwrap_or_default();
        let Some(mut row) = found.into_iter().next() else { return Ok(None) };
        let unreadable = || StoreError::Unreadable("a page of a run is damaged".into());
        let key = key_of(&row).ok_or_else(unreadable)?;
        let candidates = serde_dynamo::from_attribute_value(row.remove("doubts").ok_or_else(unreadable)?);
        Ok(Some((key, candidates.map_err(|error| StoreError::Unreadable(error.into()))?)))
    }

    async fn keep_page(
        &self,
        run: &Run,
        kind: Kind,
        (what, number): (&str, u64),
        content: (&str, AttributeValue),
    ) -> Result<f64, StoreError> {
        // Numbered within the whole run, so that a repeated page replaces itself.
        let sk = format!("{what}#{}#{number:08}", kind.name());
        let mut row = attributes(&Key { pk: partition(&run.run), sk });
        row.insert(content.0.to_owned(), content.1);
        row.insert("expires_at".to_owned(), expiry(run, PAGES_SECONDS));
        let request = self.client.put_item().table_name(&self.table).set_item(Some(row));
        let kept = request.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await;
        let capacity = kept.map_err(StoreError::from_sdk)?.consumed_capacity;
        Ok(capacity.and_then(|capacity| capacity.capacity_units).unwrap_or_default())
    }

    fn pages(&self, run: &RunId, kind: Kind, what: &str, after: Option<&Key>) -> QueryFluentBuilder {
        let request = self.client.query().table_name(&self.table).consistent_read(true);
        request
            .key_condition_expression("pk = :pk AND begins_with(sk, :what)")
            .expression_attribute_values(":pk", AttributeValue::S(partition(run)))
            .expression_attribute_values(":what", AttributeValue::S(format!("{what}#{}#", kind.name())))
            .set_exclusive_start_key(after.map(attributes))
    }
}

/// For observers of a run.
impl Operations {
    /// The valid lease at `now`; nothing if there is none.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn lease(&self, now: Millis) -> Result<Option<Lease>, StoreError> {
        let request = self.client.get_item().table_name(&self.table).set_key(Some(attributes(&lease_key())));
        let row = request.consistent_read(true).send().await.map_err(StoreError::from_sdk)?.item;
        Ok(row.map(from_row::<Lease>).transpose()?.filter(|lease| lease.until >= now))
    }
}

/// The error code of a failed condition.
pub(super) const REFUSED: &str = "ConditionalCheckFailedException";
const SEEN: &str = "SEEN";

pub(super) fn lease_key() -> Key {
    Key { pk: "LEASE".to_owned(), sk: "reconcile".to_owned() }
}

fn partition(run: &RunId) -> String {
    format!("{RUNS}#{run}")
}

/// Unix seconds, as DynamoDB's time to live requires.
fn expiry(run: &Run, seconds: u64) -> AttributeValue {
    AttributeValue::N((run.started_at.get() / 1000 + seconds).to_string())
}

fn to_row(value: &impl Serialize) -> Result<Row, StoreError> {
    serde_dynamo::to_item(value).map_err(|error| StoreError::Unreadable(error.into()))
}

fn from_row<T: for<'de> Deserialize<'de>>(row: Row) -> Result<T, StoreError> {
    serde_dynamo::from_item(row).map_err(|error| StoreError::Unreadable(error.into()))
}
