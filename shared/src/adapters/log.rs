//! Logs: one JSON line an event, the same field names everywhere, on standard output as Lambda expects.

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts the log of a function.
///
/// Rollcall's own lines from `info` up; of libraries warnings only, whatever the environment says: at finer levels the SDK and the runtime
/// write whole requests, and with them personal data.
pub fn start() {
    let levels = Targets::new()
        .with_default(LevelFilter::WARN)
        .with_targets([("rollcall", LevelFilter::INFO), ("webhook", LevelFilter::INFO)]);
    let lines =
        tracing_subscriber::fmt::layer().json().flatten_event(true).with_current_span(false).with_span_list(false);
    // A second start, as in a test, keeps the first one's subscriber.
    let _ = tracing_subscriber::registry().with(levels).with(lines).try_init();
}
