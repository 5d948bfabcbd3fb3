//! The map of old ids to Clerk ids: `map.ndjson` in the folder of a migration of users.
//!
//! Each old user has a line, also one without a user in Clerk: so a reference to it is recognised as one.
//!
//! In memory a pair has 40 bytes. The old id is kept as the first 12 bytes of its SHA-256: two of a million different ids
//! have the same with a chance of one in 10^17.

use std::io::BufRead;
use std::path::PathBuf;

use rollcall::core::id::UserId;
use serde::{Deserialize, Serialize};
use strum::{Display, IntoStaticStr};

use crate::folder::{Folder, FolderError};
use crate::metadata::outcome::{Line, Outcome};
use crate::metadata::survey::mark;

/// The map, in the folder of a migration of users.
pub const MAP: &str = "map.ndjson";

/// What an old id stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    User(UserId),
    Nobody(NoUser),
}

/// Why an old id has no user in Clerk.
#[derive(Clone, Copy, Debug, Display, IntoStaticStr, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum NoUser {
    /// No user was found.
    Unmatched,
    /// It is unclear which user is meant, or several old users have the id.
    Ambiguous,
    /// The old system had deleted the person.
    Deleted,
    /// The row was refused before its user was looked for, because a field that names the user has a wrong type. Clerk may
    /// have a user for it.
    Refused,
}

/// A line of the map.
#[derive(Debug, Serialize, Deserialize)]
struct Pair {
    /// With its type: `oid:…`, `str:…`, `int:…`, `uuid:…`.
    legacy_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    clerk_user_id: Option<UserId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    no_user: Option<NoUser>,
}

/// Why a map cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(
        "{} has no {MAP}: name the folder of a migration of users, which `rollcall migrate metadata` makes", .0.display()
    )]
    Missing(PathBuf),
    #[error("{}, line {line}: {problem}. Run `rollcall migrate metadata` again to make the map", path.display())]
    Malformed { path: PathBuf, line: usize, problem: String },
}

/// Writes the map of the rows of a plan, or of its results.
///
/// # Errors
///
/// [`FolderError`].
pub fn write_map(folder: &Folder, lines: impl Iterator<Item = Result<Line, FolderError>>) -> Result<(), FolderError> {
    let mut map = folder.create(MAP)?;
    for line in lines {
        let line = line?;
        let Some(legacy_id) = line.legacy_id else { continue };
        let owner = match (line.outcome, line.user) {
            (Outcome::Ambiguous { .. }, _) => Err(NoUser::Ambiguous),
            (Outcome::Skipped, _) => Err(NoUser::Deleted),
            (_, Some(user)) => Ok(user),
            (Outcome::Refused { .. }, None) => Err(NoUser::Refused),
            (_, None) => Err(NoUser::Unmatched),
        };
        let clerk_user_id = owner.as_ref().ok().and_then(|user| user.parse().ok());
        map.add_json(&Pair { legacy_id, clerk_user_id, no_user: owner.err() })?;
    }
    map.finish()
}

const MARK: usize = 12;
/// What is left of a Clerk id without `user_`: 27 characters today. Longer ones are kept elsewhere.
const REST: usize = 27;
const PREFIX: &str = "user_";
/// The length that says: the rest of the id is one of the long ones.
const LONG: u8 = u8::MAX;
/// The length that says: the old id has no user.
const NOBODY: u8 = u8::MAX - 1;

/// A pair: the mark of the old id, the length of the rest of the Clerk id, the rest.
type Packed = [u8; MARK + 1 + REST];

/// The map in memory.
#[derive(Debug, Default)]
pub struct IdMap {
    /// Sorted.
    pairs: Vec<Packed>,
    long: Vec<UserId>,
}

impl IdMap {
    /// Reads the map in the folder of a migration of users.
    ///
    /// # Errors
    ///
    /// [`MapError`]: the folder has no map, a line cannot be read, or an old id has two users.
    pub fn read(folder: &std::path::Path) -> Result<IdMap, MapError> {
        let path = folder.join(MAP);
        let open = || std::fs::File::open(&path).map(std::io::BufReader::new);
        let failed = |source: std::io::Error| match source.kind() {
            std::io::ErrorKind::NotFound => MapError::Missing(folder.to_owned()),
            _ => FolderError::Io { path: path.clone(), source }.into(),
        };
        // A vector that grows would need twice the memory.
        let mut pairs = Vec::with_capacity(open().map_err(failed)?.lines().count());
        let mut map = IdMap::default();
        for (at, line) in open().map_err(failed)?.lines().enumerate() {
            let line = line.map_err(failed)?;
            let malformed = |problem| MapError::Malformed { path: path.clone(), line: at + 1, problem };
            let pair: Pair = serde_json::from_str(&line).map_err(|error| malformed(error.to_string()))?;
            let owner = match (pair.clerk_user_id, pair.no_user) {
                (Some(user), None) => Owner::User(user),
                (None, Some(reason)) => Owner::Nobody(reason),
                _ => return Err(malformed("the line needs either clerk_user_id or no_user".to_owned())),
            };
            pairs.push(map.packed(&pair.legacy_id, owner));
        }
        map.pairs = pairs;
        map.settle();
        Ok(map)
    }

