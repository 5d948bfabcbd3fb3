//! Typed JSON of DynamoDB: `{"S":"text"}`, `{"N":"1.5"}`, …
//!
//! Three things hold it: the lines of an export to S3 (`{"Item":{…}}`, or `Keys` and images in an incremental export),
//! the [output](scan_output) of `aws dynamodb scan`, and the [folder](export) of an export with its manifests.
//!
//! In an incremental export a deleted item has no `NewImage`. Its row is marked as deleted and its value is the key:
//! left out, the row of an earlier full export would look like one that still exists.
//!
//! Numbers are exact: whole ones of 64 bits are `Int`, others `Decimal`. An empty set does not exist in DynamoDB.

pub(crate) mod export;
pub(crate) mod scan_output;

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::error::Fault;
use super::json::extended::is_number;
use super::json::scan::{Kind, Node};
use super::value::{Document, Value};

const TYPES: [&str; 10] = ["S", "N", "B", "BOOL", "NULL", "M", "L", "SS", "NS", "BS"];
const EXPORT: &str = "export the table with `aws dynamodb export-table-to-point-in-time --export-format DYNAMODB_JSON`";

type Members<'a> = Vec<(Cow<'a, str>, Node<'a>)>;

fn members<'a, 'b>(node: &'a Node<'b>) -> Option<&'a Members<'b>> {
    if let Kind::Object(members) = &node.kind { Some(members) } else { None }
}

fn member<'a, 'b>(node: &'a Node<'b>, name: &str) -> Option<&'a Node<'b>> {
    members(node)?.iter().find(|(key, _)| key == name).map(|(_, node)| node)
}

/// Whether every value of the object is one key that names a type.
fn is_typed(node: &Node<'_>) -> bool {
    let is_typed = |node: &Node<'_>| members(node).is_some_and(|m| m.len() == 1 && TYPES.contains(&m[0].0.as_ref()));
    members(node).is_some_and(|members| members.iter().all(|(_, node)| is_typed(node)))
}

/// Whether a document is a line of an export.
pub(crate) fn is_exported(node: &Node<'_>) -> bool {
    let is_full = members(node).is_some_and(|members| members.len() == 1) && member(node, "Item").is_some_and(is_typed);
    let is_incremental = member(node, "Keys").is_some_and(is_typed) && member(node, "Metadata").is_some_and(is_typed);
    is_full || is_incremental
}

/// The item of a line of an export, and whether it was deleted.
pub(crate) fn exported(node: &Node<'_>) -> Result<(Document, bool), Fault> {
    if let Some(image) = member(node, "Item").or_else(|| member(node, "NewImage")) {
        return Ok((item(image)?, false));
    }
    match member(node, "Keys") {
        Some(keys) => Ok((item(keys)?, true)),
        None => Err(Fault::new(node.start(), "the line has neither `Item` nor `Keys`", EXPORT)),
    }
}

/// An object whose values are typed.
pub(crate) fn item(node: &Node<'_>) -> Result<Document, Fault> {
    let members =
        members(node).ok_or_else(|| Fault::new(node.start(), "an item of DynamoDB is not an object", EXPORT))?;
    let field = |(key, node): &(Cow<'_, str>, Node<'_>)| Ok((key.to_string(), value(node)?));
    Ok(Document::new(members.iter().map(field).collect::<Result<_, _>>()?))
}

fn value(node: &Node<'_>) -> Result<Value, Fault> {
    let Some([(kind, inner)]) = members(node).map(Vec::as_slice) else {
        return Err(Fault::new(
            node.start(),
            "a value is not an object with one key for its type, as `{\"S\":\"…\"}`",
            EXPORT,
        ));
    };
    let value = match (kind.as_ref(), &inner.kind) {
        ("S", Kind::Text(text)) => Some(Value::Text(text.to_string())),
        ("N", _) => number(inner),
        ("B", _) => binary(inner),
        ("BOOL", Kind::Bool(value)) => Some(Value::Bool(*value)),
        ("NULL", Kind::Bool(true)) => Some(Value::Null),
        ("M", _) => Some(Value::Document(item(inner)?)),
        ("L", Kind::Array(values)) => Some(Value::Array(values.iter().map(value).collect::<Result<_, _>>()?)),
        ("SS", Kind::Array(values)) => set(values, |node| text(node).map(|text| Value::Text(text.to_owned()))),
        ("NS", Kind::Array(values)) => set(values, number),
        ("BS", Kind::Array(values)) => set(values, binary),
        _ => None,
    };
    value.ok_or_else(|| Fault::new(node.start(), "a value has an unknown type, or not the form of its type", EXPORT))
}

fn set(values: &[Node<'_>], read: impl Fn(&Node<'_>) -> Option<Value>) -> Option<Value> {
    values.iter().map(read).collect::<Option<Vec<_>>>().filter(|values| !values.is_empty()).map(Value::Set)
}

fn text<'a>(node: &'a Node<'_>) -> Option<&'a str> {
    if let Kind::Text(text) = &node.kind { Some(text) } else { None }
}

fn number(node: &Node<'_>) -> Option<Value> {
    let text = text(node).filter(|text| is_number(text))?;
    Some(text.parse().map_or_else(|_| Value::Decimal(text.to_owned()), Value::Int))
}

fn binary(node: &Node<'_>) -> Option<Value> {
    let bytes = STANDARD.decode(text(node)?).ok()?;
    Some(Value::Binary { subtype: 0, bytes })
}
