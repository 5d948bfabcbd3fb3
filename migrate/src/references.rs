//! References: fields of other collections with the ids of old users, and the Clerk ids that they stand for.
//!
//! Ids are compared with their types: the text `"64b0…"` is not the ObjectId of these digits, unless the operator says so.

use std::str::FromStr;

use rollcall::core::id::UserId;
use serde::{Deserialize, Serialize};
use strum::{Display, IntoStaticStr};

use crate::ids::{IdMap, NoUser, Owner};
use crate::input::{Field, InputError, Row, Value};
use crate::metadata::values::typed_id;

/// The name of the new field if the operator names none.
pub const CLERK_USER_ID: &str = "clerk_user_id";

/// Which field refers to an old user, and how the new field beside it is called.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reference {
    /// The path in the row, as [`Row::fields`] takes it.
    pub field: String,
    /// A name without dots: the new field is in the same document as the old one.
    pub target: String,
}

/// Why a text is no reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    #[error("{0:?} has an empty name: write FIELD=NEW_FIELD, as user_id=clerk_user_id")]
    EmptyName(String),
    #[error("the new field {0} must be a name without dots: it is written beside the old one, in the same document")]
    Dots(String),
    #[error("the new field {0} has the name of the old one, which stays")]
    SameName(String),
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Reference, ReferenceError> {
        let (field, target) = text.split_once('=').unwrap_or((text, CLERK_USER_ID));
        if target.is_empty() || field.split('.').any(str::is_empty) {
            return Err(ReferenceError::EmptyName(text.to_owned()));
        }
        if target.contains('.') {
            return Err(ReferenceError::Dots(target.to_owned()));
        }
        if field.rsplit('.').next() == Some(target) {
            return Err(ReferenceError::SameName(target.to_owned()));
        }
        Ok(Reference { field: field.to_owned(), target: target.to_owned() })
    }
}

/// The Clerk ids that a value stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Users {
    One(UserId),
    /// The value is an array or a set of ids.
    Several(Vec<UserId>),
}

/// Why a reference leads to no user.
#[derive(Clone, Copy, Debug, Display, IntoStaticStr, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Unresolved {
    /// The field is absent, null or empty.
    Missing,
    /// The value is of a type that is no id.
    NotAnId,
    /// No old user has the id.
    UnknownId,
    /// The old user has no user in Clerk.
    NoUser,
    /// It is unclear which user is meant.
    Ambiguous,
    /// The row of the old user was refused, so Clerk may have a user for it.
    RowRefused,
    /// The old system had deleted the user.
    Deleted,
}

impl From<NoUser> for Unresolved {
    fn from(reason: NoUser) -> Unresolved {
        match reason {
            NoUser::Unmatched => Unresolved::NoUser,
            NoUser::Ambiguous => Unresolved::Ambiguous,
            // Never `NoUser`, which says to create the user.
            NoUser::Refused => Unresolved::RowRefused,
            NoUser::Deleted => Unresolved::Deleted,
        }
    }
}

/// A value that refers to old users.
#[derive(Debug)]
pub struct Resolution<'a> {
    pub field: Field<'a>,
    /// For an error, the first id that leads nowhere, with its type.
    pub users: Result<Users, (Unresolved, Option<String>)>,
    /// Whether an id was found only because types were not compared.
    pub is_loose: bool,
}

/// Finds the users of all values at a reference's path; none if the row has no such field.
///
/// # Errors
///
/// As [`Row::fields`].
pub fn resolve<'a>(
    row: &'a Row,
    reference: &Reference,
    map: &IdMap,
    loose: bool,
) -> Result<Vec<Resolution<'a>>, InputError> {
    let resolution = |field: Field<'a>| {
        let mut is_loose = false;
        let users = users(field.value, map, loose, &mut is_loose);
        Resolution { field, users, is_loose }
    };
    Ok(row.fields(&reference.field)?.into_iter().map(resolution).collect())
}

fn users(value: &Value, map: &IdMap, loose: bool, is_loose: &mut bool) -> Result<Users, (Unresolved, Option<String>)> {
    match value {
        Value::Array(values) | Value::Set(values) => {
            values.iter().map(|value| user(value, map, loose, is_loose)).collect::<Result<_, _>>().map(Users::Several)
        }
        value => user(value, map, loose, is_loose).map(Users::One),
    }
}

/// The id in a DBRef, in which MongoDB names the collection beside the id; another value itself.
pub(crate) fn id_of(value: &Value) -> &Value {
    match value {
        Value::Document(document) if document.get("$ref").is_some() => document.get("$id").unwrap_or(value),
        value => value,
    }
}

/// The user of one id, which is no array.
pub(crate) fn user(
    value: &Value,
    map: &IdMap,
    loose: bool,
    is_loose: &mut bool,
) -> Result<UserId, (Unresolved, Option<String>)> {
    let id = match typed_id(id_of(value)) {
        Ok(Some(id)) => id,
        Ok(None) => return Err((Unresolved::Missing, None)),
        Err(_) => return Err((Unresolved::NotAnId, None)),
    };
    let owner = map.owner(&id.typed).map(Ok).or_else(|| {
        let mut owners = of_any_type(&id.text, map).filter(|_| loose);
        let first = owners.next()?;
        *is_loose = true;
        Some(if owners.all(|other| other == first) { Ok(first) } else { Err(Unresolved::Ambiguous) })
    });
    match owner {
        Some(Ok(Owner::User(user))) => Ok(user),
        Some(Ok(Owner::Nobody(reason))) => Err((reason.into(), Some(id.typed))),
        Some(Err(reason)) => Err((reason, Some(id.typed))),
        None => Err((Unresolved::UnknownId, Some(id.typed))),
    }
}

