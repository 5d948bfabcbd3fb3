//! The program `clerk-emulator`: arguments, environment, signals, exit status.

use std::{
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::Parser;
use clerk_emulator::claim::Claim;
use clerk_emulator::output::{note, printed, say};
use clerk_emulator::{Config, Emulator, FRONT_END, HostName, INSTANCE_ID, RateLimits, SECRET_KEY, WEBHOOK_SECRET};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

/// The exit status of wrong usage, as in BSD's `sysexits.h`.
const USAGE: u8 = 64;

/// Emulate Clerk for development and tests: Backend API, signed webhooks, and faults that a test switches on. Stops on
/// Ctrl-C or SIGTERM.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Args {
    /// Port on 127.0.0.1; 0 selects a free port
    #[arg(long, default_value_t = 4401)]
    port: u16,
    /// Additional host name that the headers Host and Origin of a request may contain, such as the name of a tunnel or
    /// a container. May be repeated
    #[arg(long, value_name = "NAME")]
    allow_host: Vec<HostName>,
    /// Number of sample users at the start
    #[arg(long, value_name = "N", default_value_t = 0)]
    users: usize,
    /// URL of the webhook that receives every change
    #[arg(long, value_name = "URL")]
    webhook_url: Option<String>,
    /// Signing secret of the webhooks; if several are given, separated by spaces, the first is used
    #[arg(long, env = "CLERK_WEBHOOK_SECRET", hide_env_values = true, default_value = WEBHOOK_SECRET)]
    webhook_secret: String,
    /// Secret key (bearer token) of the Backend API
    #[arg(long, env = "CLERK_SECRET_KEY", hide_env_values = true, default_value = SECRET_KEY)]
    secret_key: String,
    /// Instance id in the events
    #[arg(long, value_name = "ID", default_value = INSTANCE_ID)]
    instance_id: String,
    /// Answer GET /v1/instance with environment_type "production" instead of "development"
    #[arg(long)]
    production: bool,
    /// Enforce Clerk's rate limits: 100 requests in 10 seconds (1,000 with --production), and 10 changes of one entity
    #[arg(long)]
    rate_limits: bool,
    /// Issuer (iss) of session tokens; default: the emulator's URL
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// Authorized party (azp) of session tokens, unless the token request has an Origin header
    #[arg(long, value_name = "ORIGIN", default_value = FRONT_END)]
    front_end: String,
    /// File that stores all data, for reuse on the next start
    #[arg(long, value_name = "FILE")]
    snapshot: Option<PathBuf>,
    /// Seed of the random generator for ids and for the choice of faults
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Print one JSON object with the address, the keys and the instance when the emulator is ready
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            let printed = printed(error.print());
            return match (error.use_stderr(), printed) {
                (true, _) => ExitCode::from(USAGE),
                // Help, or the version.
                (false, Ok(())) => ExitCode::SUCCESS,
                (false, Err(_)) => ExitCode::FAILURE,
            };
        }
    };
    // Logs to standard error: standard output is for the addresses.
    let logs = tracing_subscriber::fmt().compact().with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    // A closed standard error must not stop the emulator, and an error about it could not be written there either.
    logs.log_internal_errors(false).init();
    let done = tokio::runtime::Runtime::new().map_err(anyhow::Error::from).and_then(|runtime| {
        let done = runtime.block_on(run(args));
        // Dropping the runtime would wait for an aborted start.
        runtime.shutdown_background();
        done
    });
    if let Err(error) = done {
        note(format_args!("clerk-emulator: {error:#}"));
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

async fn run(args: Args) -> anyhow::Result<()> {
    // Before anything is started: an early signal must not be lost.
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let stop_signal = async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    tokio::pin!(stop_signal);
    tracing::info!("the Clerk emulator starts");
    let json = args.json;
    // Two emulators with one snapshot file would overwrite each other's users.
    let _claim = args.snapshot.as_deref().map(claim).transpose()?;
    // A task of its own, because filling a large instance blocks its thread.
    let emulator = tokio::select! {
        () = &mut stop_signal => return Ok(()),
        started = tokio::spawn(Emulator::start(config(args))) => started??,
    };
    say(shown(&emulator, json))?;
    stop_signal.await;
    Ok(emulator.stop().await?)
}

/// Locks the snapshot file for this process.
fn claim(snapshot: &Path) -> anyhow::Result<Claim> {
    if let Some(folder) = snapshot.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("creating the folder of {}", snapshot.display()))?;
    }
    let mut lock = snapshot.as_os_str().to_owned();
    lock.push(".lock");
    Claim::acquire(snapshot, Path::new(&lock)).context("--snapshot")
}

/// An empty variable counts as not set.
fn config(args: Args) -> Config {
    let secret = args.webhook_secret.split_whitespace().next().unwrap_or(WEBHOOK_SECRET);
    let key = if args.secret_key.is_empty() { SECRET_KEY } else { &args.secret_key };
    Config {
        port: args.port,
        allow_hosts: args.allow_host,
        users: args.users,
        webhook_url: args.webhook_url,
        webhook_secret: secret.to_owned(),
        secret_key: key.to_owned(),
        instance_id: args.instance_id,
        production: args.production,
        rate_limits: args.rate_limits.then(|| RateLimits::of(args.production)),
        issuer: args.issuer,
        front_end: args.front_end,
        snapshot: args.snapshot,
        seed: args.seed,
        ..Config::default()
    }
}

/// The addresses and keys, as JSON or as lines for a shell and for `.env`.
fn shown(emulator: &Emulator, json: bool) -> String {
    let (url, key, secret) = (emulator.url(), emulator.secret_key(), emulator.webhook_secret());
    let (issuer, jwks) = (emulator.issuer(), emulator.jwks_url());
    if json {
        let object = json!({
            "url": url, "secret_key": key, "webhook_secret": secret, "instance_id": emulator.instance_id(),
            "issuer": issuer, "jwks_url": jwks,
        });
        object.to_string()
    } else {
        format!(
            "CLERK_API_URL={url}\nCLERK_SECRET_KEY={key}\nCLERK_WEBHOOK_SECRET={secret}\n\
             CLERK_ISSUER={issuer}\nCLERK_JWKS_URL={jwks}"
        )
    }
}
