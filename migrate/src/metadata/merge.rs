//! Clerk's deep merge of metadata, as `PATCH /users/{id}/metadata` does it: objects merge key by key, any other value
//! replaces, and null removes its key at any level. Source: Clerk's OpenAPI document of the Backend API, 2026-05-12.

use serde_json::{Map, Value};

/// One field of metadata.
pub type Metadata = Map<String, Value>;

/// What `current` becomes by the patch.
pub fn merged(current: &Metadata, patch: &Metadata) -> Metadata {
    let mut result = current.clone();
    for (key, value) in patch {
        match value {
            Value::Null => {
                result.remove(key);
            }
            Value::Object(patch) => {
                let inner = match result.get(key) {
                    Some(Value::Object(inner)) => merged(inner, patch),
                    // A value that is no object is replaced.
                    _ => merged(&Metadata::new(), patch),
                };
                result.insert(key.clone(), Value::Object(inner));
            }
            plain => {
                result.insert(key.clone(), plain.clone());
            }
        }
    }
    result
}

/// Whether two values are the same for an application: numbers by their value (1 and 1.0), objects in any order.
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        // Two integers are compared exactly: beyond 2^53 two of them have the same double.
        (Value::Number(a), Value::Number(b)) if a.is_f64() || b.is_f64() => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| same(value, other)))
        }
        _ => a == b,
    }
}

/// The size of a field of metadata, in bytes of its JSON.
pub fn size(field: &Metadata) -> usize {
    serde_json::to_vec(field).map_or(usize::MAX, |text| text.len())
}

/// The value at a path of keys.
pub fn at<'a>(field: &'a Metadata, path: &[String]) -> Option<&'a Value> {
    let (last, outer) = path.split_last()?;
    outer.iter().try_fold(field, |field, key| field.get(key)?.as_object())?.get(last)
}

/// Sets the value at a path of keys of a patch; null removes the key in Clerk.
pub fn set(patch: &mut Metadata, path: &[String], value: Value) {
    let Some((key, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        patch.insert(key.clone(), value);
        return;
    }
    let slot = patch.entry(key.clone()).or_insert_with(|| Value::Object(Metadata::new()));
    if !slot.is_object() {
        *slot = Value::Object(Metadata::new());
    }
    if let Value::Object(inner) = slot {
        set(inner, rest, value);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: &Value) -> Metadata {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn objects_merge_other_values_replace_and_null_removes() {
        for (current, patch, result) in [
            (json!({"a": 1}), json!({"b": 2}), json!({"a": 1, "b": 2})),
            (json!({"a": 1}), json!({"a": null}), json!({})),
            (json!({"a": {"x": 1, "y": 2}}), json!({"a": {"x": null}}), json!({"a": {"y": 2}})),
            (json!({"a": [1, 2]}), json!({"a": [3]}), json!({"a": [3]})),
            (json!({"a": 1}), json!({"a": {"x": null, "y": 2}}), json!({"a": {"y": 2}})),
            (json!({}), json!({"a": {"x": null}}), json!({"a": {}})),
            (json!({"a": {"x": 1}}), json!({"a": 2}), json!({"a": 2})),
        ] {
            assert_eq!(Value::Object(merged(&object(&current), &object(&patch))), result, "{current}");
        }
    }

    #[test]
    fn numbers_are_compared_by_their_value_and_objects_in_any_order() {
        for (a, b) in [(json!(1), json!(1.0)), (json!({"a": 1, "b": [2]}), json!({"b": [2.0], "a": 1.0}))] {
            assert!(same(&a, &b), "{a} {b}");
        }
        for (a, b) in [(json!(1), json!("1")), (json!([1, 2]), json!([2, 1])), (json!({"a": 1}), json!({"b": 1}))] {
            assert!(!same(&a, &b), "{a} {b}");
        }
        // Beyond 2^53, a double would call two integers the same.
        assert!(!same(&json!(9_007_199_254_740_993_i64), &json!(9_007_199_254_740_992_i64)));
    }

    #[test]
    fn a_path_is_read_and_set() {
        let field = object(&json!({"a": {"b": 1}}));
        let path = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(at(&field, &path("a.b")), Some(&json!(1)));
        assert_eq!((at(&field, &path("a.c")), at(&field, &path("a.b.c")), at(&field, &[])), (None, None, None));
        let mut patch = Metadata::new();
        set(&mut patch, &path("a.b"), json!(1));
        set(&mut patch, &path("a.c"), Value::Null);
        assert_eq!(Value::Object(patch), json!({"a": {"b": 1, "c": null}}));
    }
}
