//! Clerk: [`api`] is the Backend API, with [`lists`] and the [`proof`] of whose key it is; [`access`] are the settings.
//! [`secrets`] are its two secrets, [`signing_secrets`] reads one of them. [`webhook_signature`] verifies events, [`sessions`] and [`session_tokens`] verify callers.

pub mod access;
pub mod api;
pub mod error;
mod identity;
pub mod lists;
pub mod proof;
pub mod secrets;
pub mod session_tokens;
pub mod sessions;
pub mod signing_secrets;
pub mod webhook_signature;
