//! JSON bodies, read without the meaning that serde_json gives to some names.
//!
//! With the feature `raw_value`, which `lambda_http` switches on, serde_json's `Value` parses the text below the name
//! `$serde_json::private::RawValue` as JSON of its own. In the body of a stranger that name is a name like every other one.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The object in a body; nothing if the body is no JSON object, or if a name occurs twice in one object.
pub fn object(body: &[u8]) -> Option<Map<String, Value>> {
    match serde_json::from_slice::<Plain>(body) {
        Ok(Plain(Value::Object(fields))) => Some(fields),
        _ => None,
    }
}

struct Plain(Value);

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Plain, D::Error> {
        deserializer.deserialize_any(PlainVisitor).map(Plain)
    }
}

struct PlainVisitor;

impl<'de> Visitor<'de> for PlainVisitor {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(Plain(value)) = values.next_element()? {
            all.push(value);
        }
        Ok(all.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut all = Map::new();
        while let Some((name, Plain(value))) = members.next_entry::<String, Plain>()? {
            if all.insert(name, value).is_some() {
                return Err(A::Error::custom("a name occurs twice"));
            }
        }
        Ok(all.into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_of_serde_json_is_a_name_like_every_other_one() {
        for name in ["$serde_json::private::RawValue", "$serde_json::private::Number"] {
            let body = json!({ "a": { name: "{\"b\":[1,2]}" }, name: "1" });
            assert_eq!(object(body.to_string().as_bytes()).map(Value::Object), Some(body), "{name}");
        }
    }

    #[test]
    fn a_body_is_read_as_json_writes_it() {
        let body = r#"{"a":[true,null,-1,2.5,1e3,18446744073709551615,"ä\u0000"],"b":{"":{}}}"#;
        assert_eq!(object(body.as_bytes()), serde_json::from_str(body).ok());
        for body in [
            "",
            "[]",
            "1",
            "{\"a\":1,\"a\":2}",
            "{\"a\":{\"b\":1,\"b\":1}}",
            "{\"a\":1e400}",
            "{} {}",
            "{\"a\":\"\\ud800\"}",
        ] {
            assert_eq!(object(body.as_bytes()), None, "{body}");
        }
        assert_eq!(object(b"{\"a\":\"\xff\"}"), None);
    }
}
