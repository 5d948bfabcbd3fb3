//! Settings and secrets, and what happens without them.

mod account;
mod connection;
mod ensure;
mod react;
mod secrets;
mod webhook;
