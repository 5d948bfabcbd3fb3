//! What follows from a deletion: [`purge`] is about data whose time to undo is over, [`owned`] about the application's tables in which
//! they are, [`owned_list`] about a long list of such tables, [`restore`] about what a backup may put back. [`subject`] is the user whom an
//! operator means.

pub mod owned;
pub mod owned_list;
pub mod purge;
pub mod restore;
pub mod subject;
