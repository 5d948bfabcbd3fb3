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
use rollcall::adapters::aws::backups::Backups;
use rollcall::adapters::clerk::error::ClerkError;
use rollcall::adapters::dynamo::error::StoreError;
use rollcall::adapters::dynamo::operations::Operations;
use rollcall::adapters::dynamo::operations::runs::Lease;
use rollcall::adapters::dynamo::stores::Stores;
use rollcall::adapters::lambda::function::Function;
use rollcall::adapters::lambda::metrics;
use rollcall::adapters::lambda::metrics::Finished;
use rollcall::core::millis::Clock;
use rollcall::core::millis::Millis;
use rollcall::core::reconcile::rate_limiter::RateLimiter;
use rollcall::core::reconcile::run::{Mode, Run, RunState};
use rollcall::services::apply::Applier;
use rollcall::services::deletion::{Deletions, PurgeReport};
use rollcall::services::operator::Operator;
use rollcall::services::provision::Provision;
use rollcall::services::reconcile::{MAX_LINKS, ReconcileError, Reconciler, Watch};
pub use rollcall::services::reconcile::{Order, RunResult};
use serde::Serialize;
use serde_json::Value;
use tracing::{error, info, warn};

use crate::settings::Settings;

/// The entry of this function in the registry of functions.
pub const FUNCTION: Function =
    Function { name: "reconcile", log_target: env!("CARGO_CRATE_NAME"), routes: &[], groups: settings::GROUPS };

/// How long before its end an invocation begins nothing more: longer than a page takes, unless Clerk or the store are
/// in
/// trouble. An invocation that is killed loses nothing either, but its lease must end before another one begins.
pub const RESERVE: Duration = Duration::from_mins(1);

/// The function, with everything that outlives an invocation.
pub struct Reconcile {
    reconciler: Reconciler,
}

/// What became of an invocation: what the state machine that makes it goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The run is over, and nothing is left to do but what its drift says.
    Done,
    /// The run is over, but for deletions that wait for an operator.
    PendingApproval,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<Run>,
    /// Who keeps it from running.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    /// What a settling did, if it was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purges: Option<PurgeReport>,
}

impl From<RunResult> for Report {
    fn from(answer: RunResult) -> Report {
        match answer {
            RunResult::Busy(lease) => Report { state: Outcome::Busy, run: None, lease: Some(lease), purges: None },
            RunResult::Ran(run) => {
                let state = match run.state {
                    RunState::Running => Outcome::Continue,
                    RunState::PendingApproval => Outcome::PendingApproval,
                    RunState::Incomplete => Outcome::Incomplete,
                    RunState::Done => Outcome::Done,
                };
                Report { state, run: Some(*run), lease: None, purges: None }
            }
        }
    }
}

impl Reconcile {
    /// The function over its tables.
    pub fn new(settings: Settings, dynamodb: &Client, backups: Option<Backups>, clock: Clock) -> Reconcile {
        let basis = settings.basis();
        let stores = Stores::new(dynamodb, &settings.tables);
        let instance = settings.clerk.instance.clone();
        let deletions = Deletions::over(&stores, settings.removal, &instance, dynamodb, backups, clock.clone());
        let clerk = settings.clerk.api().verified(instance.clone());
        // Until Clerk has said that the instance is one in production.
        let clerk = clerk.patient(RateLimiter::share(settings.rate_share, false));
        Reconcile {
            reconciler: Reconciler {
                provision: Provision {
                    profiles: stores.profiles.clone(),
                    instance: instance.clone(),
                    defaults: settings.defaults,
                    clock: clock.clone(),
                },
                deletions,
                applier: Applier { directory: stores.directory.clone(), clerk, instance, roles: settings.mirror.roles },
                mirror: settings.mirror.is_on,
                basis,
                policy: settings.mode,
                rate_share: settings.rate_share,
                writes_back: settings.writes_back,
                max_links: Some(MAX_LINKS),
                stores,
                insists: false,
                clock,
            },
        }
    }

    /// The same with so many write-backs in a run at most.
    #[must_use]
    pub fn with_max_links(self, max_links: u64) -> Reconcile {
        Reconcile { reconciler: Reconciler { max_links: Some(max_links), ..self.reconciler } }
    }

    /// The same for somebody who looks on: a run goes on until all write-backs are done, and does nothing before Clerk
    /// has said
    /// whose the key is.
    #[must_use]
    pub fn by_hand(self) -> Reconcile {
        Reconcile { reconciler: Reconciler { max_links: None, insists: true, ..self.reconciler } }
    }

    /// Whether its runs may write.
    pub fn policy(&self) -> Mode {
        self.reconciler.policy
    }

    /// The services behind it, for the commands that do a part of what it does.
    pub fn reconciler(&self) -> &Reconciler {
        &self.reconciler
    }

    /// What an operator does about one user, over the same tables and the same Clerk.
    pub fn into_operator(self) -> Operator {
        let Reconciler { stores, applier, deletions, mirror, policy, clock, .. } = self.reconciler;
        Operator { stores, applier, deletions, mirror, policy, clock }
    }

    /// What its runs remember.
    pub fn operations(&self) -> &Operations {
        &self.reconciler.stores.operations
    }

