//! The folder of a DynamoDB export to S3: two manifests, and the files that they list.
//!
//! `manifest-summary.json` has the format and the number of items, `manifest-files.json` one JSON object a line with
//! the key, the number of items, and the checksums of a file. Full exports have their files in `data` beside the
//! manifests, incremental ones in `data` beside the folder. A file of 0 bytes is normal: its partition was empty.
//!
//! Checked when the folder is opened: each file is there, none more is in the export's own `data`, and the counts add
//! up. Checked when a file was read: its number of items, its MD5, and its ETag if it has the form of one part (others
//! need the size of a part, which is not in the manifest). So rows of a damaged file come before the error.
//!
//! Source: DynamoDB Developer Guide, "DynamoDB table export output format".

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};

use crate::input::error::{InputError, Place};
use crate::input::json::Documents;
use crate::input::row::Row;
use crate::input::source::Source;
use crate::input::value::{Document, Value};
use crate::words::counted;

const SYNC_AGAIN: &str = "copy the whole folder again: `aws s3 sync s3://BUCKET/PREFIX/AWSDynamoDB AWSDynamoDB`";
const JSON: &str = "export the table again with `--export-format DYNAMODB_JSON`";

/// A file of an export, as its manifest has it.
#[derive(Clone, Debug)]
pub(crate) struct DataFile {
    pub(crate) path: PathBuf,
    items: u64,
    md5: String,
    etag: Option<String>,
}

