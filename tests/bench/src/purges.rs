//! Deleted users with heavy rows, all due at once: what the release binary of reconcile needs in memory for its hourly order.
//!
//! A row of many small maps is 30 KB in the table and megabytes in the memory of DynamoDB's client, so rows must be read a few
//! at a time, whatever the number of users.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use rollcall::core::id::{EntityId, InstanceId, UserId};
use rollcall::core::millis::Millis;
use rollcall::core::mirror::digest::Digest;
use rollcall::core::mirror::rank::Rank;
use serde_json::{Value, json};

use crate::process::{self, Process, Program};
use crate::reconcile::{LIMIT, MAX_MEMORY};
use crate::requests::{self, Addresses, Stack};
use crate::runtime_api::Clock;

const USERS: u64 = 8;
const ROWS: u64 = 60;
/// Small maps in each row.
const MAPS: usize = 4_000;
/// Rows of one request: DynamoDB takes 16 MB at most.
const TOGETHER: u64 = 4;
/// How long ago the users were deleted, in ms: the grace period of a day is over.
const AGO: u64 = 25 * 60 * 60 * 1000;
const TABLE: &str = "tasks";
/// The stack's react notes each deletion a moment after its row is stored.
const TRIES: usize = 20;
const PAUSE: Duration = Duration::from_millis(500);

/// Purges the users, prints the figures, and answers whether the budget holds.
///
/// # Errors
///
/// If something cannot be started, or not all of them are purged.
pub(crate) async fn measure(function: &Path, rollcall: &Path, clock: Clock) -> anyhow::Result<bool> {
    rollcall::adapters::tls::use_ring();
    let (stack, addresses) = requests::start(rollcall, 0).await?;
    eprintln!("storing {USERS} deleted users with {ROWS} rows each …");
    seed(&stack, &addresses, clock()).await?;
    let program = Program {
        path: function.to_owned(),
        arguments: Vec::new(),
        environment: environment(&addresses),
        limit: LIMIT,
    };
    let mut process = Process::start(&program, clock).await?;
    let (mut purged, mut rows) = (0, 0);
    for _ in 0..TRIES {
        let answer = process.invoke_within(json!({ "order": "purge_due" }).to_string(), LIMIT).await?;
        let settled = &answer.whole["purges"];
        purged += settled["purged"].as_u64().with_context(|| format!("no purge: {}", answer.whole))?;
        rows += settled["rows"].as_u64().unwrap_or_default();
        if purged == USERS {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    let memory = crate::starts::megabytes(process.memory()?.peak);
    process.end().await?;
    ensure!((purged, rows) == (USERS, USERS * ROWS), "{purged} users and {rows} rows were purged");
    let holds = memory <= MAX_MEMORY;
    let verdict = if holds { "" } else { "  OVER" };
    println!(
        "{purged} users and {rows} rows of {MAPS} maps, purged at once: {memory:.1} MB (at most {MAX_MEMORY} MB){verdict}"
    );
    Ok(holds)
}

async fn seed(stack: &Stack, addresses: &Addresses, now: Millis) -> anyhow::Result<()> {
    let key = [("user_id", "HASH"), ("task_id", "RANGE")];
    let table = json!({
        "TableName": TABLE, "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": key.map(|(name, kind)| json!({ "AttributeName": name, "KeyType": kind })),
        "AttributeDefinitions": key.map(|(name, _)| json!({ "AttributeName": name, "AttributeType": "S" })),
    });
    stack.dynamodb("DynamoDB_20120810.CreateTable", table).await?;
    let maps: Vec<Value> = (0..MAPS).map(|_| json!({ "M": { "a": { "N": "1" } } })).collect();
    let instance: InstanceId = addresses.clerk_instance_id.parse()?;
    let deleted_at = Millis::try_from(i64::try_from(now.get() - AGO)?)?;
    for number in 0..USERS {
        let user: UserId = format!("user_{number}").parse()?;
        for first in (0..ROWS).step_by(usize::try_from(TOGETHER)?) {
            let row = |at: u64| {
                let item = json!({ "user_id": { "S": user.as_str() }, "task_id": { "S": at.to_string() }, "list": { "L": maps } });
                json!({ "PutRequest": { "Item": item } })
            };
            let rows: Vec<Value> = (first..first + TOGETHER).map(row).collect();
            stack.dynamodb("DynamoDB_20120810.BatchWriteItem", json!({ "RequestItems": { TABLE: rows } })).await?;
        }
        let at = EntityId::User(user.clone()).key(&instance);
        let time = json!({ "N": deleted_at.get().to_string() });
        let tombstone = json!({
            "pk": { "S": at.pk }, "sk": { "S": at.sk }, "id": { "S": instance.internal_id(&user).to_string() },
            "clerk_user_id": { "S": user.as_str() }, "rank": { "S": Rank::deleted(Millis::ZERO, deleted_at).to_string() },
            "digest": { "S": Digest::tombstone().as_str() }, "applied_at": time, "applied_by": { "S": "webhook" },
            "deleted_at": time,
        });
        let put = json!({ "TableName": addresses.directory_table, "Item": tombstone });
        stack.dynamodb("DynamoDB_20120810.PutItem", put).await?;
    }
    Ok(())
}

/// What Lambda and template.yaml set.
fn environment(addresses: &Addresses) -> Vec<(&'static str, String)> {
    let owned = json!([{ "table": TABLE, "key": "user_id", "sort_key": "task_id" }]).to_string();
    let set = [
        ("CLERK_API_URL", addresses.clerk.as_str()),
        ("CLERK_INSTANCE_ID", &addresses.clerk_instance_id),
        ("CLERK_SECRET_KEY", &addresses.clerk_secret_key),
        ("DIRECTORY_TABLE", &addresses.directory_table),
        ("PROFILES_TABLE", &addresses.profiles_table),
        ("OPERATIONS_TABLE", &addresses.operations_table),
        ("BACKUP_BUCKET", &addresses.backups),
        ("DELETION_POLICY", "purge"),
        ("OWNED_TABLES", &owned),
    ];
    let mut environment = process::environment("reconcile", &addresses.dynamodb);
    environment.extend(set.map(|(name, value)| (name, value.to_owned())));
    environment
}
