//! Inputs that are damaged, or something else than they seem: each is refused with its line, its byte, and the cause.

mod binary;
mod dynamo;
mod text;

use rollcall_migrate::input::{self, Options};

use crate::support::{file, rows};

/// A content, how it is read, the line and byte of the error, and a part of its text.
type Case = (Vec<u8>, Options, u64, u64, &'static str);

fn json(content: impl Into<Vec<u8>>, line: u64, byte: u64, cause: &'static str) -> Case {
    (content.into(), Options::default(), line, byte, cause)
}

/// How many cases were refused as expected.
#[track_caller]
fn refused(cases: Vec<Case>) {
    let mut wrong = Vec::new();
    for (content, options, line, byte, cause) in cases {
        let shown: String = String::from_utf8_lossy(&content).chars().take(60).collect();
        match rows(&content, options) {
            Ok(rows) => wrong.push(format!("{shown:?} was read as {} rows", rows.len())),
            Err(error) => {
                let text = error.to_string();
                let place = format!("/input, line {line}, byte {byte}: ");
                if !text.contains(&place) || !text.contains(cause) || error.advice.is_empty() {
                    wrong.push(format!("{shown:?}, expected {place:?} and {cause:?}: {text}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_follows_an_error() {
    let file = file("input", b"{\"a\":1}\n{\"a\":}\n{\"a\":3}\n");
    let mut rows = input::open(&[&file.path, &file.path], Options::default()).unwrap();
    assert!(rows.next().unwrap().is_ok());
    assert!(rows.next().unwrap().is_err());
    assert!(rows.next().is_none());
}
