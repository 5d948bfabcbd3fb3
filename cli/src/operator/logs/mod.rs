//! The logs of a deployment's functions: CloudWatch Logs of a deployed stack, the file of a local one.
//!
//! [`cloudwatch`] finds the log groups and reads them, [`file`](mod@file) reads the file. What is read is bounded in time and in
//! number. [`follow`] reads on from there, [`window`] decides from where.

mod cloudwatch;
mod file;
mod follow;
mod window;

use std::collections::BTreeSet;
use std::path::PathBuf;

use rollcall::core::explain::line::Line;
use rollcall::core::millis::Millis;
use serde_json::{Map, Value};

use self::cloudwatch::Groups;
pub(super) use self::follow::Follow;
use super::deployment::{Deployment, Place};

/// The logs of a deployment.
pub(super) enum Logs {
    CloudWatch(Box<Groups>),
    File(PathBuf),
}

/// What is read of the logs.
#[derive(Clone, Debug)]
pub(super) struct Search {
    /// From when on, in Unix ms.
    pub(super) since: Millis,
    /// A line contains one of them; every line if there are none.
    pub(super) terms: Vec<String>,
    /// The function, by its name in the registry; all if none is named.
    pub(super) function: Option<String>,
    /// Lines at most, for each function.
    pub(super) most: usize,
}

/// One line.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) line: Line,
    /// All its fields, and `function`.
    pub(super) fields: Map<String, Value>,
    /// Names it among all lines.
    pub(super) key: String,
}

/// What was read.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    /// The oldest first.
    pub(super) entries: Vec<Entry>,
    /// Whether there were more lines.
    pub(super) is_cut: bool,
    /// After a cut of CloudWatch's log: all lines before this time were read, in Unix ms; `None` if no line was read.
    until: Option<Millis>,
    /// Why the log of a function was not read, a sentence without a full stop each.
    pub(super) problems: Vec<String>,
}

impl Logs {
    /// Finds the logs of a deployment.
    ///
    /// # Errors
    ///
    /// If the stack's log groups cannot be listed, or the local stack has no log.
    pub(super) async fn of(deployment: &Deployment) -> anyhow::Result<Logs> {
        Ok(match &deployment.place {
            Place::Local(record) => Logs::File(record.log.clone().ok_or_else(|| {
                anyhow::anyhow!(
                    "the local stack has no log: it was started by another release, or without a home folder"
                )
            })?),
            Place::Stack(stack) => Logs::CloudWatch(Box::new(Groups::of_stack(&deployment.aws, &stack.name).await?)),
            Place::Function(function) => {
                Logs::CloudWatch(Box::new(Groups::of_function(&deployment.aws, function).await?))
            }
        })
    }

    /// Reads the lines.
    ///
    /// # Errors
    ///
    /// If no log can be read. A log that cannot be read among others is a problem of what is found.
    pub(super) async fn read(&self, search: &Search) -> anyhow::Result<Found> {
        let mut found = match self {
            Logs::File(path) => file::read(path, search)?,
            Logs::CloudWatch(groups) => groups.read(search).await?,
        };
        let mut seen = BTreeSet::new();
        found.entries.retain(|entry| seen.insert(entry.key.clone()));
        found.entries.sort_by_key(|entry| entry.line.at);
        Ok(found)
    }
}

impl Found {
    /// Notes that a search ended before the end of its log, after a line of this time.
    fn cut(&mut self, until: Option<Millis>) {
        self.until = if self.is_cut { self.until.min(until) } else { until };
        self.is_cut = true;
    }
}

/// The line of this text, and all its fields.
fn entry(text: &str, at: Option<Millis>, function: Option<&str>, key: String) -> Option<Entry> {
    let mut line = Line::read(text, at)?;
    if let Some(function) = function {
        function.clone_into(&mut line.function);
    }
    let mut fields: Map<String, Value> = serde_json::from_str(text.trim()).ok()?;
    fields.insert("function".to_owned(), line.function.clone().into());
    Some(Entry { line, fields, key })
}
