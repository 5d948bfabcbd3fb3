//! Deletions: [`purge`] decides when data are removed, and which, [`owned`] describes the tables of the application
//! with rows of users, [`owned_list`] stores a long list of such tables, [`restore`] decides which rows of a backup may
//! be restored. [`orphans`] decides what a clean-up removes, [`duplicates`] which of several rows stays. [`backup_run`] names the backups of
//! one run. [`subject`] parses
//! the entity that an operator names.

pub mod backup_run;
pub mod duplicates;
pub mod orphans;
pub mod owned;
pub mod owned_list;
pub mod pending;
pub mod purge;
pub mod restore;
pub mod subject;
