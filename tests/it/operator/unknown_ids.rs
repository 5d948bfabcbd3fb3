//! I19: an id that nobody knows, or of something else, is an error: nothing is written for it, and nothing is printed
//! that looks like an answer.

use clap::CommandFactory;
use rollcall_cli::args::Cli;
use rollcall_cli::manual::leaves;
use rollcall_tests::{OWNED_TABLES, World};
use serde_json::{Value, json};

use crate::operator::commands::{people, rollcall, run, typed};
use crate::user;

const PURGE: [(&str, &str); 2] = [("DELETION_POLICY", "purge"), ("OWNED_TABLES", OWNED_TABLES)];

async fn office() -> (World, String) {
    let world = World::with(&PURGE).await;
    world.make_owned_tables().await;
    let (users, _) = people(&world, 2).await;
    world.set_now(world.now().get() + 60_000);
    assert!(world.reconcile().await.is_in_sync());
    world.give_rows(&users[0], 2, &users[0]).await;
    (world, users[0].clone())
}

/// Everything that is stored of anybody.
async fn stored(world: &World) -> String {
    format!("{:?}", (world.directory().await, world.profiles().await, world.owned().await))
}

#[tokio::test]
async fn i19_an_export_of_an_unknown_id_is_an_error_and_prints_nothing() {
    let (world, ada) = office().await;
    for args in [&["export", "user_doesnotexist"][..], &["export", "user_doesnotexist", "--json"]] {
        let said = rollcall(&world, args, &PURGE).await;
        assert_eq!((said.status, said.out.as_str()), (Some(1), ""), "{}", said.err);
        assert!(
            said.err.contains("no table has a row for this id") && said.err.contains("CLERK_INSTANCE_ID"),
            "{}",
            said.err
        );
    }
    // Under another instance's id the partition would be another one, and the answer would lack most of the record.
    let other = [PURGE[0], PURGE[1], ("CLERK_INSTANCE_ID", "ins_other")];
    let said = rollcall(&world, &["export", &ada], &other).await;
    assert_eq!((said.status, said.out.as_str()), (Some(1), ""), "{}", said.err);
    assert!(said.err.contains("belongs to another Clerk instance"), "{}", said.err);
    // One row anywhere is an answer.
    world.give_rows("user_elsewhere", 1, "user_elsewhere").await;
    let said = rollcall(&world, &["export", "user_elsewhere", "--json"], &PURGE).await;
    assert_eq!(
        (said.status, said.json()["owned"]["tasks"].as_array().map(Vec::len)),
        (Some(0), Some(1)),
        "{}",
        said.err
    );
}

#[tokio::test]
async fn i19_an_id_of_something_else_is_an_error_for_every_command_about_one_person() {
    let (world, _) = office().await;
    let before = stored(&world).await;
    for id in
        ["sess_2nNG9rEYQoliquKw5eHQ9eFeurU", "orgmem_1", "ada", "user_1/org_1", "1C1157AC-33D3-5114-BBD8-09B23E2CA922"]
    {
        for command in ["export", "undo", "erase"] {
            let args: &[&str] = if command == "export" { &[command, id] } else { &[command, id, "--yes"] };
            let said = rollcall(&world, args, &PURGE).await;
            assert_eq!((said.status, said.out.as_str()), (Some(1), ""), "{args:?} {}", said.err);
            assert!(said.err.contains("not an id of a user"), "{args:?} {}", said.err);
        }
    }
    let said = rollcall(&world, &["erase", "sess_1", "--yes", "--even-if-unknown"], &PURGE).await;
    assert_eq!((said.status, said.out.as_str()), (Some(1), ""), "{}", said.err);
    for (command, id) in [("export", "org_1"), ("erase", "org_1"), ("undo", "org_1"), ("undo", "org_1/user_1")] {
        let args: &[&str] = if command == "export" { &[command, id] } else { &[command, id, "--yes"] };
        let said = rollcall(&world, args, &PURGE).await;
        assert_eq!((said.status, said.out.as_str()), (Some(1), ""), "{args:?} {}", said.err);
    }
    assert_eq!(stored(&world).await, before);
}

const USER: &str = "user_2nNG9rEYQoliquKw5eHQ9eFeurX";
const ORGANIZATION: &str = "org_2nyiGxAxOOuSJqJjeif62e4qZfX";
const MEMBERSHIP: &str = "org_2nyiGxAxOOuSJqJjeif62e4qZfX/user_2nNG9rEYQoliquKw5eHQ9eFeurX";
const INTERNAL: &str = "1c1157ac-33d3-5114-bbd8-09b23e2ca922";
const RUN: &str = "2026-01-01T00:00:00.123Z";

