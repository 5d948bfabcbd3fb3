//! Cold starts and the warm invocations after them, of fresh processes against a store that costs next to nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::ensure;
use http::StatusCode;
use serde::Serialize;

use crate::events;
use crate::process::{Memory, Process, Program};
use crate::runtime_api::Clock;
use crate::serve::{self, Server};

/// Fresh processes of each kind.
const PROCESSES: usize = 15;
/// Warm invocations of each process.
const WARM: usize = 300;

const PUT: &str = "DynamoDB_20120810.PutItem";
/// `1.0` and not `1`: DynamoDB writes units as decimals.
const STORED: &str = r#"{"ConsumedCapacity":{"TableName":"rollcall-directory","CapacityUnits":1.0}}"#;

/// Stands in for DynamoDB: TLS as there, but every item is stored at once. A real store's time would hide the function's.
pub(crate) struct Store {
    /// The authority that its clients must trust, as PEM.
    pub(crate) authority: String,
    server: Server,
    puts: Arc<AtomicUsize>,
}

impl Store {
    /// Starts it.
    ///
    /// # Errors
    ///
    /// If no port is free.
    pub(crate) async fn start() -> anyhow::Result<Store> {
        let puts = Arc::new(AtomicUsize::new(0));
        let counted = puts.clone();
        let (tls, authority) = serve::certify()?;
        let server = serve::serve(Some(tls), move |request| {
            let is_put = request.headers().get("x-amz-target").is_some_and(|target| target == PUT);
            if is_put {
                counted.fetch_add(1, Ordering::Relaxed);
            }
            let (status, body) = if is_put { (StatusCode::OK, STORED) } else { (StatusCode::BAD_REQUEST, "{}") };
            std::future::ready(serve::answer(status, "application/x-amz-json-1.0", body))
        })
        .await?;
        Ok(Store { authority, server, puts })
    }

    /// `AWS_ENDPOINT_URL_DYNAMODB`.
    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.server.address)
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

/// Medians over all processes of one kind.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figures {
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

/// Measures each of `programs` in fresh processes, in turns, so that whatever else the machine does meets all of them alike.
///
/// # Errors
///
/// If a process fails, or sends the store anything but one `PutItem` an event.
pub(crate) async fn measure(programs: &[Program], store: &Store, clock: Clock) -> anyhow::Result<Vec<Figures>> {
    let mut runs: Vec<Vec<Run>> = programs.iter().map(|_| Vec::new()).collect();
    // One round more: the first one brings the binaries into the page cache and counts for nothing.
    for round in 0..=PROCESSES {
        for (program, runs) in programs.iter().zip(&mut runs) {
            let before = store.puts.load(Ordering::Relaxed);
            let run = one(program, clock).await?;
            let puts = store.puts.load(Ordering::Relaxed) - before;
            ensure!(puts == 1 + WARM, "{puts} PutItem of {}, not one an event", program.path.display());
            if round > 0 {
                runs.push(run);
            }
        }
    }
    Ok(runs.iter().map(|runs| figures(runs)).collect())
}

async fn one(program: &Program, clock: Clock) -> anyhow::Result<Run> {
    let now = clock();
    let events: Vec<String> = (0..=WARM)
        .map(|number| Ok(events::user_updated(now, now, number)?.gateway_event()))
        .collect::<anyhow::Result<_>>()?;
    let mut process = Process::start(program, clock).await?;
    let init = process.init;
    let cpu_init = process.cpu().await?;
    let mut latencies = Vec::with_capacity(events.len());
    let mut cpu_cold = cpu_init;
    for event in events {
        let answer = process.invoke(event).await?;
        ensure!(answer.outcome == "applied", "an event was {:?}, not applied", answer.outcome);
        if latencies.is_empty() {
            cpu_cold = process.cpu().await?;
        }
        latencies.push(answer.latency);
    }
    let cpu_all = process.cpu().await?;
    let memory = process.memory()?;
    process.end().await?;
    let warm = latencies.split_off(1);
    Ok(Run {
        init,
        first: latencies[0],
        cpu_init,
        cpu_first: cpu_cold.saturating_sub(cpu_init),
        cpu_warm: cpu_all.saturating_sub(cpu_cold) / u32::try_from(WARM)?,
        warm,
        memory,
    })
}

fn figures(runs: &[Run]) -> Figures {
    let over = |figure: &dyn Fn(&Run) -> f64| median(runs.iter().map(figure).collect());
    Figures {
        init_ms: over(&|run| ms(run.init)),
        first_ms: over(&|run| ms(run.first)),
        cold_ms: over(&|run| ms(run.init + run.first)),
        cpu_init_ms: over(&|run| ms(run.cpu_init)),
        cpu_first_ms: over(&|run| ms(run.cpu_first)),
        cpu_cold_ms: over(&|run| ms(run.cpu_init + run.cpu_first)),
        warm_p50_ms: over(&|run| percentile(&run.warm, 50)),
        warm_p99_ms: over(&|run| percentile(&run.warm, 99)),
        cpu_warm_ms: over(&|run| ms(run.cpu_warm)),
        resident_mb: over(&|run| megabytes(run.memory.now)),
        peak_mb: over(&|run| megabytes(run.memory.peak)),
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

/// The middle one.
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
