//! The wire between the functions and DynamoDB or Clerk: a proxy on loopback that counts requests and units, fails when
//! told to, and holds requests back so that something else can happen first.

use std::collections::{BTreeSet, VecDeque};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

/// Attempts of the DynamoDB client at one operation.
pub const ATTEMPTS: usize = 4;

/// One request that got through, or a fault in its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The operation, as `PutItem`; for Clerk the path.
    pub operation: String,
    /// The table, where the request names just one; of a transaction the one that it writes to.
    pub table: Option<String>,
    pub status: u16,
    /// Consumed units, where the answer tells.
    pub units: f64,
}

/// What happens to a request instead of being answered by DynamoDB.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// 400 `ProvisionedThroughputExceededException`.
    Throttled,
    /// 500 `InternalServerError`.
    ServerError,
    /// 503 without a body that DynamoDB would write.
    Unavailable,
    /// No answer for this long.
    Silent(Duration),
    /// The write is done, but the answer is lost.
    LostAnswer,
    /// 400 `TransactionConflictException`, which no embedded engine ever answers.
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

/// A request that waits on the wire. Dropping it lets it go, too.
#[derive(Debug)]
pub struct Held {
    /// The operation, as [`Call`] has it.
    pub operation: String,
    /// The table, as [`Call`] has it.
    pub table: Option<String>,
    going: oneshot::Sender<()>,
}

impl Held {
    /// Lets the request go on.
    pub fn release(self) {
        // Whoever sent it may have given up.
        let _ = self.going.send(());
    }
}

#[derive(Default)]
struct Log {
    calls: Vec<Call>,
    faults: VecDeque<Option<Fault>>,
    holding: Option<mpsc::UnboundedSender<Held>>,
    lagging: Option<Lagging>,
}

/// An index that lags: the table, and what was answered to the first query of it and all like it.
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
    /// If no port can be listened on.
    pub async fn start(upstream: String) -> Wire {
        rollcall::adapters::tls::use_ring();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let wire = Wire { url: format!("http://{}", listener.local_addr().unwrap()), log: Arc::default() };
        let state = (upstream, wire.log.clone(), reqwest::Client::new());
        let router = axum::Router::new().fallback(forward).with_state(state);
        tokio::spawn(async move { axum::serve(listener, router).await });
        wire
    }

    /// Where the functions find DynamoDB.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The requests since the last time this was asked.
    ///
    /// # Panics
    ///
    /// If another thread panicked with the log in hand.
    pub fn take(&self) -> Vec<Call> {
        std::mem::take(&mut self.log.lock().unwrap().calls)
    }

    /// Lets the next requests fail, each in its way.
    ///
    /// # Panics
    ///
    /// If another thread panicked with the log in hand.
    pub fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        self.fail_after(0, faults);
    }

    /// The same, once this many requests have got through.
    ///
    /// # Panics
    ///
    /// If another thread panicked with the log in hand.
    pub fn fail_after(&self, good: usize, faults: impl IntoIterator<Item = Fault>) {
        let faults = std::iter::repeat_n(None, good).chain(faults.into_iter().map(Some));
        self.log.lock().unwrap().faults = faults.collect();
    }

    /// Lets the indexes of a table lag: a query that was asked before is answered as it was then.
    ///
    /// # Panics
    ///
    /// If another thread panicked with the log in hand.
    pub fn lag(&self, table: &str) {
        self.log.lock().unwrap().lagging = Some(Lagging { table: table.to_owned(), answers: Vec::new() });
    }

    /// Holds every request from now on until it is released; once nobody listens any more, none is held.
    ///
    /// # Panics
    ///
    /// If another thread panicked with the log in hand.
    pub fn hold(&self) -> mpsc::UnboundedReceiver<Held> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.log.lock().unwrap().holding = Some(sender);
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
    let holding = log.lock().unwrap().holding.clone();
    if let Some(holding) = holding {
        let (going, gone) = oneshot::channel();
        if holding.send(Held { operation: operation.clone(), table: table.clone(), going }).is_ok() {
            let _ = gone.await;
        }
    }
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
            // Of a read and of a write alike: each looks for its own.
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
    if let Some(lagging) = &mut log.lock().unwrap().lagging
        && asked["IndexName"].is_string()
        && asked["TableName"] == lagging.table.as_str()
        && status.is_success()
    {
        lagging.answers.push((asked, answer.clone()));
    }
    let units = serde_json::from_slice::<Value>(&answer)
        .ok()
        .and_then(|answer| answer["ConsumedCapacity"]["CapacityUnits"].as_f64());
    let call = Call { operation, table, status: status.as_u16(), units: units.unwrap_or_default() };
    log.lock().unwrap().calls.push(call);
    (status, headers, answer).into_response()
}

/// The table that a request is about, if it is one. What a transaction merely checks does not count.
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
