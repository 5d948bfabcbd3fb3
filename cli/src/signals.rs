//! SIGINT and SIGTERM.
//!
//! The operator's commands have one rule, in [`interruptible`]: the first signal stops the command between two of its
//! requests, or while it waits for one; a second signal, at least half a second later, ends the process at once. A request
//! is either carried out or not, so nothing is half written. Work that must clean up when it is stopped waits for
//! [`stop_signal`] itself.

use std::fmt;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::anyhow;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{oneshot, watch};

/// The exit status after a second signal, as a shell reports a process that SIGINT has killed.
const ENDED_AT_ONCE: i32 = 130;

/// Signals within this time are one: `timeout` of coreutils sends each signal to the process and to its group.
const ONE_SIGNAL: Duration = Duration::from_millis(500);

tokio::task_local! {
    /// The signal of the command that runs.
    static STOP: Stop;
}

/// A signal stopped the command while it waited for an answer of the operator.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// Whether a signal has come, and how many parts of the command stop by themselves when it comes.
struct Stop {
    came: watch::Receiver<bool>,
    careful: watch::Sender<usize>,
}

/// One part that stops by itself.
struct Careful(watch::Sender<usize>);

impl Drop for Careful {
    fn drop(&mut self) {
        self.0.send_modify(|parts| *parts = parts.saturating_sub(1));
    }
}

/// How a command ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended<T> {
    /// It came to its end, or stopped by itself after a signal.
    Done(T),
    /// A signal stopped it while it waited for an answer of the operator.
    Asking,
    /// A signal stopped its work.
    Working,
}

/// Runs a command until a signal stops it.
///
/// # Errors
///
/// If the signal handlers cannot be installed, or the command fails.
pub(crate) async fn interruptible<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<Ended<T>> {
    let mut signals = both()?;
    let (came, coming) = watch::channel(false);
    let watching = tokio::spawn(async move {
        next(&mut signals).await;
        came.send_replace(true);
        tokio::time::sleep(ONE_SIGNAL).await;
        // Listeners of their own hear only what comes from now on.
        if let Ok(mut signals) = both() {
            next(&mut signals).await;
            std::process::exit(ENDED_AT_ONCE);
        }
    });
    let (careful, parts) = (watch::Sender::new(0), coming.clone());
    let stop = Stop { came: coming, careful: careful.clone() };
    let unhandled = async move {
        let (mut came, mut careful) = (parts, careful.subscribe());
        if came.wait_for(|came| *came).await.is_err() || careful.wait_for(|parts| *parts == 0).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let work = pin!(STOP.scope(stop, work));
    let done = tokio::select! {
        // A command that stops by itself returns before it is dropped.
        biased;
        done = work => match done {
            Err(error) if error.is::<Interrupted>() => Ok(Ended::Asking),
            done => done.map(Ended::Done),
        },
        () = unhandled => Ok(Ended::Working),
    };
    watching.abort();
    done
}

/// Completes on SIGINT or SIGTERM. While it exists a signal does not drop the work of [`interruptible`], so that work may
/// clean up after the signal.
pub(crate) struct StopSignal {
    coming: Pin<Box<dyn Future<Output = ()> + Send>>,
    _careful: Option<Careful>,
}

impl Future for StopSignal {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.coming.as_mut().poll(context)
    }
}

/// Returns a future that completes on SIGINT or SIGTERM. From this call on neither signal kills the process.
///
/// # Errors
///
/// If the signal handlers cannot be installed.
pub(crate) fn stop_signal() -> io::Result<StopSignal> {
    let of_command = STOP.try_with(|stop| {
        stop.careful.send_modify(|parts| *parts += 1);
        (stop.came.clone(), Careful(stop.careful.clone()))
    });
    let Ok((mut came, careful)) = of_command else {
        let mut signals = both()?;
        return Ok(StopSignal { coming: Box::pin(async move { next(&mut signals).await }), _careful: None });
    };
    let coming = async move {
        if came.wait_for(|came| *came).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    Ok(StopSignal { coming: Box::pin(coming), _careful: Some(careful) })
}

/// Reads from the terminal or a pipe in a thread of its own, because such a read cannot be stopped.
///
/// # Errors
///
/// If a signal comes first ([`Interrupted`]), or the thread ends without a result.
pub(crate) async fn read<T: Send + 'static>(read: impl FnOnce() -> T + Send + 'static) -> anyhow::Result<T> {
    let stop = stop_signal()?;
    let (sender, receiver) = oneshot::channel();
    // The runtime would wait for a thread of its own.
    std::thread::spawn(move || sender.send(read()));
    tokio::select! {
        result = receiver => result.map_err(|_| anyhow!("the thread that reads has ended")),
        () = stop => Err(Interrupted.into()),
    }
}

fn both() -> io::Result<(Signal, Signal)> {
    Ok((signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?))
}

async fn next((interrupt, terminate): &mut (Signal, Signal)) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
