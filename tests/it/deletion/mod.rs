//! What deletions leave, remove, and let be restored.

mod backups;
mod interrupted;
pub(crate) mod large;
mod memory;
mod others;
mod owned_lists;
mod personal_data;
mod policies;
mod restore_files;
mod twice;
