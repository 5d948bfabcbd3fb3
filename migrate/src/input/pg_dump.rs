//! One table's rows in a plain dump of PostgreSQL, by `pg_dump` or `supabase db dump --use-copy`.
//!
//! Rows are in a block, `COPY schema.table (columns) FROM stdin;` … `\.`. Blocks of other tables and the SQL around are
//! skipped; the dump is read to its end, so that a second table of the same name in another schema is noticed. A dump
//! with INSERT commands is refused.

use super::copy::{line_of, record};
use super::error::{InputError, Place};
use super::header::Header;
use super::json::RawRow;
use super::row::Row;
use super::source::Source;

const WITHOUT_INSERTS: &str = "dump the table with `pg_dump --data-only --table=NAME` and without --inserts (Supabase: `supabase db dump --data-only --use-copy`)";

/// As much of a line outside of the table's block as is looked at.
const LOOKED_AT: usize = 64 * 1024;

pub(crate) struct PgDump {
    source: Source,
    table: String,
    needed: Vec<String>,
    /// The table's columns, within its block.
    header: Option<Header>,
    /// The block's full name, once it was found.
    found: Option<String>,
    /// Other tables of the dump, for the error.
    others: Vec<String>,
}

impl PgDump {
    pub(crate) fn new(source: Source, table: &str, needed: &[String]) -> PgDump {
        let (table, needed) = (table.to_owned(), needed.to_vec());
        PgDump { source, table, needed, header: None, found: None, others: Vec::new() }
    }

    pub(crate) fn next(&mut self) -> Result<Option<Row>, InputError> {
        loop {
            let place = self.source.place();
            if let Some(header) = &self.header {
                if self.source.peek()?.is_none() {
                    return Err(self
                        .source
                        .error("the dump is cut: `\\.` is missing after the table's rows", WITHOUT_INSERTS));
                }
                let mut source = Vec::new();
                line_of(&mut self.source, &mut source)?;
                if source == b"\\." {
                    self.header = None;
                    continue;
                }
                return record(RawRow { place, before: Vec::new(), source }, header).map(Some);
            }
            let Some(line) = self.line()? else { return self.end() };
            self.look_at(&line, &place)?;
        }
    }

    fn end(&self) -> Result<Option<Row>, InputError> {
        if self.found.is_some() {
            return Ok(None);
        }
        let tables = if self.others.is_empty() { "none".to_owned() } else { self.others.join(", ") };
        let problem = format!("the dump has no rows of the table `{}`; tables with rows: {tables}", self.table);
        Err(self.source.error(problem, WITHOUT_INSERTS))
    }

    fn look_at(&mut self, line: &str, place: &Place) -> Result<(), InputError> {
        let insert = line.strip_prefix("INSERT INTO ").and_then(table_of);
        if let Some((table, _)) = insert.filter(|(table, _)| is_table(table, &self.table)) {
            let problem = format!("the rows of `{}` are INSERT commands", table.join("."));
            return Err(InputError::new(place.clone(), problem, WITHOUT_INSERTS));
        }
        let copy = line.strip_prefix("COPY ").and_then(table_of);
        let Some((table, rest)) = copy.filter(|(_, rest)| rest.trim_end().ends_with(" FROM stdin;")) else {
            return Ok(());
        };
        let name = table.join(".");
        if !is_table(&table, &self.table) {
            if self.others.len() < 20 {
                self.others.push(format!("`{name}`"));
            }
            while self.line()?.is_some_and(|line| line != "\\.") {}
            return Ok(());
        }
        if let Some(found) = &self.found {
            let problem = format!("the dump has rows of `{found}` and of `{name}`");
            return Err(InputError::new(place.clone(), problem, "name the table with its schema"));
        }
        let columns = columns(rest).ok_or_else(|| {
            InputError::new(
                place.clone(),
                format!("the columns of `{name}` are not named in the COPY command"),
                WITHOUT_INSERTS,
            )
        })?;
        let header = Header::new(&columns, &self.needed);
        self.header =
            Some(header.map_err(|problem| InputError::new(place.clone(), problem, "map columns that the table has"))?);
        self.found = Some(name);
        Ok(())
    }

    /// The next line without its end; only its beginning, if it is long. What is not UTF-8 is of no interest here.
    fn line(&mut self) -> Result<Option<String>, InputError> {
        if self.source.peek()?.is_none() {
            return Ok(None);
        }
        let mut line = Vec::new();
        loop {
            let chunk = self.source.chunk()?;
            let found = chunk.iter().position(|byte| *byte == b'\n');
            let count = found.map_or(chunk.len(), |at| at + 1);
            line.extend_from_slice(&chunk[..count.min(LOOKED_AT.saturating_sub(line.len()))]);
            self.source.skip(count);
            if found.is_some() || count == 0 {
                let line = String::from_utf8_lossy(&line);
                return Ok(Some(line.trim_end_matches(['\r', '\n']).to_owned()));
            }
        }
    }
}

/// `"a b"."c" rest` or `a.c rest`, as the parts of the name and the rest.
fn table_of(text: &str) -> Option<(Vec<String>, &str)> {
    let (first, rest) = identifier(text)?;
    match rest.strip_prefix('.') {
        None => Some((vec![first], rest)),
        Some(rest) => identifier(rest).map(|(second, rest)| (vec![first, second], rest)),
    }
}

/// An identifier of SQL, without its quotes, and the rest.
fn identifier(text: &str) -> Option<(String, &str)> {
    let Some(mut rest) = text.strip_prefix('"') else {
        let end = text.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '$'))).unwrap_or(text.len());
        return (end > 0).then(|| (text[..end].to_owned(), &text[end..]));
    };
    let mut name = String::new();
    loop {
        let (part, after) = rest.split_once('"')?;
        name.push_str(part);
        match after.strip_prefix('"') {
            Some(after) => {
                name.push('"');
                rest = after;
            }
            None => return Some((name, after)),
        }
    }
}

/// `(a, "B c") FROM stdin;` as names.
fn columns(text: &str) -> Option<Vec<String>> {
    let mut rest = text.trim_start().strip_prefix('(')?;
    let mut names = Vec::new();
    loop {
        let (name, after) = identifier(rest.trim_start())?;
        names.push(name);
        rest = after.trim_start();
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None => return rest.starts_with(')').then_some(names),
        }
    }
}

/// Whether the operator means this table: by its name, or by schema and name.
fn is_table(table: &[String], wanted: &str) -> bool {
    table.join(".") == wanted || table.last().is_some_and(|name| name == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_with_and_without_quotes() {
        let (table, rest) = table_of(r#"public."my ""Users""" (id, "E mail", created_at) FROM stdin;"#).unwrap();
        assert_eq!(table, ["public", "my \"Users\""]);
        assert_eq!(columns(rest).unwrap(), ["id", "E mail", "created_at"]);
        assert!(is_table(&table, "my \"Users\""));
        assert!(!is_table(&table, "Users"));
        assert_eq!(columns(" FROM stdin;"), None);
        assert!(table_of("\"open").is_none());
    }
}
