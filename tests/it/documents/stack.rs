//! A local stack for the commands of a document, and a shell in which they find it.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::commands::shown;
use super::markdown::Document;
use super::shell::Call;
use crate::ADA;
use crate::operator::commands::binary;

/// Ways to the started stack, which is not on the usual ports; and nobody is there to say yes.
const PRELUDE: &str = r#"
rollcall() {
  case "$1 $* " in
    *" --dry-run "* | *" --yes "*) ;;
    reconcile* | undo* | restore* | erase*) set -- "$@" --yes ;;
  esac
  "$ROLLCALL" "$@"
}
cargo() { while [ "$1" != -- ]; do shift; done; shift; rollcall "$@"; }
curl() { command curl --fail -sS "$@"; }
"#;

/// A started `rollcall dev`.
pub(super) struct Stack {
    _process: Child,
    addresses: Value,
    pub(super) users: Vec<String>,
    home: TempDir,
}

/// What a statement has printed, and its exit status.
pub(super) struct Played {
    pub(super) printed: String,
    pub(super) status: i32,
}

impl Stack {
    /// Starts it with the settings that the document exports before `rollcall dev`.
    pub(super) async fn start(document: &Document) -> Stack {
        Stack::with_ports(document, &["--port", "0", "--clerk-port", "0", "--dynamodb-port", "0"]).await
    }

    /// The same on these ports; without an option on the usual ones.
    pub(super) async fn with_ports(document: &Document, ports: &[&str]) -> Stack {
        let home = tempfile::tempdir().unwrap();
        let mut command = Command::new(binary());
        command.env_clear().env("HOME", home.path()).env("TMPDIR", home.path());
        for block in document.blocks.iter().filter_map(shown) {
            let calls: Vec<&Call> = block.iter().flat_map(|shown| &shown.statement.calls).collect();
            let dev = calls.iter().position(|call| call.words == ["rollcall", "dev"]).unwrap_or_default();
            command.envs(calls[..dev].iter().flat_map(|call| call.variables.clone()));
        }
        command.args(["dev", "--json"]).args(ports);
        let (process, line) = first_line(command).await;
        let addresses: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{}: {error}", document.path));
        let clerk = reqwest::Client::new().get(format!("{}/v1/users", addresses["clerk"].as_str().unwrap()));
        let users = clerk.bearer_auth(addresses["clerk_secret_key"].as_str().unwrap()).send().await.unwrap();
        let users: Vec<Value> = users.json().await.unwrap();
        // Commands of a document are about a user who may call the functions.
        let users = users.iter().filter(|user| user["banned"] == false && user["locked"] == false);
        let users = users.map(|user| user["id"].as_str().unwrap().to_owned()).collect();
        std::fs::write(home.path().join("owned.json"), r#"[{"table":"tasks","key":"user_id"}]"#).unwrap();
        Stack { _process: process, addresses, users, home }
    }

    fn address(&self, name: &str) -> &str {
        self.addresses[name].as_str().unwrap()
    }

    /// The text for this stack, about one of its users.
    pub(super) fn fitted(&self, text: &str, user: &str) -> String {
        let host = |name: &str| self.address(name).trim_start_matches("http://").to_owned();
        let dynamodb = host("dynamodb");
        let backups = format!("$TMPDIR/rollcall-{}-backups", dynamodb.rsplit(':').next().unwrap());
        let replaced = [
            ("…/rollcall-4402-backups/….ndjson", format!("{backups}/*/*/*.ndjson")),
            ("127.0.0.1:4400", host("api")),
            ("127.0.0.1:4401", host("clerk")),
            ("127.0.0.1:4402", dynamodb),
            ("--stack rollcall", "--local".to_owned()),
            ("https://api.clerk.com", self.address("clerk").to_owned()),
            ("user_…", user.to_owned()),
            (ADA, user.to_owned()),
            ("sess_…", "$session".to_owned()),
            ("ins_…", self.address("clerk_instance_id").to_owned()),
            ("sk_test_…", self.address("clerk_secret_key").to_owned()),
            ("=/tmp/", "=$TMPDIR/".to_owned()),
        ];
        replaced.iter().fold(text.to_owned(), |text, (shown, fitted)| text.replace(shown, fitted))
    }

    /// The program finds `$ROLLCALL` and the record of this stack, and nothing of the test's own environment.
    pub(super) fn surround(&self, program: &mut Command) {
        program.env_clear().env("HOME", self.home.path()).env("TMPDIR", self.home.path()).env("ROLLCALL", binary());
        #[expect(clippy::disallowed_methods, reason = "the test plays the part of a shell here")]
        program.env("PATH", std::env::var_os("PATH").unwrap()).current_dir(&self.home);
    }

    /// Plays statements in one shell.
    pub(super) async fn play(&self, statements: &[String]) -> Vec<Played> {
        let mut script = PRELUDE.to_owned();
        for statement in statements {
            script.push_str(&format!("{{ {statement}\n}} 2>&1; printf '\\036%s\\036' $?\n"));
        }
        let mut shell = Command::new("sh");
        self.surround(&mut shell);
        let names = ["api", "clerk", "dynamodb"].map(|name| (name.to_uppercase(), self.address(name)));
        shell.envs(names).env("CLERK_API_URL", self.address("clerk"));
        shell.env("CLERK_SECRET_KEY", self.address("clerk_secret_key"));
        shell.args(["-c", &script]).stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(Duration::from_mins(1), shell.output()).await.expect("it ends").unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let parts: Vec<&str> = text.split('\u{1e}').collect();
        let played = parts.chunks_exact(2);
        played.map(|part| Played { printed: part[0].to_owned(), status: part[1].parse().unwrap() }).collect()
    }
}

/// The first line of a program that goes on.
pub(super) async fn first_line(mut command: Command) -> (Child, String) {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut process = command.spawn().expect("the programs are built by `make test` before this runs");
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).await.unwrap();
    (process, line)
}
