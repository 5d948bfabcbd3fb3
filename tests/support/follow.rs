//! Reads the Directory's stream on request of a test and invokes react with it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lambda_events::event::dynamodb::Event;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodbstreams::types::ShardIteratorType;
use react::React;
use react::settings::Settings;
use rollcall::adapters::aws::backups::Backups;
use rollcall::adapters::aws::event_bus::Bus;
use rollcall_cli::dev::stack::{self, Stack};
use rollcall_cli::dev::stream::{Feed, Look};
use serde_json::Value;

use crate::world::{World, millis};

/// The maximum number of successive attempts at a batch.
const MAX_FAILURES: usize = 10;

/// The react function on a stack, with a file as its bus.
pub(crate) async fn function(
    client: &Client,
    stack: &Stack,
    lookup: &dyn Fn(&str) -> Option<String>,
    now: &Arc<AtomicU64>,
) -> React {
    let now = now.clone();
    let clock = Arc::new(move || millis(now.load(Ordering::SeqCst)));
    let settings = Settings::read(lookup).unwrap();
    let backups = Backups::for_removal(&settings.removal, &stack::local_config(&stack.addresses.dynamodb).await);
    React::new(settings, client, backups, Bus::File(PathBuf::from(&stack.addresses.event_bus)), clock)
}

/// The stream from its beginning.
pub(crate) async fn feed(stack: &Stack) -> Option<Feed> {
    let streams = stack::streams(&stack.addresses.dynamodb).await;
    Feed::open(&stack.dynamodb, streams, &stack.addresses.directory_table, None).await.unwrap()
}

impl World {
    /// Invokes react with the next batch of the stream.
    ///
    /// # Panics
    ///
    /// If there is no stream, or it cannot be read.
    pub async fn look(&self) -> Look {
        self.feed.lock().await.as_mut().unwrap().look(&self.react).await.unwrap()
    }

    /// The next batch, as Lambda would deliver it, without advancing the position.
    ///
    /// # Panics
    ///
    /// If there is no stream, or it cannot be read.
    pub async fn batch(&self) -> Event {
        self.feed.lock().await.as_ref().unwrap().peek().await.unwrap()
    }

    /// Processes the stream until there are no new records, and returns the number of records.
    ///
    /// # Panics
    ///
    /// If a batch keeps failing.
    pub async fn follow(&self) -> usize {
        let (mut records, mut failures) = (0, 0);
        loop {
            match self.look().await {
                Look::Nothing => return records,
                Look::Done(done) => (records, failures) = (records + done, 0),
                Look::Failed => failures += 1,
            }
            assert!(failures < MAX_FAILURES, "react keeps failing");
        }
    }

    /// Starts again at the beginning of the stream: all records are delivered again.
    pub async fn replay(&self) {
        *self.feed.lock().await = feed(&self.stack).await;
    }

    /// The events on the bus so far.
    ///
    /// # Panics
    ///
    /// If its file cannot be read.
    pub fn published(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.stack.addresses.event_bus).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The number of records in the Directory's stream since its start.
    ///
    /// # Panics
    ///
    /// If DynamoDB does not answer.
    pub async fn stream_records(&self) -> usize {
        let streams = stack::streams(&self.stack.addresses.dynamodb).await;
        let table = self.stack.dynamodb.describe_table().table_name(&self.stack.addresses.directory_table);
        let arn = table.send().await.unwrap().table.unwrap().latest_stream_arn.unwrap();
        let stream = streams.describe_stream().stream_arn(&arn).send().await.unwrap().stream_description.unwrap();
        let mut records = 0;
        for shard in stream.shards() {
            let start = streams.get_shard_iterator().stream_arn(&arn).set_shard_id(shard.shard_id.clone());
            let start = start.shard_iterator_type(ShardIteratorType::TrimHorizon);
            let mut iterator = start.send().await.unwrap().shard_iterator;
            while let Some(from) = iterator.take() {
                let page = streams.get_records().shard_iterator(from).send().await.unwrap();
                records += page.records().len();
                iterator = page.next_shard_iterator.clone().filter(|_| !page.records().is_empty());
            }
        }
        records
    }
}
