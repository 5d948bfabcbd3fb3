//! Criterion 6: the exports from before the rekey exist, can be read to their ends, and are of these collections, as far as
//! the number of rows and their ids show it.

use std::io::ErrorKind;

use serde::Serialize;

use crate::input::{InputError, Row};
use crate::metadata::survey::{Input, Mark, Marks, mark};
use crate::metadata::values::legacy_id;
use crate::words::counted;

/// Ids of a collection in memory, 16 bytes each. If the backup has none of them, the next ones are looked for.
const HELD: usize = 1 << 20;
/// The fields that name a row if the operator names none.
const IDS: [&str; 2] = ["_id", "id"];

/// The collection of a backup.
#[derive(Clone, Debug)]
pub struct Original {
    pub name: String,
    pub input: Input,
    /// The hash of its files, which are no backup of themselves.
    pub sha256: String,
    /// Its rows, without those that an incremental export reports as deleted.
    pub rows: u64,
    /// The field that names a row, if it is neither `_id` nor `id`.
    pub id: Option<String>,
}

/// A backup that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Backup {
    pub collection: String,
    pub files: Vec<String>,
    pub rows: u64,
    pub collection_rows: u64,
    /// Whether a row has the id of a row of the collection; nothing if the rows of the collection have no ids.
    pub shares_an_id: Option<bool>,
    pub sha256: Option<String>,
    /// Why it does not count.
    pub problem: Option<String>,
}

/// Reads a backup to its end.
pub fn read_back(original: &Original, input: &Input, each: impl FnMut(u64)) -> Backup {
    read_holding(HELD, original, input, each)
}

fn read_holding(most: usize, original: &Original, input: &Input, each: impl FnMut(u64)) -> Backup {
    let files: Vec<String> = input.paths.iter().map(|path| path.display().to_string()).collect();
    let (collection, collection_rows) = (original.name.clone(), original.rows);
    let mut backup = Backup { collection, files, collection_rows, ..Backup::default() };
    let read = compare(most, original, input, &mut backup, each);
    backup.sha256 = input.digest().ok();
    backup.problem = match read {
        Err(error) if error.source.as_ref().is_some_and(|source| source.kind() == ErrorKind::NotFound) => {
            Some(format!(
                "there is no file {}: correct `backup` of the collection {} in the verify file; paths are relative to the folder \
             of that file",
                error.place.file.display(),
                original.name
            ))
        }
        Err(error) => Some(error.to_string()),
        Ok(()) => doubt(original, &backup),
    };
    backup
}

/// Counts the rows of the backup, and looks for an id of the collection.
fn compare(
    most: usize,
    original: &Original,
    input: &Input,
    backup: &mut Backup,
    mut each: impl FnMut(u64),
) -> Result<(), InputError> {
    let mut ids = ids(original)?;
    let mut next = ids.by_ref().take(most).collect::<Result<Vec<Mark>, _>>()?;
    let has_ids = !next.is_empty();
    let mut held = Marks::of(next);
    let mut is_found = false;
    for row in input.rows()? {
        let row = row?;
        if !row.deleted {
            backup.rows += 1;
            each(backup.rows);
            is_found = is_found || id(&row, original).is_some_and(|id| held.has(&id));
        }
    }
    while !is_found && backup.rows >= original.rows {
        next = ids.by_ref().take(most).collect::<Result<_, _>>()?;
        if next.is_empty() {
            break;
        }
        held = Marks::of(next);
        for (row, number) in input.rows()?.zip(1..) {
            each(number);
            if id(&row?, original).is_some_and(|id| held.has(&id)) {
                is_found = true;
                break;
            }
        }
    }
    backup.shares_an_id = has_ids.then_some(is_found);
    Ok(())
}

/// The ids of the collection's rows.
fn ids(original: &Original) -> Result<impl Iterator<Item = Result<Mark, InputError>> + use<'_>, InputError> {
    let mark_of = |row: Result<Row, InputError>| match row {
        Ok(row) if row.deleted => None,
        Ok(row) => id(&row, original).map(|id| Ok(mark(&id))),
        Err(error) => Some(Err(error)),
    };
    Ok(original.input.rows()?.filter_map(mark_of))
}

/// The text of a row's id: an ObjectId and its digits are the same row.
fn id(row: &Row, original: &Original) -> Option<String> {
    let at = |path: &str| legacy_id(&row.value, path).ok().flatten().map(|id| id.text);
    match &original.id {
        Some(path) => at(path),
        None => IDS.into_iter().find_map(at),
    }
}

