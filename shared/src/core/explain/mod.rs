//! Explains why a row of the Directory is as it is, and what would change it.
//!
//! [`facts`] are what is known of one entity: the row, Clerk's state, the notes in Operations, the lines of the log.
//! [`findings`] decides what they mean, [`comparison`] for the row and Clerk; a [`finding`] is one thing that they mean,
//! `sentences` and `refusals` word it. `line` reads the log, [`reason`] says why something was not applied.

pub mod comparison;
pub mod facts;
pub mod finding;
pub mod findings;
pub mod line;
pub mod reason;
mod refusals;
mod sentences;
