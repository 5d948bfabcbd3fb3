//! Limits requests to Clerk: one question about a caller per window, and the request budget of a function. The counts
//! are in the Operations table, so that neither many calls nor many containers exceed them.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::adapters::dynamo::error::StoreError;
use crate::adapters::dynamo::operations::Operations;
use crate::adapters::dynamo::operations::questions::Guard;
use crate::core::ensure::questions::{Asked, Earlier, Turn, window};
use crate::core::id::{InternalId, Kind};
use crate::core::millis::Millis;

/// Maximum number of writes for one question: a write fails only because another container asks about the same caller.
const MAX_WRITES: usize = 4;

/// The request budget of one function: the requests of all its containers together within a window.
#[derive(Debug)]
pub struct Budget {
    operations: Operations,
    function: &'static str,
    /// The window in which the budget was used up at the last attempt of this process.
    spent: AtomicU64,
}

/// The limits of questions about callers.
#[derive(Debug)]
pub struct Questions {
    /// The Operations table.
    pub operations: Operations,
    /// The request budget.
    pub budget: Budget,
    /// For how many ms a caller waits for a response.
    pub patience: u64,
}

/// A question that may be asked, or was not asked because the budget is used up.
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
    /// No: the request budget is used up.
    Spent(Round),
    /// No: the same question, or too many others about the same caller, were asked a moment ago.
    Earlier(Earlier),
}

impl Budget {
    /// The budget of a function, by the function's name.
    pub fn new(operations: Operations, function: &'static str) -> Budget {
        Budget { operations, function, spent: AtomicU64::new(u64::MAX) }
    }

    /// Whether this process has found the budget of the current window used up.
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
        // Added before the comparison, so that two containers never take the same request.
        let is_within = self.operations.spend_budget(self.function, window(now), requests).await? <= u64::from(most);
        if !is_within {
            self.spent.store(window(now), Ordering::Relaxed);
        }
        Ok(is_within)
    }
}

impl Questions {
    /// Asks for permission for a question about a caller, which takes so many requests of `most`.
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
        // Other containers ask about this caller at every attempt.
        Ok(Leave::Earlier(Earlier { is_awaited_for: self.patience, ..Earlier::default() }))
    }

    async fn spend(&self, round: Round, requests: u32, most: u32, now: Millis) -> Result<Leave, StoreError> {
        let is_within = self.budget.take(requests, most, now).await?;
        Ok(if is_within { Leave::Granted(round) } else { Leave::Spent(round) })
    }

    /// Notes that a question is answered, and which entities Clerk does not have. The entities that Clerk has are in
    /// the tables.
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

/// A unique name for each write.
fn writer() -> String {
    format!("{:016x}", fastrand::u64(..))
}
