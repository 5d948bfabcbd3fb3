//! Cold starts and the warm invocations after them, of fresh processes against a store that costs next to nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::ensure;
use http::StatusCode;
use hyper::body::Bytes;
use serde::Serialize;

use crate::cap::Cap;
use crate::hot_path::HotPath;
use crate::process::{Memory, PATIENCE, Process, Program};
use crate::runtime_api::Clock;
use crate::serve::{self, Server};

/// Fresh processes of each kind whose start is measured.
const STARTS: usize = 25;
/// Further ones for warm invocations and memory.
const WARM_PROCESSES: usize = 5;
/// Fresh processes of each kind whose first invocation is capped.
const CAPPED_STARTS: usize = 15;
/// Warm invocations of each of those.
const WARM: usize = 300;

/// Stands in for DynamoDB and EventBridge: TLS as there, but every answer is ready. Their time would hide the function's.
pub(crate) struct Store {
    /// The authority that its clients must trust, as PEM.
    pub(crate) authority: String,
    server: Server,
    answers: Arc<Mutex<HashMap<&'static str, Bytes>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Store {
    /// Starts it, without an answer to anything.
    ///
    /// # Errors
    ///
    /// If no port is free.
    pub(crate) async fn start() -> anyhow::Result<Store> {
        let answers = Arc::new(Mutex::new(HashMap::<&str, Bytes>::new()));
        let held = answers.clone();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = asked.clone();
        let (tls, authority) = serve::certify()?;
        let server = serve::serve(Some(tls), move |request| {
            let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok());
            // Such as `DynamoDB_20120810.PutItem`. Only AWS is asked like this.
            let operation = target.and_then(|target| target.split('.').nth(1)).unwrap_or(request.uri().path());
            noted.lock().unwrap_or_else(PoisonError::into_inner).push(operation.to_owned());
            let answer = held.lock().unwrap_or_else(PoisonError::into_inner).get(operation).cloned();
            let (status, body) = match answer {
                Some(answer) => (StatusCode::OK, answer),
                None => (StatusCode::BAD_REQUEST, Bytes::from_static(b"{}")),
            };
            std::future::ready(serve::answer(status, "application/x-amz-json-1.0", body))
        })
        .await?;
        Ok(Store { authority, server, answers, asked })
    }

    /// From now on it answers to the operations of this path and to no other.
    fn stand_in_for(&self, path: &HotPath) {
        let answers = path.asks.iter().map(|asked| (asked.operation, Bytes::from(asked.answer.clone())));
        *self.answers.lock().unwrap_or_else(PoisonError::into_inner) = answers.collect();
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.server.address)
    }

    /// The operations that it was asked for since the last call.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What one process took.
struct Run {
    init: Duration,
    first: Duration,
    cpu_init: Duration,
    cpu_first: Duration,
    cpu_warm: Duration,
    warm: Vec<Duration>,
    memory: Memory,
}

/// Medians over all processes of one kind, and the least of what is compared.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figures {
    /// Process start, first event and its answer, ms: the least of all starts. Whatever else a machine does can only add to
    /// that, so it is the start's own time, and two of them can be compared on a busy machine.
    pub(crate) least_cold_ms: f64,
    /// CPU of that, ms: the least of all starts.
    pub(crate) least_cpu_cold_ms: f64,
    /// Process start to first request for an event, ms.
    pub(crate) init_ms: f64,
    /// First event to its answer, TLS handshake included, ms.
    pub(crate) first_ms: f64,
    /// The two together, ms.
    pub(crate) cold_ms: f64,
    /// CPU of the start, ms.
    pub(crate) cpu_init_ms: f64,
    /// CPU of the first invocation, ms.
    pub(crate) cpu_first_ms: f64,
    /// CPU of the two together, ms.
    pub(crate) cpu_cold_ms: f64,
    /// A warm invocation, median, ms.
    pub(crate) warm_p50_ms: f64,
    /// A warm invocation, 99th percentile, ms.
    pub(crate) warm_p99_ms: f64,
    /// CPU of a warm invocation, mean of each process, ms.
    pub(crate) cpu_warm_ms: f64,
    /// Resident memory after all invocations, MB.
    pub(crate) resident_mb: f64,
    /// Resident memory at its peak, MB.
    pub(crate) peak_mb: f64,
}

/// Measures each of `programs` on the same path in fresh processes, in turns, so that whatever else the machine does meets
/// all of them alike. First come the starts, one right after the other; what is invoked many times would keep them apart.
///
/// # Errors
///
/// If a process fails, gives another answer, or asks AWS for anything but what the path asks.
pub(crate) async fn measure(
    path: &HotPath,
    programs: &[Program],
    store: &Store,
    clock: Clock,
) -> anyhow::Result<Vec<Figures>> {
    store.stand_in_for(path);
    // One round more: the first one brings the binaries into the page cache and counts for nothing.
    let mut starts = in_turns(1 + STARTS, path, programs, store, clock, 0).await?;
    let warm = in_turns(WARM_PROCESSES, path, programs, store, clock, WARM).await?;
    Ok(starts.iter_mut().zip(&warm).map(|(starts, warm)| figures(&starts.split_off(1), warm)).collect())
}

