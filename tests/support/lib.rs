//! What the scenarios share: a [`World`] of real parts, a [`Wire`] between the functions and DynamoDB that counts and
//! can fail, and events signed like Clerk's.

pub mod events;
pub mod random;
pub mod tokens;
pub mod wire;
pub mod world;

pub use events::{SAMPLE_TIME, Sent, deletion_event, event, membership_event, organization_event, sample, user_event};
pub use random::runner;
pub use wire::{Call, Fault, Held, Wire};
pub use world::{Answer, World, gateway_event, serve};
