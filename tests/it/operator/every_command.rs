//! I16 and I19 for every command: what each does without a deployment, with a wrong one, and where something does not
//! answer. A new command must be in [`CALLS`].

use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::Path;
use std::process::Stdio;

use aws_sdk_dynamodb::types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType};
use axum::http::StatusCode;
use clap::CommandFactory;
use rollcall_cli::args::Cli;
use rollcall_cli::dev::record::Record;
use rollcall_cli::manual::leaves;
use rollcall_tests::{OWNED_TABLES, World};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::endpoint::Portal;
use crate::operator::commands::{Evidence, binary, command, elsewhere, finish, on, people, rollcall};

/// The deployment of these tests.
pub(super) const SETTINGS: [(&str, &str); 2] = [("DELETION_POLICY", "purge"), ("OWNED_TABLES", OWNED_TABLES)];

/// How a command is called, and what it needs.
pub(super) struct Call {
    /// `{user}` and `{organization}` are ids, `{backup}`, `{list}`, `{old}` and `{verify}` are files.
    pub(super) args: &'static [&'static str],
    asks_clerk: bool,
    /// It asks for consent before it changes something.
    pub(super) changes: bool,
    /// The settings without which it cannot work; it names each.
    pub(super) needs: &'static [&'static str],
}

const TABLES: &[&str] = &["DIRECTORY_TABLE", "PROFILES_TABLE", "OPERATIONS_TABLE"];
const ALL: &[&str] =
    &["DIRECTORY_TABLE", "PROFILES_TABLE", "OPERATIONS_TABLE", "CLERK_INSTANCE_ID", "CLERK_SECRET_KEY"];

/// What a command needs that reads the copy alone.
const COPY: &[&str] = &["DIRECTORY_TABLE", "PROFILES_TABLE", "OPERATIONS_TABLE", "CLERK_INSTANCE_ID"];

/// A command that looks at the copy, and asks nobody else.
const fn looks(args: &'static [&'static str]) -> Call {
    Call { args, asks_clerk: false, changes: false, needs: COPY }
}

/// A command that asks Clerk, and changes something after consent.
const fn acts(args: &'static [&'static str]) -> Call {
    Call { args, asks_clerk: true, changes: true, needs: ALL }
}

pub(super) const CALLS: [Call; 33] = [
    acts(&["reconcile"]),
    Call { args: &["status"], asks_clerk: false, changes: false, needs: &["OPERATIONS_TABLE"] },
    Call { args: &["analyze"], asks_clerk: true, changes: false, needs: ALL },
    looks(&["users", "list"]),
    looks(&["users", "get", "{user}"]),
    looks(&["users", "find", "--name", "somebody"]),
    looks(&["organizations", "list"]),
    looks(&["organizations", "get", "{organization}"]),
    looks(&["organizations", "find", "--name", "acme"]),
    looks(&["members", "list"]),
    looks(&["members", "get", "{organization}/{user}"]),
    looks(&["members", "find", "--name", "somebody"]),
    Call { args: &["deletions"], asks_clerk: false, changes: false, needs: TABLES },
    Call { args: &["quarantine", "list"], asks_clerk: false, changes: false, needs: TABLES },
    Call { args: &["quarantine", "get", "msg_0"], asks_clerk: false, changes: false, needs: TABLES },
    // Clerk is asked, and an answer that does not come is told.
    Call { args: &["explain", "{user}"], asks_clerk: false, changes: false, needs: ALL },
    // The log is no table.
    Call { args: &["tail", "--once"], asks_clerk: false, changes: false, needs: &[] },
    acts(&["fix-profiles"]),
    acts(&["cleanup"]),
    acts(&["fix-duplicates", "--table", "tasks", "--by", "note", "--oldest", "task_id", "--format", "ulid"]),
    acts(&["full-sync"]),
    acts(&["sync", "{user}"]),
    acts(&["set-role", "{user}", "admin"]),
    acts(&["undo", "{user}"]),
    Call { args: &["restore", "{backup}"], asks_clerk: false, changes: true, needs: TABLES },
    acts(&["erase", "{user}"]),
    Call { args: &["export", "{user}"], asks_clerk: true, changes: false, needs: ALL },
    acts(&["migrate", "metadata", "{old}", "--clerk-id", "clerk", "--field", "plan"]),
    // The map was made with Clerk, which is not asked again.
    Call {
        args: &[
            "migrate",
            "rekey-table",
            "moods",
            "--map",
            "{planned}",
            "--reference",
            "user_id",
            "--folder",
            "{rekey}",
        ],
        asks_clerk: false,
        changes: true,
        needs: &[],
    },
    Call { args: &["migrate", "verify", "{verify}"], asks_clerk: true, changes: false, needs: ALL },
    Call { args: &["endpoint", "status"], asks_clerk: true, changes: false, needs: ALL },
    acts(&["endpoint", "ensure", "--adopt", "{endpoint}"]),
    Call { args: &["owned-tables", "{list}"], asks_clerk: false, changes: false, needs: TABLES },
];

