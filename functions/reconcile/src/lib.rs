//! The reconcile function: on each scheduled call, continues a run or carries out due purges, and returns a report.
//!
//! [`settings`] reads its settings. `main.rs` runs it on Lambda; the command line, the local stack and the tests call
//! it directly.

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
use rollcall::services::reconcile::{MAX_LINKS, ReconcileError, Reconciler, Tell, Watch};
pub use rollcall::services::reconcile::{Order, RunResult};
use serde::Serialize;
use serde_json::Value;
use tracing::{error, info, warn};

use crate::settings::Settings;

/// The function's entry in the registry.
pub const FUNCTION: Function =
    Function { name: "reconcile", log_target: env!("CARGO_CRATE_NAME"), routes: &[], groups: settings::GROUPS };

/// An invocation starts no new step in the last minute before its end. A step takes less, unless Clerk or DynamoDB have
/// problems. A killed invocation loses no data either, but the next one must wait until its lease expires.
pub const RESERVE: Duration = Duration::from_mins(1);

/// The function and everything that is reused by later invocations.
pub struct Reconcile {
    reconciler: Reconciler,
}

/// The result of an invocation. The state machine decides by it whether to call again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The run is finished. Its drift says whether differences remain.
    Done,
    /// The run is finished, and deletions are pending approval.
    PendingApproval,
    /// The run is finished, but some entities could not be compared.
    Incomplete,
    /// The invocation ran out of time: call again at once.
    Continue,
    /// Another run holds the lease: call again in a minute.
    Busy,
}

/// The report of an invocation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The result of the invocation.
    pub state: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<Run>,
    /// The lease of the other run, under [`Outcome::Busy`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    /// The report of an hourly purge.
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
    /// The function with its tables.
    pub fn new(settings: Settings, dynamodb: &Client, backups: Option<Backups>, clock: Clock) -> Reconcile {
        let basis = settings.basis();
        let stores = Stores::new(dynamodb, &settings.tables);
        let instance = settings.clerk.instance.clone();
        let deletions = Deletions::over(&stores, settings.removal, &instance, dynamodb, backups, clock.clone());
        let clerk = settings.clerk.api().verified(instance.clone());
        // The limits of a development instance, until Clerk has confirmed that it is a production instance.
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
                tell: None,
                clock,
            },
        }
    }

    /// The same with a limit for the write-backs of one run.
    #[must_use]
    pub fn with_max_links(self, max_links: u64) -> Reconcile {
        Reconcile { reconciler: Reconciler { max_links: Some(max_links), ..self.reconciler } }
    }

    /// The same for a run by an operator: it continues until all write-backs are done, and stops at once if Clerk
    /// cannot confirm to which instance the secret key belongs.
    #[must_use]
    pub fn by_hand(self) -> Reconcile {
        Reconcile { reconciler: Reconciler { max_links: None, insists: true, ..self.reconciler } }
    }

    /// The same, and `tell` receives each difference that a run finds.
    #[must_use]
    pub fn telling(self, tell: Tell) -> Reconcile {
        Reconcile { reconciler: Reconciler { tell: Some(tell), ..self.reconciler } }
    }

    /// Whether runs may write.
    pub fn policy(&self) -> Mode {
        self.reconciler.policy
    }

    /// The service behind the function, for commands that use a part of it.
    pub fn reconciler(&self) -> &Reconciler {
        &self.reconciler
    }

    /// The service for commands about one user, with the same tables and the same Clerk instance.
    pub fn into_operator(self) -> Operator {
        let Reconciler { stores, applier, provision, deletions, mirror, policy, clock, .. } = self.reconciler;
        Operator { stores, applier, provision, deletions, mirror, policy, clock }
    }

    /// The Operations table.
    pub fn operations(&self) -> &Operations {
        &self.reconciler.stores.operations
    }

    /// Carries out the order, until `until` at the latest, and passes the run to `watch` after each step.
    ///
    /// # Errors
    ///
    /// [`ReconcileError`]: the same order continues from where it stopped.
    pub async fn run(&self, order: &Order, until: Option<Millis>, watch: Watch<'_>) -> Result<Report, ReconcileError> {
        self.run_as(&Reconciler::new_holder(), order, until, watch).await
    }

    /// The same with a holder of the lease that the caller knows: after it has dropped this future it can release the
    /// lease.
    ///
    /// # Errors
    ///
    /// As [`Reconcile::run`].
    pub async fn run_as(
        &self,
        holder: &str,
        order: &Order,
        until: Option<Millis>,
        watch: Watch<'_>,
    ) -> Result<Report, ReconcileError> {
        // Boxed: the future contains a whole page and is too large to be moved.
        let ran = Box::pin(self.reconciler.run(order, holder, until.into(), watch)).await.map(Report::from);
        match &ran {
            Ok(report) => {
                log(report);
                count(report);
            }
            Err(failure @ ReconcileError::Clerk(ClerkError::Foreign(_))) => {
                error!(outcome = "refused", error = %failure, "the run failed");
            }
            Err(failure) => {
                let cause = std::error::Error::source(failure).map(ToString::to_string);
                error!(outcome = "failed", error = %failure, cause, "the run failed");
            }
        }
        if ran.is_err() {
            metrics::failed();
        }
        ran
    }
}

impl Reconcile {
    /// Purges users whose grace period is over, until `until` at the latest.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: the next hourly purge continues from where this one stopped.
    pub async fn purge_due(&self, until: Option<Millis>) -> Result<Report, StoreError> {
        if self.policy() == Mode::Report {
            return Ok(Report { state: Outcome::Done, run: None, lease: None, purges: Some(PurgeReport::default()) });
        }
        match Box::pin(self.reconciler.deletions.purge_due(until.into())).await {
            Ok(report) => {
                let (state, outcome) = match (report.out_of_time, report.failed) {
                    (true, _) => (Outcome::Continue, "continue"),
                    (false, 0) => (Outcome::Done, "done"),
                    (false, _) => (Outcome::Incomplete, "incomplete"),
                };
                info!(
                    outcome,
                    purged = report.purged,
                    rows = report.rows,
                    restored = report.restored,
                    obsolete = report.obsolete,
                    failed = report.failed,
                    missing_tables = report.missing_tables.join(","),
                    expired_backups = report.expired_backups,
                    "an invocation of the hourly purge finished"
                );
                if !report.out_of_time {
                    metrics::purges_left(report.failed);
                }
                Ok(Report { state, run: None, lease: None, purges: Some(report) })
            }
            Err(failure) => {
                let cause = std::error::Error::source(&failure).map(ToString::to_string);
                error!(outcome = "failed", error = %failure, cause, "the hourly purge failed");
                metrics::failed();
                Err(failure)
            }
        }
    }
}

fn log(report: &Report) {
    let Some(run) = &report.run else {
        let until = report.lease.as_ref().map(|lease| lease.until.get());
        return warn!(outcome = "busy", until, "another run holds the lease");
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

/// The function as a service for Lambda's events: `{"order":"purge_due"}` starts an hourly purge, every other event
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
