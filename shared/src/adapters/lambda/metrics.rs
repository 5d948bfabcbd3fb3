//! Metrics in CloudWatch's embedded metric format: lines on standard output from which CloudWatch creates metrics.
//!
//! All metrics are defined here. They are in the namespace `Rollcall` and have the dimension `FunctionName`; some have
//! a second dimension. The values of dimensions are fixed words, without ids or contents. Before [`start`], as in the
//! local stack, nothing is counted.

use std::io::Write;
use std::time::Duration;

use lambda_http::tower::{Service, ServiceExt};
use metrics::{Unit, counter, describe_counter, describe_histogram, histogram};
use metrics_cloudwatch_embedded::{Builder, Collector};

use crate::core::clerk::event;
use crate::core::millis::Millis;
use crate::core::problem::Problem;
use crate::core::reconcile::tally::Drift;

/// The namespace of all metrics.
const NAMESPACE: &str = "Rollcall";
/// The dimension that separates the functions of several stacks; Lambda's own metrics have it, too. Source: AWS Lambda,
/// "Types of metrics".
const FUNCTION_NAME: &str = "FunctionName";

const BAD_SIGNATURES: &str = "BadSignatures";
const CLERK_CALLS: &str = "ClerkCalls";
const DELETIONS_PENDING_APPROVAL: &str = "DeletionsPendingApproval";
const DRIFT: &str = "Drift";
const DRIFT_HEALED: &str = "DriftHealed";
const EVENTS: &str = "Events";
const FAILURES: &str = "Failures";
const NOT_SYNCED: &str = "NotSynced";
const OUT_OF_SYNC: &str = "OutOfSync";
const PURGES_LEFT: &str = "PurgesLeft";
const QUARANTINED: &str = "Quarantined";
const REFUSALS: &str = "Refusals";
const RUNS_FINISHED: &str = "RunsFinished";
const SYNC_LAG: &str = "SyncLag";
const UNAUTHORIZED_ERRORS: &str = "UnauthorizedErrors";
const UNKNOWN_ROLES: &str = "UnknownRoles";
const UNREADABLE_ROWS: &str = "UnreadableRows";
const WRITEBACK_CONFLICTS: &str = "WritebackConflicts";

/// All metrics except the lag.
const COUNTERS: [&str; 17] = [
    BAD_SIGNATURES,
    CLERK_CALLS,
    DELETIONS_PENDING_APPROVAL,
    DRIFT,
    DRIFT_HEALED,
    EVENTS,
    FAILURES,
    NOT_SYNCED,
    OUT_OF_SYNC,
    PURGES_LEFT,
    QUARANTINED,
    REFUSALS,
    RUNS_FINISHED,
    UNAUTHORIZED_ERRORS,
    UNKNOWN_ROLES,
    UNREADABLE_ROWS,
    WRITEBACK_CONFLICTS,
];

