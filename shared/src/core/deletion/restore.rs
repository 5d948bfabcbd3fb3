//! Which rows of a backup may be restored: rows of the user in its first line, in Profiles and in the tables of
//! `OWNED_TABLES`, under the key of the table itself. A backup is an external file, so every part of it is checked.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::owned::IdKind;
use crate::core::id::{InstanceId, InternalId, UserId};
use crate::core::millis::Millis;
use crate::core::mirror::item::Item;
use crate::core::mirror::rank::Rank;
use crate::core::tables::bare_table_name;

/// The note of a restoration: rows of this deleted user are stored again on purpose, so a clean-up leaves them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restoration {
    /// The rank of the tombstone under which the rows were restored.
    pub rank: Rank,
    /// When that tombstone was stored, in Unix ms.
    pub applied_at: Millis,
    /// When the latest restoration began, in Unix ms.
    pub restored_at: Millis,
    /// The file of the latest restoration.
    pub backup: String,
}

impl Restoration {
    /// Whether the rows were restored under this tombstone. A user who lived again and was deleted again has another
    /// one, and that deletion concerns the restored rows, too.
    pub fn is_under(&self, tombstone: &Item) -> bool {
        tombstone.is_deleted() && (tombstone.rank, tombstone.provenance.applied_at) == (self.rank, self.applied_at)
    }
}

/// A table into which rows may be restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its name or ARN, as in the setting.
    pub table: String,
    /// Its key attributes and the key attributes of its indexes, each with its type.
    pub keys: Vec<KeyAttribute>,
    /// How a row names its owner.
    pub owner: OwnerOf,
}

/// A key attribute of a table or an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyAttribute {
    pub name: String,
    pub kind: KeyKind,
    /// Whether it is in the key of the table itself, so that each row has it.
    pub is_own: bool,
}

/// The types that a key attribute may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// `S`.
    Text,
    /// `N`.
    Number,
    /// `B`.
    Bytes,
}

/// How a row names its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnerOf {
    /// The partition of the user, `USER#<internal id>`, in `pk`.
    Partition,
    /// An attribute with one of the two ids.
    Attribute(String, IdKind),
}

/// A value, as far as keys need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar<'a> {
    /// `S`.
    Text(&'a str),
    /// `N`, or `B` of so many bytes.
    Sized(KeyKind, usize),
    /// A value that no key can have.
    Other,
}

/// Why a row is not restored.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Misplaced {
    /// The table is not one of this deployment.
    #[error("table {0:?} is neither PROFILES_TABLE nor in OWNED_TABLES")]
    Table(String),
    /// The key is not the table's key.
    #[error("the key of table {table} is {expected}, but the row has the key {named:?}")]
    Key {
        table: String,
        expected: String,
        /// The key in the line.
        named: String,
    },
    /// A key attribute that is missing, empty, too long, or of another type.
    #[error("the row has no valid value for {attribute}, a key attribute of table {table}")]
    Value { table: String, attribute: String },
    /// The row belongs to another user.
    #[error("the row in table {0} does not belong to the user in the first line of the backup")]
    Owner(String),
}

/// The maximum length of a partition key, in bytes; half of that for a sort key, which DynamoDB itself checks. Source:
/// AWS, "Quotas in Amazon DynamoDB".
const LONGEST: usize = 2048;

/// The table of a line among the places; an ARN of another account or region means the table of the same name here.
///
/// # Errors
///
/// [`Misplaced::Table`].
pub fn places<'a>(table: &str, places: &'a [Place]) -> Result<Vec<&'a Place>, Misplaced> {
    let named: Vec<&Place> =
        places.iter().filter(|place| bare_table_name(&place.table) == bare_table_name(table)).collect();
    if named.is_empty() { Err(Misplaced::Table(table.to_owned())) } else { Ok(named) }
}

