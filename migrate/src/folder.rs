//! The folder of a migration beside its input: readable for its owner only, because its files hold personal data.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, BufReader, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a folder belongs to. A run with another input, other options or another instance does not go on where this one has
/// written something.
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

/// Names of options that a part of a run's terms comes from, where the name is another one.
const OPTIONS: [(&str, &str); 7] = [
    ("by_address", "--match-email"),
    ("on_null", "--null"),
    ("fields", "--field, --replace or --mapping"),
    ("references", "--reference"),
    ("loose", "--loose-ids"),
    ("keep", "--orphans"),
    ("table", "the table"),
];

impl Run {
    /// What is different in a later run, in words.
    fn differences(&self, later: &Run) -> Vec<String> {
        let mut differences = Vec::new();
        // The input of this command is a table, which changes; the map decides what is written.
        let input = if self.command == "rekey-table" { "the SHA-256 of the map" } else { "the SHA-256 of the input" };
        for (what, before, now) in
            [("the Clerk instance", &self.instance, &later.instance), (input, &self.input_sha256, &later.input_sha256)]
        {
            if before != now {
                differences.push(format!("{what} was {before} and is {now}"));
            }
        }
        if self.options != later.options {
            let terms = |options: &str| serde_json::from_str::<Value>(options).ok().filter(Value::is_object);
            match (terms(&self.options), terms(&later.options)) {
                (Some(before), Some(now)) => of_terms("", &before, &now, &mut differences),
                _ => differences.push(format!("{} was asked for and {} is", self.options, later.options)),
            }
        }
        differences
    }
}

fn of_terms(name: &str, before: &Value, now: &Value, differences: &mut Vec<String>) {
    if before == now {
        return;
    }
    if let (Value::Object(before), Value::Object(now)) = (before, now) {
        let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
        for name in names {
            let of = |terms: &serde_json::Map<String, Value>| terms.get(name).cloned().unwrap_or_default();
            of_terms(name, &of(before), &of(now), differences);
        }
        return;
    }
    let option = OPTIONS.iter().find(|(of_terms, _)| *of_terms == name);
    let option = option.map_or_else(|| format!("--{}", name.replace('_', "-")), |(_, option)| (*option).to_owned());
    let word = |value: &Value| match value {
        Value::Null | Value::Bool(false) => "not given".to_owned(),
        Value::Bool(true) => "given".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    differences.push(match (before, now) {
        (Value::Array(_), _) | (_, Value::Array(_)) => format!("{option} was another one"),
        _ => format!("{option} was {} and is {}", word(before), word(now)),
    });
}

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    #[error("{}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is a folder of `rollcall migrate {command}`: name another folder (--folder)", path.display())]
    OfCommand { path: PathBuf, command: String },
    #[error(
        "{} belongs to another migration, which has written something: {}. Give this migration a folder of its own \
         (--folder), or repeat the other one with its input and options", path.display(), differences.join("; ")
    )]
    Other { path: PathBuf, differences: Vec<String> },
    #[error(
        "{} has files of something else, such as {name}: name a new or empty folder (--folder), because this command \
         writes files of its own there", path.display()
    )]
    Foreign { path: PathBuf, name: String },
    #[error("{} is no record of a migration", path.display())]
    Unreadable { path: PathBuf, source: serde_json::Error },
    #[error(
        "{} is missing or empty, and this folder has written something: restore the file from a backup, because only the \
         journal knows what was written", path.display()
    )]
    JournalMissing { path: PathBuf },
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
const RUN_DRAFT: &str = "run.json.draft";
const LOCK: &str = "lock";
/// It is there from the first record of the journal until everything is taken back.
const BEGUN: &str = "journal.begun";
/// The counts of a run that has come to its end.
pub const REPORT: &str = "report.json";

