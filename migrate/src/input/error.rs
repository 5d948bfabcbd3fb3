//! What is wrong with an input, where, and what to do.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub file: Arc<Path>,
    /// From 1, by line feeds.
    pub line: u64,
    /// From 0. In a file packed by gzip, a byte of the unpacked text.
    pub byte: u64,
}

impl Place {
    pub(crate) fn start(file: &Path) -> Place {
        Place { file: file.into(), line: 1, byte: 0 }
    }

    /// The place of a row that is in no file, but in a table.
    pub(crate) fn of(table: &Path) -> Place {
        Place::start(table)
    }

    /// The place of `text[at]`, for a `text` that begins here.
    pub(crate) fn within(&self, text: &[u8], at: usize) -> Place {
        let before = &text[..at.min(text.len())];
        let lines = before.iter().filter(|byte| **byte == b'\n').count();
        Place { file: self.file.clone(), line: self.line + lines as u64, byte: self.byte + before.len() as u64 }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, line {}, byte {}", self.file.display(), self.line, self.byte)
    }
}

/// An input that was refused. The text names the file, the line, the byte, the cause, and what to do. It holds names of
/// fields and columns, and no value: values are personal data.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {problem}; {advice}")]
pub struct InputError {
    pub place: Place,
    /// The cause.
    pub problem: String,
    /// What the operator can do.
    pub advice: String,
    /// The error of the file system or of gzip, whose text `problem` has as well.
    #[source]
    pub source: Option<io::Error>,
}

impl InputError {
    pub(crate) fn new(place: Place, problem: impl Into<String>, advice: impl Into<String>) -> InputError {
        InputError { place, problem: problem.into(), advice: advice.into(), source: None }
    }

    /// A file that cannot be read, or be unpacked.
    pub(crate) fn io(place: Place, error: io::Error) -> InputError {
        let (problem, advice) = match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                ("the gzip data are cut".to_owned(), "copy the file again and compare its size with the original's")
            }
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => (
                format!("the gzip data are damaged: {error}"),
                "copy the file again, or unpack it with `gunzip` and look",
            ),
            io::ErrorKind::NotFound => ("there is no such file".to_owned(), "check the path"),
            _ => (format!("the file cannot be read: {error}"), "check the path and its permissions"),
        };
        InputError { place, problem, advice: advice.to_owned(), source: Some(error) }
    }
}

/// A problem at a byte of a row, which does not know where the row is.
#[derive(Debug, PartialEq)]
pub(crate) struct Fault {
    pub(crate) at: usize,
    pub(crate) problem: String,
    pub(crate) advice: String,
}

impl Fault {
    pub(crate) fn new(at: usize, problem: impl Into<String>, advice: impl Into<String>) -> Fault {
        Fault { at, problem: problem.into(), advice: advice.into() }
    }

    /// The same for a `row` that begins at `place`.
    pub(crate) fn within(self, place: &Place, row: &[u8]) -> InputError {
        InputError::new(place.within(row, self.at), self.problem, self.advice)
    }
}
