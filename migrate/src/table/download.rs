//! Stores a table as a file: a scan is no snapshot, so the file is the input of a migration from then on.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rollcall::adapters::dynamo::application::{ApplicationTable, Item};

use super::item::line;
use super::pass::TableError;
use crate::folder::{Folder, FolderError, prepare, stored_table};

/// A table in the folder of a migration.
#[derive(Debug, PartialEq, Eq)]
pub struct Stored {
    pub path: PathBuf,
    /// Whether an earlier run has stored it.
    pub is_earlier: bool,
}

/// Stores all rows of a table, a line of an export for each, readable for the owner only. A file of an earlier run is
/// kept. The table is held in memory page by page.
///
/// # Errors
///
/// [`TableError`]. The file is there only when it is complete.
pub async fn store(table: &ApplicationTable, folder: &Path, each: impl FnMut(u64)) -> Result<Stored, TableError> {
    let path = folder.join(stored_table(table.name()));
    if path.exists() {
        return Ok(Stored { path, is_earlier: true });
    }
    let failed = |source| FolderError::Io { path: path.clone(), source };
    prepare(folder)?;
    let draft = folder.join(format!("{}.draft", stored_table(table.name())));
    let file = open(&draft).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => return Err(FolderError::Busy { path: folder.to_owned() }.into()),
        Err(fs::TryLockError::Error(error)) => return Err(failed(error).into()),
    }
    file.set_len(0).map_err(failed)?;
    let mut lines = BufWriter::new(file);
    let add = |item: &Item| {
        lines.write_all(&line(item)).and_then(|()| lines.write_all(b"\n")).map_err(|source| failed(source).into())
    };
    read(table, add, each).await?;
    lines.flush().and_then(|()| lines.get_ref().sync_all()).map_err(failed)?;
    fs::rename(&draft, &path).map_err(failed)?;
    Ok(Stored { path, is_earlier: false })
}

/// Writes all rows of a table into a file of an open folder, in the place of an earlier one.
///
/// # Errors
///
/// [`TableError`].
pub async fn write(
    table: &ApplicationTable,
    folder: &Folder,
    name: &str,
    each: impl FnMut(u64),
) -> Result<(), TableError> {
    let mut lines = folder.create(name)?;
    read(table, |item| Ok(lines.add(&line(item))?), each).await?;
    Ok(lines.finish()?)
}

async fn read(
    table: &ApplicationTable,
    mut add: impl FnMut(&Item) -> Result<(), TableError>,
    mut each: impl FnMut(u64),
) -> Result<(), TableError> {
    let (mut from, mut rows) = (None, 0);
    loop {
        let (page, next) = table.page(from.as_ref()).await?;
        for item in &page {
            add(item)?;
            rows += 1;
        }
        each(rows);
        match next {
            Some(next) => from = Some(next),
            None => return Ok(()),
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).write(true).truncate(false).mode(0o600).open(path)
}
