//! The reconcile function: a schedule's tick in, a run's report out.
//!
//! [`settings`] says what it needs. `main.rs` mounts it on Lambda; the command line, the local stack and the tests call
//! it as it is.

pub mod settings;

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use lambda_runtime::tower::Service;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use rollcall::adapters::clerk_api::ClerkApi;
use rollcall::adapters::dynamo_directory::DynamoDirectory;
use rollcall::adapters::dynamo_members::DynamoMembers;
use rollcall::adapters::dynamo_profiles::DynamoProfiles;
use rollcall::adapters::dynamo_records::DynamoRecords;
use rollcall::adapters::dynamo_runs::{DynamoRuns, Lease};
use rollcall::adapters::dynamo_survey::DynamoSurvey;
use rollcall::core::millis::Millis;
use rollcall::core::reconcile::pace::Pace;
use rollcall::core::reconcile::run::{Mode, Run, State};
use rollcall::services::Clock;
use rollcall::services::apply::Applier;
use rollcall::services::cascade::Cascade;
use rollcall::services::provision::Provision;
pub use rollcall::services::reconcile::{Answer, Order};
use rollcall::services::reconcile::{ReconcileError, Reconciler, Watch};
use serde::Serialize;
use serde_json::Value;
use tracing::{error, info, warn};

use crate::settings::Settings;

/// How long before its end an invocation begins nothing more: longer than a page takes, unless Clerk or the store are in
/// trouble. An invocation that is killed loses nothing either, but its lease must end before another one begins.
pub const RESERVE: Duration = Duration::from_mins(1);

/// The function, with everything that outlives an invocation.
pub struct Reconcile {
    reconciler: Reconciler,
}

/// What became of an invocation: what the state machine that makes it goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The run is over, and nothing is left to do but what its drift says.
    Done,
    /// The run is over, but for deletions that wait for an operator.
    Held,
    /// The run is over, but something could not be looked at.
    Incomplete,
    /// The time was over: call again at once.
    Continue,
    /// Another run is under way: call again in a minute.
    Busy,
}

/// What an invocation answers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// What became of it.
    pub state: Outcome,
    /// The run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<Run>,
    /// Who keeps it from running.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
}

impl From<Answer> for Report {
    fn from(answer: Answer) -> Report {
        match answer {
            Answer::Busy(lease) => Report { state: Outcome::Busy, run: None, lease: Some(lease) },
            Answer::Ran(run) => {
                let state = match run.state {
                    State::Running => Outcome::Continue,
                    State::Held => Outcome::Held,
                    State::Incomplete => Outcome::Incomplete,
                    State::Done => Outcome::Done,
                };
                Report { state, run: Some(*run), lease: None }
            }
        }
    }
}

impl Reconcile {
    /// The function over its tables.
    #[must_use]
    pub fn new(settings: Settings, dynamodb: &Client, clock: Clock) -> Reconcile {
        let (directory, profiles) = (settings.directory_table, settings.profiles_table);
        let clerk = ClerkApi::new(settings.clerk_api_url, settings.clerk_secret_key);
        // Until Clerk has said that the instance is one in production.
        let clerk = clerk.patient(Pace::share(settings.rate_share, false));
        let survey = DynamoSurvey::new(dynamodb.clone(), directory.clone());
        let stored = DynamoDirectory::new(dynamodb.clone(), directory.clone());
        Reconcile {
            reconciler: Reconciler {
                runs: DynamoRuns::new(dynamodb.clone(), settings.operations_table),
                records: DynamoRecords::new(dynamodb.clone(), profiles.clone()),
                provision: Provision {
                    profiles: DynamoProfiles::new(dynamodb.clone(), directory.clone(), profiles),
                    instance: settings.instance.clone(),
                    defaults: settings.defaults,
                    clock: clock.clone(),
                },
                cascade: Cascade {
                    directory: stored.clone(),
                    survey: survey.clone(),
                    members: DynamoMembers::new(dynamodb.clone(), directory),
                    instance: settings.instance.clone(),
                    deletion: settings.deletion,
                    clock: clock.clone(),
                },
                survey,
                applier: Applier { directory: stored, clerk, instance: settings.instance },
                deletion: settings.deletion,
                mirror: settings.mirror,
                policy: settings.mode,
                rate_share: settings.rate_share,
                writes_back: settings.writes_back,
                clock,
            },
        }
    }

