//! Files that PostgreSQL and the programs of MongoDB wrote: tests/fixtures/README.md says how.

use rollcall_migrate::input::{Format, Options, Row, Value};

use crate::support::{csv, fixture, format, rows, rows_of, values};

fn postgres(name: &str, options: Options) -> Vec<Row> {
    rows_of(&fixture(&format!("postgres/{name}")), options).unwrap()
}

fn dump(table: &str) -> Options {
    format(Format::PgDump { table: table.to_owned() })
}

fn columns() -> Vec<String> {
    ["id", "email", "name", "confirmed_at", "active", "token", "key", "tags", "meta", "price"]
        .map(str::to_owned)
        .to_vec()
}

#[test]
fn csv_copy_text_and_a_dump_of_one_table_are_equal() {
    let expected = postgres("users.csv", csv());
    assert_eq!(expected.len(), 6);
    let name = |row: &Row| row.value.get("name").unwrap().clone();
    let text = |text: &str| Value::Text(text.to_owned());
    assert_eq!(name(&expected[0]), text("Ann \"A\", Example"));
    assert_eq!(name(&expected[1]), text(""));
    assert_eq!(name(&expected[2]), Value::Null);
    assert_eq!(name(&expected[3]), text("two\nlines\twith a tab, a \\ and a \\N\r\n"));
    assert_eq!(name(&expected[4]), text("\\N"));
    assert_eq!(expected[0].value.get("key"), Some(&text("\\x0001feff")));
    for rows in [
        postgres("users.copy", format(Format::Copy { columns: Some(columns()) })),
        postgres("users-header.copy", format(Format::Copy { columns: None })),
        postgres("dump.sql", dump("public.users")),
    ] {
        assert_eq!(values(&rows), values(&expected));
    }
}

#[test]
fn a_table_of_a_dump_is_found_by_its_quoted_name() {
    let rows = postgres("dump.sql", dump("crm.User notes"));
    let text = |row: &Row| row.value.get("Text").unwrap().clone();
    let texts: Vec<Value> = rows.iter().map(text).collect();
    let expected = ["COPY public.users (id) FROM stdin;", "\\."].map(|text| Value::Text(text.to_owned()));
    assert_eq!(texts, expected);
    assert_eq!(postgres("dump.sql", dump("crm.users")).len(), 1);
    // The dump has `crm.users` as well.
    let error = rows_of(&fixture("postgres/dump.sql"), dump("users")).unwrap_err().to_string();
    assert!(error.contains("the dump has rows of `crm.users` and of `public.users`"), "{error}");
}

#[test]
fn rows_of_another_table_are_not_taken_for_commands() {
    let text = "COPY u (a) FROM stdin;\nCOPY t (a) FROM stdin;\nINSERT INTO t VALUES (1);\n\\.\nCOPY t (a) FROM stdin;\n1\n\\.\n";
    let rows = rows(text.as_bytes(), dump("t")).unwrap();
    assert_eq!(rows.iter().map(|row| row.place.line).collect::<Vec<_>>(), [6]);
}

#[test]
fn other_outputs_of_these_programs_are_refused_with_the_command_to_run() {
    let cases = [
        ("mongo/archive", Options::default(), "an archive of mongodump; dump into a folder"),
        ("mongo/users.csv", Options::default(), "give the option for CSV"),
        ("postgres/dump.sql", Options::default(), "the file is SQL; name the table by option"),
        ("postgres/custom.dump", Options::default(), "pg_restore"),
        ("postgres/custom.dump", dump("users"), "pg_restore"),
        ("postgres/users.binary-copy", csv(), "binary format; make a file of the table with `\\copy"),
        (
            "postgres/inserts.sql",
            dump("users"),
            "the rows of `public.users` are INSERT commands; dump the table with `pg_dump",
        ),
        (
            "postgres/dump.sql",
            dump("user"),
            "no rows of the table `user`; tables with rows: `crm.User notes`, `crm.users`, `public.users`",
        ),
        ("postgres/users.csv", Options::default(), "give the option for CSV"),
        ("postgres/users.copy", Options::default(), "give the option for CSV or COPY text"),
    ];
    for (name, options, expected) in cases {
        let error = rows_of(&fixture(name), options).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("line ") && error.contains("byte "), "{name}: {error}");
    }
}

/// As some columns of other programs' files are named.
#[test]
fn a_column_may_be_named_like_the_sign_of_another_format() {
    for name in ["ORCID", "PAR1", "BZh", "<id>", "PGDMP", "\\.x"] {
        let rows = rows(format!("{name},b\n1,2\n").as_bytes(), csv()).unwrap();
        assert!(rows[0].value.get(name).is_some(), "{name}");
    }
}

/// Absent and null are one, ids are `ObjectId(…)`, and nested values are texts: the better export is JSON.
#[test]
fn csv_of_mongoexport_is_read_as_texts() {
    let rows = rows_of(&fixture("mongo/users.csv"), csv()).unwrap();
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0].value.get("_id"), Some(&Value::Text("ObjectId(64b0000000000000000000b1)".to_owned())));
    assert_eq!(rows[0].value.get("left"), Some(&Value::Null));
    assert_eq!(rows[1].value.get("created_at"), Some(&Value::Null));
}