impl Place {
    /// Whether a row with this key and these values may be put here for a user.
    ///
    /// # Errors
    ///
    /// [`Misplaced`].
    pub fn admits<'a>(
        &self,
        user: InternalId,
        instance: &InstanceId,
        key: &[String],
        value: impl Fn(&str) -> Option<Scalar<'a>>,
    ) -> Result<(), Misplaced> {
        let mut own: Vec<&str> = self.keys.iter().filter(|it| it.is_own).map(|it| it.name.as_str()).collect();
        let mut named: Vec<&str> = key.iter().map(String::as_str).collect();
        own.sort_unstable();
        named.sort_unstable();
        if own != named {
            let (expected, named) = (own.join(" and "), named.join(" and "));
            return Err(Misplaced::Key { table: self.table.clone(), expected, named });
        }
        for attribute in &self.keys {
            let is_usable = match value(&attribute.name) {
                None => !attribute.is_own,
                Some(Scalar::Text(text)) => attribute.kind == KeyKind::Text && (1..=LONGEST).contains(&text.len()),
                Some(Scalar::Sized(kind, size)) => attribute.kind == kind && (1..=LONGEST).contains(&size),
                Some(Scalar::Other) => false,
            };
            if !is_usable {
                return Err(Misplaced::Value { table: self.table.clone(), attribute: attribute.name.clone() });
            }
        }
        let text = |name: &str| match value(name) {
            Some(Scalar::Text(text)) => Some(text),
            _ => None,
        };
        let is_users = match &self.owner {
            OwnerOf::Partition => text("pk").is_some_and(|pk| pk == format!("USER#{user}")),
            OwnerOf::Attribute(name, IdKind::Internal) => text(name).is_some_and(|id| id == user.to_string()),
            OwnerOf::Attribute(name, IdKind::Clerk) => text(name)
                .and_then(|id| id.parse::<UserId>().ok())
                .is_some_and(|id| instance.internal_id(&id).to_string() == user.to_string()),
        };
        if is_users { Ok(()) } else { Err(Misplaced::Owner(self.table.clone())) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn only_rows_of_the_named_user_under_the_tables_own_key_are_put_back() {
        let instance: InstanceId = "ins_1".parse().unwrap();
        let (ada, eve) = ("user_ada".parse::<UserId>().unwrap(), "user_eve".parse::<UserId>().unwrap());
        let (hers, others) = (instance.internal_id(&ada), instance.internal_id(&eve));
        let key = |name: &str, kind, is_own| KeyAttribute { name: name.to_owned(), kind, is_own };
        let moods = Place {
            table: "arn:aws:dynamodb:eu-west-1:1:table/moods".to_owned(),
            keys: vec![key("mood_id", KeyKind::Text, true), key("user_id", KeyKind::Text, false)],
            owner: OwnerOf::Attribute("user_id".to_owned(), IdKind::Clerk),
        };
        let profiles = Place {
            table: "profiles".to_owned(),
            keys: vec![key("pk", KeyKind::Text, true), key("sk", KeyKind::Text, true)],
            owner: OwnerOf::Partition,
        };
        let all = [moods.clone(), profiles.clone()];
        assert_eq!(places("moods", &all), Ok(vec![&moods]));
        assert_eq!(places("arn:aws:dynamodb:us-east-1:9:table/profiles", &all), Ok(vec![&profiles]));
        for other in ["", "mood", "directory", "table/moods", "arn:aws:dynamodb:eu-west-1:1:table/moods/index/by_user"]
        {
            assert_eq!(places(other, &all), Err(Misplaced::Table(other.to_owned())));
        }
        let admits = |place: &Place, key: &[&str], row: &[(&str, Scalar<'static>)]| {
            let row: HashMap<String, Scalar<'static>> =
                row.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
            let key: Vec<String> = key.iter().map(|name| (*name).to_owned()).collect();
            place.admits(hers, &instance, &key, |name| row.get(name).copied())
        };
        let (text, ada) = (Scalar::Text, ("user_id", Scalar::Text("user_ada")));
        assert_eq!(admits(&moods, &["mood_id"], &[("mood_id", text("1")), ada]), Ok(()));
        let owner = Err(Misplaced::Owner(moods.table.clone()));
        assert_eq!(admits(&moods, &["mood_id"], &[("mood_id", text("1"))]), owner);
        assert_eq!(admits(&moods, &["mood_id"], &[("mood_id", text("1")), ("user_id", text("user_eve"))]), owner);
        for key in [&[][..], &["user_id"], &["mood_id", "user_id"], &["mood_id", "mood_id"]] {
            assert!(matches!(admits(&moods, key, &[("mood_id", text("1")), ada]), Err(Misplaced::Key { .. })));
        }
        for value in [text(""), Scalar::Other, Scalar::Sized(KeyKind::Number, 1)] {
            assert!(matches!(admits(&moods, &["mood_id"], &[("mood_id", value), ada]), Err(Misplaced::Value { .. })));
        }
        assert!(matches!(admits(&moods, &["mood_id"], &[ada]), Err(Misplaced::Value { .. })));
        let leak = |text: String| Scalar::Text(Box::leak(text.into_boxed_str()));
        let of = |id: InternalId| [("pk", leak(format!("USER#{id}"))), ("sk", Scalar::Text("PROFILE"))];
        assert_eq!(admits(&profiles, &["sk", "pk"], &of(hers)), Ok(()));
        assert_eq!(admits(&profiles, &["pk", "sk"], &of(others)), Err(Misplaced::Owner("profiles".to_owned())));
    }
}
