//! As much of the shell's language as documents use: which programs a text calls, with which words.

/// One call of a program, wherever in a text it is: in a pipe, in `$(…)`, in the body of a function.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Call {
    /// Variables that are set for this call, or for good if it has no words.
    pub(super) variables: Vec<(String, String)>,
    /// The program and its arguments, without quotes. What is computed stays as it is written.
    pub(super) words: Vec<String>,
}

impl Call {
    pub(super) fn program(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }
}

/// What ends at the end of a line: one or several calls.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) text: String,
    pub(super) calls: Vec<Call>,
    /// Without the `#`.
    pub(super) comment: String,
}

/// Reads a text.
pub(super) fn statements(text: &str) -> Vec<Statement> {
    let chars: Vec<char> = text.chars().collect();
    let mut reader = Reader { chars: &chars, at: 0, calls: Vec::new(), comment: String::new(), depth: 0 };
    let mut statements = Vec::new();
    while reader.at < chars.len() {
        let from = reader.at;
        reader.statement(None);
        let text: String = chars[from..reader.at].iter().collect();
        let (calls, comment) = (std::mem::take(&mut reader.calls), std::mem::take(&mut reader.comment));
        if !calls.is_empty() {
            statements.push(Statement { text: text.trim().to_owned(), calls, comment: comment.trim().to_owned() });
        }
    }
    statements
}

struct Reader<'a> {
    chars: &'a [char],
    at: usize,
    calls: Vec<Call>,
    comment: String,
    /// In how many `{ … }`.
    depth: usize,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let next = self.chars.get(self.at).copied();
        self.at += usize::from(next.is_some());
        next
    }

    fn is_next(&self, text: &str) -> bool {
        text.chars().enumerate().all(|(at, c)| self.chars.get(self.at + at) == Some(&c))
    }

    /// Up to the end of the line, or the sign that closes.
    fn statement(&mut self, close: Option<char>) {
        let (mut call, mut word) = (Call::default(), None::<String>);
        let mut is_file = false;
        while let Some(c) = self.next() {
            let ends = c.is_whitespace() || "|&;()<>".contains(c);
            if ends {
                // A file that output goes to is no argument; a number before the sign is a stream.
                let is_stream = "<>".contains(c) && word.as_deref().is_some_and(|word| word == "2" || word == "1");
                let taken = word.take().filter(|_| !is_stream);
                if let Some(word) = taken {
                    if is_file { is_file = false } else { self.word(&mut call, word) }
                }
            }
            match c {
                _ if close == Some(c) => break,
                '\n' if close.is_none() && self.depth == 0 => break,
                '\n' | '|' | '&' | ';' => self.end(&mut call),
                '<' | '>' => is_file = true,
                // The signs of a function: its name is no call.
                '(' if self.is_next(")") => {
                    self.at += 1;
                    call = Call::default();
                }
                _ if ends => {}
                '#' if word.is_none() => {
                    while self.chars.get(self.at).is_some_and(|c| *c != '\n') {
                        let c = self.chars[self.at];
                        self.comment.push(c);
                        self.at += 1;
                    }
                }
                '\\' => match self.next() {
                    Some('\n') | None => {}
                    Some(c) => word.get_or_insert_default().push(c),
                },
                '\'' => {
                    let word = word.get_or_insert_default();
                    word.extend(std::iter::from_fn(|| self.next().filter(|c| *c != '\'')));
                }
                '"' => self.quoted(word.get_or_insert_default()),
                '$' if self.is_next("(") => self.computed(word.get_or_insert_default()),
                c => word.get_or_insert_default().push(c),
            }
        }
        if let Some(word) = word.filter(|_| !is_file) {
            self.word(&mut call, word);
        }
        self.end(&mut call);
    }

    fn quoted(&mut self, word: &mut String) {
        while let Some(c) = self.next() {
            match c {
                '"' => break,
                '\\' => word.extend(self.next()),
                '$' if self.is_next("(") => self.computed(word),
                c => word.push(c),
            }
        }
    }

    /// `$(…)`, whose calls count, or `$((…))`, which has none.
    fn computed(&mut self, word: &mut String) {
        let from = self.at - 1;
        self.at += 1;
        if self.is_next("(") {
            while !self.is_next("))") && self.next().is_some() {}
            self.at += 2;
            // What it computes with may be the output of a call.
            let inner: String = self.chars[from + 3..self.at - 2].iter().collect();
            let calls = statements(&inner).into_iter().flat_map(|statement| statement.calls);
            self.calls.extend(calls.filter(|call| call.program().starts_with(char::is_alphabetic)));
        } else {
            self.statement(Some(')'));
        }
        word.extend(&self.chars[from..self.at]);
    }

    fn word(&mut self, call: &mut Call, word: String) {
        let is_first = call.words.is_empty();
        let variable = word
            .split_once('=')
            .filter(|(name, _)| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
        match (word.as_str(), variable) {
            ("{", _) if is_first => self.depth += 1,
            ("}", _) if is_first => self.depth -= 1,
            (_, Some((name, value))) if is_first || call.program() == "export" => {
                call.variables.push((name.to_owned(), value.to_owned()));
            }
            _ => call.words.push(word),
        }
    }

    fn end(&mut self, call: &mut Call) {
        let call = std::mem::take(call);
        if call != Call::default() {
            self.calls.push(call);
        }
    }
}

#[test]
fn each_call_of_a_program_is_found_wherever_it_is() {
    let calls = |text: &str| -> Vec<Vec<String>> {
        statements(text).into_iter().flat_map(|statement| statement.calls).map(|call| call.words).collect()
    };
    for (text, expected) in [
        ("a -x 'b  c' \"d $e\" # f\n\n# g\nh", &[&["a", "-x", "b  c", "d $e"][..], &["h"]][..]),
        ("A=1 B='2 3' a \\\n  b > file 2>&1 | c && d; e", &[&["a", "b"], &["c"], &["d"], &["e"]]),
        ("a=$(b c | d)\ne \"$(f)\"", &[&["b", "c"], &["d"], &[], &["f"], &["e", "$(f)"]]),
        ("a() { # b\n  c=$(d)\n  e\n}\nf", &[&["d"], &[], &["e"], &["f"]]),
    ] {
        assert_eq!(calls(text), expected, "{text}");
    }
    let read = statements("A=1 a; export B=2 C='3'  # why\nb");
    let variables: Vec<_> =
        read[0].calls.iter().flat_map(|call| &call.variables).map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(variables, [("A", "1"), ("B", "2"), ("C", "3")]);
    assert_eq!((read.len(), read[0].comment.as_str(), read[1].text.as_str()), (2, "why", "b"));
}
