//! The shapes of Rollcall's three tables, so that a command can check whether a setting names the right table.

use std::collections::BTreeMap;

/// The partition key and the sort key of all three tables.
const KEYS: [&str; 2] = ["pk", "sk"];
/// The Directory's index, and its keys.
const MEMBERS: &str = "members";
const MEMBERS_KEYS: [&str; 2] = ["organization_id", "user_pk"];
/// The view type of the Directory's stream: effects depend on what has changed.
const BOTH_IMAGES: &str = "NEW_AND_OLD_IMAGES";

/// One of the three tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The copy of Clerk.
    Directory,
    /// The application's records.
    Profiles,
    Operations,
}

/// A table as DynamoDB describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// The names of its partition key and of its sort key, if it has one.
    pub keys: Vec<String>,
    /// The key attributes of each global index, by name.
    pub indexes: BTreeMap<String, Vec<String>>,
    /// The view type of its stream, if it has one.
    pub stream: Option<String>,
}

/// Why a table of this shape cannot be used in this role; nothing if it can.
pub fn problem(role: Role, shape: &Shape) -> Option<String> {
    if shape.keys != KEYS {
        return Some(format!("the keys are {}, expected pk and sk", shape.keys.join(" and ")));
    }
    let has_members = shape.indexes.get(MEMBERS).is_some_and(|keys| keys == &MEMBERS_KEYS);
    match role {
        Role::Directory if !has_members => Some(format!(
            "the table lacks the index {MEMBERS} by organization_id and user_pk, so it is not a Directory table"
        )),
        Role::Directory if shape.stream.as_deref() != Some(BOTH_IMAGES) => {
            Some("the table lacks the stream of new and old images, which the Directory requires".to_owned())
        }
        Role::Profiles | Role::Operations if has_members => Some(format!(
            "the table has the index {MEMBERS} by organization_id and user_pk, so it is a Directory table"
        )),
        _ => None,
    }
}

/// A table's name or ARN. Source: AWS, "Naming rules and data types".
pub fn table_name(text: &str) -> Option<String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let name = text.strip_prefix("arn:").and_then(|arn| arn.rsplit_once("table/")).map_or(text, |(_, name)| name);
    ((3..=255).contains(&name.len()) && name.bytes().all(allowed)).then(|| text.to_owned())
}

/// The name of a table without the rest of its ARN.
pub fn bare_table_name(text: &str) -> &str {
    text.strip_prefix("arn:").and_then(|arn| arn.split_once(":table/")).map_or(text, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(keys: &[&str], members: &[&str], stream: Option<&str>) -> Shape {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let indexes = (!members.is_empty()).then(|| (MEMBERS.to_owned(), owned(members)));
        Shape { keys: owned(keys), indexes: indexes.into_iter().collect(), stream: stream.map(str::to_owned) }
    }

    #[test]
    fn each_table_is_told_from_the_others_as_far_as_its_description_goes() {
        let directory = shape(&KEYS, &MEMBERS_KEYS, Some(BOTH_IMAGES));
        let bare = shape(&KEYS, &[], None);
        let streamed = shape(&KEYS, &[], Some("KEYS_ONLY"));
        for (role, shape, expected) in [
            (Role::Directory, &directory, None),
            (Role::Profiles, &bare, None),
            (Role::Operations, &bare, None),
            // The application may have a stream of its own records.
            (Role::Profiles, &streamed, None),
            (Role::Directory, &bare, Some("the table lacks the index members by organization_id and user_pk")),
            (Role::Profiles, &directory, Some("the table has the index members by organization_id and user_pk")),
            (Role::Operations, &directory, Some("the table has the index members by organization_id and user_pk")),
            (
                Role::Directory,
                &shape(&KEYS, &MEMBERS_KEYS, None),
                Some("the table lacks the stream of new and old images"),
            ),
            (
                Role::Directory,
                &shape(&KEYS, &MEMBERS_KEYS, Some("NEW_IMAGE")),
                Some("the table lacks the stream of new and old images"),
            ),
            (
                Role::Directory,
                &shape(&KEYS, &["user_pk"], Some(BOTH_IMAGES)),
                Some("the table lacks the index members by organization_id and user_pk"),
            ),
            (Role::Profiles, &shape(&["user_id"], &[], None), Some("the keys are user_id, expected pk and sk")),
            (Role::Operations, &shape(&["sk", "pk"], &[], None), Some("the keys are sk and pk")),
        ] {
            let found = problem(role, shape);
            assert_eq!(found.is_some(), expected.is_some(), "{role:?} {shape:?} {found:?}");
            assert!(found.unwrap_or_default().contains(expected.unwrap_or_default()), "{role:?} {shape:?}");
        }
    }
}
