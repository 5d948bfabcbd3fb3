//! Criterion 6: the exports from before the rekey exist, and can be read to their ends.

use serde::Serialize;

use crate::metadata::survey::Input;

/// A backup that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Backup {
    pub collection: String,
    pub rows: u64,
    pub sha256: Option<String>,
    /// Why it does not count.
    pub problem: Option<String>,
}

/// Reads a backup to its end. `now` is the hash of the collection's own files, which are no backup of themselves, and
/// `rows` how many rows they have.
pub fn read_back(collection: &str, input: &Input, now: &str, rows: u64, mut each: impl FnMut(u64)) -> Backup {
    let mut backup = Backup { collection: collection.to_owned(), ..Backup::default() };
    let mut read = || -> Result<(), String> {
        for row in input.rows().map_err(|error| error.to_string())? {
            row.map_err(|error| error.to_string())?;
            backup.rows += 1;
            each(backup.rows);
        }
        Ok(())
    };
    let problem = read().err();
    backup.sha256 = input.digest().ok();
    backup.problem = problem.or_else(|| match &backup.sha256 {
        Some(hash) if hash == now => {
            Some("the backup has the same bytes as the export after the rekey: name the one from before".to_owned())
        }
        _ if backup.rows == 0 && rows > 0 => Some("the backup has no row, and the collection has some".to_owned()),
        _ => None,
    });
    backup
}