impl Folder {
    /// Creates a folder, takes an empty one, or opens that of an earlier run of the same migration. The folder of another
    /// run of the same command is taken over if nothing was written by that run, as after a dry run: then none of the
    /// files named by `written` has a byte.
    ///
    /// # Errors
    ///
    /// [`FolderError`]. The files in the folder are as they were.
    pub fn open(path: &Path, run: &Run, written: &[&str]) -> Result<Folder, FolderError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| FolderError::Io { path: path.clone(), source }
        };
        prepare(path)?;
        let lock = create(&path.join(LOCK)).map_err(failed(path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(FolderError::Busy { path: path.to_owned() }),
            Err(fs::TryLockError::Error(error)) => return Err(failed(path)(error)),
        }
        let file = path.join(RUN);
        let earlier = match fs::read(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(&file)(error)),
            Ok(text) => {
                let earlier: Run = serde_json::from_slice(&text)
                    .map_err(|source| FolderError::Unreadable { path: file.clone(), source })?;
                Some(earlier)
            }
        };
        if let Some(earlier) = earlier.as_ref().filter(|earlier| earlier.command != run.command) {
            return Err(FolderError::OfCommand { path: path.to_owned(), command: earlier.command.clone() });
        }
        let differences = earlier.as_ref().map(|earlier| earlier.differences(run)).unwrap_or_default();
        let is_resumed = earlier.is_some() && differences.is_empty();
        if !differences.is_empty() {
            let has_bytes = |name: &&str| fs::metadata(path.join(name)).is_ok_and(|file| file.len() > 0);
            if written.iter().any(has_bytes) || path.join(BEGUN).exists() {
                return Err(FolderError::Other { path: path.to_owned(), differences });
            }
            // Without its report, what the earlier run left is no result of this one.
            match fs::remove_file(path.join(REPORT)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(path)(error)),
                _ => {}
            }
        }
        if !is_resumed {
            // Under another name first: a record that is cut off would stop every later run.
            let draft = path.join(RUN_DRAFT);
            let text = serde_json::to_vec_pretty(run).unwrap_or_else(|error| unreachable!("a run is JSON: {error}"));
            let written = create(&draft).and_then(|mut file| {
                file.set_len(0)?;
                file.write_all(&text)?;
                file.sync_all()
            });
            written.and_then(|()| fs::rename(&draft, &file)).map_err(failed(&file))?;
        }
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

    /// Notes that the journal has a record. From then on, a folder without its journal is an error.
    ///
    /// # Errors
    ///
    /// [`FolderError::Io`].
    pub fn note_journal(&self) -> Result<(), FolderError> {
        if self.file(BEGUN).exists() { Ok(()) } else { self.create(BEGUN)?.finish() }
    }

    /// Removes that note, before the journal gets another name.
    ///
    /// # Errors
    ///
    /// [`FolderError::Io`].
    pub fn forget_journal(&self) -> Result<(), FolderError> {
        if self.file(BEGUN).exists() { self.remove(BEGUN) } else { Ok(()) }
    }

    /// Checks that the journal is there if it had a record.
    ///
    /// # Errors
    ///
    /// [`FolderError::JournalMissing`].
    pub fn check_journal(&self, name: &str) -> Result<(), FolderError> {
        let path = self.file(name);
        let has_records = fs::metadata(&path).is_ok_and(|file| file.len() > 0);
        if self.file(BEGUN).exists() && !has_records { Err(FolderError::JournalMissing { path }) } else { Ok(()) }
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

/// Makes a folder that only its owner can read, or checks that an existing one is that of a migration, or is empty. A
/// stored table, which is there before the record of the run, does not count.
///
/// # Errors
///
/// [`FolderError`].
pub(crate) fn prepare(path: &Path) -> Result<(), FolderError> {
    let failed = |source| FolderError::Io { path: path.to_owned(), source };
    match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed);
        }
        Err(error) => return Err(failed(error)),
        Ok(_) if path.join(RUN).exists() => return Ok(()),
        Ok(entries) => {
            for entry in entries {
                let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
                if ![LOCK, RUN_DRAFT].contains(&name.as_str()) && !is_stored_table(&name) {
                    return Err(FolderError::Foreign { path: path.to_owned(), name });
                }
            }
        }
    }
    let mode = fs::metadata(path).map_err(failed)?.permissions().mode();
    if mode & 0o077 != 0 {
        fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(failed)?;
    }
    Ok(())
}

/// The file of a stored table.
pub fn stored_table(table: &str) -> String {
    format!("table-{table}.ndjson")
}

