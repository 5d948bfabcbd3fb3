//! The operator's commands, run by hand or from a script.
//!
//! [`deployment`] finds the deployment that a command works on. [`reconcile`], [`status`] and [`analyze`] compare the whole
//! copy; [`doctor`] checks the deployment, [`endpoint`] the webhook's endpoint at Svix; [`fix_profiles`], [`cleanup`], [`fix_duplicates`] and [`full_sync`] repair whole tables; [`look`], [`deletions`]
//! and [`quarantine`] show what is stored; [`explain`] tells why one row is as it is, from the row, Clerk and the `logs`,
//! which [`tail`] follows; [`sync`] and [`set_role`] work on single entities; [`undo`], [`erase`], [`restore`] and
//! [`export`] on one user; [`owned_tables`] stores a setting. Before a command writes, `checks` checks the tables.
//! [`progress`] shows the progress of a run, [`report`] and [`text`]
//! format the results.

pub mod analyze;
mod checks;
pub mod cleanup;
pub(crate) mod context;
pub mod deletions;
pub mod deployment;
pub mod doctor;
pub mod endpoint;
pub mod erase;
pub mod explain;
pub mod export;
mod fix;
pub mod fix_duplicates;
pub mod fix_profiles;
pub mod full_sync;
mod logs;
pub mod look;
pub mod migrate;
pub mod owned_tables;
pub mod progress;
pub mod quarantine;
pub mod reconcile;
pub mod report;
pub mod restore;
pub mod set_role;
pub mod since;
pub mod status;
pub mod sync;
pub mod tail;
pub mod text;
pub mod undo;
mod undo_run;

use std::fmt;
use std::io::{self, IsTerminal, Write};

use clap::Subcommand;
use clerk_emulator::output::{Unprinted, note, say};
use dialoguer::console::Term;
use indicatif::MultiProgress;
use tokio::runtime::Handle;

use self::deployment::{Deployment, Environment};
use crate::signals::{self, Ended, Interrupted};
use crate::{Clock, Status};

/// The commands that work on a deployment. Each has its options and its code in a module of its own.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Compare the Directory with Clerk and repair the differences
    Reconcile(reconcile::ReconcileArgs),
    /// Show the latest runs of reconcile and the deletions that are pending approval
    Status(status::StatusArgs),
    /// Check the deployment: credentials, stack, tables, secret, settings, alarms, runs, events. Says of each finding what
    /// causes it and how to mend it
    Doctor(doctor::DoctorArgs),
    /// Compare Clerk, the Directory and Profiles and report all differences, also missing and ownerless records.
    /// Changes neither table; stores only the report of the run
    Analyze(analyze::AnalyzeArgs),
    /// Manage the webhook's endpoint at Svix, which sends Clerk's events: tell why events do not arrive, create or mend it
    #[command(subcommand)]
    Endpoint(endpoint::EndpointCommand),
    /// Show users of the Directory: list, get one with its record, find by e-mail address or name
    #[command(subcommand)]
    Users(look::UsersCommand),
    /// Show organizations of the Directory: list, get one, find by name
    #[command(subcommand)]
    Organizations(look::OrganizationsCommand),
    /// Show memberships of the Directory: list, get one with its record, find by their user
    #[command(subcommand, visible_alias = "memberships")]
    Members(look::MembersCommand),
    /// Show the deleted users whose data are not removed yet: until when an undo is possible, and which purges failed
    Deletions(deletions::DeletionsArgs),
    /// Show the notes of signed events that could not be processed
    #[command(subcommand)]
    Quarantine(quarantine::QuarantineCommand),
    /// Compare single users, organizations or memberships with Clerk, show how their rows in the Directory differ, and
    /// store Clerk's state after your confirmation
    Sync(sync::SyncArgs),
    /// Change the role of a user or of a membership in Clerk, and store it
    SetRole(set_role::SetRoleArgs),
    /// Undo the deletion of a user, an organization or a membership that still exists in Clerk. If the row is live but
    /// its version is more than five minutes later than Clerk's, replace the row with Clerk's state
    Undo(undo::UndoArgs),
    /// Write rows that a purge, erase, cleanup or fix-duplicates has removed back from its backups, into Profiles and the
    /// owned tables (tables of the application with rows of users). The user stays deleted in the Directory: see undo
    Restore(restore::RestoreArgs),
    /// Delete a user in Clerk and remove the user's data from the tables (GDPR article 17). DELETION_POLICY says which
    /// data are removed
    Erase(erase::EraseArgs),
    /// Print all stored data of one user as JSON
    Export(export::ExportArgs),
    /// Tell why a row of the Directory is as it is and what would change it: the row, Clerk's state, the notes in
    /// Operations and the log. Writes nothing. Exit status: 0 if there is nothing to do; 2 if there is something to do, or
    /// something to look at again later; 1 if the id is unknown
    Explain(explain::ExplainArgs),
    /// Follow the log of the functions. Ends on Ctrl-C
    Tail(tail::TailArgs),
    /// Create the records in Profiles that live users and memberships lack. Existing records are not changed
    FixProfiles(fix_profiles::FixProfilesArgs),
    /// Remove rows of deleted users that are still in Profiles and the owned tables, for example because they were written
    /// after the purge. A user counts as deleted if the Directory says so and Clerk does not have the user. Each row is in a
    /// backup first
    Cleanup(cleanup::CleanupArgs),
    /// Remove rows of a table that have equal values of some attributes, and keep the oldest row of each group
    FixDuplicates(fix_duplicates::FixDuplicatesArgs),
    /// Compare everything as analyze does, show one plan, ask once, then run all repairs: reconcile, fix-profiles, cleanup,
    /// and fix-duplicates for the tables of --duplicates
    FullSync(full_sync::FullSyncArgs),
    /// Move users of an old collection to Clerk: public metadata, and references in other collections
    #[command(subcommand)]
    Migrate(migrate::MigrateCommand),
    /// Store a list of owned tables (tables of the application with rows of users) that is too long for OWNED_TABLES in
    /// the Operations table, and print the value to set in OWNED_TABLES instead
    OwnedTables(owned_tables::OwnedTablesArgs),
}

