//! Prints results to standard output and messages to standard error.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

/// Prints a result to standard output, with a line break at its end. A closed pipe is no error: the reader needs no
/// more, and the program continues to its end.
///
/// # Errors
///
/// If standard output cannot be written for another reason, such as a full disk.
pub fn say(text: impl Display) -> io::Result<()> {
    said(text).map(drop)
}

/// The same. Returns whether somebody still reads: a command that prints much may end when the pipe is closed.
///
/// # Errors
///
/// As [`say`].
pub fn said(text: impl Display) -> io::Result<bool> {
    // In one write: a reader of the first line gets the whole line.
    let text = format!("{text}\n");
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    let is_read = written.is_ok();
    printed(written).map(|()| is_read)
}

/// Converts the result of a write to standard output as [`say`] does, for writes of other libraries.
///
/// # Errors
///
/// As [`say`].
pub fn printed(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(io::Error::new(error.kind(), Unprinted(error))),
        _ => Ok(()),
    }
}

/// Why a result was not printed: standard output takes no more, for example because its disk is full.
#[derive(Debug, thiserror::Error)]
#[error("standard output cannot be written: {0}")]
pub struct Unprinted(io::Error);

/// Prints a line to standard error. A failure is ignored, because it could not be reported.
pub fn note(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}
