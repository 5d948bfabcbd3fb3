//! Streams the rows of files into drafts.
//!
//! A row that passes goes to the file of the rows or to the patch; a row that is left goes to a file of its result, with
//! its own bytes and its line end. What is between two rows stays in the file of the rows; only in an array the space and
//! the comma before a row go with the row, because otherwise the rest would be no array.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use super::decide::{Decision, decide, is_in_array};
use super::outcome::{Cause, Counts, Line, Outcome, Reason};
use super::proof::{self, Multiset};
use super::splice::{self, Syntax};
use super::terms::{Emit, Terms};
use super::{DRAFT, LEFT, RekeyError, Rekeyed, patch};
use crate::folder::{Folder, Lines};
use crate::ids::IdMap;
use crate::input::{self, Format, Kind, Row};
use crate::metadata::survey::{Input, Mark, mark, repeated};

/// Where the bytes were put into the file of the rows, until the proof.
pub(crate) const INSERTIONS: &str = "insertions.draft";

/// A file that was written.
#[derive(Clone, Debug)]
pub struct Part {
    pub name: String,
    /// How to read it again.
    pub format: Format,
}

impl Part {
    pub(crate) fn draft(&self) -> String {
        format!("{}{DRAFT}", self.name)
    }
}

/// What was written for a file of the input.
#[derive(Debug)]
pub struct Written {
    pub input: PathBuf,
    pub kind: Kind,
    pub rows: Option<Part>,
    pub patch: Option<Part>,
    /// The SQL that belongs to a patch.
    pub sql: Option<String>,
    pub left: Vec<Part>,
    pub(crate) read: u64,
    /// The rows of the file of rows, or the ids of the patch.
    pub(crate) of_passed: Multiset,
    pub(crate) of_left: Multiset,
    /// Rows for which a patch has nothing to write.
    pub(crate) unwritten: u64,
}

impl Written {
    /// The names of the files, and whether each is a result.
    pub fn names(&self) -> impl Iterator<Item = (String, bool)> {
        let left = self.left.iter().map(|part| (part.name.clone(), false));
        let results = self.rows.iter().chain(&self.patch).map(|part| (part.name.clone(), true));
        left.chain(results).chain(self.sql.iter().map(|name| (name.clone(), true)))
    }
}

/// Decides about every row and writes nothing.
///
/// # Errors
///
/// As [`write`].
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
        terms.fits(&kind).map(|()| (path, kind))
    });
    let files: Vec<(&PathBuf, Kind)> = kinds.collect::<Result<_, _>>()?;
    let names: HashSet<String> = files.iter().map(|(path, _)| name(path)).collect();
    if names.len() < files.len() {
        let advice = "two files have the same name: rekey each into a folder of its own (--folder)";
        return Err(RekeyError::Refused(advice.to_owned()));
    }
    let shared = if terms.unique { shared(input, terms, map, each)? } else { HashSet::new() };
    let lines = folder.map(|folder| folder.create(&format!("{LEFT}{DRAFT}"))).transpose()?;
    let mut work = Work { input, terms, map, folder, each, shared, counts: Counts::default(), lines };
    let mut written = Vec::new();
    for (path, kind) in files {
        written.extend(work.file(path, kind)?);
    }
    if let Some(lines) = work.lines.take() {
        lines.finish()?;
    }
    Ok(Rekeyed { counts: work.counts, written })
}

/// The users that more than one row refers to by the same reference, of the rows that pass.
fn shared(input: &Input, terms: &Terms, map: &IdMap, each: &mut dyn FnMut(u64)) -> Result<HashSet<Mark>, RekeyError> {
    let (mut marks, mut rows) = (Vec::new(), 0);
    for row in input.rows()? {
        let row = row?;
        let decision = decide(&row, terms, map)?;
        if !decision.outcome.is_left() {
            let users: HashSet<Mark> =
                decision.users().map(|(reference, _, user)| user_mark(reference, user)).collect();
            marks.extend(users);
        }
        rows += 1;
        each(rows);
    }
    Ok(repeated(marks))
}