    /// Does what is ordered, until `until` at the latest, and shows the run to `watch` after each step.
    ///
    /// # Errors
    ///
    /// [`ReconcileError`]: the same order goes on from where it stopped.
    pub async fn run(&self, order: &Order, until: Option<Millis>, watch: Watch<'_>) -> Result<Report, ReconcileError> {
        // Boxed: with all that a page takes it is too large to be moved about.
        let ran = Box::pin(self.reconciler.run(order, until.into(), watch)).await.map(Report::from);
        match &ran {
            Ok(report) => {
                log(report);
                count(report);
            }
            Err(failure @ ReconcileError::Clerk(ClerkError::Foreign(_))) => {
                error!(outcome = "refused", error = %failure, "reconcile");
            }
            Err(failure) => {
                let cause = std::error::Error::source(failure).map(ToString::to_string);
                error!(outcome = "failed", error = %failure, cause, "reconcile");
            }
        }
        if ran.is_err() {
            metrics::failed();
        }
        ran
    }
}

impl Reconcile {
    /// Removes what deletions leave until the end of their grace period, as far as that is over; until `until` at the
    /// latest.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: the next settling goes on from where it stopped.
    pub async fn purge_due(&self, until: Option<Millis>) -> Result<Report, StoreError> {
        if self.policy() == Mode::Report {
            return Ok(Report { state: Outcome::Done, run: None, lease: None, purges: Some(PurgeReport::default()) });
        }
        match Box::pin(self.reconciler.deletions.purge_due(until.into())).await {
            Ok(settled) => {
                let (state, outcome) = match (settled.out_of_time, settled.left) {
                    (true, _) => (Outcome::Continue, "continue"),
                    (false, 0) => (Outcome::Done, "done"),
                    (false, _) => (Outcome::Incomplete, "incomplete"),
                };
                info!(
                    outcome,
                    purged = settled.purged,
                    rows = settled.rows,
                    dropped = settled.dropped,
                    left = settled.left,
                    missing_tables = settled.missing_tables.join(","),
                    expired_backups = settled.expired_backups,
                    "purge_due"
                );
                if !settled.out_of_time {
                    metrics::purges_left(settled.left);
                }
                Ok(Report { state, run: None, lease: None, purges: Some(settled) })
            }
            Err(failure) => {
                let cause = std::error::Error::source(&failure).map(ToString::to_string);
                error!(outcome = "failed", error = %failure, cause, "purge_due");
                metrics::failed();
                Err(failure)
            }
        }
    }
}

fn log(report: &Report) {
    let Some(run) = &report.run else {
        let until = report.lease.as_ref().map(|lease| lease.until.get());
        return warn!(outcome = "busy", until, "reconcile");
    };
    let outcome = match report.state {
        Outcome::Done => "done",
        Outcome::PendingApproval => "pending_approval",
        Outcome::Incomplete => "incomplete",
        Outcome::Continue => "continue",
        Outcome::Busy => "busy",
    };
    let total = run.total();
    let drift = total.drift;
    info!(
        outcome,
        run = %run.run,
        in_sync = run.is_in_sync(),
        seen = run.seen(),
        unchanged = total.unchanged,
        created = total.created,
        updated = total.updated,
        deleted = total.deleted,
        cascade_deleted = total.cascade_deleted,
        pending_approval = total.pending_approval,
        unconfirmed = total.unconfirmed,
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
        profiles = run.effects.profiles,
        tombstones = run.effects.tombstones,
        links = run.effects.links,
        linked = run.effects.linked,
        backlog = run.effects.backlog,
        link_conflicts = run.effects.conflicts,
        left = run.effects.left,
        waiting = run.effects.waiting,
        purged = run.effects.purged,
        clerk_calls = run.cost.clerk_calls,
        read_units = run.cost.read_units,
        write_units = run.cost.write_units,
        milliseconds = run.cost.milliseconds,
        "reconcile"
    );
}

fn count(report: &Report) {
    let Some(run) = report.run.as_ref().filter(|_| report.state != Outcome::Continue) else { return };
    let total = run.total();
    metrics::run_finished(&Finished {
        drift: total.drift,
        healed: total.created + total.updated + total.deleted + total.cascade_deleted,
        pending_approval: total.pending_approval,
        in_sync: run.is_in_sync(),
    });
}

/// The function as a service over Lambda's own events: `{"order":"purge_due"}` purges what is due, every other event
/// starts a run.
pub fn service(
    reconcile: Arc<Reconcile>,
) -> impl Service<LambdaEvent<Value>, Response = Report, Error = Error, Future: Send> + Clone {
    service_fn(move |event: LambdaEvent<Value>| {
        let reconcile = reconcile.clone();
        async move {
            let reserve = u64::try_from(RESERVE.as_millis()).unwrap_or(u64::MAX);
            let until = event.context.deadline.saturating_sub(reserve);
            let until = i64::try_from(until).ok().and_then(|until| Millis::try_from(until).ok());
            if event.payload.get("order").and_then(Value::as_str) == Some("purge_due") {
                return Ok(reconcile.purge_due(until).await?);
            }
            Ok(reconcile.run(&Order::Run(reconcile.policy()), until, &|_| ()).await?)
        }
    })
}
