//! A proxy on loopback between the functions and DynamoDB or Clerk. It counts requests and units, injects faults, and
//! delays requests so that something else can happen first.

use std::collections::{BTreeSet, VecDeque};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

/// The number of attempts of the DynamoDB client at one operation.
pub const ATTEMPTS: usize = 4;

/// One forwarded request, or an injected fault.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The operation, such as `PutItem`; for Clerk the path.
    pub operation: String,
    /// The table, if the request names exactly one; for a transaction the table that it writes.
    pub table: Option<String>,
    pub status: u16,
    /// The consumed units, if the response has them.
    pub units: f64,
}

/// A fault that replaces the response of DynamoDB.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// 400 `ProvisionedThroughputExceededException`.
    Throttled,
    /// 500 `InternalServerError`.
    ServerError,
    /// 503 without a body in DynamoDB's form.
    Unavailable,
    /// No response for this long.
    Silent(Duration),
    /// The write is carried out, but the response is lost.
    LostAnswer,
    /// 400 `TransactionConflictException`, which the embedded engine never returns.
    TransactionConflict,
    /// 400 `AccessDeniedException`.
    AccessDenied,
    /// 400 `ResourceNotFoundException`.
    NoTable,
    /// A transaction that is cancelled for this reason.
    TransactionCancelled(&'static str),
    /// A batch of which nothing was processed.
    Unprocessed,
}

/// Where a wire delays requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// Before the request is forwarded: a sender that gives up has done nothing.
    Request,
    /// After the request was carried out, before its sender knows.
    Answer,
}

/// A delayed request. Dropping it releases it, too.
#[derive(Debug)]
pub struct Held {
    /// The operation, as in [`Call`].
    pub operation: String,
    /// Whether the request may change something.
    pub writes: bool,
    /// The table, as in [`Call`].
    pub table: Option<String>,
    going: oneshot::Sender<()>,
}

impl Held {
    /// Releases the request.
    pub fn release(self) {
        // The sender may have cancelled the request.
        let _ = self.going.send(());
    }
}

#[derive(Default)]
struct Log {
    calls: Vec<Call>,
    faults: VecDeque<Option<Fault>>,
    holding: Option<(Point, mpsc::UnboundedSender<Held>)>,
    lagging: Option<Lagging>,
    delay: Duration,
}

/// A lagging index: the table, and the first response to each query.
struct Lagging {
    table: String,
    answers: Vec<(Value, Bytes)>,
}

#[derive(Clone)]
pub struct Wire {
    url: String,
    log: Arc<Mutex<Log>>,
}

impl Wire {
    /// Starts a proxy in front of the DynamoDB or the Clerk at `upstream`.
    ///
    /// # Panics
    ///
    /// If the proxy cannot listen on any port.
    pub async fn start(upstream: String) -> Wire {
        rollcall::adapters::tls::use_ring();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let wire = Wire { url: format!("http://{}", listener.local_addr().unwrap()), log: Arc::default() };
        let state = (upstream, wire.log.clone(), reqwest::Client::new());
        let router = axum::Router::new().fallback(forward).with_state(state);
        tokio::spawn(async move { axum::serve(listener, router).await });
        wire
    }

    /// The URL of the proxy.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The requests since the last call.
    ///
    /// # Panics
    ///
    /// If another thread panicked while it had locked the log.
    pub fn take(&self) -> Vec<Call> {
        std::mem::take(&mut self.log.lock().unwrap().calls)
    }

    /// Makes the next requests fail, each with its fault.
    ///
    /// # Panics
    ///
    /// If another thread panicked while it had locked the log.
    pub fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        self.fail_after(0, faults);
    }

    /// The same after this number of further requests.
    ///
    /// # Panics
    ///
    /// If another thread panicked while it had locked the log.
    pub fn fail_after(&self, good: usize, faults: impl IntoIterator<Item = Fault>) {
        let faults = std::iter::repeat_n(None, good).chain(faults.into_iter().map(Some));
        self.log.lock().unwrap().faults = faults.collect();
    }

    /// Delays every answer from now on by this long.
    ///
    /// # Panics
    ///
    /// If another thread panicked while it had locked the log.
    pub fn slow(&self, delay: Duration) {
        self.log.lock().unwrap().delay = delay;
    }

    /// Makes the indexes of a table lag: a repeated query returns its earlier response.
    ///
    /// # Panics
    ///
    /// If another thread panicked while it had locked the log.
    pub fn lag(&self, table: &str) {
        self.log.lock().unwrap().lagging = Some(Lagging { table: table.to_owned(), answers: Vec::new() });
    }

    /// Delays every request from now on until it is released. When the receiver is dropped, no request is delayed.
    ///
    /// # Panics
    ///
    /// If another thread panicked while it had locked the log.
    pub fn hold(&self) -> mpsc::UnboundedReceiver<Held> {
        self.hold_at(Point::Request)
    }

    /// The same at a point of choice.
    ///
    /// # Panics
    ///
    /// If another thread panicked while it had locked the log.
    pub fn hold_at(&self, point: Point) -> mpsc::UnboundedReceiver<Held> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.log.lock().unwrap().holding = Some((point, sender));
        receiver
    }
}

type Shared = (String, Arc<Mutex<Log>>, reqwest::Client);