    fn packed(&mut self, legacy_id: &str, owner: Owner) -> Packed {
        let mut packed = [0; MARK + 1 + REST];
        packed[..MARK].copy_from_slice(&mark(legacy_id)[..MARK]);
        let (length, rest) = match owner {
            Owner::Nobody(reason) => (NOBODY, vec![reason as u8]),
            Owner::User(user) => match user.as_str().strip_prefix(PREFIX).map(str::as_bytes) {
                Some(rest) if rest.len() <= REST => (u8::try_from(rest.len()).unwrap_or(LONG), rest.to_vec()),
                _ => {
                    let at = u32::try_from(self.long.len()).unwrap_or(u32::MAX);
                    self.long.push(user);
                    (LONG, at.to_be_bytes().to_vec())
                }
            },
        };
        packed[MARK] = length;
        packed[MARK + 1..MARK + 1 + rest.len()].copy_from_slice(&rest);
        packed
    }

    /// An old id with several lines is ambiguous: several old users have it.
    fn settle(&mut self) {
        self.pairs.sort_unstable();
        self.pairs.dedup();
        self.pairs.dedup_by(|later, first| {
            let is_same = later[..MARK] == first[..MARK];
            if is_same {
                first[MARK..].fill(0);
                first[MARK] = NOBODY;
                first[MARK + 1] = NoUser::Ambiguous as u8;
            }
            is_same
        });
    }

    /// How many old ids the map has.
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// What an old id with its type stands for; nothing if it is no id of an old user.
    pub fn owner(&self, typed: &str) -> Option<Owner> {
        let wanted = &mark(typed)[..MARK];
        let at = self.pairs.binary_search_by(|pair| pair[..MARK].cmp(wanted)).ok()?;
        let (length, rest) = (self.pairs[at][MARK], &self.pairs[at][MARK + 1..]);
        match length {
            NOBODY => Some(Owner::Nobody(match rest[0] {
                reason if reason == NoUser::Ambiguous as u8 => NoUser::Ambiguous,
                reason if reason == NoUser::Deleted as u8 => NoUser::Deleted,
                reason if reason == NoUser::Refused as u8 => NoUser::Refused,
                _ => NoUser::Unmatched,
            })),
            LONG => {
                let at = u32::from_be_bytes([rest[0], rest[1], rest[2], rest[3]]);
                self.long.get(usize::try_from(at).ok()?).cloned().map(Owner::User)
            }
            length => {
                let rest = std::str::from_utf8(&rest[..usize::from(length)]).ok()?;
                format!("{PREFIX}{rest}").parse().ok().map(Owner::User)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<IdMap, MapError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(MAP), text).unwrap();
        IdMap::read(folder.path())
    }

    fn user(id: &str) -> Option<Owner> {
        Some(Owner::User(id.parse().unwrap()))
    }

    #[test]
    fn an_old_id_leads_to_its_user_or_to_the_reason_why_not() {
        let long = format!("user_{}", "x".repeat(40));
        let text = [
            r#"{"legacy_id":"oid:64b0000000000000000000b1","clerk_user_id":"user_1","by":"external_id"}"#,
            &format!(r#"{{"legacy_id":"int:7","clerk_user_id":"{long}"}}"#),
            r#"{"legacy_id":"str:7","clerk_user_id":"user_2abcdefghijklmnopqrstuvwxyz"}"#,
            r#"{"legacy_id":"str:gone","no_user":"deleted"}"#,
            r#"{"legacy_id":"str:lost","no_user":"unmatched"}"#,
            r#"{"legacy_id":"str:odd","no_user":"refused"}"#,
            r#"{"legacy_id":"str:both","clerk_user_id":"user_1"}"#,
            r#"{"legacy_id":"str:both","clerk_user_id":"user_2"}"#,
            r#"{"legacy_id":"str:same","no_user":"ambiguous"}"#,
            r#"{"legacy_id":"str:same","no_user":"ambiguous"}"#,
        ];
        let map = read(&text.join("\n")).unwrap();
        assert_eq!(map.len(), 8);
        assert_eq!(map.owner("oid:64b0000000000000000000b1"), user("user_1"));
        assert_eq!(map.owner("int:7"), user(&long));
        assert_eq!(map.owner("str:7"), user("user_2abcdefghijklmnopqrstuvwxyz"));
        for (id, reason) in [
            ("str:gone", NoUser::Deleted),
            ("str:lost", NoUser::Unmatched),
            ("str:odd", NoUser::Refused),
            ("str:both", NoUser::Ambiguous),
            ("str:same", NoUser::Ambiguous),
        ] {
            assert_eq!(map.owner(id), Some(Owner::Nobody(reason)), "{id}");
        }
        for id in ["str:64b0000000000000000000b1", "uuid:7", ""] {
            assert_eq!(map.owner(id), None, "{id}");
        }
    }

    #[test]
    fn a_malformed_map_is_refused_with_the_line() {
        for (line, problem) in [
            ("{}", "missing field `legacy_id`"),
            ("", "EOF"),
            (r#"{"legacy_id":"str:a"}"#, "either clerk_user_id or no_user"),
            (r#"{"legacy_id":"str:a","clerk_user_id":"a b"}"#, "an id must have"),
            (r#"{"legacy_id":"str:a","clerk_user_id":"user_1","no_user":"deleted"}"#, "either"),
        ] {
            let error = read(&format!("{{\"legacy_id\":\"str:b\",\"no_user\":\"deleted\"}}\n{line}\n")).unwrap_err();
            let error = error.to_string();
            assert!(error.contains("line 2") && error.contains(problem), "{line}: {error}");
        }
        let empty = tempfile::tempdir().unwrap();
        let error = IdMap::read(empty.path()).unwrap_err().to_string();
        assert!(error.contains("rollcall migrate metadata"), "{error}");
    }
}
