//! The journal of a migration: what was about to be written, with the values before, and what was written. From it a
//! migration is undone, and a run that was interrupted knows which users it may have changed.
//!
//! A line is one record in JSON. The records of a batch reach the disk before the first request of the batch. Lines are only
//! ever added. The last line may be cut off, by a kill or a full disk; every other line must be readable.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::marker::PhantomData;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::decide::Change;
use super::survey::{Mark, mark};

/// A line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Record {
    /// These changes are about to be sent.
    Intent {
        user: String,
        /// The number of the row, from 1 on.
        row: u64,
        changes: Vec<Change>,
    },
    /// Clerk has confirmed the changes of the last intent about the user.
    Done { user: String },
    /// Clerk has rejected the changes of the last intent about the user: nothing was written.
    Rejected { user: String },
    /// The changes of an intent, given by the byte at which its line begins, were taken back as far as possible.
    Undone { user: String, intent: u64 },
}

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("{}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "{}: the line at byte {byte} is no record of a journal. Do not edit a journal; restore the file from a \
         backup", path.display()
    )]
    Unreadable { path: PathBuf, byte: u64, source: serde_json::Error },
}

/// A journal that is written: of users, or with other records of a table.
#[derive(Debug)]
pub struct Journal<R = Record> {
    path: PathBuf,
    file: File,
    end: u64,
    pending: Vec<u8>,
    records: PhantomData<R>,
}

impl<R: Serialize + DeserializeOwned> Journal<R> {
    /// Opens or creates a journal, readable for its owner only. A last line that was cut off is removed.
    ///
    /// # Errors
    ///
    /// If the file cannot be opened, or a line is unreadable.
    pub fn open(path: &Path) -> Result<Journal<R>, JournalError> {
        let failed = |source| JournalError::Io { path: path.to_owned(), source };
        let options = OpenOptions::new().create(true).read(true).append(true).mode(0o600).to_owned();
        let file = options.open(path).map_err(failed)?;
        let mut end = 0;
        for record in records::<R>(path)? {
            end = record?.end;
        }
        file.set_len(end).map_err(failed)?;
        Ok(Journal { path: path.to_owned(), file, end, pending: Vec::new(), records: PhantomData })
    }

    /// Adds a record to the batch; the byte at which its line begins.
    pub fn add(&mut self, record: &R) -> u64 {
        let at = self.end + u64::try_from(self.pending.len()).unwrap_or(u64::MAX);
        serde_json::to_writer(&mut self.pending, record)
            .unwrap_or_else(|error| unreachable!("a record is JSON: {error}"));
        self.pending.push(b'\n');
        at
    }

    /// Writes the batch; when this returns, the disk has it.
    ///
    /// # Errors
    ///
    /// If the disk is full, or the file cannot be written. What was written of the batch is removed when the journal is
    /// opened again.
    pub fn flush(&mut self) -> Result<(), JournalError> {
        let written = self.file.write_all(&self.pending).and_then(|()| self.file.sync_data());
        written.map_err(|source| JournalError::Io { path: self.path.clone(), source })?;
        self.end += u64::try_from(self.pending.len()).unwrap_or(u64::MAX);
        self.pending.clear();
        Ok(())
    }
}

/// A record and the bytes of its line.
#[derive(Debug, PartialEq)]
pub struct Placed<R = Record> {
    pub record: R,
    pub begin: u64,
    pub end: u64,
}

/// The records of a journal, from the first on; a last line that was cut off is left out.
///
/// # Errors
///
/// If the file cannot be read. Each item may be an error of its own.
pub fn records<R: DeserializeOwned>(
    path: &Path,
) -> Result<impl Iterator<Item = Result<Placed<R>, JournalError>> + use<R>, JournalError> {
    let owned = path.to_owned();
    let failed = move |source| JournalError::Io { path: owned.clone(), source };
    let mut lines = BufReader::new(File::open(path).map_err(&failed)?);
    let (mut begin, path) = (0, path.to_owned());
    Ok(std::iter::from_fn(move || {
        let mut line = Vec::new();
        match lines.read_until(b'\n', &mut line) {
            Err(error) => return Some(Err(failed(error))),
            Ok(_) if line.last() != Some(&b'\n') => return None,
            Ok(_) => {}
        }
        let byte = begin;
        begin += u64::try_from(line.len()).unwrap_or(u64::MAX);
        let record = serde_json::from_slice(&line);
        let record = record.map_err(|source| JournalError::Unreadable { path: path.clone(), byte, source });
        Some(record.map(|record| Placed { record, begin: byte, end: begin }))
    }))
}

