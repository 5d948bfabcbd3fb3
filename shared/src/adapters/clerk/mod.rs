//! Clerk: [`api`] is the client of the Backend API; [`lists`] reads its lists, [`proof`] checks that the secret key
//! belongs to the configured instance; [`access`] reads the settings. [`secrets`] reads the two secrets,
//! [`signing_secrets`] parses one of them. [`webhook_signature`] verifies events, [`sessions`] and [`session_tokens`]
//! verify callers.

pub mod access;
pub mod api;
pub mod error;
pub mod identified;
mod identity;
pub mod lists;
pub mod probe;
pub mod proof;
pub mod secrets;
pub mod session_tokens;
pub mod sessions;
pub mod signing_secrets;
pub mod webhook_signature;
