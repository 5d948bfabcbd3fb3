//! Messages, and what is kept of the attempts to deliver them.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Attempt, DeliveryState};

/// The contents of a message, the same for every attempt.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) svix_id: String,
    pub(crate) event_type: String,
    pub(crate) entity_id: String,
    pub(crate) body: String,
    /// Unix ms by the emulator's clock.
    pub(crate) at: i64,
}

/// The outcome of an attempt.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) attempt: Attempt,
    /// The header `webhook-delivery` of the answer.
    pub(crate) wish: Option<Wish>,
    /// The beginning of the answer's body, or why there is none.
    pub(crate) response: String,
    pub(crate) duration_ms: i64,
}

/// What an endpoint asks for by the header `webhook-delivery`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// No further attempt of this message.
    AbortMessage,
    /// No further message at all.
    Disable,
}

/// An attempt as Svix keeps it.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) id: String,
    pub(crate) attempt: Attempt,
    pub(crate) url: String,
    pub(crate) response: String,
    pub(crate) duration_ms: i64,
    /// Whether somebody asked for it.
    pub(crate) is_manual: bool,
}

/// A message and what became of it at one endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Followed {
    pub(crate) message: Arc<Message>,
    /// The index of the endpoint.
    pub(crate) endpoint: usize,
    pub(crate) state: DeliveryState,
    pub(crate) attempts: Vec<Kept>,
    /// When a retry is due.
    pub(crate) next: Option<Instant>,
}
