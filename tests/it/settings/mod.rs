//! Settings and secrets, and what happens without them.

mod ensure;
mod react;
mod secrets;
mod webhook;
