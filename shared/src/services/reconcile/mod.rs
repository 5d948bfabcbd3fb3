//! Reconcile: lists Clerk's entities, repairs the Directory, and deletes entities that Clerk confirms to be absent.
//!
//! A run is a sequence of steps, each about one page. After each step the row of the run is saved, so a run that is
//! interrupted continues from there. `listing` lists Clerk's entities, `search` finds absence candidates, `confirm`
//! confirms absences, `effects` completes pending effects.

mod confirm;
mod effects;
mod listing;
mod search;

use std::collections::HashSet;
use std::sync::Arc;

pub use effects::MAX_LINKS;
use thiserror::Error;

use super::apply::{Applied, Applier, ApplyError, NotApplied};
use super::deletion::Deletions;
use super::provision::Provision;
use crate::adapters::clerk::error::ClerkError;
use crate::adapters::dynamo::error::StoreError;
use crate::adapters::dynamo::operations::runs::{CandidatePage, Lease};
use crate::adapters::dynamo::stores::Stores;
use crate::core::explain::reason::Reason;
use crate::core::id::{EntityId, InstanceId, Kind, PerKind};
use crate::core::millis::Clock;
use crate::core::millis::{Deadline, Millis};
use crate::core::mirror::decide::Evidence;
use crate::core::mirror::item::{Provenance, Writer};
use crate::core::mirror::rule::Outcome;
use crate::core::reconcile::basis::Basis;
use crate::core::reconcile::difference::Difference;
use crate::core::reconcile::listed::ListedSet;
use crate::core::reconcile::phase::Phase;
use crate::core::reconcile::rate_limiter::RateLimiter;
use crate::core::reconcile::run::{Mode, Run, RunState, TOO_OLD_TO_APPROVE};
use crate::core::reconcile::run_id::RunId;

/// Receives each difference that a run finds. A step that is repeated names its differences again.
pub type Tell = Arc<dyn Fn(&EntityId, Difference) + Send + Sync>;

/// Receives the run after each step.
pub type Watch<'a> = &'a (dyn Fn(&Run) + Send + Sync);

/// Maximum number of recent runs in which an interrupted run is searched: runs of the other mode may be newer.
const MAX_RECENT: i32 = 10;
/// The lease is renewed when so much of it has passed, in ms.
const RENEW_AFTER: u64 = 60 * 1000;
/// Maximum number of concurrent requests to DynamoDB.
const CONCURRENCY: usize = 16;
/// No event asked for these entities, so any state of Clerk is accepted.
pub(super) const NO_EVIDENCE: Evidence = Evidence::Undated { ended: false };

pub struct Reconciler {
    /// Applies states to the Directory and fetches entities from Clerk, with retries.
    pub applier: Applier,
    pub stores: Stores,
    /// Creates missing records.
    pub provision: Provision,
    /// Completes the effects of deletions.
    pub deletions: Deletions,
    /// Whether ids and roles are written back to Clerk.
    pub writes_back: bool,
    /// Maximum number of write-backs in one run; without it, all are done.
    pub max_links: Option<u64>,
    /// Whether a run stops at once if Clerk cannot confirm to which instance the secret key belongs: an operator is
    /// waiting for the result.
    pub insists: bool,
    /// Whether live users and memberships are stored.
    pub mirror: bool,
    /// The settings that decide what a run writes, by the names of their variables.
    pub basis: Basis,
    /// Whether the settings allow writes.
    pub policy: Mode,
    /// The share of Clerk's rate limit that may be used, in percent.
    pub rate_share: u8,
    /// Who is told the differences, if anybody is.
    pub tell: Option<Tell>,
    /// The clock.
    pub clock: Clock,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// A run of this mode: the interrupted one, if there is one, else a new one.
    Run(Mode),
    /// The rest of a run whose deletions were pending approval. Each absence is confirmed again before the deletion.
    Approve(RunId),
}

/// The result of an order.
#[derive(Clone, Debug, PartialEq)]
pub enum RunResult {
    /// Nothing was done: another run holds the lease.
    Busy(Lease),
    /// A run. If it is still running, its time was over: the same order continues it.
    Ran(Box<Run>),
}

