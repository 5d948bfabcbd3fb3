//! The negative control of a run: which invariant's guard is missing.

/// Removes the guard that `ROLLCALL_CONTROL` names, such as `i4`; none without it.
///
/// # Panics
///
/// If there is no guard of that name.
#[expect(clippy::disallowed_methods, reason = "a test plays the part of a main.rs here")]
pub fn remove_guard() {
    if let Ok(name) = std::env::var("ROLLCALL_CONTROL") {
        assert!(rollcall::core::controls::remove(&name), "ROLLCALL_CONTROL={name} names no guard");
    }
}
