//! Random inputs: equal to what serde_json and the csv crate read, and never a panic.

use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use rollcall_migrate::input::{Format, Options, Value};
use serde_json::value::RawValue;

use crate::support::{csv, file, format, gzip, rows, rows_of};

/// Any JSON value whose keys are no types of extended JSON, and have no dots.
fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        any::<f64>().prop_filter("JSON has finite numbers", |value| value.is_finite()).prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Into::into),
            vec((key(), inner), 0..6).prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{1,3}", any::<String>()]
        .prop_filter("paths", |key: &String| !key.starts_with('$') && !key.contains('.'))
}

fn is_equal(value: &Value, json: &serde_json::Value) -> bool {
    match (value, json) {
        (Value::Null, serde_json::Value::Null) => true,
        (Value::Bool(value), serde_json::Value::Bool(json)) => value == json,
        (Value::Int(value), serde_json::Value::Number(json)) => json.as_i64() == Some(*value),
        (Value::Double(value), serde_json::Value::Number(json)) => {
            json.is_f64() && json.as_f64().map(f64::to_bits) == Some(value.to_bits())
        }
        (Value::Decimal(text), serde_json::Value::Number(json)) => *text == json.to_string(),
        (Value::Text(value), serde_json::Value::String(json)) => value == json,
        (Value::Array(values), serde_json::Value::Array(json)) => {
            values.len() == json.len() && values.iter().zip(json).all(|(value, json)| is_equal(value, json))
        }
        (Value::Document(fields), serde_json::Value::Object(json)) => {
            let is_member = |(name, value): (&str, &Value)| json.get(name).is_some_and(|json| is_equal(value, json));
            fields.len() == json.len() && fields.iter().all(is_member)
        }
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_json_value_is_read_as_serde_json_reads_it(json in json(), is_pretty in any::<bool>()) {
        let document = serde_json::json!({ "value": json });
        let text = if is_pretty { serde_json::to_string_pretty(&document) } else { serde_json::to_string(&document) }.unwrap();
        // serde_json reads numbers again to the same digits only with a feature: so compare with what it wrote.
        let row = rows(text.as_bytes(), Options::default()).unwrap().remove(0);
        prop_assert!(is_equal(row.value.get("value").unwrap(), &json), "{:?}", row.value);
    }

    #[test]
    fn the_span_of_a_field_is_its_text(members in vec((key(), json()), 1..6)) {
        let document: serde_json::Map<_, _> = members.into_iter().collect();
        let text = serde_json::to_string_pretty(&document).unwrap();
        let raw: std::collections::BTreeMap<String, Box<RawValue>> = serde_json::from_str(&text).unwrap();
        let row = rows(text.as_bytes(), Options::default()).unwrap().remove(0);
        for (key, raw) in raw {
            let fields = row.fields(&key).unwrap();
            prop_assert_eq!(fields.len(), 1);
            let span = fields[0].span.clone().unwrap();
            prop_assert_eq!(&row.source[span], raw.get().as_bytes());
        }
    }

    #[test]
    fn what_the_csv_crate_writes_is_read(records in vec(vec(any::<String>(), 3), 1..6), has_crlf in any::<bool>()) {
        let terminator = if has_crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') };
        let mut writer = csv::WriterBuilder::new().terminator(terminator).from_writer(Vec::new());
        writer.write_record(["a", "b", "c"]).unwrap();
        records.iter().for_each(|record| writer.write_record(record).unwrap());
        let text = writer.into_inner().unwrap();
        let read = rows(&text, csv()).unwrap();
        let field = |value: &Value| if let Value::Text(text) = value { text.clone() } else { String::new() };
        let read: Vec<Vec<String>> = read.iter().map(|row| row.value.iter().map(|(_, value)| field(value)).collect()).collect();
        prop_assert_eq!(read, records);
    }

    /// The crate reads more than this reader; what this reader accepts, both read alike.
    #[test]
    fn accepted_csv_is_read_as_the_csv_crate_reads_it(text in "[ab\"\",,\r\n\n]{0,40}") {
        let text = format!("x,y\n{text}");
        let Ok(read) = rows(text.as_bytes(), csv()) else { return Ok(()) };
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
        let expected: Vec<Vec<String>> = reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect();
        let field = |value: &Value| if let Value::Text(text) = value { text.clone() } else { String::new() };
        let read: Vec<Vec<String>> = read.iter().map(|row| row.value.iter().map(|(_, value)| field(value)).collect()).collect();
        prop_assert_eq!(read, expected);
    }

    #[test]
    fn random_bytes_are_no_panic(bytes in vec(any::<u8>(), 0..200)) {
        everything(&bytes);
    }

    #[test]
    fn random_text_of_the_formats_is_no_panic(text in r#"([{}\[\],:"\\tN$_ \n]|"\$oid"|"Items":|\{"S":"a"\}|\{"Item":|NaN|-|1|e|é|ObjectId\(){0,60}"#) {
        everything(text.as_bytes());
        everything(format!("{{{text}").as_bytes());
    }

    #[test]
    fn damaged_bson_is_no_panic(changes in vec((0_usize..888, any::<u8>()), 0..4), cut in 0_usize..889) {
        let mut bytes = std::fs::read(crate::support::fixture("mongo/users.bson")).unwrap();
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        bytes.truncate(cut);
        everything(&bytes);
    }

    #[test]
    fn damaged_gzip_is_no_panic(at in any::<proptest::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = gzip(&br#"{"a":1}"#.repeat(20));
        let at = at.index(bytes.len());
        bytes[at] = byte;
        everything(&bytes);
    }
}

/// Reads the bytes as every format.
fn everything(bytes: &[u8]) {
    let copy = |columns| format(Format::Copy { columns });
    let pg_dump = || format(Format::PgDump { table: "t".to_owned() });
    let read = |bytes: &[u8], formats: Vec<Options>| {
        let file = file("input", bytes);
        for options in formats {
            if let Err(error) = rows_of(&file.path, options) {
                assert!(error.to_string().contains(", line "), "{error}");
            }
        }
    };
    let columns = Some(vec!["a".to_owned()]);
    read(bytes, vec![Options::default(), csv(), copy(None), copy(columns), pg_dump()]);
    read(&[b"COPY public.t (a, b) FROM stdin;\n", bytes].concat(), vec![pg_dump()]);
}
