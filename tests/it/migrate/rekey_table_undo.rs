//! A2: what an undo of Clerk ids in a table takes back, and what it leaves.

use rollcall_tests::{ATTEMPTS, Call, Fault};
use serde_json::{Value, json};

use super::rekey_table::{Mapped, REFERENCE, mood};
use crate::operator::commands::rollcall;
use crate::operator::system_e::over_the_wire;

#[tokio::test]
async fn a2_an_undo_removes_what_was_written_and_nothing_else() {
    let mapped = Mapped::open(2).await;
    let mut by_application = mood("r3", "b2");
    by_application["clerk_user_id"] = mapped.users[1].as_str().into();
    for row in [mood("r1", "b1"), mood("r2", "b2"), mood("r4", "b1"), by_application.clone()] {
        mapped.put("moods", row).await;
    }
    assert_eq!(mapped.rekey(&REFERENCE).await.status, Some(0));
    let mut changed = mood("r4", "b1");
    changed["clerk_user_id"] = "user_since".into();
    mapped.put("moods", changed.clone()).await;
    let plan = mapped.rekey(&["--undo", "--dry-run"]).await;
    assert_eq!((plan.status, &plan.json()["values"]), (Some(2), &json!(3)), "{} {}", plan.out, plan.err);
    let undone = mapped.rekey(&["--undo"]).await;
    let expected = json!({ "removed": 2, "absent": 0, "changed_since": 1, "refused": 0 });
    assert_eq!((undone.status, &undone.json()["undone"]), (Some(2), &expected), "{} {}", undone.out, undone.err);
    let rows = [mood("r1", "b1"), mood("r2", "b2"), by_application, changed];
    let rows = rows.into_iter().map(|row| (row["mood_id"].as_str().unwrap().to_owned(), row));
    assert_eq!(mapped.moods().await, rows.collect());
    let kept = std::fs::read_to_string(mapped.old.folder.path().join("moods.rekey/kept.ndjson")).unwrap();
    assert_eq!(kept, "{\"key\":{\"mood_id\":{\"S\":\"r4\"}},\"path\":[\"clerk_user_id\"]}\n");
    // The application writes the same value again: it is its own now, whatever an earlier run wrote.
    let mut again = mood("r1", "b1");
    again["clerk_user_id"] = mapped.users[0].as_str().into();
    mapped.put("moods", again.clone()).await;
    let twice = mapped.rekey(&["--undo"]).await;
    assert_eq!((twice.status, twice.json()), (Some(0), json!({ "dry_run": false, "values": 0 })));
    assert_eq!(mapped.moods().await["r1"], again);
    // What is written after an undo is undone as well.
    assert_eq!(mapped.rekey(&REFERENCE).await.status, Some(2));
    assert_eq!(mapped.moods().await["r2"]["clerk_user_id"], json!(mapped.users[1]));
    let third = mapped.rekey(&["--undo"]).await.json();
    assert_eq!(third["undone"], json!({ "removed": 1, "absent": 0, "changed_since": 0, "refused": 0 }), "{third}");
}

