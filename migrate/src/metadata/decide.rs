//! What a row changes in the metadata of its user. Every decision comes from Clerk's state of this moment, and never from
//! the journal: therefore a second run finds nothing to change, also without a journal.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::merge::{Metadata, at, merged, same, set, size};

/// The size up to which Clerk stores one field of metadata, in bytes of its JSON. Source: Clerk, "User metadata".
pub const MOST_BYTES: usize = 8 * 1024;

/// A value that a row has for a field of the metadata.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// The keys from the top on.
    pub path: Vec<String>,
    /// Null removes the field.
    pub value: Value,
    /// Whether keys of an object that the row does not have are removed.
    pub replaces: bool,
}

/// What to do where Clerk has another value than the row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnConflict {
    /// Clerk's value stays, and the user is reported.
    #[default]
    Keep,
    /// The row's value replaces Clerk's.
    Source,
}

/// One value that changes. It is also what the journal keeps, so that the change can be undone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    pub path: Vec<String>,
    /// The value in Clerk before; nothing if the key was absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// The value afterwards; nothing if the key is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// The decision about one user.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Clerk has everything already.
    Unchanged,
    /// These values change.
    Change(Vec<Change>),
    /// Clerk has other values at these paths. Nothing of the user is written.
    Conflict(Vec<Vec<String>>),
    /// The metadata would have so many bytes, more than [`MOST_BYTES`].
    TooLarge(usize),
}

/// Decides about a user whose public metadata is `current`.
pub fn decide(current: &Metadata, wanted: &[Wanted], on_conflict: OnConflict) -> Decision {
    let mut wishes = BTreeMap::new();
    for wanted in wanted {
        insert(&mut wishes, &wanted.path, Wish::Value(&wanted.value, wanted.replaces));
    }
    let mut comparison = Comparison { on_conflict, changes: Vec::new(), conflicts: Vec::new() };
    comparison.compare_below(&mut Vec::new(), current, &wishes);
    if !comparison.conflicts.is_empty() {
        return Decision::Conflict(comparison.conflicts);
    }
    if comparison.changes.is_empty() {
        return Decision::Unchanged;
    }
    match size(&merged(current, &patch(&comparison.changes))) {
        size if size > MOST_BYTES => Decision::TooLarge(size),
        _ => Decision::Change(comparison.changes),
    }
}

/// The body of the PATCH that makes these changes.
pub fn patch(changes: &[Change]) -> Metadata {
    let mut patch = Metadata::new();
    for change in changes {
        set(&mut patch, &change.path, change.after.clone().unwrap_or(Value::Null));
    }
    patch
}

/// How changes of a user are taken back.
#[derive(Debug, PartialEq)]
pub struct Undo {
    /// Nothing if no value can be taken back.
    pub patch: Metadata,
    /// Paths at which Clerk has neither the value that the migration wrote nor the one before: they stay.
    pub changed_since: Vec<Vec<String>>,
}

/// Whether a value can be at the path without replacing another one above it.
fn has_place(current: &Metadata, path: &[String]) -> bool {
    (1..path.len()).all(|length| at(current, &path[..length]).is_some_and(Value::is_object))
}

/// Takes back the changes whose values are still in Clerk.
pub fn undo(current: &Metadata, changes: &[Change]) -> Undo {
    let mut undo = Undo { patch: Metadata::new(), changed_since: Vec::new() };
    let is = |now: Option<&Value>, then: Option<&Value>| match (now, then) {
        (Some(now), Some(then)) => same(now, then),
        (now, then) => now.is_none() && then.is_none(),
    };
    for change in changes {
        let now = at(current, &change.path);
        if is(now, change.before.as_ref()) {
            continue;
        }
        if is(now, change.after.as_ref()) && has_place(current, &change.path) {
            set(&mut undo.patch, &change.path, change.before.clone().unwrap_or(Value::Null));
        } else {
            undo.changed_since.push(change.path.clone());
        }
    }
    undo
}

/// What a row wants at a key: a value, and whether the value replaces objects, or something below the key.
enum Wish<'a> {
    Value(&'a Value, bool),
    Below(BTreeMap<&'a str, Wish<'a>>),
}

/// Adds a wish. Fields of a mapping are neither equal to one another nor inside one another.
fn insert<'a>(wishes: &mut BTreeMap<&'a str, Wish<'a>>, path: &'a [String], wish: Wish<'a>) {
    let Some((key, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        wishes.insert(key, wish);
    } else if let Wish::Below(below) = wishes.entry(key).or_insert_with(|| Wish::Below(BTreeMap::new())) {
        insert(below, rest, wish);
    }
}

