//! The old ids that the operator accepts as they are: lines `{"legacy_id":"oid:…","reason":"…"}`.
//!
//! The list is signed by its hash in the verify file: a list that was changed afterwards is refused.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::request::Signed;
use crate::references::KINDS;

/// The types of an id, and the first line with each.
type Lines = BTreeMap<&'static str, usize>;

/// The list in memory.
#[derive(Clone, Debug, Default)]
pub struct Exceptions {
    /// By the id without its type.
    ids: HashMap<String, Lines>,
}

/// The ids that old users and listed references have, of those whose text is in the list: the text, and its types. It has no
/// more texts than the list.
pub type Seen = BTreeMap<String, BTreeSet<&'static str>>;

/// A line of the list whose id no old user and no listed reference has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct WithoutEffect {
    pub line: usize,
    /// The type of the id.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The types with which the same text is there.
    pub other_types: Vec<&'static str>,
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
        let mut ids: HashMap<String, Lines> = HashMap::new();
        for (at, line) in String::from_utf8_lossy(&bytes).lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            let malformed = |problem: String| ExceptionsError::Malformed { file: file.clone(), line: at + 1, problem };
            let line: Line = serde_json::from_str(line).map_err(|error| malformed(error.to_string()))?;
            if line.reason.trim().is_empty() {
                return Err(malformed("the reason is empty".to_owned()));
            }
            let (kind, text) = parts(&line.legacy_id).ok_or_else(|| malformed("the id has no type".to_owned()))?;
            ids.entry(text.to_owned()).or_default().entry(kind).or_insert(at + 1);
        }
        Ok(Exceptions { ids })
    }

    /// Whether an old id with its type is accepted.
    pub fn has(&self, typed: &str) -> bool {
        parts(typed).is_some_and(|(kind, text)| self.ids.get(text).is_some_and(|lines| lines.contains_key(kind)))
    }

    /// Notes an id with its type of an old user or a listed reference.
    pub fn note(&self, typed: &str, seen: &mut Seen) {
        let Some((kind, text)) = parts(typed).filter(|(_, text)| self.ids.contains_key(*text)) else { return };
        if seen.get(text).is_none_or(|kinds| !kinds.contains(kind)) {
            seen.entry(text.to_owned()).or_default().insert(kind);
        }
    }

    /// The lines that name no id that was seen, in their order.
    pub fn without_effect(&self, seen: &[&Seen]) -> Vec<WithoutEffect> {
        let mut all = Vec::new();
        for (text, lines) in &self.ids {
            let kinds: BTreeSet<&str> = seen.iter().filter_map(|seen| seen.get(text)).flatten().copied().collect();
            let lines = lines.iter().filter(|(kind, _)| !kinds.contains(*kind));
            let other_types: Vec<&'static str> = KINDS.into_iter().filter(|kind| kinds.contains(kind)).collect();
            all.extend(lines.map(|(kind, line)| WithoutEffect { line: *line, kind, other_types: other_types.clone() }));
        }
        all.sort();
        all
    }

    pub fn len(&self) -> usize {
        self.ids.values().map(BTreeMap::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

/// The type of an id, and the id without it.
fn parts(typed: &str) -> Option<(&'static str, &str)> {
    let (kind, text) = typed.split_once(':')?;
    Some((KINDS.into_iter().find(|known| *known == kind)?, text))
}

#[cfg(test)]
mod tests {
    use serde_json::{json, to_value};

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

    #[test]
    fn a_line_has_no_effect_if_its_id_was_seen_with_other_types_only() {
        let ids = ["str:a1", "oid:b:1", "str:b:1", "uuid:c", "str:c", "int:7", "int:7"];
        let lines = ids.map(|id| format!("{{\"legacy_id\":\"{id}\",\"reason\":\"x\"}}\n"));
        let list = read(&lines.concat()).unwrap();
        assert_eq!(list.len(), 6);
        let (mut users, mut references) = (Seen::new(), Seen::new());
        for id in ["oid:a1", "uuid:a1", "str:b:1", "int:8", "a1"] {
            list.note(id, &mut users);
        }
        list.note("int:a1", &mut references);
        list.note("uuid:c", &mut references);
        assert_eq!(users.len(), 2, "no more texts than the list has");
        let expected = json!([
            { "line": 1, "type": "str", "other_types": ["oid", "int", "uuid"] },
            { "line": 2, "type": "oid", "other_types": ["str"] },
            { "line": 5, "type": "str", "other_types": ["uuid"] },
            { "line": 6, "type": "int", "other_types": [] },
        ]);
        assert_eq!(to_value(list.without_effect(&[&users, &references])).unwrap(), expected);
    }
}
