//! Reads the log of a local stack.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::follow::Step;
use super::{Entry, Found, Search, entry};
use crate::dev::local_log::earlier;

/// Reads the two files of the log, line by line. Of too many lines the newest are kept.
pub(super) fn read(path: &Path, search: &Search) -> anyhow::Result<Found> {
    let (mut entries, mut is_cut) = (VecDeque::new(), false);
    for path in [earlier(path), path.to_owned()] {
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error).with_context(|| format!("reading the log {}", path.display())),
        };
        for line in BufReader::new(file).lines() {
            let line = line.with_context(|| format!("reading the log {}", path.display()))?;
            if let Some(entry) = fitting(&line, search) {
                entries.push_back(entry);
                if entries.len() > search.most {
                    entries.pop_front();
                    is_cut = true;
                }
            }
        }
    }
    Ok(Found { entries: entries.into(), is_cut, ..Found::default() })
}

/// Reads the log from where the read before ended. The file stays open, so that its lines are read to the end after the
/// writer has begun a new file.
pub(super) struct Reader {
    path: PathBuf,
    open: Option<Open>,
}

struct Open {
    file: BufReader<File>,
    /// Device and number of the file.
    id: (u64, u64),
    /// How many bytes were read.
    position: u64,
    /// The beginning of a line whose end is not written yet.
    begun: Vec<u8>,
}

impl Reader {
    pub(super) fn new(path: PathBuf) -> Reader {
        Reader { path, open: None }
    }

    /// The lines that were written since the read before, but no more than `most`.
    pub(super) fn read(&mut self, search: &Search) -> anyhow::Result<Step> {
        let mut step = Step::default();
        self.fill(search, &mut step).with_context(|| format!("reading the log {}", self.path.display()))?;
        Ok(step)
    }

    fn fill(&mut self, search: &Search, step: &mut Step) -> io::Result<()> {
        if self.open.is_none() {
            self.open = match Open::at(&earlier(&self.path))? {
                Some(earlier) => Some(earlier),
                None => Open::at(&self.path)?,
            };
        }
        while let Some(open) = &mut self.open {
            // Before the read: a file that is not the current one any more gets no further line.
            let current = id(&self.path)?;
            open.read(search, step)?;
            if step.is_behind || current.is_none_or(|current| current == open.id) {
                break;
            }
            let before = earlier(&self.path);
            // If the writer has begun two files since, the first of them is the earlier one now.
            let is_next = id(&before)?.is_none_or(|before| before == open.id);
            self.open = Open::at(if is_next { &self.path } else { &before })?;
        }
        Ok(())
    }
}

impl Open {
    fn at(path: &Path) -> io::Result<Option<Open>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        let id = (metadata.dev(), metadata.ino());
        Ok(Some(Open { file: BufReader::new(file), id, position: 0, begun: Vec::new() }))
    }

    fn read(&mut self, search: &Search, step: &mut Step) -> io::Result<()> {
        // Another program has emptied the file.
        if self.file.get_ref().metadata()?.len() < self.position {
            self.file.seek(SeekFrom::Start(0))?;
            (self.position, self.begun) = (0, Vec::new());
        }
        while step.entries.len() < search.most {
            let read = self.file.read_until(b'\n', &mut self.begun)?;
            self.position += u64::try_from(read).unwrap_or_default();
            if self.begun.pop_if(|last| *last == b'\n').is_none() {
                return Ok(());
            }
            step.entries.extend(fitting(&String::from_utf8_lossy(&self.begun), search));
            self.begun.clear();
        }
        step.is_behind = true;
        Ok(())
    }
}

/// Device and number of the file of this path, if there is one.
fn id(path: &Path) -> io::Result<Option<(u64, u64)>> {
    match path.metadata() {
        Ok(metadata) => Ok(Some((metadata.dev(), metadata.ino()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn fitting(line: &str, search: &Search) -> Option<Entry> {
    if !search.terms.is_empty() && search.terms.iter().all(|term| !line.contains(term.as_str())) {
        return None;
    }
    let entry = entry(line, None, None, line.to_owned())?;
    // The engine is no part of a function.
    let is_ours = entry.line.function != "dynoxide";
    let fits = search.function.as_ref().is_none_or(|function| entry.line.function == *function);
    (fits && is_ours && entry.line.at >= search.since).then_some(entry)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use rollcall::core::millis::Millis;

    use super::*;
    use crate::dev::local_log::{LocalLog, MAX_BYTES};

    fn line(number: usize, padding: usize) -> String {
        let padding = "x".repeat(padding);
        format!(
            r#"{{"timestamp":"2026-01-01T00:00:00Z","target":"webhook","message":"{number}","padding":"{padding}"}}"#
        )
    }

    fn search(most: usize) -> Search {
        Search { since: Millis::ZERO, terms: Vec::new(), function: None, most }
    }

    /// The numbers of the lines that one read answers with, and whether there are more.
    fn read(reader: &mut Reader, most: usize) -> (Vec<usize>, bool) {
        let step = reader.read(&search(most)).unwrap();
        (step.entries.iter().map(|entry| entry.line.message.parse().unwrap()).collect(), step.is_behind)
    }

    #[test]
    fn each_line_is_read_once_over_partial_writes_and_a_truncation() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("4400.ndjson");
        let mut reader = Reader::new(path.clone());
        assert_eq!(read(&mut reader, 9), (vec![], false), "no log yet");
        let mut file = File::create(&path).unwrap();
        let text = line(1, 0);
        write!(file, "{text}\n{text}\n{}", &text[..20]).unwrap();
        assert_eq!(read(&mut reader, 9), (vec![1, 1], false), "equal lines are two lines");
        write!(file, "{}\nno line of a function\n", &text[20..]).unwrap();
        assert_eq!(read(&mut reader, 9), (vec![1], false));
        assert_eq!(read(&mut reader, 9), (vec![], false));
        // Another program empties the file.
        std::fs::write(&path, format!("{}\n", line(2, 0))).unwrap();
        assert_eq!(read(&mut reader, 9), (vec![2], false), "from the beginning of a shorter file");
    }

    #[test]
    fn no_line_is_lost_when_the_writer_begins_new_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("4400.ndjson");
        let mut log = LocalLog::default();
        log.open(&path).unwrap();
        let (mut reader, mut seen, mut written) = (Reader::new(path.clone()), Vec::new(), 0);
        // A third of a file, half a file, and one and a half files between two reads.
        let length = 50_000;
        let file = usize::try_from(MAX_BYTES).unwrap() / length;
        for number in [file / 3, file / 2, 3 * file / 2, 1, file / 2, 3 * file / 2, 1] {
            for _ in 0..number {
                writeln!(log, "{}", line(written, length)).unwrap();
                written += 1;
            }
            loop {
                let (numbers, is_behind) = read(&mut reader, 40);
                assert!(numbers.len() <= 40);
                seen.extend(numbers);
                if !is_behind {
                    break;
                }
            }
        }
        assert_eq!(seen, (0..written).collect::<Vec<_>>());
        // Who begins later reads the two files from their beginning.
        let (numbers, _) = read(&mut Reader::new(path), usize::MAX);
        assert!(numbers.len() > file && numbers.last() == seen.last(), "{}", numbers.len());
    }
}