impl Command {
    /// Runs the command to its end, or until SIGINT or SIGTERM stops it.
    ///
    /// # Errors
    ///
    /// If the command fails. The error has advice.
    pub async fn run(self, environment: Environment, clock: Clock, screen: &Screen) -> anyhow::Result<Status> {
        let changes = self.changes();
        let ended = signals::interruptible(self.work(environment, clock, screen)).await;
        let ended = if changes {
            ended.map_err(|error| if is_unprinted(&error) { error.context(UNPRINTED) } else { error })
        } else {
            ended
        };
        match ended? {
            Ended::Done(status) => return Ok(status),
            Ended::Working if changes => note(KEPT),
            Ended::Working | Ended::Asking => note("Interrupted. Nothing was written."),
        }
        Ok(Status::Left)
    }

    async fn work(self, environment: Environment, clock: Clock, screen: &Screen) -> anyhow::Result<Status> {
        match self {
            Command::Reconcile(args) => Box::pin(reconcile::run(args, environment, clock, screen)).await,
            Command::Status(args) => Box::pin(status::run(args, environment, clock)).await,
            Command::Doctor(args) => Box::pin(doctor::run(args, environment, clock, screen)).await,
            Command::Analyze(args) => Box::pin(analyze::run(args, environment, clock, screen)).await,
            Command::Endpoint(command) => Box::pin(endpoint::run(command, environment, clock, screen)).await,
            Command::Users(command) => Box::pin(look::users(command, environment, screen)).await,
            Command::Organizations(command) => Box::pin(look::organizations(command, environment, screen)).await,
            Command::Members(command) => Box::pin(look::members(command, environment, screen)).await,
            Command::Deletions(args) => Box::pin(deletions::run(args, environment, clock)).await,
            Command::Quarantine(command) => Box::pin(quarantine::run(command, environment, clock)).await,
            Command::Sync(args) => Box::pin(sync::run(args, environment, clock, screen)).await,
            Command::SetRole(args) => Box::pin(set_role::run(args, environment, clock, screen)).await,
            Command::Undo(args) => Box::pin(undo::run(args, environment, clock, screen)).await,
            Command::Restore(args) => Box::pin(restore::run(args, environment, clock, screen)).await,
            Command::Erase(args) => Box::pin(erase::run(args, environment, clock, screen)).await,
            Command::Export(args) => Box::pin(export::run(args, environment, clock)).await,
            Command::Explain(args) => Box::pin(explain::run(args, environment, clock)).await,
            Command::Tail(args) => Box::pin(tail::run(args, environment, clock)).await,
            Command::FixProfiles(args) => Box::pin(fix_profiles::run(args, environment, clock, screen)).await,
            Command::Cleanup(args) => Box::pin(cleanup::run(args, environment, clock, screen)).await,
            Command::FixDuplicates(args) => Box::pin(fix_duplicates::run(args, environment, clock, screen)).await,
            Command::FullSync(args) => Box::pin(full_sync::run(args, environment, clock, screen)).await,
            Command::Migrate(command) => Box::pin(migrate::run(command, environment, clock, screen)).await,
            Command::OwnedTables(args) => Box::pin(owned_tables::run(args, environment)).await,
        }
    }

    /// Whether the command may write rows, or change something in Clerk.
    fn changes(&self) -> bool {
        match self {
            Command::Status(_)
            | Command::Users(_)
            | Command::Organizations(_)
            | Command::Members(_)
            | Command::Deletions(_)
            | Command::Quarantine(_)
            | Command::Export(_)
            | Command::Explain(_)
            | Command::Tail(_) => false,
            Command::Doctor(args) => args.fix || args.probe,
            Command::Endpoint(command) => command.changes(),
            // It stores its report.
            Command::Analyze(_) | Command::Reconcile(_) => true,
            Command::Sync(args) => !args.dry_run,
            Command::SetRole(args) => !args.dry_run,
            Command::Undo(args) => !args.dry_run,
            Command::Restore(args) => !args.dry_run,
            Command::Erase(args) => !args.dry_run,
            Command::FixProfiles(args) => !args.fix.dry_run,
            Command::Cleanup(args) => !args.fix.dry_run,
            Command::FixDuplicates(args) => !args.fix.dry_run,
            Command::FullSync(_) => true,
            Command::Migrate(command) => command.changes(),
            Command::OwnedTables(args) => !args.dry_run,
        }
    }

