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
use rollcall_cli::dev::local_log::LocalLog;
use rollcall_cli::functions::FUNCTIONS;
use rollcall_cli::operator::{Log, Screen};
use rollcall_cli::{Status, Usage, completions, dev, log, manual, settings, trigger};
use tracing_subscriber::filter::{LevelFilter, Targets};

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
    let screen = Screen::of_process(cli.manner.quiet);
    let local = LocalLog::default();
    if let Err(usage) = start_log(&cli.command, &screen, local.clone()) {
        note(format_args!("rollcall: {usage}"));
        return ExitCode::from(Status::Usage as u8);
    }
    let done = match cli.command {
        Command::Dev(args) => Box::pin(dev::run(args, environment, Arc::new(now), local)).await.map(|()| Status::Done),
        Command::Trigger(args) => Box::pin(trigger::run(args, environment, now(), &screen)).await,
        Command::Operator(command) => command.run(environment, Arc::new(now), &screen).await,
        Command::Reset(args) => Box::pin(dev::reset::run(args, environment, &screen)).await,
        Command::Settings(args) => settings::run(&args).map(|()| Status::Done),
        Command::Completions(args) => completions::run(&args).map(|()| Status::Done),
        Command::Manual(args) => manual::run(&args).map(|()| Status::Done),
    };
    let status = done.unwrap_or_else(|error| {
        note(format_args!("rollcall: {error:#}"));
        if error.root_cause().is::<Usage>() { Status::Usage } else { Status::Failure }
    });
    ExitCode::from(status as u8)
}

/// The log level of each part. An operator's command prints its result; the log adds the ids of the entities concerned.
fn levels(command: &Command, screen: &Screen) -> Targets {
    match command {
        Command::Operator(command) => {
            let level = match command.log() {
                _ if screen.quiet => LevelFilter::ERROR,
                Log::Errors => LevelFilter::ERROR,
                Log::Warnings => LevelFilter::WARN,
                Log::Entities => LevelFilter::INFO,
            };
            // The function logs the report that the command shows, and the failure.
            Targets::new().with_target("rollcall", level).with_target("reconcile", LevelFilter::OFF)
        }
        _ if screen.quiet => Targets::new().with_default(LevelFilter::ERROR),
        _ => Targets::new()
            .with_default(LevelFilter::WARN)
            .with_targets(FUNCTIONS.map(|function| (function.log_target, LevelFilter::INFO)))
            .with_targets([("rollcall", LevelFilter::INFO), ("rollcall_cli", LevelFilter::INFO)])
            // dynoxide logs a warning for every failed condition, which is a normal outcome here.
            .with_target("dynoxide", LevelFilter::ERROR),
    }
}

/// Logs to standard error: standard output is for the command's result. The local stack logs to a file, too.
fn start_log(command: &Command, screen: &Screen, local: LocalLog) -> Result<(), Usage> {
    let colours = screen.shows && environment("NO_COLOR").is_none();
    let levels = levels(command, screen);
    let Command::Dev(args) = command else {
        log::start(levels, screen, colours);
        return Ok(());
    };
    let levels = match environment("RUST_LOG").filter(|_| !screen.quiet) {
        Some(text) => log::parse_levels(&text).map_err(|error| Usage(format!("RUST_LOG={text}: {error}")))?,
        None => levels,
    };
    log::hold();
    log::start_events(levels, args.log, screen, colours, local);
    Ok(())
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn now() -> Millis {
    Millis::from(SystemTime::now())
}
