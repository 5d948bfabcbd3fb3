//! The values of a record in Profiles that its owner writes: their limits, their form in DynamoDB, and merge patches.

use serde_json::{Map, Number, Value};

/// The maximum size of a record, in bytes of its JSON text. Every call of ensure-profile reads the record.
pub const MAX_BYTES: usize = 16 * 1024;
/// The maximum number of nested levels of a record. The record itself is the first level.
pub const MAX_DEPTH: usize = 16;
/// The maximum number of fields of a record.
pub const MAX_FIELDS: usize = 100;
/// The maximum length of a field's name, in bytes.
const MAX_NAME: usize = 255;
/// The largest whole number: JavaScript changes numbers above 2^53.
const MAX_WHOLE: u64 = 1 << 53;

/// Why a value is rejected: DynamoDB or JavaScript cannot represent it, or it exceeds a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unstorable {
    /// The place of the value: a JSON pointer (RFC 6901); empty for the whole record.
    pub pointer: String,
    pub reason: Reason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The value is nested deeper than [`MAX_DEPTH`].
    Depth,
    /// The number is a whole number beyond 2^53, or has no short decimal form. A later read would return another value.
    Number,
    /// The name of a member is empty or too long.
    Name,
    /// The record has more than [`MAX_FIELDS`] fields.
    Fields,
    /// The record is longer than [`MAX_BYTES`].
    Size,
    /// The caller may not write the field.
    NotWritable,
    /// The field contains values that JSON does not have, so that a part of the field cannot be changed alone.
    NotJson,
}

/// The values as DynamoDB returns them: `1.0` becomes `1`, `-0.0` becomes `0`.
///
/// # Errors
///
/// [`Unstorable`], the first value that cannot be stored.
pub fn normalized(fields: Map<String, Value>) -> Result<Map<String, Value>, Unstorable> {
    let mut pointer = String::new();
    match value(Value::Object(fields), 1, &mut pointer)? {
        Value::Object(fields) => Ok(fields),
        other => unreachable!("an object stays an object: {other:?}"),
    }
}

fn value(given: Value, depth: usize, pointer: &mut String) -> Result<Value, Unstorable> {
    let unstorable = |pointer: &str, reason| Err(Unstorable { pointer: pointer.to_owned(), reason });
    match given {
        Value::Object(_) | Value::Array(_) if depth > MAX_DEPTH => unstorable(pointer, Reason::Depth),
        Value::Object(map) => {
            let mut normal = Map::new();
            for (name, member) in map {
                let length = pointer.len();
                push(pointer, &name);
                if name.is_empty() || name.len() > MAX_NAME {
                    return unstorable(pointer, Reason::Name);
                }
                let member = value(member, depth + 1, pointer)?;
                pointer.truncate(length);
                normal.insert(name, member);
            }
            Ok(Value::Object(normal))
        }
        Value::Array(values) => {
            let mut normal = Vec::with_capacity(values.len());
            for (at, element) in values.into_iter().enumerate() {
                let length = pointer.len();
                push(pointer, &at.to_string());
                normal.push(value(element, depth + 1, pointer)?);
                pointer.truncate(length);
            }
            Ok(Value::Array(normal))
        }
        Value::Number(given) => match number(&given) {
            Some(number) => Ok(Value::Number(number)),
            None => unstorable(pointer, Reason::Number),
        },
        other => Ok(other),
    }
}

/// The number as DynamoDB returns it. `None` if DynamoDB would return another value or a text.
fn number(given: &Number) -> Option<Number> {
    if let Some(whole) = given.as_i64() {
        return (whole.unsigned_abs() <= MAX_WHOLE).then(|| whole.into());
    }
    let double = given.as_f64()?;
    if double.fract() == 0.0 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            reason = "the bound is checked before"
        )]
        return (double.abs() <= MAX_WHOLE as f64).then(|| (double as i64).into());
    }
    // DynamoDB returns digits without an exponent. It would return a number whose JSON text has an exponent as a text.
    let number = Number::from_f64(double)?;
    (number.to_string() == double.to_string()).then_some(number)
}

/// Adds a reference token to a JSON pointer (RFC 6901, section 4).
pub(super) fn push(pointer: &mut String, name: &str) {
    pointer.push('/');
    pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
}