/// Why a run stopped. Its results stay, and the same order continues from there.
#[derive(Debug, Error)]
pub enum ReconcileError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The request to Clerk failed.
    #[error(transparent)]
    Clerk(#[from] ClerkError),
    /// Another run took the lease over: a step took longer than a lease is valid.
    #[error("this run lost its lease to another run, because a step took longer than the lease")]
    Overtaken,
    /// There is no such run.
    #[error("run {0} does not exist")]
    Unknown(RunId),
    /// The run has no pending deletions, or did not write.
    #[error("run {0} has no deletions that are pending approval")]
    NotPendingApproval(RunId),
    /// The run began under other settings.
    #[error("run {0} was started with other settings ({1}): approve the run with those settings, or start a new run")]
    OtherSettings(RunId, String),
    /// The settings allow no writes.
    #[error("RECONCILE_POLICY=report allows no writes, so deletions cannot be approved")]
    ReportOnly,
    /// The run is too old.
    #[error("run {0} is older than 7 days and can no longer be approved: start a new run")]
    TooOld(RunId),
}

/// The execution of a run.
struct RunExecutor<'a> {
    reconciler: &'a Reconciler,
    watch: Watch<'a>,
    run: Run,
    seen: PerKind<ListedSet>,
    /// The users and organizations that a run without writes would have deleted, after the first query.
    would_delete: Option<HashSet<EntityId>>,
    holder: &'a str,
    renewed_at: Millis,
    deadline: Deadline,
    /// The time and the number of requests up to which the cost is counted.
    counted: (Millis, u64),
}

impl Reconciler {
    /// A new holder of the lease: no two runs have the same.
    pub fn new_holder() -> String {
        format!("{:016x}", fastrand::u64(..))
    }

    /// Carries out the order as this holder of the lease, until the deadline by this machine's clock.
    ///
    /// # Errors
    ///
    /// [`ReconcileError`].
    pub async fn run(
        &self,
        order: &Order,
        holder: &str,
        deadline: Deadline,
        watch: Watch<'_>,
    ) -> Result<RunResult, ReconcileError> {
        let clerk = &self.applier.clerk;
        let (began, calls) = ((self.clock)(), clerk.calls());
        // First of all, because with the key of another instance all entities would look absent. If Clerk does not
        // confirm the instance, the steps that need no response of Clerk are done all the same.
        let clerk_error = match clerk.identify().await {
            Ok(instance) => {
                clerk.set_rate(&RateLimiter::share(self.rate_share, instance.is_production));
                None
            }
            // Without a response of Clerk nothing can be approved.
            Err(error) if self.insists || matches!(order, Order::Approve(_)) => return Err(error.into()),
            Err(error @ ClerkError::Foreign(_)) => return Err(error.into()),
            Err(error) => Some(error),
        };
        if let Some(lease) = self.stores.operations.acquire_lease(holder, (self.clock)()).await? {
            return Ok(RunResult::Busy(lease));
        }
        let ran = self.run_alone(order, deadline, watch, holder, (began, calls), clerk_error).await;
        // The next run need not wait until the lease expires.
        if let Err(error) = self.stores.operations.release_lease(holder).await {
            tracing::warn!(%error, "the lease cannot be released and stays until it expires");
        }
        Ok(RunResult::Ran(Box::new(ran?)))
    }

