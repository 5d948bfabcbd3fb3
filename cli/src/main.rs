//! Entry point: parses the arguments, reads the environment and the clock, runs the command and sets the exit status.
#![expect(clippy::disallowed_methods, reason = "only a main.rs reads the environment and the clock")]
#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use clap::Parser;
use clerk_emulator::output::{note, printed};
use rollcall::core::millis::Millis;
use rollcall_cli::args::{Cli, Command};
use rollcall_cli::functions::FUNCTIONS;
use rollcall_cli::operator::{self, Screen};
use rollcall_cli::{Status, Usage, dev, settings, trigger};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|error| {
        let status = match (error.use_stderr(), printed(error.print())) {
            (true, _) => Status::Usage,
            // Help, or the version.
            (false, Ok(())) => Status::Done,
            (false, Err(_)) => Status::Failure,
        };
        std::process::exit(status as i32);
    });
    let screen = Screen::of_process();
    log(levels(&cli.command), &screen);
    let done = match cli.command {
        Command::Dev(args) => Box::pin(dev::run(args, environment, Arc::new(now))).await.map(|()| Status::Done),
        Command::Trigger(args) => trigger::run(args, environment, now()).await,
        Command::Reconcile(args) => operator::reconcile::run(args, environment, Arc::new(now), &screen).await,
        Command::Status(args) => operator::status::run(args, environment, Arc::new(now)).await,
        Command::Analyze(args) => operator::analyze::run(args, environment, Arc::new(now), &screen).await,
        Command::Undo(args) => operator::undo::run(args, environment, Arc::new(now), &screen).await,
        Command::Restore(args) => operator::restore::run(args, environment, &screen).await,
        Command::Erase(args) => Box::pin(operator::erase::run(args, environment, Arc::new(now), &screen)).await,
        Command::Export(args) => operator::export::run(args, environment, Arc::new(now)).await,
        Command::OwnedTables(args) => operator::owned_tables::run(args, environment).await,
        Command::Settings(args) => settings::run(&args).map(|()| Status::Done),
    };
    let status = done.unwrap_or_else(|error| {
        note(format_args!("rollcall: {error:#}"));
        if error.root_cause().is::<Usage>() { Status::Usage } else { Status::Failure }
    });
    ExitCode::from(status as u8)
}

/// The log level of each part. An operator's command prints its result; the log adds the ids of the entities concerned.
fn levels(command: &Command) -> Targets {
    let quiet = |json: bool, verbose: bool| {
        let level = match (json, verbose) {
            (_, true) => LevelFilter::INFO,
            (false, false) => LevelFilter::WARN,
            (true, false) => LevelFilter::ERROR,
        };
        // The function logs the report that the command shows, and the failure.
        Targets::new().with_target("rollcall", level).with_target("reconcile", LevelFilter::OFF)
    };
    match command {
        Command::Reconcile(args) => quiet(args.json, args.verbose),
        Command::Status(args) => quiet(args.json, false),
        Command::Analyze(args) => quiet(args.json, false),
        Command::Undo(args) => quiet(args.json, false),
        Command::Restore(args) => quiet(args.json, false),
        Command::Erase(args) => quiet(args.json, false),
        Command::Export(_) => quiet(true, false),
        Command::OwnedTables(args) => quiet(args.json, false),
        _ => Targets::new()
            .with_default(LevelFilter::WARN)
            .with_targets(FUNCTIONS.map(|function| (function.log_target, LevelFilter::INFO)))
            .with_targets([("rollcall", LevelFilter::INFO), ("rollcall_cli", LevelFilter::INFO)])
            // dynoxide logs a warning for every failed condition, which is a normal outcome here.
            .with_target("dynoxide", LevelFilter::ERROR),
    }
}

/// Logs to standard error: standard output is for the command's result.
fn log(levels: Targets, screen: &Screen) {
    let (lines, shows) = (screen.clone(), screen.shows);
    let lines = tracing_subscriber::fmt::layer().with_writer(move || lines.lines()).with_ansi(shows).compact();
    tracing_subscriber::registry().with(levels).with(lines).init();
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn now() -> Millis {
    Millis::from(SystemTime::now())
}