/// What an option or a value of a command may name. `{}` is the id.
const NAMES: [(&[&str], &[&str]); 22] = [
    (&["users", "get", "{}"], &[USER, INTERNAL]),
    (&["organizations", "get", "{}"], &[ORGANIZATION]),
    (&["members", "get", "{}"], &[MEMBERSHIP]),
    (&["members", "list", "--user", "{}"], &[USER, INTERNAL]),
    (&["members", "list", "--organization", "{}"], &[ORGANIZATION]),
    (&["members", "find", "--name", "somebody", "--organization", "{}"], &[ORGANIZATION]),
    (&["quarantine", "get", "{}"], &["msg_unknown"]),
    (&["explain", "{}"], &[USER, INTERNAL, ORGANIZATION, MEMBERSHIP]),
    (&["tail", "--once", "--id", "{}"], &[USER, INTERNAL, ORGANIZATION, MEMBERSHIP, "msg_unknown"]),
    (&["sync", "{}", "--yes"], &[USER, INTERNAL, ORGANIZATION, MEMBERSHIP]),
    (&["set-role", "{}", "admin", "--yes"], &[USER, INTERNAL, MEMBERSHIP]),
    (&["undo", "{}", "--yes"], &[USER, INTERNAL, ORGANIZATION, MEMBERSHIP]),
    (&["undo", "--run", "{}", "--yes"], &[RUN]),
    (&["erase", "{}", "--yes"], &[USER, INTERNAL]),
    (&["export", "{}"], &[USER, INTERNAL]),
    (&["reconcile", "--approve", "{}", "--yes"], &[RUN]),
    (&["restore", "{}", "--yes"], &["/nowhere.ndjson", "s3://Not A Bucket/x", "s3://bucket"]),
    (&["restore", "--run", "{}", "--yes"], &["1a2b3c4d"]),
    (&["migrate", "metadata", "{}", "--field", "plan", "--yes"], &["/nowhere.json"]),
    (&["migrate", "metadata", "--table", "{}", "--field", "plan", "--yes"], &["nowhere"]),
    (&["migrate", "rekey-table", "{}", "--map", "/nowhere", "--reference", "user_id", "--yes"], &["nowhere"]),
    (&["migrate", "verify", "{}"], &["/nowhere.toml"]),
];

#[tokio::test]
async fn i19_every_command_refuses_every_id_that_is_unknown_malformed_or_of_another_kind() {
    let (world, _) = office().await;
    let before = stored(&world).await;
    let kinds = [USER, INTERNAL, ORGANIZATION, MEMBERSHIP, RUN, "msg_unknown", "sess_2nNG9rEYQoliquKw5eHQ9eFeurX"];
    let malformed =
        ["", " ", "ada", "user_", "org_", "org_/user_", "user_1/org_1", "a b", "user_\u{7f}", "user_ä", "--", "-x"];
    for (args, named) in NAMES {
        for id in kinds.into_iter().chain(malformed).chain(named.iter().copied()) {
            let args: Vec<&str> = args.iter().map(|arg| if *arg == "{}" { id } else { arg }).collect();
            let said = rollcall(&world, &args, &PURGE).await;
            // Only a text that is no id at all may be wrong usage.
            let is_right = said.status == Some(1) || (said.status == Some(64) && !named.contains(&id));
            assert!(is_right && said.out.is_empty(), "{args:?}: {:?} {} {}", said.status, said.out, said.err);
            assert!(!said.err.is_empty() && !said.err.contains("panicked"), "{args:?}: {}", said.err);
        }
    }
    assert_eq!(stored(&world).await, before);
}

