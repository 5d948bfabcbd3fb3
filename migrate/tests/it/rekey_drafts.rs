//! Patches, and the proof of what was written.

use std::fs;

use rollcall_migrate::input::Format;
use rollcall_migrate::rekey::outcome::Outcome;
use rollcall_migrate::rekey::terms::Emit;

use crate::rekey::{Desk, left, text};
use crate::support::{fixture, format, gzip};

#[test]
fn a_patch_has_ids_and_new_fields() {
    let oid = "64b0000000000000000000b1";
    let mut desk = Desk::new(&["u", "a.v=w"]);
    desk.terms.emit = Emit::Patch;
    desk.terms.allow_missing = true;
    let rows = format!(
        "{{\"_id\" : {{ \"$oid\" :\n\"{oid}\" }}, \"u\":7}}\n{{\"u\":7,\"_id\":1.10,\"a\":{{\"v\":\"b1\"}}}}\n{{\"_id\":3}}\n{{\"u\":7}}\n{{\"_id\":5,\"u\":7,\"clerk_user_id\":\"user_7\"}}\n"
    );
    let (counts, files) = desk.run("a.json", rows.as_bytes());
    let expected = format!(
        "{{\"_id\":{{\"$oid\":\"{oid}\"}},\"clerk_user_id\":\"user_7\"}}\n{{\"_id\":1.10,\"clerk_user_id\":\"user_7\",\"a.w\":\"user_1\"}}\n"
    );
    assert_eq!(text(&files, "patch-a.json"), expected);
    assert_eq!(text(&files, "unmatched-a.json"), "{\"u\":7}\n");
    assert_eq!(left(&files), [(5, "_id".to_owned(), "no_id".to_owned())]);
    assert_eq!((counts.of(Outcome::Skipped), counts.left()), (4 - counts.of(Outcome::Rekeyed), 1));
    // BSON.
    let mut desk = Desk::new(&["_id"]);
    desk.terms.emit = Emit::Patch;
    desk.terms.id = "email".to_owned();
    let (_, files) = desk.run("users.bson", &fs::read(fixture("mongo/users.bson")).unwrap());
    let patch = text(&files, "patch-users.bson.ndjson");
    assert_eq!(patch.lines().next(), Some("{\"email\":\"ann@example.org\",\"clerk_user_id\":\"user_1\"}"));
    let source = fs::read(fixture("mongo/users.bson")).unwrap();
    assert!(source.ends_with(&files["unmatched-users.bson"]) && files["unmatched-users.bson"].len() > 20);
    // An array.
    let mut desk = Desk::new(&["m.u"]);
    desk.terms.emit = Emit::Patch;
    let error = desk.drafts(&[("a.json", b"{\"_id\":1,\"m\":[{\"u\":7}]}")]).unwrap_err().to_string();
    assert!(
        error.contains("line 1") && error.contains("m.u is in an array") && error.contains("--emit rows"),
        "{error}"
    );
}

#[test]
fn a_patch_of_records_is_csv_and_sql() {
    let mut desk = Desk::new(&["u", "v=w"]);
    desk.terms.emit = Emit::Patch;
    desk.terms.id = "key".to_owned();
    desk.terms.allow_missing = true;
    desk.options = format(Format::Copy { columns: Some(["key", "u", "v"].map(str::to_owned).into()) });
    let (_, files) = desk.run("it's.copy", b"a,\\n1\tb1\t\\N\n2\t\\N\t\\N\n3\tb2\tb1\n4\tno\tb1\n\\N\tb1\tb1\n\\.\n");
    assert_eq!(text(&files, "patch-it's.copy.csv"), "key,clerk_user_id,w\n\"a,\n1\",user_1,\n3,user_2,user_1\n");
    assert_eq!(text(&files, "unmatched-it's.copy"), "4\tno\tb1\n\\N\tb1\tb1\n");
    let sql = text(&files, "patch-it's.copy.sql");
    for part in [
        "\\copy rollcall_patch FROM 'patch-it''s.copy.csv' WITH (FORMAT csv, HEADER)",
        "(\"key\" text PRIMARY KEY, \"clerk_user_id\" text, \"w\" text)",
        "SET \"clerk_user_id\" = coalesce(row.\"clerk_user_id\", patch.\"clerk_user_id\"), \"w\" = ",
        "WHERE row.\"key\"::text = patch.\"key\"",
    ] {
        assert!(sql.contains(part), "{part} in {sql}");
    }
    let mut desk = Desk::new(&["id"]);
    desk.terms.emit = Emit::Patch;
    desk.terms.id = "email".to_owned();
    desk.options = format(Format::PgDump { table: "public.users".to_owned() });
    let (_, files) = desk.run("dump.sql", &fs::read(fixture("postgres/dump.sql")).unwrap());
    assert_eq!(text(&files, "patch-dump.sql.csv"), "email,clerk_user_id\nann@example.org,user_1\n");
    let lost = text(&files, "unmatched-dump.sql");
    assert!(lost.starts_with("id\temail\t") && lost.contains("\n2\tben@example.org\t"), "{lost}");
}

#[test]
fn a_draft_that_lost_or_changed_a_row_is_found() {
    for emit in [Emit::Rows, Emit::Patch] {
        let mut desk = Desk::new(&["u"]);
        desk.terms.emit = emit;
        let rows = b"{\"_id\":1,\"u\":\"b1\"}\n{\"_id\":2,\"u\":\"b2\"}\n{\"_id\":3,\"u\":\"no\"}\n";
        let (rekeyed, folder) = desk.drafts(&[("a.json", rows)]).unwrap();
        let written = &rekeyed.written[0];
        let again =
            || rollcall_migrate::rekey::proof::prove(&folder, written, "_id").map_err(|error| error.to_string());
        assert_eq!(again(), Ok(()));
        let name = if emit == Emit::Rows { "rekeyed-a.json.draft" } else { "patch-a.json.draft" };
        for name in [name, "unmatched-a.json.draft"] {
            let whole = fs::read_to_string(folder.file(name)).unwrap();
            let line = whole.split_inclusive('\n').next().unwrap();
            let last = whole.split_inclusive('\n').next_back().unwrap();
            for damaged in [
                whole.replacen(line, "", 1),
                format!("{whole}{line}"),
                whole.replacen(line, last, 1).replace("\"_id\":3", "\"_id\":4"),
                whole.replacen("\"_id\":1", "\"_id\":7", 1).replacen("\"_id\":3", "\"_id\":7", 1),
            ] {
                if damaged == whole {
                    continue;
                }
                fs::write(folder.file(name), damaged).unwrap();
                assert!(again().unwrap_err().contains("do not have the rows"), "{name}");
            }
            fs::write(folder.file(name), &whole).unwrap();
        }
        assert_eq!(again(), Ok(()));
    }
}

#[test]
fn files_of_one_name_are_refused() {
    let desk = Desk::new(&["u"]);
    let error = desk.drafts(&[("a.json", b""), ("a.json.gz", &gzip(b""))]).unwrap_err().to_string();
    assert!(error.contains("--folder"), "{error}");
    let (rekeyed, _) = desk.drafts(&[("a.json", b"{\"u\":7}"), ("b.json", b"[{\"u\":7}]")]).unwrap();
    assert_eq!((rekeyed.counts.read, rekeyed.written.len()), (2, 2));
}
