//! Decisions about callers: [`admission`] rejects callers, [`decide`] selects what to fetch and to create,
//! [`questions`] limits the requests to Clerk for one caller, [`redirect`] validates the target of a redirect.

pub mod admission;
pub mod decide;
pub mod questions;
pub mod redirect;