impl Wish<'_> {
    /// What Clerk stores if the key is absent so far. A key of an object whose value is null does not exist.
    fn stored(&self) -> Option<Value> {
        match self {
            Wish::Value(value, _) => without_nulls(value),
            Wish::Below(below) => {
                let stored = below.iter().filter_map(|(key, wish)| Some(((*key).to_owned(), wish.stored()?)));
                let stored: Metadata = stored.collect();
                (!stored.is_empty()).then_some(Value::Object(stored))
            }
        }
    }
}

/// As Clerk stores a value.
fn without_nulls(value: &Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Object(object) => {
            let kept = object.iter().filter_map(|(key, value)| Some((key.clone(), without_nulls(value)?)));
            Some(Value::Object(kept.collect()))
        }
        value => Some(value.clone()),
    }
}

struct Comparison {
    on_conflict: OnConflict,
    changes: Vec<Change>,
    conflicts: Vec<Vec<String>>,
}

impl Comparison {
    fn compare_below(&mut self, path: &mut Vec<String>, current: &Metadata, wishes: &BTreeMap<&str, Wish<'_>>) {
        for (key, wish) in wishes {
            path.push((*key).to_owned());
            self.compare(path, current.get(*key), wish);
            path.pop();
        }
    }

    fn compare(&mut self, path: &mut Vec<String>, current: Option<&Value>, wish: &Wish<'_>) {
        match (current, wish) {
            (Some(Value::Object(current)), Wish::Below(below)) => self.compare_below(path, current, below),
            (Some(Value::Object(current)), Wish::Value(Value::Object(wanted), replaces)) => {
                let wishes = wanted.iter().map(|(key, value)| (key.as_str(), Wish::Value(value, *replaces))).collect();
                self.compare_below(path, current, &wishes);
                for (key, value) in current.iter().filter(|(key, _)| *replaces && !wanted.contains_key(*key)) {
                    path.push(key.clone());
                    self.change(path, Some(value), None);
                    path.pop();
                }
            }
            // Null was asked for: it is no conflict. Below something that is no object, there is nothing to remove.
            (Some(_), Wish::Value(Value::Null, _)) => self.change(path, current, None),
            (None, wish) => {
                if let Some(value) = wish.stored() {
                    self.change(path, None, Some(value));
                }
            }
            (Some(other), wish) => match wish.stored() {
                Some(value) if !same(other, &value) => self.replace(path, other, value),
                _ => {}
            },
        }
    }

    fn replace(&mut self, path: &[String], current: &Value, value: Value) {
        match self.on_conflict {
            OnConflict::Keep => self.conflicts.push(path.to_vec()),
            OnConflict::Source => self.change(path, Some(current), Some(value)),
        }
    }

