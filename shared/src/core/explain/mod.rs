//! Explains why a row of the Directory is as it is, and what would change it.
//!
//! [`facts`] are what is known of one entity: the row, Clerk's state, the notes in Operations, the lines of the log.
//! [`findings`] decides what they mean, [`comparison`] for the row and Clerk, `repair` for the cause of a difference; a
//! [`finding`] is one thing that they mean, and [`need`] says whether a person must act. `sentences`, `remedies`,
//! `refusals` and `reasons` word it. `line` reads the log, [`reason`] says why something was not applied.

pub mod comparison;
pub mod facts;
pub mod finding;
pub mod findings;
pub mod line;
pub mod need;
pub mod reason;
mod reasons;
mod refusals;
mod remedies;
mod repair;
#[cfg(test)]
mod samples;
mod sentences;
