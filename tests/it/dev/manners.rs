//! How the local stack and its commands behave towards a developer: what they print, in which order, and what not.

use std::process::Stdio;
use std::time::Duration;

use rollcall_tests::World;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Command;

use crate::operator::commands::{binary, command, finish, people, rollcall, run, typed, typed_with};

const FREE: [&str; 7] = ["dev", "--port", "0", "--clerk-port", "0", "--dynamodb-port", "0"];

/// What a local stack has printed on both outputs, in order, while `meanwhile` ran.
async fn printed<F: Future<Output = ()>>(
    more: &[&str],
    environment: &[(&str, &str)],
    meanwhile: impl FnOnce(String) -> F,
) -> String {
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = command(binary().to_str().unwrap(), environment);
    command.args(FREE).args(more).stdout(writer.try_clone().unwrap()).stderr(Stdio::from(writer));
    let mut process = command.spawn().unwrap();
    drop(command);
    let mut lines = BufReader::new(tokio::net::unix::pipe::Receiver::from_owned_fd(reader.into()).unwrap());
    let mut text = String::new();
    let until_ready =
        async { while !text.contains("Stop with Ctrl-C.") && lines.read_line(&mut text).await.unwrap() > 0 {} };
    tokio::time::timeout(Duration::from_secs(30), until_ready).await.expect("it starts");
    meanwhile(text.clone()).await;
    let kill = format!("kill -TERM {}", process.id().unwrap());
    assert!(Command::new("sh").args(["-c", &kill]).status().await.unwrap().success());
    tokio::time::timeout(Duration::from_secs(20), lines.read_to_string(&mut text)).await.expect("it ends").unwrap();
    assert!(process.wait().await.unwrap().success(), "{text}");
    text
}

/// The commands below the banner, without the program.
fn banner_commands(banner: &str) -> Vec<Vec<String>> {
    let lines = banner.lines().filter_map(|line| line.trim().strip_prefix("cargo run -q -p rollcall-cli -- "));
    lines.map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
}

#[tokio::test]
async fn fault_c2_the_banner_comes_before_every_event_and_its_commands_work_on_its_ports() {
    let play = async |banner: String| {
        let commands = banner_commands(&banner);
        assert_eq!(commands.len(), 3, "{banner}");
        for command in commands {
            let args: Vec<&str> = command.iter().map(String::as_str).collect();
            let args = if args[0] == "reconcile" { [&args[..], &["--yes"]].concat() } else { args };
            let said = run(&args, &[]).await;
            assert_eq!(said.status, Some(0), "{args:?} {} {}", said.out, said.err);
        }
    };
    let text = printed(&["--users", "3"], &[], play).await;
    assert!(text.starts_with("\n  Rollcall is running."), "{text}");
    let (_, log) = text.split_once("Stop with Ctrl-C.").unwrap();
    let events: Vec<&str> = log.lines().filter(|line| line.contains("webhook ")).collect();
    assert_eq!(events.len(), 1, "the event of `trigger` and none of the start: {log}");
    let words: Vec<&str> = events[0].split_whitespace().collect();
    assert_eq!((words[1], words[2], words[4], words.len()), ("webhook", "user.created", "applied", 5), "{log}");
    assert!(log.lines().all(|line| line.len() < 200), "{log}");
}

#[tokio::test]
async fn fault_c2_no_secret_of_the_developer_is_shown() {
    let (key, secret) = ("sk_test_realrealreal", "whsec_cmVhbHJlYWxyZWFscmVhbHJlYWw=");
    let own = [("CLERK_SECRET_KEY", key), ("CLERK_WEBHOOK_SIGNING_SECRET", secret)];
    let text = printed(&[], &own, async |_| ()).await;
    assert!(!text.contains(key) && !text.contains(secret), "{text}");
    assert!(text.contains("Bearer $CLERK_SECRET_KEY\"") && text.contains("the secret in your environment"), "{text}");
}

