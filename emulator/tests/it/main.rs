//! The emulator over real HTTP. Every answer and every webhook in these tests is held against Clerk's own documents as
//! it comes by: see `contract`.

mod binary;
mod contract;
mod control;
mod differences;
mod door;
mod faults;
mod generated;
mod list_faults;
mod organizations;
mod persistence;
mod sessions;
mod shapes;
mod stopping;
mod support;
mod svix;
mod tokens;
mod users;
mod webhooks;
