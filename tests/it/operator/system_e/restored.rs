//! `rollcall restore` beside the repairs: whole runs, rows of users who are still deleted, and the order of restore and
//! undo.

use rollcall_tests::World;
use serde_json::{Value, json};

use super::{office, over_the_wire, ran, restored, rows, tombstoned};
use crate::operator::commands::{Evidence, rollcall, typed};
use crate::user;

/// A user whom Clerk still has, and whose data were purged. Only rows with the internal id were written since, so the
/// tombstone alone is the proof.
struct Purged {
    world: World,
    users: Vec<String>,
    /// Everything before the purge.
    before: super::Rows,
}

async fn purged() -> Purged {
    let (world, users, _) = office(7).await;
    let before = rows(&world).await;
    tombstoned(&world, &users[0]).await;
    world.follow().await;
    world.wait_hours(25);
    assert_eq!(world.purge_due().await.purges.unwrap().purged, 1);
    assert!(rows(&world).await.len() < before.len());
    Purged { world, users, before }
}

async fn notes(world: &World) -> usize {
    world.operations().await.iter().filter(|row| row["pk"].as_str().unwrap().starts_with("RESTORED#")).count()
}

/// Rows of the internal id alone, written after the purge.
async fn late_note(world: &World, user: &str) {
    let profiles = world.stack.addresses.profiles_table.clone();
    let note = json!({ "pk": format!("USER#{}", world.internal(user)), "sk": "NOTE#1", "text": "late" });
    world.put(&profiles, &note).await;
}

#[tokio::test]
async fn e5_restored_rows_of_a_deleted_user_stay_until_an_operator_says_otherwise() {
    let Purged { world, users, before } = purged().await;
    let file = world.backups().into_keys().next().unwrap();
    let plan = rollcall(&world, &["restore", &file, "--dry-run"], &[]).await;
    assert!(plan.out.contains("still deleted") && plan.out.contains("rollcall undo ID"), "{}", plan.out);
    assert_eq!(notes(&world).await, 0, "a plan notes nothing");
    let back = restored(&world).await;
    assert_eq!((&back["of_deleted_users"], &back["complete"]), (&json!(1), &json!(true)), "{back}");
    assert_eq!((rows(&world).await, notes(&world).await), (before.clone(), 1));
    for command in ["cleanup", "full-sync"] {
        let said = rollcall(&world, &[command, "--yes"], &[]).await;
        assert!(said.status == Some(2) && said.out.contains("whose rows were restored"), "{} {}", said.out, said.err);
        assert!(said.out.contains(&file), "the backup is named: {}", said.out);
        assert_eq!(rows(&world).await, before, "{command}");
    }
    let plan = ran(&world, &["cleanup", "--dry-run"], 2).await;
    let (one, tasks) = (&plan["restored"][0], &plan["tables"]["tasks"]);
    assert_eq!(
        (&plan["users"], &plan["restored_users"], &tasks["restored"]),
        (&json!(0), &json!(1), &json!(2)),
        "{plan}"
    );
    assert_eq!((&one["id"], &one["backup"]), (&json!(users[0]), &json!(file)), "{plan}");
    assert!(one["restored_at"].as_u64().is_some_and(|at| at > 0), "{plan}");
    // A redelivered event changes nothing, and neither does a second restoration.
    let said = rollcall(&world, &["restore", &file, "--yes"], &[]).await;
    assert_eq!(said.out.matches("still deleted in the Directory. ").count(), 1, "said once: {}", said.out);
    let again = restored(&world).await;
    assert_eq!((&again["restored"], &again["unchanged"]["tasks"]), (&json!({}), &json!(2)), "{again}");
    assert_eq!(notes(&world).await, 1);
    // Clerk must not have the user before the rows are removed again.
    world.clerk("DELETE", &format!("/users/{}", users[0]), Value::Null).await;
    let done = ran(&world, &["cleanup", "--restored", "--yes"], 0).await;
    assert_eq!((&done["done"]["users"], &done["done"]["complete"]), (&json!(1), &json!(true)), "{done}");
    assert_eq!(notes(&world).await, 0);
    assert!(!format!("{:?}", rows(&world).await).contains(&users[0]));
    ran(&world, &["cleanup", "--yes"], 0).await;
}

