//! Commands that need no account are run, each document's on a local stack of its own, in the order of the document.
//! What stands for something in the text is replaced: ports, ids, keys.

use tokio::process::Command;

use super::commands::{Shown, of_rollcall, shown};
use super::markdown::Document;
use super::shell::Call;
use super::stack::{Played, Stack, first_line};
use crate::operator::commands::binary;

/// Sections whose commands are not for `rollcall dev`.
const ELSEWHERE: [(&str, &str, &str); 11] = [
    ("docs/operations.md", "rollcall fix-duplicates", "these read a table of the reader's application"),
    (
        "docs/operations.md",
        "rollcall endpoint",
        "the endpoint of a local stack is adopted first; tests/it/operator/endpoint.rs",
    ),
    ("docs/webhook-setup.md", "By a command", "the same"),
    ("docs/migrate.md", "Plan, write, undo", "these read the reader's export; tests/it/migrate plays the commands"),
    (
        "docs/migrate.md",
        "References in other collections",
        "these read the reader's exports; tests/it/migrate plays them",
    ),
    (
        "docs/migrate.md",
        "References in a DynamoDB table",
        "these change the reader's tables; tests/it/migrate plays them",
    ),
    (
        "docs/migrate.md",
        "Prove that nothing needs the old collection",
        "these read the reader's exports; tests/it/migrate plays them",
    ),
    ("docs/switch-over.md", "2. Backfill", "these read the reader's exports; tests/it/migrate plays them"),
    ("docs/switch-over.md", "3. Verify", "these read the reader's exports; tests/it/migrate plays them"),
    ("docs/local-development.md", "Deploy to a local AWS", "these are for the stack of `make cloud`"),
    ("docs/runbook.md", "Restore a table", "these read a table that AWS has restored"),
];

/// What must be so before a command does what its document shows.
const BEFORE: [(&str, &str, &str); 4] = [
    ("docs/operations.md", "rollcall undo user_2", "rollcall trigger user.deleted --id user_…"),
    (
        "docs/operations.md",
        "rollcall sync user_2",
        r#"to() { curl -X $1 $2 -H 'Content-Type: application/json' -H "Authorization: Bearer $CLERK_SECRET_KEY" -d "$3"; }
        to PATCH $CLERK/v1/users/user_… '{"first_name":"Ada","last_name":"Example"}'
        to POST $CLERK/_emulator/settle '{}'
        to PUT $CLERK/_emulator/faults '{"webhooks":{"drop":1}}'
        to PATCH $CLERK/v1/users/user_… '{"first_name":"Augusta"}'
        to PUT $CLERK/_emulator/faults '{}'"#,
    ),
    (
        "docs/operations.md",
        "rollcall reconcile",
        r#"faults() { curl -X PUT $CLERK/_emulator/faults -H "$json" -d "$1"; }
        json='Content-Type: application/json'; key="Authorization: Bearer $CLERK_SECRET_KEY"
        faults '{"webhooks":{"drop":1}}'
        curl -X POST $CLERK/v1/users -H "$key" -H "$json" -d '{"first_name":"Grace","email_address":["g@example.com"]}'
        curl -X PATCH $CLERK/v1/users/user_… -H "$key" -H "$json" -d '{"first_name":"Renamed"}'
        faults '{}'"#,
    ),
    (
        "emulator/README.md",
        "curl -s $CLERK_API_URL/v1/sessions/sess_…/tokens",
        r#"session=$(curl $CLERK/v1/sessions -H "$key" -H "$json" -d '{"user_id":"user_…"}' |
            sed 's/.*"\(sess_[^"]*\)".*/\1/')"#,
    ),
];

/// Lines of output that a stack of a minute's age cannot have.
const TAKES_LONGER: [(&str, &str, &str); 3] = [
    ("docs/operations.md", "2026-11-25T03:00:00.412Z  repair  pending approval", "rows of 15 minutes' age may be held"),
    ("docs/operations.md", "Deletions pending approval: 412 users.", "rows of 15 minutes' age may be held"),
    ("docs/operations.md", "In sync at the last repair,", "needs a repair that has held nothing, and drift after it"),
];

/// Whether a call works on a local stack, or on nothing.
fn is_playable(call: &Call) -> bool {
    match call.program() {
        "" | "export" | "cut" | "curl" => true,
        "rollcall" | "cargo" => {
            of_rollcall(call).is_some_and(|arguments| arguments.first().is_some_and(|it| it != "dev"))
        }
        "aws" => is_local_aws(call),
        _ => false,
    }
}

fn is_local_aws(call: &Call) -> bool {
    call.program() == "aws" && call.words.iter().any(|word| word.starts_with("http://127.0.0.1:"))
}

/// Whether a call should be played, and not only may be.
fn is_wanted(call: &Call) -> bool {
    let is_of_stack =
        call.program() != "make" && of_rollcall(call).is_some_and(|it| it.first().is_some_and(|it| it != "dev"));
    call.program() == "curl" || is_local_aws(call) || is_of_stack
}

