//! What became of each row, and why.

use std::collections::{BTreeMap, BTreeSet};

use rollcall::core::id::UserId;
use serde::Serialize;
use strum::{Display, IntoStaticStr};

use crate::references::{Reference, Unresolved};

/// What became of a row.
#[derive(Clone, Copy, Debug, Display, IntoStaticStr, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Outcome {
    /// It passed and got a new field.
    Rekeyed,
    /// It passed: it has every new field already.
    Unchanged,
    /// It passed without a new field, because a reference is absent or null and that is allowed.
    Skipped,
    /// It passed without a new field, because a reference leads to no user and orphans are kept.
    Kept,
    /// A reference leads to no user.
    Unmatched,
    /// It is unclear which user a reference means.
    Ambiguous,
    /// The new field is there with another value.
    Conflict,
}

impl Outcome {
    /// Whether the row is in a file of its own, for a person to look at.
    pub fn is_left(self) -> bool {
        matches!(self, Outcome::Unmatched | Outcome::Ambiguous | Outcome::Conflict)
    }
}

/// What `left.ndjson` says about a reference.
#[derive(Clone, Copy, Debug, Display, IntoStaticStr, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Reason {
    Missing,
    NotAnId,
    UnknownId,
    /// The old user has no user in Clerk.
    NoUser,
    Ambiguous,
    /// The row of the old user was refused before its user was looked for.
    RowRefused,
    Deleted,
    /// The new field has another value.
    OtherValue,
    /// Another row has a reference to the same user.
    SameUser,
    /// A patch needs the row's id, and it has none.
    NoId,
}

impl From<Unresolved> for Reason {
    fn from(reason: Unresolved) -> Reason {
        match reason {
            Unresolved::Missing => Reason::Missing,
            Unresolved::NotAnId => Reason::NotAnId,
            Unresolved::UnknownId => Reason::UnknownId,
            Unresolved::NoUser => Reason::NoUser,
            Unresolved::Ambiguous => Reason::Ambiguous,
            Unresolved::RowRefused => Reason::RowRefused,
            Unresolved::Deleted => Reason::Deleted,
        }
    }
}

/// A reference that `left.ndjson` names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// With the indexes of arrays.
    pub path: String,
    /// The old id with its type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clerk_user_id: Option<UserId>,
    pub reason: Reason,
}

/// A line of `left.ndjson`.
#[derive(Debug, Serialize)]
pub struct Line<'a> {
    pub file: &'a str,
    pub line: u64,
    pub byte: u64,
    pub result: Outcome,
    #[serde(flatten)]
    pub cause: &'a Cause,
}

/// How many rows became what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub read: u64,
    pub by_result: BTreeMap<&'static str, u64>,
    /// By result, and by reason. A row with two reasons counts for both.
    pub by_reason: BTreeMap<&'static str, BTreeMap<&'static str, u64>>,
    /// Rows with a reference that was found only because types were not compared.
    pub loose: u64,
    /// Rows that pass and share a user with another row, where each must have its own.
    pub same_user: u64,
    /// By reference, the rows that have its field, with any value.
    pub with_reference: BTreeMap<String, u64>,
    /// By reference, the rows that have the new field alone.
    pub with_new_alone: BTreeMap<String, u64>,
}

impl Counts {
    pub(crate) fn of_references(references: &[Reference]) -> Counts {
        let with_reference = references.iter().map(|reference| (reference.field.clone(), 0)).collect();
        Counts { with_reference, ..Counts::default() }
    }

    /// A reference that no row has, which is a wrong name and not a missing value.
    pub fn nowhere(&self) -> Option<&str> {
        let alone = |reference: &String| self.with_new_alone.get(reference).copied().unwrap_or_default();
        // If every row has the new field alone, there is nothing to look for.
        let nowhere = self.with_reference.iter().find(|(name, rows)| **rows == 0 && self.read > alone(name));
        nowhere.map(|(reference, _)| reference.as_str())
    }

    pub(crate) fn add(&mut self, outcome: Outcome, causes: &[Cause]) {
        self.read += 1;
        *self.by_result.entry(outcome.into()).or_default() += 1;
        let reasons: BTreeSet<Reason> = causes.iter().map(|cause| cause.reason).collect();
        for reason in reasons {
            *self.by_reason.entry(outcome.into()).or_default().entry(reason.into()).or_default() += 1;
            self.same_user += u64::from(reason == Reason::SameUser);
        }
    }

    /// The rows with this result.
    pub fn of(&self, outcome: Outcome) -> u64 {
        self.by_result.get(<&str>::from(outcome)).copied().unwrap_or_default()
    }

    /// The rows that are in files of their own.
    pub fn left(&self) -> u64 {
        [Outcome::Unmatched, Outcome::Ambiguous, Outcome::Conflict].map(|outcome| self.of(outcome)).iter().sum()
    }

    /// Whether each row that was read has a result.
    pub fn adds_up(&self) -> bool {
        self.by_result.values().sum::<u64>() == self.read
    }
}
