//! Migrations from an old users collection to Clerk: the data are read, each row finds its user, and values are carried
//! over with a plan, a journal and an undo.
//!
//! In reading order:
//!
//! 1. [`input::open`] recognises files by their first bytes and streams their [`input::Row`]s with typed values;
//! 2. [`mapping`] says which fields name a user and which become metadata; [`matching`] decides whose a row is;
//! 3. [`metadata`] decides what changes in Clerk, and does it;
//! 4. [`folder`] keeps the plan, the journal and the results, and [`ids`] the map of old ids to Clerk ids;
//! 5. [`references`] finds the users that fields of other collections refer to; [`rekey`] writes their Clerk ids beside
//!    them in files, and [`table`] in tables of DynamoDB;
//! 6. [`verify`] proves that nothing needs the old collection any more.
//!
//! The decisions are pure: `matching`, `metadata::decide`, `metadata::merge`, `metadata::values`,
//! `references`, `rekey::decide`, `rekey::splice`, `rekey::patch`, `table::decide`,
//! `table::item`, `table::shape`, `verify::listed`, `verify::search`, `verify::tally`.

pub mod folder;
pub mod ids;
pub mod input;
pub mod mapping;
pub mod matching;
pub mod metadata;
pub mod references;
pub mod rekey;
pub mod table;
pub mod verify;
mod words;
