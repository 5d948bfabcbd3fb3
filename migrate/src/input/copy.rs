//! COPY text of PostgreSQL, which is read only by option: nothing in a file says that it is COPY text.
//!
//! One record a line, fields between tabs, `\N` for NULL, backslash escapes, and `\.` on a line of its own, which may
//! end the data. The columns are named by the first line (`HEADER`) or by the operator, in the order of the COPY
//! command.
//!
//! Source: PostgreSQL's page of `COPY`, section Text Format.

use std::ops::Range;

use super::error::{Fault, InputError};
use super::header::Header;
use super::json::RawRow;
use super::json::scan::not_utf8;
use super::row::{Layout, Row};
use super::source::Source;
use super::value::Value;

const COPY_AGAIN: &str = "make the file again with `COPY table TO …` in its text format and UTF-8";

pub(crate) struct Copy {
    source: Source,
    pub(crate) header: Header,
    gap: Vec<u8>,
    is_over: bool,
    pub(crate) after: Vec<u8>,
}

impl Copy {
    /// `columns` in the order of the file; none if the first line names them.
    pub(crate) fn open(mut source: Source, columns: Option<&[String]>, needed: &[String]) -> Result<Copy, InputError> {
        let mut gap = Vec::new();
        source.byte_order_mark(&mut gap)?;
        let place = source.place();
        let names = if let Some(columns) = columns {
            columns.to_vec()
        } else {
            let advice = "name the columns by option, or make the file with `COPY … WITH (HEADER)`";
            let mut line = Vec::new();
            if source.peek()?.is_none() {
                return Err(source.error("the file is empty: it has no header", advice));
            }
            let end = line_of(&mut source, &mut line)?;
            let fields = fields(&line).map_err(|fault| fault.within(&place, &line))?;
            gap.extend(line.iter().chain(end));
            let name = |(value, _)| if let Value::Text(name) = value { name } else { "\\N".to_owned() };
            fields.into_iter().map(name).collect()
        };
        let header = Header::new(&names, needed);
        let advice = "name the columns by option in the order of the file, or make it with `COPY … WITH (HEADER)`";
        let header = header.map_err(|problem| InputError::new(place, problem, advice))?;
        Ok(Copy { source, header, gap, is_over: false, after: Vec::new() })
    }

    pub(crate) fn next(&mut self) -> Result<Option<Row>, InputError> {
        let place = self.source.place();
        let mut source = Vec::new();
        let mut end: &[u8] = b"";
        if !self.is_over && self.source.peek()?.is_some() {
            end = line_of(&mut self.source, &mut source)?;
            self.is_over = source == b"\\.";
        } else {
            self.is_over = true;
        }
        if self.is_over {
            self.after = std::mem::take(&mut self.gap);
            self.after.extend(source.iter().chain(end));
            return match self.source.peek()? {
                None => Ok(None),
                Some(_) => {
                    Err(self.source.error("data follow `\\.`, which ends them", "give each table as a file of its own"))
                }
            };
        }
        let before = std::mem::replace(&mut self.gap, end.to_vec());
        record(RawRow { place, before, source }, &self.header).map(Some)
    }
}

/// A line of COPY text as a row.
pub(crate) fn record(raw: RawRow, header: &Header) -> Result<Row, InputError> {
    let RawRow { place, before, source } = raw;
    let fields = fields(&source).map_err(|fault| fault.within(&place, &source))?;
    if fields.len() != header.len() {
        let problem = format!("the line has {} fields, but there are {} columns", fields.len(), header.len());
        return Err(InputError::new(place, problem, COPY_AGAIN));
    }
    let (value, spans) = header.document(fields);
    Ok(Row { place, before, source, value, deleted: false, layout: Layout::Columns(spans) })
}

