//! Opens files and streams their rows.
//!
//! | input | recognised by | module |
//! | --- | --- | --- |
//! | `mongoexport`: extended JSON relaxed, canonical or v1; lines, `--jsonArray`, `--pretty` | content | `json` |
//! | NDJSON | content | `json` |
//! | `mongodump`: `<collection>.bson` | content | `bson_file` |
//! | DynamoDB: a line of an export, output of `aws dynamodb scan` | content | `dynamo` |
//! | DynamoDB: the folder of an export | its manifests | `dynamo::export` |
//! | CSV | [`Format::Csv`] | `csv` |
//! | COPY text of PostgreSQL | [`Format::Copy`] | `copy` |
//! | a plain `pg_dump` | [`Format::PgDump`] | `pg_dump` |
//!
//! Any of them may be packed by gzip, in one member or several. A byte order mark at the start is skipped. The text is
//! UTF-8.
//!
//! **Limits.** Memory grows with the largest row and not with the file: up to fifty times the bytes of a row in the
//! worst case, an array of tiny values, and a few times in ordinary ones. A row has at most [`Options::row_limit`]
//! bytes and 128 levels.
//!
//! **An error comes after the rows before it**: a damaged row, a cut end or a wrong checksum is found when the reader gets
//! there. So read an input to its end before anything is written. After an error the iterator ends.

mod bson_file;
mod copy;
mod csv;
mod dynamo;
mod error;
mod header;
mod json;
mod pg_dump;
mod recognise;
mod row;
mod source;
#[cfg(test)]
mod streaming;
mod value;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

pub use bson_file::MAX_DOCUMENT;
pub use error::{InputError, Place};
pub use row::{Field, Row};
pub use value::{Document, Value};

use bson_file::BsonFile;
use copy::Copy;
use csv::Csv;
use dynamo::export::{self, DataFile, Exported};
use dynamo::scan_output::{ScanOutput, is_scan_output};
use json::Documents;
use pg_dump::PgDump;
use recognise::Content;
use source::Source;

/// What the files are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Recognised by their content: everything but the formats below.
    #[default]
    Recognised,
    /// CSV with a header, in files with this delimiter.
    Csv { delimiter: u8 },
    /// COPY text with these columns, or with a header.
    Copy { columns: Option<Vec<String>> },
    /// The rows of a table in a plain dump. The name may have a schema before it, as `public.users`.
    PgDump { table: String },
}

/// What a file is, by its content and its [`Format`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Documents of MongoDB or NDJSON, in lines, spread over lines, or in one array.
    Json,
    Bson,
    /// An export or the output of a scan.
    DynamoDb,
    Csv {
        delimiter: u8,
        columns: Vec<String>,
    },
    Copy {
        columns: Vec<String>,
        has_header: bool,
    },
    PgDump,
}

/// How to read.
#[derive(Clone, Debug)]
pub struct Options {
    pub format: Format,
    /// Columns that CSV, COPY text or a dumped table must have: once each, in this case.
    pub columns: Vec<String>,
    /// The most bytes of one row, and of what is between two rows.
    pub row_limit: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options { format: Format::Recognised, columns: Vec::new(), row_limit: MAX_DOCUMENT }
    }
}

/// Opens files, and folders of DynamoDB exports, to be read one after another. Every file that is named is recognised
/// and its header is checked before this answers.
///
/// # Errors
/// A path cannot be read, is of a format that is refused, or lacks a column; an export lacks a file.
pub fn open<P: AsRef<Path>>(paths: &[P], options: Options) -> Result<Rows, InputError> {
    let mut pending = VecDeque::new();
    for path in paths.iter().map(AsRef::as_ref) {
        if path.is_dir() {
            pending.extend(export::data_files(path)?.into_iter().map(Input::Exported));
        } else {
            Reader::open(path, &options)?;
            pending.push_back(Input::File(path.to_owned()));
        }
    }
    Ok(Rows { options, pending, reader: None, after: Vec::new(), has_failed: false })
}

/// Says what a path is. Reads a header, or the first document.
///
/// # Errors
/// As [`open`], and if the first document cannot be read.
pub fn kind(path: &Path, options: &Options) -> Result<Kind, InputError> {
    if path.is_dir() {
        return Ok(Kind::DynamoDb);
    }
    Ok(match Reader::open(path, options)? {
        Reader::Documents(mut reader) => match reader.next()? {
            Some(Row { layout: row::Layout::Opaque, .. }) => Kind::DynamoDb,
            _ => Kind::Json,
        },
        Reader::Bson(_) => Kind::Bson,
        Reader::ScanOutput(_) | Reader::Exported(_) => Kind::DynamoDb,
        Reader::Csv(reader) => Kind::Csv { delimiter: reader.delimiter, columns: reader.header.names() },
        Reader::Copy(reader) => Kind::Copy {
            columns: reader.header.names(),
            has_header: matches!(&options.format, Format::Copy { columns: None }),
        },
        Reader::PgDump(_) => Kind::PgDump,
    })
}

