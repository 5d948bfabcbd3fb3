//! Negative controls: switch off the check of one invariant, to show that the tests notice it.
//!
//! In all released builds [`guards`] is the constant `true`. With the feature `controls`, which no function and no
//! command can link (`make links` verifies that), `make controls` removes one check at run time and expects that a test
//! of that invariant fails. docs/guarantees.md lists the invariants.

/// The invariants with a switch. Each comment says what happens without the check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invariant {
    /// Reconcile does not write a state whose rank alone differs.
    I1,
    /// A write only requires a different rank, not a greater one.
    I2,
    /// A live state may replace a tombstone.
    I3,
    /// An absence from a listing counts as a deletion, without a confirmation by Clerk.
    I4,
    /// Events of all instances are applied.
    I5,
    /// An existing record in Profiles is replaced by a new one.
    I6,
    /// A state that is already stored is written again.
    I7,
    /// A placeholder grants the role that the token claims.
    I8,
    /// An event whose signature does not match is processed.
    I9,
    /// The write-back does not check which keys exist in Clerk.
    I10,
    /// A checkpoint moves on although the entities of its page are not stored.
    I11,
    /// A stream record counts as done although its effects have failed.
    I12,
    /// Redaction does not change the record in Profiles.
    I13,
    /// Reconcile writes rows that are already stored.
    I14,
    /// The rule in Rust admits a state of the same rank, which the DynamoDB condition rejects.
    I15,
    /// An interrupted run continues under other settings.
    I16,
    /// A token of any category is accepted as a session token.
    I17,
    /// A deprovisioned user is admitted.
    I18,
    /// The export of an unknown id is an empty document.
    I19,
    /// A change of a record does not look whether the fields still have the values that were read.
    I20,
    /// A purge does not check the owner of a row that an index has found.
    I23,
    /// One caller can cause requests to Clerk at any time.
    I24,
}

/// Whether the check of an invariant is on.
#[cfg(not(feature = "controls"))]
#[inline]
pub const fn guards(_: Invariant) -> bool {
    true
}

/// Whether the check of an invariant is on: all are, except the one in `ROLLCALL_CONTROL`, such as `i4`.
#[cfg(feature = "controls")]
#[expect(clippy::disallowed_methods, reason = "each process of a test has to know, whatever its main.rs hands on")]
pub fn guards(invariant: Invariant) -> bool {
    static REMOVED: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    let removed = REMOVED.get_or_init(|| std::env::var("ROLLCALL_CONTROL").ok());
    removed.as_ref().is_none_or(|name| !format!("{invariant:?}").eq_ignore_ascii_case(name))
}
