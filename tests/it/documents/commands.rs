//! Each command in a document is known: the program has it, and everything that it names exists.

use std::collections::{BTreeMap, BTreeSet};

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use rollcall_cli::args::{Cli, Command};
use rollcall_cli::{presets, trigger};

use super::markdown::{Block, Document};
use super::shell::{self, Call, Statement};
use super::tools::Repository;
use crate::ADA;

/// Languages of blocks that are no commands. A block without one is a picture.
const OTHER_LANGUAGES: [&str; 12] =
    ["", "hcl", "http", "js", "json", "python", "rust", "sql", "toml", "ts", "yaml", "text"];

/// Programs of which nothing is checked, and why.
const OTHER: [(&str, &str); 20] = [
    (".", "sets the variables that `make cloud` has written, which are checked"),
    ("alias", "gives another command a name"),
    ("cd", "leads to a folder that the command before it makes"),
    ("cloudflared", "is the reader's: a tunnel"),
    ("cut", "is every machine's"),
    ("date", "is every machine's"),
    ("eval", "sets what the command in it prints"),
    ("export", "sets variables, which are checked"),
    ("find", "is every machine's"),
    ("git", "is every machine's; tags are the reader's"),
    ("grep", "is every machine's"),
    ("mongoexport", "reads the reader's MongoDB"),
    ("next", "is the reader's: Next.js"),
    ("ngrok", "is the reader's: a tunnel"),
    ("openssl", "is every machine's"),
    ("psql", "reads the reader's PostgreSQL"),
    ("python3", "is every machine's"),
    ("sleep", "is every machine's"),
    ("tail", "is every machine's"),
    ("xargs", "is every machine's; the command that it calls is checked"),
];

/// Options of other programs.
const OTHER_OPTIONS: [(&str, &str); 1] = [("--secret-string", "is AWS's")];

/// Commands that do not exist.
const INVENTED: [(&str, &str); 1] = [("docs/adding-a-command.md", "rollcall seats ORG")];

/// A statement in a block, and what the document shows as its output.
pub(super) struct Shown {
    pub(super) statement: Statement,
    pub(super) output: Vec<String>,
}

/// The commands of a block; nothing if it shows something else.
pub(super) fn shown(block: &Block) -> Option<Vec<Shown>> {
    match block.language.as_deref() {
        Some("sh" | "bash" | "console") => {}
        Some(_) => return None,
        // An indented block is one of commands, unless it is an object or a query of CloudWatch.
        None if block.text.starts_with('{') || block.text.starts_with("filter ") => return None,
        None => {}
    }
    if !block.text.starts_with("$ ") {
        let plain = shell::statements(&block.text).into_iter();
        return Some(plain.map(|statement| Shown { statement, output: Vec::new() }).collect());
    }
    let mut shown: Vec<Shown> = Vec::new();
    let mut lines = block.text.lines();
    while let Some(line) = lines.next() {
        let Some(first) = line.strip_prefix("$ ") else {
            shown.last_mut().unwrap().output.push(line.to_owned());
            continue;
        };
        let mut text = first.to_owned();
        while text.ends_with('\\') {
            text.extend(["\n", lines.next().unwrap_or_default()]);
        }
        shown.extend(shell::statements(&text).into_iter().map(|statement| Shown { statement, output: Vec::new() }));
    }
    Some(shown)
}

/// The arguments of `rollcall`, if it is called, by whatever way.
pub(super) fn of_rollcall(call: &Call) -> Option<Vec<String>> {
    let after = |word: &str| call.words.iter().position(|other| other == word).map(|at| call.words[at + 1..].to_vec());
    match (call.program(), call.words.get(1).map(String::as_str)) {
        ("rollcall", _) => after("rollcall"),
        // A list of files follows.
        ("xargs", _) => after("rollcall").map(|arguments| [arguments, vec!["FILE".to_owned()]].concat()),
        ("cargo", Some("run")) if call.words.iter().any(|word| word == "rollcall-cli") => after("--"),
        ("make", Some("dev")) => {
            let given = call.words.iter().find_map(|word| word.strip_prefix("ARGS=")).unwrap_or_default();
            Some(["dev"].into_iter().chain(given.split_whitespace()).map(str::to_owned).collect())
        }
        _ => None,
    }
}

