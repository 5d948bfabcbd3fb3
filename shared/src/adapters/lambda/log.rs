//! Logs: one JSON object per line, with the same field names in all functions, on standard output as Lambda expects.

use tracing::Subscriber;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use super::function::Function;

/// Starts the log of a function.
pub fn start(function: &Function) {
    // A second start, as in a test, leaves the first subscriber in place.
    let _ = subscriber(std::slice::from_ref(function), std::io::stdout).try_init();
}

/// The log of one or several functions in one process, with another output.
///
/// Lines of the shared crate and of the functions from `info` up; of libraries warnings only, whatever the environment
/// says: at finer levels the SDK and the runtime log whole requests with personal data.
pub fn subscriber<W>(functions: &[Function], writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    tracing_subscriber::registry().with(levels(functions)).with(lines(writer))
}

/// The levels of [`subscriber`].
pub fn levels(functions: &[Function]) -> Targets {
    let ours = functions.iter().map(|function| function.log_target).chain(["rollcall"]);
    Targets::new().with_default(LevelFilter::WARN).with_targets(ours.map(|target| (target, LevelFilter::INFO)))
}

/// The lines of [`subscriber`].
pub fn lines<S, W>(writer: W) -> impl Layer<S> + Send + Sync
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_writer(writer)
}
