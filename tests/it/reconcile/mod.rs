//! reconcile: listings against the Directory.

mod careful;
mod interrupted;
mod large;
mod listing_faults;
mod listing_proofs;
mod runs;
mod traces;
