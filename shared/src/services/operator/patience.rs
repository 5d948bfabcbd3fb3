//! Repeats requests of long work: a table that is throttled for some seconds must not end it.

use crate::adapters::backoff::backoff;
use crate::adapters::dynamo::error::StoreError;

/// Attempts at one step, besides those of DynamoDB's client. Together they take about ten seconds.
const MAX_ATTEMPTS: u32 = 24;

/// An error that may be temporary.
pub(super) trait Temporary {
    fn is_temporary(&self) -> bool;
}

impl Temporary for StoreError {
    fn is_temporary(&self) -> bool {
        match self {
            StoreError::Unavailable(..) => true,
            StoreError::Rejected(..) | StoreError::Unreadable(_) => false,
        }
    }
}

impl Temporary for crate::adapters::dynamo::owned::rows::OwnedError {
    fn is_temporary(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_temporary())
    }
}

/// Does a step that may be repeated, until it succeeds or its error is permanent.
pub(super) async fn patient<T, E: Temporary, F: Future<Output = Result<T, E>>>(step: impl Fn() -> F) -> Result<T, E> {
    let mut attempts = 1;
    loop {
        match step().await {
            Err(error) if error.is_temporary() && attempts < MAX_ATTEMPTS => backoff(attempts).await,
            done => return done,
        }
        attempts += 1;
    }
}