#[tokio::test]
async fn fault_c2_the_log_has_other_forms_and_levels() {
    let trigger = async |banner: String| {
        let command = banner_commands(&banner).remove(0);
        run(&command.iter().map(String::as_str).collect::<Vec<_>>(), &[]).await;
    };
    let text = printed(&["--log", "json"], &[], trigger).await;
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let event = lines.into_iter().find(|line| line["message"] == "event").unwrap_or_else(|| panic!("{text}"));
    assert!(event["svix_id"].is_string() && event["rank"].is_string(), "{event}");
    let silent = printed(&[], &[("RUST_LOG", "off")], trigger).await;
    assert!(silent.trim_end().ends_with("Stop with Ctrl-C."), "{silent}");
    let wrong = run(&FREE, &[("RUST_LOG", "webhook=loud")]).await;
    assert_eq!((wrong.status, wrong.out.as_str(), wrong.err.contains("RUST_LOG=webhook=loud")), (Some(64), "", true));
}

#[tokio::test]
async fn no_color_ends_all_colours() {
    let world = World::start().await;
    let (users, _) = people(&world, 1).await;
    world.reconcile().await;
    let event = rollcall_tests::deletion_event("user.deleted", &users[0], world.now().get());
    world.post(&event).await;
    let is_coloured = |text: &str| {
        let sequences = text.split("\u{1b}[").skip(1);
        sequences
            .into_iter()
            .any(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m'))
    };
    let said = typed(&world, &["reconcile", "--dry-run"], "").await;
    assert!(is_coloured(&said.out), "a warning has a colour: {}", said.out);
    for args in [&["reconcile", "--dry-run"][..], &["nonsense"], &["--help"]] {
        let said = typed_with(&world, args, "", "1").await;
        assert!(!is_coloured(&said.out), "{args:?} {:?}", said.out);
    }
}

#[tokio::test]
async fn fault_c5_the_signing_secret_may_have_clerks_name_and_only_one_value() {
    let (one, other) = ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_b3RoZXJvdGhlcm90aGVyb3RoZXI=");
    let print = ["trigger", "user.created", "--print"];
    let with = async |environment: &[(&str, &str)]| run(&print, environment).await;
    assert_eq!(with(&[("CLERK_WEBHOOK_SIGNING_SECRET", one)]).await.status, Some(0));
    let both = [("CLERK_WEBHOOK_SECRET", one), ("CLERK_WEBHOOK_SIGNING_SECRET", other)];
    let refused = with(&both).await;
    assert_eq!((refused.status, refused.out.as_str()), (Some(64), ""), "{}", refused.err);
    assert!(refused.err.contains("CLERK_WEBHOOK_SIGNING_SECRET") && !refused.err.contains("whsec_"), "{}", refused.err);
    assert_eq!(run(&FREE, &both).await.status, Some(64));
    // The function reads it, too.
    let settings = |clerks: &'static str| {
        move |name: &str| match name {
            "DIRECTORY_TABLE" => Some("directory".to_owned()),
            "OPERATIONS_TABLE" => Some("operations".to_owned()),
            "CLERK_INSTANCE_ID" => Some("ins_1".to_owned()),
            "CLERK_SECRET_KEY" => Some("sk_test_1".to_owned()),
            "CLERK_WEBHOOK_SECRET" if clerks != one => Some(one.to_owned()),
            "CLERK_WEBHOOK_SIGNING_SECRET" => Some(clerks.to_owned()),
            _ => None,
        }
    };
    let read = webhook::settings::Settings::read(&settings(one));
    assert!(read.is_ok(), "{:?}", read.err());
    let refused = webhook::settings::Settings::read(&settings(other)).unwrap_err();
    assert_eq!(refused.names(), ["CLERK_WEBHOOK_SECRET"]);
    assert!(refused.lines()[0].contains("differs from CLERK_WEBHOOK_SIGNING_SECRET"), "{refused}");
}

#[tokio::test]
async fn fault_c4_the_publishable_key_names_the_emulator() {
    let world = World::start().await;
    let addresses = &world.stack.addresses;
    let encoded = addresses.clerk_publishable_key.strip_prefix("pk_test_").unwrap();
    let host = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, encoded).unwrap();
    assert_eq!(format!("http://{}", String::from_utf8(host).unwrap()), format!("{}$", addresses.clerk));
    // FAULTS C3: where Vite and Next.js serve.
    assert_eq!(addresses.allowed_origins, "http://localhost:5173 http://localhost:3000");
}

