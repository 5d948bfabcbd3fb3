//! Shared code of the scenarios: a [`World`] of real parts, a [`Wire`] between the functions and DynamoDB that counts
//! and fails requests, and events signed as Clerk's.

pub mod answer;
pub mod authorize;
pub mod events;
pub mod follow;
pub mod killed;
pub mod land;
pub mod openapi;
pub mod owned;
pub mod proxy;
pub mod random;
pub mod tokens;
pub mod wire;
pub mod world;

pub use answer::{Answer, gateway_event, read};
pub use events::{SAMPLE_TIME, Sent, deletion_event, event, membership_event, organization_event, sample, user_event};
pub use killed::killed_after;
pub use land::{Action, Land, alive, projected};
pub use owned::{OWNED_TABLES, TABLES};
pub use random::runner;
pub use wire::{ATTEMPTS, Call, Fault, Held, Point, Wire};
pub use world::{World, runtime_folder, serve};