fn is_stored_table(name: &str) -> bool {
    let name = name.strip_suffix(".draft").unwrap_or(name);
    name.starts_with("table-") && name.ends_with(".ndjson")
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
    use serde_json::json;

    use super::*;

    const JOURNAL: [&str; 1] = ["journal.ndjson"];

    fn run() -> Run {
        Run {
            command: "metadata".into(),
            version: "0.1.0".into(),
            input_sha256: "ab".into(),
            options: json!({ "rules": { "by_address": false }, "on_conflict": "keep", "fields": ["a"] }).to_string(),
            instance: "ins_1".into(),
            started: "2026-11-30T12:00:00Z".into(),
        }
    }

    /// Runs that are not the same as [`run`], and how an error says so.
    fn others() -> [(Run, &'static str); 4] {
        let terms = json!({ "rules": { "by_address": true }, "on_conflict": "source", "fields": ["a"] }).to_string();
        let fields = json!({ "rules": { "by_address": false }, "on_conflict": "keep", "fields": ["b"] }).to_string();
        let both = ": --on-conflict was keep and is source; --match-email was not given and is given.";
        [
            (Run { input_sha256: "cd".into(), ..run() }, ": the SHA-256 of the input was ab and is cd."),
            (Run { options: terms, ..run() }, both),
            (Run { options: fields, ..run() }, ": --field, --replace or --mapping was another one."),
            (Run { instance: "ins_2".into(), ..run() }, ": the Clerk instance was ins_1 and is ins_2."),
        ]
    }

    #[test]
    fn a_folder_belongs_to_one_migration_and_to_one_process_at_a_time() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("users.json.migration");
        let folder = Folder::open(&path, &run(), &JOURNAL).unwrap();
        assert!(!folder.is_resumed);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(folder.file(RUN)).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(Folder::open(&path, &run(), &JOURNAL), Err(FolderError::Busy { .. })));
        fs::write(folder.file("journal.ndjson"), "{}\n").unwrap();
        drop(folder);
        let later = Run { started: "2026-12-01T12:00:00Z".into(), version: "0.2.0".into(), ..run() };
        assert!(Folder::open(&path, &later, &JOURNAL).unwrap().is_resumed);
        for (other, what) in others() {
            let error = Folder::open(&path, &other, &JOURNAL).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
        assert!(Folder::open(&path, &run(), &JOURNAL).unwrap().is_resumed);
    }

    #[test]
    fn other_terms_take_over_a_folder_in_which_nothing_was_written() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("users.json.migration");
        drop(Folder::open(&path, &run(), &JOURNAL).unwrap());
        // As a run that was killed before its first intent leaves it.
        fs::write(path.join("journal.ndjson"), "").unwrap();
        for (other, what) in others() {
            fs::write(path.join(REPORT), "{}").unwrap();
            assert!(!Folder::open(&path, &other, &JOURNAL).unwrap().is_resumed, "{what}");
            assert!(!path.join(REPORT).exists(), "{what}");
            let kept: Run = serde_json::from_slice(&fs::read(path.join(RUN)).unwrap()).unwrap();
            assert_eq!(kept, other);
        }
        fs::write(path.join(REPORT), "{}").unwrap();
        let error = Folder::open(&path, &Run { command: "rekey".into(), ..run() }, &JOURNAL).unwrap_err().to_string();
        assert!(error.contains("is a folder of `rollcall migrate metadata`: name another folder"), "{error}");
        assert!(path.join(REPORT).exists());
    }

    #[test]
    fn a_folder_with_files_of_something_else_is_refused_and_an_empty_one_is_closed_to_others() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("own");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        for name in ["report.json", "journal.ndjson", ".hidden", "table.ndjson"] {
            fs::write(path.join(name), "mine").unwrap();
            let error = Folder::open(&path, &run(), &JOURNAL).unwrap_err().to_string();
            assert!(error.contains(&format!("has files of something else, such as {name}")), "{error}");
            assert_eq!(fs::read_to_string(path.join(name)).unwrap(), "mine");
            assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
            fs::remove_file(path.join(name)).unwrap();
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o755);
        for name in [LOCK, "run.json.draft", "table-users.ndjson", "table-users.ndjson.draft"] {
            fs::write(path.join(name), "a rest that is longer than the record of a run".repeat(20)).unwrap();
        }
        drop(Folder::open(&path, &run(), &JOURNAL).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(Folder::open(&path, &run(), &JOURNAL).unwrap().is_resumed);
    }
}
