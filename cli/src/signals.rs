//! Being told to stop.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// Ends when the process is told to stop, by SIGINT or SIGTERM. From this call on neither kills it.
///
/// # Errors
///
/// If the signals cannot be listened to.
pub(crate) fn told() -> io::Result<impl Future<Output = ()> + Send> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