    /// Whether its runs may write.
    #[must_use]
    pub fn policy(&self) -> Mode {
        self.reconciler.policy
    }

    /// What its runs remember.
    #[must_use]
    pub fn runs(&self) -> &DynamoRuns {
        &self.reconciler.runs
    }

    /// Does what is ordered, until `until` at the latest, and shows the run to `watch` after each step.
    ///
    /// # Errors
    ///
    /// [`ReconcileError`]: the same order goes on from where it stopped.
    pub async fn run(&self, order: &Order, until: Option<Millis>, watch: Watch<'_>) -> Result<Report, ReconcileError> {
        // Boxed: with all that a page takes it is too large to be moved about.
        let ran = Box::pin(self.reconciler.run(order, until, watch)).await.map(Report::from);
        match &ran {
            Ok(report) => log(report),
            Err(failure @ ReconcileError::Foreign(_)) => error!(outcome = "refused", error = %failure, "reconcile"),
            Err(failure) => {
                let cause = std::error::Error::source(failure).map(ToString::to_string);
                error!(outcome = "failed", error = %failure, cause, "reconcile");
            }
        }
        ran
    }
}

fn log(report: &Report) {
    let Some(run) = &report.run else {
        let until = report.lease.as_ref().map(|lease| lease.until.get());
        return warn!(outcome = "busy", until, "reconcile");
    };
    let outcome = match report.state {
        Outcome::Done => "done",
        Outcome::Held => "held",
        Outcome::Incomplete => "incomplete",
        Outcome::Continue => "continue",
        Outcome::Busy => "busy",
    };
    let total = run.total();
    let drift = total.drift;
    info!(
        outcome,
        run = %run.run,
        in_step = run.is_in_step(),
        seen = run.seen(),
        unchanged = total.unchanged,
        created = total.created,
        updated = total.updated,
        deleted = total.deleted,
        ended = total.ended,
        held = total.held,
        missing = drift.missing,
        outdated = drift.outdated,
        behind = drift.behind,
        tied = drift.tied,
        absent = drift.absent,
        orphaned = drift.orphaned,
        conflict = drift.conflict,
        ahead = drift.ahead,
        unproven = drift.unproven,
        unreadable = drift.unreadable,
        unmirrored = drift.unmirrored,
        profiles = run.undone.profiles,
        tombstones = run.undone.tombstones,
        links = run.undone.links,
        link_conflicts = run.undone.conflicts,
        left = run.undone.left,
        clerk_calls = run.cost.clerk_calls,
        read_units = run.cost.read_units,
        write_units = run.cost.write_units,
        milliseconds = run.cost.milliseconds,
        "reconcile"
    );
}

/// The function as a service over Lambda's own events, whatever they hold.
pub fn service(
    reconcile: Arc<Reconcile>,
) -> impl Service<LambdaEvent<Value>, Response = Report, Error = Error, Future: Send> + Clone {
    service_fn(move |event: LambdaEvent<Value>| {
        let reconcile = reconcile.clone();
        async move {
            let reserve = u64::try_from(RESERVE.as_millis()).unwrap_or(u64::MAX);
            let until = event.context.deadline.saturating_sub(reserve);
            let until = i64::try_from(until).ok().and_then(|until| Millis::try_from(until).ok());
            Ok(reconcile.run(&Order::Run(reconcile.policy()), until, &|_| ()).await?)
        }
    })
}
