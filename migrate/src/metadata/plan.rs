//! The plan: what would become of each row, by what Clerk has now. Nothing is written to Clerk.

use std::collections::{BTreeSet, HashSet};
use std::io::BufRead;

use rollcall::adapters::clerk::api::ClerkApi;
use rollcall::adapters::clerk::error::ClerkError;
use rollcall::adapters::clerk::identified::LookUp;
use rollcall::adapters::clerk::lists::MAX_IDS;
use rollcall::core::clerk::identifications::IdentifiedUser;
use rollcall::core::id::UserId;
use serde::{Deserialize, Serialize};

use super::decide::{Decision, MOST_BYTES, OnConflict, decide};
use super::outcome::{Counts, Line, Outcome};
use super::survey::{Input, Mark, Survey, mark, repeated};
use super::values::{OnNull, keys, legacy_id, wanted};
use crate::folder::{Folder, FolderError};
use crate::input::{InputError, Row};
use crate::mapping::Mapping;
use crate::matching::{Ambiguous, Keys, Match, Rules, Users, find};

/// The plan, a line for each row of the input, in its order.
pub const PLAN: &str = "plan.ndjson";
/// Rows that are looked up together, so that a list request of Clerk is as full as possible.
const BATCH: usize = 10 * MAX_IDS;

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
    /// The input is another one than a moment ago.
    #[error("the input changed while it was read: run the command again when nothing writes to it")]
    Moved,
}

/// A row as the plan needs it.
struct Pending {
    row: u64,
    place: String,
    legacy_id: Option<String>,
    keys: Keys,
    wanted: Vec<super::decide::Wanted>,
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
    changed_before: &HashSet<Mark>,
    mut each: impl FnMut(u64),
) -> Result<Counts, MigrationError> {
    let mut draft = folder.create("plan.ndjson.draft")?;
    let mut users: Vec<Mark> = Vec::new();
    let mut rows = job.input.rows()?;
    let mut done = 0;
    loop {
        let mut lines: Vec<Result<Pending, Line>> = Vec::new();
        for row in rows.by_ref().take(BATCH) {
            done += 1;
            lines.push(pending(job, survey, done, &row?));
        }
        if lines.is_empty() {
            break;
        }
        let found = look_up(lines.iter().filter_map(|line| line.as_ref().ok()), job.rules, clerk).await?;
        for line in lines {
            let line = line.map_or_else(|line| line, |pending| decided(&pending, &found, job, changed_before));
            users.extend(line.user.as_deref().map(mark));
            draft.add_json(&line)?;
        }
        each(done);
    }
    draft.finish()?;
    if done != survey.rows {
        return Err(MigrationError::Moved);
    }
    let counts = settle(folder, &repeated(users))?;
    Ok(counts)
}

/// Marks the rows that lead to a user of several rows, and writes the plan under its name.
fn settle(folder: &Folder, shared: &HashSet<Mark>) -> Result<Counts, MigrationError> {
    let (mut counts, mut plan) = (Counts::default(), folder.create(PLAN)?);
    for line in lines(folder, "plan.ndjson.draft")? {
        let mut line = line?;
        if line.user.as_deref().is_some_and(|user| shared.contains(&mark(user))) {
            line.outcome = Outcome::Ambiguous { reason: Ambiguous::UserOfSeveralRows };
        }
        counts.add(&line);
        plan.add_json(&line)?;
    }
    plan.finish()?;
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
    if legacy_id.as_deref().is_some_and(|id| survey.shared_ids.contains(&mark(id))) {
        return Err(line(Outcome::Ambiguous { reason: Ambiguous::IdOfSeveralRows }));
    }
    let read = keys(&row.value, &job.mapping).and_then(|keys| {
        // What a deleted person had is of no interest.
        let wanted = if keys.is_deleted { Vec::new() } else { wanted(&row.value, &job.mapping, job.on_null)? };
        Ok((keys, wanted))
    });
    let (mut keys, wanted) = read.map_err(|refused| line(Outcome::Refused { reason: refused.to_string() }))?;
    keys.is_address_shared =
        keys.address.as_deref().is_some_and(|address| survey.shared_addresses.contains(&mark(address)));
    Ok(Pending { row: number, place, legacy_id, keys, wanted })
}

/// The users that the rows may belong to: by ids first, and by addresses for the rows without one.
async fn look_up<'a>(
    rows: impl Iterator<Item = &'a Pending> + Clone,
    rules: Rules,
    clerk: &ClerkApi,
) -> Result<Users, ClerkError> {
    let rows = rows.filter(|row| !row.keys.is_deleted);
    let mut found = Users::default();
    // A text that is no id of Clerk is not worth a request, and would be rejected.
    let clerk_ids: BTreeSet<&str> = rows.clone().filter_map(|row| row.keys.clerk_id.as_deref()).collect();
    let clerk_ids = clerk_ids.into_iter().filter(|id| id.parse::<UserId>().is_ok()).collect();
    add(&mut found, clerk, LookUp::Id, clerk_ids).await?;
    let external_ids: BTreeSet<&str> = rows.clone().filter_map(|row| row.keys.legacy_id.as_deref()).collect();
    add(&mut found, clerk, LookUp::ExternalId, external_ids.into_iter().collect()).await?;
    if rules.by_address {
        let is_open = |row: &&Pending| {
            let id = row.keys.legacy_id.as_deref();
            row.keys.clerk_id.is_none() && id.is_none_or(|id| !found.has_external_id(id))
        };
        let addresses: BTreeSet<String> = rows.filter(is_open).filter_map(|row| row.keys.address.clone()).collect();
        let addresses = addresses.iter().map(String::as_str).collect();
        add(&mut found, clerk, LookUp::Address, addresses).await?;
    }
    Ok(found)
}

async fn add(found: &mut Users, clerk: &ClerkApi, by: LookUp, values: Vec<&str>) -> Result<(), ClerkError> {
    for values in values.chunks(MAX_IDS) {
        clerk.identified(by, values).await?.into_iter().for_each(|user| found.add(user));
    }
    Ok(())
}

fn decided(row: &Pending, found: &Users, job: &Job, changed_before: &HashSet<Mark>) -> Line {
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
        Match::Unmatched(reason) => line(None, None, Outcome::Unmatched { reason }),
        Match::Ambiguous(reason) => line(None, None, Outcome::Ambiguous { reason }),
        Match::User(user, rule) => {
            let is_known = changed_before.contains(&mark(user.id.as_str()));
            let outcome = outcome(&decide(&user.public_metadata, &row.wanted, job.on_conflict), is_known);
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
