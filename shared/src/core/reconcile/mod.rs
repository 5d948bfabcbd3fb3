//! Decisions of reconcile: what a listed row needs, which absences need a confirmation or an approval, what a run
//! stores between two pages, and how fast it sends requests to Clerk.

pub mod absence;
pub mod analysis;
pub mod basis;
pub mod difference;
pub mod listed;
pub mod phase;
pub mod plan;
pub mod presence;
pub mod rate_limiter;
pub mod run;
pub mod run_id;
pub mod tally;