#[tokio::test]
async fn fault_c1_the_first_demo_works_again_and_again() {
    let play = async |banner: String| {
        let command = banner_commands(&banner).remove(0);
        let port = command.last().unwrap();
        // The user of the samples stays deleted, whatever comes later.
        assert_eq!(run(&["trigger", "user.deleted", "--port", port], &[]).await.status, Some(0));
        for _ in 0..2 {
            let said = run(&["trigger", "user.created", "--new", "--port", port], &[]).await;
            assert_eq!(said.status, Some(0), "{} {}", said.out, said.err);
            assert!(said.out.contains(r#"{"outcome":"applied"}"#) && said.out.contains("\"name\""), "{}", said.out);
        }
        let many = ["organizationMembership.created", "--new", "--count", "3", "--json", "--port", port];
        let many = run(&[&["trigger"][..], &many].concat(), &[]).await;
        let lines: Vec<Value> = many.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((many.status, lines.len()), (Some(0), 3), "{}", many.err);
        assert!(lines.iter().all(|line| line["answer"]["outcome"] == "applied"), "{}", many.out);
    };
    printed(&["--users", "1"], &[], play).await;
    for args in [
        &["trigger", "user.created", "--new", "--id", "user_1"][..],
        &["trigger", "user.created", "--count", "2"],
        &["trigger", "user.created", "--new", "--count", "0"],
        &["trigger", "user.created", "--new", "--count", "2", "--print"],
    ] {
        assert_eq!(run(args, &[]).await.status, Some(64), "{args:?}");
    }
}

#[tokio::test]
async fn fault_c1_reset_brings_a_local_stack_back_to_its_start_and_no_other() {
    let world = World::start().await;
    people(&world, 3).await;
    world.reconcile().await;
    world.follow().await;
    let port = world.stack.addresses.api.rsplit(':').next().unwrap();
    let reset = ["reset", "--local", "--port", port];
    let before = world.directory().await.len();
    for (args, status) in [
        (&["reset"][..], 64),
        (&["reset", "--stack", "rollcall", "--yes"], 64),
        (&["reset", "--local", "--stack", "rollcall", "--yes"], 64),
        (&reset, 64),
        (&[&reset[..], &["--dry-run"]].concat(), 2),
    ] {
        assert_eq!(run(args, &[]).await.status, Some(status), "{args:?}");
    }
    let asked = typed(&world, &["reset"], "n\n").await;
    assert!(asked.status == Some(2) && asked.out.contains("Remove these data?"), "{}", asked.out);
    let addresses = &world.stack.addresses;
    for place in [&addresses.backups, &addresses.event_bus, &addresses.directory_table] {
        assert!(asked.out.contains(place.as_str()), "{place}: {}", asked.out);
    }
    let plan = run(&[&reset[..], &["--dry-run", "--json"]].concat(), &[]).await;
    assert_eq!(plan.json()["backups"], addresses.backups.as_str());
    assert_eq!(world.directory().await.len(), before);
    let said = run(&[&reset[..], &["--yes", "--json"]].concat(), &[]).await;
    assert_eq!(said.status, Some(0), "{}", said.err);
    assert!(said.json()["removed"].as_u64().unwrap() > 7, "{}", said.out);
    assert!(world.directory().await.is_empty() && world.profiles().await.is_empty());
    assert!(world.operations().await.is_empty() && world.published().is_empty());
    assert_eq!(world.clerk("GET", "/users", Value::Null).await, Value::Array(Vec::new()));
    assert_eq!(rollcall(&world, &["reconcile", "--yes"], &[]).await.status, Some(0));
}

#[tokio::test]
async fn completions_know_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let said = run(&["completions", shell], &[]).await;
        assert_eq!((said.status, said.err.as_str()), (Some(0), ""));
        for name in ["reconcile", "set-role", "--stack", "--quiet"] {
            assert!(said.out.contains(name.trim_start_matches("--")), "{shell}: {name}");
        }
    }
    let script = run(&["completions", "bash"], &[]).await.out;
    let mut bash = command("bash", &[]);
    bash.args(["-n", "-c", &script]);
    assert_eq!(finish(bash).await.status, Some(0));
    assert_eq!(run(&["completions", "tcsh"], &[]).await.status, Some(64));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut closed = command(binary().to_str().unwrap(), &[]);
    closed.args(["completions", "zsh"]).stdout(writer);
    assert_eq!(closed.status().await.unwrap().code(), Some(0));
}