#[tokio::test]
async fn e5_restore_then_undo_and_undo_then_restore_lose_nothing() {
    for undo_first in [false, true] {
        let Purged { world, users, before } = purged().await;
        let undo = || async { assert_eq!(rollcall(&world, &["undo", &users[0], "--yes"], &[]).await.status, Some(0)) };
        let file = world.backups().into_keys().next().unwrap();
        let clean = || async { ran(&world, &["cleanup", "--yes"], if undo_first { 0 } else { 2 }).await };
        if undo_first {
            undo().await;
            world.follow().await;
            clean().await;
            assert_eq!(rollcall(&world, &["restore", &file, "--replace", "--yes"], &[]).await.status, Some(0));
        } else {
            restored(&world).await;
            clean().await;
            assert_eq!(rows(&world).await, before, "between restore and undo");
            undo().await;
            world.follow().await;
        }
        ran(&world, &["cleanup", "--yes"], 0).await;
        assert_eq!((rows(&world).await, notes(&world).await), (before, 0), "undo first: {undo_first}");
        assert!(world.item(&user(&users[0])).await.unwrap()["deleted_at"].is_null());
    }
}

#[tokio::test]
async fn e5_a_later_deletion_of_a_restored_user_is_cleaned_up() {
    let Purged { world, users, .. } = purged().await;
    restored(&world).await;
    // Another undo and deletion write another tombstone; the note is of the first one.
    let note = world.operations().await.into_iter().find(|row| row["pk"].as_str().unwrap().starts_with("RESTORED#"));
    assert_eq!(rollcall(&world, &["undo", &users[0], "--yes"], &[]).await.status, Some(0));
    world.put(&world.stack.addresses.operations_table, &note.unwrap()).await;
    super::deleted(&world, &users[0]).await;
    world.follow().await;
    world.wait_hours(25);
    assert_eq!(world.purge_due().await.purges.unwrap().purged, 1);
    late_note(&world, &users[0]).await;
    let done = ran(&world, &["cleanup", "--yes"], 0).await;
    assert_eq!(done["done"]["users"], 1, "{done}");
}

/// Runs a clean-up, and does something else after its backup and before its first removal.
async fn between<F: Future<Output = ()>>(world: &World, options: &[&str], meanwhile: impl Fn() -> F) -> Evidence {
    let args = [&["cleanup", "--yes", "--json"], options].concat();
    let mut held = world.wire.hold();
    let racing = async {
        let mut is_first = true;
        while let Some(request) = held.recv().await {
            if request.operation == "TransactWriteItems" && is_first {
                is_first = false;
                meanwhile().await;
            }
            request.release();
        }
        unreachable!("the wire goes on")
    };
    let said = tokio::select! {
        said = over_the_wire(world, &args) => said,
        () = racing => unreachable!(),
    };
    assert!(said.out.starts_with('{'), "{} {}", said.out, said.err);
    said
}

#[tokio::test]
async fn i3_an_undo_or_a_restoration_between_backup_and_removal_loses_nothing() {
    // By its internal id alone: Clerk is not asked, and the tombstone is the proof.
    let Purged { world, users, .. } = purged().await;
    late_note(&world, &users[0]).await;
    let before = rows(&world).await;
    let undone = || async {
        assert_eq!(rollcall(&world, &["undo", &users[0], "--yes"], &[]).await.status, Some(0));
    };
    let said = between(&world, &[], undone).await;
    let json = said.json();
    assert_eq!(said.status, Some(2), "{json}");
    assert_eq!((&json["done"]["changed"], &json["done"]["removed"]), (&json!(1), &json!({})), "{json}");
    assert!(before.iter().any(|(_, row)| row.contains_key("text")));
    let after = rows(&world).await;
    assert!(before.iter().all(|row| after.contains(row)), "the row of a live user stays");

    let Purged { world, users, before } = purged().await;
    late_note(&world, &users[0]).await;
    let back = || async { assert!(restored(&world).await["of_deleted_users"].as_u64() > Some(0)) };
    let json = between(&world, &[], back).await.json();
    assert_eq!((&json["done"]["changed"], &json["done"]["removed"]), (&json!(1), &json!({})), "{json}");
    let after = rows(&world).await;
    assert!(before.iter().all(|row| after.contains(row)), "restored rows stay");
}

