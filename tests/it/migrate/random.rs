//! I22: random migrations of metadata, killed at a random request, with a Clerk that fails now and then and users who change
//! meanwhile. The counts add up, nobody is changed twice, a second run sends nothing, and an undo restores what still has
//! the value of the migration.

use std::collections::BTreeMap;
use std::process::Stdio;

use clerk_emulator::ApiFaults;
use rollcall_cli::dev::record;
use rollcall_tests::{Point, Wire};
use serde_json::{Map, Value, json};

use super::Old;
use crate::operator::commands::{self, binary, command};

/// Migrations of one run of the tests. By hand: `ROLLCALL_MIGRATIONS=300`.
const MIGRATIONS: u64 = 6;

fn merged(current: &Value, patch: &Value) -> Value {
    let (Some(current), Some(patch)) = (current.as_object(), patch.as_object()) else { return patch.clone() };
    let mut result = current.clone();
    for (key, value) in patch {
        let inner = current.get(key).cloned().unwrap_or(json!({}));
        result.insert(key.clone(), if value.is_object() { merged(&inner, value) } else { value.clone() });
    }
    result.into()
}

fn random_value(random: &mut fastrand::Rng) -> Value {
    match random.u8(0..6) {
        0 => json!("coach"),
        1 => json!("client"),
        2 => json!(true),
        3 => json!(1.5),
        4 => json!({ "org_a": "coach" }),
        _ => json!({ "org_a": "client", "org_b": ["x"] }),
    }
}

fn random_fields(random: &mut fastrand::Rng) -> Map<String, Value> {
    let mut fields = Map::new();
    for key in ["a", "b", "c"] {
        if random.bool() {
            fields.insert(key.to_owned(), random_value(random));
        }
    }
    fields
}

async fn migration(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let old = Old::open().await;
    let (mut before, mut rows, mut expected) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
    for number in 0..random.usize(5..40) {
        let metadata: Value = random_fields(&mut random).into();
        let user = old.user(&format!("u{number}"), metadata.clone()).await;
        let fields: Value = random_fields(&mut random).into();
        let mut row = fields.clone();
        row["_id"] = format!("u{number}").into();
        rows.push(row.clone());
        expected.insert(user.clone(), merged(&metadata, &fields));
        before.insert(user.clone(), metadata.clone());
        // An old id that two rows have is nobody's.
        if random.u8(0..10) == 0 {
            rows.push(row);
            expected.insert(user, metadata);
        }
    }
    for number in 0..random.usize(0..4) {
        rows.push(json!({ "_id": format!("nobody{number}"), "a": 1 }));
    }
    random.shuffle(&mut rows);
    let total = u64::try_from(rows.len()).unwrap();
    let file = old.rows(&rows);
    let options = ["--field", "a", "--field", "b", "--field", "c", "--on-conflict", "source"];
    kill_one(&old, &file, &options, random.usize(1..30), if random.bool() { Point::Request } else { Point::Answer })
        .await;
    old.world.set_faults(ApiFaults { too_many_requests: 0.05, server_error: 0.05, ..ApiFaults::default() });
    let mut done = Value::Null;
    for _ in 0..6 {
        let (report, _) = old.report(&file, &options).await;
        done = report["done"].as_object().map_or(report["plan"].clone(), |done| done.clone().into());
        let sum: u64 = done["by_result"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
        assert_eq!((sum, &done["read"]), (total, &json!(total)), "{seed}: {done}");
        if done["by_result"]["failed"].is_null() {
            break;
        }
    }
    assert!(done["by_result"]["failed"].is_null(), "{seed}: {done}");
    old.world.set_faults(ApiFaults::default());
    for (user, expected) in &expected {
        assert_eq!(old.metadata_of(user).await, *expected, "{seed}: {user}");
    }
    let patches = old.patches();
    let (again, _) = old.report(&file, &options).await;
    assert_eq!((old.patches(), &again["done"]), (patches, &Value::Null), "{seed}: a second run sends nothing");
    // Somebody changes a value that the migration wrote.
    let changed = expected.iter().find(|(user, now)| **now != before[*user] && now["a"] != before[*user]["a"]);
    let changed = changed.map(|(user, _)| user.clone());
    if let Some(user) = &changed {
        let body = json!({ "public_metadata": { "a": "changed since" } });
        old.world.clerk("PATCH", &format!("/users/{user}/metadata"), body).await;
    }
    let (undone, status) = old.report(&file, &["--undo"]).await;
    assert_eq!(status, Some(if changed.is_some() { 2 } else { 0 }), "{seed}: {undone}");
    for (user, before) in &before {
        let now = old.metadata_of(user).await;
        if changed.as_ref() == Some(user) {
            assert_eq!(now["a"], "changed since", "{seed}");
        } else {
            assert_eq!(now, *before, "{seed}: {user}");
        }
    }
}

/// Runs the migration, and kills it at one request to Clerk.
async fn kill_one(old: &Old, file: &std::path::Path, options: &[&str], at: usize, point: Point) {
    let wire = Wire::start(old.world.stack.addresses.clerk.clone()).await;
    let folder = tempfile::tempdir().unwrap();
    let mut record = commands::record(&old.world);
    record.settings.insert("CLERK_API_URL".to_owned(), wire.url().to_owned());
    let _published = record::publish(&folder.path().join("rollcall"), &record).unwrap();
    let mut held = wire.hold_at(point);
    let mut killed = command(binary().to_str().unwrap(), &[]);
    killed.args(["migrate", "metadata", file.to_str().unwrap(), "--yes", "--local"]).args(options);
    killed.env("XDG_RUNTIME_DIR", folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut process = killed.spawn().unwrap();
    let mut requests = 0;
    loop {
        tokio::select! {
            Some(request) = held.recv() => {
                requests += 1;
                if requests == at {
                    process.kill().await.unwrap();
                    return;
                }
                request.release();
            }
            _ = process.wait() => return,
        }
    }
}

#[tokio::test]
async fn i22_a_random_migration_loses_no_row_changes_nobody_twice_and_can_be_undone() {
    #[expect(clippy::disallowed_methods, reason = "a number for a run by hand")]
    let migrations = std::env::var("ROLLCALL_MIGRATIONS").ok().and_then(|number| number.parse().ok());
    for seed in 0..migrations.unwrap_or(MIGRATIONS) {
        println!("seed {seed}");
        migration(seed).await;
    }
}
