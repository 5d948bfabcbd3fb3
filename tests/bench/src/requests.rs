//! What an event asks of DynamoDB and of Clerk, counted on the wire between the function and the local stack's DynamoDB.

use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, ensure};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Bytes;
use reqwest::Client;
use rollcall::core::clerk::event::Envelope;
use rollcall::core::id::{InstanceId, Key};
use rollcall::core::millis::Millis;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::events::{self, Signed};
use crate::process::{Process, Program};
use crate::runtime_api::Clock;
use crate::serve::{self, Server};

/// An in-memory stack starts within a second.
const PATIENCE: Duration = Duration::from_mins(1);

/// What one event cost.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Cost {
    /// What the function says became of it.
    pub(crate) outcome: String,
    pub(crate) requests: u32,
    /// Those of them that write nothing.
    pub(crate) reads: u32,
    /// Write units that DynamoDB reports, indexes included.
    pub(crate) write_units: f64,
    pub(crate) clerk_calls: u32,
    /// Whether the stored item differs afterwards.
    pub(crate) item_changes: u32,
    /// Records that the event left in the table's stream.
    pub(crate) stream_records: usize,
}

/// The local stack, as far as this needs it.
pub(crate) struct Stack {
    dynamodb: Dynamo,
    table: String,
    /// Ends it when dropped.
    _process: Child,
}

/// `rollcall dev --json`.
#[derive(Deserialize)]
pub(crate) struct Addresses {
    pub(crate) clerk: String,
    pub(crate) clerk_instance_id: String,
    pub(crate) clerk_secret_key: String,
    pub(crate) dynamodb: String,
    pub(crate) directory_table: String,
    pub(crate) profiles_table: String,
    pub(crate) operations_table: String,
    pub(crate) backups: String,
}

/// Counts the three kinds of events, each as a message of its own: fresh, duplicate, superseded.
///
/// # Errors
///
/// If the stack cannot be started or an event does not become what it should.
pub(crate) async fn measure(
    rollcall: &Path,
    program: impl Fn(&str, &str, &str, &str) -> Program,
    clock: Clock,
) -> anyhow::Result<[Cost; 3]> {
    rollcall::adapters::tls::use_ring();
    let (stack, addresses) = start(rollcall, 0).await?;
    let counted = Arc::new(Mutex::new(Cost::default()));
    let proxy = proxy(stack.dynamodb.clone(), counted.clone()).await?;
    let clerk = clerk(counted.clone()).await?;
    let (proxy_url, clerk_url) = (format!("http://{}", proxy.address), format!("http://{}", clerk.address));
    let program = program(&proxy_url, &clerk_url, &addresses.directory_table, &addresses.operations_table);
    let mut process = Process::start(&program, clock).await?;

    let now = clock();
    let before = Millis::try_from(i64::try_from(now.get())? - 1000)?;
    let states = [(before, "applied"), (before, "duplicate"), (now, "applied"), (before, "superseded")];
    let mut costs = Vec::new();
    for (number, (updated_at, outcome)) in states.into_iter().enumerate() {
        let signed = events::user_updated(updated_at, now, number)?;
        let cost = one(&mut process, &stack, &signed, &counted).await?;
        ensure!(cost.outcome == outcome, "event {number} was {:?}, not {outcome:?}", cost.outcome);
        costs.push(cost);
    }
    process.end().await?;
    // The write that replaces an older state is the fresh event that counts: it has an old item to bill.
    Ok([costs[2].clone(), costs[1].clone(), costs[3].clone()])
}

async fn one(process: &mut Process, stack: &Stack, signed: &Signed, counted: &Mutex<Cost>) -> anyhow::Result<Cost> {
    let (item, records) = (stack.item(signed).await?, stack.stream_records().await?);
    *locked(counted) = Cost::default();
    let answer = process.invoke(signed.gateway_event()).await?;
    let mut cost = locked(counted).clone();
    cost.outcome = answer.body["outcome"].as_str().unwrap_or_default().to_owned();
    cost.item_changes = u32::from(stack.item(signed).await? != item);
    cost.stream_records = stack.stream_records().await? - records;
    Ok(cost)
}

/// Starts the stack, with so many users, as a process of its own: it links the embedded DynamoDB, which this binary does
/// not. It lives as long as what is answered.
pub(crate) async fn start(rollcall: &Path, users: u64) -> anyhow::Result<(Stack, Addresses)> {
    let mut process = Command::new(rollcall)
        .args(["dev", "--port", "0", "--clerk-port", "0", "--dynamodb-port", "0"])
        .args(["--memory", "--json", "--users", &users.to_string()])
        // The stack's own react must not ask Clerk beside the function that is measured.
        .env("METADATA_WRITEBACK", "off")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("starting {}: build it first (make bench does)", rollcall.display()))?;
    let mut lines = BufReader::new(process.stdout.take().context("its output")?).lines();
    let ready =
        tokio::time::timeout(PATIENCE, lines.next_line()).await.context("rollcall dev does not get ready")??;
    let addresses: Addresses = serde_json::from_str(&ready.context("rollcall dev ended at once")?)?;
    let dynamodb = Dynamo { client: Client::new(), url: addresses.dynamodb.clone() };
    Ok((Stack { dynamodb, table: addresses.directory_table.clone(), _process: process }, addresses))
}

