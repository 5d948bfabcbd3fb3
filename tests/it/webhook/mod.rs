//! The webhook: events in, answers out.

mod bad_input;
mod budgets;
mod payloads;
mod payloads_altered;
mod samples;
mod scenarios;
mod signature_vectors;
mod traces;
