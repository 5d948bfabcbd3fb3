//! I16 for every command that changes something: standard output on a full disk, a closed pipe, and a disk that takes no
//! more bytes, on which backups, journals and reports lie.

use std::fs::File;
use std::io;
use std::process::Stdio;

use super::at_every_request::Office;
use super::interrupted::{PLAYED, Work};
use super::look_operations::machine_time;
use crate::operator::commands::{self, Evidence, binary};

/// The commands that have a test of their own below `migrate`.
const MIGRATE: [&str; 1] = ["rekey-table"];

/// Those that write a file before they remove or change something.
const WRITES_FILES: [&str; 6] = ["cleanup", "fix-duplicates", "full-sync", "erase", "migrate", "rekey-table"];

/// The size in blocks that files may reach, of which none takes a byte.
const NO_BYTE: &str = "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\"";

impl Office {
    /// Runs a command whose standard output is elsewhere.
    async fn printing_to(&self, args: &[String], output: impl Into<Stdio>) -> Evidence {
        let mut command = self.command(args);
        command.stdout(output);
        commands::finish_as(command).await
    }

    /// Runs a command on a disk that takes no byte.
    async fn on_a_full_disk(&self, args: &[String]) -> Evidence {
        let mut command = commands::command("bash", &[]);
        command.args(["-c", NO_BYTE]).arg(binary()).args(args).arg("--local");
        command.env("XDG_RUNTIME_DIR", self.folder.path());
        commands::finish(command).await
    }

    /// The command failed, said why, and left each row in its table or in a backup, and no lease.
    async fn has_failed(&self, work: &Work, said: &Evidence, why: &str) {
        assert_eq!(said.status, Some(1), "{:?}: {} {}", work.args, said.out, said.err);
        assert!(said.err.contains(why) && !said.err.contains("panicked"), "{:?}: {}", work.args, said.err);
        self.nothing_is_lost(work, 0).await;
        let now = i64::try_from(machine_time()).unwrap().try_into().unwrap();
        assert_eq!(self.world.reconciler().await.operations().lease(now).await.unwrap(), None, "{:?}", work.args);
    }

    /// The same command does the rest.
    async fn completes(&self, work: &Work) {
        let again = self.run(&work.args).await;
        let restores = work.args[0] == "restore" && again.status == Some(2);
        assert!(again.status == Some(0) || restores, "{:?}: {} {}", work.args, again.out, again.err);
        self.is_done(work).await;
    }
}

/// `rekey-table` comes before commands that make rows of other users.
fn all() -> impl Iterator<Item = &'static str> {
    MIGRATE.into_iter().chain(PLAYED)
}

#[tokio::test]
async fn i16_output_on_a_full_disk_fails_a_command_that_changes_something_and_loses_nothing() {
    let office = Office::open(4).await;
    for (round, command) in all().enumerate() {
        for (turn, json) in [&[][..], &["--json"]].into_iter().enumerate() {
            let work = office.work(command, 2 * round + turn, true).await;
            let args: Vec<String> = work.args.iter().cloned().chain(json.iter().map(|arg| (*arg).to_owned())).collect();
            let full = File::options().write(true).open("/dev/full").unwrap();
            let said = office.printing_to(&args, full).await;
            office.has_failed(&work, &said, "standard output cannot be written").await;
            assert!(said.err.contains("Run the command again"), "{args:?}: {}", said.err);
            office.completes(&work).await;
        }
    }
}

#[tokio::test]
async fn i16_a_closed_pipe_lets_a_command_that_changes_something_do_all_its_work() {
    let office = Office::open(4).await;
    for (round, command) in all().enumerate() {
        let work = office.work(command, round, true).await;
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let said = office.printing_to(&work.args, writer).await;
        assert_eq!(said.status, Some(0), "{:?}: {}", work.args, said.err);
        assert!(!said.err.contains("panicked") && !said.err.contains("rollcall: "), "{:?}: {}", work.args, said.err);
        office.is_done(&work).await;
    }
}

#[tokio::test]
async fn i16_a_disk_that_takes_no_byte_stops_a_command_before_it_removes_something() {
    let office = Office::open(4).await;
    for (round, command) in all().enumerate() {
        let work = office.work(command, round, true).await;
        let before = office.keys().await;
        let said = office.on_a_full_disk(&work.args).await;
        if WRITES_FILES.contains(&command) {
            office.has_failed(&work, &said, "File too large").await;
            let now = office.keys().await;
            assert!(before.iter().all(|key| now.contains(key)), "{command} removed rows: {}", said.err);
        } else {
            assert_eq!(said.status, Some(0), "{:?}: {} {}", work.args, said.out, said.err);
        }
        office.completes(&work).await;
    }
}
