//! Paths and names in code spans.

use std::collections::BTreeSet;

use super::markdown::{Document, Span};

/// Endings of files.
const ENDINGS: [&str; 9] = [".rs", ".md", ".yaml", ".yml", ".py", ".toml", ".json", ".ts", ".tsx"];
/// Where the words of code are looked for. These tests are no proof of a name.
const SOURCES: [&str; 7] = [".rs", ".py", ".ts", ".tsx", ".js", ".toml", "Makefile"];

/// Pages that make up a function or a command, as an example. What they name must exist for another one.
const EXAMPLES: [(&str, &str, &str); 2] =
    [("docs/adding-a-function.md", "accounts", "Accounts"), ("docs/adding-a-command.md", "seats", "Seats")];

/// Paths that exist elsewhere. A star stands for every document.
const OTHER_PATHS: [(&str, &str, &str); 17] = [
    ("*", "/.well-known/jwks.json", "a route of Clerk's"),
    ("*", "clerk/javascript", "a repository of Clerk's"),
    ("*", "clerk/openapi-specs", "a repository of Clerk's"),
    ("*", "webhooks/2025-04-15.yml", "a file in a repository of Clerk's"),
    ("events/README.md", "clerk/clerk-docs", "a repository of Clerk's"),
    ("events/README.md", "clerk/skills", "a repository of Clerk's"),
    ("events/README.md", "docs/guides/development/webhooks/overview.mdx", "a file in a repository of Clerk's"),
    ("events/README.md", "packages/backend/src/api/resources/Webhooks.ts", "a file in a repository of Clerk's"),
    ("events/README.md", "skills/features/clerk-webhooks/SKILL.md", "a file in a repository of Clerk's"),
    ("tests/contracts/README.md", "bapi/2026-05-12.yml", "a file in a repository of Clerk's"),
    ("docs/examples/README.md", "middleware.ts", "the name before Next.js 16"),
    ("docs/local-development.md", "target/", "made by every build"),
    ("docs/local-development.md", "target/cloud", "made by `make cloud`"),
    ("docs/local-development.md", "target/cloud-test", "made by `make cloud-test`"),
    ("docs/local-development.md", "target/cloud-up", "made by `make cloud`"),
    ("docs/migrate.md", "report.json", "in the folder of a migration"),
    ("docs/migrate.md", "run.json", "in the folder of a migration"),
];

/// Names that no source has.
const OTHER_NAMES: [(&str, &str, &str); 7] = [
    ("CHANGELOG.md", "OutOfStep", "a former name"),
    ("CHANGELOG.md", "in_step", "a former name"),
    ("CHANGELOG.md", "only_in_clerk", "a former name"),
    ("docs/bench.md", "clock_getcpuclockid", "a call of POSIX, which a crate wraps"),
    ("docs/examples/README.md", "NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY", "read by Clerk's SDK"),
    ("docs/operations.md", "credential_process", "a setting of AWS's SDK"),
    ("docs/runbook.md", "TIMED_OUT", "a state of Step Functions"),
];

/// A path, if the span is one of this repository.
fn path(span: &str, folders: &BTreeSet<&str>) -> bool {
    let is_of_path = |c: char| c.is_alphanumeric() || "_-./*{,}<>".contains(c);
    let first = span.split('/').next().unwrap_or_default();
    let is_in_folder = span.contains('/') && folders.contains(first);
    // An ending alone, as `.rs`, or an address.
    let has_ending = ENDINGS.iter().any(|ending| span.strip_suffix(ending).is_some_and(|stem| !stem.is_empty()));
    span.chars().all(is_of_path) && (is_in_folder || has_ending)
}

/// The names in a span that is a name of code, or a path of names.
fn names(span: &str) -> Option<Vec<&str>> {
    // What a function is called with is no matter.
    let function = span.split_once('(').filter(|_| span.ends_with(')')).map(|(function, _)| function);
    let span = function.unwrap_or(span);
    let names: Vec<&str> = span.split("::").collect();
    let is_name = |name: &&str| {
        let is_word = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let has_lower = name.chars().any(|c| c.is_ascii_lowercase());
        let upper = name.chars().filter(char::is_ascii_uppercase).count();
        let is_camel = name.starts_with(|c: char| c.is_ascii_uppercase()) && has_lower;
        let is_constant = upper > 1 && !has_lower;
        let is_written = is_camel || is_constant || name.contains('_') || function.is_some();
        is_word && name.starts_with(|c: char| c.is_ascii_alphabetic()) && is_written
    };
    let is_path = names.len() > 1 && names.iter().all(|name| !name.is_empty());
    (is_path || names.iter().all(is_name)).then_some(names)
}

/// Whether a path fits a pattern, in which `*` is a part of a name.
fn fits(pattern: &str, path: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return pattern == path };
    let Some(rest) = path.strip_prefix(before) else { return false };
    let ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
    let ends = ends.take_while(|at| !rest[..*at].contains('/'));
    ends.into_iter().any(|at| fits(after, &rest[at..]))
}

/// Each pattern that braces stand for.
fn spread(pattern: &str) -> Vec<String> {
    match pattern.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?))) {
        Some((before, (names, after))) => names.split(',').map(|name| format!("{before}{name}{after}")).collect(),
        None => vec![pattern.to_owned()],
    }
}

