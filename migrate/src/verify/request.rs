//! The file that says what to verify.
//!
//! ```toml
//! [users]
//! folder = "users.json.migration"      # of `rollcall migrate metadata`
//! files = ["users.json"]               # the export that was migrated
//! exceptions = "exceptions.ndjson"     # old ids that the operator accepts, each with a reason
//! exceptions_sha256 = "…"              # the hash of that file as it was accepted
//!
//! [[collection]]
//! name = "profiles"
//! files = ["profiles.json"]            # an export made after the rekey, or: table = "profiles"
//! references = { user_id = "clerk_user_id" }
//! accepted = { "history.by" = "an archive that nothing reads" }
//! backup = ["profiles.before.json"]    # the export made before
//! id = "key"                           # what names a row there, if neither _id nor id
//! ```
//!
//! Paths are relative to the file. `csv`, `delimiter`, `copy` and `pg_dump` mean what the options of `rollcall migrate
//! metadata` mean, and apply to the backup as well.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::input::Format;
use crate::references::{Reference, ReferenceError};

/// What to verify.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub users: Users,
    pub collections: Vec<Collection>,
}

/// The old users.
#[derive(Clone, Debug, PartialEq)]
pub struct Users {
    /// The folder of their migration.
    pub folder: PathBuf,
    pub files: Vec<PathBuf>,
    pub format: Format,
    pub exceptions: Option<Signed>,
}

/// A file, and the SHA-256 that the operator accepted, in small hexadecimal digits.
#[derive(Clone, Debug, PartialEq)]
pub struct Signed {
    pub file: PathBuf,
    pub sha256: String,
}

/// Another collection.
#[derive(Clone, Debug, PartialEq)]
pub struct Collection {
    pub name: String,
    pub source: Source,
    pub format: Format,
    pub references: Vec<Reference>,
    /// Ids are compared without their types in the listed references.
    pub loose_ids: bool,
    /// Paths at which old ids may stay, each with the reason.
    pub accepted: BTreeMap<String, String>,
    pub backup: Vec<PathBuf>,
    /// The field that names a row in the collection and its backup, if it is neither `_id` nor `id`.
    pub id: Option<String>,
}

/// Where the rows of a collection are.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    Files(Vec<PathBuf>),
    /// A live table of DynamoDB.
    Table(String),
}

