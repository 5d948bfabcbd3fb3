//! What a file is, by its first bytes.
//!
//! BSON and JSON are recognised; CSV and COPY text cannot be, so they are read by option. What is something else is
//! refused with the command that makes an export.

use super::bson_file::is_bson;

/// What is recognised without an option.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Content {
    /// Documents of JSON, of whatever dialect, or nothing.
    Json,
    Bson,
}

/// Why a file is refused, and what to do.
pub(crate) type Refusal = (String, &'static str);

const CSV: &str = "save the table as CSV in UTF-8 and give the option for CSV";
const UNPACK: &str = "unpack the file first; only gzip is unpacked here";
const DUMP_FOLDER: &str =
    "dump into a folder: `mongodump --db=DB --collection=NAME --out=FOLDER`, and give its NAME.bson";
const COPY: &str = "make a file of the table with `\\copy (SELECT …) TO 'NAME.csv' WITH (FORMAT csv, HEADER)`";
const PG_DUMP: &str = "name the table by option; the dump must be plain and without --inserts";
const UTF_8: &str = "convert the file: `iconv -f UTF-16 -t UTF-8`";
const DYNAMODB_JSON: &str =
    "export the table with `aws dynamodb export-table-to-point-in-time --export-format DYNAMODB_JSON`";
const MONGOEXPORT: &str = "make an export with `mongoexport --db=DB --collection=NAME --out=NAME.json`";
const SQLITE: &str = "export the table with `sqlite3 -csv -header FILE 'SELECT …'` and give the option for CSV";

/// First bytes, the name of what begins so, and what to do.
const SIGNS: [(&[u8], &str, &str); 27] = [
    (&[0x6d, 0xe2, 0x99, 0x81], "an archive of mongodump", DUMP_FOLDER),
    (
        b"PGDMP\x01",
        "a dump of pg_dump in its custom format",
        "convert it with `pg_restore --data-only --file=NAME.sql DUMP`, and name the table by option",
    ),
    (b"PGCOPY\n\xff\r\n\0", "COPY data in PostgreSQL's binary format", COPY),
    (b"$ion_", "Amazon Ion", DYNAMODB_JSON),
    (&[0xe0, 0x01, 0x00, 0xea], "Amazon Ion in its binary form", DYNAMODB_JSON),
    (b"SQLite format 3\0", "an SQLite database", SQLITE),
    (b"PK\x03\x04", "a zip archive, which spreadsheets (.xlsx, .ods) are as well", CSV),
    (b"PK\x05\x06", "an empty zip archive", UNPACK),
    (&[0xd0, 0xcf, 0x11, 0xe0], "an old Office file (.xls)", CSV),
    (b"PAR1", "Parquet", CSV),
    (b"ORC", "ORC", CSV),
    (b"Obj\x01", "Avro", CSV),
    (b"ARROW1", "Arrow", CSV),
    (&[0x28, 0xb5, 0x2f, 0xfd], "packed by zstd", UNPACK),
    (&[0xfd, b'7', b'z', b'X', b'Z', 0], "packed by xz", UNPACK),
    (b"BZh", "packed by bzip2", UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", UNPACK),
    (&[0x04, 0x22, 0x4d, 0x18], "packed by lz4", UNPACK),
    (b"Rar!", "a RAR archive", UNPACK),
    (b"%PDF", "a PDF", "export the data instead of a report"),
    (b"-- MySQL dump", "a dump of MySQL", "make a CSV of the table, and give the option for CSV"),
    (b"-- MariaDB dump", "a dump of MariaDB", "make a CSV of the table, and give the option for CSV"),
    (b"<", "XML or HTML", "the download may have been an error page: look into the file; export as JSON or CSV"),
    (b"ObjectId(", "output of the MongoDB shell", MONGOEXPORT),
    (b"'", "output of the MongoDB shell", MONGOEXPORT),
    (b"db.", "a script of the MongoDB shell", MONGOEXPORT),
    (b"\\.", "COPY text of PostgreSQL", "give the option for COPY text"),
];

pub(crate) fn is_gzip(head: &[u8]) -> bool {
    head.starts_with(&[0x1f, 0x8b, 0x08])
}

/// What is refused whatever the options say.
pub(crate) fn refused(head: &[u8]) -> Option<Refusal> {
    if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
        return Some(("the file is UTF-16 or UTF-32".to_owned(), UTF_8));
    }
    if head.len() >= 4
        && (matches!(head[..4], [0, a, 0, b] | [a, 0, b, 0] if a.is_ascii() && a > 8 && b.is_ascii() && b > 8))
    {
        return Some(("the file is UTF-16 without a byte order mark".to_owned(), UTF_8));
    }
    if head.get(257..262) == Some(b"ustar") {
        return Some(("the file is a tar archive".to_owned(), UNPACK));
    }
    if is_gzip(head) {
        return Some(("the file is packed by gzip twice".to_owned(), UNPACK));
    }
    let binary = SIGNS.iter().find(|(sign, ..)| head.starts_with(sign) && !is_text(sign));
    binary.map(|(_, name, advice)| (format!("the file is {name}"), *advice))
}

/// A sign that is text: with an option for CSV or COPY text, the name of a column may begin so.
fn is_text(sign: &[u8]) -> bool {
    sign.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ')
}

/// Recognises a file, read without an option. `is_named_bson` only makes the error of a damaged file say so.
pub(crate) fn recognise(head: &[u8], is_named_bson: bool) -> Result<Content, Refusal> {
    if is_bson(head) || (is_named_bson && refused(head).is_none()) {
        return Ok(Content::Bson);
    }
    if let Some(refusal) = refused(head) {
        return Err(refusal);
    }
    let text = head.strip_prefix("\u{feff}".as_bytes()).unwrap_or(head).trim_ascii_start();
    if matches!(text.first(), None | Some(b'{' | b'[')) {
        return Ok(Content::Json);
    }
    if let Some((_, name, advice)) = SIGNS.iter().find(|(sign, ..)| text.starts_with(sign)) {
        return Err((format!("the file is {name}"), advice));
    }
    let is_sql = ["--", "/*", "SET ", "INSERT ", "COPY ", "BEGIN", "CREATE ", "\\restrict"];
    if is_sql.iter().any(|word| text.starts_with(word.as_bytes())) {
        return Err(("the file is SQL".to_owned(), PG_DUMP));
    }
    let problem = "the file is none that is recognised: no JSON, no BSON, no gzip";
    Err((
        problem.to_owned(),
        "give the option for CSV or COPY text if it is that; else make an export with mongoexport",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_that_looks_like_another_sign_is_still_bson() {
        let document = |length: u32| [&length.to_le_bytes()[..], b"\x07_id\0"].concat();
        // 123 is `{`, 91 is `[`, 65279 is the byte order mark of UTF-16.
        for length in [91, 123, 65_279] {
            assert_eq!(recognise(&document(length), false), Ok(Content::Bson), "{length}");
        }
        assert_eq!(recognise(b"\x05\0\0\0\0", false), Ok(Content::Bson));
        assert_eq!(recognise(b"{\"a\":1}", false), Ok(Content::Json));
        assert_eq!(recognise(b"", false), Ok(Content::Json));
    }
}
