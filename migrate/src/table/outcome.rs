//! What became of each row, and the files about rows that are left.

use std::collections::BTreeMap;

use rollcall::adapters::dynamo::application::Item;
use serde::Serialize;
use strum::{Display, IntoStaticStr};

use super::decide::{Decision, Rules};
use super::item::{Typed, line, size, typed};
use crate::folder::{Folder, FolderError, Lines};

/// A line for each reason for which a row is left.
pub const LEFT: &str = "left.ndjson";
/// The rows of which a reference leads to no user, whole.
pub const UNMATCHED: &str = "unmatched.ndjson";
/// The rows of which a reference may lead to several users, whole.
pub const AMBIGUOUS: &str = "ambiguous.ndjson";

/// What became of a row.
#[derive(Clone, Copy, Debug, Display, IntoStaticStr, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Outcome {
    /// The row has the Clerk ids already.
    Unchanged,
    Changed,
    /// The row has another value in the place of a Clerk id.
    Conflict,
    /// A reference leads to no user.
    Unmatched,
    /// A reference may lead to several users.
    Ambiguous,
    /// A reference is absent, null or empty.
    Missing,
    /// A reference is in a list, or no id; or DynamoDB refuses the row.
    Refused,
    /// The row has no reference, which is allowed.
    Skipped,
    /// The row was deleted after it was read.
    Gone,
    /// The row was changed again and again.
    Failed,
}

impl Outcome {
    /// Whether somebody must look at such a row.
    pub fn is_left(self) -> bool {
        !matches!(self, Outcome::Unchanged | Outcome::Changed | Outcome::Skipped | Outcome::Gone)
    }
}

/// Why a row is left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where in the row.
    pub path: String,
    /// The old id, with its type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    pub reason: String,
}

/// How many rows had which result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub read: u64,
    pub by_result: BTreeMap<&'static str, u64>,
    /// For results with a reason.
    pub by_reason: BTreeMap<&'static str, BTreeMap<String, u64>>,
    /// Rows of which an id was found only because types were not compared.
    pub loose: u64,
    /// By reference, the rows that have its attribute, with any value.
    pub with_reference: BTreeMap<String, u64>,
    /// By reference, the rows that have the new attribute alone.
    pub with_new_alone: BTreeMap<String, u64>,
    /// About the read units of one pass over the table.
    pub read_units: u64,
    /// About the write units of the rows that are changed, without those of indexes.
    pub write_units: u64,
}

impl Counts {
    pub fn of(&self, outcome: Outcome) -> u64 {
        self.by_result.get(outcome.into()).copied().unwrap_or_default()
    }

    /// Whether each row has one result.
    pub fn adds_up(&self) -> bool {
        self.by_result.values().sum::<u64>() == self.read
    }

    /// The rows that somebody must look at.
    pub fn left(&self) -> u64 {
        use Outcome::{Ambiguous, Conflict, Failed, Missing, Refused, Unmatched};
        [Conflict, Unmatched, Ambiguous, Missing, Refused, Failed].iter().map(|outcome| self.of(*outcome)).sum()
    }

    /// A reference that no row has, which is a wrong name and not a missing value.
    pub fn nowhere(&self) -> Option<&str> {
        let alone = |reference: &String| self.with_new_alone.get(reference).copied().unwrap_or_default();
        // If every row has the new attribute alone, there is nothing to look for.
        let nowhere = self.with_reference.iter().find(|(name, rows)| **rows == 0 && self.read > alone(name));
        nowhere.map(|(reference, _)| reference.as_str())
    }

    fn add(&mut self, outcome: Outcome, reason: Option<&str>) {
        let result = outcome.into();
        *self.by_result.entry(result).or_default() += 1;
        if let Some(reason) = reason {
            *self.by_reason.entry(result).or_default().entry(reason.to_owned()).or_default() += 1;
        }
    }
}

#[derive(Serialize)]
struct Left<'a> {
    key: &'a Typed,
    result: Outcome,
    #[serde(flatten)]
    problem: &'a Problem,
}

/// The files of a pass over a table, and its counts.
#[derive(Debug)]
pub struct Results {
    pub counts: Counts,
    references: Vec<String>,
    bytes: u64,
    left: Lines,
    unmatched: Lines,
    ambiguous: Lines,
}

impl Results {
    /// Begins new files in the place of those of an earlier pass.
    ///
    /// # Errors
    ///
    /// [`FolderError`].
    pub fn create(folder: &Folder, rules: &Rules) -> Result<Results, FolderError> {
        let [left, unmatched, ambiguous] = [LEFT, UNMATCHED, AMBIGUOUS].map(|name| folder.create(name));
        let references: Vec<String> = rules.references.iter().map(|reference| reference.field.clone()).collect();
        let with_reference = references.iter().map(|reference| (reference.clone(), 0)).collect();
        let counts = Counts { with_reference, ..Counts::default() };
        Ok(Results { counts, references, bytes: 0, left: left?, unmatched: unmatched?, ambiguous: ambiguous? })
    }

    /// Counts a row that was read.
    pub(crate) fn read(&mut self, row: &Item, decision: &Decision) {
        self.counts.read += 1;
        self.counts.loose += u64::from(decision.is_loose);
        for name in decision.found.iter().filter_map(|at| self.references.get(*at)) {
            *self.counts.with_reference.entry(name.clone()).or_default() += 1;
        }
        for name in decision.alone.iter().filter_map(|at| self.references.get(*at)) {
            *self.counts.with_new_alone.entry(name.clone()).or_default() += 1;
        }
        self.bytes += size(row);
        self.counts.read_units = self.bytes.div_ceil(4096);
    }

    /// Counts the write of a row, which has the new values.
    pub(crate) fn writes(&mut self, row: &Item) {
        self.counts.write_units += size(row).div_ceil(1024);
    }

    /// Notes the result of a row.
    ///
    /// # Errors
    ///
    /// [`FolderError`].
    pub fn add(&mut self, key: &Item, row: &Item, outcome: Outcome, problems: &[Problem]) -> Result<(), FolderError> {
        self.counts.add(outcome, problems.first().map(|problem| problem.reason.as_str()));
        let key = typed(key);
        for problem in problems {
            self.left.add_json(&Left { key: &key, result: outcome, problem })?;
        }
        match outcome {
            Outcome::Ambiguous => self.ambiguous.add(&line(row)),
            Outcome::Unmatched | Outcome::Missing | Outcome::Refused => self.unmatched.add(&line(row)),
            _ => Ok(()),
        }
    }

    /// Writes what is buffered.
    ///
    /// # Errors
    ///
    /// [`FolderError`].
    pub fn finish(self) -> Result<Counts, FolderError> {
        self.left.finish()?;
        self.unmatched.finish()?;
        self.ambiguous.finish()?;
        Ok(self.counts)
    }
}
