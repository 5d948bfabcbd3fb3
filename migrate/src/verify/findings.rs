//! The rows that contradict a criterion: each one in `findings.ndjson`, and groups of them for the report.
//!
//! They hold ids, paths and places, and no value of a row.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::folder::{Folder, FolderError, Lines};

/// The file with each finding.
pub const FINDINGS: &str = "findings.ndjson";
const DRAFT: &str = "findings.ndjson.draft";
/// Places of a group in the report.
const FIRST: usize = 5;
/// Groups in memory. Fields whose names are data could make as many paths as there are rows.
const GROUPS: usize = 10_000;

/// A row that contradicts a criterion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding<'a> {
    pub criterion: u8,
    /// `users`, or a collection.
    pub collection: &'a str,
    /// The path of the field, with `[]` for the indexes of arrays; empty for a row of a user.
    pub path: &'a str,
    pub problem: &'a str,
    /// The file and the line or byte at which the row begins.
    pub place: &'a str,
    /// The old id with its type; of a list, the first that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub legacy_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clerk_user_id: Option<&'a str>,
}

/// Findings with the same problem at the same path of a collection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    pub collection: String,
    pub path: String,
    pub problem: String,
    pub count: u64,
    /// The places of the first ones.
    pub first: Vec<String>,
}

/// All findings of a verification.
#[derive(Debug)]
pub struct Findings {
    lines: Lines,
    groups: BTreeMap<(u8, String, String, String), Group>,
}

impl Findings {
    /// Begins the file, beside the one of an earlier verification.
    ///
    /// # Errors
    ///
    /// [`FolderError::Io`].
    pub fn start(folder: &Folder) -> Result<Findings, FolderError> {
        Ok(Findings { lines: folder.create(DRAFT)?, groups: BTreeMap::new() })
    }

    /// Adds a finding.
    ///
    /// # Errors
    ///
    /// [`FolderError::Io`].
    pub fn add(&mut self, finding: &Finding<'_>) -> Result<(), FolderError> {
        self.lines.add_json(finding)?;
        let Finding { criterion, collection, path, problem, place, .. } = finding;
        let key = |path: &str| (*criterion, (*collection).to_owned(), path.to_owned(), (*problem).to_owned());
        let is_full = self.groups.len() >= GROUPS && !self.groups.contains_key(&key(path));
        let path = if is_full { "(other paths)" } else { path };
        let group = self.groups.entry(key(path)).or_insert_with(|| Group {
            collection: (*collection).to_owned(),
            path: path.to_owned(),
            problem: (*problem).to_owned(),
            count: 0,
            first: Vec::new(),
        });
        group.count += 1;
        if group.first.len() < FIRST {
            group.first.push((*place).to_owned());
        }
        Ok(())
    }

    /// The findings of a criterion.
    pub fn of(&self, criterion: u8) -> Vec<Group> {
        self.groups.iter().filter(|(key, _)| key.0 == criterion).map(|(_, group)| group.clone()).collect()
    }

    /// Writes the file under its name, in the place of the one of an earlier verification.
    ///
    /// # Errors
    ///
    /// [`FolderError::Io`].
    pub fn finish(self, folder: &Folder) -> Result<(), FolderError> {
        self.lines.finish()?;
        let path = folder.file(FINDINGS);
        std::fs::rename(folder.file(DRAFT), &path).map_err(|source| FolderError::Io { path, source })
    }
}
