//! The repairs of whole tables, with the real binary: complete, killed, throttled and repeated.

mod cleanup;
mod duplicates;
mod full_sync;
pub(crate) mod large;
mod partial;
mod profiles;
mod restored;

use std::collections::BTreeMap;
use std::process::Stdio;

use aws_sdk_dynamodb::types::AttributeValue;
use rollcall_cli::dev::record;
use rollcall_tests::owned::Row;
use rollcall_tests::{OWNED_TABLES, TABLES, World};
use serde_json::{Value, json};

use crate::operator::commands::{self, Evidence, binary, people, rollcall};

pub(super) const PURGE: [(&str, &str); 2] = [("DELETION_POLICY", "purge"), ("OWNED_TABLES", OWNED_TABLES)];

/// A world with the four tables of an application, and so many users with two rows in most of them.
pub(super) async fn office(users: usize) -> (World, Vec<String>, String) {
    let world = World::with(&PURGE).await;
    world.make_owned_tables().await;
    let (users, acme) = people(&world, users).await;
    world.set_now(world.now().get() + 60_000);
    assert!(world.reconcile().await.is_in_sync());
    for user in &users {
        world.give_rows(user, 2, user).await;
    }
    (world, users, acme)
}

/// Rows with their tables.
pub(super) type Rows = Vec<(String, Row)>;

/// All rows of Profiles and the four tables.
pub(super) async fn rows(world: &World) -> Rows {
    let profiles = world.stack.addresses.profiles_table.as_str();
    world.exactly(&[&TABLES[..], &[profiles]].concat()).await
}

/// Everything that is stored of anybody.
pub(super) async fn stored(world: &World) -> String {
    format!("{:?}", (world.directory().await, rows(world).await))
}

/// The rows of one user, by either id.
pub(super) fn of<'a>(world: &World, rows: &'a [(String, Row)], user: &str) -> Vec<&'a (String, Row)> {
    let internal = world.internal(user).to_string();
    let names = |value: &AttributeValue| {
        value.as_s().is_ok_and(|text| text == user || *text == internal || *text == format!("USER#{internal}"))
    };
    rows.iter().filter(|(_, row)| row.values().any(names)).collect()
}

/// A user's deletion in Clerk, and its event.
pub(super) async fn deleted(world: &World, user: &str) {
    world.clerk("DELETE", &format!("/users/{user}"), Value::Null).await;
    tombstoned(world, user).await;
}

/// The event of a user's deletion alone.
pub(super) async fn tombstoned(world: &World, user: &str) {
    world.set_now(world.now().get() + 1_000);
    let event = rollcall_tests::deletion_event("user.deleted", user, world.now().get());
    assert_eq!(world.post(&event).await.status, 200);
}

/// Runs a command to its end with JSON, and returns its object.
pub(super) async fn ran(world: &World, args: &[&str], status: i32) -> Value {
    let said = rollcall(world, &[args, &["--json"]].concat(), &[]).await;
    assert_eq!(said.status, Some(status), "{args:?} {} {}", said.out, said.err);
    said.json()
}

/// Runs a command whose requests to DynamoDB go over the wire.
pub(crate) async fn over_the_wire(world: &World, args: &[&str]) -> Evidence {
    let url = world.wire.url().to_owned();
    commands::elsewhere(world, args, move |record| record.addresses.dynamodb = url).await
}

/// Runs a command over the wire, and kills it before its nth request to DynamoDB. Returns whether it ended before that.
pub(crate) async fn killed_before(world: &World, args: &[&str], request: usize) -> bool {
    let mut record = commands::record(world);
    world.wire.url().clone_into(&mut record.addresses.dynamodb);
    let folder = tempfile::tempdir().unwrap();
    let _published = record::publish(&folder.path().join("rollcall"), &record).unwrap();
    let mut command = commands::command(binary().to_str().unwrap(), &[]);
    command.args(args).arg("--local").env("XDG_RUNTIME_DIR", folder.path()).stdout(Stdio::null());
    let mut held = world.wire.hold();
    let mut process = command.spawn().unwrap();
    for _ in 0..request {
        tokio::select! {
            one = held.recv() => one.unwrap().release(),
            ended = process.wait() => {
                assert!(ended.unwrap().code().is_some());
                return true;
            }
        }
    }
    let ended = tokio::select! {
        _ = held.recv() => false,
        _ = process.wait() => true,
    };
    process.kill().await.unwrap();
    drop(held);
    // What was on its way arrives.
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    let _ = world.wire.take();
    ended
}

