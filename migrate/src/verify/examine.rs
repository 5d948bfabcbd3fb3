//! Reads collections to their ends, and judges each row.

use std::collections::{BTreeMap, HashSet};

use rollcall::core::id::UserId;

use super::VerifyError;
use super::distinct::Distinct;
use super::exceptions::Exceptions;
use super::findings::{Finding, Findings};
use super::listed::{Measure, Verdict, judge, note};
use super::search::{in_report, search};
use super::tally::{ListedTally, Tally};
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
    /// The field that names a row, if it is neither `_id` nor `id`.
    pub id: Option<String>,
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
    let listed = vec![ListedTally::default(); subject.references.len()];
    let mut tally = Tally { listed, ..Tally::default() };
    for row in subject.input.rows()? {
        let row = row?;
        tally.rows += 1;
        each(tally.rows);
        if row.deleted {
            tally.deleted_rows += 1;
            continue;
        }
        let mut listed = Vec::new();
        for (reference, counts) in subject.references.iter().zip(&mut tally.listed) {
            let (judged, values) = judge(&row, reference, measure)?;
            if !exceptions.is_empty() {
                values.iter().for_each(|value| note(value, exceptions, &mut tally.seen));
            }
            listed.extend(values);
            counts.add(&judged);
            for judged in judged {
                judged.ids.iter().for_each(|id| distinct.add(id));
                if let Verdict::Wrong(wrong) = judged.verdict {
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
