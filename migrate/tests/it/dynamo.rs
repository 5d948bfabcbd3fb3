//! What DynamoDB writes: lines and folders of exports, and the output of a scan. No file of AWS itself is here: the
//! shapes are those of its guide.

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use rollcall_migrate::input::{Options, Row, Value};

use crate::support::{gzip, rows, rows_of};

#[test]
fn items_are_read_with_their_types() {
    let item = r#"{"id":{"S":"u1"},"n":{"N":"7"},"d":{"N":"1.1"},"big":{"N":"123456789012345678901234567890"},"b":{"B":"aGk="},"t":{"BOOL":true},
        "z":{"NULL":true},"m":{"M":{"x":{"L":[{"S":"y"}]}}},"ss":{"SS":["a","b"]},"ns":{"NS":["1","2.5"]},"bs":{"BS":["aGk="]}}"#;
    let full = rows(format!("{{\"Item\":{item}}}\n{{\"Item\":{{}}}}\n").as_bytes(), Options::default()).unwrap();
    assert_eq!(full.len(), 2);
    let get = |name: &str| full[0].value.get(name).unwrap().clone();
    let text = |text: &str| Value::Text(text.to_owned());
    let bytes = Value::Binary { subtype: 0, bytes: b"hi".to_vec() };
    assert_eq!(get("id"), text("u1"));
    assert_eq!(get("n"), Value::Int(7));
    assert_eq!(get("d"), Value::Decimal("1.1".to_owned()));
    assert_eq!(get("big"), Value::Decimal("123456789012345678901234567890".to_owned()));
    assert_eq!((get("b"), get("t"), get("z")), (bytes.clone(), Value::Bool(true), Value::Null));
    assert_eq!(get("ss"), Value::Set(vec![text("a"), text("b")]));
    assert_eq!(get("ns"), Value::Set(vec![Value::Int(1), Value::Decimal("2.5".to_owned())]));
    assert_eq!(get("bs"), Value::Set(vec![bytes]));
    assert_eq!(full[0].fields("m.x").unwrap()[0].span, None);

    let scan = format!(
        "{{\n \"Items\": [\n {item}\n, {{}}], \"Count\": 2, \"ScannedCount\": 9, \"ConsumedCapacity\": null\n}}\n"
    );
    let scanned = rows(scan.as_bytes(), Options::default()).unwrap();
    let values = |rows: &[Row]| rows.iter().map(|row| row.value.clone()).collect::<Vec<_>>();
    assert_eq!(values(&scanned), values(&full));
    assert_eq!(scanned[0].source, item.as_bytes());
    let escapes = br#"{"Count":1,"Items":[{"a":{"S":"x"}}],"X":"\\","Y":"\"}","Z":{"\"":[]}}"#;
    assert_eq!(rows(escapes, Options::default()).unwrap().len(), 1);
    let none = br#"{"Items": [], "Count": 0, "ScannedCount": 0}"#;
    assert_eq!(rows(none, Options::default()).unwrap(), []);
}

#[test]
fn a_deletion_in_an_incremental_export_is_marked_and_has_the_key() {
    let time = r#""Metadata":{"WriteTimestampMicros":{"N":"1680109764000000"}},"Keys":{"pk":{"S":"u1"}}"#;
    let text = format!(
        "{{{time},\"NewImage\":{{\"pk\":{{\"S\":\"u1\"}},\"n\":{{\"N\":\"1\"}}}}}}\n{{{time},\"OldImage\":{{\"pk\":{{\"S\":\"u1\"}},\"n\":{{\"N\":\"1\"}}}}}}\n"
    );
    let rows = rows(text.as_bytes(), Options::default()).unwrap();
    assert_eq!(rows.iter().map(|row| (row.deleted, row.value.len())).collect::<Vec<_>>(), [(false, 2), (true, 1)]);
}

#[test]
fn documents_that_only_resemble_dynamodb_stay_documents() {
    for text in [
        r#"{"Item":{"name":"x"}}"#,
        r#"{"Items":[{"sku":"x"}],"Count":1}"#,
        r#"{"Items":[{"a":{"b":1}}]}"#,
        r#"{"Count":1}"#,
    ] {
        let rows = rows(text.as_bytes(), Options::default()).unwrap();
        assert_eq!((rows.len(), rows[0].source.as_slice()), (1, text.as_bytes()));
    }
}

/// The folder of an export with a file of these lines for each.
pub(crate) fn export(folder: &Path, files: &[&str], change: impl Fn(&str, String) -> String) {
    let export = folder.join("AWSDynamoDB/01693685827463-2d8752fd");
    fs::create_dir_all(export.join("data")).unwrap();
    let (mut lines, mut items) = (String::new(), 0);
    for (index, file) in files.iter().enumerate() {
        let packed = if file.is_empty() { Vec::new() } else { gzip(file.as_bytes()) };
        fs::write(export.join(format!("data/{index}.json.gz")), &packed).unwrap();
        let digest = Md5::digest(&packed);
        let etag: String = Md5::digest(digest).iter().map(|byte| format!("{byte:02x}")).collect();
        let (count, md5) = (file.lines().count(), STANDARD.encode(digest));
        items += count;
        lines += &format!(
            "{{\"itemCount\":{count},\"md5Checksum\":\"{md5}\",\"etag\":\"{etag}-1\",\"dataFileS3Key\":\"AWSDynamoDB/01693685827463-2d8752fd/data/{index}.json.gz\"}}\n"
        );
    }
    let summary = format!("{{\"version\":\"2020-06-30\",\"itemCount\":{items},\"outputFormat\":\"DYNAMODB_JSON\"}}");
    fs::write(export.join("manifest-summary.json"), change("summary", summary)).unwrap();
    fs::write(export.join("manifest-files.json"), change("files", lines)).unwrap();
}

pub(crate) const THREE: [&str; 3] =
    ["{\"Item\":{\"a\":{\"S\":\"x\"}}}\n{\"Item\":{\"a\":{\"S\":\"y\"}}}\n", "", "{\"Item\":{\"a\":{\"S\":\"z\"}}}\n"];

#[test]
fn the_folder_of_an_export_is_read_from_either_of_its_folders() {
    let folder = tempfile::tempdir().unwrap();
    export(folder.path(), &THREE, |_, text| text);
    for path in ["AWSDynamoDB", "AWSDynamoDB/01693685827463-2d8752fd"] {
        let rows = rows_of(&folder.path().join(path), Options::default()).unwrap();
        assert_eq!(rows.len(), 3, "{path}");
    }
    // An incremental export has its files beside its folder, together with those of other exports.
    let at = folder.path().join("AWSDynamoDB");
    fs::rename(at.join("01693685827463-2d8752fd/data"), at.join("data")).unwrap();
    fs::write(at.join("data/of-another-export.json.gz"), b"").unwrap();
    assert_eq!(rows_of(&at, Options::default()).unwrap().len(), 3);
}
