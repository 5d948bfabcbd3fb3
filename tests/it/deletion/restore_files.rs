//! Files that `rollcall restore` may not believe: whatever is wrong with one, nothing is written.

use std::io::Write;

use rollcall_tests::{OWNED_TABLES, World, deletion_event};
use serde_json::{Value, json};

use crate::operator::commands::{elsewhere, people, rollcall};

const PURGE: [(&str, &str); 2] = [("DELETION_POLICY", "purge"), ("OWNED_TABLES", OWNED_TABLES)];

async fn everything(world: &World) -> (Vec<Value>, Vec<Value>, Vec<Value>, Vec<(String, rollcall_tests::owned::Row)>) {
    (world.directory().await, world.profiles().await, world.operations().await, world.owned().await)
}

#[tokio::test]
async fn fault_s2_forty_bad_backups_write_nothing() {
    let world = World::with(&PURGE).await;
    world.make_owned_tables().await;
    let (users, _) = people(&world, 2).await;
    let (ada, eve) = (&users[0], &users[1]);
    world.set_now(world.now().get() + 60_000);
    assert!(world.reconcile().await.is_in_sync());
    for user in &users {
        world.give_rows(user, 2, user).await;
    }
    world.set_now(world.now().get() + 1_000);
    world.post(&deletion_event("user.deleted", ada, world.now().get())).await;
    world.follow().await;
    world.wait_hours(25);
    assert_eq!(world.purge_due().await.purges.unwrap().purged, 1);
    let good = world.backups().into_values().next().unwrap();
    let lines: Vec<Value> = good.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (header, rows) = (&lines[0], &lines[1..]);
    let of = |table: &str| rows.iter().find(|row| row["table"] == table).unwrap().clone();
    let addresses = &world.stack.addresses;
    let (task, mood, profile) = (of("tasks"), of("moods"), of(&addresses.profiles_table));
    let file = |lines: &[&Value]| lines.iter().fold(String::new(), |text, line| text + &line.to_string() + "\n");
    // A change of one line, behind a good one: nothing of the file may be written, not even that.
    let with = |line: &Value, change: &dyn Fn(&mut Value)| {
        let mut changed = line.clone();
        change(&mut changed);
        file(&[header, &profile, &changed]).into_bytes()
    };
    let with_header = |change: &dyn Fn(&mut Value)| {
        let mut changed = header.clone();
        change(&mut changed);
        file(&[&changed, &task]).into_bytes()
    };
    let table = |name: &str| with(&task, &|line| line["table"] = name.into());
    let (eves, internal) = (format!("USER#{}", world.internal(eve)), world.internal(eve).to_string());
    let gzip = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3].repeat(10_000);
    let deep = |levels: usize| format!("{}{}{}", r#"{"L":["#.repeat(levels), r#"{"S":"x"}"#, "]}".repeat(levels));
    let text = |line: &Value, from: &str, to: &str| {
        let changed = line.to_string().replacen(from, to, 1);
        assert_ne!(changed, line.to_string(), "{from}");
        format!("{header}\n{profile}\n{changed}\n").into_bytes()
    };
    let bad: Vec<(&str, Vec<u8>)> = vec![
        ("another table", table("payments")),
        ("the Directory", table(&addresses.directory_table)),
        ("Operations", table(&addresses.operations_table)),
        (
            "the Directory by ARN",
            table(&format!("arn:aws:dynamodb:eu-west-1:123456789012:table/{}", addresses.directory_table)),
        ),
        ("another table by ARN", table("arn:aws:dynamodb:eu-west-1:123456789012:table/payments")),
        ("an index by ARN", table("arn:aws:dynamodb:eu-west-1:123456789012:table/moods/index/by_user")),
        ("no table", table("")),
        ("a path for a table", table("../tasks")),
        ("a task among the moods", table("moods")),
        ("a task among the profiles", table(&addresses.profiles_table)),
        ("a key that no row has", with(&task, &|line| line["key"] = json!(["nothing"]))),
        ("half a key", with(&task, &|line| line["key"] = json!(["user_id"]))),
        ("more than the key", with(&task, &|line| line["key"] = json!(["user_id", "task_id", "note"]))),
        ("a key twice", with(&task, &|line| line["key"] = json!(["user_id", "user_id"]))),
        ("no key", with(&task, &|line| line["key"] = json!([]))),
        ("the index's key", with(&mood, &|line| line["key"] = json!(["user_id"]))),
        ("a row without its key", with(&task, &|line| drop(line["row"].as_object_mut().unwrap().remove("task_id")))),
        ("a key that is a number", with(&task, &|line| line["row"]["task_id"] = json!({ "N": "1" }))),
        ("a key that is empty", with(&task, &|line| line["row"]["task_id"] = json!({ "S": "" }))),
        ("a key that is too long", with(&task, &|line| line["row"]["task_id"] = json!({ "S": "x".repeat(3_000) }))),
        ("Eve's task", with(&task, &|line| line["row"]["user_id"] = json!({ "S": eve }))),
        ("Eve's mood", with(&mood, &|line| line["row"]["user_id"] = json!({ "S": eve }))),
        ("nobody's mood", with(&mood, &|line| drop(line["row"].as_object_mut().unwrap().remove("user_id")))),
        ("a mood of a list", with(&mood, &|line| line["row"]["user_id"] = json!({ "L": [{ "S": ada }] }))),
        ("Eve's check-in", with(&of("daily_checkins"), &|line| line["row"]["user_id"] = json!({ "S": internal }))),
        ("an id of the wrong kind", with(&of("daily_checkins"), &|line| line["row"]["user_id"] = json!({ "S": ada }))),
        ("Eve's profile", with(&profile, &|line| line["row"]["pk"] = json!({ "S": eves }))),
        ("a profile of no user", with(&profile, &|line| line["row"]["pk"] = json!({ "S": "ORG#org_1" }))),
        ("a file about Eve", with_header(&|header| header["user"] = internal.as_str().into())),
        ("a user that is none", with_header(&|header| header["user"] = "ada".into())),
        ("another instance", with_header(&|header| header["instance"] = "ins_other".into())),
        ("no instance", with_header(&|header| drop(header.as_object_mut().unwrap().remove("instance")))),
        ("a later format", with_header(&|header| header["rollcall_backup"] = 2.into())),
        ("a header with more", with_header(&|header| header["and"] = 1.into())),
        ("a line with more", with(&task, &|line| line["condition"] = "none".into())),
        ("a row twice", file(&[header, &task, &profile, &task]).into_bytes()),
        ("an attribute twice", text(&task, r#""user_id":{"#, &format!(r#""user_id":{{"S":"{eve}"}},"user_id":{{"#))),
        ("a field twice", text(&task, r#""table":"tasks""#, r#""table":"payments","table":"tasks""#)),
        ("a redacted task", with(&task, &|line| line["redacted_at"] = 1.into())),
        ("an empty set", with(&task, &|line| line["row"]["set"] = json!({ "SS": [] }))),
        ("a set with a value twice", with(&task, &|line| line["row"]["set"] = json!({ "SS": ["a", "a"] }))),
        ("a number that is none", with(&task, &|line| line["row"]["n"] = json!({ "N": "many" }))),
        ("too many digits", with(&task, &|line| line["row"]["n"] = json!({ "N": "1".repeat(39) }))),
        ("a type that is none", with(&task, &|line| line["row"]["n"] = json!({ "X": "1" }))),
        ("a row that is too large", with(&task, &|line| line["row"]["big"] = json!({ "S": "x".repeat(500_000) }))),
        ("too deep for DynamoDB", with(&task, &|line| line["row"]["deep"] = serde_json::from_str(&deep(40)).unwrap())),
        ("too deep for anybody", text(&task, r#""row":{"#, &format!(r#""row":{{"deep":{},"#, deep(5_000)))),
        ("cut", good.as_bytes()[..good.len() - 20].to_vec()),
        ("no text", vec![0xff, 0xfe, 0x00]),
        ("a line of NULs", [format!("{header}\n{task}\n").as_bytes(), &[0; 64]].concat()),
        ("compressed", gzip),
        ("empty", Vec::new()),
        ("rows without a header", file(&[&task, &profile]).into_bytes()),
    ];
    assert!(bad.len() >= 40, "{}", bad.len());
    let folder = tempfile::tempdir().unwrap();
    let before = everything(&world).await;
    for (name, text) in &bad {
        let path = folder.path().join("backup");
        std::fs::write(&path, text).unwrap();
        for further in [&["--yes"][..], &["--yes", "--replace"]] {
            let args = [&["restore", path.to_str().unwrap()], further].concat();
            let said = rollcall(&world, &args, &PURGE).await;
            assert_eq!(said.status, Some(1), "{name}: {} {}", said.out, said.err);
            assert!(everything(&world).await == before, "{name} has written");
            assert!(!said.err.contains(eve.as_str()), "{name} prints a value of the file: {}", said.err);
        }
    }
    // Larger than any backup: refused by its size, however much of it there is.
    let large = folder.path().join("large");
    std::fs::File::create(&large).unwrap().set_len(10 * 1024 * 1024 * 1024).unwrap();
    for path in [large.to_str().unwrap(), "/dev/zero"] {
        let said = rollcall(&world, &["restore", path, "--yes"], &PURGE).await;
        assert_eq!((said.status, said.err.contains("the maximum size of a backup")), (Some(1), true), "{}", said.err);
    }
    // A bad one behind a good one: neither is written.
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    std::fs::File::create(&first).unwrap().write_all(good.as_bytes()).unwrap();
    std::fs::write(&second, table("payments")).unwrap();
    let both = ["restore", first.to_str().unwrap(), second.to_str().unwrap(), "--yes"];
    assert_eq!(rollcall(&world, &both, &PURGE).await.status, Some(1));
    assert!(everything(&world).await == before);
    // Without the settings nothing says where it may write.
    let no_tables = [("OWNED_TABLES", "[]")];
    let without = rollcall(&world, &["restore", first.to_str().unwrap(), "--yes"], &no_tables).await;
    assert_eq!(without.status, Some(1), "{}", without.out);
    assert!(without.err.contains("neither PROFILES_TABLE nor in OWNED_TABLES"), "{}", without.err);
    let args = ["restore", first.to_str().unwrap(), "--yes"];
    let unset = elsewhere(&world, &args, |record| record.settings.clear()).await;
    assert!(
        ["DIRECTORY_TABLE", "PROFILES_TABLE", "CLERK_INSTANCE_ID"].iter().all(|it| unset.err.contains(it)),
        "{}",
        unset.err
    );
    assert!(everything(&world).await == before);
    // The good one, with its tables by their ARNs, is written.
    let by_arn = good.replace(r#""table":"tasks""#, r#""table":"arn:aws:dynamodb:eu-west-1:123456789012:table/tasks""#);
    std::fs::write(&second, by_arn).unwrap();
    let said = rollcall(&world, &["restore", second.to_str().unwrap(), "--yes", "--json"], &PURGE).await;
    assert_eq!((said.status, &said.json()["restored"]["tasks"]), (Some(0), &json!(2)), "{}", said.err);
}
