//! react: changes of the Directory in, their consequences out.

mod bus;
mod cascade;
mod consequences;
mod permissions;
mod records;
