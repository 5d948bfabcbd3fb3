//! What a caller is given: [`decide`] says what is missing and what to do about it, [`questions`] how often Clerk is asked about
//! one caller, [`redirect`] where a browser may be sent back to.

pub mod decide;
pub mod questions;
pub mod redirect;