#[tokio::test]
async fn i19_an_error_is_said_once_and_too_many_ids_are_refused() {
    let (world, ada) = office().await;
    for command in ["sync", "undo", "erase", "export", "set-role", "explain"] {
        let role = if command == "set-role" { &["org:nobody"][..] } else { &[] };
        let yes = if ["export", "explain"].contains(&command) { &[][..] } else { &["--yes"] };
        let said = rollcall(&world, &[&[command, "foo"], role, yes].concat(), &PURGE).await;
        assert_eq!(said.status, Some(1), "{command}: {}", said.err);
        assert!(said.err.matches("not an id of").count() <= 1, "{command}: {}", said.err);
    }
    let ids: Vec<String> = (0..1_001).map(|number| format!("user_{number}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let said = rollcall(&world, &[&["sync", "--dry-run"], &ids[..]].concat(), &PURGE).await;
    assert_eq!((said.status, said.out.as_str()), (Some(64), ""), "{}", said.err);
    assert!(said.err.contains("1,001 ids are too many") && said.err.contains("rollcall reconcile"), "{}", said.err);
    // The same id is compared once, over all parts of the list.
    let many = [ada.as_str(); 120];
    let said = rollcall(&world, &[&["sync", "--dry-run", "--json"], &many[..]].concat(), &PURGE).await;
    assert_eq!((said.status, said.json()["entities"].as_array().map(Vec::len)), (Some(0), Some(1)), "{}", said.err);
}

#[test]
fn i19_every_value_that_names_something_is_played_here() {
    let cli = Cli::command();
    for (words, command) in leaves(&cli) {
        for argument in command.get_arguments() {
            let id = argument.get_id().as_str();
            if ["id", "run", "approve", "user", "organization", "message", "files"].contains(&id) {
                let option = argument.get_long().map(|long| format!("--{long}"));
                let plays = |args: &[&str]| {
                    args.starts_with(&words) && option.as_ref().is_none_or(|option| args.contains(&option.as_str()))
                };
                // `trigger` is played below; the approvals of repairs are numbers.
                // `migrate rekey` works on no deployment.
                let is_other = ["trigger", "cleanup", "fix-duplicates", "full-sync"].contains(&words[0])
                    || words == ["migrate", "rekey"];
                assert!(is_other || NAMES.iter().any(|(args, _)| plays(args)), "{words:?} {id}");
            }
        }
    }
}

#[tokio::test]
async fn i19_an_event_is_not_sent_about_an_id_that_does_not_fit_it() {
    for (event, id) in [
        ("user.created", "org_2nyiGxAxOOuSJqJjeif62e4qZfa"),
        ("organization.created", "user_2nNG9rEYQoliquKw5eHQ9eFeurU"),
        ("user.created", "ada"),
        ("user.created", "user_"),
    ] {
        let said = run(&["trigger", event, "--id", id, "--print"], &[]).await;
        assert_eq!((said.status, said.out.as_str()), (Some(1), ""), "{event} {id} {}", said.err);
        assert!(said.err.contains("is not valid for") && said.err.contains("nothing was sent"), "{}", said.err);
    }
    for (event, id) in [("user.created", "user_9"), ("organizationMembership.created", "org_9")] {
        let said = run(&["trigger", event, "--id", id, "--print"], &[]).await;
        assert_eq!(said.status, Some(0), "{}", said.err);
        assert!(said.out.contains(id), "{}", said.out);
    }
}

#[tokio::test]
async fn i19_an_unknown_id_is_erased_only_with_a_flag_after_the_plan_and_consent() {
    let (world, ada) = office().await;
    let before = stored(&world).await;
    for options in [&["--yes"][..], &["--yes", "--json"], &["--dry-run"], &["--yes", "--now"]] {
        let args = [&["erase", "user_doesnotexist"], options].concat();
        let said = rollcall(&world, &args, &PURGE).await;
        assert_eq!((said.status, said.out.as_str()), (Some(1), ""), "{args:?} {}", said.err);
        assert!(said.err.contains("this id exists neither in Clerk nor in the tables"), "{}", said.err);
        assert!(said.err.contains("--even-if-unknown"), "{}", said.err);
    }
    let plan = rollcall(&world, &["erase", "user_doesnotexist", "--even-if-unknown", "--dry-run"], &PURGE).await;
    assert!(plan.status == Some(2) && plan.out.contains("exists neither in Clerk nor in the tables"), "{}", plan.out);
    let asked = typed(&world, &["erase", "user_doesnotexist", "--even-if-unknown"], "n\r").await;
    assert!(asked.status == Some(2) && asked.out.contains("exists neither"), "{}", asked.out);
    assert_eq!(stored(&world).await, before);

    let erased =
        rollcall(&world, &["erase", "user_doesnotexist", "--even-if-unknown", "--yes", "--json"], &PURGE).await;
    assert_eq!((erased.status, &erased.json()["unknown"]), (Some(0), &json!(true)), "{}", erased.err);
    assert!(world.item(&user("user_doesnotexist")).await.unwrap()["deleted_at"].is_u64());

    // Whom a table knows, or Clerk alone, is known. The plan shows the name of the one whom it is about.
    world.give_rows("user_elsewhere", 1, "user_elsewhere").await;
    let erased = rollcall(&world, &["erase", "user_elsewhere", "--yes", "--now", "--json"], &PURGE).await;
    assert_eq!((erased.status, &erased.json()["removed"]["tasks"]), (Some(0), &json!(1)), "{}", erased.err);
    let newcomer = json!({ "first_name": "Neu", "last_name": "Ling", "email_address": ["neu@example.com"] });
    let newcomer = world.clerk("POST", "/users", newcomer).await["id"].as_str().unwrap().to_owned();
    let plan = rollcall(&world, &["erase", &newcomer, "--dry-run"], &PURGE).await;
    assert!(
        plan.status == Some(2) && plan.out.contains("(Neu Ling) is not in the Directory"),
        "{} {}",
        plan.out,
        plan.err
    );
    let plan = rollcall(&world, &["erase", &ada, "--dry-run"], &PURGE).await;
    assert!(plan.out.contains(&format!("user {ada} (Somebody) is live")), "{}", plan.out);
    assert!(!world.clerk("GET", &format!("/users?user_id={ada}"), Value::Null).await.as_array().unwrap().is_empty());
}
