//! BSON, gzip, and files of other programs.

use rollcall_migrate::input::{Format, Options};

use super::{Case, json, refused};
use crate::support::{csv, file, format, gzip, rows_of};

/// A document of BSON with this content.
fn bson(content: &[u8]) -> Vec<u8> {
    let length = i32::try_from(content.len() + 5).unwrap();
    [&length.to_le_bytes(), content, b"\0"].concat()
}

fn nested(levels: usize) -> Vec<u8> {
    (0..levels).fold(bson(b""), |inner, _| bson(&[b"\x03a\0", inner.as_slice()].concat()))
}

#[test]
fn bson_that_is_damaged() {
    let good = bson(b"\x10n\0\x07\0\0\0");
    let size = good.len() as u64;
    let second = |bytes: &[u8], cause| json([good.as_slice(), bytes].concat(), 1, size, cause);
    let mut unclosed = good.clone();
    *unclosed.last_mut().unwrap() = 1;
    let mut longer = good.clone();
    longer[0] += 1;
    let inner = [&bson(b"\x10n\0\x07\0\0\0")[..11], b"\x09"].concat();
    refused(vec![
        second(&good[..2], "the file is cut within the length of a document"),
        second(&good[..4], "the document is cut: 12 bytes are announced, 4 are there"),
        second(&good[..11], "the document is cut: 12 bytes are announced, 11 are there"),
        second(b"\x04\0\0\0\0", "the length of a document is none that MongoDB writes"),
        second(b"\0\0\0\0\0", "the length of a document"),
        second(b"\xff\xff\xff\xff\0", "the length of a document"),
        second(b"\0\0\0\x40\0", "the length of a document"),
        second(&unclosed, "the document is damaged"),
        second(&longer, "the document is cut"),
        second(&bson(b"\x10n\0\x07\0"), "the document is damaged"),
        second(&bson(b"\x63n\0"), "the document is damaged"),
        second(&bson(b"\x10n"), "the document is damaged"),
        second(&bson(b"\x02s\0\x02\0\0\0\xff\0"), "the document is damaged"),
        second(&bson(b"\x02s\0\xff\0\0\0a\0"), "the document is damaged"),
        second(&bson(b"\x02s\0\0\0\0\0a\0"), "the document is damaged"),
        second(&bson(b"\x08b\0\x02"), "the document is damaged"),
        second(&bson(b"\x05b\0\xff\xff\xff\xff\0"), "the document is damaged"),
        second(&bson(&[b"\x03d\0", inner.as_slice()].concat()), "the document is damaged"),
        second(&bson(b"\x0aa\0\x0ab\0\x0aa\0"), "the field `a` occurs twice"),
        second(&bson(&[b"\x03d\0", bson(b"\x0aa\0\x0aa\0").as_slice()].concat()), "the field `a` occurs twice"),
        second(&nested(128), "more than 128 levels"),
        second(&nested(50_000), "more than 128 levels"),
    ]);
    assert!(rows_of(&file("x.bson", &nested(127)).path, Options::default()).is_ok());
}

/// With the name of a BSON file the error speaks of BSON, although nothing else says that it is one.
#[test]
fn a_bson_file_whose_first_length_is_wrong_is_still_named_bson() {
    for name in ["users.bson", "users.bson.gz"] {
        let content = b"\xff\xff\xff\x7f\x02a\0";
        let content = if name.ends_with("gz") { gzip(content) } else { content.to_vec() };
        let error = rows_of(&file(name, &content).path, Options::default()).unwrap_err().to_string();
        assert!(error.contains("line 1, byte 0: the length of a document is none"), "{error}");
    }
}

#[test]
fn gzip_that_is_damaged() {
    let packed = gzip(b"{\"a\":1}\n{\"a\":2}\n");
    let two = [packed.as_slice(), &packed].concat();
    refused(vec![
        json(&packed[..packed.len() - 1], 1, 0, "the gzip data are cut"),
        json(&packed[..12], 1, 0, "the gzip data are cut"),
        json(&packed[..3], 1, 0, "the gzip data are cut"),
        json(&two[..two.len() - 4], 1, 0, "the gzip data are cut"),
        json([packed.as_slice(), b"garbage and more"].concat(), 1, 0, "the gzip data are damaged"),
        json(gzip(&packed), 1, 0, "packed by gzip twice"),
        json(gzip(b"{\"a\":1}\n{\"a\":"), 2, 13, "the document is cut"),
        (gzip(b"a,b\n1\n"), csv(), 2, 4, "the record has 1 fields"),
    ]);
    // The last eight bytes are a checksum and a length.
    for at in [1, 5, 8] {
        let mut packed = packed.clone();
        let at = packed.len() - at;
        packed[at] ^= 0x55;
        refused(vec![json(packed, 1, 0, "the gzip data are damaged")]);
    }
}

