//! Proves that nothing needs the old collection any more, as far as data can prove it. Nothing is written but a report.
//!
//! 1. [`request`] reads the file that names the old users, the other collections and their backups;
//! 2. [`users`] plans the migration of the users again, against what Clerk has now (criterion 1);
//! 3. [`examine`] reads each collection to its end: [`listed`] judges the references that the file lists (criterion 2),
//!    [`search`] looks for ids of old users everywhere else (criterion 3);
//! 4. [`existence`] asks Clerk for the users that the new fields name, which [`distinct`] holds;
//! 5. [`backups`] reads the backups back (criterion 6);
//! 6. [`tally`] counts, and checks that the counts add up to what was read;
//! 7. [`criteria`] decides about each criterion, [`findings`] keeps the rows that contradict one, and [`exceptions`] the
//!    old ids that the operator accepts.
//!
//! Every row is read: a sample is no proof. Memory: 40 bytes for each old id, 28 bytes for each Clerk id, 16 MB for the ids of
//! rows that are looked for in a backup, and the ids of the list of exceptions.

pub mod backups;
pub mod criteria;
pub mod distinct;
pub mod examine;
pub mod exceptions;
pub mod existence;
pub mod findings;
pub mod listed;
pub mod request;
pub mod search;
pub mod tally;
pub mod users;

/// Why a verification stopped.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error(transparent)]
    Migration(#[from] crate::metadata::plan::MigrationError),
    #[error(transparent)]
    Map(#[from] crate::ids::MapError),
    #[error(transparent)]
    Input(#[from] crate::input::InputError),
    #[error(transparent)]
    Folder(#[from] crate::folder::FolderError),
    #[error(transparent)]
    Clerk(#[from] rollcall::adapters::clerk::error::ClerkError),
}
