//! Settings and secrets, and what happens without them.

mod account;
mod authorizer;
mod connection;
mod ensure;
mod react;
mod secrets;
mod webhook;
