//! Kills a function at a chosen point.

use std::pin::pin;
use std::task::Poll;

/// Polls a future a number of times and then drops it; `None` if it was not ready by then.
pub async fn killed_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}
