//! I22: random migrations of metadata, killed at a random request, with a Clerk that fails now and then and users who change
//! meanwhile. The counts add up, nobody is changed twice, a second run sends nothing, and an undo restores what still has
//! the value of the migration.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use bson::Bson;
use clerk_emulator::ApiFaults;
use flate2::Compression;
use flate2::write::GzEncoder;
use rollcall_cli::dev::record;
use rollcall_tests::{Point, Wire};
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::process::Command;

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

/// The rows as a file of a random format.
fn written(old: &Old, rows: &[Value], random: &mut fastrand::Rng) -> PathBuf {
    let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
    let pretty: String = rows.iter().map(|row| serde_json::to_string_pretty(row).unwrap()).collect();
    let documents = || {
        let document = |row: &Value| match bson(row) {
            Bson::Document(document) => document.to_vec().unwrap(),
            other => panic!("{other}"),
        };
        rows.iter().flat_map(document).collect::<Vec<u8>>()
    };
    let (name, bytes) = match random.u8(0..6) {
        0 => ("users.json", lines.into_bytes()),
        1 => ("users.json", Value::from(rows).to_string().into_bytes()),
        2 => ("users.json", pretty.into_bytes()),
        3 => ("users.bson", documents()),
        4 => ("users.bson.gz", packed(&documents())),
        _ => ("users.json.gz", packed(lines.as_bytes())),
    };
    let path = old.folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn bson(value: &Value) -> Bson {
    match value {
        Value::Null => Bson::Null,
        Value::Bool(bool) => Bson::Boolean(*bool),
        Value::Number(number) => number.as_i64().map_or(Bson::Double(number.as_f64().unwrap()), Bson::Int64),
        Value::String(text) => Bson::String(text.clone()),
        Value::Array(values) => Bson::Array(values.iter().map(bson).collect()),
        Value::Object(object) => Bson::Document(object.iter().map(|(key, value)| (key.clone(), bson(value))).collect()),
    }
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

/// A user in Clerk, and what a row has to name the user; nothing if the row must not find the user.
async fn user(old: &Old, number: usize, metadata: &Value, random: &mut fastrand::Rng) -> (String, Value, bool) {
    let (way, address) = (random.u8(0..6), format!("u{number}@x.org"));
    let mut user = json!({ "email_address": [address], "public_metadata": metadata });
    if way == 0 {
        user["external_id"] = format!("u{number}").into();
    }
    if way == 5 {
        user["email_address_identification_status"] = json!(["reserved"]);
    }
    let id = old.world.clerk("POST", "/users", user).await["id"].as_str().unwrap().to_owned();
    let (row, is_found) = match way {
        // Both ids lead to one user.
        0 if random.bool() => (json!({ "clerk": id }), true),
        0 => (json!({}), true),
        1 | 2 => (json!({ "clerk": id }), true),
        3 => (json!({ "email": format!(" {} ", address.to_uppercase()), "proven": true }), true),
        // The old system had no proof; Clerk has none.
        4 => (json!({ "email": address, "proven": null }), false),
        _ => (json!({ "email": address, "proven": true }), false),
    };
    let mut row = row;
    row["_id"] = format!("u{number}").into();
    (id, row, is_found)
}

/// What is known of a migration.
struct Known {
    seed: u64,
    /// The metadata before the migration, with what others have changed meanwhile.
    before: BTreeMap<String, Value>,
    /// What the rows add to each user.
    fields: BTreeMap<String, Value>,
}

impl Known {
    fn expected(&self, user: &str) -> Value {
        self.fields.get(user).map_or(self.before[user].clone(), |fields| merged(&self.before[user], fields))
    }

    async fn check(&self, old: &Old) {
        for user in self.before.keys() {
            assert_eq!(old.metadata_of(user).await, self.expected(user), "{}: {user}", self.seed);
        }
    }
}

async fn everybody(old: &Old) -> BTreeMap<String, Value> {
    let users = old.world.clerk("GET", "/users?limit=500", Value::Null).await;
    users.as_array().unwrap().iter().map(|user| (user["id"].as_str().unwrap().to_owned(), user.clone())).collect()
}

async fn migration(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let old = Old::open().await;
    let mut known = Known { seed, before: BTreeMap::new(), fields: BTreeMap::new() };
    let mut rows = Vec::new();
    for number in 0..random.usize(5..40) {
        let metadata: Value = random_fields(&mut random).into();
        let (user, mut row, is_found) = user(&old, number, &metadata, &mut random).await;
        known.before.insert(user.clone(), metadata);
        let fields = random_fields(&mut random);
        row.as_object_mut().unwrap().extend(fields.clone());
        match random.u8(0..12) {
            // An old id that two rows have is nobody's.
            0 => rows.extend([row.clone(), row]),
            // Nobody's row: the user is a bystander.
            1 => {}
            2 => {
                row["deleted"] = true.into();
                rows.push(row);
            }
            _ => {
                rows.push(row);
                if is_found {
                    known.fields.insert(user, fields.into());
                }
            }
        }
    }
    for number in 0..random.usize(0..4) {
        // The id of another instance; the address of a bystander.
        let address = format!("bystander{number}@x.org");
        let user = old.world.clerk("POST", "/users", json!({ "email_address": [address] })).await;
        known.before.insert(user["id"].as_str().unwrap().to_owned(), json!({}));
        let id = format!("nobody{number}");
        rows.push(json!({ "_id": id, "clerk": "user_gone", "email": address, "proven": true, "a": 1 }));
    }
    // Every field of the options is in some row: a name that no row has is refused.
    rows.push(json!({ "_id": "all", "clerk": "user_gone", "email": "all@x.org", "a": 1, "b": 1, "c": 1 }));
    random.shuffle(&mut rows);
    let total = u64::try_from(rows.len()).unwrap();
    let file = written(&old, &rows, &mut random);
    let mut options = vec!["--field", "a", "--field", "b", "--field", "c", "--on-conflict", "source"];
    options.extend(["--clerk-id", "clerk", "--email", "email", "--email-proof", "proven", "--deleted", "deleted"]);
    options.extend(["--match-email", "--trust-imported-addresses"]);
    // The first one still hears of an answer that the killed command does not get.
    let counter = Wire::start(old.world.stack.addresses.clerk.clone()).await;
    let wire = Wire::start(counter.url().to_owned()).await;
    let untouched = everybody(&old).await;
    kill_one(&old, &wire, &file, &options, &mut random, &mut known).await;
    old.world.set_faults(ApiFaults { too_many_requests: 0.05, server_error: 0.05, ..ApiFaults::default() });
    let mut done = Value::Null;
    for _ in 0..6 {
        let report = on_wire(&old, &wire, &file, &options).await;
        done = report["done"].as_object().map_or(report["plan"].clone(), |done| done.clone().into());
        let sum: u64 = done["by_result"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
        assert_eq!((sum, &done["read"]), (total, &json!(total)), "{seed}: {done}");
        if done["by_result"]["failed"].is_null() {
            break;
        }
    }
    assert!(done["by_result"]["failed"].is_null(), "{seed}: {done}");
    old.world.set_faults(ApiFaults::default());
    let numbers: Vec<u64> =
        Old::lines_in(&file, "plan.ndjson").iter().filter_map(|line| line["row"].as_u64()).collect();
    assert!(numbers.iter().copied().eq(1..=total), "{seed}: a line for each row, in order");
    known.check(&old).await;
    // Clerk has changed nobody twice, and nobody without a reason.
    let mut changed: Vec<String> = Vec::new();
    for call in counter.take().into_iter().filter(|call| call.operation.ends_with("/metadata") && call.status == 200) {
        let user = call.operation.rsplit('/').nth(1).unwrap().to_owned();
        assert!(!changed.contains(&user), "{seed}: {user} was changed twice");
        assert_ne!(known.expected(&user), known.before[&user], "{seed}: {user}");
        changed.push(user);
    }
    for (user, now) in everybody(&old).await {
        let is_same = known.expected(&user) == known.before[&user];
        if is_same && untouched[&user]["public_metadata"] == known.before[&user] {
            assert_eq!(now, untouched[&user], "{seed}: nothing else is touched");
        }
    }
    let patches = old.patches();
    let (again, _) = old.report(&file, &options).await;
    assert_eq!((old.patches(), &again["done"]), (patches, &Value::Null), "{seed}: a second run sends nothing");
    undone(&old, &file, &known).await;
}

/// Somebody changes a value that the migration wrote, and the migration is undone.
async fn undone(old: &Old, file: &Path, known: &Known) {
    let seed = known.seed;
    let changed = known.before.keys().find(|user| known.expected(user)["a"] != known.before[*user]["a"]);
    if let Some(user) = changed {
        let body = json!({ "public_metadata": { "a": "changed since" } });
        old.world.clerk("PATCH", &format!("/users/{user}/metadata"), body).await;
    }
    let (undone, status) = old.report(file, &["--undo"]).await;
    assert_eq!(status, Some(if changed.is_some() { 2 } else { 0 }), "{seed}: {undone}");
    for (user, before) in &known.before {
        let mut expected = before.clone();
        if changed == Some(user) {
            expected["a"] = "changed since".into();
        }
        assert_eq!(old.metadata_of(user).await, expected, "{seed}: {user}");
    }
}

/// The command, with a wire between it and Clerk. The record lives as long as the folder and the guard.
pub(super) fn prepared(old: &Old, wire: &Wire, file: &Path, options: &[&str]) -> (Command, TempDir, record::Published) {
    let folder = tempfile::tempdir().unwrap();
    let mut record = commands::record(&old.world);
    record.settings.insert("CLERK_API_URL".to_owned(), wire.url().to_owned());
    let published = record::publish(&folder.path().join("rollcall"), &record).unwrap();
    let mut command = command(binary().to_str().unwrap(), &[]);
    command.args(["migrate", "metadata", file.to_str().unwrap(), "--yes", "--json", "--local"]).args(options);
    command.env("XDG_RUNTIME_DIR", folder.path());
    (command, folder, published)
}

async fn on_wire(old: &Old, wire: &Wire, file: &Path, options: &[&str]) -> Value {
    let (command, _folder, _published) = prepared(old, wire, file, options);
    let said = commands::finish(command).await;
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {}", said.err))
}

/// Runs the migration, and kills it at one request to Clerk. Meanwhile somebody changes a user.
async fn kill_one(
    old: &Old,
    wire: &Wire,
    file: &Path,
    options: &[&str],
    random: &mut fastrand::Rng,
    known: &mut Known,
) {
    let point = if random.bool() { Point::Request } else { Point::Answer };
    let (at, changed_at) = (random.usize(1..45), random.usize(1..6));
    let (mut command, _folder, _published) = prepared(old, wire, file, options);
    let mut held = wire.hold_at(point);
    let mut process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut requests = 0;
    loop {
        tokio::select! {
            Some(request) = held.recv() => {
                requests += 1;
                // Between the reading right before a write and the write, a change would be lost.
                if requests == changed_at && !request.writes && point == Point::Request {
                    let user = random.choice(known.before.keys()).unwrap().clone();
                    let change = json!({ "a": random_value(random), "other": "somebody's" });
                    let body = json!({ "public_metadata": change });
                    old.world.clerk("PATCH", &format!("/users/{user}/metadata"), body).await;
                    let before = merged(&known.before[&user], &change);
                    known.before.insert(user, before);
                }
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
