//! A world whose DynamoDB and Clerk are behind wires, and commands that are stopped at one of their requests.

use std::pin::pin;
use std::process::Stdio;
use std::time::Duration;

use rollcall_cli::dev::record::{self, Published};
use rollcall_tests::owned::Row;
use rollcall_tests::{Point, Wire, World};
use serde_json::json;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::every_command::SETTINGS;
use super::system_e::{of, rows, text_row};
use crate::operator::commands::{self, Evidence, binary, people};

/// A world, and the record through which commands find its wires.
pub(super) struct Office {
    pub(super) world: World,
    pub(super) clerk: Wire,
    pub(super) users: Vec<String>,
    pub(super) organization: String,
    pub(super) folder: TempDir,
    _published: Published,
}

/// A command that was stopped, or that ended before.
pub(super) struct Stopped {
    pub(super) said: Evidence,
    /// Whether the command made so many requests.
    pub(super) is_reached: bool,
    /// Whether that request may change something.
    pub(super) writes: bool,
}

impl Office {
    /// Users with rows in the tables of an application, all in one organization.
    pub(super) async fn open(users: usize) -> Office {
        let world = World::with(&SETTINGS).await;
        world.make_owned_tables().await;
        let (users, organization) = people(&world, users).await;
        world.set_now(world.now().get() + 60_000);
        assert!(world.reconcile().await.is_in_sync());
        for user in &users {
            world.give_rows(user, 1, user).await;
        }
        let clerk = Wire::start(world.stack.addresses.clerk.clone()).await;
        let mut record = commands::record(&world);
        world.wire.url().clone_into(&mut record.addresses.dynamodb);
        record.settings.insert("CLERK_API_URL".to_owned(), clerk.url().to_owned());
        let folder = tempfile::tempdir().unwrap();
        let published = record::publish(&folder.path().join("rollcall"), &record).unwrap();
        Office { world, clerk, users, organization, folder, _published: published }
    }

    /// Another user with rows, of whom the copy knows.
    pub(super) async fn newcomer(&self, name: &str) -> String {
        let user = self.stranger(name).await;
        let membership = json!({ "user_id": user, "role": "org:member" });
        self.world.clerk("POST", &format!("/organizations/{}/memberships", self.organization), membership).await;
        assert!(self.world.reconcile().await.is_in_sync());
        self.world.give_rows(&user, 1, &user).await;
        user
    }

    /// Another user in Clerk alone.
    pub(super) async fn stranger(&self, name: &str) -> String {
        let user = json!({ "first_name": name, "email_address": [format!("{name}@example.com")] });
        self.world.clerk("POST", "/users", user).await["id"].as_str().unwrap().to_owned()
    }

    /// Removes the records of a user in Profiles, as if they had been lost.
    pub(super) async fn lose_records(&self, user: &str) {
        let table = &self.world.stack.addresses.profiles_table;
        let all = self.world.exactly(&[table]).await;
        let of_user = of(&self.world, &all, user);
        assert!(!of_user.is_empty());
        for (_, row) in of_user {
            let delete = self.world.stack.dynamodb.delete_item().table_name(table);
            delete.key("pk", row["pk"].clone()).key("sk", row["sk"].clone()).send().await.unwrap();
        }
    }

    /// Three equal rows, of which the first is the oldest.
    pub(super) async fn give_duplicates(&self, round: usize) {
        let row = |at: usize| {
            let (id, day, time) = (format!("{round}-{at}"), format!("{round}"), format!("2024-01-0{at}T00:00:00Z"));
            ("moods", text_row(&[("mood_id", &id), ("user_id", &self.users[0]), ("day", &day), ("made_at", &time)]))
        };
        self.world.put_rows([1, 2, 3].map(row).into()).await;
    }

    /// The keys of all rows outside of the Directory.
    pub(super) async fn keys(&self) -> Vec<String> {
        let key = |(table, row): (String, Row)| {
            let names = ["pk", "sk", "user_id", "task_id", "date", "mood_id"];
            let parts = names.map(|name| row.get(name).and_then(|value| value.as_s().ok()));
            format!("{table} {}", json!(parts))
        };
        rows(&self.world).await.into_iter().map(key).collect()
    }

    /// A command that finds the wires.
    pub(super) fn command(&self, args: &[String]) -> Command {
        let mut command = commands::command(binary().to_str().unwrap(), &[]);
        command.args(args).arg("--local").env("XDG_RUNTIME_DIR", self.folder.path());
        command
    }

    /// A command on a terminal.
    pub(super) fn on_a_terminal(&self, args: &[String]) -> Child {
        const TERMINAL: &str = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
        let mut command = Command::new("python3");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command.args(["-c", TERMINAL]).arg(binary()).args(args).arg("--local");
        command.env_clear().env("TERM", "xterm").env("XDG_RUNTIME_DIR", self.folder.path());
        command.spawn().expect("Python is on the path")
    }

    pub(super) async fn run(&self, args: &[String]) -> Evidence {
        commands::finish(self.command(args)).await
    }

    /// Runs a command, and sends SIGINT while its nth request waits. The request is carried out only if the point is
    /// [`Point::Answer`].
    pub(super) async fn stopped(&self, args: &[String], request: usize, point: Point) -> Stopped {
        self.struck(args, request, point, "-INT").await
    }

    /// The same with another signal.
    pub(super) async fn struck(&self, args: &[String], request: usize, point: Point, signal: &str) -> Stopped {
        let (mut held, mut asked) = (self.world.wire.hold_at(point), self.clerk.hold_at(point));
        let process = self.command(args).spawn().unwrap();
        let id = process.id().unwrap().to_string();
        let (mut ended, mut requests, mut kept) = (pin!(process.wait_with_output()), 0, None);
        let output = async {
            loop {
                let one = tokio::select! {
                    Some(one) = held.recv() => one,
                    Some(one) = asked.recv() => one,
                    output = &mut ended => return output.unwrap(),
                };
                requests += 1;
                if requests == request {
                    assert!(std::process::Command::new("kill").args([signal, &id]).status().unwrap().success());
                    kept = Some(one);
                } else {
                    one.release();
                }
            }
        };
        let output = tokio::time::timeout(Duration::from_secs(30), output).await;
        let output = output.unwrap_or_else(|_| panic!("{args:?} goes on after a signal at request {request}"));
        let (writes, is_reached) = (kept.as_ref().is_some_and(|one| one.writes), kept.is_some());
        drop((held, asked, kept));
        // What was on its way arrives.
        tokio::time::sleep(Duration::from_millis(10)).await;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let said = Evidence { status: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) };
        Stopped { said, is_reached, writes }
    }
}
