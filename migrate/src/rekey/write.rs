//! Streams the rows of files into drafts.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::decide::{Decision, decide, is_in_array};
use super::drafts::{Out, Written, name};
use super::outcome::{Cause, Counts, Line, Reason};
use super::proof;
use super::terms::{Emit, Terms};
use super::{DRAFT, LEFT, RekeyError, Rekeyed, patch};
use crate::folder::{Folder, Lines};
use crate::ids::IdMap;
use crate::input::{self, Kind, Row};
use crate::metadata::survey::{Input, Mark, Marks, mark};

/// Decides about every row and writes nothing.
///
/// # Errors
///
/// As [`write()`].
pub fn survey(input: &Input, terms: &Terms, map: &IdMap, each: &mut dyn FnMut(u64)) -> Result<Counts, RekeyError> {
    run(input, terms, map, None, each).map(|rekeyed| rekeyed.counts)
}

/// Decides about every row and writes the drafts, which are proven to have every row.
///
/// # Errors
///
/// [`RekeyError`]: a file cannot be read, or not be written; rows would be lost. What was written are drafts.
pub fn write(
    input: &Input,
    terms: &Terms,
    map: &IdMap,
    folder: &Folder,
    each: &mut dyn FnMut(u64),
) -> Result<Rekeyed, RekeyError> {
    run(input, terms, map, Some(folder), each)
}

fn run(
    input: &Input,
    terms: &Terms,
    map: &IdMap,
    folder: Option<&Folder>,
    each: &mut dyn FnMut(u64),
) -> Result<Rekeyed, RekeyError> {
    terms.check()?;
    let kinds = input.paths.iter().map(|path| {
        let kind = input::kind(path, &input.options)?;
        let fits = terms.fits(&kind).map_err(|error| RekeyError::Refused(format!("{}: {error}", path.display())));
        fits.map(|()| (path, kind))
    });
    let files: Vec<(&PathBuf, Kind)> = kinds.collect::<Result<_, _>>()?;
    let names: HashSet<String> = files.iter().map(|(path, _)| name(path)).collect();
    if names.len() < files.len() {
        let advice = "two files have the same name: rekey each into a folder of its own (--folder)";
        return Err(RekeyError::Refused(advice.to_owned()));
    }
    let shared = if terms.unique { shared(input, terms, map, each)? } else { Marks::default() };
    let lines = folder.map(|folder| folder.create(&format!("{LEFT}{DRAFT}"))).transpose()?;
    let mut work =
        Work { input, terms, map, folder, each, shared, counts: Counts::of_references(&terms.references), lines };
    let mut written = Vec::new();
    for (path, kind) in files {
        written.extend(work.file(path, &kind)?);
    }
    if let Some(lines) = work.lines.take() {
        lines.finish()?;
    }
    Ok(Rekeyed { counts: work.counts, written })
}

/// The users that more than one row refers to by the same reference, of the rows that pass.
fn shared(input: &Input, terms: &Terms, map: &IdMap, each: &mut dyn FnMut(u64)) -> Result<Marks, RekeyError> {
    let (mut marks, mut rows) = (Vec::new(), 0);
    for row in input.rows()? {
        let row = row?;
        let decision = decide(&row, terms, map)?;
        if !decision.outcome.is_left() {
            let users: HashSet<Mark> =
                decision.users().map(|(reference, _, user)| mark(&user_text(reference, user))).collect();
            marks.extend(users);
        }
        rows += 1;
        each(rows);
    }
    Ok(Marks::repeated(marks))
}

/// The user of a reference as a text, by which rows with the same user are found.
fn user_text(reference: usize, user: &rollcall::core::id::UserId) -> String {
    format!("{reference} {user}")
}

struct Work<'a> {
    input: &'a Input,
    terms: &'a Terms,
    map: &'a IdMap,
    folder: Option<&'a Folder>,
    each: &'a mut dyn FnMut(u64),
    shared: Marks,
    counts: Counts,
    /// The reasons.
    lines: Option<Lines>,
}

impl Work<'_> {
    fn file(&mut self, path: &Path, kind: &Kind) -> Result<Option<Written>, RekeyError> {
        let mut rows = input::open(&[path], self.input.options.clone())?;
        let mut out = self.folder.map(|folder| Out::create(folder, self.terms, path, kind.clone())).transpose()?;
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for row in rows.by_ref() {
            let row = row?;
            let decision = self.decide(&row, kind)?;
            self.counts.add(decision.outcome, &decision.causes);
            self.counts.loose += u64::from(decision.is_loose);
            for reference in &decision.found {
                let field = &self.terms.references[*reference].field;
                *self.counts.with_reference.entry(field.clone()).or_default() += 1;
            }
            for reference in &decision.alone {
                let field = &self.terms.references[*reference].field;
                *self.counts.with_new_alone.entry(field.clone()).or_default() += 1;
            }
            if let Some(lines) = &mut self.lines {
                for cause in &decision.causes {
                    let (result, line, byte) = (decision.outcome, row.place.line, row.place.byte);
                    lines.add_json(&Line { file: &file, line, byte, result, cause })?;
                }
            }
            if let Some(out) = &mut out {
                out.row(&row, &decision)?;
            }
            (self.each)(self.counts.read);
        }
        let (Some(out), Some(folder)) = (out, self.folder) else { return Ok(None) };
        let written = out.finish(rows.after())?;
        proof::prove(folder, &written, &self.terms.id)?;
        Ok(Some(written))
    }

    fn decide(&self, row: &Row, kind: &Kind) -> Result<Decision, RekeyError> {
        let mut decision = decide(row, self.terms, self.map)?;
        if self.terms.emit == Emit::Patch && !decision.outcome.is_left() && decision.changes() {
            let nested = decision.fields.iter().find(|field| !row.is_record() && is_in_array(&row.value, &field.path));
            if let Some(field) = nested {
                return Err(RekeyError::Refused(format!(
                    "{}: {} is in an array, and a patch names an element by its index, which may have another element since \
                     the export; give --emit rows",
                    row.place, self.terms.references[field.reference].field
                )));
            }
            let line = match patch::is_csv(kind) {
                true => patch::record(row, &decision, self.terms),
                false => patch::json(row, &decision, self.terms),
            };
            if line.is_none() {
                decision.leave(&self.terms.id, Reason::NoId);
            }
        }
        if !decision.outcome.is_left() {
            let is_shared = |reference, user| self.shared.has(&user_text(reference, user));
            let same = decision.users().filter(|(reference, _, user)| is_shared(*reference, user));
            let cause = |(_, path, user): (usize, &str, &rollcall::core::id::UserId)| Cause {
                path: path.to_owned(),
                id: None,
                clerk_user_id: Some(user.clone()),
                reason: Reason::SameUser,
            };
            let same: Vec<Cause> = same.map(cause).collect();
            decision.causes.extend(same);
        }
        Ok(decision)
    }
}
