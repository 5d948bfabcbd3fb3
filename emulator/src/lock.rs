//! A mutex that ignores poisoning: a panic in one request must not stop the emulator.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Never locked across an await.
pub(crate) struct Lock<T>(Mutex<T>);

impl<T> Lock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
