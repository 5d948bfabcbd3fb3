//! The folder of a migration beside its input: readable for its owner only, because its files hold personal data.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What a folder belongs to. A run with another input, other options or another instance does not go on in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    pub command: String,
    /// The version of Rollcall that made the folder. Another one may go on.
    pub version: String,
    pub input_sha256: String,
    /// The mapping, the rules and the policies, in the words of the options.
    pub options: String,
    pub instance: String,
    /// RFC 3339.
    pub started: String,
}

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    #[error("{}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "{} belongs to another migration: {what} was {before} and is {now}. Use another folder (--folder), or repeat the \
         migration as it was begun", path.display()
    )]
    Other { path: PathBuf, what: &'static str, before: String, now: String },
    #[error("{} is no record of a migration", path.display())]
    Unreadable { path: PathBuf, source: serde_json::Error },
    #[error("another process works in {}: wait until it has finished", path.display())]
    Busy { path: PathBuf },
}

/// An open folder.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Locked until the folder is dropped.
    _lock: File,
    /// Whether an earlier run has begun.
    pub is_resumed: bool,
}

const RUN: &str = "run.json";

impl Folder {
    /// Creates a folder, or opens that of an earlier run of the same migration.
    ///
    /// # Errors
    ///
    /// [`FolderError`].
    pub fn open(path: &Path, run: &Run) -> Result<Folder, FolderError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| FolderError::Io { path: path.clone(), source }
        };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed(path))?;
        let lock = create(&path.join("lock")).map_err(failed(path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(FolderError::Busy { path: path.to_owned() }),
            Err(fs::TryLockError::Error(error)) => return Err(failed(path)(error)),
        }
        let file = path.join(RUN);
        let is_resumed = match fs::read(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Under another name first: a record that is cut off would stop every later run.
                let draft = path.join("run.json.draft");
                let text =
                    serde_json::to_vec_pretty(run).unwrap_or_else(|error| unreachable!("a run is JSON: {error}"));
                let written = create(&draft).and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()));
                written.and_then(|()| fs::rename(&draft, &file)).map_err(failed(&file))?;
                false
            }
            Err(error) => return Err(failed(&file)(error)),
            Ok(text) => {
                let before: Run = serde_json::from_slice(&text)
                    .map_err(|source| FolderError::Unreadable { path: file.clone(), source })?;
                for (what, before, now) in [
                    ("the command", &before.command, &run.command),
                    ("the SHA-256 of the input", &before.input_sha256, &run.input_sha256),
                    ("the mapping or an option", &before.options, &run.options),
                    ("the Clerk instance", &before.instance, &run.instance),
                ] {
                    if before != now {
                        let (path, before, now) = (path.to_owned(), before.clone(), now.clone());
                        return Err(FolderError::Other { path, what, before, now });
                    }
                }
                true
            }
        };
        Ok(Folder { path: path.to_owned(), _lock: lock, is_resumed })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file in the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A new file of this name, in the place of an earlier one.
    ///
    /// # Errors
    ///
    /// [`FolderError::Io`].
    pub fn create(&self, name: &str) -> Result<Lines, FolderError> {
        let path = self.file(name);
        let file = create(&path).and_then(|file| file.set_len(0).map(|()| file));
        let file = file.map_err(|source| FolderError::Io { path: path.clone(), source })?;
        Ok(Lines { path, file: BufWriter::new(file) })
    }

    /// Gives a file that was finished its final name, in the place of an earlier file of that name. When this returns, the
    /// disk has the name.
    ///
    /// # Errors
    ///
    /// [`FolderError::Io`].
    pub fn rename(&self, draft: &str, name: &str) -> Result<(), FolderError> {
        let path = self.file(name);
        let renamed = fs::rename(self.file(draft), &path).and_then(|()| File::open(&self.path)?.sync_all());
        renamed.map_err(|source| FolderError::Io { path, source })
    }

    /// Removes a file of this name.
    ///
    /// # Errors
    ///
    /// [`FolderError::Io`].
    pub fn remove(&self, name: &str) -> Result<(), FolderError> {
        let path = self.file(name);
        fs::remove_file(&path).map_err(|source| FolderError::Io { path, source })
    }

    /// Reads a file of this name.
    ///
    /// # Errors
    ///
    /// [`FolderError::Io`].
    pub fn read(&self, name: &str) -> Result<BufReader<File>, FolderError> {
        let path = self.file(name);
        File::open(&path).map(BufReader::new).map_err(|source| FolderError::Io { path, source })
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).write(true).truncate(false).mode(0o600).open(path)
}

/// A file that is written line by line.
#[derive(Debug)]
pub struct Lines {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Lines {
    /// Adds bytes as they are, and a line end.
    ///
    /// # Errors
    ///
    /// [`FolderError::Io`].
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), FolderError> {
        let written = self.file.write_all(bytes).and_then(|()| self.file.write_all(b"\n"));
        written.map_err(|source| FolderError::Io { path: self.path.clone(), source })
    }

    /// Adds bytes as they are.
    ///
    /// # Errors
    ///
    /// [`FolderError::Io`].
    pub fn put(&mut self, bytes: &[u8]) -> Result<(), FolderError> {
        self.file.write_all(bytes).map_err(|source| FolderError::Io { path: self.path.clone(), source })
    }

    /// Adds a record as a line of JSON.
    ///
    /// # Errors
    ///
    /// [`FolderError::Io`].
    pub fn add_json(&mut self, record: &impl Serialize) -> Result<(), FolderError> {
        let written = serde_json::to_vec(record).map_err(io::Error::from);
        let written = written.map_err(|source| FolderError::Io { path: self.path.clone(), source })?;
        self.add(&written)
    }

    /// Writes what is buffered; when this returns, the disk has it.
    ///
    /// # Errors
    ///
    /// [`FolderError::Io`].
    pub fn finish(mut self) -> Result<(), FolderError> {
        let written = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        written.map_err(|source| FolderError::Io { path: self.path, source })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn run() -> Run {
        Run {
            command: "metadata".into(),
            version: "0.1.0".into(),
            input_sha256: "ab".into(),
            options: "o".into(),
            instance: "ins_1".into(),
            started: "2026-11-30T12:00:00Z".into(),
        }
    }

    #[test]
    fn a_folder_belongs_to_one_migration_and_to_one_process_at_a_time() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("users.json.migration");
        let folder = Folder::open(&path, &run()).unwrap();
        assert!(!folder.is_resumed);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(folder.file(RUN)).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(Folder::open(&path, &run()), Err(FolderError::Busy { .. })));
        drop(folder);
        let later = Run { started: "2026-12-01T12:00:00Z".into(), version: "0.2.0".into(), ..run() };
        assert!(Folder::open(&path, &later).unwrap().is_resumed);
        for (other, what) in [
            (Run { input_sha256: "cd".into(), ..run() }, "the SHA-256 of the input was ab and is cd"),
            (Run { options: "p".into(), ..run() }, "the mapping or an option was o and is p"),
            (Run { instance: "ins_2".into(), ..run() }, "the Clerk instance was ins_1 and is ins_2"),
            (Run { command: "rekey".into(), ..run() }, "the command was metadata and is rekey"),
        ] {
            let error = Folder::open(&path, &other).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
    }
}
