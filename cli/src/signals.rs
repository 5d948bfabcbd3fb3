//! Waits for SIGINT and SIGTERM.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// Returns a future that completes on SIGINT or SIGTERM. From this call on neither signal kills the process.
///
/// # Errors
///
/// If the signal handlers cannot be installed.
pub(crate) fn stop_signal() -> io::Result<impl Future<Output = ()> + Send> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
