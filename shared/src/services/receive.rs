//! The webhook's path, once a message is known to be Clerk's: decide, write, and ask Clerk only where no rule can
//! decide.

use thiserror::Error;

use crate::adapters::clerk_api::{ClerkApi, ClerkError};
use crate::adapters::dynamo_directory::{DynamoDirectory, Put};
use crate::adapters::store_error::StoreError;
use crate::core::decide::{self, Next, Plan, Policy, Said, Write};
use crate::core::event::Dated;
use crate::core::id::{DeliveryId, EntityId, InstanceId};
use crate::core::item::{Item, Provenance, Writer};
use crate::core::millis::Millis;
use crate::core::projection::Context;
use crate::core::rank::Rank;
use crate::core::rule::{Outcome, Stamp};

/// Rounds of write and question before the entity is left to a later delivery: each round is lost only to another
/// writer of the same entity.
const MOST_ROUNDS: usize = 7;

/// What applying an event needs.
#[derive(Debug)]
pub struct Receiver {
    /// Where states are kept.
    pub directory: DynamoDirectory,
    /// Who knows best.
    pub clerk: ClerkApi,
    /// Whose copy this is.
    pub instance: InstanceId,
    /// What deletions leave, and whether anything is kept.
    pub policy: Policy,
}

/// What became of an event.
#[derive(Clone, Debug, PartialEq)]
pub struct Receipt {
    /// Whose state it was.
    pub entity: EntityId,
    /// Nothing if the policy keeps no such entity.
    pub outcome: Option<Outcome>,
    /// The rank that was offered last.
    pub rank: Option<Rank>,
    /// Write units used.
    pub units: f64,
    /// Questions put to Clerk.
    pub clerk_calls: u32,
}

/// Why an event could not be applied.
#[derive(Debug, Error)]
pub enum ReceiveError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Only Clerk could have said, and did not.
    #[error(transparent)]
    Clerk(#[from] ClerkError),
    /// Clerk answered with a state older than the event's, as a lagging replica does.
    #[error("Clerk's answer is older than its event")]
    Behind,
    /// A membership ended, but neither the event nor Clerk says of which generation it was.
    #[error("the end of a membership is not dated")]
    Undated,
    /// Other writers were faster, every time.
    #[error("the entity is changing too fast")]
    Contended,
}

impl Receiver {
    /// Applies one event.
    ///
    /// # Errors
    ///
    /// [`ReceiveError`]: but for [`ReceiveError::Undated`], nothing is lost if the message is delivered again.
    pub async fn receive(&self, dated: Dated, delivery: DeliveryId, now: Millis) -> Result<Receipt, ReceiveError> {
        let entity = dated.event.entity();
        let provenance = Provenance { applied_at: now, applied_by: Writer::Webhook, delivery_id: Some(delivery) };
        let context = Context { instance: &self.instance, provenance: &provenance };
        let mut receipt = Receipt { entity, outcome: None, rank: None, units: 0.0, clerk_calls: 0 };
        let (mut next, said) = match decide::plan(dated, self.policy, &context, now) {
            Plan::Ignore => return Ok(receipt),
            Plan::Fetch { ended } => (Next::Fetch, Said::Undated { ended }),
            Plan::Write(write) => {
                let said = Said::Dated(Stamp::from(&write.item));
                (Next::Again(write), said)
            }
        };
        let mut stored: Option<Item> = None;
        for _ in 0..MOST_ROUNDS {
            next = match next {
                Next::Again(write) => self.write(*write, &mut stored, &mut receipt, &context).await?,
                Next::Fetch => {
                    receipt.clerk_calls += 1;
                    let found = self.clerk.fetch(&receipt.entity).await?;
                    decide::fetched(found, stored.as_ref(), &said, &context)
                }
                Next::Settled(outcome) => return Ok(Receipt { outcome: Some(outcome), ..receipt }),
                Next::Wait => return Err(ReceiveError::Behind),
                Next::Undated => return Err(ReceiveError::Undated),
            };
        }
        Err(ReceiveError::Contended)
    }

    async fn write(
        &self,
        write: Write,
        stored: &mut Option<Item>,
        receipt: &mut Receipt,
        context: &Context<'_>,
    ) -> Result<Next, StoreError> {
        receipt.rank = Some(write.item.rank);
        match self.directory.put(&write.item, &write.guard).await? {
            Put::Applied { units } => {
                receipt.units += units;
                Ok(Next::Settled(Outcome::Applied))
            }
            Put::Refused(found) => {
                *stored = found.map(|item| *item);
                Ok(decide::refused(&write, stored.as_ref(), context))
            }
        }
    }
}
