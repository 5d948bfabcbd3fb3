//! The names of columns.

use std::ops::Range;

use super::value::{Document, Value};

/// Columns in the order of the file.
#[derive(Default)]
pub(crate) struct Header {
    /// `None` for a name that occurs more than once: nothing may ask for such a column.
    columns: Vec<Option<String>>,
}

impl Header {
    /// Every needed column must be there once, in the same case.
    ///
    /// # Errors
    /// The columns that are not, and all that are there.
    pub(crate) fn new(names: &[String], needed: &[String]) -> Result<Header, String> {
        let count = |wanted: &String| names.iter().filter(|name| *name == wanted).count();
        let problem = |wanted: &String| match count(wanted) {
            0 => match names.iter().find(|name| name.trim().eq_ignore_ascii_case(wanted.trim())) {
                Some(similar) => Some(format!("the column `{wanted}` is missing, and `{similar}` is another name")),
                None => Some(format!("the column `{wanted}` is missing")),
            },
            1 => None,
            count => Some(format!("the column `{wanted}` occurs {count} times")),
        };
        let mut problems: Vec<String> = needed.iter().filter_map(problem).collect();
        if !problems.is_empty() {
            let here: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            problems.push(format!("the columns are {}", here.join(", ")));
            return Err(problems.join("; "));
        }
        let columns = names.iter().map(|name| Some(name.clone()).filter(|name| count(name) == 1)).collect();
        Ok(Header { columns })
    }

    /// The names that occur once.
    pub(crate) fn names(&self) -> Vec<String> {
        self.columns.iter().flatten().cloned().collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.columns.len()
    }

    /// A record's fields by name, each with its bytes. A repeated column is left out.
    pub(crate) fn document(&self, fields: Vec<(Value, Range<usize>)>) -> (Document, Vec<Range<usize>>) {
        let named = self.columns.iter().zip(fields).filter_map(|(name, field)| Some((name.clone()?, field)));
        let (fields, spans) = named.map(|(name, (value, span))| ((name, value), span)).unzip();
        (Document::new(fields), spans)
    }
}
