//! New fields between the bytes of a row: nothing else changes. Removing them again gives the row as it was.

use std::ops::Range;

use super::decide::{Decision, Spot};
use crate::references::{Reference, Users};

/// Bytes that were put into a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Insertion {
    /// Where they begin in the new text.
    pub at: u64,
    pub length: u64,
    /// What they stand in the place of: nothing, or a null.
    pub removed: Vec<u8>,
}

/// A text with its insertions, in their order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Spliced {
    pub bytes: Vec<u8>,
    pub insertions: Vec<Insertion>,
}

/// How a file of records is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    Csv { delimiter: u8 },
    Copy,
}

/// Puts new fields into a JSON document, each behind the value of its reference.
pub fn json(source: &[u8], decision: &Decision, references: &[Reference]) -> Spliced {
    let edit = |field: &super::decide::NewField| match &field.spot {
        Spot::After(at) => {
            let name = text(&references[field.reference].target);
            Some((*at..*at, format!(",{name}:{}", ids(&field.users)).into_bytes()))
        }
        Spot::Instead(span) => Some((span.clone(), ids(&field.users).into_bytes())),
        Spot::Same | Spot::Nowhere => None,
    };
    apply(source, decision.fields.iter().filter_map(edit).collect())
}

/// Puts new columns behind a record; `added` are the references whose columns are new. A column of a reference that
/// leads to no user is null.
pub fn record(source: &[u8], decision: &Decision, added: &[usize], syntax: Syntax) -> Spliced {
    let value = |users: &Users| match users {
        Users::One(user) => syntax.field(user.as_str()),
        Users::Several(_) => syntax.null().to_vec(),
    };
    let mut edits: Vec<(Range<usize>, Vec<u8>)> = Vec::new();
    for field in &decision.fields {
        if let Spot::Instead(span) = &field.spot {
            edits.push((span.clone(), value(&field.users)));
        }
    }
    let mut columns = Vec::new();
    for number in added {
        columns.push(syntax.delimiter());
        let field = decision.fields.iter().find(|field| field.reference == *number);
        columns.extend(field.map_or_else(|| syntax.null().to_vec(), |field| value(&field.users)));
    }
    if !columns.is_empty() {
        edits.push((source.len()..source.len(), columns));
    }
    apply(source, edits)
}

/// Puts the names of new columns behind those of a header. `head` may have a byte order mark before it, and after it
/// what is before the first record.
pub fn header<'a>(head: &[u8], added: impl Iterator<Item = &'a str>, syntax: Syntax) -> Spliced {
    let mut columns = Vec::new();
    for name in added {
        columns.push(syntax.delimiter());
        columns.extend(syntax.field(name));
    }
    let end = syntax.header_end(head);
    let edits = if columns.is_empty() { Vec::new() } else { vec![(end..end, columns)] };
    apply(head, edits)
}

fn apply(source: &[u8], mut edits: Vec<(Range<usize>, Vec<u8>)>) -> Spliced {
    edits.sort_by_key(|(span, _)| (span.start, span.end));
    let (mut spliced, mut done) = (Spliced::default(), 0);
    for (span, new) in edits {
        spliced.bytes.extend_from_slice(&source[done..span.start]);
        spliced.insertions.push(Insertion {
            at: spliced.bytes.len() as u64,
            length: new.len() as u64,
            removed: source[span.clone()].to_vec(),
        });
        spliced.bytes.extend(new);
        done = span.end;
    }
    spliced.bytes.extend_from_slice(&source[done..]);
    spliced
}

/// The text before the insertions; nothing if they are not within the text, or overlap.
pub fn restored(bytes: &[u8], insertions: &[Insertion]) -> Option<Vec<u8>> {
    let (mut source, mut done) = (Vec::new(), 0);
    for insertion in insertions {
        let at = usize::try_from(insertion.at).ok()?;
        source.extend_from_slice(bytes.get(done..at)?);
        source.extend_from_slice(&insertion.removed);
        done = at.checked_add(usize::try_from(insertion.length).ok()?)?;
    }
    source.extend_from_slice(bytes.get(done..)?);
    Some(source)
}

/// A JSON string.
pub(crate) fn text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A user's id, or an array of ids, as JSON.
pub(crate) fn ids(users: &Users) -> String {
    match users {
        Users::One(user) => text(user.as_str()),
        Users::Several(users) => {
            format!("[{}]", users.iter().map(|user| text(user.as_str())).collect::<Vec<_>>().join(","))
        }
    }
}

impl Syntax {
    fn delimiter(self) -> u8 {
        match self {
            Syntax::Csv { delimiter } => delimiter,
            Syntax::Copy => b'\t',
        }
    }

