//! Which fields of a row name its user, and which become public metadata: by options, or by a small TOML file.
//!
//! ```toml
//! legacy_id = "_id"                    # the default
//! clerk_id = "clerk_user_id"
//! email = "email"
//! email_proof = "email_confirmed_at"   # proven unless null, false or absent
//! deleted = "deleted_at"               # deleted unless null, false or absent
//!
//! [metadata]
//! primary_role = "primary_role"        # key in Clerk = field of the row; dots go into documents, on both sides
//! "app.roles" = { from = "organization_roles", replace = true }
//! ```

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// A mapping that can be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    pub legacy_id: String,
    pub clerk_id: Option<String>,
    pub email: Option<String>,
    pub email_proof: Option<String>,
    pub deleted: Option<String>,
    /// None of their targets is equal to another one, or inside it.
    pub fields: Vec<Field>,
}

impl Mapping {
    /// The paths of a row that are read.
    pub fn sources(&self) -> impl Iterator<Item = &str> {
        let named = [&self.clerk_id, &self.email, &self.email_proof, &self.deleted].into_iter().flatten();
        let named = named.chain([&self.legacy_id]).map(String::as_str);
        named.chain(self.fields.iter().map(|field| field.source.as_str()))
    }

    /// Whether a path may be in no row, because it is there for some users only: those who were deleted, or who have proven
    /// an address.
    pub fn may_be_nowhere(&self, path: &str) -> bool {
        let is = |other: &Option<String>| other.as_deref() == Some(path);
        is(&self.deleted) || is(&self.email_proof)
    }
}

/// A field of a row that becomes metadata.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// The path in the row.
    pub source: String,
    /// The keys in the metadata, from the top on.
    pub target: Vec<String>,
    /// Whether keys of an object that the row does not have are removed.
    pub replaces: bool,
}

/// What options or a file say.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    pub legacy_id: Option<String>,
    pub clerk_id: Option<String>,
    pub email: Option<String>,
    pub email_proof: Option<String>,
    pub deleted: Option<String>,
    /// By the path in the metadata.
    #[serde(default)]
    pub metadata: BTreeMap<String, Source>,
    /// No field becomes metadata: the rows are matched, and the map of ids is made.
    #[serde(skip)]
    pub match_only: bool,
}

/// Where a value of the metadata comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    Field(String),
    Rule(Rule),
}

/// By hand, because an untagged enum has one error for everything: no key, no line.
impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Source, D::Error> {
        struct Forms;

        impl<'de> Visitor<'de> for Forms {
            type Value = Source;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("the name of a field, or { from = FIELD, replace = true }")
            }

            fn visit_str<E: de::Error>(self, field: &str) -> Result<Source, E> {
                Ok(Source::Field(field.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, rule: A) -> Result<Source, A::Error> {
                Rule::deserialize(MapAccessDeserializer::new(rule)).map(Source::Rule)
            }
        }

        deserializer.deserialize_any(Forms)
    }
}

/// The long form of [`Source`].
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub from: String,
    #[serde(default)]
    pub replace: bool,
}

/// The field of a document of MongoDB that is its id.
const LEGACY_ID: &str = "_id";

/// Why a mapping cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    #[error("the mapping cannot be read: {0}")]
    Toml(String),
    #[error(
        "the mapping names no field of the metadata: give at least one with --field KEY=FIELD, or in [metadata], or only match the \
         rows with --match-only"
    )]
    NoField,
    #[error("--match-only writes no metadata, and the mapping names {0}: leave out one of them")]
    MatchOnly(String),
    #[error("the mapping has an empty name: {0:?}")]
    EmptyName(String),
    #[error("{0} of the metadata is written by Rollcall's write-back: choose another key")]
    Reserved(String),
    #[error("{0} and {1} of the metadata overlap: map one of them")]
    Overlap(String, String),
    #[error("email_proof needs email: without an address there is nothing to prove")]
    ProofWithoutAddress,
}

impl Draft {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// [`MappingError::Toml`], with the line and the column.
    pub fn from_toml(text: &str) -> Result<Draft, MappingError> {
        toml::from_str(text).map_err(|error: toml::de::Error| MappingError::Toml(error.to_string()))
    }

