//! The react function: records of the Directory's stream in, their consequences out.
//!
//! [`settings`] says what it needs. `main.rs` mounts it on Lambda; the local stack and the tests call it as it is. It
//! answers
//! with the first record that is not done: that one and all after it come again.

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

/// The entry of this function in the registry of functions.
pub const FUNCTION: Function =
    Function { name: "react", log_target: env!("CARGO_CRATE_NAME"), routes: &[], groups: settings::GROUPS };

/// How long before its end an invocation begins nothing more: longer than any one request may take.
pub const RESERVE: Duration = Duration::from_secs(20);

/// The function, with everything that outlives an invocation.
pub struct React {
    reactor: Reactor,
}

impl React {
    /// The function over its tables and its bus.
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

    /// Follows a batch, until `until` at the latest. Answers with the sequence number of the first record that is not
    /// done.
    ///
    /// A row without what the rule needs is passed over: nothing follows from it, and it would stand in the way of
    /// others. What
    /// it was before is of no matter to what follows from what it is now.
    pub async fn react(&self, event: Event, until: Option<Millis>) -> DynamoDbEventResponse {
        let (mut numbers, mut records) = (Vec::new(), Vec::new());
        for record in event.records {
            let number = record.change.sequence_number.clone().unwrap_or_default();
            let Ok(record) = read(record) else {
                error!(outcome = "failed", error = "the row was not written by Rollcall", record = number, "react");
                continue;
            };
            records.push(record);
            numbers.push(number);
        }
        // Boxed: with all that a cascade takes it is too large to be moved about.
        let Err(stopped) = Box::pin(self.reactor.react(&records, until.into())).await else {
            return DynamoDbEventResponse::default();
        };
        let number = numbers.swap_remove(stopped.at);
        let cause = std::error::Error::source(&stopped.error).map(ToString::to_string);
        error!(outcome = "failed", error = %stopped.error, cause, record = number, "react");
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

/// The answer after which the record with this number comes again, and all after it.
fn from_there(number: String) -> DynamoDbEventResponse {
    let (mut failure, mut answer) = (DynamoDbBatchItemFailure::default(), DynamoDbEventResponse::default());
    failure.item_identifier = Some(number);
    answer.batch_item_failures.push(failure);
    answer
}

/// The function as a service over Lambda's own events.
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
