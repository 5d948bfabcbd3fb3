//! Reads one JSON document into a tree that knows the bytes of each value.
//!
//! serde_json does not: it refuses the bare `NaN` of mongoexport's v1 output, keeps the last of two equal keys, and
//! rounds numbers. This scanner takes RFC 8259 and, as values, `NaN`, `Infinity`, `+Infinity` and `-Infinity`. It
//! refuses a key that occurs twice, a lone surrogate, and more than [`MAX_DEPTH`] levels.

use std::borrow::Cow;
use std::ops::Range;

use crate::input::error::Fault;
use crate::input::value::{Step, duplicate};

/// Levels of arrays and objects in each other. MongoDB allows 100.
pub(crate) const MAX_DEPTH: usize = 128;

const MAKE_EXPORT: &str = "make an export with `mongoexport --db=DB --collection=NAME --out=NAME.json`";
const NOT_JSON: &str = "repair the document, or make the export again";

/// A value and where it is. Positions are `u32`, because a row with a million numbers has as many nodes.
#[derive(Debug, PartialEq)]
pub(crate) struct Node<'a> {
    start: u32,
    end: u32,
    pub(crate) kind: Kind<'a>,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Kind<'a> {
    Null,
    Bool(bool),
    /// As written.
    Number(&'a str),
    /// NaN or an infinity, without quotes.
    NotFinite(f64),
    Text(Cow<'a, str>),
    Array(Vec<Node<'a>>),
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
}

impl Node<'_> {
    pub(crate) fn span(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    pub(crate) fn start(&self) -> usize {
        self.start as usize
    }

    /// The node at these steps.
    pub(crate) fn at(&self, steps: &[Step]) -> Option<&Self> {
        steps.iter().try_fold(self, |node, step| match (&node.kind, step) {
            (Kind::Object(members), Step::Name(name)) => {
                members.iter().find(|(key, _)| key == name).map(|(_, value)| value)
            }
            (Kind::Array(values), Step::Index(index)) => values.get(*index),
            _ => None,
        })
    }
}

/// Reads a text that is one value, and nothing else but space around it.
pub(crate) fn scan(text: &[u8]) -> Result<Node<'_>, Fault> {
    let text = std::str::from_utf8(text).map_err(|error| not_utf8(error.valid_up_to()))?;
    if u32::try_from(text.len()).is_err() {
        return Err(Fault::new(0, "the document is larger than 4 GiB", NOT_JSON));
    }
    let mut scanner = Scanner { text, bytes: text.as_bytes(), at: 0, depth: 0 };
    let node = scanner.value()?;
    scanner.space();
    if scanner.at < text.len() {
        return Err(scanner.unexpected("the end of the document"));
    }
    Ok(node)
}

pub(crate) fn not_utf8(at: usize) -> Fault {
    Fault::new(at, "the bytes are not UTF-8", "convert the file with `iconv -f ENCODING -t UTF-8`, or export as UTF-8")
}

struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    depth: usize,
}

impl<'a> Scanner<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Takes a text that must be next, as `null`.
    fn word(&mut self, word: &str) -> bool {
        let is_next = self.bytes[self.at..].starts_with(word.as_bytes());
        if is_next {
            self.at += word.len();
        }
        is_next
    }

    fn value(&mut self) -> Result<Node<'a>, Fault> {
        self.space();
        let start = self.at;
        let kind = match self.peek() {
            Some(b'{') => self.nested(Self::object)?,
            Some(b'[') => self.nested(Self::array)?,
            Some(b'"') => Kind::Text(self.string()?),
            Some(b'n') if self.word("null") => Kind::Null,
            Some(b't') if self.word("true") => Kind::Bool(true),
            Some(b'f') if self.word("false") => Kind::Bool(false),
            Some(b'N') if self.word("NaN") => Kind::NotFinite(f64::NAN),
            Some(b'I' | b'+') if self.word("Infinity") || self.word("+Infinity") => Kind::NotFinite(f64::INFINITY),
            Some(b'-') if self.word("-Infinity") => Kind::NotFinite(f64::NEG_INFINITY),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => return Err(self.unexpected("a value")),
        };
        if matches!(kind, Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::NotFinite(_)) && self.is_in_word() {
            return Err(self.unexpected("a comma or a closing brace"));
        }
        Ok(Node { start: offset(start), end: offset(self.at), kind })
    }

    fn is_in_word(&self) -> bool {
        self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'+' | b'-'))
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Kind<'a>, Fault>) -> Result<Kind<'a>, Fault> {
        if self.depth == MAX_DEPTH {
            let problem = format!("arrays and objects are nested in more than {MAX_DEPTH} levels");
            return Err(Fault::new(self.at, problem, "leave this document out of the file"));
        }
        self.depth += 1;
        self.at += 1;
        let kind = read(self)?;
        self.depth -= 1;
        Ok(kind)
    }

    fn array(&mut self) -> Result<Kind<'a>, Fault> {
        let mut values = Vec::new();
        self.space();
        if self.word("]") {
            return Ok(Kind::Array(values));
        }
        loop {
            values.push(self.value()?);
            self.space();
            if self.word("]") {
                return Ok(Kind::Array(values));
            }
            if !self.word(",") {
                return Err(self.unexpected("a comma or `]`"));
            }
        }
    }

    fn object(&mut self) -> Result<Kind<'a>, Fault> {
        let (mut members, mut starts) = (Vec::new(), Vec::new());
        self.space();
        if self.word("}") {
            return Ok(Kind::Object(members));
        }
        loop {
            self.space();
            starts.push(self.at);
            if self.peek() != Some(b'"') {
                return Err(self.unexpected("a key in double quotes"));
            }
            let key = self.string()?;
            self.space();
            if !self.word(":") {
                return Err(self.unexpected("a colon"));
            }
            members.push((key, self.value()?));
            self.space();
            if self.word("}") {
                break;
            }
            if !self.word(",") {
                return Err(self.unexpected("a comma or `}`"));
            }
        }
        let keys: Vec<&str> = members.iter().map(|(key, _)| key.as_ref()).collect();
        if let Some(second) = duplicate(&keys) {
            let problem = format!("the key `{}` occurs twice in one object", keys[second]);
            return Err(Fault::new(
                starts[second],
                problem,
                "remove one of the two, because programs disagree which one counts",
            ));
        }
        Ok(Kind::Object(members))
    }

    fn number(&mut self) -> Result<Kind<'a>, Fault> {
        let start = self.at;
        self.word("-");
        if !self.word("0") {
            self.digits()?;
        }
        if self.word(".") {
            self.digits()?;
        }
        if self.word("e") || self.word("E") {
            let _ = self.word("+") || self.word("-");
            self.digits()?;
        }
        Ok(Kind::Number(&self.text[start..self.at]))
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start { Err(self.unexpected("a digit")) } else { Ok(()) }
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Fault> {
        let start = self.at;
        self.at += 1;
        let mut decoded: Option<String> = None;
        let mut plain = self.at;
        loop {
            match self.peek() {
                None => return Err(Fault::new(start, "a string is not closed", NOT_JSON)),
                Some(b'"') => {
                    let rest = &self.text[plain..self.at];
                    self.at += 1;
                    return Ok(match decoded {
                        None => Cow::Borrowed(rest),
                        Some(decoded) => Cow::Owned(decoded + rest),
                    });
                }
                Some(b'\\') => {
                    let decoded = decoded.get_or_insert_default();
                    decoded.push_str(&self.text[plain..self.at]);
                    decoded.push(self.escape()?);
                    plain = self.at;
                }
                Some(..0x20) => {
                    let problem = "a control character is in a string without a backslash";
                    return Err(Fault::new(self.at, problem, NOT_JSON));
                }
                Some(_) => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Result<char, Fault> {
        let start = self.at;
        self.at += 2;
        Ok(match self.bytes.get(start + 1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let first = self.hex(start)?;
                let code = match first {
                    0xd800..=0xdbff if self.word("\\u") => {
                        let second = self.hex(start)?;
                        if !(0xdc00..=0xdfff).contains(&second) {
                            return Err(lone_surrogate(start));
                        }
                        0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)
                    }
                    _ => first,
                };
                char::from_u32(code).ok_or_else(|| lone_surrogate(start))?
            }
            _ => return Err(Fault::new(start, "a backslash is followed by none of `\"\\/bfnrtu`", NOT_JSON)),
        })
    }

    fn hex(&mut self, start: usize) -> Result<u32, Fault> {
        let digits = self.bytes.get(self.at..self.at + 4).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let fault = || Fault::new(start, "`\\u` is not followed by four hexadecimal digits", NOT_JSON);
        let digits = digits.ok_or_else(fault)?;
        self.at += 4;
        Ok(digits.iter().fold(0, |code, digit| code * 16 + char::from(*digit).to_digit(16).unwrap_or_default()))
    }

    /// What is next is not what must be next.
    fn unexpected(&self, expected: &str) -> Fault {
        let rest = &self.text[self.at..];
        let Some(next) = rest.chars().next() else {
            return Fault::new(self.at, format!("the document is cut: {expected} is missing"), NOT_JSON);
        };
        let word: &str =
            rest.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).next().unwrap_or_default();
        let is_call = !word.is_empty() && rest[word.len()..].trim_start().starts_with('(');
        if is_call || next == '\'' || word == "new" || (expected.starts_with("a key") && !word.is_empty()) {
            let shown: String = if is_call { format!("{}(…)", short(word)) } else { next.to_string() };
            let problem = format!("`{shown}` is output of the MongoDB shell and not JSON: {expected} must be here");
            return Fault::new(self.at, problem, MAKE_EXPORT);
        }
        let shown = match next {
            '\u{feff}' => "a byte order mark".to_owned(),
            next if next.is_control() => format!("the character {:#04x}", u32::from(next)),
            next => format!("`{next}`"),
        };
        Fault::new(self.at, format!("{shown} is where {expected} must be"), NOT_JSON)
    }
}