async fn forward(State((upstream, log, client)): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let target = parts.headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let operation = match target.rsplit_once('.') {
        Some((_, operation)) => operation.to_owned(),
        None => parts.uri.path().to_owned(),
    };
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let table = table(&asked);
    let writes = match target.rsplit_once('.') {
        Some((_, operation)) => !["GetItem", "BatchGetItem", "Query", "Scan", "DescribeTable"].contains(&operation),
        None => parts.method != Method::GET,
    };
    let held = |going| Held { operation: operation.clone(), writes, table: table.clone(), going };
    wait(&log, Point::Request, held).await;
    let fault = log.lock().unwrap().faults.pop_front().flatten();
    let stale = log.lock().unwrap().lagging.as_ref().and_then(|lagging| {
        lagging.answers.iter().find(|(before, _)| *before == asked).map(|(_, answer)| answer.clone())
    });
    let (status, headers, answer) = match fault {
        None if stale.is_some() => (StatusCode::OK, HeaderMap::new(), stale.unwrap_or_default()),
        None => pass(&upstream, &client, &parts, body).await,
        Some(Fault::Throttled) => refusal(400, "ProvisionedThroughputExceededException"),
        Some(Fault::ServerError) => refusal(500, "InternalServerError"),
        Some(Fault::Unavailable) => {
            (StatusCode::SERVICE_UNAVAILABLE, HeaderMap::new(), Bytes::from("<html>503</html>"))
        }
        Some(Fault::TransactionConflict) => refusal(400, "TransactionConflictException"),
        Some(Fault::AccessDenied) => refusal(400, "AccessDeniedException"),
        Some(Fault::NoTable) => refusal(400, "ResourceNotFoundException"),
        Some(Fault::TransactionCancelled(reason)) => cancelled(reason),
        Some(Fault::Unprocessed) => {
            let asked = &asked["RequestItems"];
            // For reads and writes: each has parameters of its own.
            let answer = json!({ "Responses": {}, "UnprocessedKeys": asked, "UnprocessedItems": asked });
            (StatusCode::OK, HeaderMap::new(), answer.to_string().into())
        }
        Some(Fault::Silent(duration)) => {
            tokio::time::sleep(duration).await;
            refusal(500, "InternalServerError")
        }
        Some(Fault::LostAnswer) => {
            pass(&upstream, &client, &parts, body).await;
            refusal(500, "InternalServerError")
        }
    };
    let held = |going| Held { operation: operation.clone(), writes, table: table.clone(), going };
    wait(&log, Point::Answer, held).await;
    let delay = log.lock().unwrap().delay;
    tokio::time::sleep(delay).await;
    if let Some(lagging) = &mut log.lock().unwrap().lagging
        && asked["IndexName"].is_string()
        && asked["TableName"] == lagging.table.as_str()
        && status.is_success()
    {
        lagging.answers.push((asked, answer.clone()));
    }
    // A list of Clerk is an array, which has no members.
    let consumed = serde_json::from_slice::<Value>(&answer).unwrap_or_default();
    // Of a batch there is one for each table.
    let consumed = match consumed.get("ConsumedCapacity").cloned().unwrap_or_default() {
        Value::Array(of_tables) => of_tables,
        one => vec![one],
    };
    let units = consumed.iter().filter_map(|consumed| consumed["CapacityUnits"].as_f64()).sum();
    let call = Call { operation, table, status: status.as_u16(), units };
    log.lock().unwrap().calls.push(call);
    (status, headers, answer).into_response()
}

/// Waits until a delayed request is released.
async fn wait(log: &Mutex<Log>, point: Point, held: impl FnOnce(oneshot::Sender<()>) -> Held) {
    let holding = log.lock().unwrap().holding.clone();
    let Some((_, holding)) = holding.filter(|(at, _)| *at == point) else { return };
    let (going, gone) = oneshot::channel();
    if holding.send(held(going)).is_ok() {
        let _ = gone.await;
    }
}

/// The table of a request, if it names exactly one. Condition checks of a transaction do not count.
fn table(asked: &Value) -> Option<String> {
    let actions = asked["TransactItems"].as_array().into_iter().flatten();
    let written = actions.flat_map(|action| ["Put", "Update", "Delete"].map(|kind| action[kind]["TableName"].as_str()));
    let named: BTreeSet<&str> = written.flatten().chain(asked["TableName"].as_str()).collect();
    named.first().filter(|_| named.len() == 1).map(|name| (*name).to_owned())
}

async fn pass(upstream: &str, client: &reqwest::Client, parts: &Parts, body: Bytes) -> (StatusCode, HeaderMap, Bytes) {
    let url = format!("{upstream}{}", parts.uri);
    let request = client.request(parts.method.clone(), url).headers(parts.headers.clone()).body(body);
    match request.send().await {
        Ok(answer) => (answer.status(), answer.headers().clone(), answer.bytes().await.unwrap_or_default()),
        Err(_) => (StatusCode::BAD_GATEWAY, HeaderMap::new(), Bytes::new()),
    }
}

fn refusal(status: u16, code: &str) -> (StatusCode, HeaderMap, Bytes) {
    let body = json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{code}"), "message": "a fault on purpose" });
    (StatusCode::from_u16(status).unwrap(), HeaderMap::new(), body.to_string().into())
}

fn cancelled(reason: &str) -> (StatusCode, HeaderMap, Bytes) {
    let body = json!({
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "message": "a fault on purpose",
        "CancellationReasons": [{ "Code": "None" }, { "Code": reason, "Message": "a fault on purpose" }],
    });
    (StatusCode::BAD_REQUEST, HeaderMap::new(), body.to_string().into())
}
