//! Settings and secrets, and what happens without them.

mod connection;
mod declared;
mod ensure;
mod react;
mod secrets;
mod webhook;
