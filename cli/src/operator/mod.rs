//! The operator's commands, run by hand or from a script.
//!
//! [`deployment`] finds the deployment that a command works on. [`reconcile`], [`status`] and [`analyze`] compare the whole
//! copy; [`undo`], [`erase`], [`restore`] and [`export`] work on one user; [`owned_tables`] stores a setting. Before a
//! command writes, `checks` checks the tables. [`progress`] shows the progress of a run, [`report`] and [`text`]
//! format the results.

pub mod analyze;
mod checks;
mod context;
pub mod deployment;
pub mod erase;
pub mod export;
pub mod owned_tables;
pub mod progress;
pub mod reconcile;
pub mod report;
pub mod restore;
pub mod status;
pub mod text;
pub mod undo;

use std::io::{self, IsTerminal, Write};

use clerk_emulator::output::{note, say};
use indicatif::MultiProgress;

/// The terminal, if there is one.
#[derive(Clone, Debug)]
pub struct Screen {
    /// Progress bars, on standard error.
    pub bars: MultiProgress,
    /// Whether standard error is a terminal.
    pub shows: bool,
    /// Whether standard input is a terminal, so that a question can be answered.
    pub asks: bool,
}

impl Screen {
    /// The screen of this process.
    pub fn of_process() -> Screen {
        let (shows, asks) = (io::stderr().is_terminal(), io::stdin().is_terminal());
        Screen { bars: MultiProgress::new(), shows, asks }
    }

    /// Standard error, for lines that must not break a progress bar.
    pub fn lines(&self) -> impl Write + use<> {
        Lines(self.bars.clone())
    }

    /// Asks a yes-or-no question. Every other answer counts as no.
    ///
    /// # Errors
    ///
    /// If the terminal cannot be read.
    pub fn ask(&self, question: &str) -> anyhow::Result<bool> {
        let asked = dialoguer::Confirm::new().with_prompt(question).default(false).wait_for_newline(true);
        match asked.interact_opt() {
            Ok(answer) => Ok(answer == Some(true)),
            Err(dialoguer::Error::IO(error)) if error.kind() == io::ErrorKind::Interrupted => {
                // The question has hidden the cursor.
                dialoguer::console::Term::stderr().show_cursor()?;
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }
}

struct Lines(MultiProgress);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
