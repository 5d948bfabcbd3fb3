//! The change of a record by its owner: the fields to set and to remove, and the record after the change.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::document::{MAX_BYTES, MAX_FIELDS, Reason, Unstorable, merged, normalized, push};
use crate::core::profile::PROTECTED;

/// The attribute of a record that counts the owner's writes.
pub const VERSION: &str = "profile_version";

/// The setting `PROFILE_WRITABLE`: the writable fields, which an owner may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Writable {
    /// All fields except [`PROTECTED`].
    All,
    Fields(BTreeSet<String>),
}

/// A change that the owner requests.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    /// PUT: these values replace all writable fields.
    Replace(Map<String, Value>),
    /// PATCH: a merge patch.
    Merge(Map<String, Value>),
    /// POST: these values are added to the default values.
    Add(Map<String, Value>),
}

/// The change of a stored record. All other fields stay as they are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    pub set: Map<String, Value>,
    pub remove: BTreeSet<String>,
}

/// A record that was read.
#[derive(Clone, Copy, Debug)]
pub struct Read<'a> {
    /// The record as JSON, which the owner sees.
    pub shown: &'a Map<String, Value>,
    /// The fields whose values JSON cannot express exactly, such as binary ones.
    pub inexact: &'a BTreeSet<String>,
}

impl Writable {
    /// Parses the setting: `*` or a JSON list of names. `None` if the text is neither, or names a protected field.
    pub fn parse(text: &str) -> Option<Writable> {
        if matches!(text.trim(), "*" | "\"*\"") {
            return Some(Writable::All);
        }
        let names: BTreeSet<String> = serde_json::from_str(text).ok()?;
        let is_name = |name: &String| (1..=255).contains(&name.len()) && !PROTECTED.contains(&name.as_str());
        (names.len() <= MAX_FIELDS && names.iter().all(is_name)).then_some(Writable::Fields(names))
    }

    fn allows(&self, name: &str) -> bool {
        match self {
            Writable::All => !PROTECTED.contains(&name),
            Writable::Fields(names) => names.contains(name),
        }
    }
}

impl Changes {
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.remove.is_empty()
    }

    /// The fields that change.
    pub fn fields(&self) -> impl Iterator<Item = &String> {
        self.set.keys().chain(&self.remove)
    }

    /// The record as JSON after the change, with the count of writes increased by one.
    pub fn applied(&self, shown: &Map<String, Value>) -> Map<String, Value> {
        let mut after = shown.clone();
        if !self.is_empty() {
            after.retain(|name, _| !self.remove.contains(name));
            after.extend(self.set.clone());
            after.insert(VERSION.to_owned(), (version(shown) + 1).into());
        }
        after
    }
}

/// The number of the owner's writes of the record.
pub fn version(shown: &Map<String, Value>) -> u64 {
    shown.get(VERSION).and_then(Value::as_u64).unwrap_or_default()
}

/// The fields that an edit changes. The owner may send a field that is not writable, if its value is the stored one.
/// So an owner can send back a whole record.
///
/// # Errors
///
/// [`Unstorable`]: a field is not writable, or a value cannot be stored.
pub fn plan(read: Read<'_>, edit: Edit, writable: &Writable) -> Result<Changes, Unstorable> {
    let mut changes = Changes::default();
    let given = match edit {
        Edit::Replace(given) => {
            let is_dropped = |name: &&String| writable.allows(name) && !given.contains_key(*name);
            changes.remove = read.shown.keys().filter(is_dropped).cloned().collect();
            given
        }
        Edit::Add(given) => given,
        Edit::Merge(patch) => {
            let mut given = Map::new();
            for (name, change) in patch {
                let stored = read.shown.get(&name);
                if change.is_null() && stored.is_some() {
                    only_writable(&name, writable)?;
                    changes.remove.insert(name);
                } else if !change.is_null() {
                    if change.is_object() && read.inexact.contains(&name) {
                        return Err(at(&name, Reason::NotJson));
                    }
                    let after = merged(stored.cloned().unwrap_or_default(), change);
                    given.insert(name, after);
                }
            }
            given
        }
    };
    for (name, value) in given {
        let stored = read.shown.get(&name);
        if stored == Some(&value) {
            continue;
        }
        let normal = normalized(Map::from_iter([(name.clone(), value)]));
        if normal.as_ref().is_ok_and(|normal| normal.get(&name) == stored) {
            continue;
        }
        only_writable(&name, writable)?;
        changes.set.extend(normal?);
    }
    within_limits(read.shown, &changes)?;
    Ok(changes)
}