#[tokio::test]
async fn e5_a_removal_of_restored_rows_deletes_only_the_note_that_it_has_read() {
    let Purged { world, users, .. } = purged().await;
    restored(&world).await;
    world.clerk("DELETE", &format!("/users/{}", users[0]), Value::Null).await;
    let again = || async { drop(restored(&world).await) };
    let said = between(&world, &["--restored"], again).await;
    assert_eq!(said.json()["done"]["users"], 1, "{}", said.out);
    assert_eq!(notes(&world).await, 1, "the note of the later restoration stays");
}

#[tokio::test]
async fn i4_another_deletion_after_the_plan_is_proven_anew() {
    let Purged { world, users, .. } = purged().await;
    late_note(&world, &users[0]).await;
    let before = rows(&world).await;
    // The plan rests on the finished tombstone. Another one, not finished, takes its place: Clerk, which still has the
    // user, was not asked about this deletion.
    let mut another = world.item(&user(&users[0])).await.unwrap();
    let fields = another.as_object_mut().unwrap();
    drop(fields.remove("consequences_at"));
    fields.insert("clerk_user_id".to_owned(), users[0].as_str().into());
    fields.insert("applied_at".to_owned(), world.now().get().into());
    let directory = world.stack.addresses.directory_table.clone();
    let mut held = world.wire.hold();
    let racing = async {
        // The plan reads the Directory and the notes of restorations; the third one reads the tombstone again.
        let mut reads = 0;
        while let Some(request) = held.recv().await {
            reads += u32::from(request.operation == "BatchGetItem");
            if request.operation == "BatchGetItem" && reads == 3 {
                world.put(&directory, &another).await;
            }
            request.release();
        }
        unreachable!("the wire goes on")
    };
    let said = tokio::select! {
        said = over_the_wire(&world, &["cleanup", "--yes", "--json"]) => said,
        () = racing => unreachable!(),
    };
    let json = said.json();
    assert_eq!((&json["users"], &json["done"]["changed"]), (&json!(1), &json!(1)), "{json}");
    assert_eq!(json["done"]["removed"], json!({}), "{json}");
    let after = rows(&world).await;
    assert!(before.iter().all(|row| after.contains(row)));
}

#[tokio::test]
async fn i23_a_row_that_changes_between_backup_and_removal_stays() {
    let Purged { world, users, .. } = purged().await;
    late_note(&world, &users[0]).await;
    let profiles = world.stack.addresses.profiles_table.clone();
    let changed = json!({ "pk": format!("USER#{}", world.internal(&users[0])), "sk": "NOTE#1", "text": "changed" });
    let change = || async { world.put(&profiles, &changed).await };
    let json = between(&world, &[], change).await.json();
    assert_eq!(
        (&json["done"]["kept"], &json["done"]["removed"]),
        (&json!({ profiles.clone(): 1 }), &json!({})),
        "{json}"
    );
    assert!(world.profiles().await.contains(&changed));
    // The next one backs up the new contents.
    ran(&world, &["cleanup", "--yes"], 0).await;
    assert!(world.backups().into_values().any(|text| text.contains("changed")));
}