/// Two references, of which the application has written one.
#[tokio::test]
async fn a2_an_undo_keeps_a_clerk_id_that_was_there_before() {
    let mapped = Mapped::open(2).await;
    let row = |coach: Option<&str>, client: Option<&str>| {
        let mut row = json!({ "mood_id": "r1", "user_id": "b1", "client_id": "b2" });
        for (name, value) in [("coach", coach), ("client", client)] {
            if let Some(value) = value {
                row[name] = value.into();
            }
        }
        row
    };
    let (one, two) = (mapped.users[0].as_str(), mapped.users[1].as_str());
    mapped.put("moods", row(Some(one), None)).await;
    let references = ["--reference", "user_id=coach", "--reference", "client_id=client"];
    let said = mapped.rekey(&references).await;
    assert_eq!(said.status, Some(0), "{} {}", said.out, said.err);
    assert_eq!(mapped.moods().await["r1"], row(Some(one), Some(two)));
    let undone = mapped.rekey(&["--undo"]).await.json();
    assert_eq!((&undone["values"], &undone["undone"]["removed"]), (&json!(1), &json!(1)), "{undone}");
    assert_eq!(mapped.moods().await["r1"], row(Some(one), None), "the application's own value stays");
    // What was there vanishes between scan and write: it is written, and is the command's then.
    let mut held = mapped.old.world.wire.hold();
    let racing = async {
        let mut is_first = true;
        while let Some(request) = held.recv().await {
            if request.operation == "UpdateItem" && std::mem::take(&mut is_first) {
                mapped.put("moods", row(None, None)).await;
            }
            request.release();
        }
        unreachable!("the wire goes on")
    };
    let said = tokio::select! {
        said = mapped.rekey(&references) => said,
        () = racing => unreachable!(),
    };
    drop(held);
    assert_eq!((said.status, &mapped.moods().await["r1"]), (Some(0), &row(Some(one), Some(two))), "{}", said.err);
    assert_eq!(mapped.rekey(&["--undo"]).await.status, Some(0));
    assert_eq!(mapped.moods().await["r1"], row(None, None));
}

/// After the last step of a switch-over the application writes the new attribute alone.
#[tokio::test]
async fn a2_an_undo_leaves_each_row_a_reference() {
    let mapped = Mapped::open(2).await;
    let row = |id: &str, coach: Value| json!({ "mood_id": id, "coach_id": coach });
    for (id, coach) in [("r1", "b1"), ("r2", "b1"), ("r3", "b2"), ("r4", "b2"), ("r5", "b1")] {
        mapped.put("moods", row(id, json!(coach))).await;
    }
    assert_eq!(mapped.rekey(&["--reference", "coach_id=coach"]).await.status, Some(0));
    let with = |mut row: Value, at: usize| {
        row["coach"] = json!(mapped.users[at]);
        row
    };
    let removed = with(json!({ "mood_id": "r1" }), 0);
    let emptied = with(row("r2", Value::Null), 0);
    let blank = with(row("r5", json!("")), 0);
    // Another reference: it may lead to nobody.
    let moved = with(row("r3", json!("b9")), 1);
    for row in [&removed, &emptied, &blank, &moved] {
        mapped.put("moods", row.clone()).await;
    }
    let undone = mapped.rekey(&["--undo"]).await;
    let expected = json!({ "removed": 1, "absent": 0, "changed_since": 4, "refused": 0 });
    assert_eq!((undone.status, &undone.json()["undone"]), (Some(2), &expected), "{}", undone.err);
    let after = mapped.moods().await;
    assert_eq!(["r1", "r2", "r5", "r3"].map(|id| &after[id]), [&removed, &emptied, &blank, &moved]);
    let kept = std::fs::read_to_string(mapped.old.folder.path().join("moods.rekey/kept.ndjson")).unwrap();
    assert_eq!(kept.lines().count(), 4, "{kept}");
}

#[tokio::test]
async fn a2_an_undo_without_its_journal_fails_and_double_lines_count_once() {
    let mapped = Mapped::open(2).await;
    for (id, user) in [("r1", "b1"), ("r2", "b2")] {
        mapped.put("moods", mood(id, user)).await;
    }
    assert_eq!(mapped.rekey(&REFERENCE).await.status, Some(0));
    let journal = mapped.old.folder.path().join("moods.rekey/journal.ndjson");
    let lines = std::fs::read_to_string(&journal).unwrap();
    // As a run that was interrupted and repeated leaves it.
    std::fs::write(&journal, format!("{lines}{lines}")).unwrap();
    let plan = mapped.rekey(&["--undo", "--dry-run"]).await.json();
    assert_eq!(plan["values"], 2, "{plan}");
    // A second run writes nothing, and its report says so.
    assert_eq!(mapped.rekey(&REFERENCE).await.json()["written"], 0);
    for is_empty in [true, false] {
        if is_empty {
            std::fs::write(&journal, "").unwrap();
        } else {
            std::fs::remove_file(&journal).unwrap();
        }
        for args in [&["--undo"][..], &REFERENCE, &["--reference", "user_id=other"]] {
            let said = mapped.rekey(args).await;
            assert_eq!((said.status, said.out.as_str()), (Some(1), ""), "{}", said.err);
            let is_told =
                said.err.contains("journal.ndjson is missing or empty") || said.err.contains("belongs to another");
            assert!(is_told, "{}", said.err);
        }
    }
    std::fs::write(&journal, format!("{lines}{lines}")).unwrap();
    let undone = mapped.rekey(&["--undo"]).await.json();
    assert_eq!(undone["undone"], json!({ "removed": 2, "absent": 0, "changed_since": 0, "refused": 0 }), "{undone}");
    // The same after an undo.
    assert_eq!(mapped.rekey(&REFERENCE).await.json()["written"], 2);
    std::fs::remove_file(&journal).unwrap();
    assert_eq!(mapped.rekey(&["--undo"]).await.status, Some(1));
}

