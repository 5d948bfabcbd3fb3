//! The plan and the result of a removal of duplicates as text.

use super::super::fix::INCOMPLETE;
use super::super::text::{count, counted, table};
use super::groups::meaning;
use super::{Done, Plan};

/// So many undecided groups are shown,
const MAX_GROUPS: usize = 10;
/// so many attributes,
const MAX_ATTRIBUTES: usize = 20;
/// and the keys of so many duplicates.
const MAX_KEYS: usize = 10;

/// The plan.
pub(in super::super) fn plan(plan: &Plan) -> anyhow::Result<String> {
    let found = &plan.found;
    let mut parts = vec![format!("{} of {} read.", counted(found.rows, "row"), found.table)];
    if found.ungrouped > 0 {
        parts.push(format!(
            "{} without a comparable value of one of the attributes: no duplicates.",
            counted(found.ungrouped, "row")
        ));
    }
    if found.records > 0 {
        parts.push(format!(
            "{} of users and memberships: no duplicates, their keys are unique.",
            counted(found.records, "record")
        ));
    }
    if !found.differing.is_empty() {
        let mut names: Vec<(&String, &u64)> = found.differing.iter().collect();
        names.sort_by_key(|(_, rows)| std::cmp::Reverse(**rows));
        let row = |(name, rows): &(&String, &u64)| vec![(*name).clone(), count(**rows)];
        let rows: Vec<Vec<String>> = names.iter().take(MAX_ATTRIBUTES).map(row).collect();
        let mut text = table(&["attribute", "duplicates that differ from the oldest row"], &rows, 1);
        if names.len() > MAX_ATTRIBUTES || found.differing_others > 0 {
            text += "\n  and further attributes: see --json";
        }
        parts.push(text);
    }
    if found.undecided > 0 {
        let reason = |(why, groups): &(String, u64)| format!("  {}: {}", counted(*groups, "group"), meaning(why));
        let reasons: Vec<String> = found.reasons.iter().map(reason).collect();
        let keys = found.undecided_groups.iter().take(MAX_GROUPS).flat_map(|group| &group.keys);
        let keys: Vec<String> = keys.map(|key| format!("    {key}")).collect();
        parts.push(format!(
            "Undecided, nothing is removed of these groups:\n{}\n  Some of their rows:\n{}",
            reasons.join("\n"),
            keys.join("\n")
        ));
    }
    if found.duplicates > 0 {
        parts.push(keys(plan, false)?);
    }
    parts.push(match found.duplicates {
        0 => "There is nothing to remove.".to_owned(),
        duplicates => format!(
            "{} in {}: the oldest row of each group stays; backups go to {}.",
            counted(duplicates, "duplicate"),
            counted(found.groups, "group"),
            plan.duplicates.backups.place()
        ),
    });
    Ok(parts.join("\n\n"))
}

/// Some of the keys of the rows that stay and of the duplicates; only of the removed ones if `removed`.
fn keys(plan: &Plan, removed: bool) -> anyhow::Result<String> {
    let (mut lines, mut is_cut) = (Vec::new(), false);
    plan.groups.each(|keeps, duplicate, is_gone| {
        is_cut = lines.len() == MAX_KEYS;
        if !is_cut && (is_gone || !removed) {
            lines.push(format!("  {duplicate}, keeps {keeps}"));
        }
        Ok(!is_cut)
    })?;
    if is_cut {
        lines.push("  …: --json has all keys".to_owned());
    }
    Ok(format!("{}:\n{}", if removed { "Removed" } else { "Removes" }, lines.join("\n")))
}

/// The result.
pub(in super::super) fn done(plan: &Plan, done: &Done, options: &str) -> anyhow::Result<String> {
    let mut lines = vec![format!("Removed {} from {}.", counted(done.removed, "duplicate"), plan.found.table)];
    if let Some(pattern) = &done.backup_pattern {
        lines.push(format!("Backups ({}): {pattern}", counted(done.backups, "file")));
    }
    if let Some(run) = done.run.as_ref().filter(|_| done.backups > 0) {
        lines.push(format!("`rollcall restore --run {run}{options}` restores the rows of all of them."));
    }
    if done.removed > 0 {
        lines.push(keys(plan, true)?);
    }
    if done.changed > 0 {
        let rows = counted(done.changed, "row");
        lines.push(format!("{rows} changed meanwhile and stay: run the command again."));
    }
    if done.too_wide > 0 {
        let rows = counted(done.too_wide, "row");
        lines.push(format!("{rows} with more than 140 attributes stay: one condition cannot compare them."));
    }
    if !done.complete {
        lines.push(INCOMPLETE.to_owned());
    }
    Ok(lines.join("\n"))
}
