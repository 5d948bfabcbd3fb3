//! ensure-profile: callers in, records out.

mod callers;
mod failures;
mod interleaved;
pub(crate) mod profiles;
mod rate;
pub(crate) mod sessions;
mod sync;