/// Why the file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    #[error("it is no valid TOML, or has an unknown key: {0}")]
    Toml(String),
    #[error("users.files is empty: name the export that was migrated")]
    NoUsers,
    #[error(
        "users.exceptions and users.exceptions_sha256 belong together: the hash is the one of the file that you have read \
         and accepted, in 64 hexadecimal digits (sha256sum)"
    )]
    Unsigned,
    #[error(
        "users.exceptions_sha256 is {signed:?}, which is no SHA-256: it has 64 hexadecimal digits. Read {} again, and write \
         its hash (sha256sum) into the verify file if you accept it",
        file.display()
    )]
    NoHash { signed: String, file: PathBuf },
    #[error("collection {0}: give either files or table")]
    NoSource(String),
    #[error("collection {0} is listed twice")]
    Twice(String),
    #[error("collection {0:?}: a name has letters, digits, '-', '_' and '.', and begins with none of '-' and '.'")]
    Name(String),
    #[error("collection {collection}, references: {source}")]
    Reference { collection: String, source: ReferenceError },
    #[error("collection {collection}: two references have the new field {field}")]
    OneField { collection: String, field: String },
    #[error("collection {collection}, accepted: {path} needs a reason")]
    NoReason { collection: String, path: String },
    #[error("{0}: give one of csv, copy and pg_dump, and delimiter, an ASCII character, only with csv")]
    Format(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Draft {
    users: UsersDraft,
    #[serde(default)]
    collection: Vec<CollectionDraft>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UsersDraft {
    folder: PathBuf,
    files: Vec<PathBuf>,
    exceptions: Option<PathBuf>,
    exceptions_sha256: Option<String>,
    #[serde(default)]
    csv: bool,
    delimiter: Option<char>,
    copy: Option<String>,
    pg_dump: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CollectionDraft {
    name: String,
    #[serde(default)]
    files: Vec<PathBuf>,
    table: Option<String>,
    #[serde(default)]
    references: BTreeMap<String, String>,
    #[serde(default)]
    loose_ids: bool,
    #[serde(default)]
    accepted: BTreeMap<String, String>,
    #[serde(default)]
    backup: Vec<PathBuf>,
    id: Option<String>,
    #[serde(default)]
    csv: bool,
    delimiter: Option<char>,
    copy: Option<String>,
    pg_dump: Option<String>,
}

impl Request {
    /// Reads the text of a file in the folder `base`.
    ///
    /// # Errors
    ///
    /// [`RequestError`].
    pub fn from_toml(text: &str, base: &Path) -> Result<Request, RequestError> {
        let draft: Draft =
            toml::from_str(text).map_err(|error: toml::de::Error| RequestError::Toml(error.to_string()))?;
        let users = draft.users;
        if users.files.is_empty() {
            return Err(RequestError::NoUsers);
        }
        let exceptions = match (users.exceptions, users.exceptions_sha256) {
            (None, None) => None,
            (Some(file), Some(sha256)) if is_sha256(&sha256) => {
                Some(Signed { file: base.join(file), sha256: sha256.to_ascii_lowercase() })
            }
            (Some(file), Some(signed)) => return Err(RequestError::NoHash { signed, file: base.join(file) }),
            _ => return Err(RequestError::Unsigned),
        };
        let format = format("users", users.csv, users.delimiter, users.copy, users.pg_dump)?;
        let files = users.files.iter().map(|file| base.join(file)).collect();
        let users = Users { folder: base.join(users.folder), files, format, exceptions };
        let mut names = BTreeSet::new();
        let mut collections = Vec::new();
        for draft in draft.collection {
            let collection = collection(draft, base)?;
            if !names.insert(collection.name.clone()) {
                return Err(RequestError::Twice(collection.name));
            }
            collections.push(collection);
        }
        Ok(Request { users, collections })
    }
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A name becomes the name of a file.
fn is_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=255).contains(&name.len()) && name.bytes().all(is_allowed) && !name.starts_with(['-', '.'])
}

fn collection(draft: CollectionDraft, base: &Path) -> Result<Collection, RequestError> {
    let name = draft.name;
    if !is_name(&name) {
        return Err(RequestError::Name(name));
    }
    let source = match (draft.files.is_empty(), draft.table) {
        (false, None) => Source::Files(draft.files.iter().map(|file| base.join(file)).collect()),
        (true, Some(table)) if is_name(&table) => Source::Table(table),
        _ => return Err(RequestError::NoSource(name)),
    };
    let mut references: Vec<Reference> = Vec::new();
    for (field, target) in draft.references {
        let reference: Reference = format!("{field}={target}")
            .parse()
            .map_err(|source| RequestError::Reference { collection: name.clone(), source })?;
        if references.iter().any(|other| new_field(other) == new_field(&reference)) {
            return Err(RequestError::OneField { field: new_field(&reference), collection: name });
        }
        references.push(reference);
    }
    if let Some((path, _)) = draft.accepted.iter().find(|(_, reason)| reason.trim().is_empty()) {
        return Err(RequestError::NoReason { path: path.clone(), collection: name });
    }
    let format = format(&format!("collection {name}"), draft.csv, draft.delimiter, draft.copy, draft.pg_dump)?;
    if matches!(source, Source::Table(_)) && format != Format::Recognised {
        return Err(RequestError::Format(format!("collection {name}, a table")));
    }
    let backup = draft.backup.iter().map(|file| base.join(file)).collect();
    let (loose_ids, accepted, id) = (draft.loose_ids, draft.accepted, draft.id);
    Ok(Collection { name, source, format, references, loose_ids, accepted, backup, id })
}

/// The path of the new field of a reference: beside the old one.
pub fn new_field(reference: &Reference) -> String {
    match reference.field.rsplit_once('.') {
        Some((parent, _)) => format!("{parent}.{}", reference.target),
        None => reference.target.clone(),
    }
}

fn format(
    place: &str,
    csv: bool,
    delimiter: Option<char>,
    copy: Option<String>,
    pg_dump: Option<String>,
) -> Result<Format, RequestError> {
    let wrong = || RequestError::Format(place.to_owned());
    match (csv, copy, pg_dump) {
        (true, None, None) => {
            let delimiter = u8::try_from(delimiter.unwrap_or(',')).ok().filter(u8::is_ascii).ok_or_else(wrong)?;
            Ok(Format::Csv { delimiter })
        }
        _ if delimiter.is_some() => Err(wrong()),
        (false, Some(columns), None) => {
            let columns: Vec<String> =
                columns.split(',').filter(|column| !column.is_empty()).map(str::to_owned).collect();
            Ok(Format::Copy { columns: (!columns.is_empty()).then_some(columns) })
        }
        (false, None, Some(table)) => Ok(Format::PgDump { table }),
        (false, None, None) => Ok(Format::Recognised),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Request, RequestError> {
        Request::from_toml(&format!("[users]\nfolder = 'm'\nfiles = ['users.csv']\n{text}"), Path::new("/base"))
    }

    #[test]
    fn paths_are_relative_to_the_file() {
        let text = "csv = true\n[[collection]]\nname = 'a'\ntable = 'app.a-1'\nreferences = { 'm.user_id' = 'c' }\n\
                    backup = ['b.json', '/c.json']\nid = 'k.x'";
        let request = read(text).unwrap();
        assert_eq!(request.users.folder, Path::new("/base/m"));
        assert_eq!(request.users.format, Format::Csv { delimiter: b',' });
        let collection = &request.collections[0];
        assert_eq!(collection.source, Source::Table("app.a-1".into()));
        assert_eq!(collection.backup, [Path::new("/base/b.json"), Path::new("/c.json")]);
        assert_eq!(new_field(&collection.references[0]), "m.c");
        assert_eq!(collection.id.as_deref(), Some("k.x"));
    }

    #[test]
    fn a_file_that_cannot_be_used_says_why() {
        let hash = "a".repeat(64);
        for (text, reason) in [
            ("colour = 'x'", "unknown field `colour`"),
            ("[[collection]]\nname = 'a'\nfiles = ['a']\nreference = {}", "unknown field `reference`"),
            ("[other]", "unknown field `other`"),
            ("exceptions = 'e'", "belong together"),
            (&format!("exceptions_sha256 = '{hash}'"), "belong together"),
            (
                "exceptions = 'e'\nexceptions_sha256 = 'abc'",
                "64 hexadecimal digits. Read /base/e again, and write its hash",
            ),
            ("[[collection]]\nname = 'a'", "either files or table"),
            ("[[collection]]\nname = 'a'\nfiles = ['a']\ntable = 't'", "either files or table"),
            ("[[collection]]\nname = 'a'\ntable = '../t'", "either files or table"),
            ("[[collection]]\nname = '../a'\nfiles = ['a']", "a name has letters"),
            ("[[collection]]\nname = 'a'\nfiles = ['a']\n[[collection]]\nname = 'a'\nfiles = ['b']", "listed twice"),
            ("[[collection]]\nname = 'a'\nfiles = ['a']\nreferences = { u = 'x.y' }", "without dots"),
            ("[[collection]]\nname = 'a'\nfiles = ['a']\nreferences = { u = 'c', v = 'c' }", "two references"),
            ("[[collection]]\nname = 'a'\nfiles = ['a']\naccepted = { u = ' ' }", "u needs a reason"),
            ("[[collection]]\nname = 'a'\nfiles = ['a']\ncsv = true\ncopy = ''", "one of csv"),
            ("[[collection]]\nname = 'a'\nfiles = ['a']\ndelimiter = ';'", "only with csv"),
            ("[[collection]]\nname = 'a'\ntable = 'a'\ncsv = true", "collection a, a table"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
        let empty = Request::from_toml("[users]\nfolder = 'm'\nfiles = []", Path::new("/"));
        assert_eq!(empty, Err(RequestError::NoUsers));
    }
}
