//! The documents say what is so: each command that they show works, each path, name and link that they give exists.

mod cli;
mod commands;
mod links;
mod markdown;
mod names;
mod played;
mod session;
mod shell;
mod stack;
mod tools;

use std::fs;
use std::path::{Path, PathBuf};

use markdown::Document;

/// Fetched, built, or kept by the local stack.
const NOT_OURS: [&str; 5] = [".git", ".rollcall", "node_modules", "target", "dist"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Every file and folder of the repository, from its root on; folders end with a slash.
fn tree() -> Vec<String> {
    let (mut found, mut left) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(root().join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if NOT_OURS.contains(&name.as_str()) || name.starts_with("dist-") || name == "__pycache__" {
                continue;
            }
            let path = folder.join(name);
            let text = path.to_str().unwrap().to_owned();
            if entry.file_type().unwrap().is_dir() {
                found.push(text + "/");
                left.push(path);
            } else {
                found.push(text);
            }
        }
    }
    found.sort();
    found
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every document.
fn documents(tree: &[String]) -> Vec<Document> {
    let is_document = |path: &&String| {
        // A part of docs/configuration.md, which is read as a whole.
        path.ends_with(".md") && *path != "cli/src/settings/page.md"
    };
    let documents: Vec<Document> = tree.iter().filter(is_document).map(|path| Document::read(path)).collect();
    assert!(documents.len() > 20, "only {} documents were found", documents.len());
    documents
}

/// What a test has found wrong, all of it at once.
fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "{} problems:\n{}\n", problems.len(), problems.join("\n"));
}
