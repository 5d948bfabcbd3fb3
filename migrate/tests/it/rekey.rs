//! New fields in files: nothing else changes, and no row is lost.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rollcall_migrate::folder::{Folder, Run};
use rollcall_migrate::ids::{IdMap, MAP};
use rollcall_migrate::input::{Format, Options};
use rollcall_migrate::metadata::survey::Input;
use rollcall_migrate::rekey::outcome::{Counts, Outcome};
use rollcall_migrate::rekey::terms::{Emit, Terms};
use rollcall_migrate::rekey::{RekeyError, Rekeyed, discard, publish, write};
use tempfile::TempDir;

use crate::support::{csv, fixture, format, gzip};

const MAP_LINES: &str = r#"{"legacy_id":"oid:64b0000000000000000000b1","clerk_user_id":"user_1"}
{"legacy_id":"oid:64b0000000000000000000b2","clerk_user_id":"user_2"}
{"legacy_id":"str:b1","clerk_user_id":"user_1"}
{"legacy_id":"str:b2","clerk_user_id":"user_2"}
{"legacy_id":"int:7","clerk_user_id":"user_7"}
{"legacy_id":"str:1","clerk_user_id":"user_1"}
{"legacy_id":"str:lost","no_user":"unmatched"}
{"legacy_id":"str:gone","no_user":"deleted"}
{"legacy_id":"str:both","no_user":"ambiguous"}
{"legacy_id":"str:odd","no_user":"refused"}
"#;

/// A folder with an input, a map, and what is written.
pub(crate) struct Desk {
    folder: TempDir,
    pub(crate) terms: Terms,
    pub(crate) options: Options,
}

impl Desk {
    pub(crate) fn new(references: &[&str]) -> Desk {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(MAP), MAP_LINES).unwrap();
        let terms = Terms {
            references: references.iter().map(|text| text.parse().unwrap()).collect(),
            loose: false,
            allow_missing: false,
            keep: false,
            unique: false,
            emit: Emit::Rows,
            id: "_id".to_owned(),
        };
        Desk { folder, terms, options: Options::default() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn out(&self) -> PathBuf {
        self.path("out")
    }

    /// Writes the drafts of these files.
    pub(crate) fn drafts(&self, files: &[(&str, &[u8])]) -> Result<(Rekeyed, Folder), RekeyError> {
        let run = Run {
            command: "rekey".into(),
            version: String::new(),
            input_sha256: String::new(),
            options: String::new(),
            instance: String::new(),
            started: String::new(),
        };
        let mut paths = Vec::new();
        for (name, content) in files {
            paths.push(self.path(name));
            fs::write(self.path(name), content).unwrap();
        }
        let input = Input { paths, options: self.options.clone() };
        let map = IdMap::read(self.folder.path()).unwrap();
        let survey = write::survey(&input, &self.terms, &map, &mut |_| {});
        let folder = Folder::open(&self.out(), &run, &[]).unwrap();
        let rekeyed = write::write(&input, &self.terms, &map, &folder, &mut |_| {})?;
        assert_eq!(survey.unwrap(), rekeyed.counts, "a dry run counts the same");
        Ok((rekeyed, folder))
    }

    pub(crate) fn run(&self, name: &str, content: &[u8]) -> (Counts, BTreeMap<String, Vec<u8>>) {
        let (rekeyed, folder) = self.drafts(&[(name, content)]).unwrap();
        publish(&folder, &rekeyed.written, &rekeyed.counts).unwrap();
        discard(&folder).unwrap();
        assert!(rekeyed.counts.adds_up());
        (rekeyed.counts, files(&self.out()))
    }

    /// The file of the rows as text.
    fn spliced(&self, name: &str, content: &[u8]) -> String {
        text(&self.run(name, content).1, &format!("rekeyed-{name}"))
    }
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let files = entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()));
    files.filter(|(name, _)| !["run.json", "lock", "report.json"].contains(&name.as_str())).collect()
}

pub(crate) fn text(files: &BTreeMap<String, Vec<u8>>, name: &str) -> String {
    let file = files.get(name).unwrap_or_else(|| panic!("no {name} in {:?}", files.keys()));
    String::from_utf8(file.clone()).unwrap()
}

pub(crate) fn left(files: &BTreeMap<String, Vec<u8>>) -> Vec<(u64, String, String)> {
    let lines = text(files, "left.ndjson");
    let read = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| line[name].as_str().unwrap().to_owned();
        (line["line"].as_u64().unwrap(), text("path"), text("reason"))
    };
    lines.lines().map(read).collect()
}

