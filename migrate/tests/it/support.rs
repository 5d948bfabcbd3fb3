//! Files for a test, and their rows.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use rollcall_migrate::input::{self, Format, InputError, Options, Row};
use tempfile::TempDir;

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

pub(crate) fn format(format: Format) -> Options {
    Options { format, ..Options::default() }
}

pub(crate) fn csv() -> Options {
    format(Format::Csv { delimiter: b',' })
}

/// A file in a folder of its own.
pub(crate) struct TestFile {
    _folder: TempDir,
    pub(crate) path: PathBuf,
}

pub(crate) fn file(name: &str, content: &[u8]) -> TestFile {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    TestFile { _folder: folder, path }
}

pub(crate) fn rows_of(path: &Path, options: Options) -> Result<Vec<Row>, InputError> {
    input::open(&[path], options)?.collect()
}

pub(crate) fn rows(content: &[u8], options: Options) -> Result<Vec<Row>, InputError> {
    rows_of(&file("input", content).path, options)
}

pub(crate) fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// The values of rows, as a text in which NaN equals NaN and -0.0 is not 0.0.
pub(crate) fn values(rows: &[Row]) -> String {
    rows.iter().map(|row| format!("{:?}\n", row.value)).collect()
}
