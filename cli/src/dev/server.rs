//! Tasks of a local stack that can be stopped.

use std::convert::Infallible;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long requests in progress may take to finish after the stop signal.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// A task that ends after [`Server::stop`], or when its `Server` is dropped.
pub(super) struct Server {
    stopping: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Server {
    pub(super) fn spawn<F: Future<Output = ()> + Send + 'static>(serve: impl FnOnce(StopSignal) -> F) -> Server {
        let (stopping, mut stopped) = watch::channel(false);
        let stop = Box::pin(async move { drop(stopped.wait_for(|stop| *stop).await) });
        Server { stopping, task: tokio::spawn(serve(stop)) }
    }

    /// Runs `work` until the stop.
    pub(super) fn spawn_forever(work: impl Future<Output = Infallible> + Send + 'static) -> Server {
        Server::spawn(|stop| async move {
            tokio::select! {
                () = stop => {}
                never = work => match never {},
            }
        })
    }

    pub(super) async fn stop(mut self) {
        self.stopping.send_replace(true);
        // A client that never finishes its request must not prevent the stop.
        if tokio::time::timeout(STOP_GRACE, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

pub(super) type StopSignal = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;
