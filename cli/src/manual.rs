//! `rollcall manual`: prints the reference of all commands, which `make docs` writes to docs/cli.md.

use clap::{Args, Command, CommandFactory};
use clerk_emulator::output::say;

use crate::args::Cli;

/// `rollcall manual`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  rollcall manual > cli.md")]
pub struct ManualArgs {}

/// The width of the texts, whatever the terminal is.
const WIDTH: usize = 100;

const HEAD: &str = "\
# The command `rollcall`

This page is generated from the command itself: it is the help of each command. `make docs` writes it.
[operations.md](operations.md) says what the operator's commands do, [local-development.md](local-development.md) what
`dev`, `trigger` and `reset` do.
";

/// Prints the reference.
///
/// # Errors
///
/// If standard output cannot be written.
pub fn run(_: &ManualArgs) -> anyhow::Result<()> {
    Ok(say(markdown().trim_end())?)
}

/// The help of each command, in the order of `rollcall --help`.
pub fn markdown() -> String {
    let mut cli = Cli::command().term_width(WIDTH);
    cli.build();
    let mut page = format!("{HEAD}\n{}", block(cli.clone()));
    for (words, command) in leaves(&cli) {
        page.push_str(&format!("\n## `rollcall {}`\n\n{}", words.join(" "), block(command.clone())));
    }
    page
}

/// Each command without commands of its own, with the words that call it.
pub fn leaves(command: &Command) -> Vec<(Vec<&str>, &Command)> {
    let mut found = Vec::new();
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        if below.has_subcommands() {
            let nested = leaves(below).into_iter();
            found.extend(nested.map(|(words, leaf)| ([vec![below.get_name()], words].concat(), leaf)));
        } else {
            found.push((vec![below.get_name()], below));
        }
    }
    found
}

fn block(mut command: Command) -> String {
    let help = command.render_long_help().to_string();
    let lines: Vec<&str> = help.trim_end().lines().map(str::trim_end).collect();
    format!("```text\n{}\n```\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn the_help_of_every_command_ends_with_examples_that_are_right() {
        let cli = Cli::command();
        for (words, command) in leaves(&cli) {
            let name = words.join(" ");
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let (head, examples) = help.split_once('\n').unwrap_or_default();
            assert!(matches!(head, "Example:" | "Examples:"), "the help of {name} has no example");
            for line in examples.lines() {
                let from = line.find("rollcall").unwrap_or_else(|| panic!("{name}: {line}"));
                // Without what is the shell's.
                let words = line[from..].split(['>', ')', '|']).next().unwrap().split_whitespace();
                if let Err(error) = Cli::try_parse_from(words) {
                    panic!("{name}: {line}\n{error}");
                }
                assert!(line[from..].starts_with(&format!("rollcall {name}")), "{name}: {line}");
            }
        }
    }
}
