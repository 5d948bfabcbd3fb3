//! The log of the functions of the local stack, in a file that `rollcall tail` and `rollcall explain` read: one JSON
//! object a line, as Lambda has it. The file holds the newest lines only.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tracing_subscriber::fmt::MakeWriter;

/// The size of a file, in bytes, after which it becomes the earlier one and a new one begins. There are two files.
pub const MAX_BYTES: u64 = 5 * 1024 * 1024;

/// The log. Lines before it is opened are dropped.
#[derive(Clone, Debug, Default)]
pub struct LocalLog(Arc<Mutex<Option<Opened>>>);

#[derive(Debug)]
struct Opened {
    path: PathBuf,
    file: File,
    written: u64,
}

/// Removes the files of a stack in memory when it is dropped.
#[derive(Debug)]
pub(super) struct Removed(LocalLog, PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let _ = std::fs::remove_file(earlier(&self.1));
        let _ = std::fs::remove_file(&self.1);
    }
}

/// The file with the lines before those of the file of this path.
pub fn earlier(path: &Path) -> PathBuf {
    path.with_extension("1.ndjson")
}

impl LocalLog {
    /// Writes to the file of this path from now on. Only the user may read it. The lines of an earlier stack stay.
    ///
    /// # Errors
    ///
    /// If the file cannot be opened.
    pub fn open(&self, path: &Path) -> io::Result<()> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        let written = file.metadata()?.len();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Opened { path: path.to_owned(), file, written });
        Ok(())
    }

    /// Opens the file, and removes it when the answer is dropped.
    pub(super) fn open_until_dropped(&self, path: &Path) -> io::Result<Removed> {
        let removed = Removed(self.clone(), path.to_owned());
        self.open(path)?;
        Ok(removed)
    }
}

impl Opened {
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let length = u64::try_from(line.len()).unwrap_or(u64::MAX);
        if self.written > 0 && self.written + length > MAX_BYTES {
            std::fs::rename(&self.path, earlier(&self.path))?;
            self.file = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path)?;
            self.written = 0;
        }
        self.file.write_all(line)?;
        self.written += length;
        Ok(())
    }
}

impl Write for LocalLog {
    /// Writes a line. A log that cannot be written, as on a full disk, must not stop the functions.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Some(opened) = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            let _ = opened.write(line);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for LocalLog {
    type Writer = LocalLog;

    fn make_writer(&self) -> LocalLog {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_log_keeps_the_newest_lines_for_its_user_alone_and_ends_with_the_stack() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("4400.ndjson");
        let mut log = LocalLog::default();
        log.write_all(b"dropped\n").unwrap();
        let removed = log.open_until_dropped(&path).unwrap();
        let line = format!("{}\n", "x".repeat(99_999));
        for _ in 0..120 {
            log.write_all(line.as_bytes()).unwrap();
        }
        let size = |path: &Path| std::fs::metadata(path).unwrap().len();
        assert!(size(&path) <= MAX_BYTES && size(&earlier(&path)) <= MAX_BYTES);
        assert!(size(&path) + size(&earlier(&path)) > MAX_BYTES, "more than the last lines");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        drop(removed);
        log.write_all(b"late\n").unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
