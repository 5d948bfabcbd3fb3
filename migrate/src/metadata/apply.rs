//! Carries a plan out: reads each user again, decides again, writes the journal, and then sends the change.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use futures_util::StreamExt;
use futures_util::stream;
use rollcall::adapters::clerk::api::ClerkApi;
use rollcall::adapters::clerk::error::ClerkError;
use rollcall::adapters::clerk::identified::LookUp;
use rollcall::adapters::clerk::lists::MAX_IDS;
use rollcall::core::clerk::identifications::IdentifiedUser;
use rollcall::core::id::UserId;

use super::decide::{Change, Decision, Wanted, decide, patch};
use super::journal::{Journal, JournalError, Record, open_intents};
use super::outcome::{Counts, Line, Outcome};
use super::plan::{Job, MigrationError, PLAN, lines, outcome};
use super::survey::Marks;
use super::values::wanted;
use crate::folder::Folder;

/// The result of each row, a line for each, in the order of the input.
pub const RESULTS: &str = "results.ndjson";
/// The journal.
pub const JOURNAL: &str = "journal.ndjson";
/// Changes that are under way at the same time.
const AT_ONCE: usize = 8;
/// How often a user is read again and decided about after Clerk did not answer.
const ATTEMPTS: u32 = 5;
/// The run stops after so many users in a row whose change Clerk did not carry out.
const FAILURES: usize = 20;

/// The users whom an earlier run of this migration may have changed.
///
/// # Errors
///
/// [`JournalError`].
pub fn changed_before(path: &Path) -> Result<Marks, JournalError> {
    if !path.exists() {
        return Ok(Marks::default());
    }
    Ok(Marks::of(open_intents(path)?.into_iter().map(|(_, user)| user).collect()))
}

/// A row whose user is to change.
struct Task {
    line: Line,
    user: UserId,
    wanted: Vec<Wanted>,
}

/// Carries out the plan in the folder. It may be dropped at any time: what is under way is in the journal.
///
/// # Errors
///
/// [`MigrationError`]. What was done is in the journal, and the next run goes on.
pub async fn apply(
    job: &Job,
    clerk: &ClerkApi,
    folder: &Folder,
    mut each: impl FnMut(u64, u64),
) -> Result<Counts, MigrationError> {
    folder.check_journal(JOURNAL)?;
    let mut journal = Journal::open(&folder.file(JOURNAL))?;
    let mut results = folder.create(RESULTS)?;
    let mut counts = Counts::default();
    let mut failures = 0;
    let mut rows = job.input.rows()?;
    let mut plan = lines(folder, PLAN)?;
    let (mut waiting, mut tasks): (Vec<Line>, Vec<Task>) = (Vec::new(), Vec::new());
    loop {
        let next = plan.next().transpose()?;
        if let Some(line) = &next {
            let row = rows.next().transpose()?.ok_or(MigrationError::Moved)?;
            if line.place != row.place.to_string() {
                return Err(MigrationError::Moved);
            }
            let user = line.user.as_deref().and_then(|user| user.parse().ok());
            match (&line.outcome, user, wanted(&row.value, &job.mapping, job.on_null)) {
                (Outcome::Changed, Some(user), Ok(wanted)) => {
                    tasks.push(Task { line: line.clone(), user, wanted });
                }
                _ => waiting.push(line.clone()),
            }
        }
        if tasks.len() < MAX_IDS && next.is_some() && waiting.len() < 100 * MAX_IDS {
            continue;
        }
        let mut done = batch(&tasks, job, clerk, folder, &mut journal).await?;
        let mut finished: Vec<Line> = std::mem::take(&mut waiting);
        for task in std::mem::take(&mut tasks) {
            let outcome = done.remove(&task.line.row).unwrap_or(Outcome::Failed { reason: "no answer".to_owned() });
            failures = if matches!(outcome, Outcome::Failed { .. }) { failures + 1 } else { 0 };
            finished.push(Line { outcome, ..task.line });
        }
        finished.sort_by_key(|line| line.row);
        for line in &finished {
            counts.add(line);
            results.add_json(line)?;
        }
        each(counts.read, counts.of("changed"));
        if failures >= FAILURES {
            results.finish()?;
            return Err(ClerkError::Unavailable(None).into());
        }
        if next.is_none() {
            break;
        }
    }
    results.finish()?;
    Ok(counts)
}

/// Reads the users of a batch again, decides, notes the intents, and sends the changes.
async fn batch(
    tasks: &[Task],
    job: &Job,
    clerk: &ClerkApi,
    folder: &Folder,
    journal: &mut Journal,
) -> Result<HashMap<u64, Outcome>, MigrationError> {
    let mut outcomes = HashMap::new();
    let mut open: Vec<&Task> = tasks.iter().collect();
    for attempt in 1..=ATTEMPTS {
        if open.is_empty() {
            break;
        }
        let ids: Vec<&str> = open.iter().map(|task| task.user.as_str()).collect();
        let found = clerk.identified(LookUp::Id, &ids).await?;
        let found: BTreeMap<&UserId, &IdentifiedUser> = found.iter().map(|user| (&user.id, user)).collect();
        let mut changes: Vec<(&Task, Vec<Change>)> = Vec::new();
        for task in &open {
            let Some(user) = found.get(&task.user) else {
                outcomes.insert(
                    task.line.row,
                    Outcome::Failed { reason: "Clerk does not have the user any more".to_owned() },
                );
                continue;
            };
            match decide(&user.public_metadata, &task.wanted, job.on_conflict) {
                Decision::Change(change) => changes.push((task, change)),
                // After a failure, Clerk may have carried the change out.
                Decision::Unchanged if attempt > 1 => {
                    journal.add(&Record::Done { user: task.user.to_string() });
                    outcomes.insert(task.line.row, Outcome::Changed);
                }
                other => {
                    outcomes.insert(task.line.row, outcome(&other, false));
                }
            }
        }
        for (task, changes) in &changes {
            let (user, row) = (task.user.to_string(), task.line.row);
            journal.add(&Record::Intent { user, row, changes: changes.clone() });
        }
        journal.flush()?;
        if !changes.is_empty() {
            folder.note_journal()?;
        }
        let sent = stream::iter(changes).map(|(task, changes)| async move {
            (task, clerk.merge_public_metadata(&task.user, &patch(&changes)).await)
        });
        let mut sent = sent.buffer_unordered(AT_ONCE);
        open = Vec::new();
        let mut fatal = None;
        while let Some((task, answer)) = sent.next().await {
            let user = task.user.to_string();
            let outcome = match answer {
                Ok(Some(())) => {
                    journal.add(&Record::Done { user });
                    Outcome::Changed
                }
                Ok(None) => {
                    journal.add(&Record::Rejected { user });
                    Outcome::Failed { reason: "Clerk does not have the user any more".to_owned() }
                }
                Err(error @ ClerkError::Rejected(..)) => {
                    journal.add(&Record::Rejected { user });
                    Outcome::Failed { reason: error.to_string() }
                }
                Err(ClerkError::Unavailable(_) | ClerkError::Unreadable(_)) if attempt < ATTEMPTS => {
                    open.push(task);
                    continue;
                }
                Err(error @ (ClerkError::Unavailable(_) | ClerkError::Unreadable(_))) => {
                    Outcome::Failed { reason: error.to_string() }
                }
                Err(error) => {
                    fatal = Some(error);
                    continue;
                }
            };
            outcomes.insert(task.line.row, outcome);
        }
        journal.flush()?;
        if let Some(error) = fatal {
            return Err(error.into());
        }
    }
    Ok(outcomes)
}
