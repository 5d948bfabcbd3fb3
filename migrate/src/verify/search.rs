//! Criterion 3 for one row: ids of old users outside the listed references.
//!
//! Texts, ObjectIds and UUIDs are looked up, and the names of fields: a document may be keyed by users. The text form of an
//! ObjectId or a UUID counts, and so does a text that contains an id between other characters, as `USER#64b0…`. Integers do
//! not: any number would look like an id. Neither do texts of digits, which is what CSV makes of integers.

use uuid::Uuid;

use crate::ids::{IdMap, Owner};
use crate::input::{Document, Value};

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Exact,
    /// The same id as another type, such as the text of an ObjectId.
    OtherType,
    /// The id is a part of a text.
    Contained,
    /// The name of a field.
    Name,
}

impl Form {
    /// The name in reports.
    pub fn problem(self) -> &'static str {
        match self {
            Form::Exact => "unlisted_reference",
            Form::OtherType => "unlisted_reference_of_another_type",
            Form::Contained => "text_that_contains_an_old_id",
            Form::Name => "field_named_by_an_old_id",
        }
    }
}

/// Whether an old id is a number, so that it is looked for only at the listed references.
pub fn is_number(typed: &str) -> bool {
    typed.starts_with("int:") || typed.strip_prefix("str:").is_some_and(is_digits)
}

fn is_digits(text: &str) -> bool {
    text.parse::<i64>().is_ok()
}

/// The shortest text id that is looked for as a word of another text.
const LEAST_WORD: usize = 8;
const OBJECT_ID: usize = 24;
const UUID: usize = 36;
/// The longest name of a field in a path; a longer one is data.
const LONGEST_NAME: usize = 64;

/// Looks through a row, but for the listed values. `found` gets the path, with `[]` for indexes and `*` for names that are
/// data; the form; the old id with its type.
pub fn search(row: &Document, listed: &[&Value], map: &IdMap, found: impl FnMut(&str, Form, &str)) {
    let mut search = Search { listed, map, found, path: String::new() };
    search.document(row);
}

struct Search<'a, F> {
    listed: &'a [&'a Value],
    map: &'a IdMap,
    found: F,
    path: String,
}

impl<F: FnMut(&str, Form, &str)> Search<'_, F> {
    fn document(&mut self, document: &Document) {
        for (name, value) in document.iter() {
            let length = self.path.len();
            if length > 0 {
                self.path.push('.');
            }
            let id = self.text(name);
            self.path.push_str(if id.is_some() || is_data(name) { "*" } else { name });
            if let Some((form, id)) = id {
                let form = if form == Form::Contained { form } else { Form::Name };
                (self.found)(&self.path, form, &id);
            }
            self.value(value);
            self.path.truncate(length);
        }
    }

    fn value(&mut self, value: &Value) {
        if self.listed.iter().any(|listed| std::ptr::eq(*listed, value)) {
            return;
        }
        let found = match value {
            Value::Document(document) => return self.document(document),
            Value::Array(values) | Value::Set(values) => {
                let length = self.path.len();
                self.path.push_str("[]");
                values.iter().for_each(|value| self.value(value));
                self.path.truncate(length);
                return;
            }
            Value::Text(text) => self.text(text),
            Value::ObjectId(bytes) => {
                let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                self.either(format!("oid:{text}"), &text)
            }
            Value::Uuid { subtype: 4, bytes } => {
                let text = Uuid::from_bytes(*bytes).to_string();
                self.either(format!("uuid:{text}"), &text)
            }
            _ => None,
        };
        if let Some((form, id)) = found {
            (self.found)(&self.path, form, &id);
        }
    }

    /// An id with its type, or the same text as an id.
    fn either(&self, typed: String, text: &str) -> Option<(Form, String)> {
        let other = format!("str:{text}");
        self.known(typed).map(|id| (Form::Exact, id)).or_else(|| self.known(other).map(|id| (Form::OtherType, id)))
    }

    fn known(&self, typed: String) -> Option<String> {
        let owner = self.map.owner(&typed)?;
        // An old id that is the Clerk id of its user needs no other one.
        let is_same = matches!(&owner, Owner::User(user) if typed.strip_prefix("str:") == Some(user.as_str()));
        (!is_same).then_some(typed)
    }

    fn text(&self, text: &str) -> Option<(Form, String)> {
        if text.is_empty() || is_digits(text) {
            return None;
        }
        if let Some(id) = self.known(format!("str:{text}")) {
            return Some((Form::Exact, id));
        }
        if let Some(id) = self.written(text) {
            return Some((Form::OtherType, id));
        }
        let is_word = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-');
        let words =
            text.split(|char| !is_word(char)).filter(|word| word.len() >= LEAST_WORD && word.len() < text.len());
        let mut words = words.filter(|word| !is_digits(word)).map(|word| format!("str:{word}"));
        let id = words.find_map(|word| self.known(word)).or_else(|| {
            let uuids = text.split(|char: char| !char.is_ascii_hexdigit() && char != '-');
            let object_ids = text.split(|char: char| !char.is_ascii_hexdigit());
            uuids.chain(object_ids).find_map(|part| self.written(part))
        });
        id.map(|id| (Form::Contained, id))
    }

    /// The ObjectId or the UUID that a text is.
    fn written(&self, text: &str) -> Option<String> {
        match text.len() {
            OBJECT_ID if text.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                self.known(format!("oid:{}", text.to_ascii_lowercase()))
            }
            UUID => self.known(format!("uuid:{}", Uuid::try_parse(text).ok()?)),
            _ => None,
        }
    }
}

