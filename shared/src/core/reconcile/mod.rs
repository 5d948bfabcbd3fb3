//! Decisions of reconcile: what a listed row asks for, which absences must be looked into and how many may be believed,
//! what a run remembers from one page to the next, and how fast it may ask Clerk.

pub mod absence;
pub mod analysis;
pub mod basis;
pub mod listed;
pub mod phase;
pub mod plan;
pub mod presence;
pub mod rate_limiter;
pub mod run;
pub mod run_id;
pub mod tally;
