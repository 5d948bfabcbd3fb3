//! Formats numbers, times and tables for the terminal.

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Row, Table, presets};
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
    let mut table = bare(header, rows);
    for column in table.column_iter_mut().filter(|column| column.index >= numbers) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt()
}

/// A table of texts without lines, indented by two, one line for each row. If it is wider than these columns, all but
/// the first column are shortened.
pub fn texts(header: &[&str], rows: &[Vec<String>], columns: Option<u16>) -> String {
    let mut table = bare(header, &[]);
    for row in rows {
        table.add_row(Row::from(row.clone()).max_height(1).to_owned());
    }
    for column in table.column_iter_mut() {
        column.set_padding((2, 0));
    }
    if let Some(columns) = columns {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(columns).set_truncation_indicator("…");
        if let Some(ids) = table.column_mut(0) {
            ids.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    table.trim_fmt()
}

fn bare(header: &[&str], rows: &[Vec<String>]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).add_rows(rows);
    if !header.is_empty() {
        table.set_header(header.iter().copied());
    }
    for column in table.column_iter_mut() {
        column.set_padding((2, 0));
    }
    table
}

/// A text on one line, for a terminal. Users choose their names: a control character in one would be obeyed by the
/// terminal, and a mark of direction would show other text than there is.
pub fn printable(text: &str) -> String {
    let is_hidden = |char: char| {
        char.is_control() || matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars()
        .map(|char| if is_hidden(char) { char.escape_unicode().to_string() } else { char.to_string() })
        .collect()
}

/// A time to the millisecond, in UTC.
pub fn exact(at: Millis) -> String {
    let second = moment(at);
    format!("{}.{:03}Z", second.trim_end_matches('Z'), at.get() % 1000)
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
    fn a_name_cannot_command_the_terminal() {
        assert_eq!(printable("Ada\u{1b}[2J\nLove\u{202e}lace Ünal"), "Ada\\u{1b}[2J\\u{a}Love\\u{202e}lace Ünal");
        assert_eq!(exact(Millis::try_from(1_767_225_600_015).unwrap()), "2026-01-01T00:00:00.015Z");
    }

    #[test]
    fn a_table_of_texts_fits_the_terminal_and_keeps_its_ids() {
        let rows = [vec!["user_2nNG9rEYQoliquKw5eHQ9eFeurU".to_owned(), "Ada ".repeat(20), "x".to_owned()]];
        let wide = texts(&["user", "name", "state"], &rows, None);
        assert_eq!(wide.lines().count(), 2, "{wide}");
        let narrow = texts(&["user", "name", "state"], &rows, Some(60));
        assert!(narrow.lines().all(|line| line.chars().count() <= 60) && narrow.lines().count() == 2, "{narrow}");
        assert!(narrow.contains(&rows[0][0]) && narrow.contains('…'), "{narrow}");
    }

    #[test]
    fn a_table_has_its_numbers_below_each_other_and_no_trailing_space() {
        let rows = [vec!["users".to_owned(), "1".to_owned()], vec!["organizations".to_owned(), "1,000".to_owned()]];
        let text = table(&["", "in Clerk"], &rows, 1);
        assert_eq!(text, "                 in Clerk\n  users                 1\n  organizations     1,000");
    }
}
