//! `rollcall cleanup`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_sdk_dynamodb::types::AttributeValue;
use clerk_emulator::ApiFaults;
use rollcall_tests::owned::Row;
use rollcall_tests::proxy::behind;
use rollcall_tests::{Fault, World};
use serde_json::{Value, json};

use super::{Rows, deleted, killed_before, of, office, over_the_wire, ran, restored, rows, text_row, tombstoned};
use crate::operator::commands::{rollcall, typed};

/// Rows of everybody in every state. Bob was purged, and the application has written since. Cara's purge never came.
struct Scene {
    world: World,
    bob: String,
    cara: String,
    dora: String,
    live: String,
}

async fn scene() -> Scene {
    let (world, users, _) = office(7).await;
    let [bob, cara, dora, live, ..] = users.as_slice() else { unreachable!() };
    deleted(&world, bob).await;
    world.follow().await;
    world.wait_hours(25);
    assert_eq!(world.purge_due().await.purges.unwrap().purged, 1);
    for file in world.backups().into_keys() {
        std::fs::remove_file(file).unwrap();
    }
    world.give_rows(bob, 2, "late").await;
    let profiles = world.stack.addresses.profiles_table.clone();
    let note = json!({ "pk": format!("USER#{}", world.internal(bob)), "sk": "NOTE#1", "text": "late" });
    world.put(&profiles, &note).await;
    deleted(&world, cara).await;
    // Somebody whom Clerk has brought back.
    tombstoned(&world, dora).await;
    // Never known here, and no id of a user at all.
    world.give_rows("user_stranger", 1, "stranger").await;
    let legacy = text_row(&[("user_id", "507f1f77bcf86cd799439011"), ("task_id", "1")]);
    world.put_rows(vec![("tasks", legacy)]).await;
    let (bob, cara, dora, live) = (bob.clone(), cara.clone(), dora.clone(), live.clone());
    Scene { world, bob, cara, dora, live }
}

/// The rows of the two whose deletion can be proven, and all others.
fn split(scene: &Scene, all: Rows) -> (Rows, Rows) {
    let theirs: Vec<_> = [&scene.bob, &scene.cara].into_iter().flat_map(|user| of(&scene.world, &all, user)).collect();
    let theirs: Vec<(String, Row)> = theirs.into_iter().cloned().collect();
    let (theirs, others) = all.into_iter().partition(|row| theirs.contains(row));
    (theirs, others)
}

fn removed(json: &Value) -> u64 {
    json["removed"].as_object().unwrap().values().map(|rows| rows.as_u64().unwrap()).sum()
}

#[tokio::test]
async fn e5_rows_of_proven_deletions_are_removed_and_come_back_from_the_backup() {
    let scene = scene().await;
    let world = &scene.world;
    let before = rows(world).await;
    let (theirs, others) = split(&scene, before.clone());
    assert_eq!(theirs.len(), 7 + 1 + 7 + 2, "late rows and a note of Bob, rows and two records of Cara");
    let plan = ran(world, &["cleanup", "--dry-run"], 2).await;
    assert_eq!((&plan["users"], &plan["live_users"], &plan["held"]), (&json!(2), &json!(4), &json!(false)), "{plan}");
    assert_eq!((&plan["unknown_users"], &plan["conflicts"]), (&json!(1), &json!(1)), "{plan}");
    assert_eq!(plan["ids"], json!({ "unknown": ["user_stranger"], "conflict": [scene.dora] }));
    let tasks = &plan["tables"]["tasks"];
    assert_eq!(
        (&tasks["remove"], &tasks["conflict"], &tasks["unknown"], &tasks["nameless"], &tasks["live"]),
        (&json!(4), &json!(2), &json!(1), &json!(1), &json!(8)),
        "{plan}"
    );
    let text = rollcall(world, &["cleanup", "--dry-run"], &[]).await;
    assert!(text.out.contains("user_stranger") && text.out.contains("concerns 2 users"), "{}", text.out);
    assert!(!text.out.contains("late") && !text.out.contains('@'), "{}", text.out);
    let asked = typed(world, &["cleanup"], "n\r").await;
    assert!(asked.status == Some(2) && asked.out.contains("Nothing was written."), "{}", asked.out);
    // Within the grace period the rows are left to the purge.
    let due = [("PURGE_AFTER_HOURS", "8760")];
    let said = rollcall(world, &["cleanup", "--dry-run", "--json"], &due).await;
    let json = said.json();
    assert_eq!((&json["users"], &json["tables"]["tasks"]["due"]), (&json!(1), &json!(4)), "{json}");
    assert_eq!(rows(world).await, before);
    assert!(world.backups().is_empty());

    let done = ran(world, &["cleanup", "--yes"], 2).await;
    assert_eq!(removed(&done["done"]), u64::try_from(theirs.len()).unwrap(), "{done}");
    assert_eq!(rows(world).await, others);
    assert_eq!(done["done"]["backups"].as_array().unwrap().len(), world.backups().len());
    // The second run has nothing to do, and still names what it leaves to people.
    let again = ran(world, &["cleanup", "--yes"], 2).await;
    assert_eq!((&again["users"], &again["done"]), (&json!(0), &Value::Null), "{again}");
    assert_eq!(again["dry_run"], false, "only --dry-run is a dry run: {again}");
    assert_eq!((&again["unknown_users"], &again["conflicts"]), (&json!(1), &json!(1)));
    assert_eq!(rows(world).await, others);
    let back = restored(world).await;
    assert_eq!(removed(&json!({ "removed": back["restored"] })), u64::try_from(theirs.len()).unwrap(), "{back}");
    assert_eq!(rows(world).await, before);
}

