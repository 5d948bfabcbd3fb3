//! A2: Clerk ids in tables of DynamoDB, by the real command, against tables that change meanwhile.

use std::collections::BTreeMap;

use rollcall_tests::owned::Row;
use serde_json::{Value, json};

use super::Old;
use crate::operator::commands::{Evidence, rollcall};
use crate::operator::system_e::{killed_before, over_the_wire};

/// Users with old ids `b1`, `b2` …, whose map is made, and an old id without a user: `nobody`.
pub(super) struct Mapped {
    pub(super) old: Old,
    pub(super) users: Vec<String>,
    pub(super) map: String,
}

impl Mapped {
    pub(super) async fn open(users: usize) -> Mapped {
        let old = Old::open().await;
        old.world.make_owned_tables().await;
        let (mut ids, mut rows) = (Vec::new(), vec![json!({ "_id": "nobody" })]);
        for number in 1..=users {
            ids.push(old.user(&format!("b{number}"), json!({})).await);
            rows.push(json!({ "_id": format!("b{number}") }));
        }
        let file = old.rows(&rows);
        let (_, status) = old.report(&file, &["--match-only"]).await;
        assert_eq!(status, Some(2));
        let map = format!("{}.migration", file.display());
        Mapped { old, users: ids, map }
    }

    pub(super) async fn put(&self, table: &str, row: Value) {
        self.old.world.put(table, &row).await;
    }

    pub(super) async fn delete(&self, id: &str) {
        let request = self.old.world.stack.dynamodb.delete_item().table_name("moods");
        let key = aws_sdk_dynamodb::types::AttributeValue::S(id.to_owned());
        request.key("mood_id", key).send().await.unwrap();
    }

    /// The rows of `moods`, by their key.
    pub(super) async fn moods(&self) -> BTreeMap<String, Value> {
        self.all("moods").await.into_iter().map(|row| (row["mood_id"].as_str().unwrap().to_owned(), row)).collect()
    }

    pub(super) async fn all(&self, table: &str) -> Vec<Value> {
        let rows = self.old.world.exactly(&[table]).await;
        let row = |(_, row): (String, Row)| {
            serde_dynamo::from_item(row.into_iter().collect::<std::collections::HashMap<_, _>>()).unwrap()
        };
        rows.into_iter().map(row).collect()
    }

    pub(super) fn args(&self, table: &str, options: &[&str]) -> Vec<String> {
        let folder = self.old.folder.path().join(format!("{table}.rekey"));
        // An undo needs no map.
        let map: &[&str] = if options.contains(&"--undo") { &[] } else { &["--map", &self.map] };
        let args = ["migrate", "rekey-table", table, "--folder", folder.to_str().unwrap(), "--yes"];
        args.iter().chain(map).chain(options).map(|arg| (*arg).to_owned()).collect()
    }

    pub(super) async fn run(&self, table: &str, options: &[&str]) -> Evidence {
        let args = self.args(table, options);
        rollcall(&self.old.world, &args.iter().map(String::as_str).collect::<Vec<_>>(), &[]).await
    }

    pub(super) async fn rekey(&self, options: &[&str]) -> Evidence {
        let args = self.args("moods", &[options, &["--json"]].concat());
        over_the_wire(&self.old.world, &args.iter().map(String::as_str).collect::<Vec<_>>()).await
    }

