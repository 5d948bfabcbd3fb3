//! Negative controls: a switch for the guard of each invariant, so that a run of the tests can show that they would notice
//! its removal.
//!
//! In every build that is shipped [`guards`] is the constant `true`. With the feature `controls`, which no function and no
//! command can link (`make links` looks), `make controls` removes one guard at run time and expects that a test of that
//! invariant fails. The invariants are those of docs/guarantees.md.

/// The invariants whose guard has a switch. The comment says what is missing without the guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invariant {
    /// Reconcile does not write a rank that has moved alone.
    I1,
    /// The condition of a write asks only for another rank, not for a greater one.
    I2,
    /// A live state may replace a tombstone.
    I3,
    /// An absence from a listing is taken for a deletion, without a question to Clerk.
    I4,
    /// An event of any instance is applied.
    I5,
    /// A record in Profiles is created again over the one that is there.
    I6,
    /// A state is written again although the same one is stored.
    I7,
    /// A placeholder grants the role that the token claims.
    I8,
    /// An event whose signature does not match is processed.
    I9,
    /// The write-back to Clerk does not look at what Clerk has already.
    I10,
    /// A checkpoint moves although what its page has shown is not stored.
    I11,
    /// A record of the stream counts as done although its consequences have failed.
    I12,
    /// Redaction leaves the record in Profiles as it is.
    I13,
    /// Reconcile writes what is stored already.
    I14,
    /// The rule in Rust admits a state of the same rank, which the condition refuses.
    I15,
    /// An interrupted run goes on under other settings.
    I16,
    /// A token of any category opens a session.
    I17,
    /// A deprovisioned user is let in.
    I18,
    /// The export of an id that nobody knows is an empty record.
    I19,
    /// A change of a record does not look whether the fields still have the values that were read.
    I20,
    /// A purge does not look whose a row is that an index has found.
    I23,
    /// One caller may have Clerk asked at any time.
    I24,
}

/// Whether the guard of an invariant stands.
#[cfg(not(feature = "controls"))]
#[inline]
pub const fn guards(_: Invariant) -> bool {
    true
}

/// Whether the guard of an invariant stands: all do but the one that `ROLLCALL_CONTROL` names, such as `i4`.
#[cfg(feature = "controls")]
#[expect(clippy::disallowed_methods, reason = "each process of a test has to know, whatever its main.rs hands on")]
pub fn guards(invariant: Invariant) -> bool {
    static REMOVED: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    let removed = REMOVED.get_or_init(|| std::env::var("ROLLCALL_CONTROL").ok());
    removed.as_ref().is_none_or(|name| !format!("{invariant:?}").eq_ignore_ascii_case(name))
}