#[tokio::test]
async fn e5_a_policy_that_keeps_rows_keeps_them() {
    let scene = scene().await;
    let world = &scene.world;
    let before = rows(world).await;
    let said = rollcall(world, &["cleanup", "--yes", "--json"], &[("DELETION_POLICY", "retain")]).await;
    let json = said.json();
    assert_eq!(
        (said.status, &json["users"], &json["tables"]["tasks"]["kept"]),
        (Some(2), &json!(0), &json!(6)),
        "{json}"
    );
    assert_eq!(rows(world).await, before);
    let said = rollcall(world, &["cleanup", "--yes", "--json"], &[("DELETION_POLICY", "redact")]).await;
    let (json, after) = (said.json(), rows(world).await);
    assert_eq!((&json["users"], &json["tables"]["tasks"]["remove"]), (&json!(2), &json!(0)), "{json}");
    let profiles = world.stack.addresses.profiles_table.clone();
    assert_eq!(json["done"]["removed"], json!({ profiles.clone(): 3 }), "{json}");
    let in_profiles = |rows: &Rows| rows.iter().filter(|(table, _)| *table == profiles).cloned().collect::<Vec<_>>();
    assert_eq!(after.len(), before.len());
    for (_, row) in of(world, &in_profiles(&after), &scene.bob) {
        assert!(row.contains_key("redacted_at") && !row.contains_key("text"), "{row:?}");
    }
    let again = rollcall(world, &["cleanup", "--yes", "--json"], &[("DELETION_POLICY", "redact")]).await;
    assert_eq!((&again.json()["users"], rows(world).await == after), (&json!(0), true));
    // What an earlier policy has kept stays also under a stricter one.
    world
        .stack
        .dynamodb
        .update_item()
        .table_name(&world.stack.addresses.directory_table)
        .key("pk", AttributeValue::S(format!("USER#{}", world.internal(&scene.cara))))
        .key("sk", AttributeValue::S("USER".to_owned()))
        .update_expression("SET consequences_at = :now")
        .expression_attribute_values(":now", AttributeValue::N("1".to_owned()))
        .send()
        .await
        .unwrap();
    let plan = ran(world, &["cleanup", "--dry-run"], 2).await;
    assert_eq!((&plan["users"], &plan["tables"]["tasks"]["kept"]), (&json!(1), &json!(2)), "{plan}");
}

#[tokio::test]
async fn e5_too_many_users_need_an_approval_of_at_least_their_number() {
    let (world, users, _) = office(3).await;
    for user in &users[1..] {
        deleted(&world, user).await;
    }
    let before = rows(&world).await;
    for (args, says) in [
        (&["cleanup", "--yes"][..], "more than this command changes"),
        (&["cleanup", "--yes", "--approve", "1"], "says 1"),
        (&["full-sync", "--yes", "--approve", "1"], "says 1"),
    ] {
        let said = rollcall(&world, args, &[]).await;
        let err = &said.err;
        assert!(said.status == Some(2) && err.contains(says) && err.contains("--approve 2"), "{} {err}", said.out);
        assert_eq!(rows(&world).await, before);
    }
    let done = ran(&world, &["cleanup", "--yes", "--approve", "2"], 0).await;
    assert_eq!((&done["done"]["users"], removed(&done["done"])), (&json!(2), 18), "{done}");
}

