//! Formats numbers, times and tables for the terminal.

use comfy_table::{CellAlignment, Table, presets};
use indicatif::HumanCount;
use rollcall::core::id::Kind;
use rollcall::core::millis::Millis;
use time::OffsetDateTime;
use time::format_description::FormatItem;
use time::macros::format_description;

const MOMENT: &[FormatItem<'_>] = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");

/// The plural name of a kind of entities.
pub fn plural(kind: Kind) -> &'static str {
    match kind {
        Kind::User => "users",
        Kind::Organization => "organizations",
        Kind::Membership => "memberships",
    }
}

/// A number with thousands separators.
pub fn count(number: u64) -> String {
    HumanCount(number).to_string()
}

/// A number of things, such as `1 deletion` or `2 deletions`.
pub fn counted(number: u64, thing: &str) -> String {
    format!("{} {thing}{}", count(number), if number == 1 { "" } else { "s" })
}

/// A time to the second, in UTC.
pub fn moment(at: Millis) -> String {
    let seconds = i64::try_from(at.get() / 1000).unwrap_or_default();
    let at = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    at.format(MOMENT).unwrap_or_default()
}

/// A duration in ms, in seconds.
pub fn seconds(milliseconds: u64) -> String {
    format!("{}.{} s", count(milliseconds / 1000), milliseconds % 1000 / 100)
}

/// A table without lines, indented by two. Columns from the `numbers`th on are aligned to the right.
pub fn table(header: &[&str], rows: &[Vec<String>], numbers: usize) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).add_rows(rows);
    if !header.is_empty() {
        table.set_header(header.iter().copied());
    }
    for column in table.column_iter_mut() {
        column.set_padding((2, 0));
        if column.index >= numbers {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_moments_are_written_for_people() {
        assert_eq!((count(1_234_567), counted(1, "deletion"), counted(0, "deletion")), {
            ("1,234,567".to_owned(), "1 deletion".to_owned(), "0 deletions".to_owned())
        });
        assert_eq!((seconds(0), seconds(1_999), seconds(3_600_050)), {
            ("0.0 s".to_owned(), "1.9 s".to_owned(), "3,600.0 s".to_owned())
        });
        assert_eq!(moment(Millis::try_from(1_767_225_600_015).unwrap()), "2026-01-01T00:00:00Z");
    }

    #[test]
    fn a_table_has_its_numbers_below_each_other_and_no_trailing_space() {
        let rows = [vec!["users".to_owned(), "1".to_owned()], vec!["organizations".to_owned(), "1,000".to_owned()]];
        let text = table(&["", "in Clerk"], &rows, 1);
        assert_eq!(text, "                 in Clerk\n  users                 1\n  organizations     1,000");
    }
}
