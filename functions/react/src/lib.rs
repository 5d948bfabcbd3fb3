//! The react function: reads the Directory's stream and completes the effects of each change.
//!
//! [`settings`] reads its settings. `main.rs` runs it on Lambda; the local stack and the tests call it directly. It
//! returns the first stream record that is not done: Lambda delivers that record and all later ones again.

pub mod settings;

use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::event::dynamodb::{Event, EventRecord};
use aws_lambda_events::event::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use aws_sdk_dynamodb::Client;
use lambda_runtime::tower::Service;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use rollcall::adapters::aws::backups::Backups;
use rollcall::adapters::aws::event_bus::Bus;
use rollcall::adapters::dynamo::error::StoreError;
use rollcall::adapters::dynamo::item;
use rollcall::adapters::dynamo::stores::Stores;
use rollcall::adapters::lambda::function::Function;
use rollcall::adapters::lambda::metrics;
use rollcall::core::millis::Clock;
use rollcall::core::millis::Millis;
use rollcall::core::mirror::item::Item;
use rollcall::core::reconcile::run::Mode;
use rollcall::services::deletion::Deletions;
use rollcall::services::ensure::questions::Budget;
use rollcall::services::provision::Provision;
use rollcall::services::react::{Reactor, Record};
use rollcall::services::write_back::Links;
use tracing::error;

use crate::settings::Settings;

/// The function's entry in the registry.
pub const FUNCTION: Function =
    Function { name: "react", log_target: env!("CARGO_CRATE_NAME"), routes: &[], groups: settings::GROUPS };

/// An invocation starts no new work in the last seconds before its end. Longer than any single request may take.
pub const RESERVE: Duration = Duration::from_secs(20);

/// The function and everything that is reused by later invocations.
pub struct React {
    reactor: Reactor,
}

impl React {
    /// The function with its tables and its bus.
    pub fn new(settings: Settings, dynamodb: &Client, backups: Option<Backups>, bus: Bus, clock: Clock) -> React {
        let stores = Stores::new(dynamodb, &settings.tables);
        let instance = settings.clerk.instance.clone();
        let deletions = Deletions::over(&stores, settings.removal, &instance, dynamodb, backups, clock.clone());
        let links = settings.writes_back.then(|| {
            let clerk = settings.clerk.api().verified(instance.clone());
            let budget = Budget::new(stores.operations.clone(), FUNCTION.name);
            Links::new(clerk, instance.clone(), settings.rate_share, budget, clock.clone())
        });
        React {
            reactor: Reactor {
                provision: Provision {
                    profiles: stores.profiles,
                    instance,
                    defaults: settings.defaults,
                    clock: clock.clone(),
                },
                deletions,
                follows_ends: settings.mode == Mode::Repair,
                links,
                bus,
                clock,
            },
        }
    }

    /// Processes a batch, until `until` at the latest. Returns the sequence number of the first stream record that is
    /// not done.
    ///
    /// A row without a valid rank or digest is skipped: it has no effects, and it would block all later stream records.
    /// Only the new image of a row decides about effects, so an unreadable old image counts as missing.
    pub async fn react(&self, event: Event, until: Option<Millis>) -> DynamoDbEventResponse {
        let (mut numbers, mut records) = (Vec::new(), Vec::new());
        for record in event.records {
            let number = record.change.sequence_number.clone().unwrap_or_default();
            let Ok(record) = read(record) else {
                let error = "the row has no valid rank or digest: another program wrote it";
                error!(outcome = "failed", error, sequence_number = number, "a stream record was skipped");
                continue;
            };
            records.push(record);
            numbers.push(number);
        }
        // Boxed: the future contains the whole cascade and is too large to be moved.
        let Err(stopped) = Box::pin(self.reactor.react(&records, until.into())).await else {
            return DynamoDbEventResponse::default();
        };
        let number = numbers.swap_remove(stopped.at);
        let cause = std::error::Error::source(&stopped.error).map(ToString::to_string);
        let (error, sequence_number) = (&stopped.error, &number);
        error!(
            outcome = "failed",
            %error,
            cause,
            sequence_number,
            "a stream record failed; Lambda delivers it and all later ones again"
        );
        metrics::failed();
        from_there(number)
    }
}

fn read(record: EventRecord) -> Result<Record, StoreError> {
    let image = |image: serde_dynamo::Item| -> Result<Option<Item>, StoreError> {
        if image.is_empty() { Ok(None) } else { item::item(image.into_inner()).map(Some) }
    };
    let new = image(record.change.new_image)?;
    Ok(Record { old: image(record.change.old_image).unwrap_or_default(), new })
}

/// The response after which Lambda delivers the stream record with this sequence number and all later ones again.
fn from_there(number: String) -> DynamoDbEventResponse {
    let (mut failure, mut answer) = (DynamoDbBatchItemFailure::default(), DynamoDbEventResponse::default());
    failure.item_identifier = Some(number);
    answer.batch_item_failures.push(failure);
    answer
}

/// The function as a service for Lambda's events.
pub fn service(
    react: Arc<React>,
) -> impl Service<LambdaEvent<Event>, Response = DynamoDbEventResponse, Error = Error, Future: Send> + Clone {
    service_fn(move |event: LambdaEvent<Event>| {
        let react = react.clone();
        async move {
            let reserve = u64::try_from(RESERVE.as_millis()).unwrap_or(u64::MAX);
            let until = event.context.deadline.saturating_sub(reserve);
            let until = i64::try_from(until).ok().and_then(|until| Millis::try_from(until).ok());
            Ok(react.react(event.payload, until).await)
        }
    })
}