/// Takes a line, and answers with its end: LF, CR LF, or nothing at the end of the file. A line feed after a backslash
/// is data.
pub(crate) fn line_of(source: &mut Source, into: &mut Vec<u8>) -> Result<&'static [u8], InputError> {
    loop {
        let chunk = source.chunk()?;
        let found = chunk.iter().position(|byte| *byte == b'\n');
        let count = found.unwrap_or(chunk.len());
        if found.is_none() && count == 0 {
            return Ok(b"");
        }
        source.take(count, into)?;
        if found.is_none() {
            continue;
        }
        if into.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1 {
            source.take(1, into)?;
            continue;
        }
        source.skip(1);
        // COPY writes a carriage return of the data as `\r`.
        if into.last() == Some(&b'\r') {
            into.pop();
            return Ok(b"\r\n");
        }
        return Ok(b"\n");
    }
}

/// The fields of a line, each with its bytes.
fn fields(line: &[u8]) -> Result<Vec<(Value, Range<usize>)>, Fault> {
    std::str::from_utf8(line).map_err(|error| not_utf8(error.valid_up_to()))?;
    if let Some(at) = line.iter().position(|byte| *byte == b'\r') {
        return Err(Fault::new(at, "a carriage return is in the data without a backslash", COPY_AGAIN));
    }
    let (mut fields, mut start, mut at) = (Vec::new(), 0, 0);
    loop {
        match line.get(at) {
            Some(b'\\') => at += 2,
            Some(b'\t') | None => {
                let end = at.min(line.len());
                fields.push((field(&line[start..end], start)?, start..end));
                if at >= line.len() {
                    return Ok(fields);
                }
                at += 1;
                start = at;
            }
            Some(_) => at += 1,
        }
    }
}

fn field(bytes: &[u8], start: usize) -> Result<Value, Fault> {
    if bytes == b"\\N" {
        return Ok(Value::Null);
    }
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        at += 1;
        if *byte != b'\\' {
            decoded.push(*byte);
            continue;
        }
        let fault = |problem| Fault::new(start + at - 1, problem, COPY_AGAIN);
        let escaped = *bytes.get(at).ok_or_else(|| fault("a backslash is the last character of a field"))?;
        at += 1;
        let digits = |from: usize, most: usize, radix| {
            let digits = bytes[from..].iter().take(most).map_while(|digit| char::from(*digit).to_digit(radix));
            digits.fold((0, 0_u32), |(count, code), digit| (count + 1, code * radix + digit))
        };
        decoded.push(match escaped {
            b'b' => 0x8,
            b'f' => 0xc,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 0xb,
            b'0'..=b'7' => {
                let (count, code) = digits(at - 1, 3, 8);
                at += count - 1;
                u8::try_from(code & 0xff).unwrap_or_default()
            }
            b'x' if digits(at, 2, 16).0 > 0 => {
                let (count, code) = digits(at, 2, 16);
                at += count;
                u8::try_from(code).unwrap_or_default()
            }
            other => other,
        });
    }
    let text = String::from_utf8(decoded);
    text.map(Value::Text).map_err(|_| Fault::new(start, "the escapes of a field are not UTF-8 together", COPY_AGAIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_those_of_postgresql() {
        let text = |text: &str| Value::Text(text.to_owned());
        let cases: [(&[u8], Value); 9] = [
            (b"\\N", Value::Null),
            (b"\\\\N", text("\\N")),
            (b"", text("")),
            (b"a\\tb\\nc\\rd\\\\", text("a\tb\nc\rd\\")),
            (b"\\101\\x42\\x4a!", text("ABJ!")),
            (b"\\xzz", text("xzz")),
            (b"\\q\\1a", text("q\u{1}a")),
            (b"\\303\\251", text("é")),
            ("é".as_bytes(), text("é")),
        ];
        for (bytes, expected) in cases {
            assert_eq!(field(bytes, 0).unwrap(), expected);
        }
        assert!(field(b"\\377", 0).is_err());
        assert!(field(b"\\", 0).is_err());
    }
}
