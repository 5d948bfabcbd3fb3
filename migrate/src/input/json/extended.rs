//! Extended JSON of MongoDB, as values: v2 relaxed, v2 canonical and v1, which mongoexport wrote before MongoDB 4.2.
//!
//! Every form of a type gives the same value. Forms of other writers are read where they cannot mean anything else:
//! `$type` as `"4"` or `4`, an offset without a colon in `$date`, `$numberLong` without quotes. A type's key with a
//! wrong value, or with another key beside it, is an error: as a plain document it would compare unequal to every id.
//! Other keys with `$` are plain, among them DBRef's `$ref` and `$id`.
//!
//! Source: MongoDB Extended JSON specification, and mongo-tools' `common/bsonutil`.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::scan::{Kind, Node};
use crate::input::error::Fault;
use crate::input::value::{Document, Value};

const WRONG_FORM: &str = "make the export again with mongoexport, and do not edit it";

/// The value of a node.
pub(crate) fn value(node: Node<'_>) -> Result<Value, Fault> {
    if let Some(value) = typed(&node)? {
        return Ok(value);
    }
    Ok(match node.kind {
        Kind::Null => Value::Null,
        Kind::Bool(value) => Value::Bool(value),
        Kind::Number(text) => number(text),
        Kind::NotFinite(value) => Value::Double(value),
        Kind::Text(text) => Value::Text(text.into_owned()),
        Kind::Array(values) => Value::Array(values.into_iter().map(value).collect::<Result<_, _>>()?),
        Kind::Object(members) => {
            let field = |(key, node): (Cow<'_, str>, _)| Ok((key.into_owned(), value(node)?));
            Value::Document(Document::new(members.into_iter().map(field).collect::<Result<_, _>>()?))
        }
    })
}

/// A JSON number: a whole one of 64 bits, the double that a program wrote, or the text as it is.
pub(crate) fn number(text: &str) -> Value {
    let is_whole = !text.contains(['.', 'e', 'E']);
    if is_whole && text != "-0" {
        return text.parse().map_or_else(|_| Value::Decimal(text.to_owned()), Value::Int);
    }
    // Seventeen digits are the most that a double needs, so a program that writes doubles writes no more.
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    let digits = mantissa.trim_start_matches(['-', '0', '.']).bytes().filter(u8::is_ascii_digit).count();
    let is_zero = !mantissa.contains(|digit| matches!(digit, '1'..='9'));
    match text.parse::<f64>() {
        Ok(value) if digits <= 17 && value.is_finite() && (value != 0.0 || is_zero) => Value::Double(value),
        _ => Value::Decimal(text.to_owned()),
    }
}

/// The typed value that an object stands for; none for a plain document and everything else.
fn typed(node: &Node<'_>) -> Result<Option<Value>, Fault> {
    let Kind::Object(members) = &node.kind else { return Ok(None) };
    let get = |name: &str| members.iter().find(|(key, _)| key == name).map(|(_, node)| node);
    let is = |names: &[&str]| members.len() == names.len() && names.iter().all(|name| get(name).is_some());
    let text = |name: &str| get(name).and_then(text);
    let known = |(key, _): &&(Cow<'_, str>, _)| KEYS.contains(&key.as_ref());
    let Some((key, inner)) = members.iter().find(known) else { return Ok(None) };
    let other = |kind, text: &str| Some(Value::Other { kind, text: text.to_owned() });
    let value = match key.as_ref() {
        "$oid" if is(&["$oid"]) => text("$oid").and_then(object_id).map(Value::ObjectId),
        "$uuid" if is(&["$uuid"]) => text("$uuid").and_then(uuid),
        "$date" if is(&["$date"]) => date(inner).map(Value::Date),
        "$numberInt" if is(&["$numberInt"]) => whole(inner).filter(|int| i32::try_from(*int).is_ok()).map(Value::Int),
        "$numberLong" if is(&["$numberLong"]) => whole(inner).map(Value::Int),
        "$numberDouble" if is(&["$numberDouble"]) => text("$numberDouble").and_then(double).map(Value::Double),
        "$numberDecimal" if is(&["$numberDecimal"]) => {
            text("$numberDecimal").filter(|text| is_decimal(text)).map(|text| Value::Decimal(text.to_owned()))
        }
        "$binary" if is(&["$binary"]) => v2_binary(inner),
        "$binary" if is(&["$binary", "$type"]) => {
            text("$binary").zip(get("$type").and_then(subtype)).and_then(|(base64, subtype)| binary(base64, subtype))
        }
        "$regularExpression" if is(&["$regularExpression"]) => {
            let part = |name| member(inner, name).and_then(self::text);
            part("pattern").zip(part("options")).and_then(|(pattern, options)| regex(pattern, options))
        }
        "$regex" if is(&["$regex", "$options"]) => {
            text("$regex").zip(text("$options")).and_then(|(pattern, options)| regex(pattern, options))
        }
        // A query, kept as data.
        "$regex" => return Ok(None),
        "$timestamp" if is(&["$timestamp"]) => {
            let part = |name| member(inner, name).and_then(whole).and_then(|part| u32::try_from(part).ok());
            part("t").zip(part("i")).and_then(|(t, i)| other("timestamp", &format!("{t}:{i}")))
        }
        "$symbol" if is(&["$symbol"]) => text("$symbol").and_then(|text| other("symbol", text)),
        "$code" if is(&["$code"]) => text("$code").and_then(|text| other("code", text)),
        "$code" if is(&["$code", "$scope"]) => text("$code").and_then(|text| other("code with scope", text)),
        "$minKey" if is(&["$minKey"]) => other("minKey", ""),
        "$maxKey" if is(&["$maxKey"]) => other("maxKey", ""),
        "$undefined" if is(&["$undefined"]) => other("undefined", ""),
        "$dbPointer" if is(&["$dbPointer"]) => {
            member(inner, "$ref").and_then(self::text).and_then(|name| other("dbPointer", name))
        }
        _ => None,
    };
    let fault = || {
        let problem = format!("the value of `{key}` has not the form of extended JSON, or another key is beside it");
        Fault::new(node.start(), problem, WRONG_FORM)
    };
    value.map(Some).ok_or_else(fault)
}

const KEYS: [&str; 17] = [
    "$oid",
    "$uuid",
    "$date",
    "$numberInt",
    "$numberLong",
    "$numberDouble",
    "$numberDecimal",
    "$binary",
    "$regularExpression",
    "$regex",
    "$timestamp",
    "$symbol",
    "$code",
    "$minKey",
    "$maxKey",
    "$undefined",
    "$dbPointer",
];

fn text<'a>(node: &'a Node<'_>) -> Option<&'a str> {
    if let Kind::Text(text) = &node.kind { Some(text) } else { None }
}

fn member<'a, 'b>(node: &'a Node<'b>, name: &str) -> Option<&'a Node<'b>> {
    let Kind::Object(members) = &node.kind else { return None };
    members.iter().find(|(key, _)| key == name).map(|(_, node)| node)
}

/// A whole number, in quotes or not.
fn whole(node: &Node<'_>) -> Option<i64> {
    match &node.kind {
        Kind::Number(text) => text.parse().ok(),
        Kind::Text(text) if !text.starts_with('+') => text.parse().ok(),
        _ => None,
    }
}

fn double(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ if is_number(text) => text.parse().ok().filter(|value: &f64| value.is_finite()),
        _ => None,
    }
}

/// The text of a decimal number, as `12.5000`, `1E+3` or `-.5`.
pub(crate) fn is_number(text: &str) -> bool {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let mantissa = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    are_digits(whole)
        && are_digits(fraction)
        && are_digits(exponent)
        && whole.len() + fraction.len() > 0
        && !exponent.is_empty()
}

fn is_decimal(text: &str) -> bool {
    matches!(text, "NaN" | "Infinity" | "-Infinity") || is_number(text)
}

fn object_id(text: &str) -> Option<[u8; 12]> {
    if text.len() != 24 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 12];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
}