/// The application has the new attribute in its schema, without a value.
#[tokio::test]
async fn a2_a_null_gets_the_clerk_id_and_an_undo_makes_it_null_again() {
    let mapped = Mapped::open(2).await;
    let with = |id: &str, value: Value| {
        let mut row = mood(id, "b1");
        row["clerk_user_id"] = value;
        row
    };
    mapped.put("moods", with("r1", Value::Null)).await;
    mapped.put("moods", with("r2", Value::Null)).await;
    // A row gets another user between scan and write.
    let mut held = mapped.old.world.wire.hold();
    let racing = async {
        let mut is_first = true;
        while let Some(request) = held.recv().await {
            if request.operation == "UpdateItem" && std::mem::take(&mut is_first) {
                mapped.put("moods", with("r2", json!("user_other"))).await;
            }
            request.release();
        }
        unreachable!("the wire goes on")
    };
    let said = tokio::select! {
        said = mapped.rekey(&REFERENCE) => said,
        () = racing => unreachable!(),
    };
    drop(held);
    assert_eq!((said.status, &said.json()["written"]), (Some(2), &json!(1)), "{}", said.err);
    let after = mapped.moods().await;
    assert_eq!((&after["r1"], &after["r2"]), (&with("r1", json!(mapped.users[0])), &with("r2", json!("user_other"))));
    let undone = mapped.rekey(&["--undo"]).await.json();
    let expected = json!({ "removed": 1, "absent": 0, "changed_since": 1, "refused": 0 });
    assert_eq!(undone["undone"], expected, "{undone}");
    assert_eq!(mapped.moods().await["r1"], with("r1", Value::Null));
}

#[tokio::test]
async fn a2_an_undo_names_the_folder_that_it_cannot_use() {
    let mapped = Mapped::open(1).await;
    mapped.old.world.make_table("tasks_new", "clerk_user_id", Some("task_id")).await;
    mapped.put("tasks", json!({ "user_id": "b1", "task_id": "1" })).await;
    let copy = ["--reference", "user_id", "--into", "tasks_new"];
    assert_eq!(mapped.run("tasks", &[&copy[..], &["--dry-run"]].concat()).await.status, Some(2));
    let nothing = mapped.run("tasks", &["--undo", "--json"]).await;
    assert_eq!((nothing.status, &nothing.json()["values"]), (Some(0), &json!(0)), "{}", nothing.err);
    assert_eq!(mapped.run("tasks", &copy).await.status, Some(0));
    let before = mapped.all("tasks_new").await;
    let said = mapped.run("tasks", &["--undo"]).await;
    assert_eq!((said.status, said.out.as_str()), (Some(1), ""), "{}", said.err);
    let why =
        "rows of tasks were copied to tasks_new, and tasks was not changed: an undo is to delete the table tasks_new";
    assert!(said.err.contains(why), "{}", said.err);
    assert_eq!(mapped.all("tasks_new").await, before);
    let folder = |name: &str| mapped.old.folder.path().join(name).to_str().unwrap().to_owned();
    for (name, why) in [
        ("users.json.migration", "is a folder of `rollcall migrate metadata`: name another folder (--folder)"),
        ("tasks.rekey", "is the folder of the table tasks: name the folder of moods (--folder)"),
        ("nowhere", "is no folder of this command: name the folder with --folder"),
    ] {
        let args = ["migrate", "rekey-table", "moods", "--undo", "--yes", "--folder", &folder(name)];
        let said = rollcall(&mapped.old.world, &args, &[]).await;
        assert_eq!((said.status, said.out.as_str()), (Some(1), ""), "{}", said.err);
        assert!(said.err.contains(why), "{}", said.err);
    }
}

