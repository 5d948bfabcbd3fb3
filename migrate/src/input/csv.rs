//! CSV, which is read only by option: nothing in a file says that it is CSV.
//!
//! RFC 4180, as PostgreSQL writes it with `COPY … WITH (FORMAT csv, HEADER)`: a header first, `"` as quote, doubled
//! within quotes, line feeds within quotes, lines ending in LF or CR LF. **An unquoted empty field is NULL, `""` is the
//! empty string.** The `csv` crate answers both with an empty field, so this reader is our own; `csv` is the second
//! opinion of its tests.
//!
//! mongoexport's `--type=csv` can be read, but has no NULL, and nested values are texts: `--type=json` is better.
//!
//! Refused: a quote within an unquoted field, text after a closing quote, a carriage return alone, and a record with
//! another number of fields than the header.

use std::borrow::Cow;
use std::ops::Range;

use super::error::{Fault, InputError};
use super::header::Header;
use super::json::RawRow;
use super::json::scan::not_utf8;
use super::row::{Layout, Row};
use super::source::Source;
use super::value::Value;

const QUOTE: &str = "export as `COPY … TO … WITH (FORMAT csv, HEADER)`, or name the delimiter";

pub(crate) struct Csv {
    source: Source,
    pub(crate) delimiter: u8,
    pub(crate) header: Header,
    /// The header, or the end of the line before the next record.
    gap: Vec<u8>,
    pub(crate) after: Vec<u8>,
}

struct Record {
    raw: RawRow,
    fields: Vec<Range<usize>>,
}

impl Csv {
    /// Reads the header.
    pub(crate) fn open(mut source: Source, delimiter: u8, needed: &[String]) -> Result<Csv, InputError> {
        let mut gap = Vec::new();
        source.byte_order_mark(&mut gap)?;
        let mut csv = Csv { source, delimiter, header: Header::default(), gap, after: Vec::new() };
        let advice = "give a file whose first line names the columns: `COPY … WITH (FORMAT csv, HEADER)`";
        let Some(Record { mut raw, fields }) = csv.record()? else {
            return Err(csv.source.error("the file is empty: it has no header", advice));
        };
        let text = text(&raw)?;
        let names: Vec<String> = fields.iter().map(|field| unquoted(&text[field.clone()]).into_owned()).collect();
        let other = "name a column of the file with the option (--legacy-id, --id, --reference or a field of the mapping), \
                     or give a file whose first line names the columns: `COPY … WITH (FORMAT csv, HEADER)`";
        csv.header =
            Header::new(&names, needed).map_err(|problem| InputError::new(raw.place.clone(), problem, other))?;
        let mut before = std::mem::take(&mut raw.before);
        before.append(&mut raw.source);
        before.append(&mut csv.gap);
        csv.gap = before;
        Ok(csv)
    }

    pub(crate) fn next(&mut self) -> Result<Option<Row>, InputError> {
        let Some(Record { raw, fields }) = self.record()? else {
            self.after = std::mem::take(&mut self.gap);
            return Ok(None);
        };
        let text = text(&raw)?;
        if fields.len() != self.header.len() {
            let problem = format!("the record has {} fields, but the header has {}", fields.len(), self.header.len());
            return Err(InputError::new(
                raw.place,
                problem,
                "repair this line; look for a delimiter or a line end without quotes",
            ));
        }
        let field = |span: Range<usize>| match &text[span.clone()] {
            "" => (Value::Null, span),
            field => (Value::Text(unquoted(field).into_owned()), span),
        };
        let (value, spans) = self.header.document(fields.into_iter().map(field).collect());
        let RawRow { place, before, source } = raw;
        Ok(Some(Row { place, before, source, value, deleted: false, layout: Layout::Columns(spans) }))
    }

    /// The next record, and where its fields are, with their quotes. Its line end goes to the gap.
    fn record(&mut self) -> Result<Option<Record>, InputError> {
        if self.source.peek()?.is_none() {
            return Ok(None);
        }
        let place = self.source.place();
        let before = std::mem::take(&mut self.gap);
        let (mut source, mut fields) = (Vec::new(), Vec::new());
        loop {
            let start = source.len();
            if self.source.peek()? == Some(b'"') {
                self.quoted(&mut source)?;
            } else {
                self.unquoted(&mut source)?;
            }
            fields.push(start..source.len());
            match self.source.peek()? {
                Some(b'\r') => {
                    self.source.take(1, &mut self.gap)?;
                    if self.source.peek()? != Some(b'\n') {
                        return Err(self.source.error("a carriage return without a line feed ends a field", QUOTE));
                    }
                    self.source.take(1, &mut self.gap)?;
                }
                Some(b'\n') => self.source.take(1, &mut self.gap)?,
                Some(byte) if byte == self.delimiter => {
                    self.source.take(1, &mut source)?;
                    continue;
                }
                Some(_) => return Err(self.source.error("text follows a closing quote", QUOTE)),
                None => {}
            }
            return Ok(Some(Record { raw: RawRow { place, before, source }, fields }));
        }
    }

    fn quoted(&mut self, into: &mut Vec<u8>) -> Result<(), InputError> {
        let opened = self.source.place();
        self.source.take(1, into)?;
        loop {
            let chunk = self.source.chunk()?;
            let Some(count) = chunk.iter().position(|byte| *byte == b'"') else {
                let count = chunk.len();
                if count == 0 {
                    return Err(InputError::new(opened, "a quote is not closed before the end of the file", QUOTE));
                }
                self.source.take(count, into)?;
                continue;
            };
            self.source.take(count + 1, into)?;
            if self.source.peek()? != Some(b'"') {
                return Ok(());
            }
            self.source.take(1, into)?;
        }
    }

    fn unquoted(&mut self, into: &mut Vec<u8>) -> Result<(), InputError> {
        loop {
            let delimiter = self.delimiter;
            let chunk = self.source.chunk()?;
            let is_end = |byte: &u8| *byte == delimiter || matches!(byte, b'\n' | b'\r' | b'"');
            let count = chunk.iter().position(is_end);
            let (taken, next) = (count.unwrap_or(chunk.len()), count.map(|at| chunk[at]));
            self.source.take(taken, into)?;
            match next {
                Some(b'"') => {
                    return Err(self.source.error("a quote is in a field that does not begin with one", QUOTE));
                }
                None if taken > 0 => {}
                _ => return Ok(()),
            }
        }
    }
}

fn text(raw: &RawRow) -> Result<&str, InputError> {
    std::str::from_utf8(&raw.source)
        .map_err(|error| not_utf8(error.valid_up_to()))
        .map_err(|fault: Fault| fault.within(&raw.place, &raw.source))
}

fn unquoted(field: &str) -> Cow<'_, str> {
    match field.strip_prefix('"').and_then(|field| field.strip_suffix('"')) {
        Some(field) if field.contains('"') => field.replace("\"\"", "\"").into(),
        Some(field) => field.into(),
        None => field.into(),
    }
}
