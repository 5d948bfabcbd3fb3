//! Parses JSON field by field and ignores fields that cannot be read.
//!
//! A JSON text may contain values that Rust's types do not have: deeper nesting than the parser allows, a number beyond
//! a double, half a surrogate pair, a value of another type. Such a value can always be skipped, so each field is first
//! taken as raw text and then parsed separately.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A field that counts as absent if it cannot be read.
pub(in crate::core) fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(
    raw: D,
) -> Result<T, D::Error> {
    let raw = Box::<RawValue>::deserialize(raw)?;
    Ok(serde_json::from_str(raw.get()).unwrap_or_default())
}

/// A list without the entries that cannot be read; empty if the value is not a list.
pub(in crate::core) fn each<'de, D: Deserializer<'de>, T: DeserializeOwned>(raw: D) -> Result<Vec<T>, D::Error> {
    let entries: Vec<Box<RawValue>> = lenient(raw)?;
    Ok(entries.iter().filter_map(|entry| serde_json::from_str(entry.get()).ok()).collect())
}

/// Passes the fields of a JSON object to `see` in their order, as far as the text can be read; none if it is not an
/// object.
pub(in crate::core) fn glimpse(json: &str, see: impl FnMut(&str, &str)) {
    struct Fields<F>(F);

    impl<'de, F: FnMut(&str, &str)> Visitor<'de> for Fields<F> {
        type Value = ();

        fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str("an object")
        }

        fn visit_map<M: MapAccess<'de>>(mut self, mut fields: M) -> Result<(), M::Error> {
            while let Some(Name(name)) = fields.next_key()? {
                let value: Box<RawValue> = fields.next_value()?;
                (self.0)(&name, value.get());
            }
            Ok(())
        }
    }

    // The fields before the error have been passed on.
    let _ = serde_json::Deserializer::from_str(json).deserialize_map(Fields(see));
}

/// The name of a field. Unlike a `String` it may contain half a surrogate pair.
struct Name<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(name: D) -> Result<Name<'de>, D::Error> {
        struct Bytes;

        impl<'de> Visitor<'de> for Bytes {
            type Value = Name<'de>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a name")
            }

            fn visit_borrowed_bytes<E>(self, name: &'de [u8]) -> Result<Name<'de>, E> {
                Ok(Name(String::from_utf8_lossy(name)))
            }

            fn visit_bytes<E>(self, name: &[u8]) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(String::from_utf8_lossy(name).into_owned())))
            }
        }

        name.deserialize_bytes(Bytes)
    }
}

/// The string with this name in a JSON object; if the name occurs several times, the last one, as in all parsers.
pub(in crate::core) fn text(json: &str, name: &str) -> Option<String> {
    let mut found = None;
    glimpse(json, |field, value| {
        if field == name {
            found = Some(value.to_owned());
        }
    });
    serde_json::from_str(&found?).ok()
}

/// A JSON text without the white space between its parts, so that equal contents are equal texts.
pub(in crate::core) fn compact(json: &str) -> String {
    let (mut compact, mut in_string, mut is_escaped) = (String::with_capacity(json.len()), false, false);
    for char in json.chars() {
        if in_string {
            in_string = is_escaped || char != '"';
            is_escaped = !is_escaped && char == '\\';
        } else if char.is_ascii_whitespace() {
            continue;
        } else {
            in_string = char == '"';
        }
        compact.push(char);
    }
    compact
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_seen_as_far_as_it_can_be_read() {
        for (json, seen) in [
            (r#"{"id":"a","n":1e400,"s":"\ud800","\ud800":1,"last":"z"}"#, vec!["id", "n", "s", "\u{fffd}", "last"]),
            (r#"{"id":"a","other":tru"#, vec!["id"]),
            (r#"{"id":"a","#, vec!["id"]),
            ("[1]", vec![]),
            ("", vec![]),
        ] {
            let mut names = Vec::new();
            glimpse(json, |name, _| names.push(name.replace("\u{fffd}\u{fffd}\u{fffd}", "\u{fffd}")));
            assert_eq!(names, seen, "{json}");
        }
        assert_eq!(text(r#"{"role":7}"#, "role"), None);
        assert_eq!(text(r#"{"x":{"role":"a"},"role":"b","role":"c"}"#, "role"), Some("c".to_owned()));
    }

    #[test]
    fn only_white_space_between_the_parts_goes() {
        let laid_out = "{ \"a b\" : [ 1 ,\n\t\"c \\\" d \\\\\" , \"e\" ] }";
        assert_eq!(compact(laid_out), r#"{"a b":[1,"c \" d \\","e"]}"#);
    }
}
