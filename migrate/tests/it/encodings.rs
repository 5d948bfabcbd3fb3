//! One set of documents in every encoding gives one set of values.

use rollcall_migrate::input::{Options, Value};

use crate::support::{fixture, format, gzip, rows, rows_of, values};

/// Scenario 2: three documents as seven files, of which the last has two members of gzip, and is cut.
#[test]
fn three_documents_in_seven_encodings_give_equal_rows() {
    let id = |digit| format!("64b0000000000000000000b{digit}");
    let relaxed = format!(
        r#"{{"_id":{{"$oid":"{}"}},"primary_role":"coach","n":7,"at":{{"$date":"2024-02-29T12:30:00.123Z"}},"r":{{"$numberDouble":"NaN"}}}}
{{"_id":{{"$oid":"{}"}},"big":9007199254740993,"d":1.5,"price":{{"$numberDecimal":"12.5000"}}}}
{{"_id":{{"$oid":"{}"}},"token":{{"$binary":{{"base64":"D4+tW9nLRp+hZXCGdyiVDg==","subType":"04"}}}}}}
"#,
        id(1),
        id(2),
        id(3)
    );
    let canonical = format!(
        r#"{{"_id":{{"$oid":"{}"}},"primary_role":"coach","n":{{"$numberInt":"7"}},"at":{{"$date":{{"$numberLong":"1709209800123"}}}},"r":{{"$numberDouble":"NaN"}}}}
{{"_id":{{"$oid":"{}"}},"big":{{"$numberLong":"9007199254740993"}},"d":{{"$numberDouble":"1.5"}},"price":{{"$numberDecimal":"12.5000"}}}}
{{"_id":{{"$oid":"{}"}},"token":{{"$binary":{{"base64":"D4+tW9nLRp+hZXCGdyiVDg==","subType":"04"}}}}}}"#,
        id(1),
        id(2),
        id(3)
    );
    let v1 = format!(
        r#"{{ "_id" : {{ "$oid" : "{}" }}, "primary_role" : "coach", "n" : 7, "at" : {{ "$date" : "2024-02-29T14:30:00.123+0200" }}, "r" : NaN }}
{{ "_id" : {{ "$oid" : "{}" }}, "big" : {{ "$numberLong" : "9007199254740993" }}, "d" : 1.5, "price" : {{ "$numberDecimal" : "12.5000" }} }}
{{ "_id" : {{ "$oid" : "{}" }}, "token" : {{ "$binary" : "D4+tW9nLRp+hZXCGdyiVDg==", "$type" : "4" }} }}"#,
        id(1),
        id(2),
        id(3)
    );
    let lines: Vec<&str> = relaxed.lines().collect();
    let array = format!("[{}]\n", lines.join(","));
    let pretty = relaxed.replace(',', ",\r\n\t").replace('{', "{\r\n");
    let oid = |digit| bson::oid::ObjectId::parse_str(id(digit)).unwrap();
    let at = bson::DateTime::from_millis(1_709_209_800_123);
    let uuid = bson::Uuid::parse_str("0f8fad5b-d9cb-469f-a165-70867728950e").unwrap();
    let documents = [
        bson::doc! { "_id": oid(1), "primary_role": "coach", "n": 7, "at": at, "r": f64::NAN },
        bson::doc! { "_id": oid(2), "big": 9_007_199_254_740_993_i64, "d": 1.5, "price": "12.5000".parse::<bson::Decimal128>().unwrap() },
        bson::doc! { "_id": oid(3), "token": uuid },
    ];
    let documents = documents.map(|document| document.to_vec().unwrap());
    let bson = documents.concat();
    let members = [gzip(&documents[..2].concat()), gzip(&documents[2])].concat();

    let expected = values(&rows(relaxed.as_bytes(), Options::default()).unwrap());
    assert_eq!(expected.lines().count(), 3);
    let texts = [canonical.as_bytes(), v1.as_bytes(), array.as_bytes(), pretty.as_bytes(), &bson, &members];
    for (index, content) in texts.into_iter().enumerate() {
        assert_eq!(values(&rows(content, Options::default()).unwrap()), expected, "encoding {index}");
    }
    let error = rows(&members[..members.len() - 5], Options::default()).unwrap_err().to_string();
    assert!(error.contains("the gzip data are cut"), "{error}");
}

/// The same with every type, as the programs of MongoDB wrote them. v1 is of mongoexport 4.0.
#[test]
fn the_files_of_mongoexport_and_mongodump_give_equal_rows() {
    let read = |name: &str| rows_of(&fixture(&format!("mongo/{name}")), Options::default()).unwrap();
    let expected = read("users.bson");
    assert_eq!(expected.len(), 3);
    for name in
        ["relaxed.json", "canonical.json", "v1.json", "array.json", "pretty.json", "pretty-array.json", "users.bson.gz"]
    {
        for (row, expected) in read(name).iter().zip(&expected) {
            for ((field, value), expected) in row.value.iter().zip(expected.value.iter()) {
                assert_eq!(format!("{field} {value:?}"), format!("{} {:?}", expected.0, expected.1), "{name}");
            }
        }
        assert_eq!(values(&read(name)), values(&expected), "{name}");
    }
}

