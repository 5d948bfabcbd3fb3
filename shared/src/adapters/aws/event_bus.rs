//! The bus of the change events: an EventBridge bus, or a file on a developer's machine.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;

use aws_config::SdkConfig;
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::error::ProvideErrorMetadata;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use serde_json::json;
use thiserror::Error;

use crate::adapters::backoff::backoff;
use crate::core::mirror::change::Change;

/// The maximum number of events in one request. Source: AWS, API reference of `PutEvents`.
pub const MAX_EVENTS: usize = 10;
/// The `source` of all events, which rules match.
const SOURCE: &str = "rollcall";
/// Maximum number of requests for one batch, with the repeats for events that the bus rejected.
const MAX_REQUESTS: u32 = 5;

#[derive(Debug)]
pub enum Bus {
    /// No bus: changes are only logged.
    Nowhere,
    EventBridge {
        client: Client,
        /// The bus's name or ARN.
        name: String,
    },
    /// A file: each event is appended as one line, in the form in which EventBridge would deliver it.
    File(PathBuf),
}

/// Why events were not accepted. A repeat sends the accepted ones of the batch again.
#[derive(Debug, Error)]
pub enum BusError {
    /// EventBridge failed or rejected the events, with this error code.
    #[error("EventBridge did not accept the events ({0})")]
    EventBridge(String, #[source] Option<Box<dyn std::error::Error + Send + Sync>>),
    /// The file cannot be written.
    #[error("the event bus file cannot be written")]
    File(#[from] io::Error),
}

impl Bus {
    /// The EventBridge bus of this name; without a name, no bus.
    pub fn named(name: Option<String>, aws: &SdkConfig) -> Bus {
        name.map_or(Bus::Nowhere, |name| Bus::EventBridge { client: Client::new(aws), name })
    }

    /// Publishes these changes, [`MAX_EVENTS`] at most, in their order. Each is delivered at least once.
    ///
    /// # Errors
    ///
    /// [`BusError`].
    pub async fn publish(&self, changes: &[&Change]) -> Result<(), BusError> {
        match self {
            Bus::Nowhere => Ok(()),
            Bus::EventBridge { client, name } => {
                let entries = changes.iter().map(|change| {
                    PutEventsRequestEntry::builder()
                        .event_bus_name(name)
                        .source(SOURCE)
                        .detail_type(change.name())
                        .detail(json!(change).to_string())
                        .build()
                });
                put(client, entries.collect()).await
            }
            Bus::File(path) => {
                let lines = changes.iter().map(|change| {
                    let event = json!({ "source": SOURCE, "detail-type": change.name(), "detail": change });
                    format!("{event}\n")
                });
                let mut file = OpenOptions::new().create(true).append(true).open(path)?;
                Ok(file.write_all(lines.collect::<String>().as_bytes())?)
            }
        }
    }
}

/// Sends events until all are accepted: EventBridge accepts some events of a request and returns an error code for each
/// other one.
async fn put(client: &Client, mut entries: Vec<PutEventsRequestEntry>) -> Result<(), BusError> {
    let mut attempt = 0;
    loop {
        let sent = client.put_events().set_entries(Some(entries.clone())).send().await;
        let answer = sent.map_err(|error| {
            let code = error.code().unwrap_or("no answer").to_owned();
            BusError::EventBridge(code, Some(error.into()))
        })?;
        if answer.failed_entry_count() == 0 {
            return Ok(());
        }
        let results = answer.entries();
        let code = results.iter().find_map(|result| result.error_code()).unwrap_or("no reason").to_owned();
        let is_left = |at: usize| results.get(at).is_none_or(|result| result.event_id().is_none());
        entries = entries.into_iter().enumerate().filter(|(at, _)| is_left(*at)).map(|(_, entry)| entry).collect();
        attempt += 1;
        if attempt == MAX_REQUESTS {
            return Err(BusError::EventBridge(code, None));
        }
        backoff(attempt).await;
    }
}
