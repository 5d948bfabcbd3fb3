//! Starts one process of a function as Lambda does, and reads its CPU time and memory from the kernel.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::time::ClockId;
use nix::unistd::Pid;
use tokio::process::{Child, Command};

use crate::runtime_api::{Answer, Clock, RuntimeApi};

/// Longer than any start or invocation could reasonably take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// What an idle process still does (collect garbage, compile, close what it opened) belongs to what it did before.
const SETTLE: Duration = Duration::from_millis(3);

#[derive(Clone)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) arguments: Vec<PathBuf>,
    /// Its whole environment but for `AWS_LAMBDA_RUNTIME_API`: nothing of this process's own reaches it.
    pub(crate) environment: Vec<(&'static str, String)>,
    /// What an invocation may take.
    pub(crate) limit: Duration,
}

/// What Lambda sets for every function, with invented credentials, and where AWS answers.
pub(crate) fn environment(function: &str, aws: &str) -> Vec<(&'static str, String)> {
    let set = [
        ("AWS_LAMBDA_FUNCTION_NAME", function),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        ("AWS_SESSION_TOKEN", "invented"),
        ("AWS_ENDPOINT_URL", aws),
    ];
    set.map(|(name, value)| (name, value.to_owned())).into()
}

/// A running function that waits for an event. Dropping it ends it.
pub(crate) struct Process {
    child: Child,
    pid: Pid,
    api: RuntimeApi,
    /// From just before the process was made to its first request for an event.
    pub(crate) init: Duration,
}

/// Resident memory, in bytes.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) now: u64,
    /// At most, so far.
    pub(crate) peak: u64,
}

impl Process {
    /// Starts a process and waits until it asks for its first event.
    ///
    /// # Errors
    ///
    /// If it cannot be started, ends, or takes too long.
    pub(crate) async fn start(program: &Program, clock: Clock) -> anyhow::Result<Process> {
        let mut api = RuntimeApi::start(clock, program.limit).await?;
        let mut command = Command::new(&program.path);
        command
            .args(&program.arguments)
            .env_clear()
            .envs(program.environment.iter().map(|(name, value)| (name, value)))
            .env("AWS_LAMBDA_RUNTIME_API", api.address())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .kill_on_drop(true);
        let started = Instant::now();
        let mut child = command.spawn().with_context(|| format!("starting {}", program.path.display()))?;
        let polled = tokio::select! {
            polled = api.polled() => polled?,
            status = child.wait() => bail!("{} ended with {} before its first event", program.path.display(), status?),
            () = tokio::time::sleep(PATIENCE) => bail!("{} never asked for an event", program.path.display()),
        };
        let pid = Pid::from_raw(i32::try_from(child.id().context("the process has ended")?)?);
        Ok(Process { child, pid, api, init: polled - started })
    }

    /// Hands it an event and waits until it asks for another.
    ///
    /// # Errors
    ///
    /// If it ends, takes too long, or answers with anything but status 200.
    pub(crate) async fn invoke(&mut self, event: String) -> anyhow::Result<Answer> {
        let answer = self.invoke_within(event, PATIENCE).await?;
        if answer.status != 200 {
            bail!("the function answered with status {}", answer.status);
        }
        Ok(answer)
    }

    /// The same within a time of one's own, whatever it answers.
    ///
    /// # Errors
    ///
    /// If it ends, reports a failure, or takes too long.
    pub(crate) async fn invoke_within(&mut self, event: String, patience: Duration) -> anyhow::Result<Answer> {
        tokio::select! {
            answer = self.api.invoke(event) => answer,
            status = self.child.wait() => bail!("the function ended with {}", status?),
            () = tokio::time::sleep(patience) => bail!("the function did not answer"),
        }
    }

    /// Its id.
    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// CPU time so far, user and system, of all its threads, those that have ended included.
    ///
    /// The process's own CPU clock counts nanoseconds; the ticks of `/proc/<pid>/stat` would be 10 ms each.
    ///
    /// # Errors
    ///
    /// If the process has ended.
    pub(crate) async fn cpu(&self) -> anyhow::Result<Duration> {
        tokio::time::sleep(SETTLE).await;
        Ok(Duration::from(ClockId::pid_cpu_clock_id(self.pid)?.now()?))
    }

    /// Its resident memory.
    ///
    /// # Errors
    ///
    /// If the process has ended, or this is no Linux.
    pub(crate) fn memory(&self) -> anyhow::Result<Memory> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let bytes = |name: &str| -> anyhow::Result<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).with_context(|| name.to_owned())?;
            let kibibytes: u64 = line.trim().trim_end_matches("kB").trim_end().parse()?;
            Ok(kibibytes * 1024)
        };
        Ok(Memory { now: bytes("VmRSS:")?, peak: bytes("VmHWM:")? })
    }

    /// Ends it, by its own id.
    ///
    /// # Errors
    ///
    /// If it had ended by itself.
    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("the function ended with {status}");
        }
        Ok(self.child.kill().await?)
    }
}