/// Commands that work on no deployment, or on the local stack alone.
const WITHOUT: [&str; 6] = ["dev", "trigger", "reset", "settings", "completions", "manual"];

/// Commands that read files and work on no deployment, below a command of which others do.
const OF_FILES: [&str; 1] = ["migrate rekey"];

/// Commands that report what others fail at. Their own tests play these cases.
const REPORTING: [&str; 1] = ["doctor"];

/// A world with people, and files for the commands that read some.
pub(super) struct Office {
    pub(super) world: World,
    user: String,
    organization: String,
    /// The endpoint of the local stack.
    endpoint: String,
    folder: TempDir,
}

impl Office {
    pub(super) async fn open() -> Office {
        let world = World::with(&SETTINGS).await;
        world.make_owned_tables().await;
        let (users, organization) = people(&world, 3).await;
        world.set_now(world.now().get() + 60_000);
        assert!(world.reconcile().await.is_in_sync());
        world.give_rows(&users[0], 1, &users[0]).await;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("owned.json"), r#"[{"table":"tasks","key":"user_id"}]"#).unwrap();
        let old = json!({ "_id": "old", "clerk": users[0], "plan": "pro" });
        std::fs::write(folder.path().join("old.json"), old.to_string()).unwrap();
        // The plan of a migration, which a verification needs.
        let (old, text) = (folder.path().join("old.json"), "[users]\nfolder = 'planned'\nfiles = ['old.json']\n");
        let (old, planned) = (old.to_string_lossy().into_owned(), folder.path().join("planned"));
        let plan = ["migrate", "metadata", &old, "--clerk-id", "clerk", "--field", "plan", "--dry-run", "--folder"];
        let plan = rollcall(&world, &[&plan[..], &[&planned.to_string_lossy()]].concat(), &[]).await;
        assert_eq!(plan.status, Some(2), "{}", plan.err);
        std::fs::write(folder.path().join("verify.toml"), text).unwrap();
        // A finished migration, whose map a rekey needs.
        let mapped = folder.path().join("mapped");
        let only = ["migrate", "metadata", &old, "--clerk-id", "clerk", "--match-only", "--yes", "--folder"];
        let mapped = rollcall(&world, &[&only[..], &[&mapped.to_string_lossy()]].concat(), &[]).await;
        assert_eq!(mapped.status, Some(0), "{}", mapped.err);
        // A lost user, so that a run has something to do.
        let removed = rollcall(&world, &["erase", &users[2], "--now", "--yes", "--json"], &[]).await.json();
        let backup = Path::new(&world.stack.addresses.backups).join(removed["backups"][0].as_str().unwrap());
        std::fs::copy(backup, folder.path().join("backup.ndjson")).unwrap();
        world.clerk("PATCH", &format!("/users/{}", users[1]), json!({ "first_name": "Renamed" })).await;
        // Commands go by the machine's clock, and look for notes of the last days.
        world.set_now(super::look_operations::machine_time());
        let mut unreadable = rollcall_tests::sample("user.updated");
        unreadable["data"]["updated_at"] = "yesterday".into();
        unreadable["timestamp"] = world.now().get().into();
        // The first message of this world.
        assert_eq!(world.send(&world.sign(&unreadable)).await.status, 422);
        let endpoint = Portal::open(&world).await.endpoints().await.remove(0)["id"].as_str().unwrap().to_owned();
        Office { world, user: users[0].clone(), organization, endpoint, folder }
    }

