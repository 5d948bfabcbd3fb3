//! Typed JSON of DynamoDB, the output of a scan, and the folder of an export, all damaged.

use std::fs;
use std::path::Path;

use rollcall_migrate::input::Options;

use super::{json, refused};
use crate::dynamo::{THREE, export};
use crate::support::{gzip, rows_of};

#[test]
fn items_that_are_damaged() {
    let wrong = |value: &str| {
        json(format!("{{\"Item\":{{\"a\":{{\"S\":\"x\"}}}}}}\n{{\"Item\":{{\"a\":{value}}}}}"), 2, 38, "a value ")
    };
    let unknown = "a value has an unknown type";
    refused(vec![
        wrong("1"),
        wrong("{}"),
        wrong(r#"{"S":1}"#),
        wrong(r#"{"N":1}"#),
        wrong(r#"{"N":"one"}"#),
        wrong(r#"{"B":"%"}"#),
        wrong(r#"{"BOOL":"true"}"#),
        wrong(r#"{"NULL":false}"#),
        wrong(r#"{"SS":[]}"#),
        wrong(r#"{"NS":["x"]}"#),
        wrong(r#"{"X":"y"}"#),
        wrong(r#"{"S":"x","N":"1"}"#),
        json("{\"Item\":{\"a\":{\"S\":\"x\"}}}\n{\"a\":1}", 2, 25, "neither `Item` nor `Keys`"),
        json("{\"Item\":{\"a\":{\"S\":\"x\"}}}\n{\"Item\":7}", 2, 33, "an item of DynamoDB is not an object"),
        json(r#"{"Item":{"a":{"S":["x"]}}}"#, 1, 13, unknown),
        json(r#"{"Item":{"a":{"S":"x"},"a":{"S":"x"}}}"#, 1, 23, "the key `a` occurs twice"),
    ]);
}

#[test]
fn scans_that_are_parts_or_damaged() {
    let items = r#"{"Items":[{"a":{"S":"x"}}]"#;
    let case = |end: &str, byte: u64, cause| json(format!("{items}{end}"), 1, 26 + byte, cause);
    let count = r#","Count":1"#;
    refused(vec![
        case(
            r#","Count":1,"NextToken":"eyJ"}"#,
            11,
            "a part of the table, because it has `NextToken`; run `aws dynamodb scan`",
        ),
        case(r#","Count":1,"LastEvaluatedKey":{"a":{"S":"x"}}}"#, 11, "because it has `LastEvaluatedKey`"),
        case(r#","Count":2}"#, 11, "`Count` is 2, but `Items` has 1 item"),
        case(count, 10, "the output is cut"),
        case("", 0, "the output is cut"),
        case(",", 1, "the output is cut"),
        case(r#","Items":[]}"#, 1, "the key `Items` occurs twice"),
        case("}}", 1, "the end of the file, after the output of one scan,"),
        case(r#","Count":1}{"Items":[]}"#, 11, "the end of the file, after the output of one scan,"),
        case(r#","Count":x}"#, 1, "`x` is where a value"),
        json(r#"{"Items":[{"a":{"S":"x"}}"#, 1, 25, "a comma or `]` is missing"),
        json(r#"{"Items":[{"a":{"S":"x"}} {"a":{"S":"y"}}]}"#, 1, 26, "`{` is where a comma"),
        json(r#"{"Items":[{"a":{"S":"x"}},1]}"#, 1, 26, "`1` is where an item"),
        json(r#"{"Items":[{"a":{"S":"x"}},{"a":{"S":"#, 1, 36, "the document is cut"),
        json(r#"{"Items":[{"a":{"S":"x"}},{"a":1}]}"#, 1, 31, "a value is not an object"),
    ]);
}

/// Exports that are `on_disk` or by their manifests not what was exported.
#[track_caller]
fn refused_export(change: impl Fn(&str, String) -> String, on_disk: impl Fn(&Path), expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    export(folder.path(), &THREE, change);
    on_disk(&folder.path().join("AWSDynamoDB/01693685827463-2d8752fd"));
    let error = rows_of(&folder.path().join("AWSDynamoDB"), Options::default()).unwrap_err().to_string();
    assert!(error.contains(expected) && error.contains(", line "), "expected {expected:?}: {error}");
}

#[test]
fn exports_with_manifests_that_are_wrong() {
    let cases = [
        ("-1\"", "\"", "the ETag of the file is not that of the manifest"),
        ("DYNAMODB_JSON", "ION", "the export is in Amazon Ion; export the table again"),
        ("\"outputFormat\"", "\"x\"", "`outputFormat` is not DYNAMODB_JSON"),
        ("\"itemCount\":1", "\"itemCount\":2", "manifest-summary.json, line 1, byte 0: `itemCount` is not 4"),
        (
            "\"itemCount\":2",
            "\"itemCount\":\"2\"",
            "manifest-files.json, line 1, byte 0: `itemCount` is missing or not",
        ),
        ("md5Checksum", "md5", "`md5Checksum` is missing"),
        ("dataFileS3Key", "key", "`dataFileS3Key` is missing"),
        ("data/0.json.gz", "data/../../../0", "the file `0` is missing"),
        ("}\n", "\n", "manifest-files.json, line 2"),
    ];
    for (from, to, expected) in cases {
        refused_export(|_, text| text.replace(from, to), |_| {}, expected);
    }
}

#[test]
fn exports_with_files_that_are_wrong() {
    let write = |path: &Path, content: &[u8]| fs::write(path, content).unwrap();
    let last = |export: &Path| export.join("data/2.json.gz");
    let on_disk = |change: &dyn Fn(&Path), expected: &str| refused_export(|_, text| text, change, expected);
    let missing = "manifest-files.json, line 3, byte 340: the file `2.json.gz` is missing";
    on_disk(&|export| fs::remove_file(last(export)).unwrap(), missing);
    let other = "9.json.gz, line 1, byte 0: the file is in the folder of the export, but not in manifest-files.json";
    on_disk(&|export| write(&export.join("data/9.json.gz"), b""), other);
    on_disk(&|export| write(&last(export), &fs::read(last(export)).unwrap()[..30]), "the gzip data are cut");
    let fewer = "2.json.gz, line 1, byte 0: the file has 0 items, but 1 in the manifest";
    on_disk(&|export| write(&last(export), b""), fewer);
    let item = gzip(b"{\"Item\":{\"a\":{\"S\":\"!\"}}}\n");
    on_disk(&|export| write(&last(export), &item), "the MD5 of the file is not that of the manifest");
    on_disk(&|export| write(&last(export), &gzip(b"{\"a\":1}\n")), "neither `Item` nor `Keys`");
    for manifest in ["manifest-files.json", "manifest-summary.json"] {
        on_disk(&|export| fs::remove_file(export.join(manifest)).unwrap(), "there is no such file");
    }
    let second = |export: &Path| {
        let second = export.parent().unwrap().join("2");
        fs::create_dir(&second).unwrap();
        write(&second.join("manifest-summary.json"), b"");
    };
    on_disk(&second, "the folder has 2 exports");
}
