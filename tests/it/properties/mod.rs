//! What holds for any history and any failure.

mod agreement;
mod arrows;
mod convergence;
mod damaged_rows;
mod explained;
pub(crate) mod failures;
mod invariants;
mod peer_bugs;
