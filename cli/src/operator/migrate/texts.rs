//! What `rollcall migrate` prints for people.

use rollcall::core::reconcile::rate_limiter::{WINDOW, requests};
use rollcall_migrate::metadata::outcome::Counts;
use rollcall_migrate::metadata::undo::Undone;

use crate::operator::text::{count, counted, table};

/// Clerk's limit, and the share of it that a migration uses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    /// In percent.
    pub(super) share: u8,
    pub(super) is_production: bool,
}

impl Rate {
    /// How long so many requests take.
    fn time(self, number: u64) -> String {
        let seconds = number * WINDOW.as_secs() / u64::from(requests(self.share, self.is_production));
        match seconds {
            0..60 => format!("{seconds} s"),
            60..3600 => format!("{} min", seconds / 60),
            _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        }
    }
}

/// The order of the results, and what each means.
const RESULTS: [(&str, &str); 9] = [
    ("unchanged", "Clerk has every value already"),
    ("changed", ""),
    ("changed_before", "an earlier run of this migration wrote the values"),
    (
        "conflict",
        "Clerk has another value: nothing of the user is written (--on-conflict source writes the row's value)",
    ),
    ("unmatched", "no user was found"),
    ("ambiguous", "it is unclear which user the row belongs to"),
    ("refused", "the row cannot be stored"),
    ("skipped", "deleted in the old system"),
    ("failed", "Clerk did not carry the change out"),
];

fn results(counts: &Counts, changed: &str) -> String {
    let mut rows = Vec::new();
    for (result, meaning) in RESULTS {
        if counts.of(result) == 0 {
            continue;
        }
        let meaning = if result == "changed" { changed } else { meaning };
        rows.push(vec![result.replace('_', " "), count(counts.of(result)), meaning.to_owned()]);
        for (reason, number) in counts.by_reason.get(result).into_iter().flatten() {
            rows.push(vec![String::new(), count(*number), format!("  {reason}")]);
        }
    }
    let mut text = table(&["result", "rows", "meaning"], &rows, 3);
    if !counts.by_rule.is_empty() {
        let rules = counts.by_rule.iter().map(|(rule, number)| format!("{} by {rule}", count(*number)));
        text.push_str(&format!("\n\nMatched: {}.", rules.collect::<Vec<_>>().join(", ")));
    }
    text
}

/// The plan.
pub(super) fn plan(counts: &Counts, instance: &str, rate: Option<Rate>) -> String {
    let changed = counts.of("changed");
    let cost = match changed {
        0 => String::new(),
        changed => {
            let pace =
                rate.map(|rate| format!(", at {} % of Clerk's rate limit about {}", rate.share, rate.time(changed)));
            format!(
                "\n\n{} to Clerk{}. Clerk sends a webhook user.updated for each.",
                counted(changed, "request"),
                pace.unwrap_or_default()
            )
        }
    };
    format!(
        "Plan of the migration of {} to the public metadata of Clerk instance {instance}: nothing is written yet\n\n{}{cost}",
        counted(counts.read, "row"),
        results(counts, "values are written to Clerk")
    )
}

/// The result.
pub(super) fn done(counts: &Counts) -> String {
    format!("Migrated {}\n\n{}", counted(counts.read, "row"), results(counts, "values were written to Clerk"))
}

/// What an undo did.
pub(super) fn undone(undone: &Undone) -> String {
    let rows = [
        ("restored", undone.restored, "the values from before are in Clerk again"),
        ("unchanged", undone.unchanged, "the values from before were there already"),
        ("changed since", undone.changed_since, "somebody has changed a value since the migration: that value stays"),
        ("gone", undone.gone, "Clerk does not have the user any more"),
        ("failed", undone.failed, "Clerk did not carry the change out: run the command again"),
    ];
    let rows = rows.into_iter().filter(|(_, number, _)| *number > 0);
    let rows: Vec<Vec<String>> =
        rows.map(|(result, number, meaning)| vec![result.to_owned(), count(number), meaning.to_owned()]).collect();
    if rows.is_empty() {
        "Nothing was left to undo.".to_owned()
    } else {
        table(&["result", "changes", "meaning"], &rows, 3)
    }
}
