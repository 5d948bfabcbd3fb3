//! `rollcall analyze`: what teams had scripts for, with the real binary.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use rollcall_tests::World;
use serde_json::{Value, json};

use crate::operator::commands::{Evidence, people, rollcall};

/// Everything that an analysis must not touch.
async fn tables(world: &World) -> (Vec<Value>, Vec<Value>) {
    (world.directory().await, world.profiles().await)
}

async fn analyze(world: &World, environment: &[(&str, &str)]) -> (Evidence, Value) {
    let before = tables(world).await;
    let said = rollcall(world, &["analyze", "--json"], environment).await;
    assert_eq!(tables(world).await, before, "it only reads");
    let json = said.json();
    assert_eq!(json["in_sync"], said.status == Some(0), "{json}");
    (said, json)
}

async fn ended(world: &World, user: &str) {
    let data = json!({ "id": user, "object": "user", "deleted": true });
    let event = rollcall_tests::event("user.deleted", &data, world.now().get());
    assert_eq!(world.post(&event).await.status, 200);
}

async fn put(world: &World, table: &str, row: Value) {
    let row: HashMap<String, AttributeValue> = serde_dynamo::to_item(row).unwrap();
    world.stack.dynamodb.put_item().table_name(table).set_item(Some(row)).send().await.unwrap();
}

async fn remove(world: &World, table: &str, row: &Value) {
    let text = |name: &str| AttributeValue::S(row[name].as_str().unwrap().to_owned());
    let request = world.stack.dynamodb.delete_item().table_name(table).key("pk", text("pk")).key("sk", text("sk"));
    request.send().await.unwrap();
}

/// A Directory that has everybody, and no record of anybody: as if all of them had been lost.
async fn filled(world: &World) {
    world.reconcile().await;
    for record in world.profiles().await {
        remove(world, &world.stack.addresses.profiles_table, &record).await;
    }
}

#[tokio::test]
async fn e3_every_user_is_in_step_or_counted_as_what_is_wrong() {
    let world = World::start().await;
    let (users, acme) = people(&world, 7).await;
    let [fine, bare, deleted, gone, renamed, back, forgotten] = users.as_slice() else { unreachable!() };
    filled(&world).await;
    for user in [fine, deleted, gone, renamed, back, forgotten] {
        assert_eq!(world.ensure(&world.session(user, Some(&acme))).await.status, 201);
    }
    world.set_now(world.now().get() + 1_000);
    // One was deleted everywhere, but the application's record stayed.
    ended(&world, deleted).await;
    world.clerk("DELETE", &format!("/users/{deleted}"), Value::Null).await;
    let mut finished = world.item(&crate::user(deleted)).await.unwrap();
    finished["consequences_at"] = world.now().get().into();
    put(&world, &world.stack.addresses.directory_table, finished).await;
    // Of these Clerk's events were lost.
    world.clerk("DELETE", &format!("/users/{gone}"), Value::Null).await;
    world.clerk("PATCH", &format!("/users/{renamed}"), json!({ "first_name": "Nobody" })).await;
    world.clerk("POST", "/users", json!({ "email_address": ["new@example.com"] })).await;
    // One was restored in Clerk.
    ended(&world, back).await;
    // And one record is of somebody who was never known.
    let stray = json!({ "pk": "USER#00000000-0000-5000-8000-000000000000", "sk": "PROFILE", "mood": "lost" });
    put(&world, &world.stack.addresses.profiles_table, stray).await;

    let (said, json) = analyze(&world, &[]).await;
    assert_eq!((said.status, &json["complete"]), (Some(2), &json!(true)));
    let expected = json!({
        "in_sync": 3, "missing": 1, "outdated": 1, "behind": 0, "tied": 0, "absent": 1, "orphaned": 0, "pending_approval": 0,
        "conflict": 1, "ahead": 0, "unproven": 0, "unreadable": 0, "unmirrored": 0, "unconfirmed": 0, "misplaced": 0,
        "without_profile": 1, "without_owner": 2, "kept": 1,
    });
    // Of the one who was restored in Clerk the grace period is not over.
    assert_eq!(json["user"], expected, "fine, bare and forgotten are in sync; {bare} has no record");
    assert_eq!(json["profiles"]["read"], 13);

    let said = rollcall(&world, &["analyze"], &[]).await;
    let users = said.out.lines().find(|line| line.trim_start().starts_with("users")).unwrap();
    let users: Vec<&str> = users.split_whitespace().skip(1).collect();
    assert_eq!((said.status, users), (Some(2), vec!["3", "1", "1", "1", "1", "2", "1", "0"]), "{}", said.out);
    assert!(said.out.contains("`rollcall reconcile --local") && said.out.contains("docs/operations.md"));
    assert!(!said.out.contains('@') && !said.err.contains('@'), "nobody's address: {} {}", said.out, said.err);

    // Where deletions keep everything, a record of somebody deleted is where it belongs.
    let (_, json) = analyze(&world, &[("DELETION_POLICY", "retain")]).await;
    assert_eq!((&json["user"]["without_owner"], &json["user"]["kept"]), (&json!(1), &json!(2)));
}

