//! The `.bson` files of mongodump: documents one after another, each with its length first (int32, little endian).
//!
//! The `bson` crate reads a document; what it does not do is done here: the end of the file is looked for before each
//! document, since the crate answers it and a file cut within a length with one error; a name that occurs twice in a
//! document is refused; and levels are bounded as in [`json`](super::json). Errors name the byte at which the document
//! begins.

use bson::RawDocument;
use bson::raw::RawBsonRef;
use bson::spec::BinarySubtype;

use super::error::InputError;
use super::json::scan::MAX_DEPTH;
use super::row::{Layout, Row};
use super::source::Source;
use super::value::{Document, Value, duplicate};

/// What MongoDB allows within itself: 16 MiB and 16 KiB. Users' documents have at most 16 MiB.
pub const MAX_DOCUMENT: usize = 16 * 1024 * 1024 + 16 * 1024;

const DUMP_AGAIN: &str =
    "dump the collection again with `mongodump --db=DB --collection=NAME`, and check it with `bsondump`";

/// Whether a file begins with a document: a length, and a type with a name. JSON text never looks so, since the
/// length's last byte is a control character there.
pub(crate) fn is_bson(head: &[u8]) -> bool {
    let Some(length) = head.first_chunk().map(|length| i32::from_le_bytes(*length)) else { return false };
    let is_length = usize::try_from(length).is_ok_and(|length| (5..=MAX_DOCUMENT).contains(&length));
    let is_type = |kind: u8| matches!(kind, 0x01..=0x13 | 0x7f | 0xff);
    match head[4..] {
        [0, ..] => length == 5,
        [kind, name, ..] => is_length && is_type(kind) && name != 0,
        _ => false,
    }
}

pub(crate) struct BsonFile {
    source: Source,
}

impl BsonFile {
    pub(crate) fn new(source: Source) -> BsonFile {
        BsonFile { source }
    }

    pub(crate) fn next(&mut self) -> Result<Option<Row>, InputError> {
        if self.source.peek()?.is_none() {
            return Ok(None);
        }
        let place = self.source.place();
        let error = |problem: String| InputError::new(place.clone(), problem, DUMP_AGAIN);
        let mut bytes = Vec::new();
        self.take(4, &mut bytes)?;
        let Some(length) = bytes.first_chunk().map(|length| i32::from_le_bytes(*length)) else {
            return Err(error("the file is cut within the length of a document".to_owned()));
        };
        let length = usize::try_from(length).ok().filter(|length| (5..=MAX_DOCUMENT).contains(length));
        let length = length.ok_or_else(|| error("the length of a document is none that MongoDB writes".to_owned()))?;
        self.take(length, &mut bytes)?;
        if bytes.len() < length {
            return Err(error(format!("the document is cut: {length} bytes are announced, {} are there", bytes.len())));
        }
        let value = RawDocument::from_bytes(&bytes).map_err(|error| error.to_string());
        let value = value
            .and_then(|raw| document(raw, 0))
            .map_err(|problem| error(format!("the document is damaged: {problem}")))?;
        Ok(Some(Row { place, before: Vec::new(), source: bytes, value, deleted: false, layout: Layout::Opaque }))
    }

    /// Takes bytes until `into` has `length`; fewer at the end of the file.
    fn take(&mut self, length: usize, into: &mut Vec<u8>) -> Result<(), InputError> {
        while into.len() < length {
            let count = self.source.chunk()?.len().min(length - into.len());
            if count == 0 {
                break;
            }
            self.source.take(count, into)?;
        }
        Ok(())
    }
}

fn document(raw: &RawDocument, depth: usize) -> Result<Document, String> {
    if depth == MAX_DEPTH {
        return Err(format!("arrays and documents are nested in more than {MAX_DEPTH} levels"));
    }
    let mut fields = Vec::new();
    for element in raw.iter() {
        let (name, raw) = element.map_err(|error| error.to_string())?;
        fields.push((name.as_str().to_owned(), value(raw, depth)?));
    }
    let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
    match duplicate(&names) {
        Some(second) => Err(format!("the field `{}` occurs twice in one document", names[second])),
        None => Ok(Document::new(fields)),
    }
}

fn value(raw: RawBsonRef<'_>, depth: usize) -> Result<Value, String> {
    let other = |kind, text: String| Value::Other { kind, text };
    Ok(match raw {
        RawBsonRef::Null => Value::Null,
        RawBsonRef::Boolean(value) => Value::Bool(value),
        RawBsonRef::Int32(value) => Value::Int(value.into()),
        RawBsonRef::Int64(value) => Value::Int(value),
        RawBsonRef::Double(value) => Value::Double(value),
        RawBsonRef::Decimal128(value) => Value::Decimal(value.to_string()),
        RawBsonRef::String(text) => Value::Text(text.to_owned()),
        RawBsonRef::ObjectId(id) => Value::ObjectId(id.bytes()),
        RawBsonRef::DateTime(time) => Value::Date(time.timestamp_millis()),
        RawBsonRef::Binary(binary) => Value::binary(subtype(binary.subtype), binary.bytes.to_vec()),
        RawBsonRef::Document(raw) => Value::Document(document(raw, depth + 1)?),
        RawBsonRef::Array(array) => {
            if depth + 1 == MAX_DEPTH {
                return Err(format!("arrays and documents are nested in more than {MAX_DEPTH} levels"));
            }
            let read = |element: Result<RawBsonRef<'_>, bson::error::Error>| match element {
                Ok(raw) => value(raw, depth + 1),
                Err(error) => Err(error.to_string()),
            };
            Value::Array(array.into_iter().map(read).collect::<Result<_, _>>()?)
        }
        RawBsonRef::RegularExpression(regex) => {
            other("regular expression", format!("/{}/{}", regex.pattern.as_str(), regex.options.as_str()))
        }
        RawBsonRef::Timestamp(timestamp) => other("timestamp", format!("{}:{}", timestamp.time, timestamp.increment)),
        RawBsonRef::Symbol(text) => other("symbol", text.to_owned()),
        RawBsonRef::JavaScriptCode(code) => other("code", code.to_owned()),
        RawBsonRef::JavaScriptCodeWithScope(code) => other("code with scope", code.code.to_owned()),
        RawBsonRef::MinKey => other("minKey", String::new()),
        RawBsonRef::MaxKey => other("maxKey", String::new()),
        RawBsonRef::Undefined => other("undefined", String::new()),
        RawBsonRef::DbPointer(_) => other("dbPointer", String::new()),
    })
}

fn subtype(subtype: BinarySubtype) -> u8 {
    subtype.into()
}
