//! Random files: without the new fields they are as before, and no row is lost.

use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_assert_eq, prop_oneof, proptest};
use rollcall_migrate::input::Options;
use rollcall_migrate::rekey::outcome::Outcome;
use rollcall_migrate::rekey::terms::Emit;
use serde_json::{Map, Value, json};

use crate::rekey::Desk;
use crate::support::{csv, rows};

const NEW: &str = "\"new \\u00e9\":";

fn space() -> impl Strategy<Value = String> {
    "[ \t\r\n]{0,3}"
}

/// A value that may be a reference, and whether it leads to a user.
fn reference() -> impl Strategy<Value = (String, bool)> {
    let known = prop_oneof![
        Just("\"b1\""),
        Just("7"),
        Just("{ \"$oid\" : \"64b0000000000000000000b2\" }"),
        Just("{\"$ref\":\"u\" , \"$id\":\"b2\"}"),
        Just("[\"b1\" ,7]"),
    ];
    let unknown = prop_oneof![Just("\"no\""), Just("null"), Just("1.5"), Just("[7,\"lost\"]"), Just("\"both\"")];
    prop_oneof![3 => known.prop_map(|text| (text.to_owned(), true)), 1 => unknown.prop_map(|text| (text.to_owned(), false))]
}

fn other() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("NaN".to_owned()),
        Just("1.10".to_owned()),
        Just("\"\\\"}],{[ \\u00e9\"".to_owned()),
        Just("[ {\"u\" : 1} , [] ]".to_owned()),
        any::<String>().prop_map(|text| Value::from(text).to_string()),
    ]
}

/// A document with its text, and whether its reference leads to a user.
fn document() -> impl Strategy<Value = (String, bool)> {
    let key = prop_oneof![Just("\"u\""), Just("\"\\u0075\"")];
    (reference(), key, vec(other(), 0..3), 0..3_usize, vec(space(), 12)).prop_map(
        |((value, is_known), key, others, at, gaps)| {
            let mut members: Vec<String> = others
                .iter()
                .enumerate()
                .map(|(number, value)| format!("\"k{number}\"{}:{value}", gaps[number]))
                .collect();
            members.insert(at.min(members.len()), format!("{key}{}:{}{value}{}", gaps[3], gaps[4], gaps[5]));
            (format!("{{{}{}{}}}", gaps[6], members.join(&format!("{},{}", gaps[7], gaps[8])), gaps[9]), is_known)
        },
    )
}

fn desk() -> Desk {
    Desk::new(&["u=new \u{e9}"])
}

/// A text without what was put into it.
fn without(text: &str) -> String {
    let mut rest = text;
    let mut out = String::new();
    while let Some((before, after)) = rest.split_once(&format!(",{}", NEW.replace("\\u00e9", "\u{e9}"))) {
        out.push_str(before);
        let end = if after.starts_with('[') { after.find(']') } else { after[1..].find('"').map(|at| at + 1) };
        rest = &after[end.unwrap() + 1..];
    }
    out + rest
}

