//! Explains why a row of the Directory is as it is, and what would change it.
//!
//! [`facts`] are what is known of one entity: the row, Clerk's state, the notes in Operations, the lines of the log.
//! [`findings`] decides what they mean, `sentences` words it. `line` reads the log, [`reason`] says why something was not
//! applied.

pub mod facts;
pub mod findings;
pub mod line;
pub mod reason;
mod sentences;
