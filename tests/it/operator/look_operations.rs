//! What `deletions` and `quarantine` show of the Operations table.

use std::time::{SystemTime, UNIX_EPOCH};

use rollcall::core::id::Key;
use rollcall_tests::World;
use serde_json::{Value, json};

use crate::operator::commands::{Evidence, people, rollcall};
use crate::user;

const HOUR: u64 = 60 * 60 * 1000;

/// The machine's time, by which the binary goes, in Unix ms.
#[expect(clippy::disallowed_methods, reason = "the binary reads the same clock")]
pub(crate) fn machine_time() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

fn lines(said: &Evidence) -> Vec<Value> {
    assert_eq!(said.err, "", "{}", said.out);
    said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn delete(world: &World, id: &str) {
    let data = json!({ "id": id, "object": "user", "deleted": true });
    let event = rollcall_tests::event("user.deleted", &data, world.now().get());
    assert_eq!(world.post(&event).await.status, 200);
    world.follow().await;
}

/// Users of whom each is deleted so many hours ago, by the machine's clock.
async fn leavers(settings: &[(&str, &str)], hours: &[u64]) -> (World, Vec<String>) {
    let world = World::with(settings).await;
    let (users, _) = people(&world, hours.len()).await;
    world.set_now(machine_time() - 40 * HOUR);
    world.reconcile().await;
    world.follow().await;
    for (user, ago) in users.iter().zip(hours) {
        world.set_now(machine_time() - ago * HOUR);
        delete(&world, user).await;
    }
    world.set_now(machine_time());
    (world, users)
}

#[tokio::test]
async fn who_is_due_when_is_shown_in_order_with_what_is_removed_and_until_when_it_can_be_undone() {
    let world = World::start().await;
    let said = rollcall(&world, &["deletions"], &[]).await;
    assert!(said.status == Some(0) && said.out.starts_with("No deletions wait for their purge.\n"), "{}", said.out);
    let said = rollcall(&world, &["deletions", "--json"], &[]).await;
    assert_eq!((said.status, said.out.as_str(), said.err.as_str()), (Some(0), "", ""));

    let (world, users) = leavers(&[("DELETION_POLICY", "purge")], &[1, 25, 10, 30]).await;
    let purge = [("DELETION_POLICY", "purge")];
    let said = rollcall(&world, &["deletions", "--json"], &purge).await;
    let found = lines(&said);
    let expected = [(&users[3], "late"), (&users[1], "due"), (&users[2], "waiting"), (&users[0], "waiting")];
    let shown: Vec<_> =
        found.iter().map(|line| (line["clerk_user_id"].as_str().unwrap(), line["state"].as_str().unwrap())).collect();
    assert_eq!(shown, expected.map(|(user, state)| (user.as_str(), state)));
    assert_eq!(said.status, Some(2), "a purge is late");
    let due = world.item(&user(&users[0])).await.unwrap()["applied_at"].as_u64().unwrap() + 24 * HOUR;
    assert_eq!(
        (&found[3]["due_at"], &found[3]["policy"], &found[3]["can_undo"]),
        (&json!(due), &json!("purge"), &json!(true))
    );
    let said = rollcall(&world, &["deletions"], &purge).await;
    assert!(said.out.contains("until 20") && said.out.contains("until the purge begins"), "{}", said.out);
    assert!(
        said.out.contains("DELETION_POLICY=purge, PURGE_AFTER_HOURS=24: the rows in Profiles are removed"),
        "{}",
        said.out
    );
    assert!(said.out.contains("no attempt is noted") && !said.out.contains('@'), "{}", said.out);
    // A longer grace period applies to deletions that wait.
    let longer = [("DELETION_POLICY", "purge"), ("PURGE_AFTER_HOURS", "48")];
    let found = lines(&rollcall(&world, &["deletions", "--json"], &longer).await);
    assert!(found.iter().all(|line| line["state"] == "waiting") && found[3]["due_at"] == due + 24 * HOUR, "{found:?}");
    // Each is shown once, also page by page.
    let (mut seen, mut after) = (Vec::new(), None::<String>);
    loop {
        let mut args = vec!["deletions", "--limit", "1", "--json"];
        args.extend(after.iter().flat_map(|after| ["--after", after.as_str()]));
        let Some(line) = lines(&rollcall(&world, &args, &purge).await).pop() else { break };
        after = line["position"].as_str().map(str::to_owned);
        seen.push(line["clerk_user_id"].as_str().unwrap().to_owned());
    }
    assert_eq!(seen, expected.map(|(user, _)| user.clone()));
    let said = rollcall(&world, &["deletions", "--limit", "2"], &purge).await;
    assert!(said.out.contains("2 deletions shown; there are more: pass `--after 20"), "{}", said.out);
    // What was undone, or is purged, does not wait any more.
    world.clerk("GET", &format!("/users/{}", users[0]), Value::Null).await;
    assert_eq!(rollcall(&world, &["undo", &users[0], "--yes"], &purge).await.status, Some(0));
    world.purge_due().await;
    let found = lines(&rollcall(&world, &["deletions", "--json"], &purge).await);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["clerk_user_id"], users[2].as_str());
    for args in [&["deletions", "--after", "x"][..], &["deletions", "--limit", "0"]] {
        assert_eq!(rollcall(&world, args, &purge).await.status, Some(64), "{args:?}");
    }
}

