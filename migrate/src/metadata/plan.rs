//! The plan: what would become of each row, by what Clerk has now. Nothing is written to Clerk.

use std::io::BufRead;
use std::path::PathBuf;

use rollcall::adapters::clerk::api::ClerkApi;
use rollcall::adapters::clerk::error::ClerkError;
use rollcall::core::clerk::identifications::IdentifiedUser;
use serde::{Deserialize, Serialize};

use super::decide::{Decision, MOST_BYTES, OnConflict, decide};
use super::lookups::{Lookups, Pending};
use super::outcome::{Counts, Line, Outcome};
use super::survey::{Input, Mark, Marks, Survey, mark};
use super::values::{OnNull, address_problem, keys, legacy_id, wanted};
use crate::folder::{Folder, FolderError};
use crate::input::{InputError, Row};
use crate::mapping::Mapping;
use crate::matching::{Ambiguous, Match, Rules, find};

/// The plan, a line for each row of the input, in its order.
pub const PLAN: &str = "plan.ndjson";
/// The plan before the rows of one user are known.
const DRAFT: &str = "plan.ndjson.draft";
/// Rows between two reports of the progress.
const STEP: u64 = 1_000;

/// What is migrated, and how.
#[derive(Clone, Debug)]
pub struct Job {
    pub input: Input,
    pub mapping: Mapping,
    pub rules: Rules,
    pub on_null: OnNull,
    pub on_conflict: OnConflict,
}

/// What must be the same when a migration goes on.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    pub mapping: Mapping,
    pub rules: Rules,
    pub on_null: OnNull,
    pub on_conflict: OnConflict,
}

impl Terms {
    /// The migration of this input on these terms.
    pub fn job(self, input: Input) -> Job {
        let Terms { mapping, rules, on_null, on_conflict } = self;
        Job { input, mapping, rules, on_null, on_conflict }
    }
}

impl Job {
    pub fn terms(&self) -> Terms {
        let Job { mapping, rules, on_null, on_conflict, .. } = self.clone();
        Terms { mapping, rules, on_null, on_conflict }
    }
}

/// Why a migration stopped.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    #[error(transparent)]
    Input(#[from] InputError),
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Journal(#[from] super::journal::JournalError),
    #[error(transparent)]
    Clerk(#[from] ClerkError),
    #[error(
        "{} is missing, and this migration has written something: restore the file from a backup, because an undo needs it",
        .0.display()
    )]
    NoJournal(PathBuf),
    /// The input is another one than a moment ago.
    #[error("the input changed while it was read: run the command again when nothing writes to it")]
    Moved,
}

/// Makes the plan and stores it in the folder.
///
/// # Errors
///
/// [`MigrationError`].
pub async fn plan(
    job: &Job,
    survey: &Survey,
    clerk: &ClerkApi,
    folder: &Folder,
    changed_before: &Marks,
    mut each: impl FnMut(u64),
) -> Result<Counts, MigrationError> {
    let mut draft = folder.create(DRAFT)?;
    let mut users: Vec<Mark> = Vec::new();
    let decide = |row: &Pending, found: &[IdentifiedUser]| decided(row, found, job, changed_before);
    let mut lookups = Lookups::new(job.rules, decide);
    let mut rows = job.input.rows()?;
    let (mut read, mut done) = (0, 0);
    loop {
        let next = rows.next().transpose()?;
        if let Some(row) = &next {
            read += 1;
            lookups.add(pending(job, survey, read, row));
        }
        lookups.ask(clerk, next.is_none()).await?;
        while let Some(line) = lookups.pop() {
            users.extend(line.user.as_deref().map(mark));
            draft.add_json(&line)?;
            done += 1;
            if done % STEP == 0 || done == survey.rows {
                each(done);
            }
        }
        if next.is_none() {
            break;
        }
    }
    draft.finish()?;
    if done != survey.rows {
        return Err(MigrationError::Moved);
    }
    settle(folder, &Marks::repeated(users))
}

/// Marks the rows that lead to a user of several rows, and writes the plan under its name.
fn settle(folder: &Folder, shared: &Marks) -> Result<Counts, MigrationError> {
    let (mut counts, mut plan) = (Counts::default(), folder.create(PLAN)?);
    for line in lines(folder, DRAFT)? {
        let mut line = line?;
        if line.user.as_deref().is_some_and(|user| shared.has(user)) {
            line.outcome = Outcome::Ambiguous { reason: Ambiguous::UserOfSeveralRows };
        }
        counts.add(&line);
        plan.add_json(&line)?;
    }
    plan.finish()?;
    folder.remove(DRAFT)?;
    Ok(counts)
}