fn user_mark(reference: usize, user: &rollcall::core::id::UserId) -> Mark {
    mark(&format!("{reference} {user}"))
}

/// The name of a file without `.gz`: what is written is not packed.
fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    name.strip_suffix(".gz").map(str::to_owned).unwrap_or(name)
}

struct Work<'a> {
    input: &'a Input,
    terms: &'a Terms,
    map: &'a IdMap,
    folder: Option<&'a Folder>,
    each: &'a mut dyn FnMut(u64),
    shared: HashSet<Mark>,
    counts: Counts,
    /// The reasons.
    lines: Option<Lines>,
}

impl Work<'_> {
    fn file(&mut self, path: &Path, kind: Kind) -> Result<Option<Written>, RekeyError> {
        let mut rows = input::open(&[path], self.input.options.clone())?;
        let mut out = self.folder.map(|folder| Out::create(folder, self.terms, path, kind.clone())).transpose()?;
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for row in rows.by_ref() {
            let row = row?;
            let decision = self.decide(&row, &kind)?;
            self.counts.add(decision.outcome, &decision.causes);
            self.counts.loose += u64::from(decision.is_loose);
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
        if !decision.outcome.is_left() && !self.shared.is_empty() {
            let is_shared = |reference, user| self.shared.contains(&user_mark(reference, user));
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

/// A file under its draft's name.
struct Draft {
    part: Part,
    lines: Lines,
    at: u64,
}

impl Draft {
    fn create(folder: &Folder, name: String, format: Format) -> Result<Draft, RekeyError> {
        let part = Part { name, format };
        Ok(Draft { lines: folder.create(&part.draft())?, part, at: 0 })
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), RekeyError> {
        self.at += bytes.len() as u64;
        Ok(self.lines.put(bytes)?)
    }

    fn finish(self) -> Result<Part, RekeyError> {
        self.lines.finish()?;
        Ok(self.part)
    }
}

/// Whose a line end is.
#[derive(Clone, Copy, PartialEq)]
enum Previous {
    None,
    Passed,
    Left(Outcome),
}

/// The drafts of one file.
struct Out<'a> {
    folder: &'a Folder,
    terms: &'a Terms,
    input: PathBuf,
    name: String,
    kind: Kind,
    syntax: Option<Syntax>,
    /// The references whose columns the file does not have.
    added: Vec<usize>,
    rows: Option<Draft>,
    insertions: Option<Lines>,
    patch: Option<Draft>,
    left: BTreeMap<Outcome, Draft>,
    previous: Previous,
    /// In an array, what is before its first row, until a row is written.
    opening: Option<Vec<u8>>,
    is_array: bool,
    /// The header of a file of records.
    head: Vec<u8>,
    read: u64,
    of_passed: Multiset,
    of_left: Multiset,
    unwritten: u64,
}

impl<'a> Out<'a> {
    fn create(folder: &'a Folder, terms: &'a Terms, path: &Path, kind: Kind) -> Result<Out<'a>, RekeyError> {
        let name = name(path);
        let (syntax, columns) = match &kind {
            Kind::Csv { delimiter, columns } => (Some(Syntax::Csv { delimiter: *delimiter }), columns.as_slice()),
            Kind::Copy { columns, .. } => (Some(Syntax::Copy), columns.as_slice()),
            Kind::PgDump => (Some(Syntax::Copy), &[][..]),
            Kind::Json | Kind::Bson | Kind::DynamoDb => (None, &[][..]),
        };
        let is_new = |number: &usize| !columns.contains(&terms.references[*number].target);
        let added = (0..terms.references.len()).filter(is_new).collect();
        let is_csv = patch::is_csv(&kind);
        let (mut rows, mut insertions, mut patch) = (None, None, None);
        match terms.emit {
            Emit::Rows => {
                rows = Some(Draft::create(folder, format!("rekeyed-{name}"), again(&kind))?);
                insertions = Some(folder.create(INSERTIONS)?);
            }
            Emit::Patch => {
                let endings: &[&str] = if is_csv { &[".csv"] } else { &[".json", ".ndjson"] };
                let ending =
                    if endings.iter().any(|ending| name.ends_with(ending)) { "" } else { endings[endings.len() - 1] };
                let format = if is_csv { Format::Csv { delimiter: b',' } } else { Format::Recognised };
                let mut draft = Draft::create(folder, format!("patch-{name}{ending}"), format)?;
                if is_csv {
                    draft.put(&patch::header(terms))?;
                    draft.put(b"\n")?;
                }
                patch = Some(draft);
            }
        }
        Ok(Out {
            folder,
            terms,
            input: path.to_owned(),
            name,
            kind,
            syntax,
            added,
            rows,
            insertions,
            patch,
            left: BTreeMap::new(),
            previous: Previous::None,
            opening: None,
            is_array: false,
            head: Vec::new(),
            read: 0,
            of_passed: Multiset::default(),
            of_left: Multiset::default(),
            unwritten: 0,
        })
    }

    fn row(&mut self, row: &Row, decision: &Decision) -> Result<(), RekeyError> {
        self.read += 1;
        let is_left = decision.outcome.is_left();
        if self.previous == Previous::None {
            self.begin(row)?;
        } else if self.is_array {
            if !is_left && self.opening.is_none() {
                self.between(&row.before)?;
            }
        } else {
            let (end, rest) = line_end(&row.before);
            self.end(end)?;
            self.between(rest)?;
        }
        if is_left {
            self.of_left.add(&row.source);
            let ends_here = self.is_array || self.kind == Kind::PgDump;
            let draft = self.left(decision.outcome)?;
            draft.put(&row.source)?;
            if ends_here {
                draft.put(b"\n")?;
            }
            self.previous = Previous::Left(decision.outcome);
            return Ok(());
        }
        if let Some(opening) = self.opening.take() {
            self.between(&opening)?;
        }
        self.previous = Previous::Passed;
        self.passed(row, decision)
    }

    /// What is before the first row.
    fn begin(&mut self, row: &Row) -> Result<(), RekeyError> {
        match (self.syntax, &self.kind) {
            (_, Kind::PgDump) => {
                let names: Vec<Vec<u8>> = row.value.iter().map(|(name, _)| Syntax::Copy.field(name)).collect();
                self.head = [names.join(&b'\t'), b"\n".to_vec()].concat();
            }
            (_, Kind::Copy { has_header: false, .. }) => {}
            (Some(syntax), _) => {
                self.head = syntax.header_of(&row.before).to_vec();
                return self.header(&row.before, syntax);
            }
            (None, Kind::Json) if row.before.contains(&b'[') => {
                self.is_array = true;
                self.opening = Some(row.before.clone());
                return Ok(());
            }
            _ => {}
        }
        self.between(&row.before)
    }

    fn header(&mut self, head: &[u8], syntax: Syntax) -> Result<(), RekeyError> {
        let names = self.added.iter().map(|number| self.terms.references[*number].target.as_str());
        let spliced = splice::header(head, names, syntax);
        self.between(&spliced.bytes)
    }

    fn passed(&mut self, row: &Row, decision: &Decision) -> Result<(), RekeyError> {
        if let Some(patch) = &mut self.patch {
            if !decision.changes() {
                self.unwritten += 1;
                return Ok(());
            }
            let line = match patch::is_csv(&self.kind) {
                true => patch::record(row, decision, self.terms),
                false => patch::json(row, decision, self.terms),
            };
            patch.put(&line.unwrap_or_default())?;
            patch.put(b"\n")?;
            self.of_passed.add(&proof::id_mark(row, &self.terms.id));
            return Ok(());
        }
        let (Some(rows), Some(insertions)) = (&mut self.rows, &mut self.insertions) else { return Ok(()) };
        let spliced = match self.syntax {
            Some(syntax) => splice::record(&row.source, decision, &self.added, syntax),
            None => splice::json(&row.source, decision, &self.terms.references),
        };
        for mut insertion in spliced.insertions {
            insertion.at += rows.at;
            insertions.add(proof::line(&insertion).as_bytes())?;
        }
        rows.put(&spliced.bytes)?;
        self.of_passed.add(&row.source);
        Ok(())
    }

    /// Writes what is between rows.
    fn between(&mut self, bytes: &[u8]) -> Result<(), RekeyError> {
        self.rows.as_mut().map_or(Ok(()), |rows| rows.put(bytes))
    }

    /// Writes the line end of the row before.
    fn end(&mut self, bytes: &[u8]) -> Result<(), RekeyError> {
        match self.previous {
            Previous::Left(outcome) if self.kind != Kind::PgDump => self.left(outcome)?.put(bytes),
            _ => self.between(bytes),
        }
    }

    fn left(&mut self, outcome: Outcome) -> Result<&mut Draft, RekeyError> {
        if !self.left.contains_key(&outcome) {
            let format = if self.kind == Kind::PgDump { Format::Copy { columns: None } } else { again(&self.kind) };
            let mut draft = Draft::create(self.folder, format!("{outcome}-{}", self.name), format)?;
            draft.put(&self.head)?;
            self.left.insert(outcome, draft);
        }
        self.left.get_mut(&outcome).ok_or_else(|| unreachable!("it was put there"))
    }

    fn finish(mut self, after: &[u8]) -> Result<Written, RekeyError> {
        if let Some(opening) = self.opening.take() {
            self.between(&opening)?;
        }
        match (self.previous, self.syntax) {
            (Previous::None, Some(syntax)) if self.kind != Kind::PgDump => self.header(after, syntax)?,
            _ if self.is_array => self.between(after)?,
            (Previous::None, _) => self.between(after)?,
            _ => {
                let (end, rest) = line_end(after);
                self.end(end)?;
                self.between(rest)?;
            }
        }
        let sql = match &self.patch {
            Some(draft) if patch::is_csv(&self.kind) => {
                let name = format!("{}.sql", draft.part.name.trim_end_matches(".csv"));
                let mut file = self.folder.create(&format!("{name}{DRAFT}"))?;
                file.put(patch::sql(&draft.part.name, self.terms).as_bytes())?;
                file.finish()?;
                Some(name)
            }
            _ => None,
        };
        if let Some(insertions) = self.insertions {
            insertions.finish()?;
        }
        Ok(Written {
            input: self.input,
            kind: self.kind,
            rows: self.rows.map(Draft::finish).transpose()?,
            patch: self.patch.map(Draft::finish).transpose()?,
            sql,
            left: self.left.into_values().map(Draft::finish).collect::<Result<_, _>>()?,
            read: self.read,
            of_passed: self.of_passed,
            of_left: self.of_left,
            unwritten: self.unwritten,
        })
    }
}

/// How a file like the input is read.
fn again(kind: &Kind) -> Format {
    match kind {
        Kind::Csv { delimiter, .. } => Format::Csv { delimiter: *delimiter },
        Kind::Copy { has_header: true, .. } => Format::Copy { columns: None },
        Kind::Copy { columns, has_header: false } => Format::Copy { columns: Some(columns.clone()) },
        Kind::Json | Kind::Bson | Kind::DynamoDb | Kind::PgDump => Format::Recognised,
    }
}

/// The end of a row's line, and the rest of what is between it and the next row.
fn line_end(between: &[u8]) -> (&[u8], &[u8]) {
    let end = between.iter().position(|byte| *byte == b'\n').map_or(between.len(), |at| at + 1);
    between.split_at(end)
}