#[tokio::test]
async fn all_backups_of_a_run_are_restored_together_and_a_second_time_without_harm() {
    let (world, users, _) = office(9).await;
    let before = rows(&world).await;
    for user in &users[1..4] {
        super::deleted(&world, user).await;
    }
    let done = ran(&world, &["cleanup", "--yes"], 0).await;
    let run = done["done"]["run"].as_str().unwrap();
    let removed = done["done"]["removed"].clone();
    assert!(world.backups().keys().all(|file| file.contains(&format!("-{run}-"))), "{run}");
    // Another run, and files that are no backups.
    super::deleted(&world, &users[4]).await;
    let other = ran(&world, &["cleanup", "--yes"], 0).await;
    assert_ne!(other["done"]["run"], run);
    let folder = std::path::PathBuf::from(world.backups().into_keys().next().unwrap());
    std::fs::write(folder.with_file_name("1-x.ndjson"), "not a backup").unwrap();
    std::fs::write(folder.parent().unwrap().parent().unwrap().parent().unwrap().join("stray"), "x").unwrap();

    let plan = ran(&world, &["restore", "--run", run, "--dry-run"], 2).await;
    assert_eq!(
        (&plan["rows"], &plan["backups"], &plan["of_deleted_users"]),
        (&removed, &json!(3), &json!(3)),
        "{plan}"
    );
    let asked = typed(&world, &["restore", "--run", run], "n\r").await;
    assert!(asked.status == Some(2) && asked.out.contains("3 backups") && asked.out.contains("Nothing was restored."));
    assert_eq!(plan["plan"]["to_restore"], removed, "{plan}");
    let back = ran(&world, &["restore", "--run", run, "--yes"], 0).await;
    assert_eq!((&back["restored"], &back["complete"], &back["of_deleted_users"]), (&removed, &json!(true), &json!(3)));
    let plan = ran(&world, &["restore", "--run", run, "--dry-run"], 0).await;
    assert_eq!((&plan["plan"]["unchanged"], &plan["plan"]["to_restore"]), (&removed, &json!({})), "{plan}");
    // A row that has changed since: only --replace overwrites it, and the plan says so.
    let changed = json!({ "mood_id": format!("{}-0", users[1]), "user_id": users[1], "note": "changed" });
    let original = rows(&world).await;
    world.put("moods", &changed).await;
    for (options, kind) in [(&[][..], "taken"), (&["--replace"], "to_replace")] {
        let args = [&["restore", "--run", run, "--dry-run"], options].concat();
        let plan = ran(&world, &args, 2).await;
        assert_eq!(plan["plan"][kind], json!({ "moods": 1 }), "{plan}");
        let said = rollcall(&world, &args, &[]).await;
        assert!(said.out.contains("to overwrite") && said.out.contains("Nothing was restored."), "{}", said.out);
    }
    let said = rollcall(&world, &["restore", "--run", run, "--replace", "--yes"], &[]).await;
    assert_eq!((said.status, rows(&world).await), (Some(0), original), "{} {}", said.out, said.err);
    let again = ran(&world, &["restore", "--run", run, "--yes"], 0).await;
    assert_eq!((&again["restored"], &again["unchanged"]), (&json!({}), &removed), "{again}");
    ran(&world, &["restore", "--run", other["done"]["run"].as_str().unwrap(), "--yes"], 0).await;
    assert_eq!(rows(&world).await, before);
    // One bad backup: nothing is written, and no other run is touched.
    let bad = world.backups().into_keys().find(|file| file.contains(&format!("-{run}-"))).unwrap();
    std::fs::write(&bad, "not a backup").unwrap();
    for (args, status, says) in [
        (&["restore", "--run", run, "--yes"][..], 1, "not a Rollcall backup"),
        (&["restore", "--run", "00000000", "--yes"], 1, "no backups of run 00000000"),
        (&["restore", "--run", "*", "--yes"], 64, "eight hexadecimal digits"),
        (&["restore", "--run", run, &bad, "--yes"], 64, "cannot be used with"),
        (&["restore", "--yes"], 64, "<FILE>..."),
    ] {
        let said = rollcall(&world, args, &[]).await;
        assert_eq!((said.status, said.out.as_str()), (Some(status), ""), "{args:?} {}", said.err);
        assert!(said.err.contains(says), "{args:?} {}", said.err);
    }
}

/// A user whose rows were restored under a tombstone whose grace period is not over, and whom Clerk still has.
async fn restored_before_the_purge() -> Purged {
    let Purged { world, users, before } = purged().await;
    restored(&world).await;
    assert_eq!(rollcall(&world, &["undo", &users[0], "--yes"], &[]).await.status, Some(0));
    tombstoned(&world, &users[0]).await;
    world.follow().await;
    assert_eq!(restored(&world).await["of_deleted_users"], 1);
    assert_eq!(rows(&world).await, before);
    Purged { world, users, before }
}