    async fn run_alone(
        &self,
        order: &Order,
        deadline: Deadline,
        watch: Watch<'_>,
        holder: &str,
        counted: (Millis, u64),
        clerk_error: Option<ClerkError>,
    ) -> Result<Run, ReconcileError> {
        let run = self.open(order, holder).await?;
        let mut seen = PerKind::<ListedSet>::default();
        if run.pages > 0 {
            for kind in Kind::ALL {
                seen.get_mut(kind).extend(self.stores.operations.listed(&run.run, kind).await?);
            }
        }
        let renewed_at = (self.clock)();
        let mut executor = RunExecutor {
            reconciler: self,
            watch,
            run,
            seen,
            would_delete: None,
            holder,
            renewed_at,
            deadline,
            counted,
        };
        // The steps that need no listing are done once in each invocation, whether the listing succeeds or not.
        let (mut was_put_off, mut failure) = (executor.run.later.is_some(), None);
        let is_unproven = clerk_error.is_some();
        if let Some(error) = clerk_error {
            tracing::warn!(%error, "Clerk is unavailable; effects that do not need Clerk are completed first");
            if executor.run.is_asking() {
                executor.run.put_off();
            }
            (was_put_off, failure) = (true, Some(error));
        }
        while executor.run.next != Phase::Done && !executor.is_out_of_time() {
            let before = executor.run.clone();
            if is_unproven && matches!(before.next, Phase::WriteBack { .. }) {
                // The instance of the key must be verified before a write to Clerk.
                match failure.take_if(|_| before.later.is_none()) {
                    Some(error) => return Err(error.into()),
                    None => executor.run.next = Phase::Done,
                }
            }
            match executor.step().await {
                Ok(()) => {}
                Err(ReconcileError::Clerk(ClerkError::Foreign(instance))) => {
                    self.note_foreign(&executor.run.run, &instance, holder).await;
                    return Err(ClerkError::Foreign(instance).into());
                }
                Err(ReconcileError::Clerk(error)) if before.is_asking() && !was_put_off => {
                    tracing::warn!(%error, "Clerk is unavailable; effects that do not need Clerk are completed first");
                    executor.run = before;
                    executor.run.put_off();
                    (was_put_off, failure) = (true, Some(error));
                }
                Err(ReconcileError::Clerk(error)) if failure.is_some() => {
                    // Clerk fails for the write-back, too.
                    tracing::warn!(%error, "the remaining write-backs were not done; the next run does them");
                    executor.run = before;
                    executor.run.next = Phase::Done;
                }
                Err(error) => return Err(error),
            }
            let is_back = executor.run.next == Phase::Done && executor.run.take_up();
            executor.checkpoint().await?;
            if let Some(error) = failure.take_if(|_| is_back) {
                return Err(error.into());
            }
        }
        Ok(executor.run)
    }

    /// Notes in the saved row of the run which instance's key has stopped it.
    async fn note_foreign(&self, run: &RunId, instance: &InstanceId, holder: &str) {
        let noted = async {
            let Some(mut kept) = self.stores.operations.run(run).await? else { return Ok(()) };
            kept.foreign = Some(instance.clone());
            self.stores.operations.save_run(&kept, holder).await.map(drop)
        };
        if let Err(error) = noted.await {
            let error: StoreError = error;
            tracing::warn!(%error, "the cause of the failure cannot be stored in the row of the run");
        }
    }

    /// The run of an order.
    async fn open(&self, order: &Order, holder: &str) -> Result<Run, ReconcileError> {
        let now = (self.clock)();
        match order {
            Order::Run(mode) => {
                let mode = if self.policy == Mode::Report { Mode::Report } else { *mode };
                let recent = self.stores.operations.latest_runs(MAX_RECENT).await?;
                let is_over = |run: &&Run| run.mode == Mode::Repair && run.state != RunState::Running;
                let backlog_before = recent.iter().find(is_over).map(|run| run.effects.backlog);
                if let Some(run) = recent.iter().find(|run| run.can_resume(mode, &self.basis, now)) {
                    let run = run.clone().resume();
                    self.stores.operations.open_run(&run, holder, false).await?;
                    return Ok(run);
                }
                let instead_of = Run::passed_over(&recent, mode, &self.basis, now);
                if let Some(other) = &instead_of {
                    let settings = other.settings.join(",");
                    tracing::info!(
                        run = %other.run,
                        settings,
                        "an interrupted run was started with other settings; a new run is started"
                    );
                }
                let mut start = now;
                loop {
                    let (basis, instead_of) = (self.basis.clone(), instead_of.clone());
                    let run = Run { basis, instead_of, backlog_before, ..Run::begin(start, mode, self.mirror) };
                    if self.stores.operations.open_run(&run, holder, true).await? {
                        return Ok(run);
                    }
                    start = start.next();
                }
            }
            Order::Approve(_) if self.policy == Mode::Report => Err(ReconcileError::ReportOnly),
            Order::Approve(id) => {
                let run = self.stores.operations.run(id).await?.ok_or_else(|| ReconcileError::Unknown(id.clone()))?;
                let is_interrupted = run.state == RunState::Running && run.approved;
                if (run.state != RunState::PendingApproval && !is_interrupted) || run.mode == Mode::Report {
                    return Err(ReconcileError::NotPendingApproval(id.clone()));
                }
                if now.since(run.started_at) > TOO_OLD_TO_APPROVE {
                    return Err(ReconcileError::TooOld(id.clone()));
                }
                let changed = run.changed_settings(&self.basis);
                if !changed.is_empty() {
                    return Err(ReconcileError::OtherSettings(id.clone(), changed.join(", ")));
                }
                let run = if is_interrupted { run } else { run.approve() };
                self.stores.operations.open_run(&run, holder, false).await?;
                Ok(run)
            }
        }
    }

