//! Lambda's side of the Runtime API: hands one event out at a time and takes the time until the answer.
//!
//! Source: AWS, "Using the Lambda runtime API for custom runtimes", version 2018-06-01.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Bytes;
use rollcall::core::millis::Millis;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use crate::serve::{self, Server};

/// What time it is. Only a `main.rs` knows.
pub(crate) type Clock = fn() -> Millis;

const NEXT: &str = "/2018-06-01/runtime/invocation/next";

/// The Runtime API of one process.
pub(crate) struct RuntimeApi {
    server: Server,
    calls: mpsc::Receiver<Call>,
    waiting: Option<oneshot::Sender<String>>,
}

enum Call {
    Next { at: Instant, hand_out: oneshot::Sender<String> },
    Answer { at: Instant, body: Bytes },
    Failure { path: String },
}

/// The answer to an event.
#[derive(Debug)]
pub(crate) struct Answer {
    /// From handing the event out to having the answer.
    pub(crate) latency: Duration,
    pub(crate) status: u64,
    /// Its body; null if that is no JSON.
    pub(crate) body: Value,
    /// All of it, for a function that is not behind the API.
    pub(crate) whole: Value,
}

impl RuntimeApi {
    /// Starts it for a function whose invocations may take so long.
    ///
    /// # Errors
    ///
    /// If no port is free.
    pub(crate) async fn start(clock: Clock, limit: Duration) -> anyhow::Result<RuntimeApi> {
        let (sender, calls) = mpsc::channel(4);
        let server = serve::serve(None, move |request| take(request, sender.clone(), clock, limit)).await?;
        Ok(RuntimeApi { server, calls, waiting: None })
    }

    /// `AWS_LAMBDA_RUNTIME_API`.
    pub(crate) fn address(&self) -> String {
        self.server.address.to_string()
    }

    /// Waits until the function asks for an event; then the moment at which it did.
    ///
    /// # Errors
    ///
    /// If it does anything else.
    pub(crate) async fn polled(&mut self) -> anyhow::Result<Instant> {
        match self.calls.recv().await.context("the Runtime API has ended")? {
            Call::Next { at, hand_out } => {
                self.waiting = Some(hand_out);
                Ok(at)
            }
            Call::Answer { .. } => bail!("the function answered twice"),
            Call::Failure { path } => bail!("the function reported a failure at {path}"),
        }
    }

    /// Hands an event to the function that waits, and waits until it asks for the next.
    ///
    /// # Errors
    ///
    /// If the function does not wait, or reports a failure.
    pub(crate) async fn invoke(&mut self, event: String) -> anyhow::Result<Answer> {
        let waiting = self.waiting.take().context("the function does not wait for an event")?;
        let handed_out = Instant::now();
        waiting.send(event).ok().context("the function has gone away")?;
        let answer = match self.calls.recv().await.context("the Runtime API has ended")? {
            Call::Answer { at, body } => read(at - handed_out, &body)?,
            Call::Next { .. } => bail!("the function asked for an event without having answered the one it has"),
            Call::Failure { path } => bail!("the function reported a failure at {path}"),
        };
        self.polled().await?;
        Ok(answer)
    }
}

async fn take(
    request: Request<Bytes>,
    calls: mpsc::Sender<Call>,
    clock: Clock,
    limit: Duration,
) -> Response<Full<Bytes>> {
    let at = Instant::now();
    let path = request.uri().path();
    if request.method() == Method::GET && path == NEXT {
        let (hand_out, handed) = oneshot::channel();
        let asked = calls.send(Call::Next { at, hand_out }).await;
        return match handed.await {
            Ok(event) if asked.is_ok() => invocation(event, clock(), limit),
            _ => accepted(),
        };
    }
    let call = if path.ends_with("/response") {
        Call::Answer { at, body: request.into_body() }
    } else {
        Call::Failure { path: path.to_owned() }
    };
    // Nobody listens any more once the process is about to be ended.
    let _ = calls.send(call).await;
    accepted()
}

fn invocation(event: String, now: Millis, limit: Duration) -> Response<Full<Bytes>> {
    let mut response = serve::answer(StatusCode::OK, "application/json", event);
    let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    let deadline = HeaderValue::from(now.get() + limit);
    let headers = response.headers_mut();
    headers.insert("lambda-runtime-deadline-ms", deadline);
    headers.insert("lambda-runtime-aws-request-id", HeaderValue::from_static("8476a536-e9f4-11e8-9739-2dfe598c3fcd"));
    headers.insert(
        "lambda-runtime-invoked-function-arn",
        HeaderValue::from_static("arn:aws:lambda:us-east-1:123456789012:function:rollcall"),
    );
    response
}

fn accepted() -> Response<Full<Bytes>> {
    serve::answer(StatusCode::ACCEPTED, "application/json", r#"{"status":"OK"}"#)
}

fn read(latency: Duration, body: &[u8]) -> anyhow::Result<Answer> {
    let whole: Value = serde_json::from_slice(body).context("the function's answer")?;
    let body = serde_json::from_str(whole["body"].as_str().unwrap_or_default()).unwrap_or_default();
    Ok(Answer { latency, status: whole["statusCode"].as_u64().unwrap_or_default(), body, whole })
}
