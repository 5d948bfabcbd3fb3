//! Applies a state by the rule: writes it conditionally, and asks Clerk where only Clerk's state decides.

use thiserror::Error;
use tokio::time::{Instant, timeout_at};

use crate::adapters::clerk::api::ClerkApi;
use crate::adapters::clerk::error::ClerkError;
use crate::adapters::dynamo::directory::Directory;
use crate::adapters::dynamo::directory::write::Put;
use crate::adapters::dynamo::error::StoreError;
use crate::adapters::lambda::metrics;
use crate::core::clerk::objects::Entity;
use crate::core::explain::reason::Reason;
use crate::core::id::{EntityId, InstanceId};
use crate::core::mirror::decide;
use crate::core::mirror::decide::{Evidence, Next, Write};
use crate::core::mirror::item::Item;
use crate::core::mirror::projection::Context;
use crate::core::mirror::rank::Rank;
use crate::core::mirror::roles::Roles;
use crate::core::mirror::rule::Outcome;

/// Maximum number of steps (a write, or a request to Clerk) before the state is left to a later attempt: a write fails
/// only because another writer has changed the same entity.
const MAX_ROUNDS: usize = 7;

/// The dependencies of applying a state.
#[derive(Debug)]
pub struct Applier {
    /// The Directory.
    pub directory: Directory,
    pub clerk: ClerkApi,
    /// The configured instance.
    pub instance: InstanceId,
    /// The allowed roles.
    pub roles: Roles,
}

/// The result of applying a state.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// The outcome.
    pub outcome: Outcome,
    /// The stored row, as far as it was read; nothing if there is none.
    pub item: Option<Item>,
    /// The rank that was offered last.
    pub rank: Option<Rank>,
    /// Write units used.
    pub units: f64,
    /// Requests to Clerk.
    pub clerk_calls: u32,
    /// Whether Clerk has the entity; nothing if Clerk was not asked.
    pub in_clerk: Option<bool>,
}

/// Why a state was not applied, with what is known.
#[derive(Debug, Error)]
#[error("{error}")]
pub struct NotApplied {
    pub error: ApplyError,
    /// The stored row that was read last.
    pub stored: Option<Item>,
    /// The rank that was offered last.
    pub rank: Option<Rank>,
    /// Requests to Clerk.
    pub clerk_calls: u32,
}

/// Why a state could not be applied.
#[derive(Debug, Error)]
pub enum ApplyError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A request to Clerk was necessary and failed.
    #[error(transparent)]
    Clerk(#[from] ClerkError),
    /// Clerk returned an older state than that of the event, as a lagging replica does.
    #[error("Clerk returned an older state of the entity than the event has (replica lag)")]
    Behind,
    /// A membership was deleted, but neither the event nor Clerk contains its generation.
    #[error("the generation of the deleted membership is unknown: neither the event nor Clerk has its created_at")]
    Undated,
    /// Other writers have changed the row at every attempt.
    #[error("other writers changed the Directory row at every attempt")]
    Contended,
}

impl ApplyError {
    /// The error in the log and in explanations.
    pub fn reason(&self) -> Reason {
        match self {
            ApplyError::Store(error) => error.reason(),
            ApplyError::Clerk(error) => error.reason(),
            ApplyError::Behind => Reason::ClerkBehind,
            ApplyError::Undated => Reason::Undated,
            ApplyError::Contended => Reason::Contended,
        }
    }
}

impl Applied {
    fn failed(self, error: ApplyError) -> NotApplied {
        NotApplied { error, stored: self.item, rank: self.rank, clerk_calls: self.clerk_calls }
    }
}

impl Applier {
    /// Continues with `next` until the outcome is final. `stored` is the row that is known to be stored. After `until`,
    /// a missing response of Clerk counts as a failure; without `until` only the client's own time limit applies.
    ///
    /// # Errors
    ///
    /// [`NotApplied`]: except for [`ApplyError::Undated`], a retry may succeed.
    pub async fn apply(
        &self,
        entity: &EntityId,
        mut next: Next,
        stored: Option<Item>,
        said: &Evidence,
        context: &Context<'_>,
        until: Option<Instant>,
    ) -> Result<Applied, NotApplied> {
        let mut so_far = Applied {
            outcome: Outcome::Superseded,
            item: stored,
            rank: None,
            units: 0.0,
            clerk_calls: 0,
            in_clerk: None,
        };
        for _ in 0..MAX_ROUNDS {
            let step = match next {
                Next::Settled(outcome) => return Ok(Applied { outcome, ..so_far }),
                Next::Again(write) => self.write(*write, &mut so_far, context).await.map_err(ApplyError::from),
                Next::Fetch => {
                    so_far.clerk_calls += 1;
                    let found = self.ask(entity, until).await;
                    so_far.in_clerk = found.as_ref().ok().map(Option::is_some);
                    found.map(|found| decide::fetched(found, so_far.item.as_ref(), said, context)).map_err(Into::into)
                }
                Next::Wait => Err(ApplyError::Behind),
                Next::Undated => Err(ApplyError::Undated),
            };
            next = match step {
                Ok(next) => next,
                Err(error) => return Err(so_far.failed(error)),
            };
        }
        Err(so_far.failed(ApplyError::Contended))
    }

    async fn write(&self, write: Write, so_far: &mut Applied, context: &Context<'_>) -> Result<Next, StoreError> {
        so_far.rank = Some(write.item.rank);
        match self.directory.put(&write.item, &write.guard).await? {
            Put::Applied { units } => {
                so_far.units += units;
                if self.roles.miss(&write.item) {
                    metrics::unknown_role();
                }
                so_far.item = Some(write.item);
                Ok(Next::Settled(Outcome::Applied))
            }
            Put::ConditionFailed(found) => {
                so_far.item = found.map(|item| *item);
                Ok(decide::refused(&write, so_far.item.as_ref(), context))
            }
        }
    }

    /// Fetches an entity from Clerk, until `until` if it is given. If the client uses verified keys only, the response
    /// is proven to come from this instance.
    ///
    /// # Errors
    ///
    /// [`ClerkError`]; a missing response is [`ClerkError::Unavailable`].
    pub async fn ask(&self, entity: &EntityId, until: Option<Instant>) -> Result<Option<Entity>, ClerkError> {
        let answer = self.clerk.fetch_proven(entity);
        match until {
            None => answer.await,
            Some(until) => timeout_at(until, answer).await.unwrap_or(Err(ClerkError::Unavailable(None))),
        }
    }
}
