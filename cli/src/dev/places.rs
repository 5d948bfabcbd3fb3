//! Paths of the local stack's files: in the folder of `--data`, or in temporary folders.

use std::path::{Path, PathBuf};

use anyhow::Context;
use dynoxide::Database;
use tempfile::TempPath;

use super::engine;

/// Opens the tables, in a file of the folder or in memory.
pub(super) fn database(data: Option<&Path>) -> anyhow::Result<Database> {
    let Some(data) = data else { return engine::in_memory().context("starting DynamoDB in memory") };
    std::fs::create_dir_all(data).with_context(|| format!("creating the folder {} (--data)", data.display()))?;
    let file = data.join("dynamodb.sqlite");
    engine::in_file(&file).with_context(|| format!("opening {} (--data)", file.display()))
}

/// The file that replaces the event bus, and the guard that removes a temporary one.
pub(super) fn bus(data: Option<&Path>) -> anyhow::Result<(PathBuf, Option<TempPath>)> {
    if let Some(data) = data {
        return Ok((data.join("events.ndjson"), None));
    }
    let file = tempfile::Builder::new().prefix("rollcall-events-").suffix(".ndjson").tempfile();
    let path = file.context("creating a file for the event bus")?.into_temp_path();
    Ok((path.to_path_buf(), Some(path)))
}

/// The folder of the backups: in the folder of `--data`, or a temporary folder named after the port of DynamoDB, so
/// that commands find it.
pub fn backups_folder(data: Option<&Path>, dynamodb_url: &str) -> PathBuf {
    let temporary = || {
        let port = dynamodb_url.trim_end_matches('/').rsplit(':').next().unwrap_or_default();
        std::env::temp_dir().join(format!("rollcall-{port}-backups"))
    };
    data.map_or_else(temporary, |data| data.join("backups"))
}

/// Creates the folder of the backups. Temporary backups of an earlier stack on the same port are removed.
pub(super) fn backups(data: Option<&Path>, dynamodb_url: &str) -> anyhow::Result<(PathBuf, Option<Folder>)> {
    // The folder exists already: the tables are in it.
    let data = data.map(Path::canonicalize).transpose().context("resolving the folder (--data)")?;
    let folder = backups_folder(data.as_deref(), dynamodb_url);
    let temporary = || Folder(folder.clone());
    if data.is_none() {
        drop(temporary());
    }
    let in_the_end = data.is_none().then(temporary);
    Ok((folder, in_the_end))
}

/// A folder that is removed when it is dropped.
pub(super) struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
