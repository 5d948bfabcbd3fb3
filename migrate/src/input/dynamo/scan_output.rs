//! The output of `aws dynamodb scan`: one object, `{"Items":[…],"Count":2,"ScannedCount":2,"ConsumedCapacity":null}`.
//!
//! Items are read one at a time, as the object may be larger than memory. `NextToken` or `LastEvaluatedKey` says that
//! the output is a part of the table: it is refused. **Both stand behind the items**, so rows come before the error:
//! read the input to its end before anything is written.

use crate::input::error::{Fault, InputError};
use crate::input::json::{balanced, scan, space, unexpected};
use crate::input::row::{Layout, Row};
use crate::input::source::Source;
use crate::words::counted;

const BEFORE_ITEMS: [&str; 4] = ["Count", "ScannedCount", "ConsumedCapacity", "ResponseMetadata"];
const WHOLE: &str =
    "run `aws dynamodb scan` without --max-items, --starting-token and --no-paginate, or export the table";

/// Whether a text begins as such an output does: `Items` is an array of typed items, with nothing but counts before it.
pub(crate) fn is_scan_output(head: &[u8]) -> bool {
    let head = head.strip_prefix("\u{feff}".as_bytes()).unwrap_or(head);
    let mut words = head.split(|byte| b" \t\r\n".contains(byte)).filter(|word| !word.is_empty()).flatten().copied();
    let begin: Vec<u8> = words.by_ref().take(400).collect();
    let Some(at) = find(&begin, b"\"Items\":[") else { return false };
    let before = String::from_utf8_lossy(&begin[..at]);
    let keys = before.strip_prefix('{').map(|before| before.split(',').filter(|member| !member.is_empty()));
    let is_count = |member: &str| BEFORE_ITEMS.iter().any(|key| member.starts_with(&format!("\"{key}\":")));
    let is_typed = |items: &[u8]| {
        let names: Vec<&[u8]> = items.splitn(5, |byte| *byte == b'"').collect();
        // {"name":{"S": and what follows
        matches!(names[..], [b"{", _, b":{", kind, _] if super::TYPES.iter().any(|known| known.as_bytes() == kind))
    };
    let items = &begin[at + b"\"Items\":[".len()..];
    keys.is_some_and(|mut keys| keys.all(is_count)) && (items.starts_with(b"],\"Count\":") || is_typed(items))
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Start,
    Member,
    Items { is_first: bool },
    End,
}

pub(crate) struct ScanOutput {
    source: Source,
    state: State,
    has_items: bool,
    count: Option<u64>,
    rows: u64,
}

impl ScanOutput {
    pub(crate) fn new(source: Source) -> ScanOutput {
        ScanOutput { source, state: State::Start, has_items: false, count: None, rows: 0 }
    }

    pub(crate) fn next(&mut self) -> Result<Option<Row>, InputError> {
        loop {
            space(&mut self.source, &mut Vec::new())?;
            match self.state {
                State::Start => {
                    self.source.byte_order_mark(&mut Vec::new())?;
                    space(&mut self.source, &mut Vec::new())?;
                    self.must(b'{', "`{`")?;
                    self.state = State::Member;
                }
                State::Member => self.member()?,
                State::Items { is_first } => {
                    if self.source.peek()? == Some(b']') {
                        self.source.skip(1);
                        self.comma_or_end()?;
                        continue;
                    }
                    if !is_first {
                        self.must(b',', "a comma or `]`")?;
                        space(&mut self.source, &mut Vec::new())?;
                    }
                    self.state = State::Items { is_first: false };
                    return self.item().map(Some);
                }
                State::End => {
                    return match self.source.peek()? {
                        None => Ok(None),
                        Some(byte) => {
                            Err(unexpected(&self.source, byte, "the end of the file, after the output of one scan,"))
                        }
                    };
                }
            }
        }
    }

    fn must(&mut self, byte: u8, expected: &str) -> Result<(), InputError> {
        match self.source.peek()? {
            Some(next) if next == byte => {
                self.source.skip(1);
                Ok(())
            }
            Some(next) => Err(unexpected(&self.source, next, expected)),
            None => Err(self.source.error(format!("the output is cut: {expected} is missing"), WHOLE)),
        }
    }

    fn item(&mut self) -> Result<Row, InputError> {
        let place = self.source.place();
        let mut source = Vec::new();
        match self.source.peek()? {
            Some(b'{') => balanced(&mut self.source, &mut source)?,
            _ => self.must(b'{', "an item, which begins with `{`,")?,
        }
        let fault = |fault: Fault| fault.within(&place, &source);
        let value = super::item(&scan::scan(&source).map_err(fault)?).map_err(fault)?;
        self.rows += 1;
        Ok(Row { place, before: Vec::new(), source, value, deleted: false, layout: Layout::Opaque })
    }

    /// One member of the object; of `Items` only what is before the first item.
    fn member(&mut self) -> Result<(), InputError> {
        let place = self.source.place();
        let key = self.scalar()?;
        space(&mut self.source, &mut Vec::new())?;
        self.must(b':', "a colon")?;
        space(&mut self.source, &mut Vec::new())?;
        match key.as_slice() {
            b"\"Items\"" => {
                if self.has_items {
                    return Err(InputError::new(place, "the key `Items` occurs twice", WHOLE));
                }
                self.has_items = true;
                self.must(b'[', "`[`")?;
                self.state = State::Items { is_first: true };
                return Ok(());
            }
            b"\"NextToken\"" | b"\"LastEvaluatedKey\"" => {
                let key = String::from_utf8_lossy(&key).trim_matches('"').to_owned();
                return Err(InputError::new(
                    place,
                    format!("the output is a part of the table, because it has `{key}`"),
                    WHOLE,
                ));
            }
            _ => {}
        }
        let mut value = Vec::new();
        match self.source.peek()? {
            Some(b'{' | b'[') => balanced(&mut self.source, &mut value)?,
            _ => value = self.scalar()?,
        }
        scan::scan(&value).map_err(|fault| fault.within(&place, &value))?;
        if key == b"\"Count\"" {
            self.count = std::str::from_utf8(&value).ok().and_then(|count| count.parse().ok());
        }
        self.comma_or_end()
    }

    /// A string, a number or a word, as written.
    fn scalar(&mut self) -> Result<Vec<u8>, InputError> {
        let mut text = Vec::new();
        let is_string = self.source.peek()? == Some(b'"');
        let mut is_escaped = false;
        while let Some(byte) = self.source.peek()? {
            if !is_string && b" \t\r\n,:}]".contains(&byte) {
                break;
            }
            self.source.take(1, &mut text)?;
            if is_string && byte == b'"' && !is_escaped && text.len() > 1 {
                break;
            }
            is_escaped = byte == b'\\' && !is_escaped;
        }
        Ok(text)
    }

    fn comma_or_end(&mut self) -> Result<(), InputError> {
        space(&mut self.source, &mut Vec::new())?;
        if self.source.peek()? == Some(b',') {
            self.source.skip(1);
            self.state = State::Member;
            return Ok(());
        }
        self.must(b'}', "a comma or `}`")?;
        self.state = State::End;
        match self.count {
            _ if !self.has_items => Err(self.source.error("the output has no `Items`", WHOLE)),
            Some(count) if count != self.rows => {
                let problem = format!("`Count` is {count}, but `Items` has {}", counted(self.rows, "item"));
                Err(self.source.error(problem, "items were lost after the scan: make the output again"))
            }
            _ => Ok(()),
        }
    }
}