/// Restores all backups of the world with the real binary.
pub(super) async fn restored(world: &World) -> Value {
    let files: Vec<String> = world.backups().into_keys().collect();
    let args: Vec<&str> = ["restore", "--yes"].into_iter().chain(files.iter().map(String::as_str)).collect();
    let said = rollcall(world, &[args.as_slice(), &["--json"]].concat(), &[]).await;
    assert!(matches!(said.status, Some(0 | 2)), "{} {}", said.out, said.err);
    said.json()
}

/// A row of text attributes.
pub(super) fn text_row(attributes: &[(&str, &str)]) -> Row {
    let one = |(name, text): &(&str, &str)| ((*name).to_owned(), AttributeValue::S((*text).to_owned()));
    attributes.iter().map(one).collect::<BTreeMap<_, _>>()
}

#[tokio::test]
async fn i19_a_table_attribute_or_rule_that_does_not_exist_is_an_error_and_nothing_is_written() {
    let (world, _, _) = office(1).await;
    let before = stored(&world).await;
    let directory = world.stack.addresses.directory_table.clone();
    let rule = format!("{directory}:pk:created_at");
    for (args, status, says) in [
        (&["fix-duplicates", "--table", "nowhere", "--by", "a", "--oldest", "b"][..], 1, "nowhere is neither"),
        (&["fix-duplicates", "--table", &directory, "--by", "pk", "--oldest", "applied_at"], 1, "is neither"),
        (&["fix-duplicates", "--table", "tasks", "--by", "a"], 64, "--oldest"),
        (&["fix-duplicates", "--table", "tasks", "--oldest", "a"], 64, "--by"),
        (&["fix-duplicates", "--table", "tasks", "--by", "a", "--oldest", "b", "--format", "x"], 64, "--format"),
        (&["full-sync", "--duplicates", "nowhere:a:b"], 1, "nowhere is neither"),
        (&["full-sync", "--duplicates", &rule], 1, "is neither"),
        (&["full-sync", "--duplicates", "tasks"], 64, "TABLE:BY"),
        (&["cleanup", "--approve", "many"], 64, "--approve"),
    ] {
        let said = rollcall(&world, &[args, &["--yes"]].concat(), &[]).await;
        assert_eq!((said.status, said.out.as_str()), (Some(status), ""), "{args:?} {}", said.err);
        assert!(said.err.contains(says), "{args:?} {}", said.err);
    }
    // Under another instance's id all keys would be other ones.
    for args in [
        &["fix-profiles"][..],
        &["cleanup"],
        &["fix-duplicates", "--table", "tasks", "--by", "note", "--oldest", "at"],
        &["full-sync"],
    ] {
        let args = [args, &["--yes"]].concat();
        for (setting, says) in [
            (("CLERK_INSTANCE_ID", "ins_other"), "belongs to another Clerk instance"),
            (("PROFILES_TABLE", directory.as_str()), "names the same table"),
        ] {
            let said = rollcall(&world, &args, &[setting]).await;
            assert_eq!((said.status, said.out.as_str()), (Some(1), ""), "{args:?} {}", said.err);
            assert!(said.err.contains(says), "{args:?} {}", said.err);
        }
        let said = rollcall(&world, &args[..args.len() - 1], &[]).await;
        assert_eq!((said.status, said.out.as_str()), (Some(64), ""), "{args:?} {}", said.err);
    }
    assert_eq!(stored(&world).await, before);
    assert!(world.backups().is_empty());
    // A table that OWNED_TABLES names, but that does not exist, is said.
    let more = json!([{ "table": "tasks", "key": "user_id" }, { "table": "gone", "key": "user_id" }]).to_string();
    let said = rollcall(&world, &["cleanup", "--yes"], &[("OWNED_TABLES", &more)]).await;
    assert!(said.status == Some(2) && said.out.contains("Table gone does not exist"), "{} {}", said.out, said.err);
    let wrong = json!([{ "table": "tasks", "key": "owner" }]).to_string();
    let said = rollcall(&world, &["cleanup", "--yes"], &[("OWNED_TABLES", &wrong)]).await;
    assert_eq!((said.status, said.out.as_str()), (Some(1), ""), "{}", said.err);
}