fn sorted(text: &[u8]) -> Vec<Vec<u8>> {
    let mut rows: Vec<Vec<u8>> = rows(text, Options::default()).unwrap().into_iter().map(|row| row.source).collect();
    rows.sort();
    rows
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn random_documents_lose_nothing(
        documents in vec((document(), space()), 0..8), is_array in any::<bool>(), mark in any::<bool>(), end in space(),
    ) {
        let mark = if mark { "\u{feff}" } else { "" };
        let gaps = |separator: &str| documents.iter().map(|((text, _), gap)| format!("{text}{gap}")).collect::<Vec<_>>().join(separator);
        let text = if is_array { format!("{mark}[{}]{end}", gaps(" ,\n")) } else { format!("{mark}{}{end}", gaps("\n")) };
        let (counts, files) = desk().run("a.json", text.as_bytes());
        let known = documents.iter().filter(|((_, is_known), _)| *is_known).count();
        prop_assert_eq!(counts.of(Outcome::Rekeyed), known as u64);
        prop_assert_eq!(counts.read, documents.len() as u64);
        let out = String::from_utf8(files["rekeyed-a.json"].clone()).unwrap();
        let mut all = sorted(without(&out).as_bytes());
        let of = |name: &str| files.get(name).cloned().unwrap_or_default();
        let left = [of("unmatched-a.json"), of("ambiguous-a.json")];
        left.iter().for_each(|file| all.extend(sorted(file)));
        all.sort();
        prop_assert_eq!(all, sorted(text.as_bytes()));
        if known == documents.len() {
            prop_assert_eq!(without(&out), text);
        } else if !is_array {
            // Not a byte is lost.
            let mut bytes = [without(&out).into_bytes(), left.concat()].concat();
            let mut before = text.into_bytes();
            bytes.sort_unstable();
            before.sort_unstable();
            prop_assert_eq!(bytes, before);
        }
    }

    #[test]
    fn random_records_lose_nothing(
        records in vec((prop_oneof![Just("b1"), Just("b2"), Just("no"), Just("both"), Just("")], any::<String>()), 0..8),
        has_crlf in any::<bool>(),
    ) {
        let terminator = if has_crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') };
        let mut writer = csv::WriterBuilder::new().terminator(terminator).from_writer(Vec::new());
        writer.write_record(["a", "u"]).unwrap();
        records.iter().for_each(|(user, text)| writer.write_record([text.as_str(), user]).unwrap());
        let text = writer.into_inner().unwrap();
        let mut desk = Desk::new(&["u"]);
        desk.options = csv();
        let (_, files) = desk.run("a.csv", &text);
        let read = |text: &[u8]| {
            let mut reader = csv::Reader::from_reader(text);
            reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect::<Vec<_>>()).collect::<Vec<_>>()
        };
        let mut all = Vec::new();
        for record in read(&files["rekeyed-a.csv"]) {
            let user = if record[1] == "b1" { "user_1" } else { "user_2" };
            prop_assert_eq!(&record[2], user);
            all.push(record[..2].to_vec());
        }
        for name in ["unmatched-a.csv", "ambiguous-a.csv"] {
            all.extend(files.get(name).map(|file| read(file)).unwrap_or_default());
        }
        let mut before = read(&text);
        before.sort();
        all.sort();
        prop_assert_eq!(all, before);
    }

    /// What MongoDB does with a patch: it sets each field of the document with the same id.
    #[test]
    fn a_patch_makes_the_same_documents(users in vec((0..3_usize, 0..3_usize), 1..8)) {
        let user = |number: usize| [json!("b1"), json!(["b2", 7]), Value::Null][number].clone();
        let documents: Vec<Value> = users.iter().enumerate()
            .map(|(id, (u, v))| json!({ "_id": { "$oid": format!("{id:024x}") }, "u": user(*u), "a": { "v": user(*v), "x": 1 } }))
            .collect();
        let text: String = documents.iter().map(|document| format!("{document}\n")).collect();
        let lines = |text: &[u8]| -> Vec<Value> {
            std::str::from_utf8(text).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        };
        let mut desk = Desk::new(&["u", "a.v"]);
        desk.terms.allow_missing = true;
        let spliced = lines(&desk.run("a.json", text.as_bytes()).1["rekeyed-a.json"]);
        let mut desk = Desk::new(&["u", "a.v"]);
        desk.terms.allow_missing = true;
        desk.terms.emit = Emit::Patch;
        let mut patched = documents;
        for line in lines(&desk.run("a.json", text.as_bytes()).1["patch-a.json"]) {
            let document = patched.iter_mut().find(|document| document["_id"] == line["_id"]).unwrap();
            for (path, value) in line.as_object().unwrap() {
                set(document.as_object_mut().unwrap(), path, value.clone());
            }
        }
        prop_assert_eq!(patched, spliced);
    }
}

fn set(document: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => drop(document.insert(path.to_owned(), value)),
        Some((name, rest)) => set(document[name].as_object_mut().unwrap(), rest, value),
    }
}
