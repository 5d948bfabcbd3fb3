//! JSON, CSV, COPY text and dumps.

use rollcall_migrate::input::{Format, Options};

use super::{Case, json, refused};
use crate::support::{csv, format, rows};

#[test]
fn documents_that_are_not_json() {
    let deep = |open: &str, count: usize| format!("{{\"a\":{}", open.repeat(count));
    refused(vec![
        json("{\"a\":1", 1, 6, "the document is cut"),
        json("{\"a\":1}\r\n{\"b\":", 2, 14, "the document is cut: a value is missing"),
        json("{", 1, 1, "the document is cut"),
        json("{\"a\":\"b", 1, 5, "a string is not closed"),
        json("[{\"a\":1},", 1, 9, "the array is cut"),
        json("[{\"a\":1}\n", 2, 9, "the array is cut"),
        json("[", 1, 1, "the array is cut"),
        json("[{\"a\":1},]", 1, 9, "`]` is where a document"),
        json("[,{\"a\":1}]", 1, 1, "`,` is where a document"),
        json("[{\"a\":1} {\"a\":2}]", 1, 9, "`{` is where a comma"),
        json("[{\"a\":1}]\n{\"a\":2}", 2, 10, "`{` is where the end of the file"),
        json("{\"a\":1},{\"a\":2}", 1, 7, "`,` is where a document"),
        json("{\"a\":1}}", 1, 7, "`}` is where a document"),
        json("{\"a\":[1}", 1, 7, "`}` is where a comma or `]`"),
        json("{\"a\":1]\n}", 1, 6, "`]` is where a comma or `}`"),
        json("[1]", 1, 1, "`1` is where a document"),
        json("{\"a\":1}\n[{\"a\":1}]", 2, 8, "`[` is where a document"),
        json("{\"a\":1}\nnull", 2, 8, "`n` is where a document"),
        json("{\"a\":1}\n\u{feff}{\"a\":2}", 2, 8, "a byte order mark"),
        json("{\u{feff}\"a\":1}", 1, 1, "a byte order mark"),
        json("{\"a\":1}\0\0", 1, 7, "the byte 0x00"),
        json("{\"a\":1,\"b\":2,\"a\":3}", 1, 13, "the key `a` occurs twice"),
        json("{\"x\":[{\"a\":1,\n\"a\":1}]}", 2, 14, "the key `a` occurs twice"),
        json("{\"a\":1,\"\\u0061\":2}", 1, 7, "the key `a` occurs twice"),
        json(b"{\"a\":\"\xe9\"}", 1, 6, "not UTF-8"),
        json(b"{\"a\":\"\xc0\xaf\"}", 1, 6, "not UTF-8"),
        json(b"{\"a\":\"\xed\xa0\x80\"}", 1, 6, "not UTF-8"),
        json(r#"{"a":"\ud800"}"#, 1, 6, "a lone surrogate"),
        json(r#"{"a":"\udc00"}"#, 1, 6, "a lone surrogate"),
        json(r#"{"a":"x\ud800\u0041"}"#, 1, 7, "a lone surrogate"),
        json(r#"{"\ud800":1}"#, 1, 2, "a lone surrogate"),
        json(r#"{"a":"\u12"}"#, 1, 6, "four hexadecimal digits"),
        json(r#"{"a":"\x41"}"#, 1, 6, "a backslash"),
        json("{\"a\":\"b\nc\"}", 1, 7, "a control character"),
        json("{\"a\":01}", 1, 6, "`1` is where a comma"),
        json("{\"a\":1.}", 1, 7, "`}` is where a digit"),
        json("{\"a\":-}", 1, 6, "`}` is where a digit"),
        json("{\"a\":1e+}", 1, 8, "`}` is where a digit"),
        json("{\"a\":.5}", 1, 5, "`.` is where a value"),
        json("{\"a\":+1}", 1, 5, "`+` is where a value"),
        json("{\"a\":0x10}", 1, 6, "`x` is where a comma"),
        json("{\"a\":NaNa}", 1, 8, "`a` is where a comma"),
        json("{\"a\":-Infinit}", 1, 6, "`I` is where a digit"),
        json("{\"a\":nul}", 1, 5, "`n` is where a value"),
        json("{\"a\":True}", 1, 5, "`T` is where a value"),
        json("{\"a\":1,}", 1, 7, "`}` is where a key"),
        json("{\"a\" 1}", 1, 5, "`1` is where a colon"),
        json("{\"a\":1 // no\n}", 1, 7, "`/` is where a comma"),
        json(format!("{}{}}}", deep("[", 128), "]".repeat(128)), 1, 132, "more than 128 levels"),
        json(deep("[", 1_000_000), 1, 132, "more than 128 levels"),
        json(deep("{\"a\":", 100_000), 1, 5 + 127 * 5, "more than 128 levels"),
        json("{a:1}", 1, 1, "output of the MongoDB shell"),
        json("{'a':1}", 1, 1, "output of the MongoDB shell"),
        json("{\"_id\":ObjectId(\"64b0000000000000000000b1\")}", 1, 7, "`ObjectId(…)` is output of the MongoDB shell"),
        json("{ \"at\" : ISODate(\"2024-02-29\") }", 1, 9, "`ISODate(…)` is output"),
        json("{ \"at\" : new Date(0) }", 1, 9, "make an export with `mongoexport"),
        json("[{ _id: ObjectId('64b0000000000000000000b1'), a: 'it}s' }", 1, 3, "output of the MongoDB shell"),
    ]);
}

#[test]
fn forms_of_extended_json_with_a_wrong_value() {
    let wrong = |text: &str, cause: &'static str| json(format!("\n{{\"v\":{text}}}"), 2, 6, cause);
    refused(vec![
        wrong(r#"{"$oid":"64b0"}"#, "`$oid`"),
        wrong(r#"{"$oid":"64b0000000000000000000bz"}"#, "`$oid`"),
        wrong(r#"{"$oid":"64b0000000000000000000b1","x":1}"#, "`$oid`"),
        wrong(r#"{"$oid":7}"#, "`$oid`"),
        wrong(r#"{"$date":"yesterday"}"#, "`$date`"),
        wrong(r#"{"$date":"2024-13-01T00:00:00Z"}"#, "`$date`"),
        wrong(r#"{"$date":"2024-02-29T00:00:00"}"#, "`$date`"),
        wrong(r#"{"$date":1.5}"#, "`$date`"),
        wrong(r#"{"$date":99999999999999999999}"#, "`$date`"),
        wrong(r#"{"$date":{"$numberLong":"1","x":1}}"#, "`$date`"),
        wrong(r#"{"$numberLong":"9223372036854775808"}"#, "`$numberLong`"),
        wrong(r#"{"$numberInt":"2147483648"}"#, "`$numberInt`"),
        wrong(r#"{"$numberDouble":"one"}"#, "`$numberDouble`"),
        wrong(r#"{"$numberDouble":"1e999"}"#, "`$numberDouble`"),
        wrong(r#"{"$numberDecimal":"12,5"}"#, "`$numberDecimal`"),
        wrong(r#"{"$binary":"%%%","$type":"00"}"#, "`$binary`"),
        wrong(r#"{"$binary":"AAAA"}"#, "`$binary`"),
        wrong(r#"{"$binary":"AAAA","$type":"100"}"#, "`$binary`"),
        wrong(r#"{"$binary":{"base64":"AAAA"}}"#, "`$binary`"),
        wrong(r#"{"$uuid":"0f8fad5b"}"#, "`$uuid`"),
        wrong(r#"{"$timestamp":{"t":-1,"i":0}}"#, "`$timestamp`"),
        wrong(r#"{"$regularExpression":{"pattern":1,"options":""}}"#, "`$regularExpression`"),
        json(r#"{"$oid":"64b0000000000000000000b1"}"#, 1, 0, "a single value of the type ObjectId"),
        json(r#"{"$numberInt":"1"}"#, 1, 0, "a single value of the type int"),
    ]);
}

#[test]
fn csv_that_is_damaged() {
    let csv = |content: &[u8], line, byte, cause| -> Case { (content.to_vec(), csv(), line, byte, cause) };
    refused(vec![
        csv(b"", 1, 0, "it has no header"),
        csv(b"\xef\xbb\xbf", 1, 3, "it has no header"),
        csv(b"a,b\n1\n", 2, 4, "the record has 1 fields, but the header has 2"),
        csv(b"a,b\n1,2,3\n", 2, 4, "the record has 3 fields"),
        csv(b"a,b\n\n1,2\n", 2, 4, "the record has 1 fields"),
        csv(b"a,b\n1,\"2\n3,4\n", 2, 6, "a quote is not closed"),
        csv(b"a,b\n1,x\"y\n", 2, 7, "a quote is in a field"),
        csv(b"a,b\n1,\"x\"y\n", 2, 9, "text follows a closing quote"),
        csv(b"a,b\n1,2\r3,4\n", 2, 8, "a carriage return"),
        csv(b"a,b\n1,\xe9\n", 2, 6, "not UTF-8"),
        csv(b"a,b\n\"\n\",\xe9\n", 3, 8, "not UTF-8"),
        csv(b"\xffa,b\n1,2\n", 1, 0, "not UTF-8"),
        csv("a;b\n1;2,3\n".as_bytes(), 2, 4, "the record has 2 fields"),
    ]);
}

#[test]
fn headers_without_a_needed_column() {
    let needs = |format| Options { columns: vec!["user_id".to_owned(), "role".to_owned()], ..self::format(format) };
    let csv = |content: &str, cause| -> Case { (content.into(), needs(Format::Csv { delimiter: b',' }), 1, 0, cause) };
    let copy = |columns: Option<Vec<String>>, content: &str, cause| -> Case {
        (content.into(), needs(Format::Copy { columns }), 1, 0, cause)
    };
    let names = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    let pg_dump = "--\nCOPY t (id, role) FROM stdin;\n\\.\n";
    refused(vec![
        csv("id,role\n", "the column `user_id` is missing; the columns are `id`, `role`"),
        csv("User_ID,role\n", "the column `user_id` is missing, and `User_ID` is another name"),
        csv("user_id, role\n", "the column `role` is missing, and ` role` is another name"),
        csv("user_id,role,user_id\n", "the column `user_id` occurs 2 times"),
        csv("user_id;role\n", "the columns are `user_id;role`"),
        copy(None, "user_id\trole\tuser_id\n", "occurs 2 times"),
        copy(None, "", "it has no header"),
        copy(names(&["user_id"]), "1\n", "the column `role` is missing"),
        (pg_dump.into(), needs(Format::PgDump { table: "t".to_owned() }), 2, 3, "the column `user_id` is missing"),
    ]);
    let repeated = rows(b"user_id,role,x,x\n1,a,2,3\n", needs(Format::Csv { delimiter: b',' })).unwrap();
    let names: Vec<&str> = repeated[0].value.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["user_id", "role"], "a repeated column that nobody needs is left out");
}

#[test]
fn copy_text_and_dumps_that_are_damaged() {
    let two = || Some(vec!["a".to_owned(), "b".to_owned()]);
    let copy = |content: &[u8], line, byte, cause| -> Case {
        (content.to_vec(), format(Format::Copy { columns: two() }), line, byte, cause)
    };
    let dump = |content: &[u8], line, byte, cause| -> Case {
        (content.to_vec(), format(Format::PgDump { table: "t".to_owned() }), line, byte, cause)
    };
    refused(vec![
        copy(b"1\t2\n3\n", 2, 4, "the line has 1 fields, but there are 2 columns"),
        copy(b"1\t2\t3\n", 1, 0, "the line has 3 fields"),
        copy(b"1\t2\n\n", 2, 4, "the line has 1 fields"),
        copy(b"1\tx\\", 1, 3, "a backslash is the last character"),
        copy(b"1\tx\ry\n", 1, 3, "a carriage return"),
        copy(b"1\t2\n3\t\xe9\n", 2, 6, "not UTF-8"),
        copy(b"1\t\\351\n", 1, 2, "the escapes of a field are not UTF-8"),
        copy(b"1\t2\n\\.\n3\t4\n", 3, 7, "data follow `\\.`"),
        copy(b"1,2\n", 1, 0, "the line has 1 fields"),
        dump(b"", 1, 0, "no rows of the table `t`; tables with rows: none"),
        dump(b"COPY u (a) FROM stdin;\n1\n\\.\n", 4, 28, "tables with rows: `u`"),
        dump(b"COPY t (a) FROM stdin;\n1\n", 3, 25, "the dump is cut"),
        dump(b"COPY t (a) FROM stdin;\n1\t2\n\\.\n", 2, 23, "the line has 2 fields"),
        dump(b"COPY t FROM stdin;\n1\n\\.\n", 1, 0, "the columns of `t` are not named"),
        dump(b"INSERT INTO public.t VALUES (1);\n", 1, 0, "the rows of `public.t` are INSERT commands"),
        dump(
            b"COPY a.t (x) FROM stdin;\n\\.\nCOPY b.t (x) FROM stdin;\n\\.\n",
            3,
            28,
            "the dump has rows of `a.t` and of `b.t`",
        ),
    ]);
}

#[test]
fn rows_that_are_too_large() {
    let limit = |format| Options { row_limit: 100, ..self::format(format) };
    let long = "x".repeat(200);
    let case = |content: String, format, line| -> Case {
        (content.into_bytes(), limit(format), line, 0, "larger than 100 bytes")
    };
    let mut cases = vec![
        case(format!("{{\"a\":1}}\n{{\"a\":\"{long}\"}}"), Format::Recognised, 2),
        case(format!("{}{{}}", " ".repeat(200)), Format::Recognised, 1),
        case(format!("a\n\"{long}\"\n"), Format::Csv { delimiter: b',' }, 2),
        case(format!("a\n{long}\n"), Format::Copy { columns: None }, 2),
        case(format!("COPY t (a) FROM stdin;\n{long}\n\\.\n"), Format::PgDump { table: "t".to_owned() }, 2),
    ];
    for (case, byte) in cases.iter_mut().zip([8, 0, 3, 2, 23]) {
        case.3 = byte;
    }
    refused(cases);
    let other = format!("COPY u (a) FROM stdin;\n{long}\n\\.\nCOPY t (a) FROM stdin;\n1\n\\.\n");
    assert_eq!(rows(other.as_bytes(), limit(Format::PgDump { table: "t".to_owned() })).unwrap().len(), 1);
}
