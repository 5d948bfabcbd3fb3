//! The budgets of Rollcall, measured.
fn main() {}
