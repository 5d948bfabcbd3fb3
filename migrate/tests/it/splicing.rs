//! What `rekey` needs: the bytes of a field, and every other byte of the file as it is.

use rollcall_migrate::input::{self, Format, Options, Row};

use crate::support::{csv, file, fixture, format, rows};

/// The file, from its rows.
fn joined(content: &[u8], options: Options) -> Vec<u8> {
    let file = file("input", content);
    let mut rows = input::open(&[&file.path], options).unwrap();
    let mut joined = Vec::new();
    for row in rows.by_ref() {
        let row = row.unwrap();
        assert_eq!(row.place.byte, (joined.len() + row.before.len()) as u64);
        joined.extend([row.before, row.source].concat());
    }
    joined.extend_from_slice(rows.after());
    joined
}

fn texts(row: &Row, path: &str) -> Vec<(String, String)> {
    let text = |span: std::ops::Range<usize>| String::from_utf8(row.source[span].to_vec()).unwrap();
    row.fields(path).unwrap().into_iter().map(|field| (field.path, text(field.span.unwrap()))).collect()
}

/// Scenario 8, its first row: nothing but the insertion differs.
#[test]
fn a_field_is_inserted_and_every_other_byte_stays() {
    let text = r#"{ "_id" : { "$oid" : "65a0000000000000000000a1" }, "user_id" : { "$oid" : "64b0000000000000000000b1" }, "n" : 1.10, "r" : NaN }"#;
    let row = rows(text.as_bytes(), Options::default()).unwrap().remove(0);
    let fields = row.fields("user_id").unwrap();
    let end = fields[0].span.clone().unwrap().end;
    let mut spliced = row.source.clone();
    spliced.splice(end..end, *br#","clerk_user_id":"user_1""#);
    let expected =
        text.replace(r#""64b0000000000000000000b1" }"#, r#""64b0000000000000000000b1" },"clerk_user_id":"user_1""#);
    assert_eq!(String::from_utf8(spliced).unwrap(), expected);
}

#[test]
fn fields_are_found_through_documents_arrays_and_escaped_keys() {
    let text = r#"{"user\u005fid":1e5,"members":[{"id":"a"},{"id": "b" },3,{"no":1}],"é":{"x":{"$oid":"64b0000000000000000000b1"}}}"#;
    let row = rows(text.as_bytes(), Options::default()).unwrap().remove(0);
    let pair = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    assert_eq!(texts(&row, "user_id"), [pair("user_id", "1e5")]);
    assert_eq!(texts(&row, "members.id"), [pair("members.0.id", "\"a\""), pair("members.1.id", "\"b\"")]);
    assert_eq!(texts(&row, "members.1.id"), [pair("members.1.id", "\"b\"")]);
    assert_eq!(texts(&row, "é.x"), [pair("é.x", r#"{"$oid":"64b0000000000000000000b1"}"#)]);
    assert_eq!(texts(&row, "é.x.$oid"), []);
    assert_eq!(texts(&row, "none"), []);
}

#[test]
fn a_column_is_found_with_its_quotes() {
    let row = rows(b"id,\"a.b\",c\r\n1,\"x \"\"y\"\"\",\r\n", csv()).unwrap().remove(0);
    assert_eq!(texts(&row, "a.b"), [("a.b".to_owned(), r#""x ""y""""#.to_owned())]);
    assert_eq!(texts(&row, "c"), [("c".to_owned(), String::new())]);
    assert_eq!(texts(&row, "a"), []);
}

#[test]
fn the_rows_of_a_file_are_the_file_byte_for_byte() {
    let array = b"\xef\xbb\xbf [ {\"a\":1} ,\r\n{\"a\":[{}]}\t] \n";
    for text in [&array[..], b"\n{\"a\":1}\r\n\r\n{\"a\":NaN} {}", b" [ ] ", b""] {
        assert_eq!(joined(text, Options::default()), text);
    }
    for text in [&b"a,b\n1,\"x\ny\"\r\n,\"\"\n"[..], b"\xef\xbb\xbfa\n1", b"a\n"] {
        assert_eq!(joined(text, csv()), text);
    }
    let copy = |columns: Option<&str>| format(Format::Copy { columns: columns.map(|name| vec![name.to_owned()]) });
    for text in [&b"a\n1\\\n2\r\n\\N\n\\.\n"[..], b"a\n1", b"\xef\xbb\xbfa\r\n"] {
        assert_eq!(joined(text, copy(None)), text);
        assert_eq!(joined(text, copy(Some("a"))), text);
    }
    for name in ["relaxed.json", "canonical.json", "v1.json", "array.json", "pretty.json", "pretty-array.json"] {
        let text = std::fs::read(fixture(&format!("mongo/{name}"))).unwrap();
        assert_eq!(joined(&text, Options::default()), text, "{name}");
    }
    let text = std::fs::read(fixture("postgres/users.csv")).unwrap();
    assert_eq!(joined(&text, csv()), text);
    let text = std::fs::read(fixture("postgres/users-header.copy")).unwrap();
    assert_eq!(joined(&text, copy(None)), text);
}
