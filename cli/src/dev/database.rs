//! Serves the embedded DynamoDB through a router with checks of its own.
//!
//! The HTTP server of the engine answers pages of every origin (`Access-Control-Allow-Origin: *`) and has no router
//! that could be wrapped. Therefore requests are forwarded to the engine over connections that no other process can
//! open.

use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, bail};
use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use dynoxide::Database;
use http_body_util::BodyExt;
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The database as a router.
pub(super) fn router(database: Database) -> Router {
    let engine = Engine { database, idle: Arc::default(), open: watch::Sender::new(()) };
    Router::new().fallback(pass_on).layer(DefaultBodyLimit::disable()).with_state(engine)
}

#[derive(Clone)]
struct Engine {
    database: Database,
    /// Idle connections.
    idle: Arc<Mutex<Vec<Line>>>,
    /// The engine closes its connections when the last sender is dropped.
    open: watch::Sender<()>,
}

/// A connection to the engine. The request itself drives the connection, not a task: passing each response from task to
/// task would take longer than the engine does.
struct Line {
    requests: SendRequest<Body>,
    driver: Pin<Box<Connection<TokioIo<TcpStream>, Body>>>,
}

impl Line {
    async fn ask(&mut self, request: Request) -> anyhow::Result<Response> {
        let Line { requests, driver } = self;
        let answer = async {
            requests.ready().await?;
            let (head, body) = requests.send_request(request).await?.into_parts();
            Ok(Response::from_parts(head, Body::from(body.collect().await?.to_bytes())))
        };
        tokio::select! {
            biased;
            answer = answer => answer,
            ended = driver => bail!("DynamoDB closed the connection: {ended:?}"),
        }
    }
}

async fn pass_on(State(engine): State<Engine>, request: Request) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    match engine.ask(request).await {
        Ok(mut answer) => {
            own_page_only(&mut answer, origin);
            answer
        }
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "DynamoDB did not respond");
            StatusCode::BAD_GATEWAY.into_response()
        }
    }
}

/// Allows only the requesting origin to read the response; the engine allows every page.
fn own_page_only(answer: &mut Response, origin: Option<HeaderValue>) {
    let headers = answer.headers_mut();
    if let (Some(_), Some(origin)) = (headers.remove(header::ACCESS_CONTROL_ALLOW_ORIGIN), origin) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.append(header::VARY, HeaderValue::from_static("origin"));
    }
}

impl Engine {
    async fn ask(&self, mut request: Request) -> anyhow::Result<Response> {
        // Only the path and the query: the engine rejects absolute URIs.
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = path.parse::<Uri>()?;
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut line = match idle {
            Some(line) => line,
            None => self.connect().await?,
        };
        let answer = line.ask(request).await?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        Ok(answer)
    }

    /// Opens a connection. The engine listens on a temporary port only until it has answered once: every page in the
    /// browser could reach a port that stays open.
    async fn connect(&self) -> anyhow::Result<Line> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let mut open = self.open.subscribe();
        let closed = async move { while open.changed().await.is_ok() {} };
        let serve = dynoxide::server::serve_with_shutdown(listener, self.database.clone(), closed);
        let greet = async {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let (requests, driver) = http1::handshake(TokioIo::new(stream)).await?;
            let mut line = Line { requests, driver: Box::pin(driver) };
            line.ask(Request::get("/").header(header::HOST, "127.0.0.1").body(Body::empty())?).await?;
            anyhow::Ok(line)
        };
        // When this ends, the listener is dropped. The accepted connection stays open.
        tokio::select! {
            line = greet => line.context("connecting to the embedded DynamoDB"),
            served = serve => bail!("the embedded DynamoDB stopped: {served:?}"),
        }
    }
}