#[tokio::test]
async fn i4_without_a_proof_by_clerk_nothing_is_removed() {
    let scene = scene().await;
    let world = &scene.world;
    let before = rows(world).await;
    // Clerk refuses the key, and a proxy says 404 to everything.
    world.set_faults(ApiFaults { unauthorized: 1.0, ..ApiFaults::default() });
    let said = rollcall(world, &["cleanup", "--yes"], &[("CLERK_RATE_SHARE", "100")]).await;
    assert_eq!((said.status, said.out.as_str()), (Some(1), ""), "{}", said.err);
    world.set_faults(ApiFaults::default());
    let nobody = behind(world, |uri, status, body| {
        let error = json!({ "errors": [{ "code": "resource_not_found", "message": "not found" }] });
        if uri.path().starts_with("/v1/users/") { (404, error) } else { (status, body) }
    });
    let nobody = nobody.await;
    let said = rollcall(world, &["cleanup", "--yes", "--json"], &[("CLERK_API_URL", &nobody)]).await;
    let json = said.json();
    assert_eq!((said.status, &json["users"], &json["unproven_users"]), (Some(2), &json!(0), &json!(3)), "{json}");
    assert_eq!(rows(world).await, before);
    assert!(world.backups().is_empty());

    // Clerk has Cara again between the plan and the removal.
    let (asked, cara) = (Arc::new(AtomicUsize::new(0)), format!("/v1/users/{}", scene.cara));
    let someone = world.clerk("GET", &format!("/users/{}", scene.live), Value::Null).await;
    let id = scene.cara.clone();
    let back = behind(world, move |uri, status, body| {
        if uri.path() != cara || asked.fetch_add(1, Ordering::SeqCst) == 0 {
            return (status, body);
        }
        let mut someone = someone.clone();
        someone["id"] = id.as_str().into();
        (200, someone)
    });
    let said = rollcall(world, &["cleanup", "--yes", "--json"], &[("CLERK_API_URL", &back.await)]).await;
    let json = said.json();
    assert_eq!(
        (&json["users"], &json["done"]["users"], &json["done"]["changed"]),
        (&json!(2), &json!(1), &json!(1)),
        "{json}"
    );
    let after = rows(world).await;
    assert_eq!(of(world, &after, &scene.cara).len(), of(world, &before, &scene.cara).len());
    assert!(of(world, &after, &scene.bob).is_empty());
}

#[tokio::test]
async fn e5_killed_before_any_request_or_throttled_it_is_gone_on_with() {
    let scene = scene().await;
    let world = &scene.world;
    let before = rows(world).await;
    let (_, others) = split(&scene, before.clone());
    let (mut request, mut kills) = (0, 0);
    while !killed_before(world, &["cleanup", "--yes", "--json"], request).await {
        kills += 1;
        let now = rows(world).await;
        assert!(others.iter().all(|row| now.contains(row)), "before request {request}");
        let lost: Vec<_> = before.iter().filter(|row| !now.contains(row)).collect();
        let backups = world.backups().into_values().collect::<String>();
        for (_, row) in lost {
            let key = ["task_id", "date", "mood_id", "sk", "user_id"].iter().find_map(|name| row.get(*name)).unwrap();
            assert!(backups.contains(key.as_s().unwrap()), "before request {request}: {key:?} is in no backup");
        }
        request += 1;
    }
    assert!(kills > 20, "{kills}");
    assert_eq!(rows(world).await, others);
    restored(world).await;
    assert_eq!(rows(world).await, before);
    world.wire.fail_after(9, [Fault::Throttled; 12]);
    let said = over_the_wire(world, &["cleanup", "--restored", "--yes", "--json"]).await;
    assert_eq!(said.status, Some(2), "{}", said.err);
    assert_eq!(rows(world).await, others);
}

#[tokio::test]
async fn i23_a_row_that_got_another_owner_since_stays() {
    let scene = scene().await;
    let world = &scene.world;
    let mut held = world.wire.hold();
    let mood = format!("{}-0", scene.cara);
    let giving = async {
        while let Some(request) = held.recv().await {
            if request.operation == "TransactWriteItems" {
                world.put_rows(vec![("moods", text_row(&[("mood_id", &mood), ("user_id", &scene.live)]))]).await;
            }
            request.release();
        }
        unreachable!("the wire goes on")
    };
    let said = tokio::select! {
        said = over_the_wire(world, &["cleanup", "--yes", "--json"]) => said,
        () = giving => unreachable!(),
    };
    let json = said.json();
    assert_eq!(json["done"]["kept"], json!({ "moods": 1 }), "{json}");
    let mood = ("mood_id".to_owned(), AttributeValue::S(mood));
    let after = rows(world).await;
    let (_, row) = after.iter().find(|(_, row)| row.get(&mood.0) == Some(&mood.1)).unwrap();
    assert_eq!(row["user_id"].as_s().unwrap(), &scene.live);
}