/// Whether a file or a folder has this path, or ends with it, as `core/mirror/rank.rs` or `deletion/purge` do.
fn exists(span: &str, tree: &[String]) -> bool {
    // From whatever folder it is seen.
    let mut pattern = span.trim_start_matches("../").trim_end_matches('/').to_owned();
    while let Some((before, rest)) = pattern.clone().split_once('<') {
        let Some((_, after)) = rest.split_once('>') else { break };
        pattern = format!("{before}*{after}");
    }
    let parts = pattern.split('/').count();
    let is_there = |pattern: &String| {
        tree.iter().any(|path| {
            let path = path.trim_end_matches('/');
            let from = path.rmatch_indices('/').nth(parts - 1).map_or(0, |(at, _)| at + 1);
            let end = &path[from..];
            fits(pattern, end) || end.strip_suffix(".rs").is_some_and(|end| fits(pattern, end))
        })
    };
    spread(&pattern).iter().all(is_there)
}

/// Every word of the sources.
fn words(tree: &[String]) -> BTreeSet<String> {
    let is_source = |path: &&String| {
        let is_source = SOURCES.iter().any(|ending| path.ends_with(ending)) || *path == "template.yaml";
        is_source && !path.starts_with("tests/it/documents/")
    };
    let mut words = BTreeSet::new();
    for path in tree.iter().filter(is_source) {
        let text = super::text(path);
        words.extend(text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).map(str::to_owned));
    }
    words
}

/// What is excepted, and found to be needed.
#[derive(Default)]
struct Excepted(BTreeSet<(&'static str, &'static str)>);

impl Excepted {
    fn is(&mut self, list: &[(&'static str, &'static str, &'static str)], document: &Document, span: &str) -> bool {
        let found = list.iter().find(|(path, name, _)| (*path == "*" || *path == document.path) && *name == span);
        self.0.extend(found.map(|(path, name, _)| (*path, *name)));
        found.is_some()
    }

    /// An exception that is no longer one hides the next mistake.
    fn assert_needed(&self, list: &[(&'static str, &'static str, &'static str)]) {
        for (path, name, reason) in list {
            assert!(self.0.contains(&(*path, *name)), "no exception is needed for {name} in {path} ({reason})");
        }
    }
}

fn place(document: &Document, span: &Span) -> String {
    format!("{}:{}: `{}`", document.path, span.line, span.text)
}

#[test]
fn every_path_in_a_document_exists() {
    let tree = super::tree();
    let folders: BTreeSet<&str> =
        tree.iter().filter_map(|path| path.strip_suffix('/')?.split('/').next_back()).collect();
    let (mut problems, mut found, mut excepted) = (Vec::new(), 0, Excepted::default());
    for document in super::documents(&tree) {
        let example = EXAMPLES.iter().find(|(path, ..)| *path == document.path);
        for span in document.spans.iter().filter(|span| path(&span.text, &folders) || span.text.starts_with("target/"))
        {
            found += 1;
            let text = example.map_or(span.text.clone(), |(_, name, _)| span.text.replace(name, "*"));
            if !exists(&text, &tree) && !excepted.is(&OTHER_PATHS, &document, &span.text) {
                problems.push(format!("{}: there is no such file", place(&document, span)));
            }
        }
    }
    println!("{found} paths");
    super::assert_none(&problems);
    excepted.assert_needed(&OTHER_PATHS);
    assert!(found > 150, "only {found} paths were found");
}

#[test]
fn every_name_in_a_document_is_in_the_sources() {
    let tree = super::tree();
    let words = words(&tree);
    let (mut problems, mut found, mut excepted) = (Vec::new(), 0, Excepted::default());
    for document in super::documents(&tree) {
        let example = EXAMPLES.iter().find(|(path, ..)| *path == document.path);
        for span in &document.spans {
            // The beginning of names, as `i7_…`.
            let text = span.text.strip_suffix('…').unwrap_or(&span.text);
            let is_prefix = text.ends_with('_');
            let is_there = |name: &&str| match example.and_then(|(.., example)| name.strip_prefix(example)) {
                Some(rest) => words.iter().any(|word| word.ends_with(rest)),
                None if is_prefix => words.iter().any(|word| word.starts_with(*name)),
                None => words.contains(*name),
            };
            let Some(names) = names(text).filter(|_| is_prefix || text == span.text) else { continue };
            found += 1;
            if !names.iter().all(is_there) && !excepted.is(&OTHER_NAMES, &document, &span.text) {
                problems.push(format!("{}: no source has this name", place(&document, span)));
            }
        }
    }
    println!("{found} names");
    super::assert_none(&problems);
    excepted.assert_needed(&OTHER_NAMES);
    assert!(found > 600, "only {found} names were found");
}

#[test]
fn a_path_may_be_the_end_of_one_and_have_gaps() {
    let tree = ["shared/src/core/rank.rs", "shared/src/core/", "tests/template/mistakes_alarms.py"].map(str::to_owned);
    for there in ["core/rank.rs", "core/rank", "src/core/", "mistakes*.py", "src/<layer>/{rank,rank}.rs"] {
        assert!(exists(there, &tree), "{there}");
    }
    for missing in ["core/rang.rs", "re/rank.rs", "mistakes*.rs", "shared/*/rank.rs", "core/{rank,digest}.rs"] {
        assert!(!exists(missing, &tree), "{missing}");
    }
}
