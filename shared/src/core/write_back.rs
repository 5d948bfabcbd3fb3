//! The write-back: adds a user's internal id and role to the public metadata in Clerk, so that session claims can
//! contain them.
//!
//! Only missing keys are written. Other values were set on purpose, so they stay.

use serde_json::{Map, Value};

use super::clerk::objects::Metadata;
use super::controls::{Invariant, guards};
use super::id::{InternalId, Kind};
use super::mirror::item::Item;
use super::mirror::roles;

/// The key of the internal id.
pub const ID: &str = "dbId";
/// The key of the role.
pub const ROLE: &str = "role";

/// What a user's public metadata lacks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Link {
    /// The keys to add, with their values.
    pub missing: Map<String, Value>,
    /// Whether the metadata contain another internal id.
    pub conflicts: bool,
}

/// What the public metadata of the user with this internal id lacks.
pub fn link(metadata: &Map<String, Value>, id: InternalId) -> Link {
    // Setting a key to null is Clerk's way of removing it.
    let present = |name: &str| metadata.get(name).filter(|value| !value.is_null() && guards(Invariant::I10));
    let mut link = Link::default();
    let id = Value::from(id.to_string());
    match present(ID) {
        None => drop(link.missing.insert(ID.to_owned(), id)),
        Some(other) => link.conflicts = *other != id,
    }
    if present(ROLE).is_none() {
        // The Directory's role of a user without a role.
        link.missing.insert(ROLE.to_owned(), roles::USER.into());
    }
    link
}

/// The same for Clerk's metadata, whether they can be read completely or not.
pub fn of_metadata(metadata: &Metadata, id: InternalId) -> Link {
    link(&metadata.keys(&[ID, ROLE]), id)
}

/// What the metadata in a row of the Directory lack; nothing except for live users who are no placeholders.
pub fn of_item(item: &Item) -> Link {
    let id = item.key.pk.split_once('#').and_then(|(_, id)| serde_json::from_value(id.into()).ok());
    let Some(id) =
        id.filter(|_| Kind::from_key(&item.key) == Some(Kind::User) && !item.is_deleted() && !item.is_placeholder())
    else {
        return Link::default();
    };
    match item.fields.get("public_metadata") {
        Some(Value::Object(metadata)) => link(metadata, id),
        // Metadata that DynamoDB cannot store as a map are stored as text.
        Some(Value::String(text)) => of_metadata(&Metadata::from_json(text), id),
        _ => link(&Map::new(), id),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::core::id::InstanceId;

    fn linked(metadata: &Value) -> (Value, bool) {
        let instance: InstanceId = "ins_1".parse().unwrap();
        let id = instance.internal_id(&"user_1".parse().unwrap());
        let link = link(metadata.as_object().unwrap(), id);
        (Value::Object(link.missing), link.conflicts)
    }

    #[test]
    fn metadata_that_cannot_be_read_whole_lacks_no_more_than_it_lacks() {
        let instance: InstanceId = "ins_1".parse().unwrap();
        let id = instance.internal_id(&"user_1".parse().unwrap());
        for (text, missing) in [
            (format!(r#"{{"n":1e400,"dbId":"{id}","role":"admin"}}"#), json!({})),
            (format!(r#"{{"dbId":"{id}","n":1e400}}"#), json!({ "role": "user" })),
            (r#"{"s":"\ud800","role":"\udc00"}"#.to_owned(), json!({ "dbId": id })),
        ] {
            let metadata = Metadata::from_json(&text);
            assert!(matches!(metadata, Metadata::Text(_)), "{text}");
            assert_eq!(Value::Object(of_metadata(&metadata, id).missing), missing, "{text}");
        }
    }

    #[test]
    fn only_what_is_missing_is_written_and_nothing_present_is_changed() {
        let instance: InstanceId = "ins_1".parse().unwrap();
        let id = instance.internal_id(&"user_1".parse().unwrap()).to_string();
        for (metadata, missing, conflicts) in [
            (json!({}), json!({ "dbId": id, "role": "user" }), false),
            (json!({ "dbId": null, "role": null, "plan": 1 }), json!({ "dbId": id, "role": "user" }), false),
            (json!({ "role": "admin" }), json!({ "dbId": id }), false),
            (json!({ "role": "", "dbId": id }), json!({}), false),
            (json!({ "dbId": id }), json!({ "role": "user" }), false),
            (json!({ "dbId": "of another database" }), json!({ "role": "user" }), true),
            (json!({ "dbId": 7, "role": ["a"] }), json!({}), true),
        ] {
            assert_eq!(linked(&metadata), (missing, conflicts), "{metadata}");
        }
    }
}
