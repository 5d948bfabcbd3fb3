//! What `users`, `organizations` and `members` show of the Directory: everything that is there, whether it can be
//! read or not, page by page.

use std::time::Duration;

use rollcall_cli::dev::record::Record;
use rollcall_tests::owned::Row;
use rollcall_tests::{Call, World};
use serde_json::{Value, json};

use crate::operator::commands::{Evidence, binary, command, elsewhere, people, record, rollcall};
use crate::{membership, organization, user};

/// The objects, one a line; nothing else is said.
fn lines(said: &Evidence) -> Vec<Value> {
    assert_eq!(said.err, "", "{}", said.out);
    said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn ids(said: &Evidence, name: &str) -> Vec<String> {
    let mut ids: Vec<String> = lines(said).iter().map(|line| line[name].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

/// Runs a command whose requests to DynamoDB are counted. Those that describe the tables are left out.
async fn counted(world: &World, args: &[&str]) -> (Evidence, Vec<Call>) {
    let _ = world.wire.take();
    let said =
        elsewhere(world, args, |record: &mut Record| world.wire.url().clone_into(&mut record.addresses.dynamodb));
    let said = said.await;
    let calls = world.wire.take().into_iter().filter(|call| call.operation != "DescribeTable").collect();
    (said, calls)
}

/// Everybody of an organization, with its records: Ada Lovelace and two more.
async fn office() -> (World, Vec<String>, String) {
    let world = World::start().await;
    let (users, acme) = people(&world, 3).await;
    let ada = json!({ "first_name": "Ada", "last_name": "Lovelace" });
    world.clerk("PATCH", &format!("/users/{}", users[0]), ada).await;
    world.reconcile().await;
    world.follow().await;
    (world, users, acme)
}

async fn delete(world: &World, kind: &str, id: &str) {
    let data = json!({ "id": id, "object": kind, "deleted": true });
    let event = rollcall_tests::event(&format!("{kind}.deleted"), &data, world.now().get() + 60_000);
    assert_eq!(world.post(&event).await.status, 200);
}

/// A row of the Directory, changed.
async fn damage(world: &World, entity: &rollcall::core::id::EntityId, change: impl FnOnce(&mut Value)) {
    let mut row = world.item(entity).await.unwrap();
    change(&mut row);
    world.put(&world.stack.addresses.directory_table, &row).await;
}

#[tokio::test]
async fn nothing_is_listed_of_an_empty_directory_and_nobody_is_found_there() {
    let world = World::start().await;
    for (args, err) in [
        (&["users", "list"][..], "No users.\n"),
        (&["users", "list", "--deleted", "--role", "admin"], "No users.\n"),
        (&["organizations", "list"], "No organizations.\n"),
        (&["members", "list"], "No memberships.\n"),
        (&["memberships", "list", "--all"], "No memberships.\n"),
        (&["users", "list", "--json"], ""),
        (&["members", "list", "--json", "--limit", "3"], ""),
    ] {
        let said = rollcall(&world, args, &[]).await;
        assert_eq!((said.status, said.out.as_str(), said.err.as_str()), (Some(0), "", err), "{args:?}");
    }
    for args in [
        &["users", "find", "--email", "ada@example.com"][..],
        &["users", "find", "--name", "ada", "--json"],
        &["organizations", "find", "--name", "acme"],
        &["members", "find", "--name", "ada"],
    ] {
        let said = rollcall(&world, args, &[]).await;
        assert_eq!((said.status, said.out.as_str()), (Some(1), ""), "{args:?} {}", said.err);
        assert!(said.err.starts_with("rollcall: no ") && !said.err.contains("ada"), "{}", said.err);
    }
}

#[tokio::test]
async fn people_are_listed_filtered_and_found_and_the_deleted_only_where_they_are_asked_for() {
    let (world, users, acme) = office().await;
    delete(&world, "user", &users[2]).await;
    world.follow().await;
    damage(&world, &user(&users[1]), |row| row["banned"] = true.into()).await;
    let sorted = |mut ids: Vec<String>| {
        ids.sort();
        ids
    };
    let live = sorted(users[..2].to_vec());
    for (args, expected) in [
        (&["users", "list"][..], live.clone()),
        (&["users", "list", "--banned"], vec![users[1].clone()]),
        (&["users", "list", "--role", "user"], live.clone()),
        (&["users", "list", "--role", "admin"], vec![]),
        (&["users", "list", "--deleted"], vec![users[2].clone()]),
        (&["users", "find", "--email", "SomeBody0@EXAMPLE.com"], vec![users[0].clone()]),
        (&["users", "find", "--name", "LOVE"], vec![users[0].clone()]),
        (&["users", "find", "--name", "deleted user"], vec![users[2].clone()]),
        (&["members", "list"], live.clone()),
        (&["members", "list", "--organization", &acme], live.clone()),
        (&["members", "list", "--organization", &acme, "--role", "org:admin"], vec![users[0].clone()]),
        (&["members", "list", "--organization", &acme, "--deleted"], vec![users[2].clone()]),
        (&["members", "list", "--user", &users[1]], vec![users[1].clone()]),
        (&["members", "list", "--user", &world.internal(&users[1]).to_string()], vec![users[1].clone()]),
        (&["members", "list", "--user", &users[2]], vec![]),
        (&["members", "list", "--user", &users[2], "--deleted"], vec![users[2].clone()]),
        (&["members", "find", "--name", "lovelace"], vec![users[0].clone()]),
        (&["members", "find", "--email", "somebody1@example.com", "--organization", &acme], vec![users[1].clone()]),
    ] {
        let said = rollcall(&world, &[args, &["--json"]].concat(), &[]).await;
        assert_eq!((said.status, ids(&said, "clerk_user_id")), (Some(0), expected), "{args:?}");
    }
    assert_eq!(
        ids(&rollcall(&world, &["organizations", "find", "--name", "CME", "--json"], &[]).await, "organization_id"),
        std::slice::from_ref(&acme)
    );

    let said = rollcall(&world, &["users", "list"], &[]).await;
    assert_eq!((said.status, said.err.as_str()), (Some(0), ""));
    let ada = said.out.lines().find(|line| line.contains(&users[0])).unwrap();
    assert!(ada.contains("Ada Lovelace") && ada.contains("somebody0@example.com") && ada.contains("  live "), "{ada}");
    assert!(said.out.contains("  banned ") && !said.out.contains(&users[2]), "{}", said.out);
    let said = rollcall(&world, &["members", "list", "--organization", &acme], &[]).await;
    let ada = said.out.lines().find(|line| line.contains(&users[0])).unwrap();
    assert!(ada.contains("org:admin") && ada.contains("Ada Lovelace") && ada.contains("Acme"), "{ada}");
    // Readers take the word of the organization's tombstone before any cascade has run.
    delete(&world, "organization", &acme).await;
    let said = rollcall(&world, &["members", "list", "--organization", &acme], &[]).await;
    assert!(said.out.contains("live, but its organization is deleted"), "{}", said.out);
}

#[tokio::test]
async fn a_list_goes_on_behind_any_entity_and_shows_each_once() {
    let (world, users, acme) = office().await;
    let by_cursor = async |args: &[&str], id: &dyn Fn(&Value) -> String| {
        let (mut seen, mut after): (Vec<String>, Option<String>) = (Vec::new(), None);
        loop {
            let mut args = [args, &["--limit", "1", "--json"]].concat();
            args.extend(after.iter().flat_map(|after| ["--after", after.as_str()]));
            let said = rollcall(&world, &args, &[]).await;
            assert_eq!(said.status, Some(0), "{}", said.err);
            let Some(line) = lines(&said).pop() else { break };
            after = Some(id(&line));
            seen.extend(after.clone());
        }
        seen
    };
    let text = |line: &Value, name: &str| line[name].as_str().unwrap().to_owned();
    for name in ["id", "clerk_user_id"] {
        let seen = by_cursor(&["users", "list"], &|line| text(line, name)).await;
        assert_eq!(seen.len(), 3, "{seen:?}");
    }
    let of = |line: &Value| format!("{}/{}", text(line, "organization_id"), text(line, "clerk_user_id"));
    for args in [
        &["members", "list"][..],
        &["members", "list", "--organization", &acme],
        &["members", "find", "--email", "somebody1@example.com"],
        &["members", "find", "--name", "e"],
    ] {
        let seen = by_cursor(args, &of).await;
        assert_eq!(seen.len(), if args.contains(&"--email") { 1 } else { 3 }, "{args:?} {seen:?}");
    }
    assert_eq!(by_cursor(&["members", "list", "--user", &users[0]], &of).await.len(), 1);
    // A person is told that there are more, and how to go on.
    let said = rollcall(&world, &["users", "list", "--limit", "2"], &[]).await;
    assert!(said.out.contains("2 users shown; there are more: pass `--after '"), "{}", said.out);
    let said = rollcall(&world, &["users", "list", "--limit", "3"], &[]).await;
    assert!(!said.out.contains("there are more"), "{}", said.out);
    let said = rollcall(&world, &["members", "list", "--after", "org_1"], &[]).await;
    assert_eq!((said.status, said.out.as_str()), (Some(64), ""), "{}", said.err);
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_shown_with_its_key_and_not_left_out() {
    let (world, users, acme) = office().await;
    let key = format!("USER#{}", world.internal(&users[0]));
    damage(&world, &user(&users[0]), |row| row["rank"] = 7.into()).await;
    damage(&world, &user(&users[1]), |row| row["updated_at"] = "yesterday".into()).await;
    damage(&world, &membership(&users[0], &acme), |row| row["digest"] = json!({ "a": 1 })).await;
    damage(&world, &organization(&acme), |row| row["rank"] = "0000000000000.9.0000000000000".into()).await;
    let unreadable = |lines: &[Value]| lines.iter().filter(|line| line["state"] == "unreadable").count();
    // Nobody knows whether it is deleted, banned or what its role is.
    for args in [
        &["users", "list"][..],
        &["users", "list", "--deleted"],
        &["users", "list", "--banned"],
        &["users", "list", "--role", "admin"],
        &["users", "find", "--name", "lovelace"],
        &["organizations", "list"],
        &["organizations", "list", "--deleted"],
        &["members", "list"],
        &["members", "list", "--deleted"],
        &["members", "list", "--organization", &acme],
        &["members", "list", "--user", &users[0]],
        &["members", "find", "--name", "lovelace"],
    ] {
        let said = rollcall(&world, &[args, &["--json"]].concat(), &[]).await;
        assert_eq!((said.status, unreadable(&lines(&said))), (Some(2), 1), "{args:?} {}", said.out);
    }
    let said = rollcall(&world, &["users", "list"], &[]).await;
    assert_eq!(said.status, Some(2));
    assert!(said.out.contains(&format!("{key} USER")) && said.out.contains("  unreadable"), "{}", said.out);
    assert!(
        said.out.contains("live, partly unreadable") && said.out.contains("2 rows cannot be read whole"),
        "{}",
        said.out
    );
    let said = rollcall(&world, &["users", "get", &users[0]], &[]).await;
    assert_eq!((said.status, said.err.as_str()), (Some(2), ""));
    assert!(said.out.contains("has a row that cannot be read") && said.out.contains(&key), "{}", said.out);
    let json = rollcall(&world, &["users", "get", &users[1], "--json"], &[]).await;
    assert_eq!((json.status, &json.json()["unreadable"]), (Some(2), &json!(["updated_at"])));
    // A key that Rollcall does not make.
    let odd = json!({ "pk": "ada@example.com", "sk": "USER", "name": "\u{1b}[2JAda" });
    world.put(&world.stack.addresses.directory_table, &odd).await;
    let said = rollcall(&world, &["users", "list"], &[]).await;
    assert!(said.out.contains("ada@example.com USER") && said.out.contains("\\u{1b}[2JAda"), "{}", said.out);
    assert!(!said.out.contains('\u{1b}'), "a name commands no terminal");
}

#[tokio::test]
async fn one_is_shown_whole_with_its_record_and_who_has_written_it() {
    let (world, users, acme) = office().await;
    let (ada, internal) = (&users[0], world.internal(&users[0]).to_string());
    for id in [ada, &internal] {
        let said = rollcall(&world, &["users", "get", id], &[]).await;
        assert_eq!((said.status, said.err.as_str()), (Some(0), ""), "{}", said.out);
        assert!(said.out.starts_with(&format!("user {ada} (Ada Lovelace) is live.\n")), "{}", said.out);
        let run = world.reconciler().await.operations().latest_runs(1).await.unwrap().remove(0).run;
        for part in [
            "\nDirectory\n",
            "\nProfiles\n",
            "The rank says: generation 0, live, version 20",
            "Clerk's updated_at",
            &format!("by reconcile, in run {run}."),
        ] {
            assert!(said.out.contains(part), "{part}: {}", said.out);
        }
        let json = rollcall(&world, &["users", "get", id, "--json"], &[]).await.json();
        assert_eq!(
            (&json["id"], &json["state"], &json["directory"]["email"]),
            (&json!(ada), &json!("live"), &json!("somebody0@example.com"))
        );
        assert_eq!((&json["profiles"]["user_id"], &json["run"]), (&json!(internal), &json!(run)));
        assert_eq!(json["rank"]["version"], json["directory"]["updated_at"]);
    }
    let one = format!("{acme}/{internal}");
    let said = rollcall(&world, &["members", "get", &one], &[]).await;
    assert!(said.out.contains(" is live.\n") && said.out.contains("(Clerk's created_at)"), "{}", said.out);
    let said = rollcall(&world, &["organizations", "get", &acme], &[]).await;
    assert!(
        said.status == Some(0) && said.out.contains("(Acme) is live.") && !said.out.contains("Profiles"),
        "{}",
        said.out
    );

    let mut event = rollcall_tests::event("user.deleted", &json!({ "id": ada, "object": "user", "deleted": true }), 0);
    event["timestamp"] = (world.now().get() + 60_000).into();
    let sent = world.sign(&event);
    assert_eq!(world.send(&sent).await.status, 200);
    let said = rollcall(&world, &["users", "get", ada], &[]).await;
    assert!(
        said.out.contains("(Deleted User) is deleted.") && said.out.contains("the time of the deletion"),
        "{}",
        said.out
    );
    assert!(said.out.contains("by the webhook, from message msg_"), "{}", said.out);
    let said = rollcall(&world, &["members", "get", &one], &[]).await;
    assert!(said.out.contains("Its user is deleted, so readers treat it as deleted."), "{}", said.out);
}

#[tokio::test]
async fn i19_an_unknown_id_or_one_of_another_kind_shows_nothing() {
    let (world, users, acme) = office().await;
    let (ada, unknown) = (users[0].as_str(), "1c1157ac-33d3-5114-bbd8-09b23e2ca922");
    let member = format!("{acme}/{ada}");
    for (args, expected) in [
        (&["users", "get", "user_doesnotexist"][..], "no row for this id"),
        (&["users", "get", unknown], "no row for this id"),
        (&["users", "get", &acme], "not an id of a user"),
        (&["users", "get", "sess_1"], "not an id of a user"),
        (&["users", "get", &member], "not an id of a user"),
        (&["users", "get", "1C1157AC-33D3-5114-BBD8-09B23E2CA922"], "not an id of a user"),
        (&["organizations", "get", "org_doesnotexist"], "no row for this id"),
        (&["organizations", "get", ada], "not an id of an organization"),
        (&["members", "get", "org_doesnotexist/user_doesnotexist"], "no row for this id"),
        (&["members", "get", ada], "not an id of a membership"),
        (&["members", "get", "orgmem_1"], "not an id of a membership"),
        (&["members", "get", "user_1/org_1"], "not an id of a membership"),
        (&["members", "list", "--organization", "org_doesnotexist"], "no row for this id"),
        (&["members", "list", "--user", unknown, "--json"], "no row for this id"),
    ] {
        let said = rollcall(&world, args, &[]).await;
        assert_eq!((said.status, said.out.as_str()), (Some(1), ""), "{args:?} {}", said.err);
        assert!(said.err.contains(expected), "{args:?} {}", said.err);
    }
    for args in [
        &["users", "get"][..],
        &["users", "find"],
        &["users", "find", "--name", "a", "--email", "b"],
        &["users", "list", "--limit", "0"],
        &["users", "list", "--limit", "1", "--all"],
        &["members", "list", "--user", "sess_1"],
        &["users", "nonsense"],
    ] {
        let said = rollcall(&world, args, &[]).await;
        assert_eq!((said.status, said.out.as_str()), (Some(64), ""), "{args:?} {}", said.err);
    }
}

#[tokio::test]
async fn a_deployment_without_a_copy_says_so_and_shows_what_it_has() {
    let (world, users, acme) = office().await;
    delete(&world, "user", &users[2]).await;
    let off = [("MIRROR", "off")];
    for args in [&["users", "list"][..], &["users", "list", "--json"], &["members", "list", "--organization", &acme]] {
        let said = rollcall(&world, args, &off).await;
        assert_eq!((said.status, said.out.as_str()), (Some(1), ""), "{args:?} {}", said.err);
        assert!(said.err.contains("MIRROR=off") && said.err.contains("Clerk's dashboard"), "{}", said.err);
    }
    let said = rollcall(&world, &["users", "find", "--name", "nobody"], &off).await;
    assert!(said.status == Some(1) && said.err.contains("MIRROR=off"), "{}", said.err);
    let said = rollcall(&world, &["users", "list", "--deleted", "--json"], &off).await;
    assert_eq!((said.status, ids(&said, "clerk_user_id")), (Some(0), vec![users[2].clone()]));
    assert_eq!(rollcall(&world, &["organizations", "list"], &off).await.status, Some(0));
    let said = rollcall(&world, &["users", "get", &users[0]], &off).await;
    assert!(said.status == Some(0) && said.out.contains("MIRROR=off: this row is from before"), "{}", said.out);
    let said = rollcall(&world, &["users", "get", "user_doesnotexist"], &off).await;
    assert!(said.status == Some(1) && said.err.contains("MIRROR=off"), "{}", said.err);
}

#[tokio::test]
async fn looking_reads_only_and_asks_neither_clerk_nor_for_its_key() {
    let (world, users, _) = office().await;
    let before = (world.directory().await, world.profiles().await, world.operations().await);
    let calls = world.clerk_calls();
    let keyless = |record: &mut Record| {
        world.wire.url().clone_into(&mut record.addresses.dynamodb);
        record.settings.remove("CLERK_SECRET_KEY");
        "http://127.0.0.1:1".clone_into(&mut record.addresses.clerk);
    };
    let _ = world.wire.take();
    for args in [
        &["users", "list"][..],
        &["users", "get", &users[0]],
        &["members", "find", "--name", "ada"],
        &["deletions"],
        &["quarantine", "list"],
    ] {
        let said = elsewhere(&world, args, keyless).await;
        assert_eq!(said.status, Some(0), "{args:?} {}", said.err);
    }
    let reads = ["DescribeTable", "Scan", "Query", "BatchGetItem"];
    let others: Vec<Call> =
        world.wire.take().into_iter().filter(|call| !reads.contains(&call.operation.as_str())).collect();
    assert_eq!(others, []);
    assert_eq!(
        (world.clerk_calls(), before),
        (calls, (world.directory().await, world.profiles().await, world.operations().await))
    );
    let exchanged = |record: &mut Record| {
        let [directory, profiles] = ["DIRECTORY_TABLE", "PROFILES_TABLE"].map(|name| record.settings[name].clone());
        record.settings.insert("DIRECTORY_TABLE".to_owned(), profiles);
        record.settings.insert("PROFILES_TABLE".to_owned(), directory);
    };
    let unreachable = |record: &mut Record| "http://127.0.0.1:1".clone_into(&mut record.addresses.dynamodb);
    for args in [&["users", "list"][..], &["organizations", "get", "org_1"], &["deletions"], &["quarantine", "list"]] {
        let said = elsewhere(&world, args, exchanged).await;
        assert!(
            said.status == Some(1) && said.out.is_empty() && said.err.contains("DIRECTORY_TABLE names"),
            "{args:?} {}",
            said.err
        );
        let said = elsewhere(&world, args, unreachable).await;
        assert!(
            said.status == Some(1) && said.out.is_empty() && said.err.contains("`rollcall dev` is running"),
            "{args:?} {}",
            said.err
        );
    }
}

/// Runs a command, stops reading after a line, and returns the largest size of the process in KB and its exit status.
async fn measured(world: &World, args: &[&str], reader: &str) -> (u64, String) {
    let folder = tempfile::tempdir().unwrap();
    let _published = rollcall_cli::dev::record::publish(&folder.path().join("rollcall"), &record(world)).unwrap();
    let script = format!(
        "import resource, subprocess, sys\np = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE)\n{reader}\n\
         p.stdout.close()\nstatus = p.wait()\nprint(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, status, n)"
    );
    let mut command = command("python3", &[]);
    command.args(["-c", &script]).arg(binary()).args(args).arg("--local").env("XDG_RUNTIME_DIR", folder.path());
    let output = tokio::time::timeout(Duration::from_mins(2), command.output()).await.unwrap().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (size, rest) =
        text.trim().split_once(' ').unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    (size.parse().unwrap(), rest.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i14_twenty_thousand_users_are_listed_in_bounded_memory_and_a_page_reads_a_page() {
    let world = World::start().await;
    let table = world.stack.addresses.directory_table.clone();
    let row = |at: usize| -> (&str, Row) {
        let id = format!("user_{at:05}");
        let row = json!({
            "pk": format!("USER#{}", world.internal(&id)), "sk": "USER", "id": world.internal(&id), "clerk_user_id": id,
            "rank": "0000000000000.0.1795000000000", "digest": "x", "applied_at": 1, "applied_by": "webhook",
            "updated_at": 1_795_000_000_000_u64, "name": format!("Somebody {at}"), "role": "user",
            "email": format!("somebody{at}@example.com"), "public_metadata": { "note": "x".repeat(400) },
            "banned": at % 10_000 == 77,
        });
        let row: std::collections::HashMap<_, _> = serde_dynamo::to_item(row).unwrap();
        (&table, Row::from_iter(row))
    };
    for from in (0..20_000).step_by(500) {
        world.put_rows((from..from + 500).map(row).collect()).await;
    }
    let (said, calls) = counted(&world, &["users", "list"]).await;
    assert_eq!((said.status, calls.len(), said.out.lines().count()), (Some(0), 1, 1 + 50 + 2), "{calls:?}");
    let (said, calls) = counted(&world, &["users", "list", "--limit", "50", "--json"]).await;
    assert_eq!((said.status, calls.len(), lines(&said).len()), (Some(0), 1, 50), "{calls:?}");
    let (said, calls) = counted(&world, &["users", "list", "--banned"]).await;
    assert_eq!((said.status, said.out.lines().count()), (Some(0), 3), "{}", said.out);
    assert!(calls.len() <= 110, "pages of 200 rows or more: {}", calls.len());
    let (said, calls) = counted(&world, &["users", "find", "--email", "somebody19999@example.com", "--json"]).await;
    assert_eq!((said.status, ids(&said, "clerk_user_id")), (Some(0), vec!["user_19999".to_owned()]));
    assert!(calls.len() <= 110, "{}", calls.len());

    let all = "n = sum(1 for _ in p.stdout)";
    let (few, ended) = measured(&world, &["users", "list", "--limit", "50", "--json"], all).await;
    assert_eq!(ended, "0 50");
    for args in [&["users", "list", "--json"][..], &["users", "list", "--all"]] {
        let (size, ended) = measured(&world, args, all).await;
        let [status, count] = ended.split(' ').map(|part| part.parse::<u64>().unwrap()).collect::<Vec<_>>()[..] else {
            panic!()
        };
        assert!(status == 0 && (20_000..20_100).contains(&count), "{args:?} {ended}");
        // All rows together have 15 MB as text, and several times as much in memory.
        assert!(size < few + 24 * 1024, "{args:?} {size} KB, for fifty users {few} KB");
    }
    // Nobody reads the rest, so nobody looks for it.
    let _ = world.wire.take();
    let folder = tempfile::tempdir().unwrap();
    let mut record = record(&world);
    world.wire.url().clone_into(&mut record.addresses.dynamodb);
    let _published = rollcall_cli::dev::record::publish(&folder.path().join("rollcall"), &record).unwrap();
    let mut head = command("sh", &[]);
    head.args(["-c", "\"$0\" users list --json --local | head -n 1"]).arg(binary());
    let output = head.env("XDG_RUNTIME_DIR", folder.path()).env("PATH", "/usr/bin:/bin").output().await.unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    let scans = world.wire.take().iter().filter(|call| call.operation == "Scan").count();
    assert!((1..=5).contains(&scans), "{scans} of 20 pages");
}
