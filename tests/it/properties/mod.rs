//! What holds for any history and any failure.

mod agreement;
mod arrows;
mod convergence;
mod damaged_rows;
pub(crate) mod failures;
mod invariants;
mod peer_bugs;
