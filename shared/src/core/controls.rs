//! Negative controls: a switch for the guard of each invariant, so that a run of the tests can show that they would notice
//! its removal.
//!
//! In every build that is shipped [`guards`] is the constant `true`. With the feature `controls`, which no function and no
//! command can link (`make links` looks), `make controls` removes one guard at run time and expects that a test of that
//! invariant fails. The invariants are those of docs/guarantees.md.

/// The invariants whose guard has a switch. The comment says what is missing without the guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Invariant {
    /// Reconcile does not write a rank that has moved alone.
    I1 = 1,
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
    /// A checkpoint moves although what its page has shown could not be stored.
    I11,
    /// A record of the stream counts as done although its consequences have failed.
    I12,
    /// Redaction leaves the record in Profiles as it is.
    I13,
    /// Reconcile writes what is stored already.
    I14,
    /// The rule in Rust admits a state of the same rank, which the condition refuses.
    I15,
}

impl Invariant {
    /// All of them.
    pub const ALL: [Invariant; 15] = [
        Invariant::I1,
        Invariant::I2,
        Invariant::I3,
        Invariant::I4,
        Invariant::I5,
        Invariant::I6,
        Invariant::I7,
        Invariant::I8,
        Invariant::I9,
        Invariant::I10,
        Invariant::I11,
        Invariant::I12,
        Invariant::I13,
        Invariant::I14,
        Invariant::I15,
    ];
}

#[cfg(feature = "controls")]
static REMOVED: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(0);

/// Whether the guard of an invariant stands.
#[cfg(not(feature = "controls"))]
#[inline]
#[must_use]
pub const fn guards(_: Invariant) -> bool {
    true
}

/// Whether the guard of an invariant stands.
#[cfg(feature = "controls")]
#[must_use]
pub fn guards(invariant: Invariant) -> bool {
    REMOVED.load(std::sync::atomic::Ordering::Relaxed) != invariant as u8
}

/// Removes the guard of the invariant of that name, such as `i4`, for the rest of the process. Answers whether there is one.
#[cfg(feature = "controls")]
pub fn remove(name: &str) -> bool {
    let found = Invariant::ALL.into_iter().find(|invariant| format!("{invariant:?}").eq_ignore_ascii_case(name));
    if let Some(invariant) = found {
        REMOVED.store(invariant as u8, std::sync::atomic::Ordering::Relaxed);
    }
    found.is_some()
}
