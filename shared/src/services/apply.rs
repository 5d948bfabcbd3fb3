//! Applies a state by the rule: write, and where only Clerk can say, ask Clerk and write what it answers.

use thiserror::Error;
use tokio::time::{Instant, timeout_at};

use crate::adapters::clerk::api::ClerkApi;
use crate::adapters::clerk::error::ClerkError;
use crate::adapters::dynamo::directory::Directory;
use crate::adapters::dynamo::directory::write::Put;
use crate::adapters::dynamo::error::StoreError;
use crate::adapters::lambda::metrics;
use crate::core::clerk::objects::Entity;
use crate::core::id::{EntityId, InstanceId};
use crate::core::mirror::decide;
use crate::core::mirror::decide::{Evidence, Next, Write};
use crate::core::mirror::item::Item;
use crate::core::mirror::projection::Context;
use crate::core::mirror::rank::Rank;
use crate::core::mirror::roles::Roles;
use crate::core::mirror::rule::Outcome;

/// Rounds of write and question before the entity is left to a later attempt: each round is lost only to another
/// writer of the same entity.
const MAX_ROUNDS: usize = 7;

/// What applying a state needs.
#[derive(Debug)]
pub struct Applier {
    /// Where states are kept.
    pub directory: Directory,
    pub clerk: ClerkApi,
    /// Whose copy this is.
    pub instance: InstanceId,
    /// Which names are roles.
    pub roles: Roles,
}

/// What became of a state.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// What became of it.
    pub outcome: Outcome,
    /// What the Directory holds now, as far as this has seen it; nothing if there is nothing.
    pub item: Option<Item>,
    /// The rank that was offered last.
    pub rank: Option<Rank>,
    /// Write units used.
    pub units: f64,
    /// Questions put to Clerk.
    pub clerk_calls: u32,
}

/// A state that could not be applied.
#[derive(Debug, Error)]
#[error("{error}")]
pub struct NotApplied {
    pub error: ApplyError,
    /// What the Directory was last seen to hold.
    pub stored: Option<Item>,
    /// Questions put to Clerk.
    pub clerk_calls: u32,
}

/// Why a state could not be applied.
#[derive(Debug, Error)]
pub enum ApplyError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Only Clerk could have said, and did not.
    #[error(transparent)]
    Clerk(#[from] ClerkError),
    /// Clerk answered with a state older than the one that asked, as a lagging replica does.
    #[error("Clerk's answer is older than its event")]
    Behind,
    /// A membership ended, but neither the event nor Clerk says of which generation it was.
    #[error("the end of a membership is not dated")]
    Undated,
    /// Other writers were faster, every time.
    #[error("the entity is changing too fast")]
    Contended,
}

impl Applied {
    fn failed(self, error: ApplyError) -> NotApplied {
        NotApplied { error, stored: self.item, clerk_calls: self.clerk_calls }
    }
}

impl Applier {
    /// Goes on from `next` until it is known what becomes of the entity. `stored` is the item that is known to be there,
    /// `until` the moment after which Clerk's silence counts as none; without one its own limit holds.
    ///
    /// # Errors
    ///
    /// [`NotApplied`]: but for [`ApplyError::Undated`], nothing is lost if the same is tried again.
    pub async fn apply(
        &self,
        entity: &EntityId,
        mut next: Next,
        stored: Option<Item>,
        said: &Evidence,
        context: &Context<'_>,
        until: Option<Instant>,
    ) -> Result<Applied, NotApplied> {
        let mut so_far = Applied { outcome: Outcome::Superseded, item: stored, rank: None, units: 0.0, clerk_calls: 0 };
        for _ in 0..MAX_ROUNDS {
            let step = match next {
                Next::Settled(outcome) => return Ok(Applied { outcome, ..so_far }),
                Next::Again(write) => self.write(*write, &mut so_far, context).await.map_err(ApplyError::from),
                Next::Fetch => {
                    so_far.clerk_calls += 1;
                    let found = self.ask(entity, until).await;
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
            Put::Refused(found) => {
                so_far.item = found.map(|item| *item);
                Ok(decide::refused(&write, so_far.item.as_ref(), context))
            }
        }
    }

    /// Asks Clerk for an entity, until a moment if there is one. If the client is one instance's alone, the answer is proven
    /// to be that instance's.
    ///
    /// # Errors
    ///
    /// [`ClerkError`]; silence is [`ClerkError::Unavailable`].
    pub async fn ask(&self, entity: &EntityId, until: Option<Instant>) -> Result<Option<Entity>, ClerkError> {
        let answer = self.clerk.fetch_proven(entity);
        match until {
            None => answer.await,
            Some(until) => timeout_at(until, answer).await.unwrap_or(Err(ClerkError::Unavailable(None))),
        }
    }
}
