//! Svix, which sends Clerk's webhooks: the endpoints of the instance's application, and what became of the messages.
//!
//! [`EndpointControl`] is what Rollcall needs. [`portal`] implements it with the key of Clerk's application at Svix; the
//! way to that key is not documented, and is in this one module. A failure of it is
//! [`ControlError::Unavailable`]: synchronization never depends on it, and it says nothing about the endpoint.

mod model;
pub mod portal;

use thiserror::Error;

use super::clerk::error::ClerkError;
use crate::core::endpoint::cause::Attempt;
use crate::core::endpoint::plan::Change;
use crate::core::endpoint::{Endpoint, Wanted};
use secrecy::SecretString;

/// Why the endpoints cannot be managed.
#[derive(Debug, Error)]
pub enum ControlError {
    /// The way to Svix does not work, or works no more in this way.
    #[error("Svix cannot be asked ({step}: {reason})")]
    Unavailable { step: &'static str, reason: String },
    /// Clerk did not answer, or refused the secret key.
    #[error(transparent)]
    Clerk(ClerkError),
    /// The instance has no application at Svix, so no endpoint either.
    #[error("the Clerk instance has no webhooks yet")]
    NoApplication,
    /// The key may not do this. The name is Svix's.
    #[error("Clerk's key for Svix lacks the capability {0}")]
    Forbidden(&'static str),
}

/// Messages of an endpoint by their state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub delivered: u64,
    pub pending: u64,
    pub failed: u64,
}

/// What Rollcall does at the sender of the webhooks.
pub trait EndpointControl {
    /// All endpoints of the application.
    fn endpoints(&self) -> impl Future<Output = Result<Vec<Endpoint>, ControlError>> + Send;

    /// Makes the endpoint. If somebody has made it meanwhile, that one is the result. `secret` is the signing secret; Svix
    /// makes one if it is absent.
    fn create(
        &self,
        wanted: &Wanted,
        secret: Option<&SecretString>,
    ) -> impl Future<Output = Result<Endpoint, ControlError>> + Send;

    /// Changes an endpoint.
    fn change(
        &self,
        id: &str,
        wanted: &Wanted,
        changes: &[Change],
    ) -> impl Future<Output = Result<(), ControlError>> + Send;

    /// The signing secret of an endpoint.
    fn secret(&self, id: &str) -> impl Future<Output = Result<SecretString, ControlError>> + Send;

    /// Makes a new signing secret; the earlier one signs along for `grace_s` seconds.
    fn rotate(&self, id: &str, grace_s: u32) -> impl Future<Output = Result<(), ControlError>> + Send;

    /// The latest attempts, the newest first.
    fn attempts(&self, id: &str) -> impl Future<Output = Result<Vec<Attempt>, ControlError>> + Send;

    fn stats(&self, id: &str) -> impl Future<Output = Result<Stats, ControlError>> + Send;

    /// Whether Svix runs code on the payloads of an endpoint.
    fn has_transformation(&self, id: &str) -> impl Future<Output = Result<bool, ControlError>> + Send;

    /// Ends the key. A failure is ignored, because the key ends by itself.
    fn close(&self) -> impl Future<Output = ()> + Send;
}
