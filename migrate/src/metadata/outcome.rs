//! What became of each row.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::matching::{Ambiguous, Rule, Unmatched};

/// The line about a row in `plan.ndjson` and `results.ndjson`. It has ids and reasons, and no values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// The number of the row, from 1 on.
    pub row: u64,
    /// The file and the line or byte at which the row begins.
    pub place: String,
    /// The old id with its type.
    pub legacy_id: Option<String>,
    pub user: Option<String>,
    pub by: Option<Rule>,
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What became of a row, or what the plan says about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Outcome {
    /// Clerk has everything already.
    Unchanged,
    /// The user's metadata will change (in a plan), or has changed.
    Changed,
    /// Clerk has everything, because an earlier run of this migration wrote it.
    ChangedBefore,
    /// Clerk has other values at these paths. Nothing of the user is written.
    Conflict {
        paths: Vec<String>,
    },
    Unmatched {
        reason: Unmatched,
    },
    Ambiguous {
        reason: Ambiguous,
    },
    /// The row, or the metadata that it would make, cannot be stored.
    Refused {
        reason: String,
    },
    /// The old system had deleted the person.
    Skipped,
    /// Clerk did not carry the change out.
    Failed {
        reason: String,
    },
}

impl Outcome {
    /// The name in reports.
    pub fn name(&self) -> &'static str {
        match self {
            Outcome::Unchanged => "unchanged",
            Outcome::Changed => "changed",
            Outcome::ChangedBefore => "changed_before",
            Outcome::Conflict { .. } => "conflict",
            Outcome::Unmatched { .. } => "unmatched",
            Outcome::Ambiguous { .. } => "ambiguous",
            Outcome::Refused { .. } => "refused",
            Outcome::Skipped => "skipped",
            Outcome::Failed { .. } => "failed",
        }
    }

    fn reason(&self) -> Option<String> {
        match self {
            Outcome::Unmatched { reason } => Some(reason.to_string()),
            Outcome::Ambiguous { reason } => Some(reason.to_string()),
            Outcome::Refused { reason } | Outcome::Failed { reason } => Some(reason.clone()),
            _ => None,
        }
    }

    /// Whether a person has to look at the row.
    pub fn is_left(&self) -> bool {
        !matches!(self, Outcome::Unchanged | Outcome::Changed | Outcome::ChangedBefore | Outcome::Skipped)
    }
}

/// How many rows became what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub read: u64,
    pub by_result: BTreeMap<&'static str, u64>,
    /// By result, and by reason.
    pub by_reason: BTreeMap<&'static str, BTreeMap<String, u64>>,
    pub by_rule: BTreeMap<&'static str, u64>,
}

impl Counts {
    pub fn add(&mut self, line: &Line) {
        self.read += 1;
        *self.by_result.entry(line.outcome.name()).or_default() += 1;
        if let Some(reason) = line.outcome.reason() {
            *self.by_reason.entry(line.outcome.name()).or_default().entry(reason).or_default() += 1;
        }
        if let Some(rule) = line.by {
            *self.by_rule.entry(rule.into()).or_default() += 1;
        }
    }

    /// The rows with this result.
    pub fn of(&self, result: &str) -> u64 {
        self.by_result.get(result).copied().unwrap_or_default()
    }

    /// The rows that a person has to look at.
    pub fn left(&self) -> u64 {
        ["conflict", "unmatched", "ambiguous", "refused", "failed"].iter().map(|result| self.of(result)).sum()
    }

    /// Whether each row that was read has a result.
    pub fn adds_up(&self) -> bool {
        self.by_result.values().sum::<u64>() == self.read
    }
}
