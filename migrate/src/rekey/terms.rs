//! What the operator wants, and whether it can be done.

use serde::Serialize;
use strum::{Display, IntoStaticStr};

use super::RekeyError;
use crate::input::Kind;
use crate::references::Reference;

/// What is written for the rows that pass.
#[derive(Clone, Copy, Debug, Display, IntoStaticStr, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Emit {
    /// The rows with the new fields.
    Rows,
    /// The ids of the rows and the new fields.
    Patch,
}

/// The options of a run, as far as they decide what is written.
#[derive(Clone, Debug, Serialize)]
pub struct Terms {
    pub references: Vec<Reference>,
    /// Whether an id may have another type than in the map.
    pub loose: bool,
    /// Whether a row passes whose reference is absent or null.
    pub allow_missing: bool,
    /// Whether a row passes whose reference leads to no user.
    pub keep: bool,
    /// Whether two rows with one user are reported.
    pub unique: bool,
    pub emit: Emit,
    /// The field that names a row in a patch.
    pub id: String,
}

impl Terms {
    /// Checks that no two new fields are one, and that none of them is a field that is read.
    ///
    /// # Errors
    ///
    /// [`RekeyError::Refused`].
    pub fn check(&self) -> Result<(), RekeyError> {
        for (at, reference) in self.references.iter().enumerate() {
            let target = target(reference);
            if let Some(other) = self.references[..at].iter().find(|other| self::target(other) == target) {
                return Err(RekeyError::Refused(format!(
                    "{} and {} would both be written to {target}: name another new field, as --reference {}=NAME",
                    other.field, reference.field, reference.field
                )));
            }
            if self.references.iter().any(|other| other.field == target) || (target == self.id) {
                return Err(RekeyError::Refused(format!("{target} is read by this command: name another new field")));
            }
        }
        Ok(())
    }

    /// Checks that the new fields can be written for a file of this kind.
    ///
    /// # Errors
    ///
    /// [`RekeyError::Refused`], with what to do.
    pub fn fits(&self, kind: &Kind) -> Result<(), RekeyError> {
        let patch = "give --emit patch, which writes a file of changes";
        let refused = |what: &str, advice: &str| Err(RekeyError::Refused(format!("{what}: {advice}")));
        match (kind, self.emit) {
            (Kind::DynamoDb, _) => {
                let advice =
                    "change the table itself with `rollcall migrate rekey-table`, so that later writes survive";
                return refused("a file of DynamoDB is not written again", advice);
            }
            (Kind::Bson, Emit::Rows) => return refused("a BSON file is not written again", patch),
            (Kind::PgDump, Emit::Rows) => return refused("a pg_dump is not written again", patch),
            (Kind::Copy { has_header: false, .. }, Emit::Rows) => {
                let advice = "make the file with `COPY … WITH (HEADER)`, or give --emit patch";
                return refused("COPY text without a header has no place for the name of the new column", advice);
            }
            _ => {}
        }
        let is_table = matches!(kind, Kind::Csv { .. } | Kind::Copy { .. } | Kind::PgDump);
        for (at, reference) in self.references.iter().enumerate() {
            if is_table && self.references[..at].iter().any(|other| other.target == reference.target) {
                return refused(&format!("two new columns would be named {}", reference.target), "name them apart");
            }
        }
        Ok(())
    }
}

/// The path of the new field: the same document as the old one.
pub(crate) fn target(reference: &Reference) -> String {
    beside(&reference.field, &reference.target)
}

/// The path of a field in the same document as the one at `path`.
pub(crate) fn beside(path: &str, name: &str) -> String {
    path.rsplit_once('.').map_or_else(|| name.to_owned(), |(parent, _)| format!("{parent}.{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(references: &[&str], emit: Emit) -> Terms {
        let references = references.iter().map(|text| text.parse().unwrap()).collect();
        let id = "_id".to_owned();
        Terms { references, loose: false, allow_missing: false, keep: false, unique: false, emit, id }
    }

    #[test]
    fn new_fields_are_distinct_and_are_none_that_is_read() {
        for (references, problem) in [
            (&["a", "b"][..], "a and b would both be written to clerk_user_id"),
            (&["a=b", "b=c"], "b is read"),
            (&["a=_id"], "_id is read"),
        ] {
            let error = terms(references, Emit::Rows).check().unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
        for references in [&["a", "b=c"][..], &["a=x", "a=y"], &["m.a", "a"]] {
            terms(references, Emit::Rows).check().unwrap();
        }
    }

    #[test]
    fn what_cannot_be_spliced_is_refused_with_another_way() {
        let copy = |has_header| Kind::Copy { columns: vec![], has_header };
        for (kind, emit, advice) in [
            (Kind::DynamoDb, Emit::Rows, "`rollcall migrate rekey-table`"),
            (Kind::DynamoDb, Emit::Patch, "`rollcall migrate rekey-table`"),
            (Kind::Bson, Emit::Rows, "--emit patch"),
            (Kind::PgDump, Emit::Rows, "--emit patch"),
            (copy(false), Emit::Rows, "--emit patch"),
        ] {
            let error = terms(&["a"], emit).fits(&kind).unwrap_err().to_string();
            assert!(error.contains(advice), "{error}");
        }
        for (kind, emit) in [
            (Kind::Json, Emit::Rows),
            (copy(true), Emit::Rows),
            (copy(false), Emit::Patch),
            (Kind::Bson, Emit::Patch),
            (Kind::PgDump, Emit::Patch),
        ] {
            terms(&["a"], emit).fits(&kind).unwrap();
        }
        let two = terms(&["m.a", "a"], Emit::Rows);
        two.fits(&Kind::Json).unwrap();
        assert!(two.fits(&copy(true)).unwrap_err().to_string().contains("two new columns"));
    }
}