/// The files of an export, in the order of the manifest. `folder` is the export's own or `AWSDynamoDB` with one export
/// in it.
pub(crate) fn data_files(folder: &Path) -> Result<Vec<DataFile>, InputError> {
    let folder = find(folder)?;
    let (summary_path, files_path) = (folder.join("manifest-summary.json"), folder.join("manifest-files.json"));
    let summary = manifest(&summary_path)?;
    let [(place, summary)] = summary.as_slice() else {
        return Err(InputError::new(Place::start(&summary_path), "the manifest is not one JSON object", SYNC_AGAIN));
    };
    match summary.get("outputFormat") {
        Some(Value::Text(format)) if format == "DYNAMODB_JSON" => {}
        Some(Value::Text(format)) if format == "ION" => {
            return Err(InputError::new(place.clone(), "the export is in Amazon Ion", JSON));
        }
        _ => return Err(InputError::new(place.clone(), "`outputFormat` is not DYNAMODB_JSON", JSON)),
    }
    let files = manifest(&files_path)?;
    let files = files.iter().map(|(place, file)| data_file(&folder, place, file)).collect::<Result<Vec<_>, _>>()?;
    let items: u64 = files.iter().map(|file| file.items).sum();
    if whole(summary, "itemCount") != Some(items) {
        let problem = format!("`itemCount` is not {items}, the sum of the items in manifest-files.json");
        return Err(InputError::new(place.clone(), problem, SYNC_AGAIN));
    }
    let data = folder.join("data");
    for path in entries(&data).unwrap_or_default() {
        if !files.iter().any(|file| file.path == path) {
            let problem = "the file is in the folder of the export, but not in manifest-files.json";
            return Err(InputError::new(Place::start(&path), problem, "remove it, or give it as a path of its own"));
        }
    }
    Ok(files)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, InputError> {
    let entries = fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    let mut entries: Vec<PathBuf> = entries.map_err(|error| InputError::io(Place::start(folder), error))?;
    entries.sort();
    Ok(entries)
}

fn find(folder: &Path) -> Result<PathBuf, InputError> {
    let is_export =
        |folder: &PathBuf| folder.join("manifest-files.json").exists() || folder.join("manifest-summary.json").exists();
    if is_export(&folder.to_owned()) {
        return Ok(folder.to_owned());
    }
    let exports: Vec<PathBuf> = entries(folder)?.into_iter().filter(is_export).collect();
    match exports.as_slice() {
        [export] => Ok(export.clone()),
        [] => Err(InputError::new(
            Place::start(folder),
            "the folder has no manifest-summary.json, so it is no DynamoDB export",
            "give the files one by one; of a dump of mongodump give the collection's .bson",
        )),
        several => {
            let problem = format!("the folder has {} exports", several.len());
            Err(InputError::new(Place::start(folder), problem, "give the folder of one of them"))
        }
    }
}

/// The objects of a manifest.
fn manifest(path: &Path) -> Result<Vec<(Place, Document)>, InputError> {
    let text = fs::read(path).map_err(|error| InputError::io(Place::start(path), error))?;
    let mut documents = Documents::new(Source::new(Box::new(std::io::Cursor::new(text)), path, 1024 * 1024));
    let mut found = Vec::new();
    while let Some(row) = documents.next()? {
        found.push((row.place, row.value));
    }
    Ok(found)
}

fn whole(document: &Document, name: &str) -> Option<u64> {
    if let Some(Value::Int(number)) = document.get(name) { u64::try_from(*number).ok() } else { None }
}

fn data_file(folder: &Path, place: &Place, file: &Document) -> Result<DataFile, InputError> {
    let text = |name| if let Some(Value::Text(text)) = file.get(name) { Some(text.clone()) } else { None };
    let error = |problem: String| InputError::new(place.clone(), problem, SYNC_AGAIN);
    let key = text("dataFileS3Key").ok_or_else(|| error("`dataFileS3Key` is missing".to_owned()))?;
    let items = whole(file, "itemCount").ok_or_else(|| error("`itemCount` is missing or not a number".to_owned()))?;
    let md5 = text("md5Checksum").ok_or_else(|| error("`md5Checksum` is missing".to_owned()))?;
    let name = key.rsplit('/').next().filter(|name| !name.is_empty() && *name != "..").unwrap_or("(no name)");
    let candidates = [folder.join("data").join(name), folder.join("..").join("data").join(name)];
    let path = candidates.into_iter().find(|path| path.is_file());
    let path = path.ok_or_else(|| error(format!("the file `{name}` is missing in the folder `data`")))?;
    Ok(DataFile { path, items, md5, etag: text("etag") })
}

/// The rows of a file of an export.
pub(crate) struct Exported {
    documents: Documents,
    file: DataFile,
    rows: u64,
    digest: Arc<Mutex<Md5>>,
}

impl Exported {
    pub(crate) fn open(file: DataFile, limit: usize) -> Result<Exported, InputError> {
        let digest = Arc::new(Mutex::new(Md5::new()));
        let inner = fs::File::open(&file.path).map_err(|error| InputError::io(Place::start(&file.path), error))?;
        let mut source = Source::new(Box::new(Digested { inner, digest: digest.clone() }), &file.path, limit);
        if !source.head()?.is_empty() {
            source = source.unpacked();
        }
        Ok(Exported { documents: Documents::exported(source), file, rows: 0, digest })
    }

    pub(crate) fn next(&mut self) -> Result<Option<Row>, InputError> {
        let row = self.documents.next()?;
        self.rows += u64::from(row.is_some());
        if row.is_none() {
            self.check()?;
        }
        Ok(row)
    }

    fn check(&self) -> Result<(), InputError> {
        let error = |problem: String| Err(InputError::new(self.documents.place(), problem, SYNC_AGAIN));
        if self.rows != self.file.items {
            return error(format!(
                "the file has {}, but {} in the manifest",
                counted(self.rows, "item"),
                self.file.items
            ));
        }
        let digest = self.digest.lock().unwrap_or_else(PoisonError::into_inner).clone().finalize();
        if STANDARD.encode(digest) != self.file.md5 {
            return error("the MD5 of the file is not that of the manifest".to_owned());
        }
        if self.file.etag.as_ref().is_some_and(|etag| !is_possible(etag, &digest)) {
            return error("the ETag of the file is not that of the manifest".to_owned());
        }
        Ok(())
    }
}

/// Whether a file with this MD5 may have this ETag: the digest itself, or the digest of the parts' digests and their
/// number. Of more than one part it is not known.
fn is_possible(etag: &str, digest: &[u8]) -> bool {
    let hex = |digest: &[u8]| digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    match etag.split_once('-') {
        None => etag == hex(digest),
        Some((tag, "1")) => tag == hex(&Md5::digest(digest)),
        Some(_) => true,
    }
}

/// Takes the digest of the bytes that pass.
struct Digested<R> {
    inner: R,
    digest: Arc<Mutex<Md5>>,
}

impl<R: Read> Read for Digested<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.digest.lock().unwrap_or_else(PoisonError::into_inner).update(&buffer[..count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of AWS's guide.
    #[test]
    fn an_etag_of_one_part_is_the_digest_of_its_digest() {
        let digest = STANDARD.decode("sQMSpEILNgoQmarvDFonGQ==").unwrap();
        assert!(is_possible("af83d6f217c19b8b0fff8023d8ca4716-1", &digest));
        assert!(!is_possible("af83d6f217c19b8b0fff8023d8ca4717-1", &digest));
        assert!(is_possible("b10312a4420b360a1099aaef0c5a2719", &digest));
        assert!(!is_possible("af83d6f217c19b8b0fff8023d8ca4716", &digest));
        assert!(is_possible("af83d6f217c19b8b0fff8023d8ca4716-2", &digest));
    }
}
