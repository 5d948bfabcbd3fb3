//! The program `clerk-emulator`, as a shell starts and stops it.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use axum::{http::StatusCode, response::IntoResponse};
use clerk_emulator::{INSTANCE_ID, SECRET_KEY, WEBHOOK_SECRET};
use serde_json::{Value, json};

use crate::support::{Endpoint, client, read};

/// A started program, ended with its test whatever becomes of that.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The program with these arguments, separated by spaces, and nothing of Clerk's in its environment.
fn command(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clerk-emulator"));
    command.args(arguments.split_whitespace()).env_remove("CLERK_SECRET_KEY").env_remove("CLERK_WEBHOOK_SECRET");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Program {
    fn start(arguments: &str) -> Self {
        Self(command(arguments).spawn().expect("the program starts"))
    }

    /// What it prints when it is ready.
    fn ready(&mut self) -> String {
        first_line(self.0.stdout.take().expect("a pipe"))
    }

    fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.0.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    fn exit_status(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < Duration::from_secs(10), "the program goes on");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn first_line(pipe: impl std::io::Read) -> String {
    let mut line = String::new();
    BufReader::new(pipe).read_line(&mut line).expect("a line");
    line
}

async fn count_users(ready: &Value) -> Value {
    let url = format!("{}/v1/users/count", ready["url"].as_str().unwrap());
    read(client().get(url).bearer_auth(ready["secret_key"].as_str().unwrap())).await.ok()["total_count"].clone()
}

#[tokio::test]
async fn the_program_answers_and_ends_well_when_told_to() {
    for signal in ["TERM", "INT"] {
        let mut program = Program::start("--port 0 --users 3 --json");
        let ready: Value = serde_json::from_str(&program.ready()).expect("one line of JSON");
        let url = &ready["url"];
        let defaults = json!({
            "url": url, "secret_key": SECRET_KEY, "webhook_secret": WEBHOOK_SECRET, "instance_id": INSTANCE_ID,
            "issuer": url, "jwks_url": format!("{}/.well-known/jwks.json", url.as_str().unwrap()),
        });
        assert_eq!(ready, defaults);
        assert_eq!(count_users(&ready).await, 3);
        program.signal(signal);
        assert_eq!(program.exit_status().code(), Some(0), "{signal}");
    }
}

#[tokio::test]
async fn the_program_delivers_with_the_secret_and_the_instance_that_it_was_given() {
    let secret = "whsec_c2VjcmV0IG9mIHRoZSBwcm9ncmFt";
    let endpoint = Endpoint::with_secret(secret, Box::new(|_| StatusCode::OK.into_response())).await;
    let arguments = format!("--port 0 --json --webhook-url {} --instance-id ins_mine", endpoint.url);
    let started = command(&arguments).args(["--webhook-secret", secret]).spawn();
    let mut program = Program(started.unwrap());
    let ready: Value = serde_json::from_str(&program.ready()).unwrap();
    let at = |path: &str| client().post(format!("{}{path}", ready["url"].as_str().unwrap())).bearer_auth(SECRET_KEY);
    read(at("/v1/users").json(&json!({"username": "ada"}))).await.ok();
    read(at("/_emulator/settle")).await.ok();
    let webhook = endpoint.received().remove(0);
    assert_eq!((webhook.kind(), &webhook.payload["instance_id"]), ("user.created", &json!("ins_mine")));
}

#[tokio::test]
async fn the_program_is_an_instance_for_production_when_told_to() {
    for (argument, environment) in [("", "development"), ("--production", "production")] {
        let mut program = Program::start(&format!("--port 0 --json {argument}"));
        let ready: Value = serde_json::from_str(&program.ready()).unwrap();
        let url = format!("{}/v1/instance", ready["url"].as_str().unwrap());
        let instance = read(client().get(url).bearer_auth(SECRET_KEY)).await.ok();
        assert_eq!(instance["environment_type"], environment);
    }
}

#[tokio::test]
async fn the_program_goes_on_with_its_snapshot_and_seed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clerk.json");
    let mut kept = Vec::new();
    for (users, seed) in [(4, 7), (9, 7)] {
        let arguments = format!("--port 0 --json --users {users} --seed {seed} --snapshot {}", file.display());
        let mut program = Program::start(&arguments);
        let ready: Value = serde_json::from_str(&program.ready()).unwrap();
        assert_eq!(count_users(&ready).await, 4, "samples are for an instance that was never saved");
        program.signal("TERM");
        assert!(program.exit_status().success());
        kept.push(std::fs::read_to_string(&file).unwrap());
    }
    assert_eq!(kept[0], kept[1]);
    let other = folder.path().join("other.json");
    let mut program = Program::start(&format!("--port 0 --users 4 --seed 8 --snapshot {}", other.display()));
    program.ready();
    program.signal("TERM");
    assert!(program.exit_status().success());
    let id = |text: &str| serde_json::from_str::<Value>(text).unwrap()["users"][0]["id"].clone();
    assert_ne!(id(&kept[0]), id(&std::fs::read_to_string(other).unwrap()), "another seed, other ids");
}

#[test]
fn keys_and_the_instance_come_from_arguments_or_the_environment() {
    let printed = |arguments: &str, environment: &[(&str, &str)]| {
        let spawned = command(arguments).args(["--port", "0"]).envs(environment.iter().copied()).spawn();
        let mut program = Program(spawned.unwrap());
        // Five lines are printed at once, and none of them is JSON.
        let pipe = BufReader::new(program.0.stdout.take().unwrap());
        let lines: Vec<String> = pipe.lines().take(5).map(Result::unwrap).collect();
        assert!(lines[0].starts_with("CLERK_API_URL=http://127.0.0.1:"), "{lines:?}");
        assert!(lines[3].starts_with("CLERK_ISSUER=http://127.0.0.1:"), "{lines:?}");
        assert!(lines[4].starts_with("CLERK_JWKS_URL=http://127.0.0.1:"), "{lines:?}");
        lines[1..3].join(" ")
    };
    let given = [("CLERK_SECRET_KEY", "sk_test_mine"), ("CLERK_WEBHOOK_SECRET", "whsec_bmV3 whsec_b2xk")];
    let empty = [("CLERK_SECRET_KEY", ""), ("CLERK_WEBHOOK_SECRET", "")];
    let defaults = format!("CLERK_SECRET_KEY={SECRET_KEY} CLERK_WEBHOOK_SECRET={WEBHOOK_SECRET}");
    assert_eq!(printed("", &[]), defaults);
    assert_eq!(printed("", &empty), defaults, "set to nothing is not set");
    assert_eq!(printed("", &given), "CLERK_SECRET_KEY=sk_test_mine CLERK_WEBHOOK_SECRET=whsec_bmV3", "the first");
    let arguments = "--secret-key sk_test_a --webhook-secret whsec_YQ==";
    assert_eq!(printed(arguments, &given), "CLERK_SECRET_KEY=sk_test_a CLERK_WEBHOOK_SECRET=whsec_YQ==");

    let mut program = Program::start("--port 0 --json --instance-id ins_mine --issuer https://clerk.example.com");
    let ready: Value = serde_json::from_str(&program.ready()).unwrap();
    assert_eq!((&ready["instance_id"], &ready["issuer"]), (&json!("ins_mine"), &json!("https://clerk.example.com")));
}

#[test]
fn a_signal_while_starting_ends_the_program_at_once() {
    // So many users that the start takes longer than the test waits.
    let mut program = Program::start("--port 0 --users 5000000");
    assert!(first_line(program.0.stderr.take().unwrap()).contains("starts"));
    program.signal("TERM");
    assert_eq!(program.exit_status().code(), Some(0));
    assert_eq!(program.ready(), "", "it never was ready");
}

#[test]
fn exit_statuses_tell_wrong_usage_from_failure() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    for (arguments, status, complaint) in [
        ("--prot 1".to_owned(), 64, "unexpected argument"),
        ("--users many".to_owned(), 64, "invalid value"),
        ("now".to_owned(), 64, "unexpected argument"),
        (format!("--port {port}"), 1, "cannot listen on port"),
        ("--port 0 --webhook-url nowhere".to_owned(), 1, "endpoint URL must look like"),
    ] {
        let output = command(&arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{arguments}: {said}");
        assert!(said.contains(complaint) && output.stdout.is_empty(), "{arguments}: {said}");
    }
    let help = command("--help").output().unwrap();
    assert!(help.status.success() && String::from_utf8_lossy(&help.stdout).contains("--webhook-url"));
}

#[test]
fn fault_a9_what_cannot_be_written_is_a_failure_and_a_closed_pipe_is_not() {
    let full = || std::fs::File::options().write(true).open("/dev/full").unwrap();
    for arguments in ["--help", "--version", "--port 0 --json", "--port 0"] {
        let mut program = Program(command(arguments).stdout(full()).spawn().unwrap());
        assert_eq!(program.exit_status().code(), Some(1), "{arguments}");
    }
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut program = Program(command("--port 0 --json").stdout(writer).spawn().unwrap());
    let err = program.0.stderr.take().unwrap();
    assert!(first_line(err).contains("the Clerk emulator starts"));
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(program.0.try_wait().unwrap(), None, "it goes on: nobody needs its addresses");
}

#[test]
fn fault_a11_one_snapshot_belongs_to_one_program() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clerk.json");
    let arguments = format!("--port 0 --json --snapshot {}", file.display());
    let mut first = Program::start(&arguments);
    assert!(first.ready().starts_with('{'));
    let refused = command(&arguments).output().unwrap();
    let err = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{err}");
    assert!(err.contains(&format!("is in use by process {}", first.0.id())), "{err}");
    // However it ended, its claim ended with it.
    first.signal("KILL");
    first.exit_status();
    assert!(Program::start(&arguments).ready().starts_with('{'));
}