/// The word, or what stands for it in an example.
fn sensible(word: &str) -> Option<String> {
    Some(match word {
        // And so on.
        "…" => return None,
        "ID" => ADA.to_owned(),
        "RUN" => "2026-11-25T03:00:00.000Z".to_owned(),
        "FILE…" => "FILE".to_owned(),
        word if word.starts_with("user_…") => ADA.to_owned(),
        word => word.replace('…', "x"),
    })
}

/// What is wrong with a call of `rollcall`. A mention in a sentence may leave out what is required.
fn wrong_arguments(arguments: &[String], is_mention: bool) -> Option<String> {
    let arguments: Vec<String> = arguments.iter().filter_map(|word| sensible(word)).collect();
    let cli = match Cli::try_parse_from(std::iter::once("rollcall".to_owned()).chain(arguments)) {
        Ok(cli) => cli,
        Err(error) => {
            let is_left_out = match error.kind() {
                ErrorKind::DisplayHelp => true,
                ErrorKind::MissingRequiredArgument | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => is_mention,
                _ => false,
            };
            return (!is_left_out).then(|| error.to_string());
        }
    };
    let known = match cli.command {
        Command::Trigger(args) => args.event_type.map(|name| trigger::sample(&name).map(drop)),
        Command::Dev(args) => args.preset.map(|name| presets::read(&name).map(drop)),
        _ => None,
    };
    known.and_then(Result::err).map(|error| error.to_string())
}

/// How many commands of each class there are, and what is wrong with them.
struct Findings {
    repository: Repository,
    classes: BTreeMap<&'static str, usize>,
    others: BTreeSet<&'static str>,
    problems: Vec<String>,
}

impl Findings {
    fn look(&mut self, document: &Document, place: &str, call: &Call, is_mention: bool) {
        let mut wrong = self.repository.wrong_variables(call);
        let arguments = of_rollcall(call);
        if let Some(arguments) = &arguments {
            *self.classes.entry("rollcall").or_default() += 1;
            wrong.extend(wrong_arguments(arguments, is_mention));
        }
        let tool = match call.program() {
            "" | "rollcall" => None,
            "make" => Some(("make", self.repository.wrong_make(call))),
            "cargo" => Some(("cargo", self.repository.wrong_cargo(call))),
            "npm" => Some(("npm", self.repository.wrong_npm(call, document))),
            "pip" => Some(("pip", self.repository.wrong_pip(call))),
            "sam" => Some(("sam", self.repository.wrong_sam(call))),
            "aws" => Some(("aws", self.repository.wrong_aws(call))),
            // They are run, if they are about the local stack.
            "curl" => Some(("curl", None)),
            program => match OTHER.iter().find(|(other, _)| *other == program) {
                Some((other, _)) => {
                    self.others.insert(other);
                    Some(("other", None))
                }
                None => Some(("unknown", Some("a new kind of command: classify it in commands.rs".to_owned()))),
            },
        };
        if let Some((class, found)) = tool {
            wrong.extend(found);
            // A call by way of another program counts once.
            if arguments.is_none() {
                *self.classes.entry(class).or_default() += 1;
            }
        }
        self.problems.extend(wrong.into_iter().map(|wrong| format!("{place}: {wrong}")));
    }

    /// A command in a sentence.
    fn mention(&mut self, document: &Document, line: usize, text: &str) {
        if INVENTED.contains(&(&document.path, text)) {
            return;
        }
        let text = replaced(text);
        for statement in shell::statements(&text) {
            for call in &statement.calls {
                self.look(document, &format!("{}:{line}: `{text}`", document.path), call, true);
            }
        }
    }

