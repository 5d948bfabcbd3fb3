//! The drafts of one file.
//!
//! A row that passes goes to the file of the rows or to the patch; a row that is left goes to a file of its result, with
//! its own bytes and its line end. What is between two rows stays in the file of the rows; only in an array the space and
//! the comma before a row go with the row, because otherwise the rest would be no array.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::decide::Decision;
use super::outcome::Outcome;
use super::proof::{self, Multiset};
use super::splice::{self, Syntax};
use super::terms::{Emit, Terms};
use super::{DRAFT, RekeyError, patch};
use crate::folder::{Folder, Lines};
use crate::input::{Format, Kind, Row};

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

/// The name of a file without `.gz`: what is written is not packed.
pub(crate) fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    name.strip_suffix(".gz").map(str::to_owned).unwrap_or(name)
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
pub(crate) struct Out<'a> {
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
    pub(crate) fn create(folder: &'a Folder, terms: &'a Terms, path: &Path, kind: Kind) -> Result<Out<'a>, RekeyError> {
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

    /// Writes a row where it belongs.
    pub(crate) fn row(&mut self, row: &Row, decision: &Decision) -> Result<(), RekeyError> {
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

    /// Writes what is after the last row; when this returns, the disk has everything.
    pub(crate) fn finish(mut self, after: &[u8]) -> Result<Written, RekeyError> {
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