#[test]
fn a_new_field_is_behind_its_reference_and_every_other_byte_stays() {
    for (references, before, after) in [
        (&["u"][..], "{\"u\":\"b1\"}", "{\"u\":\"b1\",\"clerk_user_id\":\"user_1\"}"),
        (&["u=\u{e9} \"q\""], "{\"u\":\"b1\"}", "{\"u\":\"b1\",\"\u{e9} \\\"q\\\"\":\"user_1\"}"),
        (
            &["u"],
            "\u{feff}\r\n{ \"n\":1.10,\r\n \"u\\u0000\" : NaN , \"\\u0075\" : 7 ,\"x\":-0.0 }\r\n\r\n",
            "\u{feff}\r\n{ \"n\":1.10,\r\n \"u\\u0000\" : NaN , \"\\u0075\" : 7,\"clerk_user_id\":\"user_7\" ,\"x\":-0.0 }\r\n\r\n",
        ),
        (
            &["u", "v=w"],
            "{\"v\":\"b2\",\"u\":{\"$ref\":\"users\",\"$id\":\"b1\"}} {\"u\":[\"b1\",\"b2\"],\"v\":[]}",
            "{\"v\":\"b2\",\"w\":\"user_2\",\"u\":{\"$ref\":\"users\",\"$id\":\"b1\"},\"clerk_user_id\":\"user_1\"} \
             {\"u\":[\"b1\",\"b2\"],\"clerk_user_id\":[\"user_1\",\"user_2\"],\"v\":[],\"w\":[]}",
        ),
        (
            &["m.u", "a.b.u"],
            "{\"m\":[{\"u\":\"b1\"},{\"u\":7}],\"a\":{\"b\":{\"u\":\"b2\"}}}",
            "{\"m\":[{\"u\":\"b1\",\"clerk_user_id\":\"user_1\"},{\"u\":7,\"clerk_user_id\":\"user_7\"}],\
             \"a\":{\"b\":{\"u\":\"b2\",\"clerk_user_id\":\"user_2\"}}}",
        ),
        (&["m.u"], "{\"m\":[]}", "{\"m\":[]}"),
        (&["u"], "{\"clerk_user_id\": null,\"u\":7}", "{\"clerk_user_id\": \"user_7\",\"u\":7}"),
        (&["u"], "{\"clerk_user_id\":\"user_7\",\"u\":7}", "{\"clerk_user_id\":\"user_7\",\"u\":7}"),
        (&["u"], " [ ] ", " [ ] "),
        (&["u"], "", ""),
    ] {
        let desk = Desk::new(references);
        assert_eq!(desk.spliced("a.json", before.as_bytes()), after);
        assert!(files(&desk.out()).keys().all(|name| !name.ends_with(".draft")));
    }
    assert_eq!(
        Desk::new(&["u"]).run("a.json.gz", &gzip(b"{\"u\":7}\n")).1["rekeyed-a.json"],
        b"{\"u\":7,\"clerk_user_id\":\"user_7\"}\n"
    );
}

#[test]
fn records_get_a_new_column() {
    let copy = || format(Format::Copy { columns: None });
    let semicolon = || format(Format::Csv { delimiter: b';' });
    for (options, references, before, after) in [
        (
            csv(),
            &["u"][..],
            "a,u\r\n1,b1\r\n\"x\n\",\"b2\"",
            "a,u,clerk_user_id\r\n1,b1,user_1\r\n\"x\n\",\"b2\",user_2",
        ),
        (csv(), &["u"], "\u{feff}u\n1\n", "\u{feff}u,clerk_user_id\n1,user_1\n"),
        (csv(), &["u"], "u,a", "u,a,clerk_user_id"),
        (semicolon(), &["u=c;d", "m.u=v"], "u;m.u\nb1;b2\n", "u;m.u;\"c;d\";v\nb1;b2;user_1;user_2\n"),
        (csv(), &["u"], "clerk_user_id,u\n,b1\nuser_2,b2\n", "clerk_user_id,u\nuser_1,b1\nuser_2,b2\n"),
        (copy(), &["u=c\td"], "a\tu\n\\N\tb1\n\\.\n", "a\tu\tc\\td\n\\N\tb1\tuser_1\n\\.\n"),
        (copy(), &["u"], "clerk_user_id\tu\r\n\\N\tb1\r\n", "clerk_user_id\tu\r\nuser_1\tb1\r\n"),
        (copy(), &["u"], "u\n\\.\n", "u\tclerk_user_id\n\\.\n"),
    ] {
        let mut desk = Desk::new(references);
        desk.options = options;
        assert_eq!(desk.spliced("a.csv", before.as_bytes()), after);
    }
    let mut desk = Desk::new(&["u", "v=w"]);
    desk.options = csv();
    desk.terms.allow_missing = true;
    desk.terms.keep = true;
    assert_eq!(desk.spliced("a.csv", b"u,v\nb1,\nno,b2\n"), "u,v,clerk_user_id,w\nb1,,user_1,\nno,b2,,user_2\n");
    desk.options = copy();
    assert_eq!(desk.spliced("a.csv", b"u\tv\nb1\t\\N\n"), "u\tv\tclerk_user_id\tw\nb1\t\\N\tuser_1\t\\N\n");
}