    fn null(self) -> &'static [u8] {
        match self {
            Syntax::Csv { .. } => b"",
            Syntax::Copy => b"\\N",
        }
    }

    /// A text as a field: quoted or escaped where it must be.
    pub(crate) fn field(self, text: &str) -> Vec<u8> {
        match self {
            Syntax::Csv { delimiter } => {
                let is_plain = |byte: u8| byte != delimiter && !matches!(byte, b'"' | b'\r' | b'\n' | b' ');
                // An empty field is null; `\.` alone on a line would end the data for PostgreSQL.
                if !text.is_empty() && text != "\\." && text.bytes().all(is_plain) {
                    return text.into();
                }
                format!("\"{}\"", text.replace('"', "\"\"")).into_bytes()
            }
            Syntax::Copy => {
                let escaped = |c: char| match c {
                    '\\' => "\\\\".to_owned(),
                    '\u{8}' => "\\b".to_owned(),
                    '\u{b}' => "\\v".to_owned(),
                    '\u{c}' => "\\f".to_owned(),
                    '\n' => "\\n".to_owned(),
                    '\r' => "\\r".to_owned(),
                    '\t' => "\\t".to_owned(),
                    other => other.to_string(),
                };
                text.chars().map(escaped).collect::<String>().into_bytes()
            }
        }
    }

    /// Where the header ends, without its line end.
    fn header_end(self, head: &[u8]) -> usize {
        let (mut is_quoted, mut is_escaped) = (false, false);
        for (at, byte) in head.iter().enumerate() {
            match (self, byte) {
                (Syntax::Csv { .. }, b'"') => is_quoted = !is_quoted,
                (Syntax::Copy, b'\\') => {
                    is_escaped = !is_escaped;
                    continue;
                }
                (_, b'\n') if !is_quoted && !is_escaped => {
                    return if at > 0 && head[at - 1] == b'\r' { at - 1 } else { at };
                }
                _ => {}
            }
            is_escaped = false;
        }
        head.len()
    }

    /// The header with its line end.
    pub(crate) fn header_of(self, head: &[u8]) -> &[u8] {
        let end = self.header_end(head);
        let line_end = head[end..].iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        &head[..end + line_end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CSV: Syntax = Syntax::Csv { delimiter: b',' };

    #[test]
    fn names_are_quoted_or_escaped_where_they_must_be() {
        for (text, csv, copy) in [
            ("user_1", "user_1", "user_1"),
            ("a,b", "\"a,b\"", "a,b"),
            ("a \"b\"", "\"a \"\"b\"\"\"", "a \"b\""),
            ("a\tb\\\n", "\"a\tb\\\n\"", "a\\tb\\\\\\n"),
            ("", "\"\"", ""),
            ("\\.", "\"\\.\"", "\\\\."),
        ] {
            assert_eq!(String::from_utf8(CSV.field(text)).unwrap(), csv);
            assert_eq!(String::from_utf8(Syntax::Copy.field(text)).unwrap(), copy);
        }
        assert_eq!(Syntax::Csv { delimiter: b';' }.field("a;b"), b"\"a;b\"");
    }

    #[test]
    fn a_header_ends_before_its_line_end() {
        let name = || std::iter::once("c");
        for (syntax, head, expected) in [
            (CSV, "a,b\n", "a,b,c\n"),
            (CSV, "\u{feff}a,\"x\n\"\"y\"\r\n", "\u{feff}a,\"x\n\"\"y\",c\r\n"),
            (CSV, "a", "a,c"),
            (Syntax::Copy, "a\tb\r\n", "a\tb\tc\r\n"),
            (Syntax::Copy, "a\\\nb\n\\.\n", "a\\\nb\tc\n\\.\n"),
            (Syntax::Copy, "a\\\\\n", "a\\\\\tc\n"),
        ] {
            let spliced = header(head.as_bytes(), name(), syntax);
            assert_eq!(String::from_utf8(spliced.bytes.clone()).unwrap(), expected);
            assert_eq!(restored(&spliced.bytes, &spliced.insertions).unwrap(), head.as_bytes());
        }
        assert_eq!(CSV.header_of(b"a,\"\n\"\r\n1,2\n"), b"a,\"\n\"\r\n");
    }

    #[test]
    fn what_was_not_inserted_cannot_be_removed() {
        let spliced = apply(b"null and nothing", vec![(16..16, b"!".to_vec()), (0..4, b"one".to_vec())]);
        assert_eq!(spliced.bytes, b"one and nothing!");
        assert_eq!(restored(&spliced.bytes, &spliced.insertions).unwrap(), b"null and nothing");
        assert_eq!(restored(b"one", &spliced.insertions), None);
    }
}