/// The types of ids.
pub(crate) const KINDS: [&str; 4] = ["oid", "str", "int", "uuid"];

/// What the ids of this text stand for, one for each type that the map has.
fn of_any_type<'a>(text: &'a str, map: &'a IdMap) -> impl Iterator<Item = Owner> + 'a {
    KINDS.iter().filter_map(move |kind| map.owner(&format!("{kind}:{text}")))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::ids::MAP;
    use crate::input::{self, Options};

    fn map() -> IdMap {
        let folder = tempfile::tempdir().unwrap();
        let text = r#"{"legacy_id":"oid:64b0000000000000000000b1","clerk_user_id":"user_1"}
{"legacy_id":"oid:64b0000000000000000000b2","clerk_user_id":"user_2"}
{"legacy_id":"int:7","clerk_user_id":"user_7"}
{"legacy_id":"str:8","clerk_user_id":"user_8"}
{"legacy_id":"int:8","clerk_user_id":"user_9"}
{"legacy_id":"int:9","no_user":"deleted"}
{"legacy_id":"int:10","no_user":"refused"}
{"legacy_id":"int:11","no_user":"refused"}
{"legacy_id":"str:11","clerk_user_id":"user_11"}"#;
        std::fs::write(folder.path().join(MAP), text).unwrap();
        IdMap::read(folder.path()).unwrap()
    }

    fn row(text: &str) -> Row {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        input::open(&[file.path()], Options::default()).unwrap().next().unwrap().unwrap()
    }

    fn resolved(text: &str, field: &str, loose: bool) -> Vec<(String, Result<Users, Unresolved>, bool)> {
        let row = row(text);
        let reference = Reference { field: field.into(), target: "c".into() };
        let resolutions = resolve(&row, &reference, &map(), loose).unwrap();
        let plain = |one: Resolution<'_>| (one.field.path, one.users.map_err(|(reason, _)| reason), one.is_loose);
        resolutions.into_iter().map(plain).collect()
    }

    fn one(id: &str) -> Result<Users, Unresolved> {
        Ok(Users::One(id.parse().unwrap()))
    }

    #[test]
    fn a_reference_is_a_field_and_a_name_beside_it() {
        let parsed = |text: &str| text.parse::<Reference>().map(|reference| (reference.field, reference.target));
        assert_eq!(parsed("user_id"), Ok(("user_id".into(), "clerk_user_id".into())));
        assert_eq!(parsed("members.user=clerk"), Ok(("members.user".into(), "clerk".into())));
        for (text, problem) in
            [("", "empty"), ("a=", "empty"), ("a..b", "empty"), ("a=b.c", "dots"), ("a.b=b", "name of the old one")]
        {
            assert!(parsed(text).unwrap_err().to_string().contains(problem), "{text}");
        }
    }

    #[test]
    fn a_reference_leads_to_the_users_of_its_ids() {
        let b1 = r#"{"$oid":"64b0000000000000000000b1"}"#;
        let b2 = r#"{"$oid":"64b0000000000000000000b2"}"#;
        assert_eq!(resolved(&format!("{{\"u\":{b1}}}"), "u", false), [("u".into(), one("user_1"), false)]);
        let both = Ok(Users::Several(["user_1", "user_2"].map(|id| id.parse().unwrap()).into()));
        assert_eq!(resolved(&format!("{{\"u\":[{b1},{b2}]}}"), "u", false), [("u".into(), both, false)]);
        let nested = format!("{{\"m\":[{{\"u\":{b1}}},{{\"x\":1}},{{\"u\":{b2}}}]}}");
        let expected = [("m.0.u".into(), one("user_1"), false), ("m.2.u".into(), one("user_2"), false)];
        assert_eq!(resolved(&nested, "m.u", false), expected);
        let pointer = format!("{{\"u\":{{\"$ref\":\"users\",\"$id\":{b1}}}}}");
        assert_eq!(resolved(&pointer, "u", false), [("u".into(), one("user_1"), false)]);
        assert_eq!(resolved("{}", "u", false), []);
    }

    #[test]
    fn a_reference_that_leads_nowhere_says_why() {
        for (value, reason) in [
            ("null", Unresolved::Missing),
            ("\"\"", Unresolved::Missing),
            ("1.5", Unresolved::NotAnId),
            ("{\"a\":1}", Unresolved::NotAnId),
            ("6", Unresolved::UnknownId),
            ("\"64b0000000000000000000b1\"", Unresolved::UnknownId),
            ("[7,6]", Unresolved::UnknownId),
            ("[7,null]", Unresolved::Missing),
            ("9", Unresolved::Deleted),
            ("10", Unresolved::RowRefused),
        ] {
            assert_eq!(resolved(&format!("{{\"u\":{value}}}"), "u", false)[0].1, Err(reason), "{value}");
        }
    }

    #[test]
    fn types_are_compared_unless_the_operator_says_otherwise() {
        let text = r#"{"u":"64b0000000000000000000b1"}"#;
        assert_eq!(resolved(text, "u", true), [("u".into(), one("user_1"), true)]);
        assert_eq!(resolved(r#"{"u":"7"}"#, "u", true), [("u".into(), one("user_7"), true)]);
        // The same type is always preferred.
        assert_eq!(resolved(r#"{"u":"8"}"#, "u", true), [("u".into(), one("user_8"), false)]);
        let uuid = r#"{"u":{"$uuid":"00000000-0000-4000-8000-000000000008"}}"#;
        assert_eq!(resolved(uuid, "u", true)[0].1, Err(Unresolved::UnknownId));
    }
}
