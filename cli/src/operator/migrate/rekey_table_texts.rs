//! What `rollcall migrate rekey-table` prints for people.

use rollcall_migrate::table::outcome::{Counts, Outcome};
use rollcall_migrate::table::undo::Removed;

use super::reasons::explained;
use crate::operator::text::{count, counted, table};

const RESULTS: [(Outcome, &str); 10] = [
    (Outcome::Unchanged, "the row has every new attribute already"),
    (Outcome::Changed, ""),
    (Outcome::Skipped, "a reference is absent, null or empty (--allow-missing)"),
    (Outcome::Gone, "the row was deleted meanwhile"),
    (Outcome::Conflict, "left: the new attribute, or the row of the new table, is there with another value"),
    (Outcome::Unmatched, "left: a reference leads to no user"),
    (Outcome::Ambiguous, "left: it is unclear which user a reference means"),
    (Outcome::Missing, "left: a reference is absent, null or empty"),
    (Outcome::Refused, "left: a reference is in a list or no id, or DynamoDB rejects the row"),
    (Outcome::Failed, "left: the row was changed again and again; run the command again"),
];

fn results(counts: &Counts, changed: &str) -> String {
    let mut rows = Vec::new();
    for (outcome, meaning) in RESULTS {
        if counts.of(outcome) == 0 {
            continue;
        }
        let name: &str = outcome.into();
        let meaning = if outcome == Outcome::Changed { changed } else { meaning };
        rows.push(vec![name.to_owned(), count(counts.of(outcome)), meaning.to_owned()]);
        for (reason, number) in counts.by_reason.get(name).into_iter().flatten() {
            rows.push(vec![String::new(), count(*number), explained(reason)]);
        }
    }
    let mut text = table(&["result", "rows", "meaning"], &rows, 3);
    if counts.loose > 0 {
        text.push_str(&format!("\n\n{} only because types were not compared.", counted(counts.loose, "row")));
    }
    text
}

/// The plan.
pub(super) fn plan(counts: &Counts, name: &str, into: Option<&str>, lacks: &[String]) -> String {
    let what = match into {
        None => format!("Plan for {} of {name}: nothing is written yet", counted(counts.read, "row")),
        Some(new) => {
            format!("Plan for a copy of {} of {name} into {new}: nothing is written yet", counted(counts.read, "row"))
        }
    };
    let changed = if into.is_some() { "the row is copied" } else { "the new attributes are written" };
    let mut text = format!("{what}\n\n{}", results(counts, changed));
    text.push_str(&format!(
        "\n\nCost: about {} for each pass over the table, and about {}. Indexes cost more writes.",
        counted(counts.read_units, "read unit"),
        counted(counts.write_units, "write unit")
    ));
    for lack in lacks {
        text.push_str(&format!("\nThe new table lacks: {lack}"));
    }
    text
}

/// The result. `last` is the last pass over the table, which wrote nothing if the work is complete.
pub(super) fn done(last: &Counts, written: u64, is_settled: bool) -> String {
    let end = if is_settled {
        "The last pass over the table found nothing more to write."
    } else {
        "Rows were still written in the last pass, because other programs change the table: run the command again."
    };
    format!("{} written. {end}\n\n{}", counted(written, "row"), results(last, "written in the last pass"))
}

/// What an undo did.
pub(super) fn undone(removed: &Removed) -> String {
    let rows = [
        ("removed", removed.removed, "the value was removed"),
        ("absent", removed.absent, "the row has no value there, or does not exist any more"),
        ("changed since", removed.changed_since, "stays: the value, or the reference beside it, is another one now"),
        ("refused", removed.refused, "DynamoDB rejected the request: the value may still be there"),
    ];
    let rows = rows.into_iter().filter(|(_, number, _)| *number > 0);
    let rows: Vec<Vec<String>> =
        rows.map(|(result, number, meaning)| vec![result.to_owned(), count(number), meaning.to_owned()]).collect();
    table(&["result", "values", "meaning"], &rows, 3)
}
