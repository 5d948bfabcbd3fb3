//! Answering on a listener until told to stop.
//!
//! `axum::serve` leaves its connections to themselves when it is ended: one with half a request on it would go on, and
//! change an instance that is already saved. Here they belong to the server and end with it.

use std::{io, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

/// How long requests under way may take to finish once the emulator is told to stop.
pub const STOP_GRACE: Duration = Duration::from_secs(2);

/// The pause after a connection could not be accepted, which happens when the process has too many files open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers until `stopping` turns true or its sender is gone, then waits for requests under way, and ends what is left
/// after [`STOP_GRACE`].
pub(crate) async fn serve(listener: TcpListener, router: Router, stopping: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    let told = told(stopping.clone());
    tokio::pin!(told);
    loop {
        tokio::select! {
            () = &mut told => break,
            accepted = accept(&listener) => match accepted {
                Ok(stream) => drop(connections.spawn(converse(stream, router.clone(), stopping.clone()))),
                Err(error) => tracing::warn!(%error, "connection not accepted"),
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    let finished = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_GRACE, finished).await.is_err() {
        tracing::warn!("requests were still under way when the emulator stopped");
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

/// One connection, until the client closes it or, once told to stop, until no request is under way on it.
async fn converse(stream: TcpStream, router: Router, stopping: watch::Receiver<bool>) {
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    let conversed = tokio::select! {
        conversed = connection.as_mut() => conversed,
        () = told(stopping) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = conversed {
        tracing::debug!(%error, "connection broke off");
    }
}

async fn told(mut stopping: watch::Receiver<bool>) {
    // A sender that is gone has told, too.
    let _ = stopping.wait_for(|stop| *stop).await;
}
