//! The plan and the result of a clean-up as text.

use rollcall::core::millis::Millis;

use super::super::context::OperatorContext;
use super::super::fix::INCOMPLETE;
use super::super::text::{count, counted, moment, table};
use super::{Cleaned, Plan, RestoredUser, TableCounts};

/// So many ids of each kind are shown.
const MAX_SHOWN: usize = 20;
/// So many backups are named.
const MAX_BACKUPS: usize = 20;

/// The plan.
pub(in super::super) fn plan(plan: &Plan<'_>, context: &OperatorContext) -> String {
    let counts = &plan.counts;
    let row = |(name, it): (&String, &TableCounts)| {
        let owners = [it.rows, it.live, it.due, it.kept, it.remove, it.redact, it.unknown, it.conflict, it.unproven];
        let numbers = owners.into_iter().chain([it.restored, it.nameless]).map(count);
        std::iter::once(name.clone()).chain(numbers).collect()
    };
    let rows: Vec<Vec<String>> = counts.tables.iter().map(row).collect();
    let header = [
        "table",
        "rows",
        "live",
        "due",
        "kept",
        "to remove",
        "to redact",
        "unknown",
        "conflict",
        "unproven",
        "restored",
        "no user",
    ];
    let mut parts = vec![table(&header, &rows, 1)];
    for (name, number, meaning) in [
        ("unknown", counts.unknown_users, "of whom the Directory knows nothing; their rows are not removed"),
        ("conflict", counts.conflicts, "deleted in the Directory, but existing in Clerk; their rows are not removed"),
        ("unproven", counts.unproven_users, "deleted, but not confirmed by Clerk; their rows are not removed"),
    ] {
        if number > 0 {
            let ids = counts.ids.get(name).map(|ids| &ids[..ids.len().min(MAX_SHOWN)]).unwrap_or_default();
            let more = if number > u64::try_from(ids.len()).unwrap_or_default() { "\n  …" } else { "" };
            parts.push(format!("{} {meaning}:\n  {}{more}", counted(number, "user"), ids.join("\n  ")));
        }
    }
    if counts.restored_users > 0 {
        let user = |it: &RestoredUser| {
            let at =
                i64::try_from(it.restored_at).ok().and_then(|at| Millis::try_from(at).ok()).unwrap_or(Millis::ZERO);
            format!("  {} restored at {} from {}", it.id, moment(at), it.backup)
        };
        let users: Vec<String> = counts.restored.iter().take(MAX_SHOWN).map(user).collect();
        let more = if counts.restored_users > u64::try_from(users.len()).unwrap_or_default() { "\n  …" } else { "" };
        parts.push(format!(
            "{} whose rows were restored, and who are still deleted; their rows are removed only with --restored:\n{}{more}",
            counted(counts.restored_users, "user"),
            users.join("\n")
        ));
    }
    parts
        .extend(counts.missing_tables.iter().map(|table| format!("Table {table} does not exist: check OWNED_TABLES.")));
    parts.push(match (counts.users, &context.operator.deletions.purger) {
        (_, None) => "DELETION_POLICY=retain: the rows of deleted users are kept.".to_owned(),
        (0, Some(_)) => "There is nothing to remove.".to_owned(),
        (users, Some(purger)) => format!(
            "Removing concerns {} whose deletion is proven; backups go to {}.",
            counted(users, "user"),
            purger.backups.place()
        ),
    });
    parts.join("\n\n")
}

/// The result.
pub(in super::super) fn done(done: &Cleaned, context: &OperatorContext) -> String {
    let rows: Vec<Vec<String>> = done.removed.iter().map(|(table, rows)| vec![table.clone(), count(*rows)]).collect();
    let removed = || table(&["table", "removed or redacted"], &rows, 1);
    let mut lines = vec![match (rows.is_empty(), done.complete) {
        (true, true) => "Nothing was removed.".to_owned(),
        // A request on its way may have removed rows.
        (true, false) => "No removed row is counted.".to_owned(),
        // A user is counted when all rows of the user are processed.
        (false, false) if done.users == 0 => format!("Rows of one user, in part:\n{}", removed()),
        (false, _) => format!("Rows of {}:\n{}", counted(done.users, "user"), removed()),
    }];
    if let Some(purger) = &context.operator.deletions.purger {
        let shown = done.backups.iter().take(MAX_BACKUPS);
        lines.extend(shown.map(|backup| format!("Backup: {}/{backup}", purger.backups.place())));
        if done.backups.len() > MAX_BACKUPS {
            lines.push(format!("And {} more backups: see --json.", done.backups.len() - MAX_BACKUPS));
        }
        if let Some(run) = done.run.as_ref().filter(|_| !done.backups.is_empty()) {
            let options = &context.deployment.options;
            lines.push(format!("`rollcall restore --run {run}{options}` restores the rows of all of them."));
        }
    }
    for (table, rows) in &done.kept {
        lines.push(format!(
            "{} of {table} stay: they have changed since their backup. Run the command again.",
            counted(*rows, "row")
        ));
    }
    if done.changed > 0 {
        lines.push(format!(
            "The rows of {} stay: the deletion was not proven any more right before the removal.",
            counted(done.changed, "user")
        ));
    }
    if !done.complete {
        lines.push(INCOMPLETE.to_owned());
    }
    lines.join("\n")
}