#[tokio::test]
async fn a2_throttled_writes_are_repeated_and_lost_answers_do_not_count_twice() {
    let mapped = Mapped::open(1).await;
    mapped.old.world.make_table("tasks_new", "clerk_user_id", Some("task_id")).await;
    for id in ["r1", "r2", "r3"] {
        mapped.put("moods", mood(id, "b1")).await;
        mapped.put("tasks", json!({ "user_id": "b1", "task_id": id, "text": "x".repeat(3000) })).await;
    }
    let wire = &mapped.old.world.wire;
    let requests = async |args: &[String]| {
        wire.take();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let said = over_the_wire(&mapped.old.world, &args).await;
        (said, wire.take())
    };
    let of = |calls: &[Call], name: &str| calls.iter().filter(|call| call.operation == name).count();
    // The plan and the scan come before the writes. Each write fails more often than the client repeats it.
    let plan = requests(&mapped.args("moods", &[&REFERENCE[..], &["--dry-run"]].concat())).await.1.len();
    wire.fail_after(plan + 1, [Fault::Throttled; 3 * ATTEMPTS + 1]);
    let (said, calls) = requests(&mapped.args("moods", &[&REFERENCE[..], &["--json"]].concat())).await;
    assert_eq!((said.status, &said.json()["written"]), (Some(0), &json!(3)), "{} {}", said.out, said.err);
    assert_eq!(of(&calls, "UpdateItem"), 3 + 3 * ATTEMPTS + 1);
    let copy = ["--reference", "user_id", "--into", "tasks_new"];
    let plan = requests(&mapped.args("tasks", &[&copy[..], &["--dry-run"]].concat())).await.1.len();
    wire.fail_after(plan + 1 + 3, [Fault::LostAnswer; 3]);
    let (said, calls) = requests(&mapped.args("tasks", &[&copy[..], &["--json"]].concat())).await;
    assert_eq!((said.status, &said.json()["written"]), (Some(0), &json!(3)), "{} {}", said.out, said.err);
    assert!(of(&calls, "PutItem") > 3, "no answer was lost: {calls:?}");
    assert_eq!(mapped.all("tasks_new").await.len(), 3);
}

#[tokio::test]
async fn a2_the_plan_says_what_the_writes_cost_and_write_units_limit_them() {
    let mapped = Mapped::open(1).await;
    for number in 0..6 {
        let mut row = mood(&format!("r{number}"), "b1");
        row["text"] = "x".repeat(1500 * (number % 3)).into();
        mapped.put("moods", row).await;
    }
    let plan = mapped.run("moods", &[&REFERENCE[..], &["--dry-run"]].concat()).await;
    // More than 3 KB, more than 1 KB, and less than 1 KB, twice each; 10 KB in all.
    assert!(
        plan.out.contains("Cost: about 3 read units for each pass over the table, and about 14 write units."),
        "{}",
        plan.out
    );
    mapped.old.world.wire.take();
    let begin = std::time::Instant::now();
    let said = mapped.rekey(&[&REFERENCE[..], &["--write-units", "6"]].concat()).await;
    let (report, took) = (said.json(), begin.elapsed());
    let calls = mapped.old.world.wire.take();
    let units: f64 = calls.iter().filter(|call| call.operation == "UpdateItem").map(|call| call.units).sum();
    assert_eq!((said.status, report["plan"]["write_units"].as_f64()), (Some(0), Some(units)), "{report}");
    // A pause of a sixth of a second for each unit: a lower bound, which a slow machine does not break.
    assert!(took.as_secs_f64() > 1.5, "{took:?}");
}
