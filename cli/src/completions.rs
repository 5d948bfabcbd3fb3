//! `rollcall completions`: prints the completion script of a shell.

use std::io::{self, Write};

use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::aot::{Shell, generate};
use clerk_emulator::output::printed;

use crate::args::Cli;

/// `rollcall completions`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  source <(rollcall completions bash)
  rollcall completions zsh > ~/.zfunc/_rollcall
  rollcall completions fish > ~/.config/fish/completions/rollcall.fish")]
pub struct CompletionsArgs {
    /// The shell
    pub shell: Known,
}

/// The shells with a completion script.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Known {
    Bash,
    Zsh,
    Fish,
}

/// Prints the script.
///
/// # Errors
///
/// If standard output cannot be written.
pub fn run(args: &CompletionsArgs) -> anyhow::Result<()> {
    let shell = match args.shell {
        Known::Bash => Shell::Bash,
        Known::Zsh => Shell::Zsh,
        Known::Fish => Shell::Fish,
    };
    // Not directly to standard output: the generator panics if it cannot write.
    let mut script = Vec::new();
    generate(shell, &mut Cli::command(), "rollcall", &mut script);
    let mut out = io::stdout().lock();
    Ok(printed(out.write_all(&script).and_then(|()| out.flush()))?)
}
