//! Reads the Directory's stream and invokes react as Lambda's event source mapping does: in order, in batches, with
//! checkpoints and retries.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use aws_lambda_events::event::dynamodb::{Event, EventRecord};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodbstreams::Client as Streams;
use aws_sdk_dynamodbstreams::types::{AttributeValue, Record, ShardIteratorType};
use react::React;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// The number of stream records in a batch, as in template.yaml.
const BATCH: i32 = 100;
/// The interval between two reads of a stream without new records.
const LOOK: Duration = Duration::from_millis(100);
/// The longest wait before another attempt.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// A reader of the stream.
pub struct Feed {
    streams: Streams,
    shards: Vec<String>,
    iterators: BTreeMap<String, String>,
    position: Position,
    file: Option<PathBuf>,
    attempts: u32,
}

/// The position of the reader.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Position {
    stream: String,
    /// The sequence number of the last processed stream record of each shard.
    done: BTreeMap<String, String>,
}

/// The result of one read of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    Nothing,
    /// The number of stream records, all of which were processed.
    Done(usize),
    /// A stream record failed and will be delivered again.
    Failed,
}

impl Feed {
    /// Opens the stream of a table at its beginning, or at the position in `file`; `None` if the table has no stream.
    ///
    /// # Errors
    ///
    /// If DynamoDB does not respond, or the file cannot be read.
    pub async fn open(
        dynamodb: &Client,
        streams: Streams,
        table: &str,
        file: Option<PathBuf>,
    ) -> anyhow::Result<Option<Feed>> {
        let table = dynamodb.describe_table().table_name(table).send().await?.table;
        let Some(stream) = table.and_then(|table| table.latest_stream_arn) else { return Ok(None) };
        let described = streams.describe_stream().stream_arn(&stream).send().await?.stream_description;
        let shards =
            described.map(|stream| stream.shards().iter().filter_map(|shard| shard.shard_id.clone()).collect());
        let kept = match &file {
            Some(file) if file.exists() => {
                let read = || format!("cannot read the stream position in {}", file.display());
                let text = std::fs::read(file).with_context(read)?;
                serde_json::from_slice(&text).with_context(read)?
            }
            _ => Position::default(),
        };
        // The position belongs to another stream, which has other records.
        let position = if kept.stream == stream { kept } else { Position { stream, ..Position::default() } };
        let shards = shards.unwrap_or_default();
        Ok(Some(Feed { streams, shards, iterators: BTreeMap::new(), position, file, attempts: 0 }))
    }

    /// Invokes react with the next batch.
    ///
    /// # Errors
    ///
    /// If DynamoDB does not respond, or the file cannot be written.
    pub async fn look(&mut self, react: &React) -> anyhow::Result<Look> {
        for shard in self.shards.clone() {
            let iterator = match self.iterators.remove(&shard) {
                Some(iterator) => iterator,
                None => self.iterator(&shard).await?,
            };
            let page = self.streams.get_records().shard_iterator(iterator).limit(BATCH).send().await?;
            let numbers: Vec<String> = page.records().iter().filter_map(number).collect();
            let next = page.next_shard_iterator.clone();
            if numbers.is_empty() {
                self.iterators.extend(next.map(|next| (shard.clone(), next)));
                continue;
            }
            let failed = react.react(event(page.records.unwrap_or_default()), None).await.batch_item_failures;
            let failed = failed.into_iter().find_map(|failure| failure.item_identifier);
            let Some(failed) = failed else {
                self.attempts = 0;
                self.iterators.extend(next.map(|next| (shard.clone(), next)));
                self.done(&shard, numbers.last())?;
                return Ok(Look::Done(numbers.len()));
            };
            let at = numbers.iter().position(|number| *number == failed).unwrap_or_default();
            self.attempts = if at > 0 { 1 } else { self.attempts.saturating_add(1) };
            self.done(&shard, at.checked_sub(1).and_then(|before| numbers.get(before)))?;
            return Ok(Look::Failed);
        }
        Ok(Look::Nothing)
    }