/// The order of its bytes is the operator's to say.
#[test]
fn a_uuid_of_subtype_3_stays_bytes() {
    let rows = rows_of(&fixture("mongo/users.bson"), Options::default()).unwrap();
    let Some(Value::Uuid { subtype, bytes }) = rows[0].value.get("old_token") else { panic!("no UUID") };
    assert_eq!((*subtype, bytes[0]), (3, 0x0f));
    assert!(matches!(rows[0].value.get("token"), Some(Value::Uuid { subtype: 4, .. })));
}

#[test]
fn large_and_long_numbers_stay_text() {
    let text =
        br#"{"a":1,"b":1.0,"c":18446744073709551615,"d":0.12345678901234567890123,"e":1e999,"f":-0,"g":1E5,"h":1.10,"i":1e-999,"j":0e-999}"#;
    let rows = rows(text, Options::default()).unwrap();
    let decimal = |text: &str| Value::Decimal(text.to_owned());
    let expected = [
        Value::Int(1),
        Value::Double(1.0),
        decimal("18446744073709551615"),
        decimal("0.12345678901234567890123"),
        decimal("1e999"),
        Value::Double(-0.0),
        Value::Double(1e5),
        Value::Double(1.1),
        decimal("1e-999"),
        Value::Double(0.0),
    ];
    let found: Vec<&Value> = rows[0].value.iter().map(|(_, value)| value).collect();
    assert_eq!(found, expected.iter().collect::<Vec<_>>());
    assert_eq!(rows[0].source, text);
}

#[test]
fn forms_of_other_writers_are_read() {
    let value = |text: &str| {
        let rows = rows(format!("{{\"v\":{text}}}").as_bytes(), Options::default()).unwrap();
        rows[0].value.get("v").unwrap().clone()
    };
    for date in [
        r#"{"$date":1709209800123}"#,
        r#"{"$date":"2024-02-29T14:30:00.123+02:00"}"#,
        r#"{"$date":"2024-02-29T12:30:00.123999Z"}"#,
        r#"{"$date":{"$numberLong":1709209800123}}"#,
    ] {
        assert_eq!(value(date), Value::Date(1_709_209_800_123), "{date}");
    }
    assert_eq!(value(r#"{"$date":"1969-12-31T23:59:59.9995Z"}"#), Value::Date(-1));
    assert_eq!(value(r#"{"$oid":"64B0000000000000000000B1"}"#), value(r#"{"$oid":"64b0000000000000000000b1"}"#));
    assert_eq!(value(r#"{"$numberLong":5}"#), Value::Int(5));
    let uuid = value(r#"{"$uuid":"0f8fad5b-d9cb-469f-a165-70867728950e"}"#);
    for binary in [
        r#"{"$binary":"D4+tW9nLRp+hZXCGdyiVDg==","$type":4}"#,
        r#"{"$type":"04","$binary":"D4+tW9nLRp+hZXCGdyiVDg=="}"#,
    ] {
        assert_eq!(value(binary), uuid, "{binary}");
    }
    assert_eq!(value(r#"{"$ref":"a","$id":1}"#).kind(), "document");
    assert_eq!(value(r#"{"$foo":1}"#).kind(), "document");
    assert_eq!(value(r#"{"$regex":"^a"}"#).kind(), "document");
    assert_eq!(value(r#"{"$dbPointer":{"$ref":"a","$id":{"$oid":"64b0000000000000000000b1"}}}"#).kind(), "dbPointer");
}

#[test]
fn an_empty_file_has_no_rows_and_a_byte_order_mark_is_skipped() {
    for text in ["", " \n", "[]", "[ ]\n", "\u{feff}", "\u{feff}[]"] {
        assert_eq!(rows(text.as_bytes(), Options::default()).unwrap(), [], "{text:?}");
    }
    assert_eq!(rows(&gzip(b""), Options::default()).unwrap(), []);
    for text in ["\u{feff}{\"a\":1}", "\u{feff} [{\"a\":1}]"] {
        assert_eq!(rows(text.as_bytes(), Options::default()).unwrap().len(), 1, "{text:?}");
    }
    let csv = rows("\u{feff}id,b\r\n1,\r\n".as_bytes(), crate::support::csv()).unwrap();
    assert_eq!(csv[0].value.get("id"), Some(&Value::Text("1".to_owned())));
    let copy = format(rollcall_migrate::input::Format::Copy { columns: None });
    assert_eq!(
        rows("\u{feff}id\n1\n".as_bytes(), copy).unwrap()[0].value.get("id"),
        Some(&Value::Text("1".to_owned()))
    );
}