/// Whether the name of a field is data: a number, an address, an id. A path with it would have no end of other ones, and
/// could show what is personal.
fn is_data(name: &str) -> bool {
    name.len() > LONGEST_NAME
        || name.starts_with(|char: char| char.is_ascii_digit())
        || name.contains(|char: char| char == '@' || char.is_control())
        || Uuid::try_parse(name).is_ok()
        || (name.len() == OBJECT_ID && name.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// A path of [`Row::fields`](crate::input::Row::fields) as reports write it: `[]` for the indexes of arrays.
pub fn in_report(path: &str) -> String {
    let mut text = String::new();
    for name in path.split('.') {
        if !text.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit()) {
            text.push_str("[]");
            continue;
        }
        if !text.is_empty() {
            text.push('.');
        }
        text.push_str(if is_data(name) { "*" } else { name });
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::ids::MAP;
    use crate::input::{self, Options};

    const OID: &str = "65a0000000000000000000a1";
    const ID: &str = "0192d3a0-0000-4000-8000-00000000000a";

    fn map() -> IdMap {
        let folder = tempfile::tempdir().unwrap();
        let line = |id: &str| format!("{{\"legacy_id\":\"{id}\",\"clerk_user_id\":\"user_1\"}}\n");
        let ids =
            [&format!("oid:{OID}"), &format!("uuid:{ID}"), "str:nano-id-1", "str:ann", "int:7", "str:8", "str:user_1"];
        std::fs::write(folder.path().join(MAP), ids.map(line).concat()).unwrap();
        IdMap::read(folder.path()).unwrap()
    }

    fn found(json: &str) -> Vec<String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(json.as_bytes()).unwrap();
        let row = input::open(&[file.path()], Options::default()).unwrap().next().unwrap().unwrap();
        let (map, mut all) = (map(), Vec::new());
        let listed: Vec<&Value> = row.value.get("listed").into_iter().collect();
        search(&row.value, &listed, &map, |path, form, id| all.push(format!("{path} {form:?} {id}")));
        all
    }

    #[test]
    fn ids_are_found_at_any_depth_in_any_form() {
        let oid = format!("oid:{OID}");
        for (json, expected) in [
            (format!(r#"{{"a":{{"$oid":"{OID}"}}}}"#), format!("a Exact {oid}")),
            (format!(r#"{{"a":[{{"b":[1,{{"$oid":"{OID}"}}]}}]}}"#), format!("a[].b[] Exact {oid}")),
            (format!(r#"{{"a":"{}"}}"#, OID.to_uppercase()), format!("a OtherType {oid}")),
            (format!(r#"{{"a":"{ID}"}}"#), format!("a OtherType uuid:{ID}")),
            (format!(r#"{{"a":{{"$uuid":"{ID}"}}}}"#), format!("a Exact uuid:{ID}")),
            (r#"{"a":"ann"}"#.to_owned(), "a Exact str:ann".to_owned()),
            (format!(r#"{{"a":"USER#{OID}"}}"#), format!("a Contained {oid}")),
            (format!(r#"{{"a":"/avatars/{ID}.png"}}"#), format!("a Contained uuid:{ID}")),
            (r#"{"a":"USER#nano-id-1"}"#.to_owned(), "a Contained str:nano-id-1".to_owned()),
            (format!(r#"{{"by":{{"{OID}":{{"x":1}}}}}}"#), format!("by.* Name {oid}")),
            (format!(r#"{{"by":{{"ann@x.org":{{"$oid":"{OID}"}}}}}}"#), format!("by.* Exact {oid}")),
        ] {
            assert_eq!(found(&json), [expected], "{json}");
        }
    }

    #[test]
    fn numbers_listed_values_and_words_are_no_finding() {
        for json in [
            r#"{"a":7,"b":"7","c":"8"}"#.to_owned(),
            r#"{"a":"ask ann about it"}"#.to_owned(),
            r#"{"a":"user_1"}"#.to_owned(),
            format!(r#"{{"listed":{{"x":{{"$oid":"{OID}"}}}}}}"#),
            format!(r#"{{"a":"{OID}0"}}"#),
        ] {
            assert_eq!(found(&json), [""; 0], "{json}");
        }
        let mut numbers = ["int:7", "str:8", "str:-1"].iter();
        assert!(numbers.all(|id| is_number(id)) && !is_number("str:a8") && !is_number("oid:64"));
    }

    #[test]
    fn indexes_and_data_do_not_appear_in_a_path() {
        assert_eq!(in_report("members.2.user_id"), "members[].user_id");
        assert_eq!(in_report("a.ann@localhost.user_id"), "a.*.user_id");
    }
}
