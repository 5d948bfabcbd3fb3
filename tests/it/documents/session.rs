//! The first ten minutes of the README as a terminal session: its commands are typed at a terminal, and the screen must
//! show what the README shows, nothing more and nothing less.

use std::num::NonZero;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::commands::{Shown, of_rollcall, shown};
use super::markdown::Document;
use super::played::{is_as, masked};
use super::stack::Stack;

/// The section of the README.
const SECTION: &str = "Try it";

/// The size of the terminal: no line of these commands is longer, and no output higher.
const ROWS: NonZero<u16> = NonZero::new(400).unwrap();
const COLUMNS: NonZero<u16> = NonZero::new(240).unwrap();

/// Runs a shell at a terminal, and answers a question with yes.
const TERMINAL: &str = r#"
import fcntl, os, pty, struct, sys, termios
process, terminal = pty.fork()
if process == 0:
    os.execvp("sh", ["sh", "-c", sys.argv[1]])
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", int(sys.argv[2]), int(sys.argv[3]), 0, 0))
seen, answered = b"", False
while True:
    try:
        read = os.read(terminal, 65536)
    except OSError:
        break
    sys.stdout.buffer.write(read)
    seen += read
    if not answered and b"[y/N]" in seen:
        os.write(terminal, b"y\n")
        answered = True
sys.stdout.buffer.flush()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
"#;

/// What `cargo run` would build and run is built.
const PRELUDE: &str = r#"cargo() { while [ "$1" != -- ]; do shift; done; shift; "$ROLLCALL" "$@"; }"#;

/// The lines of a screen on which a statement has been run, and its exit status.
async fn typed(stack: &Stack, script: &str) -> (Vec<String>, Option<i32>) {
    let mut python = Command::new("python3");
    stack.surround(&mut python);
    python.args(["-c", TERMINAL, script, &ROWS.to_string(), &COLUMNS.to_string()]).env("TERM", "xterm");
    python.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_mins(1), python.output()).await.expect("it ends").unwrap();
    let mut screen = vt100::Parser::new(ROWS, COLUMNS, 0);
    screen.process(&output.stdout);
    let lines = screen.screen().contents().lines().map(masked).filter(|line| !line.is_empty()).collect();
    (lines, output.status.code())
}

/// Whether the screen is as the README shows it: `…` on a line of its own stands for any lines.
fn is_shown(shown: &[String], screen: &[String]) -> bool {
    let Some((first, others)) = shown.split_first() else { return screen.is_empty() };
    if first.trim() == "…" {
        return (0..=screen.len()).any(|skipped| is_shown(others, &screen[skipped..]));
    }
    let is_first = |line: &String| is_as(&masked(first), line);
    screen.split_first().is_some_and(|(line, rest)| is_first(line) && is_shown(others, rest))
}

/// Whether a statement shows what the stream's function does some moments after an event.
fn looks(shown: &Shown) -> bool {
    let words = of_rollcall(shown.statement.calls.last().unwrap()).unwrap_or_default();
    ["users", "deletions"].iter().any(|name| words.first().is_some_and(|word| word == name))
}

/// Plays the section once; how many commands it has.
async fn play(stack: &Stack, readme: &Document, place: &str) -> usize {
    let (mut before, mut played) = (PRELUDE.to_owned(), 0);
    let blocks = readme.blocks.iter().filter(|block| block.section == SECTION && block.text.starts_with("$ "));
    for shown in blocks.filter_map(shown).flatten() {
        let text = stack.fitted(&shown.statement.text, &stack.users[0]);
        if shown.statement.calls.iter().all(|call| call.program() == "alias") {
            before = format!("{before}\n{text}");
            continue;
        }
        let expected: Vec<String> = shown.output.iter().filter(|line| !line.trim().is_empty()).cloned().collect();
        let script = format!("{before}\n{text}");
        // A person takes longer to type than the effects of the command before take.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let (mut screen, mut status) = typed(stack, &script).await;
        for _ in 0..20 {
            if is_shown(&expected, &screen) || !looks(&shown) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
            (screen, status) = typed(stack, &script).await;
        }
        let screen_text = screen.join("\n");
        assert_eq!(status, Some(0), "{place}: {text}\n{screen_text}");
        assert!(is_shown(&expected, &screen), "{place}: {text}\nthe screen shows\n{screen_text}");
        played += 1;
    }
    played
}

#[tokio::test]
async fn fault_c1_the_first_ten_minutes_of_the_readme_work_twice_on_free_ports_and_on_the_usual_ones() {
    rollcall::adapters::tls::use_ring();
    let readme = Document::read("README.md");
    for ports in [&["--port", "0", "--clerk-port", "0", "--dynamodb-port", "0"][..], &[]] {
        let stack = Stack::with_ports(&readme, ports).await;
        for time in ["first", "second"] {
            let played = play(&stack, &readme, &format!("the {time} time, {ports:?}")).await;
            assert!(played > 7, "only {played} commands");
        }
    }
}

#[test]
fn a_screen_must_show_each_line_and_no_other_one() {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<String>>();
    let shown = lines("first 1\n…\nlast 2");
    assert!(is_shown(&shown, &lines("first #\nlast #")) && is_shown(&shown, &lines("first #\na\nb\nlast #")));
    for screen in ["first #", "last #", "a\nfirst #\nlast #", "first #\nlast #\na", "first #\nlast"] {
        assert!(!is_shown(&shown, &lines(screen)), "{screen}");
    }
}
