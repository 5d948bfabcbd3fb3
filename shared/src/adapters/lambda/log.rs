//! Logs: one JSON line an event, the same field names everywhere, on standard output as Lambda expects.

use tracing::Subscriber;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// The crates whose lines are logged from `info` up: this one and the functions.
const OURS: [&str; 5] = ["rollcall", "ensure_profile", "react", "reconcile", "webhook"];

/// Starts the log of a function.
pub fn start() {
    // A second start, as in a test, keeps the first one's subscriber.
    let _ = subscriber(std::io::stdout).try_init();
}

/// The log of a function, written elsewhere.
///
/// Rollcall's own lines from `info` up; of libraries warnings only, whatever the environment says: at finer levels the
/// SDK and the runtime write whole requests, and with them personal data.
pub fn subscriber<W>(writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let levels =
        Targets::new().with_default(LevelFilter::WARN).with_targets(OURS.map(|target| (target, LevelFilter::INFO)));
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_writer(writer);
    tracing_subscriber::registry().with(levels).with(lines)
}