/// The row of one line of a DynamoDB export.
///
/// # Errors
/// The line is none.
pub(crate) fn exported_row(source: Vec<u8>, place: Place) -> Result<Row, InputError> {
    let read = json::scan::scan(&source).and_then(|node| dynamo::exported(&node));
    let (value, deleted) = read.map_err(|fault| fault.within(&place, &source))?;
    Ok(Row { place, before: Vec::new(), source, value, deleted, layout: row::Layout::Opaque })
}

enum Input {
    File(PathBuf),
    Exported(DataFile),
}

/// The rows of the files.
pub struct Rows {
    options: Options,
    pending: VecDeque<Input>,
    reader: Option<Reader>,
    after: Vec<u8>,
    has_failed: bool,
}

impl Rows {
    /// The bytes after the last row of the file that was read last; whole once the iterator has ended. Somebody who
    /// writes a file again opens each on its own.
    pub fn after(&self) -> &[u8] {
        &self.after
    }

    fn read(&mut self) -> Result<Option<Row>, InputError> {
        loop {
            if let Some(reader) = &mut self.reader {
                if let Some(row) = reader.next()? {
                    return Ok(Some(row));
                }
                self.after = reader.after();
                self.reader = None;
            }
            self.reader = Some(match self.pending.pop_front() {
                None => return Ok(None),
                Some(Input::File(path)) => Reader::open(&path, &self.options)?,
                Some(Input::Exported(file)) => Reader::Exported(Exported::open(file, self.options.row_limit)?),
            });
        }
    }
}

impl Iterator for Rows {
    type Item = Result<Row, InputError>;

    fn next(&mut self) -> Option<Result<Row, InputError>> {
        if self.has_failed {
            return None;
        }
        let row = self.read();
        self.has_failed = row.is_err();
        row.transpose()
    }
}

/// The reader of one file.
enum Reader {
    Documents(Documents),
    Bson(BsonFile),
    ScanOutput(ScanOutput),
    Exported(Exported),
    Csv(Csv),
    Copy(Copy),
    PgDump(PgDump),
}

impl Reader {
    fn open(path: &Path, options: &Options) -> Result<Reader, InputError> {
        Reader::new(Source::open(path, options.row_limit)?, path, options)
    }

    fn new(mut source: Source, path: &Path, options: &Options) -> Result<Reader, InputError> {
        if recognise::is_gzip(source.head()?) {
            source = source.unpacked();
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_named_bson = name.ends_with(".bson") || name.ends_with(".bson.gz");
        let head = source.head()?;
        if options.format == Format::Recognised {
            let is_scan_output = is_scan_output(head);
            return match recognise::recognise(head, is_named_bson) {
                Ok(Content::Bson) => Ok(Reader::Bson(BsonFile::new(source))),
                Ok(Content::Json) if is_scan_output => Ok(Reader::ScanOutput(ScanOutput::new(source))),
                Ok(Content::Json) => Ok(Reader::Documents(Documents::new(source))),
                Err((problem, advice)) => Err(source.error(problem, advice)),
            };
        }
        if let Some((problem, advice)) = recognise::refused(head) {
            return Err(source.error(problem, advice));
        }
        let needed = &options.columns;
        Ok(match &options.format {
            Format::Csv { delimiter } => Reader::Csv(Csv::open(source, *delimiter, needed)?),
            Format::Copy { columns } => Reader::Copy(Copy::open(source, columns.as_deref(), needed)?),
            Format::PgDump { table } => Reader::PgDump(PgDump::new(source, table, needed)),
            Format::Recognised => Reader::Documents(Documents::new(source)),
        })
    }

    fn next(&mut self) -> Result<Option<Row>, InputError> {
        match self {
            Reader::Documents(reader) => reader.next(),
            Reader::Bson(reader) => reader.next(),
            Reader::ScanOutput(reader) => reader.next(),
            Reader::Exported(reader) => reader.next(),
            Reader::Csv(reader) => reader.next(),
            Reader::Copy(reader) => reader.next(),
            Reader::PgDump(reader) => reader.next(),
        }
    }

    fn after(&mut self) -> Vec<u8> {
        match self {
            Reader::Documents(reader) => std::mem::take(&mut reader.after),
            Reader::Csv(reader) => std::mem::take(&mut reader.after),
            Reader::Copy(reader) => std::mem::take(&mut reader.after),
            Reader::Bson(_) | Reader::ScanOutput(_) | Reader::Exported(_) | Reader::PgDump(_) => Vec::new(),
        }
    }
}