fn short(word: &str) -> String {
    word.chars().take(20).collect()
}

fn lone_surrogate(at: usize) -> Fault {
    Fault::new(
        at,
        "a lone surrogate is not a character",
        "replace the escape in the source, for example with `\\ufffd`",
    )
}

/// Fits, because [`scan`] has looked at the length.
#[expect(clippy::cast_possible_truncation, reason = "the text has at most u32::MAX bytes")]
fn offset(at: usize) -> u32 {
    at as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_those_of_the_values() {
        let text = br#" { "a\u005fb" : [ 1.10 , NaN, {"c":"\ud83d\ude00"} ] , "d" : -Infinity } "#;
        let root = scan(text).unwrap();
        let at = |steps: &[Step]| std::str::from_utf8(&text[root.at(steps).unwrap().span()]).unwrap();
        let name = |name: &str| Step::Name(name.to_owned());
        assert_eq!(at(&[name("a_b"), Step::Index(0)]), "1.10");
        assert_eq!(at(&[name("a_b"), Step::Index(1)]), "NaN");
        assert_eq!(at(&[name("a_b"), Step::Index(2), name("c")]), r#""\ud83d\ude00""#);
        assert_eq!(at(&[name("d")]), "-Infinity");
        assert_eq!(root.at(&[name("a_b"), Step::Index(2), name("c")]).unwrap().kind, Kind::Text("😀".into()));
        assert!(root.at(&[name("none")]).is_none());
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(scan(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert_eq!(scan(nested(MAX_DEPTH + 1).as_bytes()).unwrap_err().at, MAX_DEPTH);
        assert!(scan("[".repeat(1_000_000).as_bytes()).is_err());
    }
}
