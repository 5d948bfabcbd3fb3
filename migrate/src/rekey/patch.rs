//! The rows' ids and their new fields, as a file of changes: a line of JSON for `mongoimport --mode=merge`, or a record of
//! CSV for `UPDATE … FROM`.
//!
//! Writes since the export survive, because nothing else of a row is written.

use bson::{Bson, RawDocument};

use super::decide::{Decision, Spot};
use super::splice::{Syntax, ids, text};
use super::terms::Terms;
use crate::input::{Kind, Row, Value};
use crate::references::Users;

/// The files of changes are CSV with commas.
pub const CSV: Syntax = Syntax::Csv { delimiter: b',' };

/// A line of JSON with the row's id; nothing if the row has none.
///
/// The id of a JSON row has the row's own bytes, without space between its parts; that of a BSON row is canonical
/// extended JSON.
pub fn json(row: &Row, decision: &Decision, terms: &Terms) -> Option<Vec<u8>> {
    let found = row.fields(&terms.id).ok()?;
    let [id] = found.as_slice() else { return None };
    if matches!(id.value, Value::Null | Value::Array(_)) {
        return None;
    }
    let id = match &id.span {
        Some(span) => compact(&row.source[span.clone()]),
        None => canonical(&bson_field(&row.source, &terms.id)?).into_bytes(),
    };
    let mut line = format!("{{{}:", text(&terms.id)).into_bytes();
    line.extend(id);
    for field in decision.fields.iter().filter(|field| field.spot != Spot::Same) {
        line.extend(format!(",{}:{}", text(&field.path), ids(&field.users)).bytes());
    }
    line.push(b'}');
    Some(line)
}

/// A record of CSV with the row's id and the Clerk id of each reference; nothing if the row has no id.
pub fn record(row: &Row, decision: &Decision, terms: &Terms) -> Option<Vec<u8>> {
    let Some(Value::Text(id)) = row.value.get(&terms.id) else { return None };
    let mut line = CSV.field(id);
    for number in 0..terms.references.len() {
        line.push(b',');
        let field = decision.fields.iter().find(|field| field.reference == number);
        if let Some(Users::One(user)) = field.map(|field| &field.users) {
            line.extend(CSV.field(user.as_str()));
        }
    }
    Some(line)
}

/// The header of a patch in CSV.
pub fn header(terms: &Terms) -> Vec<u8> {
    let names = std::iter::once(terms.id.as_str()).chain(terms.references.iter().map(|one| one.target.as_str()));
    names.map(|name| CSV.field(name)).collect::<Vec<_>>().join(&b","[..])
}

/// The SQL that writes a patch into a table, whose name psql gets as the variable `table`.
pub fn sql(file: &str, terms: &Terms) -> String {
    let id = identifier(&terms.id);
    let columns: Vec<String> = terms.references.iter().map(|reference| identifier(&reference.target)).collect();
    let each = |form: &dyn Fn(&String) -> String| columns.iter().map(form).collect::<Vec<_>>();
    let (temporary, added) = (
        each(&|column| format!("{column} text")).join(", "),
        each(&|column| format!("ALTER TABLE :table ADD COLUMN IF NOT EXISTS {column} text;\n")).concat(),
    );
    // What was written since the export stays: the row may belong to another user now.
    let set = each(&|column| format!("{column} = coalesce(row.{column}, patch.{column})")).join(", ");
    format!(
        "\\set ON_ERROR_STOP on\nBEGIN;\n\
         CREATE TEMPORARY TABLE rollcall_patch ({id} text PRIMARY KEY, {temporary}) ON COMMIT DROP;\n\
         \\copy rollcall_patch FROM '{}' WITH (FORMAT csv, HEADER)\n\
         {added}\
         UPDATE :table AS row SET {set} FROM rollcall_patch AS patch WHERE row.{id}::text = patch.{id};\n\
         COMMIT;\n",
        file.replace('\'', "''")
    )
}

/// A name in SQL.
fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Whether a patch of this kind of file is CSV.
pub(crate) fn is_csv(kind: &Kind) -> bool {
    matches!(kind, Kind::Csv { .. } | Kind::Copy { .. } | Kind::PgDump)
}

/// JSON without the space outside its strings: one line.
fn compact(json: &[u8]) -> Vec<u8> {
    let (mut is_in_string, mut is_escaped) = (false, false);
    let is_kept = |byte: &u8| {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_in_string => is_escaped = true,
            b'"' => is_in_string = !is_in_string,
            _ => {}
        }
        is_in_string || !byte.is_ascii_whitespace()
    };
    json.iter().copied().filter(is_kept).collect()
}

fn bson_field(document: &[u8], path: &str) -> Option<Bson> {
    let mut document = RawDocument::from_bytes(document).ok()?;
    let (parents, name) = path.rsplit_once('.').unwrap_or(("", path));
    for parent in parents.split('.').filter(|parent| !parent.is_empty()) {
        document = document.get_document(parent).ok()?;
    }
    document.get(name).ok()??.try_into().ok()
}

/// Canonical extended JSON. The crate's own would sort the fields of a document, which then is another id.
fn canonical(value: &Bson) -> String {
    match value {
        Bson::Document(document) => {
            let fields = document.iter().map(|(name, value)| format!("{}:{}", text(name), canonical(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
        Bson::Array(values) => format!("[{}]", values.iter().map(canonical).collect::<Vec<_>>().join(",")),
        value => value.clone().into_canonical_extjson().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use bson::doc;
    use bson::oid::ObjectId;

    use super::*;
    use crate::rekey::terms::Emit;

    /// The row may have got another user, with the new field, since the export.
    #[test]
    fn a_patch_in_sql_keeps_a_new_field_that_has_a_value() {
        let terms = Terms {
            references: vec!["user_id".parse().unwrap()],
            loose: false,
            allow_missing: false,
            keep: false,
            unique: false,
            emit: Emit::Patch,
            id: "id".into(),
        };
        let text = sql("patch.csv", &terms);
        let set = r#"SET "clerk_user_id" = coalesce(row."clerk_user_id", patch."clerk_user_id") FROM"#;
        assert!(text.contains(set), "{text}");
    }

    #[test]
    fn space_goes_outside_strings_only() {
        let text = b"{\n\t\"$oid\" : \"a b\\\" c\"\r\n}";
        assert_eq!(String::from_utf8(compact(text)).unwrap(), r#"{"$oid":"a b\" c"}"#);
        assert_eq!(compact(b"-0.0"), b"-0.0");
    }

    #[test]
    fn ids_of_bson_are_canonical_and_keep_the_order_of_their_fields() {
        let id = ObjectId::parse_str("64b0000000000000000000b1").unwrap();
        let document = doc! { "_id": { "z": id, "a": 7, "n": 1.5 }, "in": { "id": "x" } };
        let bytes = document.to_vec().unwrap();
        assert_eq!(
            canonical(&bson_field(&bytes, "_id").unwrap()),
            r#"{"z":{"$oid":"64b0000000000000000000b1"},"a":{"$numberInt":"7"},"n":{"$numberDouble":"1.5"}}"#
        );
        assert_eq!(canonical(&bson_field(&bytes, "in.id").unwrap()), "\"x\"");
        assert!(bson_field(&bytes, "in.none").is_none());
    }
}