    pub(super) fn provenance(&self, writer: Writer) -> Provenance {
        Provenance { applied_at: (self.clock)(), applied_by: writer, delivery_id: None }
    }
}

impl RunExecutor<'_> {
    async fn step(&mut self) -> Result<(), ReconcileError> {
        match self.run.next.clone() {
            Phase::Users { after, since } => self.list_users(after, since).await,
            Phase::Listed { kind, offset } => self.list(kind, offset).await,
            Phase::Search { from } => self.search(from.as_ref()).await,
            Phase::Screen { kind, after } => self.screen(kind, after.as_ref()).await,
            Phase::Confirm { kind, after } => self.confirm(kind, after.as_ref()).await,
            Phase::Effects { from } => self.complete_effects(from.as_ref()).await,
            Phase::WriteBack { after } => self.link(after.as_ref()).await,
            Phase::Done => Ok(()),
        }
    }

    /// Saves the row of the run: all earlier results are stored.
    async fn checkpoint(&mut self) -> Result<(), ReconcileError> {
        self.beat().await?;
        let (now, calls) = ((self.reconciler.clock)(), self.reconciler.applier.clerk.calls());
        self.run.cost.milliseconds += now.since(self.counted.0);
        self.run.cost.clerk_calls += calls - self.counted.1;
        self.counted = (now, calls);
        if self.run.next == Phase::Done {
            self.run.finish(now);
        }
        let units = self.reconciler.stores.operations.save_run(&self.run, self.holder).await?;
        // These units are counted in the next save.
        self.run.cost.write_units += units.ok_or(ReconcileError::Overtaken)?;
        (self.watch)(&self.run);
        Ok(())
    }

    fn is_out_of_time(&self) -> bool {
        self.deadline.is_over((self.reconciler.clock)())
    }

    /// Renews the lease in time.
    async fn beat(&mut self) -> Result<(), ReconcileError> {
        let now = (self.reconciler.clock)();
        if now.since(self.renewed_at) >= RENEW_AFTER {
            if self.reconciler.stores.operations.acquire_lease(self.holder, now).await?.is_some() {
                return Err(ReconcileError::Overtaken);
            }
            self.renewed_at = now;
        }
        Ok(())
    }

    /// The outcome for an entity, with its cost counted. An entity without an outcome does not end the run.
    fn outcome_of(
        &mut self,
        id: &EntityId,
        applied: Result<Applied, NotApplied>,
    ) -> Result<Option<Outcome>, ReconcileError> {
        let kind = id.kind();
        let failure = match applied {
            Ok(applied) => {
                self.run.cost.write_units += applied.units;
                return Ok(Some(applied.outcome));
            }
            Err(failure) => failure.error,
        };
        match failure {
            // DynamoDB rejects this row; the others are not affected.
            ApplyError::Store(StoreError::Rejected(code, _)) if code == "ValidationException" => {
                let reason = Reason::StoreRejected.name();
                tracing::error!(entity = kind.name(), %id, reason, code, "DynamoDB rejected the row of an entity");
                self.tell(id, Difference::Unreadable);
                self.run.tally.get_mut(kind).drift.unreadable += 1;
                Ok(None)
            }
            ApplyError::Store(error) => Err(error.into()),
            ApplyError::Clerk(error) if !error.concerns_one() => Err(error.into()),
            error => {
                let (entity, reason) = (kind.name(), error.reason().name());
                tracing::warn!(entity, %id, reason, %error, "an entity cannot be processed; the next run tries again");
                self.tell(id, Difference::Unproven);
                self.run.tally.get_mut(kind).drift.unproven += 1;
                Ok(None)
            }
        }
    }

    fn tell(&self, entity: &EntityId, difference: Difference) {
        if let Some(tell) = &self.reconciler.tell {
            tell(entity, difference);
        }
    }

    /// The pages of absences about which Clerk is asked one by one.
    fn absences(&self) -> CandidatePage {
        if self.run.approved { CandidatePage::Approved } else { CandidatePage::Absent }
    }

    fn writes(&self) -> bool {
        self.run.mode == Mode::Repair
    }
}

fn count(items: usize) -> u64 {
    u64::try_from(items).unwrap_or(u64::MAX)
}