/// Applies a merge patch (RFC 7396): members that are null are removed, objects are merged, everything else is replaced.
pub fn merged(target: Value, patch: Value) -> Value {
    let Value::Object(patch) = patch else { return patch };
    let mut fields = if let Value::Object(fields) = target { fields } else { Map::new() };
    for (name, change) in patch {
        if change.is_null() {
            fields.remove(&name);
        } else {
            let old = fields.remove(&name).unwrap_or_default();
            fields.insert(name, merged(old, change));
        }
    }
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(value: Value) -> Map<String, Value> {
        if let Value::Object(fields) = value { fields } else { panic!("{value} is no object") }
    }

    fn nested(levels: usize) -> Value {
        (1..levels).fold(json!({}), |inner, _| json!({ "a": inner }))
    }

    #[test]
    fn values_are_as_dynamodb_returns_them() {
        let given = json!({ "a": 1.0, "b": -0.0, "c": 1e3, "d": [2.50, { "e": null }], "f": "", "g": 9_007_199_254_740_992_u64 });
        let stored =
            json!({ "a": 1, "b": 0, "c": 1000, "d": [2.5, { "e": null }], "f": "", "g": 9_007_199_254_740_992_u64 });
        let normal = Value::Object(normalized(fields(given)).unwrap());
        assert_eq!(normal.to_string(), stored.to_string());
    }

    #[test]
    fn what_would_come_back_as_another_value_is_refused_by_its_place() {
        for (given, pointer, reason) in [
            (json!({ "a": 9_007_199_254_740_993_u64 }), "/a", Reason::Number),
            (json!({ "a": -9_007_199_254_740_993_i64 }), "/a", Reason::Number),
            (json!({ "a": u64::MAX }), "/a", Reason::Number),
            (json!({ "a": [1, { "b/c": 1e30 }] }), "/a/1/b~1c", Reason::Number),
            (json!({ "a": 1e-7 }), "/a", Reason::Number),
            (json!({ "a": 5e-324 }), "/a", Reason::Number),
            (json!({ "a": { "": 1 } }), "/a/", Reason::Name),
            (json!({ "": 1 }), "/", Reason::Name),
            (json!({ "x~y": { "n".repeat(256): 1 } }), &format!("/x~0y/{}", "n".repeat(256)), Reason::Name),
        ] {
            let unstorable = normalized(fields(given.clone())).unwrap_err();
            assert_eq!((unstorable.pointer.as_str(), unstorable.reason), (pointer, reason), "{given}");
        }
        assert!(normalized(fields(nested(MAX_DEPTH))).is_ok());
        let deep = normalized(fields(nested(MAX_DEPTH + 1))).unwrap_err();
        assert_eq!((deep.pointer, deep.reason), ("/a".repeat(MAX_DEPTH), Reason::Depth));
    }

    /// The vectors of RFC 7396, appendix A.
    #[test]
    fn merge_patches_are_applied_as_the_rfc_says() {
        for (target, patch, result) in [
            (json!({ "a": "b" }), json!({ "a": "c" }), json!({ "a": "c" })),
            (json!({ "a": "b" }), json!({ "b": "c" }), json!({ "a": "b", "b": "c" })),
            (json!({ "a": "b" }), json!({ "a": null }), json!({})),
            (json!({ "a": "b", "b": "c" }), json!({ "a": null }), json!({ "b": "c" })),
            (json!({ "a": ["b"] }), json!({ "a": "c" }), json!({ "a": "c" })),
            (json!({ "a": "c" }), json!({ "a": ["b"] }), json!({ "a": ["b"] })),
            (json!({ "a": { "b": "c" } }), json!({ "a": { "b": "d", "c": null } }), json!({ "a": { "b": "d" } })),
            (json!({ "a": [{ "b": "c" }] }), json!({ "a": [1] }), json!({ "a": [1] })),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({ "a": "b" }), json!(["c"]), json!(["c"])),
            (json!({ "a": "foo" }), json!(null), json!(null)),
            (json!({ "a": "foo" }), json!("bar"), json!("bar")),
            (json!({ "e": null }), json!({ "a": 1 }), json!({ "e": null, "a": 1 })),
            (json!([1, 2]), json!({ "a": "b", "c": null }), json!({ "a": "b" })),
            (json!({}), json!({ "a": { "bb": { "ccc": null } } }), json!({ "a": { "bb": {} } })),
        ] {
            assert_eq!(merged(target.clone(), patch.clone()), result, "{target} {patch}");
        }
    }
}
