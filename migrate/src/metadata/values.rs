//! Values of a row as JSON, so that Clerk stores them and a second run finds them unchanged.

use rollcall::core::clerk::identifications::comparable;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value as Json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::decide::Wanted;
use crate::input::{Document, Value};
use crate::mapping::Mapping;
use crate::matching::Keys;

/// What null in the source means for the metadata.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnNull {
    /// Nothing: Clerk's value stays.
    #[default]
    Leave,
    /// The key is removed.
    Remove,
}

/// Why a row cannot be used. The value itself is not named: it may be personal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("{field} is of the type {kind}, which has no form in JSON")]
    NoJson { field: String, kind: &'static str },
    #[error(
        "{field} is a UUID of subtype 3, which drivers wrote in three byte orders: export it as text, in the order of your \
         driver"
    )]
    LegacyUuid { field: String },
    #[error("{field} is of the type {kind}: {expected}")]
    WrongType { field: String, kind: &'static str, expected: &'static str },
}

/// The integers up to this one, and no more, are the same as doubles. Source: RFC 8259, section 6.
const EXACT: u64 = 1 << 53;

/// A value as JSON. Dates become RFC 3339 in UTC with milliseconds; ids of objects, UUIDs, exact decimals and integers
/// beyond ±2^53 become strings, because a double would change them and each run would differ again.
///
/// # Errors
///
/// [`Refused`] for what is not finite, binary, or MongoDB's own.
pub fn json(field: &str, value: &Value, on_null: OnNull) -> Result<Json, Refused> {
    let no_json = || Refused::NoJson { field: field.to_owned(), kind: value.kind() };
    Ok(match value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Int(value) if value.unsigned_abs() <= EXACT => Json::from(*value),
        Value::Int(value) => Json::from(value.to_string()),
        Value::Double(value) => Json::Number(Number::from_f64(*value).ok_or_else(no_json)?),
        Value::Decimal(text) if text.contains(|c: char| c.is_ascii_digit()) => Json::from(text.clone()),
        Value::Text(text) => Json::from(text.clone()),
        Value::ObjectId(bytes) => Json::from(hex(bytes)),
        Value::Uuid { subtype: 4, bytes } => Json::from(Uuid::from_bytes(*bytes).to_string()),
        Value::Uuid { .. } => return Err(Refused::LegacyUuid { field: field.to_owned() }),
        Value::Date(millis) => Json::from(date(*millis).ok_or_else(no_json)?),
        Value::Array(values) => values.iter().map(|value| json(field, value, on_null)).collect::<Result<_, _>>()?,
        // A set has no order: in one order, two runs say the same.
        Value::Set(values) => {
            let mut items: Vec<Json> =
                values.iter().map(|value| json(field, value, on_null)).collect::<Result<_, _>>()?;
            items.sort_by_key(Json::to_string);
            Json::Array(items)
        }
        Value::Document(document) => {
            let mut object = Map::new();
            for (name, value) in document.iter() {
                match json(&format!("{field}.{name}"), value, on_null)? {
                    Json::Null if on_null == OnNull::Leave => {}
                    value => {
                        object.insert(name.to_owned(), value);
                    }
                }
            }
            Json::Object(object)
        }
        Value::Decimal(_) | Value::Binary { .. } | Value::Other { .. } => return Err(no_json()),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn date(millis: i64) -> Option<String> {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000).ok()?;
    let text = time.replace_nanosecond(0).ok()?.format(&Rfc3339).ok()?;
    let whole = text.strip_suffix('Z')?;
    Some(format!("{whole}.{:03}Z", millis.rem_euclid(1000)))
}

/// What the metadata of the row's user should have.
///
/// # Errors
///
/// [`Refused`], for the first field that cannot be carried over.
pub fn wanted(row: &Document, mapping: &Mapping, on_null: OnNull) -> Result<Vec<Wanted>, Refused> {
    let mut wanted = Vec::new();
    for field in &mapping.fields {
        let Some(value) = at(row, &field.source) else { continue };
        match json(&field.source, value, on_null)? {
            Json::Null if on_null == OnNull::Leave => {}
            value => wanted.push(Wanted { path: field.target.clone(), value, replaces: field.replaces }),
        }
    }
    Ok(wanted)
}

/// What of the row names its user.
///
/// # Errors
///
/// [`Refused`] if an id is of a type that cannot be one. An address of such a type is left out: see [`address_problem`].
pub fn keys(row: &Document, mapping: &Mapping) -> Result<Keys, Refused> {
    let present = |path: &Option<String>| path.as_ref().and_then(|path| at(row, path)).map(is_yes);
    let text = |path: &String| match at(row, path) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Text(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
        Some(other) => {
            let expected = "a string is expected";
            Err(Refused::WrongType { field: path.clone(), kind: other.kind(), expected })
        }
    };
    Ok(Keys {
        legacy_id: legacy_id(row, &mapping.legacy_id)?.map(|id| id.text),
        clerk_id: mapping.clerk_id.as_ref().map(text).transpose()?.flatten(),
        address: match mapping.email.as_ref().and_then(|path| at(row, path)) {
            Some(Value::Text(address)) => comparable(address),
            _ => None,
        },
        is_address_proven: present(&mapping.email_proof).unwrap_or(false),
        is_address_shared: false,
        is_deleted: present(&mapping.deleted).unwrap_or(false),
    })
}

/// Why the address of a row cannot be one. The row is refused; its ids say nevertheless whose it is, and another row must
/// not get that user.
pub fn address_problem(row: &Document, mapping: &Mapping) -> Option<Refused> {
    let path = mapping.email.as_ref()?;
    match at(row, path) {
        None | Some(Value::Null | Value::Text(_)) => None,
        Some(other) => {
            let expected = "a string is expected";
            Some(Refused::WrongType { field: path.clone(), kind: other.kind(), expected })
        }
    }
}

/// An old id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegacyId {
    /// With its type, as references compare it: `oid:…`, `str:…`, `int:…`, `uuid:…`.
    pub typed: String,
    /// As an external id of Clerk.
    pub text: String,
}