/// Without what changes from run to run: numbers, times, ids. The status of an answer stays.
pub(super) fn masked(line: &str) -> String {
    let mut masked = Vec::new();
    for word in line.split_whitespace() {
        let is_status = masked.last().is_some_and(|last| last == "→");
        let is_of_value = |c: char| c.is_alphanumeric() || "_:.,-".contains(c);
        let has_digit = |part: &&str| part.contains(|c: char| c.is_ascii_digit());
        let mut fixed = word.to_owned();
        for part in word.split(|c| !is_of_value(c)).filter(has_digit).filter(|_| !is_status) {
            fixed = fixed.replacen(part, "#", 1);
        }
        masked.push(fixed);
    }
    masked.join(" ")
}

/// Whether a line is as a document shows it; `…` stands for anything.
pub(super) fn is_as(shown: &str, line: &str) -> bool {
    let parts: Vec<&str> = shown.split('…').collect();
    let Some(mut rest) = line.strip_prefix(parts[0]) else { return false };
    for part in &parts[1..] {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    parts.len() > 1 || rest.is_empty()
}

/// Whether the document shows a question, before which the plan is printed.
fn asks(shown: &Shown) -> bool {
    shown.output.iter().any(|line| line.ends_with("[y/N]"))
}

/// The lines that a document shows, and that have not been printed in this order.
fn missing(document: &Document, shown: &Shown, printed: &str) -> Vec<String> {
    let lines: Vec<String> = printed.lines().map(masked).collect();
    let (mut missing, mut from) = (Vec::new(), 0);
    for line in shown.output.iter().map(|line| line.trim()).filter(|line| !line.is_empty() && *line != "…") {
        if TAKES_LONGER.iter().any(|(path, start, _)| *path == document.path && line.starts_with(start)) {
            continue;
        }
        if let Some(question) = line.strip_suffix(" [y/N]") {
            // It is asked at a terminal alone.
            let sources = ["reconcile.rs", "undo.rs", "sync.rs", "set_role.rs"]
                .map(|file| super::text(&format!("cli/src/operator/{file}")));
            // A long text is broken by a backslash.
            let joined = |source: &String| source.split_whitespace().collect::<Vec<_>>().join(" ").replace("\\ ", "");
            if !sources.iter().any(|source| joined(source).contains(question)) {
                missing.push(line.to_owned());
            }
            continue;
        }
        match lines[from..].iter().position(|printed| is_as(&masked(line), printed)) {
            Some(at) => from += at + 1,
            None => missing.push(line.to_owned()),
        }
    }
    missing
}

/// The exit statuses that docs/operations.md gives to what the statement does.
fn statuses(shown: &Shown) -> &'static [i32] {
    let answer = shown.output.iter().find_map(|line| line.split("→ ").nth(1));
    let call = shown.statement.calls.last().unwrap();
    let command = of_rollcall(call).unwrap_or_default();
    let may_leave =
        ["reconcile", "status", "analyze", "doctor"].iter().any(|name| command.first().is_some_and(|it| it == name));
    match answer {
        Some(answer) if !answer.starts_with('2') => &[1],
        // Drift is left, or would be.
        None if may_leave || asks(shown) || command.iter().any(|word| word == "--dry-run") => &[0, 2],
        _ => &[0],
    }
}

/// Whether a statement is for a local stack.
fn is_to_be_played(document: &Document, section: &str, shown: &Shown) -> Result<bool, String> {
    let calls = &shown.statement.calls;
    let is_elsewhere = ELSEWHERE.iter().any(|(path, name, _)| *path == document.path && *name == section);
    if is_elsewhere {
        return Ok(false);
    }
    let is_playable = calls.iter().all(is_playable);
    if !is_playable && calls.iter().any(is_wanted) {
        return Err("a command beside it cannot be played on a local stack".to_owned());
    }
    Ok(is_playable)
}

/// The text to play: for this stack, and without variables whose values are the reader's.
fn text_to_play(stack: &Stack, shown: &Shown, user: &str) -> String {
    let text = stack.fitted(&shown.statement.text, user);
    if asks(shown) {
        return format!("{text} --dry-run");
    }
    let is_export = shown.statement.calls.iter().all(|call| call.words == ["export"]);
    if !is_export || !text.contains('…') {
        return text;
    }
    let variables = shown.statement.calls.iter().flat_map(|call| &call.variables);
    let fitted = variables.map(|(name, value)| (name, stack.fitted(value, user)));
    let given = fitted.filter(|(_, value)| !value.contains('…')).map(|(name, value)| format!(" {name}='{value}'"));
    format!("export{}", given.collect::<String>())
}

