//! Criterion 1: every old user is unchanged, skipped, or accepted by the operator, by what Clerk has now.

use rollcall::adapters::clerk::api::ClerkApi;
use rollcall::core::id::UserId;
use serde::Serialize;

use super::VerifyError;
use super::exceptions::{Exceptions, Seen};
use super::findings::{Finding, Findings};
use super::search::is_number;
use crate::folder::Folder;
use crate::ids::{IdMap, NoUser, Owner};
use crate::metadata::outcome::{Line, Outcome};
use crate::metadata::plan::{Job, PLAN, lines, plan};
use crate::metadata::survey::{Marks, Survey};

/// The criterion about the users.
pub const USERS: u8 = 1;

/// What became of the old users.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UsersTally {
    pub rows: u64,
    pub unchanged: u64,
    /// The old system had deleted the person.
    pub skipped: u64,
    /// Neither, and in the list of exceptions.
    pub excepted: u64,
    /// None of these, or the map says something else.
    pub open: u64,
    /// Old ids that are integers, or texts of digits.
    pub numbers: u64,
    /// The ids whose text is in the list of exceptions.
    #[serde(skip)]
    pub seen: Seen,
}

impl UsersTally {
    /// Whether each row has one result.
    pub fn adds_up(&self) -> bool {
        self.unchanged + self.skipped + self.excepted + self.open == self.rows
    }
}

/// Plans the migration again in the folder of the verification, and compares the result with the map.
///
/// # Errors
///
/// [`VerifyError`].
pub async fn users(
    (job, survey): (&Job, &Survey),
    clerk: &ClerkApi,
    folder: &Folder,
    (map, exceptions): (&IdMap, &Exceptions),
    findings: &mut Findings,
    each: impl FnMut(u64),
) -> Result<UsersTally, VerifyError> {
    plan(job, survey, clerk, folder, &Marks::default(), each).await?;
    judged(folder, (map, exceptions), findings)
}

/// Judges the plan in the folder of the verification.
///
/// # Errors
///
/// [`VerifyError`].
pub fn judged(
    folder: &Folder,
    (map, exceptions): (&IdMap, &Exceptions),
    findings: &mut Findings,
) -> Result<UsersTally, VerifyError> {
    let mut tally = UsersTally::default();
    for line in lines(folder, PLAN)? {
        let line = line?;
        tally.rows += 1;
        tally.numbers += u64::from(line.legacy_id.as_deref().is_some_and(is_number));
        if let Some(id) = &line.legacy_id {
            exceptions.note(id, &mut tally.seen);
        }
        let is_excepted = line.legacy_id.as_deref().is_some_and(|id| exceptions.has(id));
        let problem = match &line.outcome {
            Outcome::Unchanged | Outcome::Skipped => against_map(&line, map),
            outcome => Some(outcome.name()),
        };
        match problem {
            None if line.outcome == Outcome::Skipped => tally.skipped += 1,
            None => tally.unchanged += 1,
            Some(_) if is_excepted => tally.excepted += 1,
            Some(problem) => {
                tally.open += 1;
                findings.add(&Finding {
                    criterion: USERS,
                    collection: "users",
                    path: "",
                    problem,
                    place: &line.place,
                    legacy_id: line.legacy_id.as_deref(),
                    clerk_user_id: line.user.as_deref(),
                })?;
            }
        }
    }
    Ok(tally)
}

/// What is wrong with the map's line about an old user.
fn against_map(line: &Line, map: &IdMap) -> Option<&'static str> {
    let Some(id) = line.legacy_id.as_deref() else {
        // Nothing can refer to the row.
        return None;
    };
    let user = line.user.as_deref().and_then(|user| user.parse::<UserId>().ok());
    match (map.owner(id), user) {
        (None, _) => Some("not_in_the_map"),
        (Some(Owner::User(mapped)), Some(user)) if mapped == user => None,
        (Some(Owner::Nobody(NoUser::Deleted)), None) => None,
        _ => Some("another_user_in_the_map"),
    }
}
