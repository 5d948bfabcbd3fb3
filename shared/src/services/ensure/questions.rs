//! Leave to ask Clerk: once about a caller in a while, and within a function's share of Clerk's rate. All containers share
//! what is noted, so that neither many calls nor many containers come to more.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::adapters::dynamo::error::StoreError;
use crate::adapters::dynamo::operations::Operations;
use crate::adapters::dynamo::operations::questions::Guard;
use crate::core::ensure::questions::{Asked, Earlier, Turn, window};
use crate::core::id::{InternalId, Kind};
use crate::core::millis::Millis;

/// Writes of one question: each is lost only to another container that asks about the same caller.
const MAX_WRITES: usize = 4;

/// What one function may ask Clerk within a window, all its containers together.
#[derive(Debug)]
pub struct Budget {
    operations: Operations,
    function: &'static str,
    /// The window in which nothing was left when this process asked last.
    spent: AtomicU64,
}

/// The questions about callers.
#[derive(Debug)]
pub struct Questions {
    /// Where they are noted.
    pub operations: Operations,
    /// What all of them together may take.
    pub budget: Budget,
    /// For how many ms a caller waits for an answer.
    pub patience: u64,
}

/// A question that may be asked, or was not asked for want of requests.
#[derive(Debug)]
pub struct Round {
    caller: InternalId,
    question: String,
    noted: Asked,
}

/// Whether a question may be asked.
#[derive(Debug)]
pub enum Leave {
    Granted(Round),
    /// No: this function has asked enough for now.
    Spent(Round),
    /// No: it was asked a moment ago, or enough others about the same caller.
    Earlier(Earlier),
}

impl Budget {
    /// The budget of a function, by the function's name.
    pub fn new(operations: Operations, function: &'static str) -> Budget {
        Budget { operations, function, spent: AtomicU64::new(u64::MAX) }
    }

    /// Whether this process knows that nothing is left for now.
    pub fn is_spent(&self, now: Millis) -> bool {
        self.spent.load(Ordering::Relaxed) == window(now)
    }

    /// Takes so many requests, of `most` in a window; all of them or none.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn take(&self, requests: u32, most: u32, now: Millis) -> Result<bool, StoreError> {
        if self.is_spent(now) {
            return Ok(false);
        }
        // Added first and compared then, so that no two containers take the same request.
        let is_within = self.operations.spend_budget(self.function, window(now), requests).await? <= u64::from(most);
        if !is_within {
            self.spent.store(window(now), Ordering::Relaxed);
        }
        Ok(is_within)
    }
}

impl Questions {
    /// Asks for leave to put a question about a caller, which takes so many requests of `most`.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn leave(
        &self,
        caller: InternalId,
        question: String,
        (requests, most): (u32, u32),
        now: Millis,
    ) -> Result<Leave, StoreError> {
        let writer = writer();
        let mut noted = Asked::first(&question, &writer, now);
        let mut read: Option<String> = None;
        for _ in 0..MAX_WRITES {
            let guard = read.as_deref().map_or(Guard::Quiet, Guard::Of);
            let Some(stored) = self.operations.note_question(caller, &noted, guard, now).await? else {
                return self.spend(Round { caller, question, noted }, requests, most, now).await;
            };
            match stored.turn(&question, &writer, now, self.patience) {
                Turn::Wait(earlier) => return Ok(Leave::Earlier(earlier)),
                Turn::Ask(_) if stored.writer == writer => {
                    return self.spend(Round { caller, question, noted: stored }, requests, most, now).await;
                }
                Turn::Ask(next) => (noted, read) = (next, Some(stored.writer)),
            }
        }
        // Others ask about this caller all the time.
        Ok(Leave::Earlier(Earlier { is_awaited_for: self.patience, ..Earlier::default() }))
    }

    async fn spend(&self, round: Round, requests: u32, most: u32, now: Millis) -> Result<Leave, StoreError> {
        let is_within = self.budget.take(requests, most, now).await?;
        Ok(if is_within { Leave::Granted(round) } else { Leave::Spent(round) })
    }

    /// Notes that nothing more comes of a question, and what Clerk does not have. What Clerk does have need not be noted:
    /// it is seen in the tables.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn over(&self, round: Round, unknown: &BTreeSet<Kind>, now: Millis) -> Result<(), StoreError> {
        let Round { caller, question, mut noted } = round;
        let writer = writer();
        for _ in 0..MAX_WRITES {
            let Some(over) = noted.over(&question, unknown, &writer) else { break };
            match self.operations.note_question(caller, &over, Guard::Of(&noted.writer), now).await? {
                Some(stored) if stored.writer != writer => noted = stored,
                _ => break,
            }
        }
        Ok(())
    }
}

/// A name that no other write has.
fn writer() -> String {
    format!("{:016x}", fastrand::u64(..))
}