    /// The next batch, as [`Feed::look`] would deliver it, without advancing the position.
    ///
    /// # Errors
    ///
    /// If DynamoDB does not respond.
    pub async fn peek(&self) -> anyhow::Result<Event> {
        for shard in &self.shards {
            let page =
                self.streams.get_records().shard_iterator(self.iterator(shard).await?).limit(BATCH).send().await?;
            let records = page.records.unwrap_or_default();
            if !records.is_empty() {
                return Ok(event(records));
            }
        }
        Ok(Event::default())
    }

    /// Polls the stream without end, and publishes the counts in `looks` after each read.
    pub(super) async fn follow(mut self, react: Arc<React>, looks: watch::Sender<Looks>) -> Infallible {
        loop {
            let found = match self.look(&react).await {
                Ok(found) => found,
                Err(error) => {
                    tracing::error!(%error, "the DynamoDB stream cannot be read");
                    Look::Failed
                }
            };
            let records = if let Look::Done(records) = found { records } else { 0 };
            looks.send_modify(|looks| {
                looks.empty = if found == Look::Nothing { looks.empty + 1 } else { 0 };
                looks.records += records;
            });
            match found {
                Look::Done(_) => {}
                Look::Nothing => tokio::time::sleep(LOOK).await,
                Look::Failed => tokio::time::sleep(LONGEST_WAIT.min(LOOK * 2_u32.pow(self.attempts.min(6)))).await,
            }
        }
    }

    async fn iterator(&self, shard: &str) -> anyhow::Result<String> {
        let request = self.streams.get_shard_iterator().stream_arn(&self.position.stream).shard_id(shard);
        let request = match self.position.done.get(shard) {
            None => request.shard_iterator_type(ShardIteratorType::TrimHorizon),
            Some(number) => request.shard_iterator_type(ShardIteratorType::AfterSequenceNumber).sequence_number(number),
        };
        request.send().await?.shard_iterator.context("DynamoDB returned no shard iterator")
    }

    fn done(&mut self, shard: &str, number: Option<&String>) -> anyhow::Result<()> {
        let Some(number) = number else { return Ok(()) };
        self.position.done.insert(shard.to_owned(), number.clone());
        if let Some(file) = &self.file {
            // Written completely or not at all: a partial file could not be read again.
            let new = file.with_extension("new");
            let written = std::fs::write(&new, serde_json::to_vec(&self.position)?);
            let written = written.and_then(|()| std::fs::rename(&new, file));
            written.with_context(|| format!("cannot write the stream position to {}", file.display()))?;
        }
        Ok(())
    }
}

/// How busy the stream is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Looks {
    /// Successive reads without new records.
    pub(super) empty: usize,
    /// The number of processed stream records.
    pub(super) records: usize,
}

/// A batch in the form in which Lambda delivers it.
fn event(records: Vec<Record>) -> Event {
    let records = records.into_iter().filter_map(|record| {
        let change = record.dynamodb?;
        let mut handed = EventRecord::default();
        handed.aws_region = record.aws_region.unwrap_or_default();
        handed.event_id = record.event_id.unwrap_or_default();
        handed.event_name = record.event_name.map(|name| name.as_str().to_owned()).unwrap_or_default();
        handed.change.keys = item(change.keys);
        handed.change.old_image = item(change.old_image);
        handed.change.new_image = item(change.new_image);
        handed.change.sequence_number = change.sequence_number;
        Some(handed)
    });
    let mut event = Event::default();
    event.records = records.collect();
    event
}

fn item(image: Option<HashMap<String, AttributeValue>>) -> serde_dynamo::Item {
    image.unwrap_or_default().into()
}

fn number(record: &Record) -> Option<String> {
    record.dynamodb.as_ref()?.sequence_number.clone()
}
