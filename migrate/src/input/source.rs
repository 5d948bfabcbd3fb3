//! The bytes of a file, unpacked, with the place of the next one.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::error::{InputError, Place};

const BUFFER: usize = 64 * 1024;

pub(crate) struct Source {
    reader: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    start: usize,
    is_at_end: bool,
    place: Place,
    /// The most bytes of one row, and of what lies between two rows.
    pub(crate) limit: usize,
}

impl Source {
    pub(crate) fn new(reader: Box<dyn Read + Send>, file: &Path, limit: usize) -> Source {
        Source { reader, buffer: Vec::new(), start: 0, is_at_end: false, place: Place::start(file), limit }
    }

    /// Opens a regular file: each is opened twice, and a pipe would have lost what the first reader took.
    pub(crate) fn open(file: &Path, limit: usize) -> Result<Source, InputError> {
        let failed = |error| InputError::io(Place::start(file), error);
        let reader = File::open(file).map_err(failed)?;
        if !reader.metadata().map_err(failed)?.is_file() {
            return Err(InputError::new(
                Place::start(file),
                "the path is no regular file",
                "save the data to a file first",
            ));
        }
        Ok(Source::new(Box::new(reader), file, limit))
    }

    /// The same file, unpacked. `MultiGzDecoder` reads every member of the file; `GzDecoder` would stop after the
    /// first. A cut member is an error.
    pub(crate) fn unpacked(self) -> Source {
        let (file, limit) = (self.place.file.clone(), self.limit);
        let mut buffer = self.buffer;
        let packed = io::Cursor::new(buffer.split_off(self.start)).chain(self.reader);
        Source::new(Box::new(MultiGzDecoder::new(packed)), &file, limit)
    }

    /// The next byte's place.
    pub(crate) fn place(&self) -> Place {
        self.place.clone()
    }

    /// An error at the next byte.
    pub(crate) fn error(&self, problem: impl Into<String>, advice: impl Into<String>) -> InputError {
        InputError::new(self.place(), problem, advice)
    }

    /// The first bytes, as many as one buffer takes; fewer only if the file has fewer.
    pub(crate) fn head(&mut self) -> Result<&[u8], InputError> {
        while self.buffer.len() - self.start < BUFFER && !self.is_at_end {
            self.read_more()?;
        }
        Ok(&self.buffer[self.start..])
    }

    fn read_more(&mut self) -> Result<(), InputError> {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        let filled = self.buffer.len();
        self.buffer.resize(filled + BUFFER, 0);
        let read = loop {
            match self.reader.read(&mut self.buffer[filled..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.buffer.truncate(filled + *read.as_ref().unwrap_or(&0));
        let read = read.map_err(|error| InputError::io(self.place(), error))?;
        self.is_at_end = read == 0;
        Ok(())
    }

    /// Some of the next bytes; empty at the end of the file.
    pub(crate) fn chunk(&mut self) -> Result<&[u8], InputError> {
        if self.start == self.buffer.len() && !self.is_at_end {
            self.read_more()?;
        }
        Ok(&self.buffer[self.start..])
    }

    /// The next byte, which stays the next.
    pub(crate) fn peek(&mut self) -> Result<Option<u8>, InputError> {
        Ok(self.chunk()?.first().copied())
    }

    /// Takes `count` bytes of the last chunk.
    pub(crate) fn skip(&mut self, count: usize) {
        let taken = &self.buffer[self.start..self.start + count];
        self.place.line += taken.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.place.byte += count as u64;
        self.start += count;
    }

    /// Takes `count` bytes of the last chunk, and adds them to the bytes of `into`.
    ///
    /// # Errors
    /// `into` would be larger than the limit.
    pub(crate) fn take(&mut self, count: usize, into: &mut Vec<u8>) -> Result<(), InputError> {
        if into.len() + count > self.limit {
            return Err(self.error(
                format!("a row, or the space between two rows, is larger than {} bytes", self.limit),
                "check that the file is what its format says; a larger limit needs as much more memory",
            ));
        }
        into.extend_from_slice(&self.buffer[self.start..self.start + count]);
        self.skip(count);
        Ok(())
    }

    /// Takes a byte order mark if it is next.
    pub(crate) fn byte_order_mark(&mut self, into: &mut Vec<u8>) -> Result<(), InputError> {
        if self.head()?.starts_with("\u{feff}".as_bytes()) { self.take(3, into) } else { Ok(()) }
    }
}