/// Why a backup that was read does not count.
fn doubt(original: &Original, backup: &Backup) -> Option<String> {
    let Original { name, id, .. } = original;
    let files = backup.files.join(", ");
    let (has, rows) = (counted(backup.rows, "row"), counted(original.rows, "row"));
    if backup.sha256.as_deref() == Some(original.sha256.as_str()) {
        return Some(format!(
            "{files} has the same bytes as the export after the rekey: name the export of {name} from before"
        ));
    }
    if backup.rows < original.rows {
        return Some(format!(
            "{files} has {has}, and the collection {name} has {rows}: name an export from before the rekey that has all \
             rows. If rows were written since, export them to another file, and add it to `backup`"
        ));
    }
    match (backup.shares_an_id, id) {
        (Some(false), _) => Some(format!(
            "{files} has {has}, the collection {name} has {rows}, and no row of the backup has the {} of a row of the \
             collection: name the export of {name} from before the rekey",
            field(id.as_deref())
        )),
        (None, Some(field)) if original.rows > 0 => Some(format!(
            "no row of the collection {name} has an id in {field}: correct `id` of the collection in the verify file"
        )),
        _ => None,
    }
}

/// The field whose values were compared.
pub(super) fn field(id: Option<&str>) -> String {
    id.map_or_else(|| IDS.join(" or "), str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::input::Options;

    fn input(folder: &Path, name: &str, rows: &[&str]) -> Input {
        let path = folder.join(name);
        std::fs::write(&path, rows.iter().map(|row| format!("{row}\n")).collect::<String>()).unwrap();
        Input { paths: vec![path], options: Options::default() }
    }

    fn read(most: usize, id: Option<&str>, collection: &[&str], backup: &[&str]) -> Backup {
        let folder = tempfile::tempdir().unwrap();
        let collection = input(folder.path(), "after.json", collection);
        let original = Original {
            name: "profiles".to_owned(),
            sha256: collection.digest().unwrap(),
            rows: collection.rows().unwrap().count() as u64,
            input: collection,
            id: id.map(str::to_owned),
        };
        read_holding(most, &original, &input(folder.path(), "before.json", backup), |_| {})
    }

    const OID: &str = "65a0000000000000000000a1";

    #[test]
    fn a_backup_has_no_fewer_rows_and_an_id_of_the_collection() {
        let oid = &format!(r#"{{"_id":{{"$oid":"{OID}"}}}}"#);
        let text = &format!(r#"{{"_id":"{OID}","u":1}}"#);
        for (id, collection, backup, shares, problem) in [
            (None, &[r#"{"_id":1,"u":1}"#][..], &[r#"{"_id":2}"#, r#"{"_id":1}"#][..], Some(true), ""),
            (None, &[r#"{"id":"a","u":1}"#], &[r#"{"id":"a"}"#], Some(true), ""),
            (None, &[text], &[oid], Some(true), ""),
            (None, &[r#"{"k":1,"u":1}"#], &[r#"{"k":2}"#], None, ""),
            (Some("k.x"), &[r#"{"k":{"x":1},"u":1}"#], &[r#"{"k":{"x":1}}"#], Some(true), ""),
            (
                None,
                &[r#"{"_id":1}"#, r#"{"_id":2}"#],
                &[r#"{"_id":1}"#],
                Some(true),
                "has 1 row, and the collection profiles has 2 rows",
            ),
            (None, &[r#"{"_id":1}"#], &[], Some(false), "has 0 rows, and the collection profiles has 1 row:"),
            (
                None,
                &[r#"{"_id":1}"#],
                &[r#"{"_id":2}"#, r#"{"a":1}"#],
                Some(false),
                "has 2 rows, the collection profiles has 1 row, and no row",
            ),
            (None, &[r#"{"_id":1}"#], &[r#"{"k":1}"#], Some(false), "no row of the backup has the _id or id of a row"),
            (Some("k"), &[r#"{"k":1}"#], &[r#"{"_id":1}"#], Some(false), "no row of the backup has the k of a row"),
            (Some("k"), &[r#"{"_id":1,"u":1}"#], &[r#"{"_id":1}"#], None, "has an id in k: correct `id`"),
            (None, &[r#"{"_id":1}"#], &[r#"{"_id":1}"#], Some(true), "the same bytes"),
        ] {
            let backup = read(HELD, id, collection, backup);
            let found = backup.problem.clone().unwrap_or_default();
            assert_eq!((backup.shares_an_id, found.is_empty()), (shares, problem.is_empty()), "{backup:?}");
            assert!(found.contains(problem), "no {problem:?} in {found:?}");
        }
    }

    #[test]
    fn ids_are_looked_for_in_parts_that_fit_into_memory() {
        let collection = [r#"{"_id":1}"#, r#"{"_id":2}"#, r#"{"_id":3}"#, r#"{"_id":4}"#, r#"{"_id":5}"#];
        let backup = |last: &'static str| [r#"{"_id":9}"#, r#"{"_id":8}"#, r#"{"_id":7}"#, r#"{"_id":6}"#, last];
        for most in 1..7 {
            assert_eq!(read(most, None, &collection, &backup(r#"{"_id":5}"#)).shares_an_id, Some(true), "{most}");
            assert_eq!(read(most, None, &collection, &backup(r#"{"_id":0}"#)).shares_an_id, Some(false), "{most}");
        }
    }
}
