//! How a program prints: its results to standard output, all else to standard error.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

/// Prints a result to standard output, with a line break at its end. A reader who has closed the pipe wants no more:
/// that is no error, and the program goes on to its end.
///
/// # Errors
///
/// If it cannot be written for any other reason, such as a full disk: whoever redirects a result must learn that it is
/// not there.
pub fn say(text: impl Display) -> io::Result<()> {
    // In one piece: a reader of the first line gets all of it.
    let text = format!("{text}\n");
    let mut out = io::stdout().lock();
    printed(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// What [`say`] makes of a write to standard output, for one that somebody else has made.
///
/// # Errors
///
/// As [`say`].
pub fn printed(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(io::Error::new(error.kind(), format!("standard output cannot be written: {error}")))
        }
        _ => Ok(()),
    }
}

/// Prints a line to standard error. There is nobody who could be told that it failed.
pub fn note(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}