#[tokio::test]
async fn e5_the_purge_keeps_rows_that_an_operator_has_restored() {
    let Purged { world, users, before } = restored_before_the_purge().await;
    let deletions = rollcall(&world, &["deletions", "--json"], &[]).await;
    assert_eq!((deletions.status, &deletions.json()["state"]), (Some(0), &json!("restored")), "{}", deletions.out);
    for args in [&["cleanup", "--dry-run"][..], &["cleanup", "--restored", "--yes"]] {
        let said = [args, &["--json", "--override", "PURGE_AFTER_HOURS=8760"]].concat();
        let said = rollcall(&world, &said, &[]).await;
        let json = said.json();
        let tasks = &json["tables"]["tasks"];
        assert_eq!((said.status, &tasks["restored"], &tasks["due"]), (Some(2), &json!(2), &json!(0)), "{json}");
    }
    world.wait_hours(25);
    let report = world.purge_due().await.purges.unwrap();
    assert_eq!((report.purged, report.restored, report.failed), (0, 1, 0), "{report:?}");
    assert_eq!((rows(&world).await, notes(&world).await), (before.clone(), 1));
    // The purge is over: the next one, and the nightly run, find nothing to do.
    assert_eq!(world.purge_due().await.purges.unwrap(), rollcall::services::deletion::PurgeReport::default());
    world.reconcile().await;
    assert_eq!(rows(&world).await, before);
    assert_eq!(ran(&world, &["cleanup", "--yes"], 2).await["restored_users"], 1);
    assert_eq!(rollcall(&world, &["undo", &users[0], "--yes"], &[]).await.status, Some(0));
    assert_eq!((rows(&world).await, notes(&world).await), (before, 0));
}

/// The purge has read that there is no restoration, and has begun.
#[tokio::test]
async fn e5_a_restoration_that_begins_during_a_purge_keeps_all_rows() {
    let Purged { world, users, before } = purged().await;
    restored(&world).await;
    assert_eq!(rollcall(&world, &["undo", &users[0], "--yes"], &[]).await.status, Some(0));
    tombstoned(&world, &users[0]).await;
    world.follow().await;
    assert_eq!((rows(&world).await, notes(&world).await), (before.clone(), 0));
    world.wait_hours(25);
    let mut held = world.wire.hold();
    let racing = async {
        let mut is_first = true;
        while let Some(request) = held.recv().await {
            // The backup is written, and the tombstone is read again before the removal.
            let is_removal_next = request.operation == "Query" && request.table.as_deref() == Some("tasks");
            if is_removal_next && std::mem::take(&mut is_first) {
                assert!(restored(&world).await["of_deleted_users"].as_u64() > Some(0));
            }
            request.release();
        }
        unreachable!("the wire goes on")
    };
    let report = tokio::select! {
        report = world.purge_due() => report.purges.unwrap(),
        () = racing => unreachable!(),
    };
    assert_eq!((report.purged, report.restored, report.failed), (0, 1, 0), "{report:?}");
    assert_eq!((rows(&world).await, notes(&world).await), (before, 1));
}

#[tokio::test]
async fn e5_the_nightly_run_and_a_purge_that_has_begun_keep_restored_rows_and_an_erasure_removes_them() {
    for what in ["night", "begun", "erase"] {
        let Purged { world, users, before } = restored_before_the_purge().await;
        match what {
            "night" => {
                world.wait_hours(25);
                world.reconcile().await;
            }
            "begun" => {
                let mut tombstone = world.item(&user(&users[0])).await.unwrap();
                tombstone.as_object_mut().unwrap().insert("purging_at".to_owned(), 1.into());
                world.put(&world.stack.addresses.directory_table, &tombstone).await;
                world.wait_hours(25);
                assert_eq!(world.purge_due().await.purges.unwrap().restored, 1);
                let finished = world.item(&user(&users[0])).await.unwrap();
                assert!(finished["consequences_at"].is_u64() && finished.get("purging_at").is_none(), "{finished}");
            }
            _ => {
                let said = rollcall(&world, &["erase", &users[0], "--now", "--yes"], &[]).await;
                assert_eq!(said.status, Some(0), "{} {}", said.out, said.err);
                assert!(rows(&world).await.len() < before.len());
                assert_eq!(notes(&world).await, 0);
                continue;
            }
        }
        assert_eq!((rows(&world).await, notes(&world).await), (before, 1), "{what}");
    }
}
