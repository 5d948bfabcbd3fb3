//! The rule that makes rows duplicates, on the command line.

use std::str::FromStr;

use clap::ValueEnum;
use rollcall::core::deletion::duplicates::TimeFormat;
use rollcall::services::operator::duplicates::DuplicateRule;

/// What the attribute with the time of creation contains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A time: ISO 8601 with an offset, or a Unix time in s or ms
    #[default]
    Time,
    /// A ULID
    Ulid,
    /// A UUID of version 7
    Uuidv7,
    /// An ObjectId of MongoDB
    Objectid,
}

impl From<Format> for TimeFormat {
    fn from(format: Format) -> TimeFormat {
        match format {
            Format::Time => TimeFormat::Time,
            Format::Ulid => TimeFormat::Ulid,
            Format::Uuidv7 => TimeFormat::UuidV7,
            Format::Objectid => TimeFormat::ObjectId,
        }
    }
}

/// A table with its rule: `TABLE:BY[,BY…]:OLDEST[:FORMAT]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableRule {
    /// The name of the table, without the rest of an ARN.
    pub table: String,
    pub rule: DuplicateRule,
}

impl FromStr for TableRule {
    type Err = String;

    fn from_str(text: &str) -> Result<TableRule, String> {
        const EXPECTED: &str = "expected TABLE:BY[,BY...]:OLDEST[:FORMAT], such as tasks:user_id,date:created_at";
        let parts: Vec<&str> = text.split(':').collect();
        let (table, by, oldest, format) = match parts[..] {
            [table, by, oldest] => (table, by, oldest, Format::Time),
            [table, by, oldest, format] => (table, by, oldest, Format::from_str(format, false)?),
            _ => return Err(EXPECTED.to_owned()),
        };
        let by: Vec<String> = by.split(',').map(str::to_owned).collect();
        if [table, oldest].into_iter().chain(by.iter().map(String::as_str)).any(str::is_empty) {
            return Err(EXPECTED.to_owned());
        }
        let rule = DuplicateRule { by, oldest: oldest.to_owned(), format: format.into() };
        Ok(TableRule { table: table.to_owned(), rule })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e7_a_rule_is_read_or_refused_as_a_whole() {
        let rule: TableRule = "tasks:user_id,date:created_at".parse().unwrap();
        let by = vec!["user_id".to_owned(), "date".to_owned()];
        let expected = DuplicateRule { by, oldest: "created_at".to_owned(), format: TimeFormat::Time };
        assert_eq!(rule, TableRule { table: "tasks".to_owned(), rule: expected });
        let rule: TableRule = "tasks:user_id:id:ulid".parse().unwrap();
        assert_eq!((rule.rule.format, rule.rule.by.len()), (TimeFormat::Ulid, 1));
        for text in ["", "tasks", "tasks:a", "tasks::b", ":a:b", "tasks:a,:b", "tasks:a:b:never", "tasks:a:b:time:x"] {
            assert!(text.parse::<TableRule>().is_err(), "{text}");
        }
    }
}