    /// Checks the draft. `reserved` are the paths that the write-back sets, such as `dbId`, `role`.
    ///
    /// # Errors
    ///
    /// [`MappingError`].
    pub fn checked(self, reserved: &[Vec<String>]) -> Result<Mapping, MappingError> {
        let named = |name: String| match name.split('.').all(|part| !part.is_empty()) {
            true => Ok(name),
            false => Err(MappingError::EmptyName(name)),
        };
        if self.email_proof.is_some() && self.email.is_none() {
            return Err(MappingError::ProofWithoutAddress);
        }
        match self.metadata.keys().next() {
            None if !self.match_only => return Err(MappingError::NoField),
            Some(key) if self.match_only => return Err(MappingError::MatchOnly(key.clone())),
            _ => {}
        }
        let mut fields: Vec<Field> = Vec::new();
        for (target, source) in self.metadata {
            let (source, replaces) = match source {
                Source::Field(source) => (source, false),
                Source::Rule(rule) => (rule.from, rule.replace),
            };
            let target: Vec<String> = named(target)?.split('.').map(str::to_owned).collect();
            if reserved.iter().any(|reserved| overlap(reserved, &target)) {
                return Err(MappingError::Reserved(target.join(".")));
            }
            if let Some(other) = fields.iter().find(|other| overlap(&other.target, &target)) {
                return Err(MappingError::Overlap(other.target.join("."), target.join(".")));
            }
            fields.push(Field { source: named(source)?, target, replaces });
        }
        Ok(Mapping {
            legacy_id: named(self.legacy_id.unwrap_or_else(|| LEGACY_ID.to_owned()))?,
            clerk_id: self.clerk_id.map(named).transpose()?,
            email: self.email.map(named).transpose()?,
            email_proof: self.email_proof.map(named).transpose()?,
            deleted: self.deleted.map(named).transpose()?,
            fields,
        })
    }
}

/// Whether two paths are equal, or one is inside the other.
fn overlap(a: &[String], b: &[String]) -> bool {
    a.starts_with(b) || b.starts_with(a)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Vec<String> {
        text.split('.').map(str::to_owned).collect()
    }

    fn read(text: &str) -> Result<Mapping, MappingError> {
        Draft::from_toml(text)?.checked(&[path("dbId"), path("app.role")])
    }

    #[test]
    fn a_file_names_keys_and_fields() {
        let text = r#"
            clerk_id = "clerk_user_id"
            email = "contact.email"
            email_proof = "email_confirmed_at"
            [metadata]
            primary_role = "primary_role"
            "app.roles" = { from = "organization_roles", replace = true }
        "#;
        let fields = vec![
            Field { source: "organization_roles".into(), target: path("app.roles"), replaces: true },
            Field { source: "primary_role".into(), target: path("primary_role"), replaces: false },
        ];
        assert_eq!(
            read(text).unwrap(),
            Mapping {
                legacy_id: "_id".into(),
                clerk_id: Some("clerk_user_id".into()),
                email: Some("contact.email".into()),
                email_proof: Some("email_confirmed_at".into()),
                deleted: None,
                fields,
            }
        );
    }

    #[test]
    fn a_mapping_that_cannot_be_used_says_why() {
        for (text, reason) in [
            ("", "names no field"),
            ("[metadata]", "names no field"),
            ("[metadata]\na = ", "line 2"),
            ("[metadata]\na = 1", "line 2"),
            ("[metadata]\na = 1", "a = 1"),
            ("[metadata]\na = 1", "expected the name of a field, or { from = FIELD, replace = true }"),
            ("colour = 'x'\n[metadata]\na = 'a'", "unknown field `colour`"),
            (
                "[metadata]\nb = 'b'\na = { from = 'a', replcae = true }",
                "unknown field `replcae`, expected `from` or `replace`",
            ),
            ("[metadata]\nb = 'b'\na = { from = 'a', replcae = true }", "line 3"),
            ("[metadata.a]\nfrom = 'a'\nreplcae = true", "line 3"),
            ("[metadata]\na = { replace = true }", "missing field `from`"),
            ("[metadata]\na = { replace = true }", "line 2"),
            ("[metadata]\na = { from = 'a', replace = 'yes' }", "line 2"),
            ("[metadata]\na = 'a'\na = 'b'", "duplicate key"),
            ("[metadata]\ndbId = 'a'", "dbId of the metadata is written by Rollcall"),
            ("[metadata]\n'dbId.x' = 'a'", "dbId.x of the metadata is written by Rollcall"),
            ("[metadata]\napp = 'a'", "app of the metadata is written by Rollcall"),
            ("[metadata]\n'a.b' = 'a'\na = 'c'", "a and a.b of the metadata overlap"),
            ("[metadata]\n'a..b' = 'a'", "empty name"),
            ("[metadata]\n'' = 'a'", "empty name"),
            ("[metadata]\na = ''", "empty name"),
            ("legacy_id = ''\n[metadata]\na = 'a'", "empty name"),
            ("email_proof = 'x'\n[metadata]\na = 'a'", "email_proof needs email"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