    /// How much of the log is shown beside the result.
    pub fn log(&self) -> Log {
        let is_json = match self {
            Command::Reconcile(args) if args.verbose => return Log::Entities,
            Command::Reconcile(args) => args.json,
            Command::Status(args) => args.json,
            // Its findings say what the log would.
            Command::Doctor(_) => true,
            Command::Analyze(args) => args.json,
            Command::Endpoint(command) => command.is_json(),
            Command::Users(command) => command.is_json(),
            Command::Organizations(command) => command.is_json(),
            Command::Members(command) => command.is_json(),
            Command::Deletions(args) => args.json,
            Command::Quarantine(command) => command.is_json(),
            Command::Sync(args) => args.json,
            Command::SetRole(args) => args.json,
            Command::Undo(args) => args.json,
            Command::Restore(args) => args.json,
            Command::Erase(args) => args.json,
            Command::Export(_) => true,
            // Each finding says what the log would.
            Command::Explain(_) | Command::Tail(_) => true,
            Command::FixProfiles(args) => args.fix.json,
            Command::Cleanup(args) => args.fix.json,
            Command::FixDuplicates(args) => args.fix.json,
            Command::FullSync(args) => args.fix.json,
            Command::Migrate(command) => command.is_json(),
            Command::OwnedTables(args) => args.json,
        };
        if is_json { Log::Errors } else { Log::Warnings }
    }
}

/// What a command says that was stopped and may have written something.
pub(crate) const KEPT: &str = "Interrupted. Completed work is kept; run the command again to continue.";

/// What a command says whose result cannot be printed, and that may have written something before.
const UNPRINTED: &str = "The result could not be printed. Completed work is kept. Run the command again to see what is \
                         left to do";

/// Whether a command failed because standard output cannot be written.
fn is_unprinted(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.and_then(io::Error::get_ref).is_some_and(<dyn std::error::Error + Send + Sync>::is::<Unprinted>)
}

/// How much of the log a command shows on standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Log {
    Errors,
    Warnings,
    /// Also a line for each entity that was written.
    Entities,
}

/// The terminal, if there is one.
#[derive(Clone, Debug)]
pub struct Screen {
    /// Progress bars, on standard error.
    pub bars: MultiProgress,
    /// Whether standard error is a terminal.
    pub shows: bool,
    /// Whether standard input is a terminal, so that a question can be answered.
    pub asks: bool,
    /// Whether only results and errors are shown.
    pub quiet: bool,
}

impl Screen {
    /// The screen of this process.
    pub fn of_process(quiet: bool) -> Screen {
        let (shows, asks) = (io::stderr().is_terminal(), io::stdin().is_terminal());
        Screen { bars: MultiProgress::new(), shows, asks, quiet }
    }

    /// Prints a line that is no error to standard error, unless `--quiet` is given.
    pub fn note(&self, text: impl fmt::Display) {
        if !self.quiet {
            self.bars.suspend(|| note(text));
        }
    }

    /// Standard error, for lines that must not break a progress bar.
    pub fn lines(&self) -> impl Write + use<> {
        Lines(self.bars.clone())
    }

    /// Asks whether to act, after it has said on which deployment.
    ///
    /// # Errors
    ///
    /// As [`Screen::ask`].
    pub fn ask_on(&self, deployment: &Deployment, question: &str) -> anyhow::Result<bool> {
        note(format_args!("On {}:", deployment.place_in_words()));
        self.ask(question)
    }

    /// Asks a yes-or-no question. Every other answer counts as no.
    ///
    /// # Errors
    ///
    /// If the terminal cannot be read, or a signal comes before the answer.
    pub fn ask(&self, question: &str) -> anyhow::Result<bool> {
        Term::stderr().write_str(&format!("{question} [y/N] "))?;
        let line = signals::read(|| {
            let mut line = String::new();
            io::stdin().read_line(&mut line).map(|_| line)
        });
        // The answer comes in another thread: a signal must end the command while this one waits.
        let line = tokio::task::block_in_place(|| Handle::current().block_on(line));
        // Neither Ctrl-C nor Ctrl-D ends the line of the question.
        let is_open = match &line {
            Ok(line) => line.as_ref().is_ok_and(|line| !line.ends_with('\n')),
            Err(error) => error.is::<Interrupted>(),
        };
        if is_open {
            Term::stderr().write_line("")?;
        }
        let line = line??;
        Ok(matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }
}

struct Lines(MultiProgress);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
