//! Serves HTTP on a listener until the stop signal, then finishes the requests in progress.
//!
//! `axum::serve` does not end its connections: one with half a request would continue and change an instance that is
//! already saved. Here the connections belong to the server and end with it.

use std::{io, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

/// How long requests in progress may take to finish after the stop signal.
pub const STOP_GRACE: Duration = Duration::from_secs(2);

/// The pause after a connection could not be accepted, as when the process has too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers requests until `stopping` is true or its sender is dropped, then waits for requests in progress, and aborts
/// the rest after [`STOP_GRACE`].
pub(crate) async fn serve(listener: TcpListener, router: Router, stopping: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    let stop = stopped(stopping.clone());
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            accepted = accept(&listener) => match accepted {
                Ok(stream) => drop(connections.spawn(serve_connection(stream, router.clone(), stopping.clone()))),
                Err(error) => tracing::warn!(%error, "a connection cannot be accepted"),
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    let finished = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_GRACE, finished).await.is_err() {
        tracing::warn!("requests were still in progress when the emulator stopped");
        connections.shutdown().await;
    }
}

async fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    match listener.accept().await {
        Ok((stream, _)) => Ok(stream),
        Err(error) => {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            Err(error)
        }
    }
}

/// Serves one connection until the client closes it or, after the stop signal, until no request is in progress.
async fn serve_connection(stream: TcpStream, router: Router, stopping: watch::Receiver<bool>) {
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = stopped(stopping) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended with an error");
    }
}

async fn stopped(mut stopping: watch::Receiver<bool>) {
    // A dropped sender counts as a stop signal.
    let _ = stopping.wait_for(|stop| *stop).await;
}