    fn change(&mut self, path: &[String], before: Option<&Value>, after: Option<Value>) {
        self.changes.push(Change { path: path.to_vec(), before: before.cloned(), after });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn object(value: &Value) -> Metadata {
        value.as_object().unwrap().clone()
    }

    fn wanted(path: &str, value: Value) -> Wanted {
        Wanted { path: path.split('.').map(str::to_owned).collect(), value, replaces: false }
    }

    fn after(current: &Metadata, decision: &Decision) -> Value {
        match decision {
            Decision::Change(changes) => merged(current, &patch(changes)).into(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a1_another_value_in_clerk_is_a_conflict_unless_the_source_shall_win() {
        let current =
            object(&json!({"primary_role": "client", "organization_roles": {"org_a": "client", "org_b": "admin"}}));
        let mut wanted = vec![wanted("organization_roles", json!({"org_a": "coach"}))];
        let conflict = decide(&current, &wanted, OnConflict::Keep);
        assert_eq!(conflict, Decision::Conflict(vec![vec!["organization_roles".into(), "org_a".into()]]));
        let change = decide(&current, &wanted, OnConflict::Source);
        let result = json!({"primary_role": "client", "organization_roles": {"org_a": "coach", "org_b": "admin"}});
        assert_eq!(after(&current, &change), result);
        wanted[0].replaces = true;
        let change = decide(&current, &wanted, OnConflict::Source);
        let result = json!({"primary_role": "client", "organization_roles": {"org_a": "coach"}});
        assert_eq!(after(&current, &change), result);
        let Decision::Change(changes) = change else { panic!() };
        let back = undo(&object(&result), &changes);
        assert_eq!((merged(&merged(&current, &patch(&changes)), &back.patch), back.changed_since), (current, vec![]));
    }

    #[test]
    fn a_user_is_unchanged_exactly_when_clerk_has_everything() {
        let current = object(&json!({"a": 1.0, "b": {"c": [1]}, "other": true}));
        assert_eq!(
            decide(&current, &[wanted("a", json!(1)), wanted("b.c", json!([1]))], OnConflict::Keep),
            Decision::Unchanged
        );
        assert_eq!(decide(&current, &[wanted("x", Value::Null)], OnConflict::Keep), Decision::Unchanged);
        let removed = decide(&current, &[wanted("a", Value::Null)], OnConflict::Keep);
        assert_eq!(after(&current, &removed), json!({"b": {"c": [1]}, "other": true}));
    }

    #[test]
    fn the_size_of_the_result_counts() {
        let current = object(&json!({ "t": "x".repeat(8_000) }));
        assert_eq!(
            decide(&current, &[wanted("n", json!("y".repeat(300)))], OnConflict::Keep),
            Decision::TooLarge(8315)
        );
        assert!(matches!(decide(&current, &[wanted("n", json!("y"))], OnConflict::Keep), Decision::Change(_)));
    }

    #[test]
    fn a_value_that_is_no_object_blocks_what_would_be_below_it() {
        let current = object(&json!({"a": "text"}));
        let wanted = [wanted("a.b.c", json!(1))];
        assert_eq!(decide(&current, &wanted, OnConflict::Keep), Decision::Conflict(vec![vec!["a".into()]]));
        let change = decide(&current, &wanted, OnConflict::Source);
        assert_eq!(after(&current, &change), json!({"a": {"b": {"c": 1}}}));
        let Decision::Change(changes) = change else { panic!() };
        assert_eq!(undo(&object(&json!({"a": {"b": {"c": 1}}})), &changes).patch, current);
    }

    #[test]
    fn undo_leaves_what_has_changed_since() {
        let changes = [
            Change { path: vec!["a".into()], before: Some(json!(1)), after: Some(json!(2)) },
            Change { path: vec!["b".into()], before: None, after: Some(json!({"x": 1})) },
            Change { path: vec!["c".into()], before: None, after: Some(json!(3)) },
            Change { path: vec!["d".into()], before: Some(json!(4)), after: None },
        ];
        let current = object(&json!({"a": 2, "b": {"x": 1, "y": 2}}));
        let undone = undo(&current, &changes);
        assert_eq!(Value::Object(undone.patch), json!({"a": 1, "d": 4}));
        assert_eq!(undone.changed_since, [["b"]], "c is absent already, as before");
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!(1)),
            Just(json!(1.0)),
            Just(json!("a")),
            Just(json!(true)),
            Just(json!([1, {"a": 2}])),
            Just(json!({})),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            proptest::collection::hash_map("[abc]", inner, 0..3).prop_map(|map| json!(map))
        })
    }

    fn objects() -> impl Strategy<Value = Metadata> {
        proptest::collection::hash_map("[abc]", values(), 0..4).prop_map(|map| json!(map).as_object().unwrap().clone())
    }

    fn wishes() -> impl Strategy<Value = Vec<Wanted>> {
        let wish = ("[abc](\\.[abc]){0,2}", prop_oneof![4 => values(), 1 => Just(Value::Null)], any::<bool>());
        // One row has each field once, and none inside another one.
        proptest::collection::vec(wish, 0..3).prop_map(|wishes| {
            let mut kept: Vec<Wanted> = Vec::new();
            for (path, value, replaces) in wishes {
                let path: Vec<String> = path.split('.').map(str::to_owned).collect();
                if kept.iter().all(|other| !other.path.starts_with(&path) && !path.starts_with(&other.path)) {
                    kept.push(Wanted { path, value, replaces });
                }
            }
            kept
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

        #[test]
        fn i22_a_second_decision_changes_nothing_and_undo_restores_everything(current in objects(), wanted in wishes()) {
            match decide(&current, &wanted, OnConflict::Source) {
                Decision::Unchanged => {}
                Decision::Change(changes) => {
                    let result = merged(&current, &patch(&changes));
                    prop_assert!(!same(&current.clone().into(), &result.clone().into()), "a change changes something");
                    prop_assert_eq!(decide(&result, &wanted, OnConflict::Source), Decision::Unchanged);
                    let back = undo(&result, &changes);
                    prop_assert_eq!(&back.changed_since, &Vec::<Vec<String>>::new());
                    prop_assert_eq!(&merged(&result, &back.patch), &current);
                    // Taking back twice does nothing more.
                    prop_assert_eq!(undo(&current, &changes).patch, Metadata::new());
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }

        #[test]
        fn nothing_of_clerk_is_lost_without_a_word(current in objects(), wanted in wishes()) {
            let wanted: Vec<Wanted> = wanted.into_iter().map(|wanted| Wanted { replaces: false, ..wanted }).collect();
            let asked: Vec<_> = wanted.iter().filter(|wanted| wanted.value.is_null()).map(|wanted| &wanted.path).collect();
            if let Decision::Change(changes) = decide(&current, &wanted, OnConflict::Keep) {
                for change in changes {
                    prop_assert!(change.before.is_none() || asked.iter().any(|path| change.path.starts_with(path)));
                }
            }
        }
    }
}