    fn left(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.old.folder.path().join("moods.rekey/left.ndjson")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Writes to a table of the application since the last time.
    pub(super) fn writes(&self, table: &str) -> Vec<String> {
        let calls = self.old.world.wire.take().into_iter();
        let reads = ["Scan", "GetItem", "DescribeTable", "DescribeTimeToLive", "BatchGetItem", "Query"];
        let of_table = calls.filter(|call| call.table.as_deref() == Some(table));
        of_table.map(|call| call.operation).filter(|name| !reads.contains(&name.as_str())).collect()
    }
}

pub(super) const REFERENCE: [&str; 2] = ["--reference", "user_id"];

pub(super) fn mood(id: &str, user: &str) -> Value {
    json!({ "mood_id": id, "user_id": user, "note": format!("note of {id}"), "n": 1.5 })
}

/// Scenario 9.
#[tokio::test]
async fn a2_rows_that_change_between_scan_and_update_get_their_own_users() {
    let mapped = Mapped::open(3).await;
    for (id, user) in [("r1", "b1"), ("r2", "b1"), ("r3", "b1"), ("r4", "b1"), ("r5", "b1")] {
        mapped.put("moods", mood(id, user)).await;
    }
    let mut r5 = mood("r5", "b1");
    r5["clerk_user_id"] = "user_since".into();
    let mut r3 = mood("r3", "b1");
    r3["clerk_user_id"] = "user_other".into();
    mapped.put("moods", r3.clone()).await;
    let mut held = mapped.old.world.wire.hold();
    let racing = async {
        let mut is_first = true;
        while let Some(request) = held.recv().await {
            if request.operation == "UpdateItem" && std::mem::take(&mut is_first) {
                mapped.delete("r1").await;
                mapped.put("moods", mood("r2", "b2")).await;
                mapped.put("moods", r5.clone()).await;
            }
            request.release();
        }
        unreachable!("the wire goes on")
    };
    let said = tokio::select! {
        said = mapped.rekey(&REFERENCE) => said,
        () = racing => unreachable!(),
    };
    let report = said.json();
    assert_eq!(said.status, Some(2), "{} {}", said.out, said.err);
    let after = mapped.moods().await;
    assert!(!after.contains_key("r1"), "a deleted row is not created again: {after:?}");
    assert_eq!((&after["r2"]["clerk_user_id"], &after["r2"]["user_id"]), (&json!(mapped.users[1]), &json!("b2")));
    assert_eq!((&after["r3"], &after["r5"]), (&r3, &r5), "another Clerk id stays");
    let mut r4 = mood("r4", "b1");
    r4["clerk_user_id"] = mapped.users[0].as_str().into();
    assert_eq!(after["r4"], r4);
    assert_eq!(
        (&report["written"], &report["left"], &report["complete"]),
        (&json!(2), &json!(2), &json!(true)),
        "{report}"
    );
    let mut left: Vec<(Value, Value)> =
        mapped.left().into_iter().map(|line| (line["key"]["mood_id"]["S"].clone(), line["result"].clone())).collect();
    left.sort_by_key(|(id, _)| id.to_string());
    assert_eq!(left, ["r3", "r5"].map(|id| (json!(id), json!("conflict"))));
    // Again: nothing is written.
    mapped.writes("moods");
    drop(held);
    let again = mapped.rekey(&REFERENCE).await;
    assert_eq!((again.status, mapped.writes("moods")), (Some(2), Vec::<String>::new()), "{} {}", again.out, again.err);
    assert_eq!(mapped.moods().await, after);
}

#[tokio::test]
async fn a2_rows_without_a_user_stay_as_they_are_and_are_named() {
    let mapped = Mapped::open(1).await;
    let rows = [
        mood("known", "b1"),
        mood("unknown", "b9"),
        mood("nobody", "nobody"),
        json!({ "mood_id": "missing", "note": "x" }),
        json!({ "mood_id": "nested", "user_id": "b1", "in": { "coach": "b1" } }),
        // Of a user whom the old system never had.
        json!({ "mood_id": "new", "clerk_user_id": "user_new" }),
    ];
    for row in &rows {
        mapped.put("moods", row.clone()).await;
    }
    let said = mapped.rekey(&REFERENCE).await;
    let report = said.json();
    assert_eq!((said.status, &report["written"], &report["left"]), (Some(2), &json!(2), &json!(3)), "{report}");
    let reasons: BTreeMap<String, Value> = mapped
        .left()
        .into_iter()
        .map(|line| (line["key"]["mood_id"]["S"].as_str().unwrap().to_owned(), line["reason"].clone()))
        .collect();
    let expected = [("missing", "missing"), ("nobody", "no_user"), ("unknown", "unknown_id")];
    assert_eq!(reasons, expected.map(|(id, reason)| (id.to_owned(), json!(reason))).into());
    let after = mapped.moods().await;
    assert_eq!(report["plan"]["by_result"]["unchanged"], 1, "{report}");
    for row in rows[1..4].iter().chain([&rows[5]]) {
        assert_eq!(after[row["mood_id"].as_str().unwrap()], *row);
    }
    // The rows are in a file, whole, as an export has them.
    let text = std::fs::read_to_string(mapped.old.folder.path().join("moods.rekey/unmatched.ndjson")).unwrap();
    let whole: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(whole.len(), 3, "{text}");
    assert!(whole.iter().any(|row| row["Item"]["note"]["S"] == "note of unknown"), "{text}");
    // A reference in a map, with the first one.
    let nested = ["--reference", "user_id", "--reference", "in.coach=coach_clerk", "--allow-missing"];
    let args = [&nested[..], &["--folder", "other"]].concat();
    let folder = mapped.old.folder.path().join("other");
    let args: Vec<&str> = args.iter().map(|arg| if *arg == "other" { folder.to_str().unwrap() } else { arg }).collect();
    let mut command = vec!["migrate", "rekey-table", "moods", "--map", &mapped.map, "--yes", "--json"];
    command.extend(&args);
    let said = rollcall(&mapped.old.world, &command, &[]).await;
    assert_eq!((said.status, &said.json()["left"]), (Some(2), &json!(2)), "{} {}", said.out, said.err);
    assert_eq!(mapped.moods().await["nested"]["in"], json!({ "coach": "b1", "coach_clerk": mapped.users[0] }));
}

#[tokio::test]
async fn a2_a_table_is_copied_into_one_with_the_clerk_id_in_its_key() {
    let mapped = Mapped::open(2).await;
    mapped.old.world.make_table("tasks_new", "clerk_user_id", Some("task_id")).await;
    let task = |user: &str, id: &str, note: &str| json!({ "user_id": user, "task_id": id, "note": note });
    for row in [task("b1", "1", "a"), task("b1", "2", "b"), task("b2", "1", "c"), task("b9", "1", "d")] {
        mapped.put("tasks", row).await;
    }
    let taken = json!({ "clerk_user_id": mapped.users[1], "task_id": "1", "note": "of the application" });
    mapped.put("tasks_new", taken.clone()).await;
    let before = mapped.all("tasks").await;
    let run = async || {
        let args = mapped.args("tasks", &["--reference", "user_id", "--into", "tasks_new", "--json"]);
        over_the_wire(&mapped.old.world, &args.iter().map(String::as_str).collect::<Vec<_>>()).await
    };
    let said = run().await;
    let report = said.json();
    assert_eq!(
        (said.status, &report["written"], &report["left"]),
        (Some(2), &json!(2), &json!(2)),
        "{} {}",
        said.out,
        said.err
    );
    let mut new = mapped.all("tasks_new").await;
    new.sort_by_key(ToString::to_string);
    let copy = |id: &str, note: &str| json!({ "clerk_user_id": mapped.users[0], "user_id": "b1", "task_id": id, "note": note });
    let mut expected = vec![copy("1", "a"), copy("2", "b"), taken];
    expected.sort_by_key(ToString::to_string);
    assert_eq!(new, expected);
    assert_eq!(mapped.all("tasks").await, before, "the old table is only read");
    mapped.writes("tasks_new");
    assert_eq!((run().await.status, mapped.writes("tasks_new")), (Some(2), Vec::<String>::new()));
    // A row that the application adds between the read and the write of the copy.
    mapped.put("tasks", task("b2", "7", "old")).await;
    let added = json!({ "clerk_user_id": mapped.users[1], "task_id": "7", "note": "of the application" });
    let mut held = mapped.old.world.wire.hold();
    let racing = async {
        while let Some(request) = held.recv().await {
            if request.operation == "PutItem" && request.table.as_deref() == Some("tasks_new") {
                mapped.put("tasks_new", added.clone()).await;
            }
            request.release();
        }
        unreachable!("the wire goes on")
    };
    let said = tokio::select! {
        said = run() => said,
        () = racing => unreachable!(),
    };
    assert_eq!((said.status, &said.json()["written"]), (Some(2), &json!(0)), "{} {}", said.out, said.err);
    assert!(mapped.all("tasks_new").await.contains(&added), "a row is never replaced");
}

#[tokio::test]
async fn i22_a_rekey_that_is_killed_before_any_request_is_continued() {
    for request in 1.. {
        let mapped = Mapped::open(2).await;
        for (id, user) in [("r1", "b1"), ("r2", "b2"), ("r3", "b9"), ("r4", "b1")] {
            mapped.put("moods", mood(id, user)).await;
        }
        let args = mapped.args("moods", &REFERENCE);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let has_ended = killed_before(&mapped.old.world, &args, request).await;
        let said = mapped.rekey(&REFERENCE).await;
        assert_eq!(said.status, Some(2), "{request}: {} {}", said.out, said.err);
        let after = mapped.moods().await;
        let clerk = |id: &str| after[id]["clerk_user_id"].clone();
        let [one, two] = [&mapped.users[0], &mapped.users[1]].map(|id| json!(id));
        assert_eq!(
            [clerk("r1"), clerk("r2"), clerk("r3"), clerk("r4")],
            [one.clone(), two, Value::Null, one],
            "killed before request {request}"
        );
        let plan = said.json()["plan"].clone();
        assert_eq!(plan["read"], 4, "{plan}");
        // The undo knows also what the killed run has written.
        assert_eq!(mapped.rekey(&["--undo"]).await.status, Some(0));
        assert!(mapped.moods().await.values().all(|row| row["clerk_user_id"].is_null()), "{request}");
        if has_ended {
            assert!(request > 8, "{request}");
            return;
        }
    }
}

#[tokio::test]
async fn a2_what_a_table_cannot_have_is_refused_before_anything_is_written() {
    let mapped = Mapped::open(1).await;
    mapped.put("moods", mood("r1", "b1")).await;
    mapped.old.world.make_table("tasks_new", "clerk_user_id", Some("task_id")).await;
    let before = mapped.moods().await;
    let own = mapped.old.world.stack.addresses.directory_table.clone();
    for (table, options, status, says) in [
        (own.as_str(), &REFERENCE[..], 1, "is a table of Rollcall itself"),
        ("nowhere", &REFERENCE, 1, "does not exist"),
        ("no table!", &REFERENCE, 64, "is not the name of a table"),
        ("moods", &["--reference", "user_id=mood_id"], 1, "in the key of the table"),
        ("moods", &["--reference", "a", "--reference", "b"], 64, "two references have the new field"),
        ("moods", &["--reference", "user_id", "--into", "moods"], 64, "another table"),
        ("moods", &["--reference", "user_id=other", "--into", "tasks_new"], 1, "is in the key of the new table"),
        ("moods", &[], 64, "--reference"),
        ("moods", &["--undo", "--reference", "user_id"], 64, "cannot be used with"),
        ("moods", &["--undo", "--map", "anywhere"], 64, "cannot be used with"),
    ] {
        let args = mapped.args(table, options);
        let said = rollcall(&mapped.old.world, &args.iter().map(String::as_str).collect::<Vec<_>>(), &[]).await;
        assert_eq!((said.status, said.out.as_str()), (Some(status), ""), "{table} {options:?} {}", said.err);
        assert!(said.err.contains(says), "{table} {options:?}: {}", said.err);
    }
    // The map of another instance.
    let run = std::path::Path::new(&mapped.map).join("run.json");
    let text = std::fs::read_to_string(&run).unwrap();
    let mut record: Value = serde_json::from_str(&text).unwrap();
    record["instance"] = "ins_other".into();
    std::fs::write(&run, record.to_string()).unwrap();
    let said = mapped.rekey(&REFERENCE).await;
    assert!(said.status == Some(1) && said.err.contains("ins_other"), "{}", said.err);
    assert_eq!(mapped.moods().await, before);
}

/// A1: the old users are in a table.
#[tokio::test]
async fn a1_a_table_of_old_users_makes_the_plan_of_its_export() {
    let old = Old::open().await;
    old.world.make_owned_tables().await;
    let mut lines = String::new();
    for number in 1..=3 {
        let user = old.user(&format!("u{number}"), json!({})).await;
        let row = json!({ "mood_id": format!("u{number}"), "user_id": user, "plan": "pro", "n": number });
        old.world.put("moods", &row).await;
        let typed = json!({ "Item": { "mood_id": { "S": format!("u{number}") }, "user_id": { "S": user },
                            "plan": { "S": "pro" }, "n": { "N": number.to_string() } } });
        lines.push_str(&format!("{typed}\n"));
    }
    let options =
        ["--legacy-id", "mood_id", "--clerk-id", "user_id", "--field", "plan", "--field", "n", "--dry-run", "--json"];
    let file = old.file("export.json", &lines);
    let (of_export, status) = old.report(&file, &options[..8]).await;
    assert_eq!(status, Some(0), "{of_export}");
    let folder = old.folder.path().join("table");
    let args = ["migrate", "metadata", "--table", "moods", "--folder", folder.to_str().unwrap()];
    let of_table = rollcall(&old.world, &[&args[..], &options].concat(), &[]).await;
    assert_eq!(of_table.json()["plan"]["read"], of_export["plan"]["read"], "{}", of_table.err);
    assert_eq!((of_table.status, &of_table.json()["plan"]["by_result"]), (Some(0), &json!({ "unchanged": 3 })));
    // The stored rows are the input, also when the table changes.
    old.world.put("moods", &json!({ "mood_id": "u4" })).await;
    let again = rollcall(&old.world, &[&args[..], &options].concat(), &[]).await;
    assert_eq!(again.json()["plan"]["read"], 3, "{}", again.err);
}