#[tokio::test]
async fn b7_every_member_has_a_record_none_is_orphaned_and_none_is_there_twice() {
    let world = World::start().await;
    let (users, acme) = people(&world, 3).await;
    let closing = json!({ "name": "Closing", "created_by": users[2] });
    let closing = world.clerk("POST", "/organizations", closing).await["id"].as_str().unwrap().to_owned();
    let (directory, profiles) = (&world.stack.addresses.directory_table, &world.stack.addresses.profiles_table);
    filled(&world).await;
    world.ensure(&world.session(&users[0], Some(&acme))).await;
    world.ensure(&world.session(&users[1], None)).await;
    // The same membership again, under a key that is not its own: no key allows it twice under its own.
    let rows = world.directory().await;
    let is_of = |row: &&Value, user: &str| row["clerk_user_id"] == user && row["membership_id"].is_string();
    let mut twin = rows.iter().find(|row| is_of(row, &users[0])).unwrap().clone();
    twin["pk"] = "USER#00000000-0000-5000-8000-000000000000".into();
    put(&world, directory, twin.clone()).await;
    let stray = json!({ "pk": rows[0]["pk"], "sk": "ORG#org_unknown" });
    assert!(stray["pk"].as_str().unwrap().starts_with("ORG#"), "an organization's, which has no records");
    put(&world, profiles, stray.clone()).await;
    let of_nobody = json!({ "pk": twin["pk"], "sk": format!("ORG#{acme}") });
    put(&world, profiles, of_nobody.clone()).await;

    // An organization has ended, its membership not yet: nobody owes that a record.
    world.clerk("DELETE", &format!("/organizations/{closing}"), Value::Null).await;
    let data = json!({ "id": closing, "object": "organization", "deleted": true });
    let event = rollcall_tests::event("organization.deleted", &data, world.now().get() + 1_000);
    assert_eq!(world.post(&event).await.status, 200);

    let (_, json) = analyze(&world, &[]).await;
    let membership = &json["membership"];
    assert_eq!((&membership["orphaned"], &membership["absent"]), (&json!(1), &json!(0)), "{json}");
    assert_eq!((&membership["in_sync"], &membership["misplaced"]), (&json!(3), &json!(1)), "{json}");
    assert_eq!((&membership["without_profile"], &membership["without_owner"]), (&json!(2), &json!(1)), "{json}");
    assert_eq!((&json["user"]["without_profile"], &json["profiles"]["strange"]), (&json!(1), &json!(1)), "{json}");

    remove(&world, directory, &twin).await;
    remove(&world, profiles, &stray).await;
    remove(&world, profiles, &of_nobody).await;
    for user in &users[1..] {
        world.ensure(&world.session(user, Some(&acme))).await;
    }
    assert_eq!(rollcall(&world, &["reconcile", "--yes"], &[]).await.status, Some(0));
    let (said, json) = analyze(&world, &[]).await;
    assert_eq!((said.status, &json["membership"]["in_sync"]), (Some(0), &json!(3)), "{json}");
    let said = rollcall(&world, &["analyze"], &[]).await;
    assert!(said.out.ends_with("All in sync.\n"), "{}", said.out);
}

#[tokio::test]
async fn e11_tables_of_many_pages_are_read_to_their_ends() {
    let world = World::start().await;
    let (users, _) = people(&world, 1).await;
    filled(&world).await;
    world.ensure(&world.session(&users[0], None)).await;
    let profiles = &world.stack.addresses.profiles_table;
    for number in 0..2_050 {
        put(&world, profiles, json!({ "pk": format!("USER#{number}"), "sk": "PROFILE" })).await;
    }
    let (_, json) = analyze(&world, &[]).await;
    assert_eq!((&json["profiles"]["read"], &json["user"]["without_owner"]), (&json!(2_051), &json!(2_050)), "{json}");
}

#[tokio::test]
async fn without_a_mirror_records_are_held_against_the_deleted_alone() {
    let off = [("MIRROR", "off")];
    let world = World::with(&off).await;
    let (users, acme) = people(&world, 3).await;
    world.reconcile().await;
    for user in &users[..2] {
        assert_eq!(world.ensure(&world.session(user, Some(&acme))).await.status, 201);
    }
    let (said, json) = analyze(&world, &off).await;
    assert_eq!(
        (said.status, &json["mirror"], &json["profiles"]["read"]),
        (Some(0), &json!(false), &json!(4)),
        "{json}"
    );
    ended(&world, &users[0]).await;
    world.clerk("DELETE", &format!("/users/{}", users[0]), Value::Null).await;
    let (_, json) = analyze(&world, &off).await;
    // Until the grace period is over they are kept.
    let kept = |kind: &str| json[kind]["kept"].as_u64().unwrap();
    assert_eq!((kept("user"), kept("membership")), (1, 1), "{json}");
    let said = rollcall(&world, &["analyze"], &off).await;
    assert!(said.out.contains("MIRROR=off"), "{}", said.out);
}