/// The lines of a plan.
///
/// # Errors
///
/// [`FolderError`].
pub fn lines(
    folder: &Folder,
    name: &str,
) -> Result<impl Iterator<Item = Result<Line, FolderError>> + use<>, FolderError> {
    let path = folder.file(name);
    Ok(folder.read(name)?.lines().map(move |line| {
        let line = line.map_err(|source| FolderError::Io { path: path.clone(), source })?;
        serde_json::from_str(&line).map_err(|source| FolderError::Unreadable { path: path.clone(), source })
    }))
}

/// A row ready to be looked up, or the line about a row that cannot be.
fn pending(job: &Job, survey: &Survey, number: u64, row: &Row) -> Result<Pending, Line> {
    let place = row.place.to_string();
    let id = legacy_id(&row.value, &job.mapping.legacy_id);
    let legacy_id = id.as_ref().ok().cloned().flatten().map(|id| id.typed);
    let line = |outcome| Line {
        row: number,
        place: place.clone(),
        legacy_id: legacy_id.clone(),
        user: None,
        by: None,
        outcome,
    };
    if row.deleted {
        return Err(line(Outcome::Skipped));
    }
    if legacy_id.as_deref().is_some_and(|id| survey.shared_ids.has(id)) {
        return Err(line(Outcome::Ambiguous { reason: Ambiguous::IdOfSeveralRows }));
    }
    let keys = keys(&row.value, &job.mapping);
    let mut keys = keys.map_err(|refused| line(Outcome::Refused { reason: refused.to_string() }))?;
    // What a deleted person had is of no interest.
    let problem = address_problem(&row.value, &job.mapping).filter(|_| !keys.is_deleted);
    let has_bad_address = problem.is_some();
    let wanted = match problem {
        Some(problem) => Err(problem),
        None if keys.is_deleted => Ok(Vec::new()),
        None => wanted(&row.value, &job.mapping, job.on_null),
    };
    keys.is_address_shared = keys.address.as_deref().is_some_and(|address| survey.shared_addresses.has(address));
    Ok(Pending { row: number, place, legacy_id, keys, wanted, has_bad_address })
}

fn decided(row: &Pending, found: &[IdentifiedUser], job: &Job, changed_before: &Marks) -> Line {
    let line = |user: Option<&IdentifiedUser>, by, outcome| Line {
        row: row.row,
        place: row.place.clone(),
        legacy_id: row.legacy_id.clone(),
        user: user.map(|user| user.id.to_string()),
        by,
        outcome,
    };
    match find(&row.keys, found, job.rules) {
        Match::Deleted => line(None, None, Outcome::Skipped),
        Match::Unmatched(reason) => match &row.wanted {
            Err(refused) if row.has_bad_address => line(None, None, Outcome::Refused { reason: refused.to_string() }),
            _ => line(None, None, Outcome::Unmatched { reason }),
        },
        Match::Ambiguous(reason) => line(None, None, Outcome::Ambiguous { reason }),
        Match::User(user, rule) => {
            let is_known = changed_before.has(user.id.as_str());
            let outcome = match &row.wanted {
                Ok(wanted) => outcome(&decide(&user.public_metadata, wanted, job.on_conflict), is_known),
                Err(refused) => Outcome::Refused { reason: refused.to_string() },
            };
            line(Some(user), Some(rule), outcome)
        }
    }
}

/// What a decision is called in a plan.
pub(super) fn outcome(decision: &Decision, is_known: bool) -> Outcome {
    match decision {
        Decision::Unchanged if is_known => Outcome::ChangedBefore,
        Decision::Unchanged => Outcome::Unchanged,
        Decision::Change(_) => Outcome::Changed,
        Decision::Conflict(paths) => Outcome::Conflict { paths: paths.iter().map(|path| path.join(".")).collect() },
        // The size of each user would be a reason of its own in the counts.
        Decision::TooLarge(_) => {
            Outcome::Refused { reason: format!("the public metadata would have more than {} KB", MOST_BYTES / 1024) }
        }
    }
}