#[tokio::test]
async fn a_purge_that_failed_is_shown_with_its_reason_until_it_is_done() {
    // The table has another key than the setting says.
    let wrong = r#"[{"table":"tasks","key":"owner"}]"#;
    let settings = [("DELETION_POLICY", "purge"), ("OWNED_TABLES", wrong)];
    let (world, users) = leavers(&settings, &[25, 1]).await;
    world.make_owned_tables().await;
    assert_eq!(world.purge_due().await.purges.unwrap().failed, 1);
    let said = rollcall(&world, &["deletions", "--failed", "--json"], &settings).await;
    let found = lines(&said);
    assert_eq!((said.status, found.len(), &found[0]["state"]), (Some(2), 1, &json!("failed")), "{found:?}");
    assert_eq!((&found[0]["clerk_user_id"], &found[0]["can_undo"]), (&json!(users[0]), &json!(true)));
    let reason = found[0]["error"].as_str().unwrap();
    assert!(reason.contains("OWNED_TABLES: table tasks: ") && found[0]["failed_at"].is_u64(), "{found:?}");
    let said = rollcall(&world, &["deletions"], &settings).await;
    assert!(
        said.out.contains(reason) && said.out.contains("until the purge begins") && said.out.contains("and in tasks"),
        "{}",
        said.out
    );
    assert!(said.out.contains("1 purge needs an operator"), "{}", said.out);
    // The nightly run fails in the same way, and the note is still that of the purge.
    world.reconcile().await;
    assert_eq!(lines(&rollcall(&world, &["deletions", "--failed", "--json"], &settings).await).len(), 1);
    // Once data are being removed, no undo is possible.
    let mut row = world.item(&user(&users[0])).await.unwrap();
    row["purging_at"] = machine_time().into();
    world.put(&world.stack.addresses.directory_table, &row).await;
    let said = rollcall(&world, &["deletions", "--failed"], &settings).await;
    assert!(said.out.contains("  failed  no more  "), "{}", said.out);
    let right = world.beside(&[("DELETION_POLICY", "purge")]).await;
    assert_eq!(right.purge_due().await.purges.unwrap().purged, 1);
    let said = rollcall(&world, &["deletions", "--failed"], &settings).await;
    assert!(said.status == Some(0) && said.out.starts_with("No failed purges."), "{}", said.out);
}

#[tokio::test]
async fn a_note_or_a_tombstone_that_cannot_be_read_is_shown_and_pending_approvals_are_pointed_to() {
    let (world, users) = leavers(&[], &[25, 1, 2]).await;
    let mut row = world.item(&user(&users[0])).await.unwrap();
    row["rank"] = json!({ "a": 1 });
    world.put(&world.stack.addresses.directory_table, &row).await;
    let id = world.internal(&users[1]).to_string();
    let operations = world.operations().await;
    let mut note = operations.into_iter().find(|note| note["sk"] == id.as_str()).unwrap();
    note["due_at"] = "tomorrow".into();
    world.put(&world.stack.addresses.operations_table, &note).await;
    let said = rollcall(&world, &["deletions", "--json"], &[]).await;
    let states: Vec<_> = lines(&said).iter().map(|line| line["state"].as_str().unwrap().to_owned()).collect();
    assert_eq!((said.status, states), (Some(2), ["unreadable", "waiting", "unreadable"].map(str::to_owned).to_vec()));
    let said = rollcall(&world, &["deletions", "--failed"], &[]).await;
    assert!(said.out.contains(&id) && said.out.contains("2 purges need an operator"), "{}", said.out);

    let world = World::start().await;
    let (users, _) = people(&world, 4).await;
    world.reconcile().await;
    for user in &users[1..] {
        world.clerk("DELETE", &format!("/users/{user}"), Value::Null).await;
    }
    assert_eq!(rollcall(&world, &["reconcile", "--yes"], &[]).await.status, Some(2));
    let said = rollcall(&world, &["deletions"], &[]).await;
    assert!(said.status == Some(2) && said.out.contains("Deletions pending approval: 3 users"), "{}", said.out);
    assert!(said.out.contains("`rollcall reconcile --approve 20"), "{}", said.out);
    let said = rollcall(&world, &["deletions", "--json"], &[]).await;
    let line = lines(&said).pop().unwrap();
    assert_eq!(
        (said.status, &line["state"], &line["pending_approval"]["user"]),
        (Some(2), &json!("pending_approval"), &json!(3))
    );
    let said = rollcall(&world, &["deletions"], &[("DELETION_POLICY", "retain")]).await;
    assert!(said.out.contains("DELETION_POLICY=retain: nothing is removed."), "{}", said.out);
}