/// The fields of a new record: the default values, and the values that the owner has sent.
///
/// # Errors
///
/// [`Unstorable`], as for [`plan`].
pub fn created(
    defaults: &Map<String, Value>,
    given: Map<String, Value>,
    writable: &Writable,
) -> Result<Map<String, Value>, Unstorable> {
    let inexact = BTreeSet::new();
    let changes = plan(Read { shown: defaults, inexact: &inexact }, Edit::Add(given), writable)?;
    let mut fields = defaults.clone();
    fields.extend(changes.set);
    Ok(fields)
}

fn only_writable(name: &str, writable: &Writable) -> Result<(), Unstorable> {
    if writable.allows(name) { Ok(()) } else { Err(at(name, Reason::NotWritable)) }
}

fn at(name: &str, reason: Reason) -> Unstorable {
    let mut pointer = String::new();
    push(&mut pointer, name);
    Unstorable { pointer, reason }
}

/// The application may have stored a record that exceeds the limits. An owner may make it smaller, but not larger.
fn within_limits(before: &Map<String, Value>, changes: &Changes) -> Result<(), Unstorable> {
    if changes.is_empty() {
        return Ok(());
    }
    // The condition names each changed field, and an expression of DynamoDB has at most 4 KB.
    if changes.fields().count() > MAX_FIELDS {
        return Err(Unstorable { pointer: String::new(), reason: Reason::Fields });
    }
    let after = changes.applied(before);
    let size = |record: &Map<String, Value>| serde_json::to_string(record).map_or(usize::MAX, |text| text.len());
    let whole = |reason| Unstorable { pointer: String::new(), reason };
    if after.len() > MAX_FIELDS && after.len() > before.len() {
        return Err(whole(Reason::Fields));
    }
    let bytes = size(&after);
    if bytes > MAX_BYTES && bytes > size(before) {
        return Err(whole(Reason::Size));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn planned(shown: &Value, edit: Edit, writable: &str) -> Result<Value, (String, Reason)> {
        let (shown, inexact) = (map(shown), BTreeSet::from(["photo".to_owned()]));
        let writable = Writable::parse(writable).unwrap();
        let changes = plan(Read { shown: &shown, inexact: &inexact }, edit, &writable);
        changes
            .map(|changes| json!({ "set": changes.set, "remove": changes.remove }))
            .map_err(|it| (it.pointer, it.reason))
    }

    #[test]
    fn the_setting_names_fields_that_are_not_protected() {
        let names = |names: &[&str]| Some(Writable::Fields(names.iter().map(|name| (*name).to_owned()).collect()));
        for (text, writable) in [
            ("[]", names(&[])),
            (r#"["theme", "bio"]"#, names(&["bio", "theme"])),
            ("*", Some(Writable::All)),
            ("\"*\"", Some(Writable::All)),
            ("theme", None),
            (r#"["pk"]"#, None),
            (r#"["profile_version"]"#, None),
            (r#"[""]"#, None),
            (r#"[1]"#, None),
            ("", None),
        ] {
            assert_eq!(Writable::parse(text), writable, "{text}");
        }
    }

    #[test]
    fn put_replaces_the_writable_fields_and_leaves_the_others() {
        let shown = json!({ "user_id": "1", "level": 3, "theme": "light", "bio": "b", "profile_version": 4 });
        let put = |given: Value| planned(&shown, Edit::Replace(map(&given)), r#"["theme","bio","size"]"#);
        assert_eq!(put(json!({ "theme": "dark" })), Ok(json!({ "set": { "theme": "dark" }, "remove": ["bio"] })));
        // The owner may send the whole record back.
        assert_eq!(put(shown.clone()), Ok(json!({ "set": {}, "remove": [] })));
        assert_eq!(put(json!({ "theme": "light", "bio": "b", "level": 3.0 })), Ok(json!({ "set": {}, "remove": [] })));
        assert_eq!(
            put(json!({ "theme": "light", "bio": null, "size": 2.0 })),
            Ok(json!({ "set": { "bio": null, "size": 2 }, "remove": [] }))
        );
        for (given, pointer) in [
            (json!({ "level": 4 }), "/level"),
            (json!({ "user_id": "2" }), "/user_id"),
            (json!({ "pk": "x" }), "/pk"),
            (json!({ "redacted_at": 1 }), "/redacted_at"),
            (json!({ "profile_version": 5 }), "/profile_version"),
            (json!({ "level": 1e300 }), "/level"),
        ] {
            assert_eq!(put(given.clone()), Err((pointer.to_owned(), Reason::NotWritable)), "{given}");
        }
        let number = put(json!({ "size": [1, 1e300] }));
        assert_eq!(number, Err(("/size/1".to_owned(), Reason::Number)));
    }

    #[test]
    fn patch_changes_what_it_names() {
        let shown = json!({ "user_id": "1", "theme": { "a": 1, "b": 2 }, "photo": "AAEC", "bio": "b" });
        let patch = |given: Value| planned(&shown, Edit::Merge(map(&given)), "*");
        assert_eq!(patch(json!({})), Ok(json!({ "set": {}, "remove": [] })));
        assert_eq!(
            patch(json!({ "theme": { "a": null, "c": 3 } })),
            Ok(json!({ "set": { "theme": { "b": 2, "c": 3 } }, "remove": [] }))
        );
        assert_eq!(patch(json!({ "bio": null, "gone": null })), Ok(json!({ "set": {}, "remove": ["bio"] })));
        assert_eq!(patch(json!({ "theme": { "a": 1.0 } })), Ok(json!({ "set": {}, "remove": [] })));
        assert_eq!(patch(json!({ "user_id": null })), Err(("/user_id".to_owned(), Reason::NotWritable)));
        // A merge patch cannot change a part of a binary value, but can replace the whole value.
        assert_eq!(patch(json!({ "photo": { "a": 1 } })), Err(("/photo".to_owned(), Reason::NotJson)));
        assert_eq!(patch(json!({ "photo": "x" })), Ok(json!({ "set": { "photo": "x" }, "remove": [] })));
    }

    #[test]
    fn a_record_may_become_smaller_but_not_larger_than_the_limits() {
        let many = |from: usize, to: usize| Map::from_iter((from..to).map(|at| (format!("f{at}"), json!(at))));
        let replace = |fields| planned(&json!({ "user_id": "1" }), Edit::Replace(fields), "*");
        assert!(replace(many(0, 98)).is_ok(), "98, the id and the count");
        assert_eq!(replace(many(0, 99)), Err((String::new(), Reason::Fields)));
        let large = Value::Object(many(0, 120));
        assert!(planned(&large, Edit::Merge(map(&json!({ "f0": null, "f1": null }))), "*").is_ok());
        assert!(planned(&large, Edit::Merge(map(&json!({ "one": 1 }))), "*").is_err());
        let text = |length| map(&json!({ "bio": "x".repeat(length) }));
        assert!(replace(text(MAX_BYTES - 60)).is_ok());
        assert_eq!(replace(text(MAX_BYTES)), Err((String::new(), Reason::Size)));
        let huge = Value::Object(text(2 * MAX_BYTES));
        assert!(planned(&huge, Edit::Replace(text(2 * MAX_BYTES - 100)), "*").is_ok());
    }

    #[test]
    fn one_request_changes_a_hundred_fields_at_most() {
        let many = |name: &str| Map::from_iter((0..97).map(|at| (format!("{name}{at}"), json!(at))));
        let all = planned(&Value::Object(many("a")), Edit::Replace(many("b")), "*");
        assert_eq!(all, Err((String::new(), Reason::Fields)), "97 set and 97 removed");
    }

    #[test]
    fn the_record_afterwards_counts_the_write() {
        let changes = Changes { set: map(&json!({ "a": 2 })), remove: BTreeSet::from(["b".to_owned()]) };
        let after = |shown: Value| Value::Object(changes.applied(&map(&shown)));
        assert_eq!(after(json!({ "a": 1, "b": 1, "c": 1 })), json!({ "a": 2, "c": 1, "profile_version": 1 }));
        assert_eq!(after(json!({ "profile_version": 7 })), json!({ "a": 2, "profile_version": 8 }));
        assert_eq!(Changes::default().applied(&map(&json!({ "a": 1 }))), map(&json!({ "a": 1 })));
    }

    #[test]
    fn a_new_record_is_the_defaults_and_what_the_owner_sends() {
        let create = |given: Value| {
            created(
                &map(&json!({ "level": 1, "theme": { "a": 1 } })),
                map(&given),
                &Writable::parse(r#"["theme"]"#).unwrap(),
            )
        };
        assert_eq!(create(json!({})).map(Value::Object), Ok(json!({ "level": 1, "theme": { "a": 1 } })));
        assert_eq!(
            create(json!({ "theme": { "b": 2 }, "level": 1 })).map(Value::Object),
            Ok(json!({ "level": 1, "theme": { "b": 2 } }))
        );
        assert_eq!(create(json!({ "level": 2 })).unwrap_err().pointer, "/level");
    }
}
