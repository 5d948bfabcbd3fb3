//! `rollcall dev`: starts the local stack and prints its addresses and commands to try.

mod addresses;
mod database;
mod engine;
mod folder;
pub mod gateway;
pub mod local_log;
pub mod places;
pub mod record;
pub mod reset;
mod schedule;
mod server;
pub mod stack;
pub mod stream;
pub mod tables;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::bail;
use clap::Args;
use clerk_emulator::Generated;
use clerk_emulator::output::say;
use clerk_emulator::{HostName, RateLimits};
use rollcall::settings::variables::{CLERK_WEBHOOK_SECRET, CLERK_WEBHOOK_SIGNING_SECRET};

use self::local_log::LocalLog;
use self::stack::{Addresses, Config, Stack};
use crate::args::{DEFAULT_CLERK_PORT, DEFAULT_DYNAMODB_PORT, DEFAULT_PORT};
use crate::log::{self, LogFormat};
use crate::{Clock, Usage, presets, signals};

/// `rollcall dev`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  rollcall dev --users 25 --data .rollcall
  rollcall dev --preset user-records")]
pub struct DevArgs {
    /// Port of the functions' HTTP API; 0 selects a free port
    #[arg(long, default_value_t = DEFAULT_PORT)]
    pub port: u16,
    /// Port of the Clerk emulator; 0 selects a free port
    #[arg(long, default_value_t = DEFAULT_CLERK_PORT)]
    pub clerk_port: u16,
    /// Port of DynamoDB; 0 selects a free port
    #[arg(long, default_value_t = DEFAULT_DYNAMODB_PORT)]
    pub dynamodb_port: u16,
    /// Additional host name to accept, for a tunnel or a container, such as abc.ngrok-free.app. May be repeated
    #[arg(long, value_name = "NAME")]
    pub allow_host: Vec<HostName>,
    /// Store the tables and the emulator's data in this folder and reuse them on the next start
    #[arg(long, value_name = "DIR", conflicts_with = "memory")]
    pub data: Option<PathBuf>,
    /// Store all data in memory (default)
    #[arg(long)]
    pub memory: bool,
    /// Number of sample users at the start. If N is 10,000 or more, all users are generated on demand and no webhooks
    /// are sent for them: run `rollcall reconcile --local` to fill the Directory. Such an N cannot be combined with
    /// --data
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub users: usize,
    /// Let the Clerk emulator enforce Clerk's rate limits: 100 requests in 10 seconds, and 10 changes of one entity
    #[arg(long)]
    pub rate_limits: bool,
    /// Preset of settings (DELETION_POLICY, MIRROR, ROLES …), a file of presets/: clerk-only, org-profiles,
    /// progress-and-purge, read-only-copy or user-records. An environment variable takes precedence over the preset
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// Print one JSON object with the addresses when the stack is ready
    #[arg(long)]
    pub json: bool,
    /// Form of the log on standard error. RUST_LOG sets its levels
    #[arg(long, value_enum, value_name = "FORM", default_value_t)]
    pub log: LogFormat,
}

/// The number of sample users from which on they are generated on demand: sending a webhook for each would take
/// minutes.
const MANY: usize = 10_000;

/// Starts the stack and runs it until SIGINT or SIGTERM. The log of the functions comes through `log`.
///
/// # Errors
///
/// If the stack cannot start or stop cleanly.
pub async fn run(
    args: DevArgs,
    environment: fn(&str) -> Option<String>,
    clock: Clock,
    log: LocalLog,
) -> anyhow::Result<()> {
    // Before anything is started: an early signal must not be lost.
    let stop = signals::stop_signal()?;
    tokio::pin!(stop);
    let json = args.json;
    let mut config = config(args, environment, clock)?;
    config.log = log;
    let generated = config.clerk.generated;
    let stack = tokio::select! {
        () = &mut stop => return Ok(()),
        stack = Stack::start(config) => stack?,
    };
    let ready = async {
        // Ready means that the sample users are stored and the effects are complete.
        stack.settled().await;
        if json {
            say(serde_json::to_string(&stack.addresses)?)?;
        } else {
            say(welcome(&stack.addresses, sample_user(&stack).as_deref(), generated))?;
        }
        log::release();
        anyhow::Ok(())
    };
    tokio::select! {
        () = &mut stop => {}
        ready = ready => {
            ready?;
            stop.await;
        }
    }
    stack.stop().await
}

/// The options, and the variables that configure the stack: the two secrets, the instance and the settings of the
/// functions.
fn config(args: DevArgs, environment: fn(&str) -> Option<String>, clock: Clock) -> anyhow::Result<Config> {
    let mut config = Config::new(clock);
    config.port = args.port;
    config.clerk_port = args.clerk_port;
    config.dynamodb_port = args.dynamodb_port;
    config.allow_hosts = args.allow_host;
    populate(&mut config.clerk, args.users);
    config.clerk.rate_limits = args.rate_limits.then(|| RateLimits::of(config.clerk.production));
    if args.data.is_some() && config.clerk.generated != Generated::default() {
        let users = args.users;
        bail!(Usage(format!(
            "--users {users} cannot be combined with --data: from {MANY} on, users are generated on demand and not \
             stored"
        )));
    }
    config.data = args.data;
    config.records = record::folder(environment);
    let set = |name, value: &mut String| environment(name).into_iter().for_each(|given| *value = given);
    set("CLERK_SECRET_KEY", &mut config.clerk.secret_key);
    set("CLERK_INSTANCE_ID", &mut config.clerk.instance_id);
    config.webhook_secrets = webhook_secret(environment)?.unwrap_or(config.webhook_secrets);
    let preset = args.preset.as_deref().map(presets::read).transpose()?.unwrap_or_default();
    config.lookup = Arc::new(move |name| environment(name).or_else(|| preset.get(name).cloned()));
    Ok(config)
}