    fn is_command(&self, text: &str) -> bool {
        let checked = ["rollcall", "make", "curl", "cargo", "npm", "pip", "sam", "aws"];
        let statements = shell::statements(&replaced(text));
        let first = statements.first().and_then(|statement| statement.calls.iter().find(|call| !call.words.is_empty()));
        // One word is a name.
        first.is_some_and(|call| {
            let program = call.program();
            let is_known = checked.contains(&program) || OTHER.iter().any(|(other, _)| *other == program);
            call.words.len() > 1 && is_known
        })
    }
}

/// Without `<what is given>`, which a shell would read a file for.
fn replaced(text: &str) -> String {
    let mut text = text.to_owned();
    while let Some((before, rest)) = text.clone().split_once('<') {
        let Some((_, after)) = rest.split_once('>') else { break };
        text = format!("{before}…{after}");
    }
    text
}

#[test]
fn every_command_in_a_document_exists() {
    let tree = super::tree();
    let documents = super::documents(&tree);
    let repository = Repository::read(tree, &documents);
    let mut findings = Findings { repository, classes: BTreeMap::new(), others: BTreeSet::new(), problems: Vec::new() };
    for document in &documents {
        for block in &document.blocks {
            let place = format!("{}:{}", document.path, block.line);
            let Some(shown) = shown(block) else {
                let language = block.language.as_deref();
                if language.is_some_and(|language| !OTHER_LANGUAGES.contains(&language)) {
                    findings.problems.push(format!("{place}: a new language: classify it in commands.rs"));
                }
                if language == Some("") && block.text.lines().any(|line| findings.is_command(line)) {
                    findings.problems.push(format!("{place}: a block of commands has the language sh"));
                }
                continue;
            };
            for Shown { statement, output } in &shown {
                let place = format!("{place}: {}", statement.text);
                statement.calls.iter().for_each(|call| findings.look(document, &place, call, false));
                let outputs = findings.repository.wrong_output(&statement.comment);
                findings.problems.extend(outputs.map(|wrong| format!("{place}: {wrong}")));
                for mentioned in output.iter().flat_map(|line| line.split('`').skip(1).step_by(2)) {
                    findings.mention(document, block.line, mentioned);
                }
            }
        }
        for span in &document.spans {
            if findings.is_command(&span.text) {
                findings.mention(document, span.line, &span.text);
            }
        }
    }
    println!("commands: {:?}", findings.classes);
    super::assert_none(&findings.problems);
    for class in ["rollcall", "make", "curl", "cargo", "npm", "pip", "sam", "aws", "other"] {
        assert!(findings.classes.contains_key(class), "no command of the class {class} was found");
    }
    for (program, reason) in OTHER {
        assert!(findings.others.contains(program), "no document calls {program} ({reason})");
    }
}

#[test]
fn every_option_in_a_document_exists() {
    let tree = super::tree();
    let cli = Cli::command();
    let commands = cli.get_subcommands().flat_map(|command| std::iter::once(command).chain(command.get_subcommands()));
    let commands = commands.chain([&cli]);
    let options = commands.flat_map(clap::Command::get_arguments).filter_map(clap::Arg::get_long);
    let options: BTreeSet<&str> = options.collect();
    let emulator = super::text("emulator/src/main.rs");
    let (mut found, mut problems) = (0, Vec::new());
    for document in super::documents(&tree) {
        for span in document.spans.iter().filter(|span| span.text.starts_with("--")) {
            for option in span.text.split_whitespace().filter_map(|word| word.strip_prefix("--")) {
                found += 1;
                let is_there = if document.path.starts_with("emulator/") {
                    emulator.contains(&format!("\n    {}: ", option.replace('-', "_")))
                } else {
                    options.contains(option)
                };
                if !is_there && !OTHER_OPTIONS.iter().any(|(other, _)| span.text.starts_with(other)) {
                    problems.push(format!("{}:{}: there is no option --{option}", document.path, span.line));
                }
            }
        }
    }
    println!("{found} options");
    super::assert_none(&problems);
    assert!(found > 50, "only {found} options were found");
}
