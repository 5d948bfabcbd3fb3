//! The record of a running local stack: its addresses and its settings, in a file that commands with `--local` read.
//! The file is named after the port of the HTTP API, and is locked as long as the stack runs.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::stack::Addresses;

/// A running local stack.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The id of the process.
    pub process: u32,
    /// The version of the `rollcall` command that started the stack.
    pub version: String,
    /// The absolute path of the folder of `--data`; `None` for a stack in memory.
    pub data: Option<PathBuf>,
    pub addresses: Addresses,
    /// The settings of the functions that are set, by name. They contain the secrets of the stack.
    pub settings: BTreeMap<String, String>,
    /// Whether the emulator limits the rate of requests as Clerk does (`--rate-limits`).
    #[serde(default = "as_clerk")]
    pub rate_limits: bool,
    /// The file with the log of the functions.
    #[serde(default)]
    pub log: Option<PathBuf>,
}

/// A record of an older release does not say it.
fn as_clerk() -> bool {
    true
}

impl Record {
    /// The port of the HTTP API.
    pub fn port(&self) -> Option<u16> {
        self.addresses.api.rsplit(':').next()?.parse().ok()
    }
}

/// The folder of the records: the user's runtime folder, otherwise the user's state folder. `None` if neither is known.
pub fn folder(environment: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let absolute = |name: &str| environment(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = || absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
    Some(absolute("XDG_RUNTIME_DIR").or_else(state)?.join("rollcall"))
}

/// A record that other processes can read until it is dropped.
#[derive(Debug)]
pub struct Published {
    path: PathBuf,
    /// Locked: a record without a lock is from a stack that was killed.
    _lock: File,
}

impl Drop for Published {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Creates the folder of the records. Only the user may look into it.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Writes the record. Only the user may read the file.
///
/// # Errors
///
/// If the file or its folder cannot be written.
pub fn publish(folder: &Path, record: &Record) -> io::Result<Published> {
    make_folder(folder)?;
    let path = folder.join(format!("{}.json", record.port().unwrap_or_default()));
    // Complete and locked before it has its name: a reader never finds half a record.
    let unfinished = path.with_extension(format!("{}.tmp", record.process));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.lock()?;
    let written = serde_json::to_vec(record).map_err(io::Error::from).and_then(|json| file.write_all(&json));
    if let Err(error) = written.and_then(|()| std::fs::rename(&unfinished, &path)) {
        let _ = std::fs::remove_file(&unfinished);
        return Err(error);
    }
    Ok(Published { path, _lock: file })
}

/// All running stacks of the user, by port.
///
/// # Errors
///
/// If the folder or a record cannot be read.
pub fn running(folder: &Path) -> io::Result<Vec<Record>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut records = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            records.extend(read(&path)?);
        }
    }
    records.sort_by_key(Record::port);
    Ok(records)
}

/// The record in a file; `None` if its stack does not run any more.
fn read(path: &Path) -> io::Result<Option<Record>> {
    let file = match File::open(path) {
        Ok(file) => file,
        // Stopped since the folder was read.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        // Another release of Rollcall may have written it.
        Err(TryLockError::WouldBlock) => Ok(serde_json::from_reader(file).ok()),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn record(port: u16) -> Record {
        let mut addresses = Addresses { api: format!("http://127.0.0.1:{port}"), ..Addresses::default() };
        addresses.clerk_secret_key = "sk_test_x".to_owned();
        Record {
            process: 1,
            version: "0.1.0".to_owned(),
            data: None,
            addresses,
            settings: BTreeMap::new(),
            rate_limits: false,
            log: None,
        }
    }

    #[test]
    fn a_record_can_be_read_while_its_stack_runs_and_only_by_its_user() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("rollcall");
        assert!(running(&folder).unwrap().is_empty(), "no folder yet");
        let first = publish(&folder, &record(4400)).unwrap();
        let second = publish(&folder, &record(99)).unwrap();
        let ports = || running(&folder).unwrap().iter().filter_map(Record::port).collect::<Vec<_>>();
        assert_eq!(ports(), [99, 4400]);
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&folder.join("99.json"))), (0o700, 0o600));
        drop(second);
        assert_eq!(ports(), [4400]);
        // A killed process leaves the file and loses the lock.
        let left = folder.join("4400.json");
        let copy = std::fs::read(&left).unwrap();
        drop(first);
        std::fs::write(&left, copy).unwrap();
        assert!(ports().is_empty());
        let _again = publish(&folder, &record(4400)).unwrap();
        assert_eq!(ports(), [4400]);
    }

    #[test]
    fn the_folder_is_the_users_own() {
        let with = |set: &'static [(&str, &str)]| {
            let found = folder(|name| set.iter().find(|(it, _)| *it == name).map(|(_, value)| (*value).to_owned()));
            found.map(|path| path.to_string_lossy().into_owned())
        };
        assert_eq!(with(&[("XDG_RUNTIME_DIR", "/run/user/1"), ("HOME", "/home/a")]).unwrap(), "/run/user/1/rollcall");
        assert_eq!(with(&[("HOME", "/home/a")]).unwrap(), "/home/a/.local/state/rollcall");
        assert_eq!(with(&[("XDG_STATE_HOME", "relative"), ("HOME", "/a")]).unwrap(), "/a/.local/state/rollcall");
        assert_eq!(with(&[]), None);
    }
}