/// Plays a document on a stack, which is started when the first statement needs one; how many statements there were,
/// and what was wrong with them.
async fn play(document: &Document) -> (usize, Vec<String>) {
    let (mut stack, mut played, mut problems) = (None, 0, Vec::new());
    for (number, block) in document.blocks.iter().enumerate() {
        let mut statements: Vec<Shown> = Vec::new();
        for shown in shown(block).into_iter().flatten() {
            match is_to_be_played(document, &block.section, &shown) {
                Ok(true) => statements.push(shown),
                Ok(false) => {}
                Err(problem) => problems.push(format!("{}:{}: {problem}", document.path, block.line)),
            }
        }
        if !statements.iter().flat_map(|shown| &shown.statement.calls).any(is_wanted) {
            continue;
        }
        if stack.is_none() {
            stack = Some(Stack::start(document).await);
        }
        let stack = stack.as_ref().unwrap();
        // What one block does to its user is no matter of the next one.
        let user = &stack.users[number % stack.users.len()];
        let mut texts = Vec::new();
        for shown in &statements {
            let text = &shown.statement.text;
            let before = BEFORE.iter().find(|(path, start, _)| *path == document.path && text.starts_with(start));
            texts.push(before.map_or_else(|| ":".to_owned(), |(.., before)| stack.fitted(before, user)));
            texts.push(text_to_play(stack, shown, user));
        }
        let results = stack.play(&texts).await;
        assert_eq!(results.len(), texts.len(), "{}:{}: the shell has ended early", document.path, block.line);
        for (shown, result) in statements.iter().zip(results.chunks_exact(2)) {
            played += 1;
            let place = format!("{}:{}: {}", document.path, block.line, shown.statement.text);
            let Played { printed, status } = &result[1];
            if result[0].status != 0 {
                problems.push(format!("{place}: what must be so before it failed:\n{}", result[0].printed));
            }
            if !statuses(shown).contains(status) {
                problems.push(format!("{place}: exit status {status}:\n{printed}"));
            }
            let outcome = shown.statement.comment.split_once(':').map(|(outcome, _)| outcome);
            let outcome = outcome.filter(|outcome| ["applied", "duplicate", "superseded"].contains(outcome));
            if outcome.is_some_and(|outcome| !printed.contains(&format!("\"outcome\":\"{outcome}\""))) {
                problems.push(format!("{place}: another outcome:\n{printed}"));
            }
            for line in missing(document, shown, printed) {
                problems.push(format!("{place}: it does not print\n{line}\nbut\n{printed}"));
            }
        }
    }
    (played, problems)
}

#[tokio::test]
async fn every_command_that_needs_no_account_does_what_its_document_shows() {
    rollcall::adapters::tls::use_ring();
    let tree = super::tree();
    let documents = super::documents(&tree);
    for (path, text, reason) in ELSEWHERE.iter().chain(&BEFORE).chain(&TAKES_LONGER) {
        assert!(super::text(path).contains(text), "{path} has no {text} any more ({reason})");
    }
    // The session of the README is played at a terminal (session.rs).
    let others: Vec<&Document> = documents.iter().filter(|document| document.path != "README.md").collect();
    let results = futures_util::future::join_all(others.iter().copied().map(play)).await;
    for (document, (played, _)) in others.iter().zip(&results).filter(|(_, (played, _))| *played > 0) {
        println!("{}: {played} statements played", document.path);
    }
    let played: usize = results.iter().map(|(played, _)| played).sum();
    let problems: Vec<String> = results.into_iter().flat_map(|(_, problems)| problems).collect();
    super::assert_none(&problems);
    assert!(played > 40, "only {played} statements were played");
}

#[tokio::test]
async fn the_emulator_starts_as_its_document_shows() {
    let tree = super::tree();
    let documents = super::documents(&tree);
    let calls = documents.iter().flat_map(|document| &document.blocks).filter_map(shown).flatten();
    let calls = calls.flat_map(|shown| shown.statement.calls);
    let mut started = 0;
    for call in calls.filter(|call| call.words.iter().any(|word| word == "clerk-emulator") && call.words[1] == "run") {
        let own = call.words.iter().position(|word| word == "--").unwrap();
        let mut command = Command::new(binary().with_file_name("clerk-emulator"));
        command.env_clear().args(&call.words[own + 1..]).args(["--port", "0"]);
        let (_process, line) = first_line(command).await;
        assert!(line.starts_with("CLERK_API_URL="), "{:?} says {line}", call.words);
        started += 1;
    }
    assert!(started > 0, "no document starts the emulator");
}

#[test]
fn a_line_may_have_gaps_and_other_numbers() {
    let line = masked(r#"user.created msg_1f → 403 {"code":"a","rank":"000.1"}"#);
    assert!(is_as(&masked(r#"user.created msg_77 → 403 {"code":"a",…}"#), &line), "{line}");
    assert!(!is_as(&masked(r#"user.created msg_77 → 400 {"code":"a",…}"#), &line), "{line}");
    assert!(!is_as(&masked(r#"user.created msg_77 → 403 {"code":"b",…}"#), &line), "{line}");
    assert!(!is_as("a", "a b"));
}
