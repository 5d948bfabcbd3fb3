//! Reads collections to their ends, and judges each row.

use std::collections::{BTreeMap, HashSet};

use rollcall::core::id::UserId;
use serde::Serialize;

use super::VerifyError;
use super::distinct::Distinct;
use super::exceptions::Exceptions;
use super::findings::{Finding, Findings};
use super::listed::{Measure, Verdict, judge};
use super::search::{in_report, search};
use crate::folder::FolderError;
use crate::ids::IdMap;
use crate::metadata::survey::Input;
use crate::references::Reference;

/// The criterion about listed references.
pub const LISTED: u8 = 2;
/// The criterion about references that nobody listed.
pub const UNLISTED: u8 = 3;

/// A collection whose rows are in files.
#[derive(Clone, Debug)]
pub struct Subject {
    pub name: String,
    pub input: Input,
    /// Whether the files were made from the live table now.
    pub is_table: bool,
    pub references: Vec<Reference>,
    pub loose_ids: bool,
    pub accepted: BTreeMap<String, String>,
}

/// What a collection has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    pub rows: u64,
    /// Rows that an incremental export reports as deleted: they are not judged.
    pub deleted_rows: u64,
    /// Listed references whose new field is right.
    pub right: u64,
    /// Of them those that were found only because types were not compared.
    pub right_by_loose_ids: u64,
    /// Listed references without an old id and without a new one.
    pub empty: u64,
    /// New fields without an old id beside them.
    pub new_only: u64,
    /// Listed references whose old id is in the list of exceptions: without a new field, or of a user who has left.
    pub excepted: u64,
    /// Listed references that contradict criterion 2.
    pub wrong: u64,
    /// Of them those with an old id and no new field.
    pub lacking: u64,
    /// Old ids outside the listed references.
    pub unlisted: u64,
    /// Old ids at accepted paths.
    pub accepted: u64,
}

/// What rows are judged by.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    pub map: &'a IdMap,
    pub exceptions: &'a Exceptions,
    pub missing: &'a HashSet<UserId>,
}

/// Reads the rows of a collection. The ids of the new fields come into `distinct`.
///
/// # Errors
///
/// [`VerifyError`]: a row cannot be read, or the findings cannot be written.
pub fn examine(
    subject: &Subject,
    known: Known<'_>,
    findings: &mut Findings,
    distinct: &mut Distinct,
    mut each: impl FnMut(u64),
) -> Result<Tally, VerifyError> {
    let Known { map, exceptions, missing } = known;
    let measure = Measure { map, exceptions, missing, loose_ids: subject.loose_ids };
    let mut tally = Tally::default();
    for row in subject.input.rows()? {
        let row = row?;
        tally.rows += 1;
        each(tally.rows);
        if row.deleted {
            tally.deleted_rows += 1;
            continue;
        }
        let mut listed = Vec::new();
        for reference in &subject.references {
            let (judged, values) = judge(&row, reference, measure)?;
            listed.extend(values);
            for judged in judged {
                judged.ids.iter().for_each(|id| distinct.add(id));
                match judged.verdict {
                    Verdict::Right => {
                        tally.right += 1;
                        tally.right_by_loose_ids += u64::from(judged.is_loose);
                    }
                    Verdict::Empty => tally.empty += 1,
                    Verdict::NewOnly => tally.new_only += 1,
                    Verdict::Excepted => tally.excepted += 1,
                    Verdict::Wrong(wrong) => {
                        tally.wrong += 1;
                        tally.lacking += u64::from(wrong.lacks);
                        findings.add(&Finding {
                            criterion: LISTED,
                            collection: &subject.name,
                            path: &in_report(&judged.path),
                            problem: wrong.problem,
                            place: &row.place.to_string(),
                            legacy_id: wrong.legacy_id.as_deref(),
                            clerk_user_id: wrong.clerk_user_id.as_deref(),
                        })?;
                    }
                }
            }
        }
        let mut written: Result<(), FolderError> = Ok(());
        search(&row.value, &listed, map, |path, form, id| {
            if subject.accepted.contains_key(path) {
                tally.accepted += 1;
                return;
            }
            tally.unlisted += 1;
            let finding = Finding {
                criterion: UNLISTED,
                collection: &subject.name,
                path,
                problem: form.problem(),
                place: &row.place.to_string(),
                legacy_id: Some(id),
                clerk_user_id: None,
            };
            if written.is_ok() {
                written = findings.add(&finding);
            }
        });
        written?;
    }
    Ok(tally)
}
