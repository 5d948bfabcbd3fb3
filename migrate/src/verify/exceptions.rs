//! The old ids that the operator accepts as they are: lines `{"legacy_id":"oid:…","reason":"…"}`.
//!
//! The list is signed by its hash in the verify file: a list that was changed afterwards is refused.

use std::collections::HashSet;
use std::io;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::request::Signed;
use crate::metadata::survey::{Mark, mark};

/// The list in memory.
#[derive(Clone, Debug, Default)]
pub struct Exceptions {
    ids: HashSet<Mark>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    legacy_id: String,
    reason: String,
}

/// Why a list cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ExceptionsError {
    #[error("{file}: {source}")]
    Io { file: String, source: io::Error },
    #[error(
        "{file} has the SHA-256 {is}, and users.exceptions_sha256 is {signed}: the list is another one than the accepted \
         one. Read it again, and write its hash into the verify file if you accept it"
    )]
    Unsigned { file: String, is: String, signed: String },
    #[error(
        "{file}, line {line}: {problem}. A line is {{\"legacy_id\":\"oid:…\",\"reason\":\"…\"}}, with the type of the id: \
         oid, str, int or uuid"
    )]
    Malformed { file: String, line: usize, problem: String },
}

impl Exceptions {
    /// Reads the list.
    ///
    /// # Errors
    ///
    /// [`ExceptionsError`].
    pub fn read(signed: &Signed) -> Result<Exceptions, ExceptionsError> {
        let file = signed.file.display().to_string();
        let bytes = std::fs::read(&signed.file).map_err(|source| ExceptionsError::Io { file: file.clone(), source })?;
        let is: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        if is != signed.sha256 {
            return Err(ExceptionsError::Unsigned { file, is, signed: signed.sha256.clone() });
        }
        let mut ids = HashSet::new();
        for (at, line) in String::from_utf8_lossy(&bytes).lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            let malformed = |problem: String| ExceptionsError::Malformed { file: file.clone(), line: at + 1, problem };
            let line: Line = serde_json::from_str(line).map_err(|error| malformed(error.to_string()))?;
            if line.reason.trim().is_empty() {
                return Err(malformed("the reason is empty".to_owned()));
            }
            let kind = line.legacy_id.split_once(':').map(|(kind, _)| kind);
            if !matches!(kind, Some("oid" | "str" | "int" | "uuid")) {
                return Err(malformed("the id has no type".to_owned()));
            }
            ids.insert(mark(&line.legacy_id));
        }
        Ok(Exceptions { ids })
    }

    /// Whether an old id with its type is accepted.
    pub fn has(&self, typed: &str) -> bool {
        self.ids.contains(&mark(typed))
    }

    pub fn len(&self) -> usize {
        self.ids.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Exceptions, ExceptionsError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("e");
        std::fs::write(&file, text).unwrap();
        let sha256 = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
        Exceptions::read(&Signed { file, sha256 })
    }

    #[test]
    fn each_line_has_a_typed_id_and_a_reason() {
        let list = read("{\"legacy_id\":\"oid:a1\",\"reason\":\"a test account\"}\n\n").unwrap();
        assert_eq!((list.len(), list.has("oid:a1"), list.has("str:a1")), (1, true, false));
        for (text, reason) in [
            ("{\"legacy_id\":\"oid:a1\",\"reason\":\" \"}", "line 1: the reason is empty"),
            ("\n{\"legacy_id\":\"a1\",\"reason\":\"x\"}", "line 2: the id has no type"),
            ("{\"legacy_id\":\"oid:a1\"}", "missing field `reason`"),
            ("{\"legacy_id\":\"oid:a1\",\"reason\":\"x\",\"more\":1}", "unknown field `more`"),
            ("a1", "line 1"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