    pub(super) fn args(&self, call: &Call) -> Vec<String> {
        let file = |name: &str| self.folder.path().join(name).to_string_lossy().into_owned();
        let fill = |arg: &&str| {
            let arg = arg.replace("{user}", &self.user).replace("{organization}", &self.organization);
            let arg = arg.replace("{backup}", &file("backup.ndjson")).replace("{list}", &file("owned.json"));
            let arg = arg.replace("{old}", &file("old.json")).replace("{verify}", &file("verify.toml"));
            let arg = arg.replace("{endpoint}", &self.endpoint);
            arg.replace("{planned}", &file("mapped")).replace("{rekey}", &file("moods.rekey"))
        };
        call.args.iter().map(fill).chain(call.changes.then(|| "--yes".to_owned())).collect()
    }

    async fn run(&self, call: &Call, settings: &[(&str, &str)]) -> Evidence {
        rollcall(&self.world, &borrowed(&self.args(call)), settings).await
    }

    async fn elsewhere(&self, call: &Call, change: impl FnOnce(&mut Record)) -> Evidence {
        elsewhere(&self.world, &borrowed(&self.args(call)), change).await
    }

    /// A digest of everything that is stored about users, in Clerk, too. The reports of runs are not part of it.
    pub(super) async fn stored(&self) -> u64 {
        let world = &self.world;
        let users = world.clerk("GET", "/users?limit=100", Value::Null).await;
        let tables = (world.directory().await, world.profiles().await, world.owned().await);
        let mut hasher = DefaultHasher::new();
        format!("{users} {tables:?}").hash(&mut hasher);
        hasher.finish()
    }
}

/// A table whose keys are those of no table of Rollcall.
async fn strange_table(world: &World, name: &str) {
    let id = AttributeDefinition::builder().attribute_name("id").attribute_type(ScalarAttributeType::S);
    let key = KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash);
    let table = world.stack.dynamodb.create_table().table_name(name).billing_mode(BillingMode::PayPerRequest);
    let table = table.attribute_definitions(id.build().unwrap()).key_schema(key.build().unwrap());
    table.send().await.unwrap();
}

