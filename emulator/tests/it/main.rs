//! The emulator over real HTTP. Every answer and every webhook in these tests is held against Clerk's own documents as
//! it comes by: see `contract`.

mod contract;
mod faults;
mod organizations;
mod persistence;
mod shapes;
mod support;
mod users;
mod webhooks;
