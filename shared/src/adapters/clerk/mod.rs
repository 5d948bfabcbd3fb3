//! Clerk: [`api`] is the Backend API, with [`lists`] and the [`proof`] of whose key it is. [`webhook_signature`] verifies events,
//! [`sessions`] and [`session_tokens`] verify callers.

pub mod api;
pub mod lists;
pub mod proof;
pub mod session_tokens;
pub mod sessions;
pub mod webhook_signature;