/// The old id of a row; nothing if the row has none.
///
/// # Errors
///
/// [`Refused`] for a type that is no id.
pub fn legacy_id(row: &Document, path: &str) -> Result<Option<LegacyId>, Refused> {
    at(row, path).map_or(Ok(None), |value| {
        typed_id(value).map_err(|kind| match value {
            Value::Uuid { .. } => Refused::LegacyUuid { field: path.to_owned() },
            _ => {
                let expected = "an id is a string, an integer, an ObjectId or a UUID";
                Refused::WrongType { field: path.to_owned(), kind, expected }
            }
        })
    })
}

/// The id that a value is; nothing for null and an empty text.
///
/// # Errors
///
/// The name of a type that is no id, among them UUIDs of subtype 3, whose order of bytes nobody knows.
pub fn typed_id(value: &Value) -> Result<Option<LegacyId>, &'static str> {
    let id = |kind: &str, text: String| Ok(Some(LegacyId { typed: format!("{kind}:{text}"), text }));
    match value {
        Value::Null => Ok(None),
        Value::Text(text) if text.is_empty() => Ok(None),
        Value::Text(text) => id("str", text.clone()),
        Value::Int(value) => id("int", value.to_string()),
        Value::ObjectId(bytes) => id("oid", hex(bytes)),
        Value::Uuid { subtype: 4, bytes } => id("uuid", Uuid::from_bytes(*bytes).to_string()),
        other => Err(other.kind()),
    }
}

/// Whether a proof or a mark is there: null, false, an empty text, and the words that CSV and COPY text have for false, are
/// none.
fn is_yes(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Text(text) => {
            !matches!(text.trim().to_ascii_lowercase().as_str(), "" | "f" | "false" | "0" | "no" | "null")
        }
        Value::Int(value) => *value != 0,
        _ => true,
    }
}

