//! What a caller is given: [`admission`] is the one gate for users who are refused, [`decide`] says what is missing and what to do about it, [`questions`] how often Clerk is asked about
//! one caller, [`redirect`] where a browser may be sent back to.

pub mod admission;
pub mod decide;
pub mod questions;
pub mod redirect;
