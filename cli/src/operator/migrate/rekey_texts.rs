//! What `rollcall migrate rekey` prints for people.

use std::path::Path;

use rollcall_migrate::input::Kind;
use rollcall_migrate::rekey::drafts::Written;
use rollcall_migrate::rekey::outcome::{Counts, Outcome};

use super::reasons::explained;
use crate::operator::text::{count, counted, table};

const RESULTS: [(Outcome, &str); 7] = [
    (Outcome::Rekeyed, "passed with a new field"),
    (Outcome::Unchanged, "passed: every new field is there already"),
    (Outcome::Skipped, "passed without a new field: a reference is absent or null (--allow-missing)"),
    (Outcome::Kept, "passed without a new field: a reference leads to no user (--orphans keep)"),
    (Outcome::Unmatched, "left: a reference leads to no user"),
    (Outcome::Ambiguous, "left: it is unclear which user a reference means"),
    (Outcome::Conflict, "left: the new field is there with another value"),
];

/// The counts.
pub(super) fn results(counts: &Counts) -> String {
    let mut rows = Vec::new();
    for (outcome, meaning) in RESULTS {
        if counts.of(outcome) == 0 {
            continue;
        }
        let name: &str = outcome.into();
        rows.push(vec![name.to_owned(), count(counts.of(outcome)), meaning.to_owned()]);
        for (reason, number) in counts.by_reason.get(name).into_iter().flatten() {
            rows.push(vec![String::new(), count(*number), explained(reason)]);
        }
    }
    let mut text = counted(counts.read, "row");
    if !rows.is_empty() {
        text = format!("{text}\n\n{}", table(&["result", "rows", "meaning"], &rows, 3));
    }
    if counts.loose > 0 {
        text.push_str(&format!("\n\n{} only because types were not compared.", counted(counts.loose, "row")));
    }
    if counts.same_user > 0 {
        text.push_str(&format!(
            "\n\n{} with a user that another row has: in a unique collection only one of them can be imported.",
            counted(counts.same_user, "row")
        ));
    }
    text
}

/// The files, and what to do with them.
pub(super) fn files(written: &[Written], folder: &Path, table: Option<&str>) -> String {
    let mut lines = vec![format!("Files in {}:", folder.display())];
    for file in written {
        lines.extend(file.names().map(|(name, _)| format!("  {name}")));
    }
    lines.push("  left.ndjson".to_owned());
    for file in written {
        let (Some(patch), sql) = (&file.patch, &file.sql) else { continue };
        lines.push(String::new());
        match sql {
            Some(sql) => lines.push(format!(
                "To write {} into the table: cd {} && psql --set table={} --file {sql}",
                patch.name,
                folder.display(),
                table.unwrap_or("TABLE")
            )),
            None => {
                lines.push(format!(
                    "To write {0} into the collection: mongoimport --db DB --collection NAME --mode=merge --file {1}/{0}",
                    patch.name,
                    folder.display()
                ));
                lines.push(
                    "A row that was deleted since the export is created again with these fields alone: look for rows \
                     without the old reference afterwards."
                        .to_owned(),
                );
            }
        }
    }
    if written.iter().any(|file| file.kind == Kind::Json) {
        lines.push(String::new());
        lines.push("For rows in extended JSON v1 (mongo-tools before 4.2), give --legacy to mongoimport.".to_owned());
    }
    lines.join("\n")
}
