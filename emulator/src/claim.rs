//! Locks a folder or a file that two processes must not use at once.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// A lock until it is dropped or the process ends.
#[derive(Debug)]
pub struct Claim(File);

/// The reasons for which a lock cannot be acquired.
#[derive(Debug, Error)]
pub enum ClaimError {
    /// Another process has the lock.
    #[error("{} is in use by process {holder}: stop that process or choose another path", path.display())]
    Held {
        path: PathBuf,
        /// The id of the process.
        holder: String,
    },
    /// The lock file cannot be locked.
    #[error("the lock {} cannot be acquired", path.display())]
    Failed {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

impl Claim {
    /// Locks `path` by the file `lock`, which is created if it does not exist, and contains the id of this process.
    ///
    /// # Errors
    ///
    /// [`ClaimError`].
    pub fn acquire(path: &Path, lock: &Path) -> Result<Claim, ClaimError> {
        let failed = |source| ClaimError::Failed { path: lock.to_owned(), source };
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(lock);
        let mut file = options.map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Another process may be writing its id.
                let _ = file.read_to_string(&mut holder);
                let holder = Some(holder.trim()).filter(|holder| !holder.is_empty()).unwrap_or("unknown").to_owned();
                return Err(ClaimError::Held { path: path.to_owned(), holder });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        file.set_len(0).map_err(failed)?;
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(Claim(file))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // The file is not removed: otherwise two processes could lock two files of the same name.
        let _ = self.0.set_len(0);
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_holds_until_it_is_dropped_and_says_who_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let lock = folder.path().join("lock");
        let first = Claim::acquire(folder.path(), &lock).unwrap();
        let refused = Claim::acquire(folder.path(), &lock).unwrap_err().to_string();
        assert!(refused.contains(&format!("in use by process {}", std::process::id())), "{refused}");
        drop(first);
        Claim::acquire(folder.path(), &lock).unwrap();
        assert!(matches!(
            Claim::acquire(folder.path(), &folder.path().join("no/lock")),
            Err(ClaimError::Failed { .. })
        ));
    }
}
