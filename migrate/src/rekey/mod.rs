//! Clerk ids beside the references to old users, in files of other collections.
//!
//! 1. [`decide`](decide::decide) says for one row which new fields it gets, or why it is left;
//! 2. [`splice`] puts the new fields between the row's bytes, [`patch`] writes them as a file of changes;
//! 3. [`write`](write::write) streams the rows into [`drafts`], and [`proof`] reads the drafts back: no row may be lost;
//! 4. [`publish`] gives the drafts their names.
//!
//! Nothing here drops a row: it passes, or it goes byte for byte to a file of its own.

pub mod decide;
pub mod drafts;
pub mod origin;
pub mod outcome;
pub mod patch;
pub mod proof;
pub mod splice;
pub mod terms;
pub mod write;

use std::fs;

use crate::folder::{Folder, FolderError, REPORT};
use crate::input::InputError;

use self::drafts::Written;
use self::outcome::Counts;

/// The ending of a file that is not whole yet.
pub const DRAFT: &str = ".draft";
/// The rows that are left, with the reason: a line for each reference.
pub const LEFT: &str = "left.ndjson";

/// Why files cannot be rekeyed.
#[derive(Debug, thiserror::Error)]
pub enum RekeyError {
    #[error(transparent)]
    Input(#[from] InputError),
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// What to do is in the text.
    #[error("{0}")]
    Refused(String),
    #[error(
        "the files that were written do not have the rows of {file}: {problem}. Nothing is left under a final name. This is \
         an error of Rollcall: report it"
    )]
    Lost { file: String, problem: String },
}

/// Gives every draft its name, and writes the report. The rows come after what is left, and the report comes last: where it
/// is, all others are.
///
/// # Errors
///
/// [`FolderError`].
pub fn publish(folder: &Folder, written: &[Written], report: &impl serde::Serialize) -> Result<(), FolderError> {
    let names = |is_result: bool| {
        written.iter().flat_map(move |file| file.names().filter(move |(_, result)| *result == is_result))
    };
    // With a full disk, nothing has its name yet.
    let mut file = folder.create(&format!("{REPORT}{DRAFT}"))?;
    file.add_json(report)?;
    file.finish()?;
    folder.rename(&format!("{LEFT}{DRAFT}"), LEFT)?;
    for (name, _) in names(false).chain(names(true)) {
        folder.rename(&format!("{name}{DRAFT}"), &name)?;
    }
    folder.rename(&format!("{REPORT}{DRAFT}"), REPORT)
}

/// The beginnings of the names of drafts.
const DRAFTS: [&str; 8] =
    ["rekeyed-", "patch-", "unmatched-", "ambiguous-", "conflict-", "left.ndjson", "report.json", "insertions"];

/// Removes the drafts of a run. Where no run has come to its end or told why rows are left, the folder belongs to no input
/// any more, and is removed.
///
/// # Errors
///
/// [`FolderError::Io`].
pub fn discard(folder: &Folder) -> Result<(), FolderError> {
    let path = folder.path();
    let failed = |source| FolderError::Io { path: path.to_owned(), source };
    for entry in fs::read_dir(path).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        if name.ends_with(DRAFT) && DRAFTS.iter().any(|draft| name.starts_with(draft)) {
            fs::remove_file(folder.file(&name)).map_err(failed)?;
        }
    }
    if !folder.file(REPORT).exists() && !folder.file(LEFT).exists() {
        for name in ["run.json", "lock"] {
            fs::remove_file(folder.file(name)).map_err(failed)?;
        }
        // It stays if somebody has put other files there meanwhile.
        let _ = fs::remove_dir(path);
    }
    Ok(())
}

/// What a run found and wrote.
#[derive(Debug)]
pub struct Rekeyed {
    pub counts: Counts,
    /// Empty for a dry run.
    pub written: Vec<Written>,
}