/// So many processes of each program, one after another, each with so many invocations after its first.
async fn in_turns(
    rounds: usize,
    path: &HotPath,
    programs: &[Program],
    store: &Store,
    clock: Clock,
    warm: usize,
) -> anyhow::Result<Vec<Vec<Run>>> {
    let mut runs: Vec<Vec<Run>> = programs.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (program, runs) in programs.iter().zip(&mut runs) {
            runs.push(one(path, program, store, clock, warm).await?);
        }
    }
    Ok(runs)
}

async fn one(path: &HotPath, program: &Program, store: &Store, clock: Clock, warm: usize) -> anyhow::Result<Run> {
    let events = (path.events)(clock(), 1 + warm)?;
    let asks: Vec<_> = path.asks.iter().map(|asked| asked.operation).collect();
    let mut process = Process::start(program, clock).await?;
    let init = process.init;
    // What a start says to its store before the first event, as `GET /`.
    store.take();
    let cpu_init = process.cpu().await?;
    let mut latencies = Vec::with_capacity(events.len());
    let mut cpu_cold = cpu_init;
    for event in events {
        let answer = process.invoke_within(event, PATIENCE).await?;
        let (name, asked) = (program.path.display(), store.take());
        ensure!(path.answer.is(&answer), "{name} answered {}", answer.whole);
        ensure!(asked == asks, "{name} sent the requests {asked:?} to AWS, expected {asks:?}");
        if latencies.is_empty() {
            cpu_cold = process.cpu().await?;
        }
        latencies.push(answer.latency);
    }
    let cpu_all = process.cpu().await?;
    let memory = process.memory()?;
    process.end().await?;
    let later = latencies.split_off(1);
    Ok(Run {
        init,
        first: latencies[0],
        cpu_init,
        cpu_first: cpu_cold.saturating_sub(cpu_init),
        cpu_warm: cpu_all.saturating_sub(cpu_cold) / u32::try_from(warm.max(1))?,
        warm: later,
        memory,
    })
}

/// The first invocation of fresh processes, started freely and then held to the share of a core that so many MB have: medians, in
/// ms. The programs take turns.
///
/// # Errors
///
/// As [`measure`].
pub(crate) async fn capped(
    path: &HotPath,
    programs: &[Program],
    store: &Store,
    clock: Clock,
    megabytes: u64,
) -> anyhow::Result<Option<Vec<f64>>> {
    store.stand_in_for(path);
    let mut taken: Vec<Vec<f64>> = programs.iter().map(|_| Vec::new()).collect();
    for _ in 0..CAPPED_STARTS {
        for (program, taken) in programs.iter().zip(&mut taken) {
            let Some(cap) = Cap::new(megabytes) else { return Ok(None) };
            let event = (path.events)(clock(), 1)?.remove(0);
            let mut process = Process::start(program, clock).await?;
            store.take();
            cap.hold(process.pid())?;
            let answer = process.invoke_within(event, PATIENCE).await?;
            ensure!(path.answer.is(&answer), "{} answered {}", program.path.display(), answer.whole);
            taken.push(ms(answer.latency));
            process.end().await?;
        }
    }
    Ok(Some(taken.into_iter().map(median).collect()))
}

fn figures(starts: &[Run], warm: &[Run]) -> Figures {
    let over = |figure: &dyn Fn(&Run) -> f64| median(starts.iter().map(figure).collect());
    let over_warm = |figure: &dyn Fn(&Run) -> f64| median(warm.iter().map(figure).collect());
    let least = |figure: &dyn Fn(&Run) -> f64| starts.iter().map(figure).fold(f64::NAN, f64::min);
    Figures {
        least_cold_ms: least(&|run| ms(run.init + run.first)),
        least_cpu_cold_ms: least(&|run| ms(run.cpu_init + run.cpu_first)),
        init_ms: over(&|run| ms(run.init)),
        first_ms: over(&|run| ms(run.first)),
        cold_ms: over(&|run| ms(run.init + run.first)),
        cpu_init_ms: over(&|run| ms(run.cpu_init)),
        cpu_first_ms: over(&|run| ms(run.cpu_first)),
        cpu_cold_ms: over(&|run| ms(run.cpu_init + run.cpu_first)),
        warm_p50_ms: over_warm(&|run| percentile(&run.warm, 50)),
        warm_p99_ms: over_warm(&|run| percentile(&run.warm, 99)),
        cpu_warm_ms: over_warm(&|run| ms(run.cpu_warm)),
        resident_mb: over_warm(&|run| megabytes(run.memory.now)),
        peak_mb: over_warm(&|run| megabytes(run.memory.peak)),
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// Decimal megabytes: the stricter reading of a budget.
#[expect(clippy::cast_precision_loss, reason = "sizes far below 2^52 bytes")]
pub(crate) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn percentile(durations: &[Duration], percent: usize) -> f64 {
    let mut sorted = durations.to_vec();
    sorted.sort();
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).map_or(f64::NAN, |duration| ms(*duration))
}