fn uuid(text: &str) -> Option<Value> {
    let is_hyphenated = text.len() == 36;
    let uuid = uuid::Uuid::try_parse(text).ok().filter(|_| is_hyphenated)?;
    Some(Value::Uuid { subtype: 4, bytes: uuid.into_bytes() })
}

/// Milliseconds; what is finer is cut.
fn date(node: &Node<'_>) -> Option<i64> {
    let text = match &node.kind {
        Kind::Text(text) => text,
        Kind::Number(text) => return text.parse().ok(),
        _ => {
            let Kind::Object(members) = &node.kind else { return None };
            return if members.len() == 1 { member(node, "$numberLong").and_then(whole) } else { None };
        }
    };
    // `+0200`, which RFC 3339 does not have.
    let with_colon = match text.len().checked_sub(5).and_then(|at| text.split_at_checked(at)) {
        Some((time, offset))
            if offset.starts_with(['+', '-']) && offset[1..].bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            format!("{time}{}:{}", &offset[..3], &offset[3..])
        }
        _ => text.to_string(),
    };
    let time = OffsetDateTime::parse(&with_colon, &Rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000_000)).ok()
}

fn v2_binary(node: &Node<'_>) -> Option<Value> {
    let Kind::Object(members) = &node.kind else { return None };
    let base64 = member(node, "base64").and_then(text)?;
    let subtype = member(node, "subType").and_then(subtype)?;
    if members.len() == 2 { binary(base64, subtype) } else { None }
}

fn binary(base64: &str, subtype: u8) -> Option<Value> {
    STANDARD.decode(base64).ok().map(|bytes| Value::binary(subtype, bytes))
}

/// Hexadecimal in a string, decimal as a number.
fn subtype(node: &Node<'_>) -> Option<u8> {
    match &node.kind {
        Kind::Text(text) if text.bytes().all(|byte| byte.is_ascii_hexdigit()) => u8::from_str_radix(text, 16).ok(),
        Kind::Number(text) => text.parse().ok(),
        _ => None,
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the callers are in chains of options")]
fn regex(pattern: &str, options: &str) -> Option<Value> {
    Some(Value::Other { kind: "regular expression", text: format!("/{pattern}/{options}") })
}