/// What a function has counted since the last output.
#[derive(Clone, Copy)]
pub struct Metrics(Option<&'static Collector>);

/// Starts to count, for the function of this name; `None` outside Lambda.
pub fn start(function: Option<String>) -> Metrics {
    let Some(function) = function else { return Metrics(None) };
    let collector = Builder::new().cloudwatch_namespace(NAMESPACE).with_dimension(FUNCTION_NAME, function).init();
    let collector = collector.inspect_err(|error| tracing::error!(%error, "metrics cannot be collected")).ok();
    for name in COUNTERS {
        describe_counter!(name, Unit::Count, "");
    }
    describe_histogram!(SYNC_LAG, Unit::Milliseconds, "");
    Metrics(collector)
}

impl Metrics {
    /// Writes the metrics of an invocation before its response is returned: afterwards Lambda may freeze or stop the
    /// process.
    pub fn around<R, S>(self, function: S) -> impl Service<R, Response = S::Response, Error = S::Error> + Clone
    where
        S: Service<R> + Clone,
    {
        function.map_future(move |invocation: S::Future| async move {
            // Also after a panic, so that the alarms see it.
            let _written = AtEnd(self);
            invocation.await
        })
    }

    fn write(self) {
        let Some(collector) = self.0 else { return };
        // Written at once, so that no log line comes between.
        let mut lines = Vec::new();
        let written = collector.flush(&mut lines).and_then(|()| std::io::stdout().lock().write_all(&lines));
        if let Err(error) = written {
            tracing::error!(%error, "metrics cannot be written and are lost");
        }
    }
}

/// Writes the metrics when it is dropped.
struct AtEnd(Metrics);

impl Drop for AtEnd {
    fn drop(&mut self) {
        self.0.write();
    }
}

/// A signed event, by its type and its outcome.
pub fn event(kind: Option<&str>, outcome: &'static str) {
    // A signed event may have any type, and each value of a dimension is a metric that costs money.
    let mut kinds = event::SUBSCRIBED_EVENTS.into_iter().chain(event::OF_ROLES);
    let kind = kinds.find(|known| Some(*known) == kind).unwrap_or("other");
    counter!(EVENTS, "Type" => kind, "Outcome" => outcome).increment(1);
}

/// The time from `version`, Clerk's time of a change, to its write, which finished `taken` after `now`.
#[expect(clippy::cast_precision_loss, reason = "a lag in milliseconds is far below 2^52")]
pub fn sync_lag(version: Millis, now: Millis, taken: Duration) {
    let taken = u64::try_from(taken.as_millis()).unwrap_or(u64::MAX);
    histogram!(SYNC_LAG).record(now.since(version).saturating_add(taken) as f64);
}

/// A signature that none of the secrets has made: a forgery, or the secret has changed.
pub fn bad_signature() {
    counter!(BAD_SIGNATURES).increment(1);
}

/// A problem in a response: a failure for 5xx, else a refusal by its code.
pub fn problem(problem: &Problem) {
    match problem.status {
        // 508 is not a failure: a page redirects its browser in a loop.
        500..=507 => failed(),
        _ => counter!(REFUSALS, "Reason" => problem.code).increment(1),
    }
}

/// A signed event that cannot be read.
pub fn quarantined() {
    counter!(QUARANTINED).increment(1);
}

/// A row of the Directory that is not as Rollcall writes it.
pub fn unreadable_row() {
    counter!(UNREADABLE_ROWS).increment(1);
}

/// An invocation that returned a failure or did not finish.
pub fn failed() {
    counter!(FAILURES).increment(1);
}

/// An invocation that ended in the error `Unauthorized` with which the authorizer makes a REST API answer 401. Lambda
/// counts it among the function's errors, and the alarm on these takes it off again.
pub fn unauthorized_error() {
    counter!(UNAUTHORIZED_ERRORS).increment(1);
}

/// A request to Clerk.
pub fn clerk_call() {
    counter!(CLERK_CALLS).increment(1);
}

/// A caller, or the caller's organization, that the webhook has not stored.
pub fn not_synced() {
    counter!(NOT_SYNCED).increment(1);
}

/// A user who was stored as `user`, because the role in Clerk is not in `ROLES`.
pub fn unknown_role() {
    counter!(UNKNOWN_ROLES).increment(1);
}

/// A user whose metadata in Clerk contains another internal id.
pub fn writeback_conflict() {
    counter!(WRITEBACK_CONFLICTS).increment(1);
}

/// Due purges that failed.
pub fn purges_left(count: u64) {
    counter!(PURGES_LEFT).increment(count);
}

/// The results of a finished run.
#[derive(Clone, Copy, Debug)]
pub struct Finished {
    pub drift: Drift,
    /// The number of entities that it repaired.
    pub healed: u64,
    /// The number of deletions that are pending approval.
    pub pending_approval: u64,
    /// Whether everything is in sync.
    pub in_sync: bool,
}

/// A finished run.
pub fn run_finished(finished: &Finished) {
    counter!(RUNS_FINISHED).increment(1);
    counter!(OUT_OF_SYNC).increment((!finished.in_sync).into());
    counter!(DRIFT_HEALED).increment(finished.healed);
    counter!(DELETIONS_PENDING_APPROVAL).increment(finished.pending_approval);
    for (kind, count) in finished.drift.by_name() {
        counter!(DRIFT, "Kind" => kind).increment(count);
    }
}