fn borrowed(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

/// The command did nothing and printed nothing that looks like a result.
pub(super) fn failed(call: &Call, said: &Evidence, status: i32, reason: &str) {
    assert_eq!((said.status, said.out.as_str()), (Some(status), ""), "{:?}: {}", call.args, said.err);
    assert!(said.err.contains(reason), "{:?}: no {reason:?} in {}", call.args, said.err);
    assert!(!said.err.contains("panicked"), "{:?}: {}", call.args, said.err);
}

#[test]
fn i16_every_command_is_played_here() {
    let cli = Cli::command();
    for (words, command) in leaves(&cli) {
        let name = words.join(" ");
        if WITHOUT.contains(&words[0]) || OF_FILES.contains(&name.as_str()) {
            continue;
        }
        let calls: Vec<&Call> = CALLS.iter().filter(|call| call.args.starts_with(&words)).collect();
        let reports = REPORTING.contains(&name.as_str());
        assert!(reports || !calls.is_empty(), "{name} is missing in CALLS");
        let options: Vec<&str> = command.get_arguments().filter_map(|option| option.get_long()).collect();
        for option in ["stack", "function", "local", "port", "data", "override", "json"] {
            assert!(options.contains(&option), "{name} has no --{option}");
        }
        // doctor changes something with --fix and --probe.
        let changes = reports || calls.iter().any(|call| call.changes);
        assert_eq!((options.contains(&"yes"), options.contains(&"dry-run") || !changes), (changes, true), "{name}");
    }
}

#[tokio::test]
async fn i16_fault_a3_a_variable_in_the_shell_that_contradicts_the_deployment_stops_every_command() {
    let office = Office::open().await;
    let before = office.stored().await;
    for call in &CALLS {
        let mut contradicted = command(binary().to_str().unwrap(), &[("DELETION_POLICY", "retain")]);
        contradicted.args(on(&office.world, &borrowed(&office.args(call))));
        let said = finish(contradicted).await;
        failed(call, &said, 64, "DELETION_POLICY: the shell says retain, the deployment says purge");
        // The same value is no contradiction, and variables of other programs do not count.
        if !call.changes {
            let shell = [("DELETION_POLICY", "purge"), ("DATABASE_URL", "x"), ("SIGN_IN_URL", "x")];
            let mut agreed = command(binary().to_str().unwrap(), &shell);
            agreed.args(on(&office.world, &borrowed(&office.args(call))));
            let said = finish(agreed).await;
            assert!(matches!(said.status, Some(0 | 2)), "{:?}: {}", call.args, said.err);
        }
    }
    assert_eq!(office.stored().await, before);
}

#[tokio::test]
async fn i16_fault_a4_a_command_on_a_stack_without_a_copy_copies_nobody() {
    // The settings of the preset clerk-only, which no command needs to be told.
    let world = World::with(&[("MIRROR", "off")]).await;
    people(&world, 3).await;
    let said = rollcall(&world, &["reconcile", "--yes"], &[]).await;
    assert!(matches!(said.status, Some(0 | 2)), "{}", said.err);
    // Organizations are copied under this policy, too.
    let kinds = |rows: Vec<Value>| rows.iter().map(|row| row["sk"].clone()).collect::<Vec<_>>();
    assert_eq!(kinds(world.directory().await), [json!("ORG")]);
    let shell = [("MIRROR", "on")];
    let mut command = command(binary().to_str().unwrap(), &shell);
    command.args(on(&world, &["reconcile", "--yes"]));
    let said = finish(command).await;
    assert_eq!((said.status, said.out.as_str()), (Some(64), ""));
    assert!(said.err.contains("MIRROR: the shell says on, the deployment says off"), "{}", said.err);
    assert_eq!(kinds(world.directory().await), [json!("ORG")]);
}

#[tokio::test]
async fn i16_a_command_without_a_deployment_does_nothing() {
    let office = Office::open().await;
    let nothing = tempfile::tempdir().unwrap();
    for call in &CALLS {
        let args = office.args(call);
        let mut unnamed = command(binary().to_str().unwrap(), &[]);
        unnamed.args(&args);
        failed(call, &finish(unnamed).await, 64, "--stack <NAME>|--function <NAME>|--local");
        let mut alone = command(binary().to_str().unwrap(), &[]);
        alone.args(&args).arg("--local").env("XDG_RUNTIME_DIR", nothing.path());
        failed(call, &finish(alone).await, 1, "start one with `rollcall dev`");
        let mut regionless = command(binary().to_str().unwrap(), &[]);
        regionless.args(&args).args(["--stack", "production"]);
        failed(call, &finish(regionless).await, 1, "AWS_REGION");
    }
}

#[tokio::test]
async fn i16_settings_that_are_missing_or_wrong_are_named_before_anything_is_written() {
    let office = Office::open().await;
    let before = office.stored().await;
    let (directory, profiles) = ("rollcall-directory", "rollcall-profiles");
    for table in ["notes", "photos"] {
        strange_table(&office.world, table).await;
    }
    for call in CALLS.iter().filter(|call| !call.needs.is_empty()) {
        let said = office.elsewhere(call, |record| record.settings.clear()).await;
        failed(call, &said, 1, "settings of the deployment are incomplete");
        for name in call.needs {
            assert!(said.err.lines().any(|line| line.starts_with(&format!("  {name} is "))), "{name}: {}", said.err);
        }
        let said = office.run(call, &[("OPERATIONS_TABLE", "rollcall-typo")]).await;
        failed(call, &said, 1, "OPERATIONS_TABLE names rollcall-typo: the table does not exist");
        let said = office.run(call, &[("OPERATIONS_TABLE", directory)]).await;
        failed(call, &said, 1, "OPERATIONS_TABLE names");
        // A table of the application, with other keys.
        let said = office.run(call, &[("OPERATIONS_TABLE", "notes")]).await;
        failed(call, &said, 1, "OPERATIONS_TABLE names notes: ");
        if call.needs.len() > 1 {
            let said = office.run(call, &[("DIRECTORY_TABLE", profiles), ("PROFILES_TABLE", directory)]).await;
            failed(call, &said, 1, "DIRECTORY_TABLE names rollcall-profiles");
            let said = office.run(call, &[("DIRECTORY_TABLE", "notes"), ("PROFILES_TABLE", "photos")]).await;
            failed(call, &said, 1, "DIRECTORY_TABLE names notes: ");
            assert!(said.err.contains("PROFILES_TABLE names photos: "), "{}", said.err);
        }
        if call.changes {
            let said = office.elsewhere(call, |record| "9.0.0".clone_into(&mut record.version)).await;
            failed(call, &said, 1, "Rollcall 9.0.0 is deployed");
        }
    }
    assert_eq!(office.stored().await, before);
}

#[tokio::test]
async fn i16_another_instance_of_clerk_and_a_clerk_that_does_not_answer_change_nothing() {
    let office = Office::open().await;
    let before = office.stored().await;
    for call in CALLS.iter().filter(|call| call.asks_clerk) {
        for (setting, reason) in [
            (("CLERK_INSTANCE_ID", "ins_other"), "CLERK_INSTANCE_ID"),
            (("CLERK_SECRET_KEY", "sk_test_wrong"), "CLERK_SECRET_KEY"),
            (("CLERK_API_URL", "http://127.0.0.1:1"), "check that `rollcall dev` is running"),
        ] {
            let said = office.run(call, &[setting]).await;
            failed(call, &said, 1, reason);
            assert!(!said.err.contains("sk_test_wrong"), "{}", said.err);
        }
    }
    assert_eq!(office.stored().await, before);
}

#[tokio::test]
async fn i16_a_dynamodb_that_does_not_answer_or_denies_is_named() {
    let office = Office::open().await;
    let denied = || async {
        let body = json!({ "__type": "com.amazon.coral.service#AccessDeniedException", "message": "not authorized" });
        (StatusCode::BAD_REQUEST, [("content-type", "application/x-amz-json-1.0")], body.to_string())
    };
    let denying = rollcall_tests::serve(axum::Router::new().fallback(denied)).await;
    for call in CALLS.iter().filter(|call| !call.needs.is_empty()) {
        let nobody = |record: &mut Record| "http://127.0.0.1:1".clone_into(&mut record.addresses.dynamodb);
        failed(call, &office.elsewhere(call, nobody).await, 1, "check that `rollcall dev` is running");
        let denying = |record: &mut Record| denying.clone_into(&mut record.addresses.dynamodb);
        failed(call, &office.elsewhere(call, denying).await, 1, "AccessDeniedException");
    }
}

#[tokio::test]
async fn i16_a_command_that_nobody_can_be_asked_about_needs_yes() {
    let office = Office::open().await;
    let before = office.stored().await;
    for call in CALLS.iter().filter(|call| call.changes) {
        let mut args = office.args(call);
        args.pop();
        for json in [&[][..], &["--json"]] {
            let said = rollcall(&office.world, &[&borrowed(&args)[..], json].concat(), &[]).await;
            failed(call, &said, 64, "--yes or --dry-run");
        }
        let said = rollcall(&office.world, &[&borrowed(&args)[..], &["--dry-run"]].concat(), &[]).await;
        assert!(matches!(said.status, Some(0 | 2)) && !said.out.is_empty(), "{:?}: {}", call.args, said.err);
    }
    assert_eq!(office.stored().await, before);
}

#[tokio::test]
async fn i16_a_full_disk_is_a_failure_and_a_closed_pipe_is_not() {
    let office = Office::open().await;
    // The log of this stack is empty.
    for call in CALLS.iter().filter(|call| !call.changes && !call.needs.is_empty()) {
        let args = on(&office.world, &borrowed(&office.args(call)));
        let printed = |output: Stdio| {
            let mut command = command(binary().to_str().unwrap(), &[]);
            command.args(&args).stdout(output);
            async move { command.spawn().unwrap().wait_with_output().await.unwrap() }
        };
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = printed(full.into()).await;
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{:?}: {err}", call.args);
        assert!(err.contains("standard output cannot be written"), "{:?}: {err}", call.args);
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let output = printed(writer.into()).await;
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(matches!(output.status.code(), Some(0 | 2)), "{:?}: {err}", call.args);
        assert!(!err.contains("panicked") && !err.contains("rollcall: "), "{:?}: {err}", call.args);
    }
}
