//! One row of an input: its place, its bytes, its value.

use std::ops::Range;

use super::error::{InputError, Place};
use super::json::scan;
use super::value::{self, Document, Step, Value};

/// A document of MongoDB or NDJSON, an item of DynamoDB, or a record of CSV or COPY text.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Where `source` begins.
    pub place: Place,
    /// The bytes between the previous row, or the start of the file, and this row: byte order mark, header, line ends,
    /// commas. With [`Rows::after`](super::Rows::after), `before` and `source` of all rows are the file, byte for byte.
    /// Empty for BSON, which has nothing between documents, and for DynamoDB and pg_dump, whose files are not written
    /// again.
    pub before: Vec<u8>,
    /// The row's own bytes, without a line end. For BSON the document.
    pub source: Vec<u8>,
    /// The fields. Columns of CSV and COPY text are strings or null: their types are not in the file.
    pub value: Document,
    /// Only in an incremental export of DynamoDB: the item was deleted, and `value` is its key.
    pub deleted: bool,
    pub(crate) layout: Layout,
}

/// How the values lie in the source bytes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Layout {
    /// A JSON document; spans are found when somebody asks.
    Json,
    /// The span of each column of the value, in its order.
    Columns(Vec<Range<usize>>),
    /// BSON and DynamoDB: a value cannot be spliced there.
    Opaque,
}

/// A value found by a path.
#[derive(Clone, Debug, PartialEq)]
pub struct Field<'a> {
    /// The path with the indexes of arrays, as `members.2.user_id`.
    pub path: String,
    pub value: &'a Value,
    /// The value's bytes in [`Row::source`], with its quotes and braces. `None` for BSON and DynamoDB.
    pub span: Option<Range<usize>>,
}

impl Row {
    /// Whether the row is a record of CSV or COPY text, whose names are columns and no paths.
    pub(crate) fn is_record(&self) -> bool {
        matches!(self.layout, Layout::Columns(_))
    }

    /// The fields at a dotted path, in the order of the source; none if there are none. As in MongoDB's queries, a name
    /// goes into every document of an array, and a number is an index of an array. A name with a dot in it is
    /// found only if it is that of a column.
    ///
    /// # Errors
    /// None for a row from [`Rows`](super::Rows), whose source has been read before.
    pub fn fields(&self, path: &str) -> Result<Vec<Field<'_>>, InputError> {
        match &self.layout {
            Layout::Columns(spans) => {
                let columns = self.value.iter().zip(spans).filter(|((name, _), _)| *name == path);
                let field = |((name, value), span): ((&str, _), &Range<usize>)| Field {
                    path: name.to_owned(),
                    value,
                    span: Some(span.clone()),
                };
                Ok(columns.map(field).collect())
            }
            Layout::Opaque => Ok(value::find(&self.value, path).iter().map(|found| field(found, None)).collect()),
            Layout::Json => {
                let found = value::find(&self.value, path);
                if found.is_empty() {
                    return Ok(Vec::new());
                }
                let root = scan::scan(&self.source).map_err(|fault| fault.within(&self.place, &self.source))?;
                Ok(found.iter().map(|found| field(found, root.at(&found.0).map(|node| node.span()))).collect())
            }
        }
    }
}

fn field<'a>((steps, value): &(Vec<Step>, &'a Value), span: Option<Range<usize>>) -> Field<'a> {
    let step = |step: &Step| match step {
        Step::Name(name) => name.clone(),
        Step::Index(index) => index.to_string(),
    };
    Field { path: steps.iter().map(step).collect::<Vec<_>>().join("."), value, span }
}
