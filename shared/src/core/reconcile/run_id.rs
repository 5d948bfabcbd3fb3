//! The id of a run.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use time::OffsetDateTime;
use time::format_description::FormatItem;
use time::macros::format_description;

use crate::core::millis::Millis;

/// The id of a run: its start, such as `2026-11-25T03:00:00.000Z`. Ids sort by time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

/// A string that is not the id of a run.
#[derive(Debug, Error)]
#[error("a run id must be the start time of the run, such as 2026-11-25T03:00:00.000Z")]
pub struct InvalidRunId;

const FORMAT: &[FormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

impl RunId {
    /// The id of the run that begins at `start`.
    pub fn at(start: Millis) -> RunId {
        let start = i128::from(start.get()) * 1_000_000;
        let start = OffsetDateTime::from_unix_timestamp_nanos(start).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        RunId(start.format(FORMAT).unwrap_or_default())
    }

    /// The id as a string.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RunId {
    type Err = InvalidRunId;

    fn from_str(text: &str) -> Result<RunId, InvalidRunId> {
        time::PrimitiveDateTime::parse(text, FORMAT).map(|_| RunId(text.to_owned())).map_err(|_| InvalidRunId)
    }
}

impl TryFrom<String> for RunId {
    type Error = InvalidRunId;

    fn try_from(text: String) -> Result<RunId, InvalidRunId> {
        text.parse()
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> String {
        id.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}
