//! Documents in a JSON text: one a line, spread over lines as `mongoexport --pretty` writes them, or in one array as
//! `--jsonArray` does.
//!
//! A document ends where its braces outside strings are balanced, so lines mean nothing. Documents are read one at a
//! time; a file may be larger than memory. A byte order mark is skipped at the start and refused elsewhere: there,
//! files were joined.

pub(crate) mod extended;
pub(crate) mod scan;

use super::dynamo;
use super::error::{InputError, Place};
use super::row::{Layout, Row};
use super::source::Source;
use super::value::{Document, Value};

/// The bytes of a row, not yet read.
pub(crate) struct RawRow {
    pub(crate) place: Place,
    pub(crate) before: Vec<u8>,
    pub(crate) source: Vec<u8>,
}

/// Where the reader is in the file.
#[derive(Clone, Copy, PartialEq)]
enum State {
    Start,
    /// Documents without an array.
    Lines,
    AfterBracket,
    AfterComma,
    /// After a document of the array.
    AfterElement,
    /// After the `]`.
    Closed,
}

pub(crate) struct Documents {
    source: Source,
    state: State,
    /// What the documents are, by the first of them.
    is_dynamo: Option<bool>,
    pub(crate) after: Vec<u8>,
}

impl Documents {
    pub(crate) fn new(source: Source) -> Documents {
        Documents { source, state: State::Start, is_dynamo: None, after: Vec::new() }
    }

    /// The lines of a DynamoDB export, whatever the first of them looks like.
    pub(crate) fn exported(source: Source) -> Documents {
        Documents { is_dynamo: Some(true), ..Documents::new(source) }
    }

    /// The place after what was read.
    pub(crate) fn place(&self) -> Place {
        self.source.place()
    }

    pub(crate) fn next(&mut self) -> Result<Option<Row>, InputError> {
        let Some(raw) = self.next_raw()? else { return Ok(None) };
        let fault = |fault: super::error::Fault| fault.within(&raw.place, &raw.source);
        let node = scan::scan(&raw.source).map_err(fault)?;
        if *self.is_dynamo.get_or_insert_with(|| dynamo::is_exported(&node)) {
            let (value, deleted) = dynamo::exported(&node).map_err(fault)?;
            let RawRow { place, source, .. } = raw;
            return Ok(Some(Row { place, before: Vec::new(), source, value, deleted, layout: Layout::Opaque }));
        }
        let value = document(extended::value(node).map_err(fault)?, &raw.place)?;
        let RawRow { place, before, source } = raw;
        Ok(Some(Row { place, before, source, value, deleted: false, layout: Layout::Json }))
    }

    fn next_raw(&mut self) -> Result<Option<RawRow>, InputError> {
        let mut before = Vec::new();
        if self.state == State::Start {
            self.source.byte_order_mark(&mut before)?;
            space(&mut self.source, &mut before)?;
            self.state = State::Lines;
            if self.source.peek()? == Some(b'[') {
                self.source.take(1, &mut before)?;
                self.state = State::AfterBracket;
            }
        }
        loop {
            space(&mut self.source, &mut before)?;
            match (self.source.peek()?, self.state) {
                (None, State::AfterBracket | State::AfterComma | State::AfterElement) => {
                    return Err(self.source.error("the array is cut: `]` is missing", "make the export again"));
                }
                (None, _) => {
                    self.after = before;
                    return Ok(None);
                }
                (Some(b'{'), State::Lines | State::AfterBracket | State::AfterComma) => {
                    if self.state != State::Lines {
                        self.state = State::AfterElement;
                    }
                    let place = self.source.place();
                    let mut source = Vec::new();
                    balanced(&mut self.source, &mut source)?;
                    return Ok(Some(RawRow { place, before, source }));
                }
                (Some(b','), State::AfterElement) => {
                    self.source.take(1, &mut before)?;
                    self.state = State::AfterComma;
                }
                (Some(b']'), State::AfterBracket | State::AfterElement) => {
                    self.source.take(1, &mut before)?;
                    self.state = State::Closed;
                }
                (Some(byte), state) => {
                    let expected = match state {
                        State::AfterElement => "a comma or `]`",
                        State::Closed => "the end of the file, after the array",
                        _ => "a document, which begins with `{`,",
                    };
                    return Err(unexpected(&self.source, byte, expected));
                }
            }
        }
    }
}

/// The fields of a row's value.
pub(crate) fn document(value: Value, place: &Place) -> Result<Document, InputError> {
    match value {
        Value::Document(document) => Ok(document),
        value => {
            let problem = format!("the row is a single value of the type {} and not a document", value.kind());
            Err(InputError::new(place.clone(), problem, "give a file with one document for each user or row"))
        }
    }
}

/// Something else than a document is between documents.
pub(crate) fn unexpected(source: &Source, byte: u8, expected: &str) -> InputError {
    match byte {
        0xef | 0xfe | 0xff => source.error(
            format!("a byte order mark or a byte that is not text is where {expected} must be"),
            "files were joined: give them as several paths instead",
        ),
        byte if byte.is_ascii_graphic() => source.error(
            format!("`{}` is where {expected} must be", char::from(byte)),
            "give the output of mongoexport, NDJSON or DynamoDB JSON; CSV and COPY text are read by option",
        ),
        byte => source.error(format!("the byte {byte:#04x} is where {expected} must be"), "make the export again"),
    }
}

/// Takes JSON's white space.
pub(crate) fn space(source: &mut Source, into: &mut Vec<u8>) -> Result<(), InputError> {
    loop {
        let chunk = source.chunk()?;
        let is_space = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        let count = chunk.iter().take_while(is_space).count();
        let is_over = count < chunk.len() || chunk.is_empty();
        source.take(count, into)?;
        if is_over {
            return Ok(());
        }
    }
}

/// Takes a value that begins with a brace or a bracket, up to the one that closes it.
///
/// # Errors
/// The value is cut or too large. If its text is wrong before that, as with the shell's single quotes, the error is
/// about that.
pub(crate) fn balanced(source: &mut Source, into: &mut Vec<u8>) -> Result<(), InputError> {
    let place = source.place();
    let begin = into.len();
    let (mut depth, mut is_in_string, mut is_escaped) = (0_u64, false, false);
    loop {
        let chunk = source.chunk()?;
        let mut count = 0;
        let mut is_closed = false;
        for byte in chunk {
            count += 1;
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' if is_in_string => is_escaped = true,
                b'"' => is_in_string = !is_in_string,
                b'{' | b'[' if !is_in_string => depth += 1,
                b'}' | b']' if !is_in_string => {
                    depth -= 1;
                    if depth == 0 {
                        is_closed = true;
                        break;
                    }
                }
                _ => {}
            }
        }
        let taken = source.take(count, into);
        if count > 0 && taken.is_ok() && !is_closed {
            continue;
        }
        if is_closed {
            return taken;
        }
        let text = &into[begin..];
        let fault = scan::scan(text).err().filter(|fault| count == 0 || (fault.at + 4 < text.len() && !is_in_string));
        return Err(match (fault, taken) {
            (Some(fault), _) => fault.within(&place, text),
            (None, Err(too_large)) => too_large,
            (None, Ok(())) => source.error("the document is cut", "make the export again"),
        });
    }
}