#[tokio::test]
async fn what_could_not_be_processed_is_listed_with_what_to_do_and_never_with_its_body() {
    let world = World::start().await;
    let said = rollcall(&world, &["quarantine", "list"], &[]).await;
    assert_eq!((said.status, said.out.as_str(), said.err.as_str()), (Some(0), "", "No notes in quarantine.\n"));
    let said = rollcall(&world, &["quarantine", "list", "--json"], &[]).await;
    assert_eq!((said.status, said.out.as_str(), said.err.as_str()), (Some(0), "", ""));
    let mut messages = Vec::new();
    for days in [0, 0, 3, 80] {
        world.set_now(machine_time() - days * 24 * HOUR);
        let mut event = rollcall_tests::sample("user.updated");
        event["timestamp"] = world.now().get().into();
        event["data"]["updated_at"] = "ada@example.com".into();
        let sent = world.sign(&event);
        assert_eq!(world.send(&sent).await.status, 422);
        messages.push(format!("msg_{}", messages.len()));
    }
    let expected = ["msg_0", "msg_1", "msg_2", "msg_3"];
    let names =
        |lines: Vec<Value>| lines.iter().map(|line| line["sk"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(names(lines(&rollcall(&world, &["quarantine", "list", "--json"], &[]).await)), expected);
    let said = rollcall(&world, &["quarantine", "list"], &[]).await;
    assert_eq!(said.status, Some(0));
    for part in ["msg_3", "user.updated", "data.updated_at", "`rollcall reconcile --local", crate::ADA] {
        assert!(said.out.contains(part), "{part}: {}", said.out);
    }
    let said = rollcall(&world, &["quarantine", "list", "--limit", "3"], &[]).await;
    assert!(
        said.out.contains("3 notes shown; there are more: pass `--after 20") && !said.out.contains("msg_3"),
        "{}",
        said.out
    );
    for limit in ["1", "2", "3"] {
        let (mut seen, mut after) = (Vec::new(), None::<String>);
        loop {
            let mut args = vec!["quarantine", "list", "--limit", limit, "--json"];
            args.extend(after.iter().flat_map(|after| ["--after", after.as_str()]));
            let found = lines(&rollcall(&world, &args, &[]).await);
            let Some(last) = found.last() else { break };
            let text = |name: &str| last[name].as_str().unwrap().to_owned();
            after = Some(format!("{}/{}", text("pk").split_once('#').unwrap().1, text("sk")));
            seen.extend(names(found));
        }
        assert_eq!(seen, expected, "{limit} at a time");
    }
    let said = rollcall(&world, &["quarantine", "get", "msg_2"], &[]).await;
    assert!(
        said.status == Some(0) && said.out.contains("kept until") && said.out.contains("Its body is not stored"),
        "{}",
        said.out
    );
    assert!(!said.out.contains('@'), "{}", said.out);
    let json = rollcall(&world, &["quarantine", "get", "msg_2", "--json"], &[]).await.json();
    assert_eq!((&json["sk"], &json["failed_at"]), (&json!("msg_2"), &json!("data.updated_at")));
    assert!(!json.to_string().contains('@'), "{json}");
    for (id, expected) in [
        ("msg_unknown", "no row for this id"),
        (crate::ADA, "not an id of a message"),
        ("a b", "not an id of a message"),
    ] {
        let said = rollcall(&world, &["quarantine", "get", id], &[]).await;
        assert_eq!((said.status, said.out.as_str()), (Some(1), ""), "{}", said.err);
        assert!(said.err.contains(expected), "{}", said.err);
    }
    assert_eq!(rollcall(&world, &["quarantine", "list", "--after", "x"], &[]).await.status, Some(64));
    // A damaged note is shown as it is.
    let key = Key { pk: format!("QUARANTINE#{}", world.now().utc_date()), sk: "msg_9".to_owned() };
    world.put(&world.stack.addresses.operations_table, &json!({ "pk": key.pk, "sk": key.sk, "type": 7 })).await;
    let said = rollcall(&world, &["quarantine", "list"], &[]).await;
    assert!(said.status == Some(0) && said.out.contains("msg_9"), "{}", said.out);
}
