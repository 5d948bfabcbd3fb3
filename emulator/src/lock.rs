//! A mutex whose poison is ignored: a panic in one request's handler must not take the emulator down with it.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Never held across an await.
pub(crate) struct Lock<T>(Mutex<T>);

impl<T> Lock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
