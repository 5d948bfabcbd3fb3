//! The write-back: what of a user goes into Clerk's public metadata, so that session claims can carry it.
//!
//! Only what is missing there is ever written. Whoever has put something else there has had a reason.

use serde_json::{Map, Value};

use super::clerk::objects::Metadata;
use super::controls::{Invariant, guards};
use super::id::{InternalId, Kind};
use super::mirror::item::Item;
use super::mirror::roles;

/// Where the internal id goes.
pub const ID: &str = "dbId";
/// Where the role goes.
pub const ROLE: &str = "role";

/// What a user's public metadata lacks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Link {
    /// What is to be added.
    pub missing: Map<String, Value>,
    /// Whether another internal id stands where this one should.
    pub conflicts: bool,
}

/// What the public metadata of the user with this internal id lacks.
pub fn link(metadata: &Map<String, Value>, id: InternalId) -> Link {
    // Clerk's way of removing a key is to set it to null.
    let present = |name: &str| metadata.get(name).filter(|value| !value.is_null() && guards(Invariant::I10));
    let mut link = Link::default();
    let id = Value::from(id.to_string());
    match present(ID) {
        None => drop(link.missing.insert(ID.to_owned(), id)),
        Some(other) => link.conflicts = *other != id,
    }
    if present(ROLE).is_none() {
        // What the copy says of a user without a role.
        link.missing.insert(ROLE.to_owned(), roles::USER.into());
    }
    link
}

/// The same of metadata as Clerk has them, whether all of it can be read or not.
pub fn of_metadata(metadata: &Metadata, id: InternalId) -> Link {
    link(&metadata.keys(&[ID, ROLE]), id)
}

/// What the metadata in a row of the Directory lacks; nothing for all but live users of whom more than a token is known.
pub fn of_item(item: &Item) -> Link {
    let id = item.key.pk.split_once('#').and_then(|(_, id)| serde_json::from_value(id.into()).ok());
    let Some(id) =
        id.filter(|_| Kind::from_key(&item.key) == Some(Kind::User) && !item.is_deleted() && !item.is_placeholder())
    else {
        return Link::default();
    };
    match item.fields.get("public_metadata") {
        Some(Value::Object(metadata)) => link(metadata, id),
        // What DynamoDB cannot hold as a map is kept as its text.
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
