//! Locks the folder of `--data`: two stacks in one folder would overwrite each other's rows and users.

use std::path::Path;

use anyhow::Context;
use clerk_emulator::claim::Claim;

/// The file in the folder that is locked.
const LOCK: &str = "lock";

/// Locks the folder, which is created if it does not exist, until the claim is dropped or the process ends.
pub(super) fn claim(data: &Path) -> anyhow::Result<Claim> {
    std::fs::create_dir_all(data).with_context(|| format!("creating the folder {} (--data)", data.display()))?;
    Claim::acquire(data, &data.join(LOCK)).context("--data")
}