/// The value at a path: the whole name first, as of a column, and then through documents.
pub(crate) fn at<'a>(row: &'a Document, path: &str) -> Option<&'a Value> {
    if let Some(value) = row.get(path) {
        return Some(value);
    }
    let (name, rest) = path.split_once('.')?;
    match row.get(name)? {
        Value::Document(inner) => at(inner, rest),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::input::{Options, open};
    use crate::mapping::Draft;

    /// A document of extended JSON.
    fn row(text: &str) -> Document {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("row.json");
        std::fs::write(&path, text).unwrap();
        open(&[path], Options::default()).unwrap().next().unwrap().unwrap().value
    }

    fn value(text: &str) -> Result<Json, Refused> {
        json("v", row(&format!(r#"{{"v":{text}}}"#)).get("v").unwrap(), OnNull::Leave)
    }

    #[test]
    fn values_become_json_that_a_second_run_finds_unchanged() {
        for (source, expected) in [
            (r#"{"$date":"2024-02-29T12:30:00.123Z"}"#, json!("2024-02-29T12:30:00.123Z")),
            (r#"{"$date":"2024-02-29T12:30:00Z"}"#, json!("2024-02-29T12:30:00.000Z")),
            (r#"{"$date":{"$numberLong":"-1"}}"#, json!("1969-12-31T23:59:59.999Z")),
            (r#"{"$oid":"65A0000000000000000000a1"}"#, json!("65a0000000000000000000a1")),
            (
                r#"{"$binary":{"base64":"AAECAwQFBgcICQoLDA0ODw==","subType":"04"}}"#,
                json!("00010203-0405-0607-0809-0a0b0c0d0e0f"),
            ),
            (r#"{"$numberDecimal":"12.5000"}"#, json!("12.5000")),
            ("9007199254740992", json!(9_007_199_254_740_992_i64)),
            ("9007199254740993", json!("9007199254740993")),
            ("-9007199254740993", json!("-9007199254740993")),
            ("18446744073709551615", json!("18446744073709551615")),
            ("1.5", json!(1.5)),
            (r#"{"a":null,"b":[1,null]}"#, json!({"b": [1, null]})),
        ] {
            assert_eq!(value(source).unwrap(), expected, "{source}");
        }
    }

    #[test]
    fn what_has_no_form_in_json_is_refused_by_its_name() {
        for (source, reason) in [
            ("NaN", "v is of the type double"),
            (r#"{"$numberDouble":"Infinity"}"#, "v is of the type double"),
            (r#"{"$numberDecimal":"NaN"}"#, "v is of the type decimal"),
            (r#"{"$binary":{"base64":"AAE=","subType":"00"}}"#, "v is of the type binary"),
            (r#"{"$binary":{"base64":"AAECAwQFBgcICQoLDA0ODw==","subType":"03"}}"#, "v is a UUID of subtype 3"),
            (r#"{"a":[{"b":NaN}]}"#, "v.a.b is of the type double"),
            (r#"{"$date":{"$numberLong":"9223372036854775807"}}"#, "v is of the type date"),
        ] {
            assert!(value(source).unwrap_err().to_string().starts_with(reason), "{source}: {:?}", value(source));
        }
    }

    fn mapping() -> Mapping {
        let text = "clerk_id = 'clerk'\nemail = 'contact.email'\nemail_proof = 'confirmed'\ndeleted = 'gone'\n\
                    [metadata]\nrole_1 = 'primary_role'\n'app.x' = 'deep.x'";
        Draft::from_toml(text).unwrap().checked(&[]).unwrap()
    }

    #[test]
    fn a_row_names_its_user_and_what_the_user_should_have() {
        let full =
            row(r#"{"_id":{"$oid":"65a0000000000000000000a1"},"clerk":"user_1","contact":{"email":" Ann@X.org "},
                "confirmed":{"$date":"2024-02-29T12:30:00Z"},"gone":null,"primary_role":"coach","deep":{"x":[1]}}"#);
        let expected = Keys {
            legacy_id: Some("65a0000000000000000000a1".into()),
            clerk_id: Some("user_1".into()),
            address: Some("ann@x.org".into()),
            is_address_proven: true,
            is_address_shared: false,
            is_deleted: false,
        };
        assert_eq!(keys(&full, &mapping()).unwrap(), expected);
        let wanted = wanted(&full, &mapping(), OnNull::Leave).unwrap();
        let paths: Vec<String> = wanted.iter().map(|wanted| wanted.path.join(".")).collect();
        assert_eq!((paths, &wanted[0].value), (vec!["app.x".into(), "role_1".into()], &json!([1])));
        let empty = row(r#"{"_id":null,"clerk":"","confirmed":"f","gone":"2024-01-01"}"#);
        assert_eq!(keys(&empty, &mapping()).unwrap(), Keys { is_deleted: true, ..Keys::default() });
        for (text, reason) in [
            (r#"{"_id":1.5}"#, "_id is of the type double: an id is"),
            (r#"{"_id":1,"clerk":7}"#, "clerk is of the type int: a string is expected"),
        ] {
            assert!(keys(&row(text), &mapping()).unwrap_err().to_string().starts_with(reason), "{text}");
        }
        let odd = row(r#"{"_id":1,"contact":{"email":["a@x.org"]}}"#);
        assert_eq!(keys(&odd, &mapping()).unwrap().address, None);
        let problem = address_problem(&odd, &mapping()).unwrap().to_string();
        assert!(problem.starts_with("contact.email is of the type array"), "{problem}");
        assert_eq!((address_problem(&empty, &mapping()), address_problem(&full, &mapping())), (None, None));
    }

    #[test]
    fn ids_of_different_types_are_different_ids() {
        let typed = |text: &str| legacy_id(&row(text), "_id").unwrap().unwrap().typed;
        let ids = [
            typed(r#"{"_id":{"$oid":"65a0000000000000000000a1"}}"#),
            typed(r#"{"_id":"65a0000000000000000000a1"}"#),
            typed(r#"{"_id":7}"#),
            typed(r#"{"_id":"7"}"#),
        ];
        assert_eq!(ids, ["oid:65a0000000000000000000a1", "str:65a0000000000000000000a1", "int:7", "str:7"]);
    }

    #[test]
    fn null_removes_only_if_asked_for() {
        let row = row(r#"{"_id":1,"primary_role":null,"deep":{"x":{"y":null,"z":1}}}"#);
        let values = |on_null| {
            wanted(&row, &mapping(), on_null).unwrap().into_iter().map(|wanted| wanted.value).collect::<Vec<_>>()
        };
        assert_eq!(values(OnNull::Leave), [json!({"z": 1})]);
        assert_eq!(values(OnNull::Remove), [json!({"y": null, "z": 1}), json!(null)]);
    }
}
