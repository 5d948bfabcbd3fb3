//! Reads the log of a local stack.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use anyhow::Context;

use super::{Entry, Found, Search, entry};
use crate::dev::local_log::earlier;

/// Reads the two files of the log, line by line. Of too many lines the newest are kept.
pub(super) fn read(path: &Path, search: &Search) -> anyhow::Result<Found> {
    let (mut entries, mut is_cut) = (VecDeque::new(), false);
    for path in [earlier(path), path.to_owned()] {
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error).with_context(|| format!("reading the log {}", path.display())),
        };
        for line in BufReader::new(file).lines() {
            let line = line.with_context(|| format!("reading the log {}", path.display()))?;
            if let Some(entry) = fitting(&line, search) {
                entries.push_back(entry);
                if entries.len() > search.most {
                    entries.pop_front();
                    is_cut = true;
                }
            }
        }
    }
    Ok(Found { entries: entries.into(), is_cut, problems: Vec::new() })
}

fn fitting(line: &str, search: &Search) -> Option<Entry> {
    if !search.terms.is_empty() && search.terms.iter().all(|term| !line.contains(term.as_str())) {
        return None;
    }
    let entry = entry(line, None, None, line.to_owned())?;
    // The engine is no part of a function.
    let is_ours = entry.line.function != "dynoxide";
    let fits = search.function.as_ref().is_none_or(|function| entry.line.function == *function);
    (fits && is_ours && entry.line.at >= search.since).then_some(entry)
}
