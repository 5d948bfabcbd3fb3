//! `rollcall dev`: the local stack, and what a developer sees of it.

pub mod gateway;
mod schedule;
pub mod stack;
pub mod tables;

use std::sync::Arc;

use self::stack::{Addresses, Config, Stack};
use crate::args::DevArgs;
use crate::{Clock, signals};

/// Starts the stack and runs it until it is told to stop.
///
/// # Errors
///
/// If it cannot start or stop cleanly.
pub async fn run(args: DevArgs, environment: fn(&str) -> Option<String>, clock: Clock) -> anyhow::Result<()> {
    // Before anything is started: a signal that comes early must not be lost.
    let told = signals::told()?;
    tokio::pin!(told);
    let json = args.json;
    let stack = tokio::select! {
        () = &mut told => return Ok(()),
        stack = Stack::start(config(args, environment, clock)) => stack?,
    };
    let ready = async {
        // Ready means that the sample users have arrived, too.
        stack.clerk.settled().await;
        if json {
            println!("{}", serde_json::to_string(&stack.addresses)?);
        } else {
            println!("{}", welcome(&stack.addresses, sample_user(&stack).as_deref()));
        }
        anyhow::Ok(())
    };
    tokio::select! {
        () = &mut told => {}
        ready = ready => {
            ready?;
            told.await;
        }
    }
    stack.stop().await
}

/// The options, and of the environment what the design names: the two secrets, the instance and the functions' policies.
fn config(args: DevArgs, environment: fn(&str) -> Option<String>, clock: Clock) -> Config {
    let mut config = Config::new(clock);
    config.port = args.port;
    config.clerk_port = args.clerk_port;
    config.dynamodb_port = args.dynamodb_port;
    config.data = args.data;
    config.clerk.users = args.users;
    let set = |name, value: &mut String| environment(name).into_iter().for_each(|given| *value = given);
    set("CLERK_SECRET_KEY", &mut config.clerk.secret_key);
    set("CLERK_INSTANCE_ID", &mut config.clerk.instance_id);
    set("CLERK_WEBHOOK_SECRET", &mut config.webhook_secrets);
    config.lookup = Arc::new(environment);
    config
}

/// One of the sample users, if this start made any.
fn sample_user(stack: &Stack) -> Option<String> {
    let deliveries = stack.clerk.deliveries();
    deliveries.into_iter().find(|delivery| delivery.event_type == "user.created").map(|delivery| delivery.entity_id)
}

fn welcome(addresses: &Addresses, user: Option<&str>) -> String {
    let user = user.unwrap_or("user_…");
    let Addresses { api, clerk, dynamodb, clerk_secret_key, webhook_secret, directory_table, .. } = addresses;
    let Addresses { profiles_table, operations_table, allowed_origins, .. } = addresses;
    format!(
        "
  Rollcall is running.

    functions   {api}
    Clerk       {clerk}  (emulator; key {clerk_secret_key})
    DynamoDB    {dynamodb}  (tables {directory_table}, {profiles_table}, {operations_table})
    webhooks    signed with {webhook_secret}
    sessions    of pages at {allowed_origins}

  Try, in another terminal:

    cargo run -q -p rollcall-cli -- trigger user.created
    cargo run -q -p rollcall-cli -- reconcile --local
    cargo run -q -p rollcall-cli -- status --local

    curl -X POST {clerk}/v1/users -H 'Authorization: Bearer {clerk_secret_key}' \\
         -H 'Content-Type: application/json' -d '{{\"first_name\":\"Ada\",\"email_address\":[\"ada@example.com\"]}}'

    token=$(curl -s {clerk}/_emulator/tokens -H 'Content-Type: application/json' \\
         -d '{{\"user_id\":\"{user}\"}}' | cut -d'\"' -f4)
    curl -X POST {api}/profiles/ensure -H \"Authorization: Bearer $token\"

    AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local aws dynamodb scan --region us-east-1 \\
         --endpoint-url {dynamodb} --table-name {directory_table}

  Every event is a line below; reconcile runs at 03:00 UTC. Ctrl-C stops everything.
"
    )
}