#[test]
fn every_reason_has_its_path() {
    let desk = Desk::new(&["u", "m.u", "v=w"]);
    for (row, outcome, causes) in [
        (r#"{"u":"no","m":[],"v":7}"#, Outcome::Unmatched, &[("u", "unknown_id")][..]),
        (r#"{"m":[],"v":null}"#, Outcome::Unmatched, &[("u", "missing"), ("v", "missing")]),
        (r#"{"u":"lost","m":[],"v":7}"#, Outcome::Unmatched, &[("u", "no_user")]),
        (r#"{"u":"gone","m":[],"v":7}"#, Outcome::Unmatched, &[("u", "deleted")]),
        (r#"{"u":1.5,"m":[],"v":7}"#, Outcome::Unmatched, &[("u", "not_an_id")]),
        (r#"{"u":"both","m":[],"v":7}"#, Outcome::Ambiguous, &[("u", "ambiguous")]),
        (r#"{"u":"odd","m":[],"v":7}"#, Outcome::Ambiguous, &[("u", "row_refused")]),
        (r#"{"u":["both","odd"],"m":[],"v":7}"#, Outcome::Ambiguous, &[("u.0", "ambiguous"), ("u.1", "row_refused")]),
        (r#"{"u":"both","m":[],"v":8}"#, Outcome::Unmatched, &[("u", "ambiguous"), ("v", "unknown_id")]),
        (r#"{"u":7,"m":[],"v":7,"w":"user_8"}"#, Outcome::Conflict, &[("w", "other_value")]),
        (r#"{"u":7,"m":[],"v":7,"w":["user_7"]}"#, Outcome::Conflict, &[("w", "other_value")]),
        (r#"{"u":7,"v":7}"#, Outcome::Unmatched, &[("m.u", "missing")]),
        (
            r#"{"u":7,"v":7,"m":[{"u":7},{"x":1},3,{"u":null}]}"#,
            Outcome::Unmatched,
            &[("m.1.u", "missing"), ("m.2.u", "missing"), ("m.3.u", "missing")],
        ),
        (r#"{"u":[7,"no",7,null],"m":[],"v":7}"#, Outcome::Unmatched, &[("u.1", "unknown_id"), ("u.3", "missing")]),
        (
            r#"{"u":7,"v":7,"m":[{"u":7,"clerk_user_id":"user_1"}]}"#,
            Outcome::Conflict,
            &[("m.0.clerk_user_id", "other_value")],
        ),
    ] {
        let (counts, files) = desk.run("a.json", format!("\n{row}\n").as_bytes());
        let name: &str = outcome.into();
        assert_eq!(counts.of(outcome), 1, "{row}: {counts:?}");
        assert_eq!(text(&files, &format!("{name}-a.json")), format!("{row}\n"));
        assert_eq!(text(&files, "rekeyed-a.json"), "\n");
        let expected: Vec<_> =
            causes.iter().map(|(path, reason)| (2, (*path).to_owned(), (*reason).to_owned())).collect();
        assert_eq!(left(&files), expected, "{row}");
        fs::remove_dir_all(desk.out()).unwrap();
    }
}

/// Rows of users whom the old system never had.
#[test]
fn a_row_with_the_new_field_alone_passes_as_it_is() {
    let desk = Desk::new(&["u", "m.u", "v=w"]);
    for row in [
        r#"{"clerk_user_id":"user_new","m":[],"w":"user_new"}"#,
        r#"{"u":null,"clerk_user_id":"user_new","m":[{"clerk_user_id":"user_new"}],"v":"","w":"user_new"}"#,
    ] {
        let (counts, files) = desk.run("a.json", format!("{row}\n").as_bytes());
        assert_eq!((counts.of(Outcome::Unchanged), counts.left()), (1, 0), "{counts:?}");
        assert_eq!(text(&files, "rekeyed-a.json"), format!("{row}\n"));
        fs::remove_dir_all(desk.out()).unwrap();
    }
    // A new field that is null, empty or no Clerk id says nothing, and one beside another reference neither.
    for row in [
        r#"{"clerk_user_id":"","m":[],"w":"user_new"}"#,
        r#"{"clerk_user_id":[],"m":[],"w":"user_new"}"#,
        r#"{"clerk_user_id":7,"m":[],"w":"user_new"}"#,
        r#"{"clerk_user_id":null,"m":[],"w":"user_new"}"#,
        r#"{"m":[{"x":1}],"clerk_user_id":"user_new","w":"user_new"}"#,
    ] {
        let (counts, _) = desk.run("a.json", format!("{row}\n").as_bytes());
        assert_eq!(counts.of(Outcome::Unmatched), 1, "{row}: {counts:?}");
        fs::remove_dir_all(desk.out()).unwrap();
    }
}

#[test]
fn what_may_be_missing_or_kept_passes_without_the_field() {
    let mut desk = Desk::new(&["u", "v=w"]);
    let rows =
        "{\"u\":7}\n{\"u\":null,\"v\":7}\n{\"u\":\"no\",\"v\":7}\n{\"u\":\"both\",\"v\":7}\n{\"u\":[null],\"v\":7}\n";
    desk.terms.allow_missing = true;
    let (counts, files) = desk.run("a.json", rows.as_bytes());
    assert_eq!((counts.of(Outcome::Skipped), counts.of(Outcome::Unmatched), counts.left()), (2, 2, 3));
    let passed = "{\"u\":7,\"clerk_user_id\":\"user_7\"}\n{\"u\":null,\"v\":7,\"w\":\"user_7\"}\n";
    assert_eq!(text(&files, "rekeyed-a.json"), passed);
    desk.terms.keep = true;
    desk.terms.allow_missing = false;
    fs::remove_dir_all(desk.out()).unwrap();
    let (counts, files) = desk.run("a.json", rows.as_bytes());
    assert_eq!((counts.of(Outcome::Kept), counts.of(Outcome::Ambiguous), counts.read), (4, 1, 5));
    assert_eq!(text(&files, "ambiguous-a.json"), "{\"u\":\"both\",\"v\":7}\n");
    let kept = "{\"u\":\"no\",\"v\":7,\"w\":\"user_7\"}\n{\"u\":[null],\"v\":7,\"w\":\"user_7\"}\n";
    assert_eq!(text(&files, "rekeyed-a.json"), format!("{passed}{kept}"));
    assert_eq!(left(&files).len(), 5);
}

#[test]
fn ids_of_another_type_count_apart() {
    let mut desk = Desk::new(&["u"]);
    let rows = b"{\"u\":\"7\"}\n{\"u\":7}\n";
    assert_eq!(desk.run("a.json", rows).0.left(), 1);
    desk.terms.loose = true;
    let (counts, _) = desk.run("a.json", rows);
    assert_eq!((counts.left(), counts.loose), (0, 1));
}

#[test]
fn rows_that_end_at_one_user_are_reported_and_pass() {
    let mut desk = Desk::new(&["u", "v=w"]);
    desk.terms.unique = true;
    desk.terms.allow_missing = true;
    // b1 and the ObjectId are one user; the last row is left, so it is no second one; and user_7 is in two fields of one row.
    let rows = "{\"u\":\"b1\"}\n{\"u\":[7,7],\"v\":7}\n{\"u\":{\"$oid\":\"64b0000000000000000000b1\"}}\n{\"u\":\"b2\"}\n{\"u\":\"b2\",\"v\":\"no\"}\n";
    let (counts, files) = desk.run("a.json", rows.as_bytes());
    assert_eq!((counts.same_user, counts.left()), (2, 1));
    let same: Vec<_> = left(&files).into_iter().filter(|(_, _, reason)| reason == "same_user").collect();
    let line = |line| (line, "clerk_user_id".to_owned(), "same_user".to_owned());
    assert_eq!(same, [line(1), line(3)]);
    assert_eq!(text(&files, "rekeyed-a.json").lines().count(), 4);
}

#[test]
fn what_is_left_of_an_array_is_an_array_and_the_rest_are_lines() {
    let row = |user: &str| format!("{{\"u\":\"{user}\"}}");
    let new = |user: &str, number: u8| format!("{{\"u\":\"{user}\",\"clerk_user_id\":\"user_{number}\"}}");
    for (users, expected) in [
        (["b1", "no", "b2"], format!("\u{feff}[ {} ,\n{}\n] ", new("b1", 1), new("b2", 2))),
        (["no", "b1", "no"], format!("\u{feff}[ {}\n] ", new("b1", 1))),
        (["b1", "b2", "no"], format!("\u{feff}[ {} ,\t{}\n] ", new("b1", 1), new("b2", 2))),
        (["no", "no", "no"], "\u{feff}[ \n] ".to_owned()),
    ] {
        let [a, b, c] = users.map(row);
        let desk = Desk::new(&["u"]);
        let (_, files) = desk.run("a.json", format!("\u{feff}[ {a} ,\t{b} ,\n{c}\n] ").as_bytes());
        assert_eq!(text(&files, "rekeyed-a.json"), expected);
        let lost = users.iter().filter(|user| **user == "no").count();
        assert_eq!(text(&files, "unmatched-a.json"), format!("{}\n", row("no")).repeat(lost));
    }
}

#[test]
fn a_row_that_is_left_takes_its_line_end_with_it() {
    let desk = Desk::new(&["u"]);
    let (_, files) = desk.run("a.json", b" {\"u\":7}\r\n\r\n {\"u\":8}\n {\"u\":7} {\"u\":9}");
    assert_eq!(text(&files, "unmatched-a.json"), "{\"u\":8}\n{\"u\":9}");
    let seven = "{\"u\":7,\"clerk_user_id\":\"user_7\"}";
    assert_eq!(text(&files, "rekeyed-a.json"), format!(" {seven}\r\n\r\n  {seven} "));
    let mut desk = Desk::new(&["u"]);
    desk.options = csv();
    let (_, files) = desk.run("a.csv", b"\"u\",a\r\nno,1\r\nb1,2\nno,3\n");
    assert_eq!(text(&files, "unmatched-a.csv"), "\"u\",a\r\nno,1\r\nno,3\n");
    assert_eq!(text(&files, "rekeyed-a.csv"), "\"u\",a,clerk_user_id\r\nb1,2,user_1\n");
}

/// The fixtures of the real programs: `_id` is the reference.
#[test]
fn every_encoding_is_spliced() {
    for name in ["relaxed", "canonical", "v1", "array", "pretty", "pretty-array"] {
        let source = fs::read(fixture(&format!("mongo/{name}.json"))).unwrap();
        let mut desk = Desk::new(&["_id"]);
        desk.terms.id = "none".to_owned();
        let (counts, files) = desk.run("a.json", &source);
        assert_eq!((counts.of(Outcome::Rekeyed), counts.read), (2, 3), "{name}");
        let spliced = text(&files, "rekeyed-a.json");
        assert_eq!(spliced.matches(",\"clerk_user_id\":\"user_").count(), 2);
        let lost = text(&files, "unmatched-a.json");
        let lost = lost.strip_suffix('\n').unwrap();
        let (start, end) = (String::from_utf8(source.clone()).unwrap(), lost.len());
        let at = start.find(lost).unwrap();
        let mut expected = start.clone();
        // The line end of the last row, or the comma before it.
        if name.contains("array") {
            let before = start[..at].trim_end_matches([' ', '\n', '\t', ',']).len();
            expected.replace_range(before..at + end, "");
        } else {
            expected.replace_range(at..at + end + 1, "");
        }
        let without = spliced.replace(",\"clerk_user_id\":\"user_1\"", "").replace(",\"clerk_user_id\":\"user_2\"", "");
        assert_eq!(without, expected, "{name}");
    }
    let mut desk = Desk::new(&["id"]);
    desk.options = csv();
    let source = fs::read_to_string(fixture("postgres/users.csv")).unwrap();
    let (counts, files) = desk.run("a.csv", source.as_bytes());
    assert_eq!(counts.of(Outcome::Rekeyed), 1);
    assert_eq!(text(&files, "rekeyed-a.csv").matches("user_1").count(), 1);
    desk.options = format(Format::Copy { columns: None });
    let source = fs::read(fixture("postgres/users-header.copy")).unwrap();
    assert_eq!(desk.run("a.copy", &source).0.of(Outcome::Rekeyed), 1);
    assert!(String::from_utf8(files["unmatched-a.csv"].clone()).unwrap().starts_with("id,email,"));
}