/// The signing secret in the environment, under Rollcall's or Clerk's name.
///
/// # Errors
///
/// If both are set to different values.
pub(crate) fn webhook_secret(environment: fn(&str) -> Option<String>) -> anyhow::Result<Option<String>> {
    let (ours, clerks) = (CLERK_WEBHOOK_SECRET.name, CLERK_WEBHOOK_SIGNING_SECRET);
    match (environment(ours), environment(clerks)) {
        (Some(one), Some(other)) if one != other => bail!(Usage(format!("{ours} differs from {clerks}: set only one"))),
        (one, other) => Ok(one.or(other)),
    }
}

/// A few sample users with webhooks, or a large generated instance without webhooks.
fn populate(clerk: &mut clerk_emulator::Config, users: usize) {
    if users < MANY {
        clerk.users = users;
        return;
    }
    let users = u64::try_from(users).unwrap_or(u64::MAX);
    clerk.generated = Generated { users, organizations: users / 1000, memberships: users };
    // Reconcile sends ten times fewer requests per second to a development instance.
    clerk.production = true;
}

/// The id of a sample user, if this start created one.
fn sample_user(stack: &Stack) -> Option<String> {
    let deliveries = stack.clerk.deliveries();
    deliveries.into_iter().find(|delivery| delivery.event_type == "user.created").map(|delivery| delivery.entity_id)
}

fn welcome(addresses: &Addresses, user: Option<&str>, generated: Generated) -> String {
    let Generated { users, organizations, memberships } = generated;
    let generated = if users == 0 {
        String::new()
    } else {
        format!(
            "
  Clerk has {users} generated users in {organizations} organizations ({memberships} memberships). No webhooks are sent
  for them: run reconcile to fill the Directory.
"
        )
    };
    let user = user.unwrap_or("user_…");
    let Addresses { api, clerk, dynamodb, directory_table, clerk_publishable_key, .. } = addresses;
    let Addresses { profiles_table, operations_table, allowed_origins, event_bus, backups, .. } = addresses;
    // Secrets of the developer's own are not shown.
    let is_own = |value: &str, usual: &str| value != usual;
    let key = if is_own(&addresses.clerk_secret_key, clerk_emulator::SECRET_KEY) {
        "$CLERK_SECRET_KEY"
    } else {
        clerk_emulator::SECRET_KEY
    };
    let signing = if is_own(&addresses.webhook_secret, clerk_emulator::WEBHOOK_SECRET) {
        "the secret in your environment"
    } else {
        clerk_emulator::WEBHOOK_SECRET
    };
    let rollcall = program();
    let port = api.rsplit(':').next().unwrap_or_default();
    let which = if port == DEFAULT_PORT.to_string() { String::new() } else { format!(" --port {port}") };
    format!(
        "
  Rollcall is running.

    functions   {api}
    Clerk       {clerk}  (emulator)
    keys        {key}
                {clerk_publishable_key}
    DynamoDB    {dynamodb}  (tables {directory_table}, {profiles_table}, {operations_table})
    webhooks    signed with {signing}
    changes     {event_bus}  (change events, one per line)
    backups     {backups}  (backups of removed data)
    sessions    accepted from {allowed_origins}
{generated}
  Try, in another terminal:

    {rollcall} trigger user.created --new{which}
    {rollcall} reconcile --local{which}
    {rollcall} status --local{which}

    curl -X POST {clerk}/v1/users -H \"Authorization: Bearer {key}\" \\
         -H 'Content-Type: application/json' -d '{{\"first_name\":\"Ada\",\"email_address\":[\"ada@example.com\"]}}'

    token=$(curl -s {clerk}/_emulator/tokens -H 'Content-Type: application/json' \\
         -d '{{\"user_id\":\"{user}\"}}' | cut -d'\"' -f4)
    curl -X POST {api}/profiles/ensure -H \"Authorization: Bearer $token\"

    AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local aws dynamodb scan --region us-east-1 \\
         --endpoint-url {dynamodb} --table-name {directory_table}

  Each event is logged below (--log json: with all fields). The hourly purge runs every full hour, reconcile at 03:00 UTC. Stop with Ctrl-C.
"
    )
}

/// How the command was started: by cargo from the workspace, or installed.
fn program() -> &'static str {
    let path = std::env::current_exe().unwrap_or_default();
    let is_built_here = path.components().any(|part| part.as_os_str() == "target");
    if is_built_here { "cargo run -q -p rollcall-cli --" } else { "rollcall" }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};

    fn configured(options: &[&str]) -> anyhow::Result<Config> {
        let typed = ["rollcall", "dev"].iter().chain(options);
        let Command::Dev(args) = Cli::try_parse_from(typed)?.command else { bail!("another command") };
        config(args, |_| None, Arc::new(|| rollcall::core::millis::Millis::ZERO))
    }

    #[test]
    fn many_users_are_generated_and_few_are_announced() {
        let of = |users: &str| configured(&["--users", users]).unwrap().clerk;
        let few = of("9999");
        assert_eq!((few.users, few.generated, few.production), (9_999, Generated::default(), false));
        let many = of("10000");
        let generated = Generated { users: 10_000, organizations: 10, memberships: 10_000 };
        assert_eq!((many.users, many.generated, many.production), (0, generated, true));
    }

    #[test]
    fn generated_users_are_kept_in_no_folder() {
        assert!(configured(&["--users", "9999", "--data", "x"]).is_ok_and(|config| config.data.is_some()));
        let refused = configured(&["--users", "10000", "--data", "x"]).err().unwrap().to_string();
        assert!(refused.starts_with("--users 10000 cannot be combined with --data"), "{refused}");
    }
}