/// Passes every request on to DynamoDB, and counts it and the units that it was billed.
async fn proxy(dynamodb: Dynamo, counted: Arc<Mutex<Cost>>) -> anyhow::Result<Server> {
    serve::serve(None, move |request| pass_on(request, dynamodb.clone(), counted.clone())).await
}

async fn pass_on(request: Request<Bytes>, dynamodb: Dynamo, counted: Arc<Mutex<Cost>>) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let target = parts.headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let writes = ["PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems"];
    let is_write = target.rsplit_once('.').is_some_and(|(_, operation)| writes.contains(&operation));
    let answer = dynamodb.send(parts.headers.clone(), body).await;
    let (status, body) = answer.unwrap_or((StatusCode::BAD_GATEWAY, Bytes::new()));
    let answered: Value = serde_json::from_slice(&body).unwrap_or_default();
    let mut cost = locked(&counted);
    cost.requests += 1;
    if is_write {
        cost.write_units += answered["ConsumedCapacity"]["CapacityUnits"].as_f64().unwrap_or_default();
    } else {
        cost.reads += 1;
    }
    serve::answer(status, "application/x-amz-json-1.0", body)
}

/// A Clerk that nobody should ask.
async fn clerk(counted: Arc<Mutex<Cost>>) -> anyhow::Result<Server> {
    let refuse = move |_| {
        locked(&counted).clerk_calls += 1;
        std::future::ready(serve::answer(StatusCode::SERVICE_UNAVAILABLE, "application/json", "{}"))
    };
    serve::serve(None, refuse).await
}

fn locked(counted: &Mutex<Cost>) -> std::sync::MutexGuard<'_, Cost> {
    counted.lock().unwrap_or_else(PoisonError::into_inner)
}

/// DynamoDB's own protocol. Its client of AWS knows no streams.
#[derive(Clone)]
struct Dynamo {
    client: Client,
    url: String,
}

impl Dynamo {
    async fn send(&self, mut headers: HeaderMap, body: Bytes) -> anyhow::Result<(StatusCode, Bytes)> {
        headers.remove(http::header::HOST);
        let answer = self.client.post(&self.url).headers(headers).body(body).send().await?;
        Ok((answer.status(), answer.bytes().await?))
    }

    async fn call(&self, target: &'static str, body: Value) -> anyhow::Result<Value> {
        let mut headers = HeaderMap::new();
        // The embedded DynamoDB wants a signature's form and checks nothing else of it.
        let signature = "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, \
                         Signature=none";
        headers.insert("x-amz-target", target.parse()?);
        headers.insert("x-amz-date", "20260101T000000Z".parse()?);
        headers.insert("authorization", signature.parse()?);
        headers.insert("content-type", "application/x-amz-json-1.0".parse()?);
        let (status, answer) = self.send(headers, body.to_string().into()).await?;
        ensure!(status.is_success(), "{target}: status {status}");
        Ok(serde_json::from_slice(&answer)?)
    }
}

impl Stack {
    /// A request to its DynamoDB.
    pub(crate) async fn dynamodb(&self, target: &'static str, body: Value) -> anyhow::Result<Value> {
        self.dynamodb.call(target, body).await
    }

    /// The stored item of the event's entity.
    async fn item(&self, signed: &Signed) -> anyhow::Result<Value> {
        let instance: InstanceId = events::INSTANCE.parse()?;
        let dated = Envelope::parse(signed.body.as_bytes()).ok().and_then(|envelope| envelope.open().ok().flatten());
        let Key { pk, sk } =
            dated.context("the data of the sample event cannot be read")?.event.entity().key(&instance);
        let key = json!({ "pk": { "S": pk }, "sk": { "S": sk } });
        let request = json!({ "TableName": self.table, "Key": key, "ConsistentRead": true });
        Ok(self.dynamodb.call("DynamoDB_20120810.GetItem", request).await?["Item"].take())
    }

    /// The number of records in the table's stream, which one page holds: there are a handful.
    async fn stream_records(&self) -> anyhow::Result<usize> {
        let streams = json!({ "TableName": self.table });
        let streams = self.dynamodb.call("DynamoDBStreams_20120810.ListStreams", streams).await?;
        let stream = &streams["Streams"][0]["StreamArn"];
        let described = json!({ "StreamArn": stream });
        let described = self.dynamodb.call("DynamoDBStreams_20120810.DescribeStream", described).await?;
        let shards = described["StreamDescription"]["Shards"].as_array().context("the stream has no shards")?;
        let mut records = 0;
        for shard in shards {
            let from = json!({ "StreamArn": stream, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON" });
            let iterator = self.dynamodb.call("DynamoDBStreams_20120810.GetShardIterator", from).await?;
            let page = json!({ "ShardIterator": iterator["ShardIterator"] });
            let page = self.dynamodb.call("DynamoDBStreams_20120810.GetRecords", page).await?;
            records += page["Records"].as_array().map_or(0, Vec::len);
        }
        Ok(records)
    }
}
