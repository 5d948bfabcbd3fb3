//! A control group that gives a process the share of a core that Lambda gives to so much memory.
//!
//! Lambda lets a start use a whole core and caps the invocations. Source: AWS, "Configure Lambda function memory": 1,769 MB have
//! one core.

use std::fs;
use std::path::{Path, PathBuf};

use nix::unistd::Pid;

/// Memory with one whole core, in MB.
const ONE_CORE: u64 = 1769;
/// The time in which a share is counted, in µs.
const PERIOD: u64 = 20_000;

/// A control group. Dropping it removes it, once its process has ended.
pub(crate) struct Cap {
    folder: PathBuf,
}

impl Cap {
    /// The cap of so many MB, if this machine lets this process make one: version 1 or 2 of control groups.
    pub(crate) fn new(megabytes: u64) -> Option<Cap> {
        let quota = PERIOD * megabytes / ONE_CORE;
        let name = format!("rollcall-bench-{}", std::process::id());
        let first = Path::new("/sys/fs/cgroup/cpu").join(&name);
        let second = Path::new("/sys/fs/cgroup").join(&name);
        let make = |folder: &Path, files: &[(&str, String)]| {
            fs::create_dir(folder).ok()?;
            let cap = Cap { folder: folder.to_owned() };
            files.iter().try_for_each(|(file, text)| fs::write(folder.join(file), text)).ok().map(|()| cap)
        };
        let older = [("cpu.cfs_period_us", PERIOD.to_string()), ("cpu.cfs_quota_us", quota.to_string())];
        make(&first, &older).or_else(|| make(&second, &[("cpu.max", format!("{quota} {PERIOD}"))]))
    }

    /// Holds a process to the cap from now on.
    ///
    /// # Errors
    ///
    /// If the process has ended.
    pub(crate) fn hold(&self, pid: Pid) -> anyhow::Result<()> {
        Ok(fs::write(self.folder.join("cgroup.procs"), pid.to_string())?)
    }
}

impl Drop for Cap {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.folder);
    }
}