#[test]
fn files_of_other_programs_are_refused_with_what_to_do() {
    let tar = [&[b'a'; 257][..], b"ustar\0"].concat();
    let utf_16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let utf_16_be = |text: &str| text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>();
    let first = |content: &[u8], cause| json(content, 1, 0, cause);
    refused(vec![
        first(&utf_16("\u{feff}{\"a\":1}"), "UTF-16 or UTF-32; convert the file: `iconv"),
        // Its first bytes are a length and a type of BSON.
        first(&utf_16("\u{feff}{\n\"a\":1}"), "UTF-16 or UTF-32"),
        first(&utf_16("{\n\n\"a\":1}"), "UTF-16 without a byte order mark"),
        first(&utf_16_be("\u{feff}{\"a\":1}"), "UTF-16 or UTF-32"),
        first(&utf_16("{\"a\":1}"), "UTF-16 without a byte order mark"),
        first(&utf_16_be("[{\"a\":1}]"), "UTF-16 without a byte order mark"),
        first(b"\x6d\xe2\x99\x81\0\0\0\0", "an archive of mongodump; dump into a folder: `mongodump"),
        first(b"$ion_1_0 {Item:{a:1}}", "Amazon Ion; export the table with `aws dynamodb"),
        first(b"\xe0\x01\x00\xea\xee", "Amazon Ion in its binary form"),
        first(b"PGDMP\x01\x0e", "custom format; convert it with `pg_restore"),
        first(b"PGCOPY\n\xff\r\n\0\0\0\0\0", "binary format"),
        first(b"SQLite format 3\0\x10\0", "an SQLite database; export the table with `sqlite3"),
        first(b"PK\x03\x04\x14\0", "a zip archive"),
        first(b"\xd0\xcf\x11\xe0\xa1\xb1", "an old Office file"),
        first(b"PAR1\x15\x04", "Parquet"),
        first(b"Obj\x01\x04", "Avro"),
        first(b"ORC\x08\x03", "ORC"),
        first(b"ARROW1\0\0", "Arrow"),
        first(b"\x28\xb5\x2f\xfd\x04", "packed by zstd; unpack the file first"),
        first(b"\xfd7zXZ\0\0", "packed by xz"),
        first(b"BZh91AY", "packed by bzip2"),
        first(b"7z\xbc\xaf\x27\x1c\0", "a 7-Zip archive"),
        first(&tar, "a tar archive"),
        first(b"%PDF-1.7", "a PDF"),
        first(b"-- MySQL dump 10.13", "a dump of MySQL"),
        first(b"--\n-- PostgreSQL database dump\n", "the file is SQL; name the table by option"),
        first(b"INSERT INTO users VALUES (1);", "the file is SQL"),
        first(b"<!DOCTYPE html>", "XML or HTML; the download may have been an error page"),
        first(
            b"ObjectId(\"64b0000000000000000000b1\")",
            "output of the MongoDB shell; make an export with `mongoexport",
        ),
        first(b"db.users.insertMany([", "a script of the MongoDB shell"),
        first(
            b"id,email\n1,ann@example.org\n",
            "none that is recognised: no JSON, no BSON, no gzip; give the option for CSV",
        ),
        first(b"\0\0\0\0", "none that is recognised"),
        first(b"\"a\"", "none that is recognised"),
        first(&gzip(b"PAR1\x15\x04"), "Parquet"),
    ]);
    let with_option = |content: &[u8], options, cause| -> Case { (content.to_vec(), options, 1, 0, cause) };
    let copy = || format(Format::Copy { columns: None });
    refused(vec![
        with_option(&utf_16("\u{feff}a,b"), csv(), "UTF-16"),
        with_option(&utf_16("a,b\n"), csv(), "UTF-16"),
        with_option(b"PK\x03\x04\x14\0", csv(), "a zip archive"),
        with_option(b"PGCOPY\n\xff\r\n\0", copy(), "binary format"),
        with_option(&gzip(&gzip(b"a")), csv(), "packed by gzip twice"),
    ]);
}

#[test]
fn a_path_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    for (name, cause) in [("none.json", "there is no such file; check the path"), ("", "no manifest-summary.json")] {
        let error = rows_of(&folder.path().join(name), Options::default()).unwrap_err().to_string();
        assert!(error.contains("line 1, byte 0: ") && error.contains(cause), "{error}");
    }
    let error = rows_of(std::path::Path::new("/dev/null"), Options::default()).unwrap_err().to_string();
    assert!(error.contains("no regular file; save the data to a file first"), "{error}");
}
