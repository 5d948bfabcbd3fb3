//! More owned tables than a function's environment has room for.

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use rollcall_tests::owned::Row;
use rollcall_tests::{World, deletion_event};
use serde_json::{Value, json};

use crate::operator::commands::{people, rollcall};
use crate::user;

const TABLES: usize = 24;

fn name(number: usize) -> String {
    format!("the_application_table_number_{number:02}")
}

fn list() -> Value {
    let table = |number| {
        json!({ "table": name(number), "key": "user_id", "sort_key": null, "index": null, "id": "clerk",
            "unique_per_user": true })
    };
    (0..TABLES).map(table).collect()
}

async fn make_tables(world: &World, users: &[String]) {
    let text = ScalarAttributeType::S;
    for number in 0..TABLES {
        let id = AttributeDefinition::builder().attribute_name("user_id").attribute_type(text.clone()).build().unwrap();
        let key = KeySchemaElement::builder().attribute_name("user_id").key_type(KeyType::Hash).build().unwrap();
        let request = world.stack.dynamodb.create_table().table_name(name(number)).attribute_definitions(id);
        request.key_schema(key).billing_mode(BillingMode::PayPerRequest).send().await.unwrap();
        let row = |user: &String| Row::from([("user_id".to_owned(), AttributeValue::S(user.clone()))]);
        let table = name(number);
        world.put_rows(users.iter().map(|user| (table.as_str(), row(user))).collect()).await;
    }
}

async fn rows(world: &World) -> usize {
    let names: Vec<String> = (0..TABLES).map(name).collect();
    world.exactly(&names.iter().map(String::as_str).collect::<Vec<_>>()).await.len()
}

async fn lists(world: &World) -> Vec<Value> {
    world.operations().await.into_iter().filter(|row| row["pk"] == "SETTINGS").collect()
}

#[tokio::test]
async fn fault_b18_a_list_of_24_owned_tables_is_stored_once_and_read_by_the_functions_and_the_commands() {
    let clerk = clerk_emulator::Config { production: true, ..clerk_emulator::Config::default() };
    let world = World::with_clerk(clerk, &[]).await;
    let (users, _) = people(&world, 3).await;
    make_tables(&world, &users).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("owned.json");
    std::fs::write(&file, serde_json::to_string_pretty(&list()).unwrap()).unwrap();
    let path = file.to_str().unwrap();

    let planned = rollcall(&world, &["owned-tables", path, "--dry-run", "--json"], &[]).await;
    assert_eq!((planned.status, lists(&world).await.len()), (Some(0), 0), "{}", planned.err);
    let stored = rollcall(&world, &["owned-tables", path, "--json"], &[]).await;
    assert_eq!((stored.status, stored.json()["tables"].clone()), (Some(0), json!(TABLES)), "{}", stored.err);
    assert_eq!(stored.json()["owned_tables"], planned.json()["owned_tables"], "a plan names what will be there");
    // Twice is once.
    assert_eq!(rollcall(&world, &["owned-tables", path], &[]).await.status, Some(0));
    assert_eq!(lists(&world).await.len(), 1);
    let setting = stored.json()["owned_tables"].as_str().unwrap().to_owned();
    assert!(setting.len() < 50 && list().to_string().len() > 2_000);

    // The functions remove the rows of one user from all 24 tables, and nobody else's.
    let purging = world.beside(&[("DELETION_POLICY", "purge"), ("OWNED_TABLES", &setting)]).await;
    world.set_now(world.now().get() + 60_000);
    assert!(purging.reconcile().await.is_in_sync());
    world.set_now(world.now().get() + 1_000);
    purging.post(&deletion_event("user.deleted", &users[0], world.now().get())).await;
    purging.follow().await;
    world.wait_hours(25);
    assert_eq!(purging.purge_due().await.purges.unwrap().purged, 1);
    assert_eq!(rows(&world).await, (users.len() - 1) * TABLES);

    // So does a command.
    let settings = [("DELETION_POLICY", "purge"), ("OWNED_TABLES", setting.as_str())];
    let erased = rollcall(&world, &["erase", &users[1], "--now", "--yes", "--json"], &settings).await;
    assert_eq!(erased.status, Some(0), "{} {}", erased.out, erased.err);
    assert_eq!(rows(&world).await, (users.len() - 2) * TABLES);

    // Without the list nothing is done: rows would be left behind.
    let before = (world.directory().await, rows(&world).await);
    let erase = ["erase", users[2].as_str(), "--now", "--yes", "--json"];
    let missing = format!("@operations/{}", "0f".repeat(16));
    let unknown = [("DELETION_POLICY", "purge"), ("OWNED_TABLES", missing.as_str())];
    let said = rollcall(&world, &erase, &unknown).await;
    assert_eq!(said.status, Some(1), "{}", said.err);
    assert!(said.err.contains(&missing) && said.err.contains("does not contain this list"), "{}", said.err);
    let mut row = lists(&world).await.remove(0);
    row["value"] = r#"[{"table":"tasks","key":"user_id"}]"#.into();
    world.put(&world.stack.addresses.operations_table, &row).await;
    let said = rollcall(&world, &erase, &settings).await;
    assert_eq!(said.status, Some(1), "{}", said.err);
    assert!(said.err.contains("has been changed"), "{}", said.err);
    assert_eq!((world.directory().await, rows(&world).await), before);
    assert!(world.item(&user(&users[2])).await.unwrap()["deleted_at"].is_null());
}

#[tokio::test]
async fn fault_b18_what_is_no_list_of_owned_tables_is_not_stored() {
    let world = World::with(&[]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("owned.json");
    let profiles = &world.stack.addresses.profiles_table;
    let ours = format!(r#"[{{"table":"{profiles}","key":"pk"}}]"#);
    for (list, problem) in [
        ("[]", "the list is empty"),
        ("tasks", "OWNED_TABLES"),
        ("", "the list is empty"),
        (r#"[{"table":"tasks"}]"#, "OWNED_TABLES"),
        (r#"[{"table":"tasks","key":"user_id"},{"table":"tasks","key":"user_id"}]"#, "OWNED_TABLES"),
        (&ours, "names one of Rollcall's own tables"),
    ] {
        std::fs::write(&file, list).unwrap();
        let said = rollcall(&world, &["owned-tables", file.to_str().unwrap()], &[]).await;
        assert_eq!(said.status, Some(1), "{list}: {}", said.err);
        assert!(said.err.contains(problem), "{list}: {}", said.err);
    }
    let said = rollcall(&world, &["owned-tables", folder.path().join("none").to_str().unwrap()], &[]).await;
    assert_eq!(said.status, Some(1), "{}", said.err);
    assert_eq!(lists(&world).await, Vec::<Value>::new());
}
