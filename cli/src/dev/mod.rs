//! `rollcall dev`: the local stack, and what a developer sees of it.

pub mod gateway;
pub mod stack;
pub mod tables;

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};

use self::stack::{Addresses, Config, Stack};
use crate::Clock;
use crate::args::DevArgs;

/// Starts the stack and runs it until it is told to stop.
///
/// # Errors
///
/// If it cannot start or stop cleanly.
pub async fn run(args: DevArgs, environment: fn(&str) -> Option<String>, clock: Clock) -> anyhow::Result<()> {
    // Before anything is started: a signal that comes early must not be lost.
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let defaults = clerk_emulator::Config::default();
    let clerk = clerk_emulator::Config {
        users: args.users,
        secret_key: environment("CLERK_SECRET_KEY").unwrap_or(defaults.secret_key),
        webhook_secret: environment("CLERK_WEBHOOK_SECRET").unwrap_or(defaults.webhook_secret),
        ..clerk_emulator::Config::default()
    };
    let stack = Stack::start(Config {
        port: args.port,
        clerk_port: args.clerk_port,
        dynamodb_port: args.dynamodb_port,
        data: args.data,
        clerk,
        lookup: Arc::new(environment),
        clock,
    })
    .await?;
    // Ready means that the sample users have arrived, too.
    stack.clerk.settled().await;
    if args.json {
        println!("{}", serde_json::to_string(&stack.addresses)?);
    } else {
        println!("{}", welcome(&stack.addresses));
    }
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    stack.stop().await
}

fn welcome(addresses: &Addresses) -> String {
    let Addresses { api, clerk, dynamodb, clerk_secret_key, webhook_secret, directory_table, .. } = addresses;
    format!(
        "
  Rollcall is running.

    functions   {api}
    Clerk       {clerk}  (emulator; key {clerk_secret_key})
    DynamoDB    {dynamodb}  (tables {directory_table}, {}, {})
    webhooks    signed with {webhook_secret}

  Try, in another terminal:

    cargo run -q -p rollcall-cli -- trigger user.created

    curl -X POST {clerk}/v1/users -H 'Authorization: Bearer {clerk_secret_key}' \\
         -H 'Content-Type: application/json' -d '{{\"first_name\":\"Ada\",\"email_address\":[\"ada@example.com\"]}}'

    AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local aws dynamodb scan --region us-east-1 \\
         --endpoint-url {dynamodb} --table-name {directory_table}

  Every event is a line below. Ctrl-C stops everything.
",
        addresses.profiles_table, addresses.operations_table
    )
}