/// The intents that may be in Clerk: neither rejected nor taken back. In their order: the byte at which the line begins, and
/// the user. Memory: 24 bytes for each, and 8 for each that was taken back.
///
/// # Errors
///
/// If the journal is unreadable.
pub fn open_intents(path: &Path) -> Result<Vec<(u64, Mark)>, JournalError> {
    let (mut intents, mut undone) = (Vec::new(), Vec::new());
    for placed in records(path)? {
        let Placed { record, begin, .. } = placed?;
        match record {
            Record::Intent { user, .. } => intents.push((begin, mark(&user))),
            Record::Undone { intent, .. } => undone.push(intent),
            Record::Rejected { user } => {
                let user = mark(&user);
                // It is in the batch before, thus near the end.
                if let Some(last) = intents.iter().rposition(|(_, other)| *other == user) {
                    intents.remove(last);
                }
            }
            Record::Done { .. } => {}
        }
    }
    undone.sort_unstable();
    intents.retain(|(intent, _)| undone.binary_search(intent).is_err());
    Ok(intents)
}

/// The record whose line begins at a byte.
///
/// # Errors
///
/// If the file cannot be read, or no record begins there.
pub fn record_at(path: &Path, begin: u64) -> Result<Record, JournalError> {
    let failed = |source| JournalError::Io { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(failed)?;
    file.seek(SeekFrom::Start(begin)).map_err(failed)?;
    let mut line = Vec::new();
    BufReader::new(&file).read_until(b'\n', &mut line).map_err(failed)?;
    serde_json::from_slice(&line).map_err(|source| JournalError::Unreadable {
        path: path.to_owned(),
        byte: begin,
        source,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use serde_json::json;

    use super::*;

    fn intent(user: &str, row: u64) -> Record {
        let changes = vec![
            Change { path: vec!["a".into(), "b".into()], before: Some(json!({"x": 1})), after: None },
            Change { path: vec!["c".into()], before: None, after: Some(json!("é")) },
        ];
        Record::Intent { user: user.into(), row, changes }
    }

    fn read(path: &Path) -> Vec<Record> {
        records(path).unwrap().map(|placed| placed.unwrap().record).collect()
    }

    #[test]
    fn a_journal_gives_back_what_was_written_and_survives_every_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.ndjson");
        let written = [intent("user_1", 1), Record::Done { user: "user_1".into() }, intent("user_2", 7)];
        let mut journal = Journal::open(&path).unwrap();
        let places: Vec<u64> = written.iter().map(|record| journal.add(record)).collect();
        assert_eq!(read(&path), [], "nothing is written before the flush");
        journal.flush().unwrap();
        assert_eq!(read(&path), written);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        for (place, record) in places.iter().zip(&written) {
            assert_eq!(record_at(&path, *place).unwrap(), *record);
        }
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let kept = whole[..length].iter().filter(|byte| **byte == b'\n').count();
            assert_eq!(read(&path), written[..kept], "cut to {length} bytes");
            let mut journal = Journal::open(&path).unwrap();
            let next = Record::Undone { user: "user_1".into(), intent: 0 };
            let place = journal.add(&next);
            journal.flush().unwrap();
            assert_eq!(read(&path)[kept..], std::slice::from_ref(&next)[..], "cut to {length} bytes");
            assert_eq!(record_at(&path, place).unwrap(), next);
        }
    }

    #[test]
    fn an_intent_is_open_until_it_was_rejected_or_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.ndjson");
        let mut journal = Journal::open(&path).unwrap();
        let [one, two, three] = ["user_1", "user_2", "user_3"].map(|user| journal.add(&intent(user, 1)));
        journal.add(&Record::Done { user: "user_1".into() });
        journal.add(&Record::Rejected { user: "user_2".into() });
        let again = journal.add(&intent("user_2", 1));
        journal.flush().unwrap();
        let open = |path: &Path| open_intents(path).unwrap().into_iter().map(|(begin, _)| begin).collect::<Vec<_>>();
        assert_eq!(open(&path), [one, three, again], "and not {two}");
        assert_eq!(open_intents(&path).unwrap()[2].1, mark("user_2"));
        journal.add(&Record::Undone { user: "user_1".into(), intent: one });
        let later = journal.add(&intent("user_1", 1));
        journal.flush().unwrap();
        assert_eq!(open(&path), [three, again, later]);
    }

    #[test]
    fn a_line_that_was_edited_is_an_error_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.ndjson");
        std::fs::write(&path, "{\"kind\":\"done\",\"user\":\"user_1\"}\n{\"kind\":\"dnoe\"}\n").unwrap();
        let error = Journal::<Record>::open(&path).unwrap_err().to_string();
        assert!(error.contains("journal.ndjson: the line at byte 32 is no record"), "{error}");
    }
}
