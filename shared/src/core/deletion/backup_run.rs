//! The run of a command that removes rows: part of the names of its backups, `<day>/<user>/<ms>-<run>-<random>.ndjson`.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The id of such a run: eight hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupRun(u32);

/// The text is not the id of such a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("expected the eight hexadecimal digits that the command printed, such as 1a2b3c4d")]
pub struct NoBackupRun;

impl BackupRun {
    /// The run with this random number.
    pub fn new(random: u32) -> BackupRun {
        BackupRun(random)
    }

    /// Whether a backup of this name is of the run.
    pub fn has(self, name: &str) -> bool {
        let file = name.rsplit('/').next().unwrap_or_default();
        let parts: Vec<&str> = file.split('-').collect();
        file.ends_with(".ndjson") && matches!(parts[..], [_, run, _] if run == self.to_string())
    }

    /// The names of all backups of the run in this place, as a pattern of the shell.
    pub fn pattern(self, place: &str) -> String {
        format!("{place}/*/*/*-{self}-*.ndjson")
    }
}

impl fmt::Display for BackupRun {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:08x}", self.0)
    }
}

impl FromStr for BackupRun {
    type Err = NoBackupRun;

    fn from_str(text: &str) -> Result<BackupRun, NoBackupRun> {
        let is_hex = text.len() == 8 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        u32::from_str_radix(text, 16).ok().filter(|_| is_hex).map(BackupRun).ok_or(NoBackupRun)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_belongs_to_the_run_in_its_name() {
        let run: BackupRun = "0a2b3c4d".parse().unwrap();
        assert_eq!((run.to_string().as_str(), run), ("0a2b3c4d", BackupRun::new(0x0a2b_3c4d)));
        for (name, is_of_run) in [
            ("2026-11-25/2d649aef-b94e-5d5a-889a-5ec91f4a5faa/1795343000000-0a2b3c4d-00000001.ndjson", true),
            ("2026-11-25/2d649aef-b94e-5d5a-889a-5ec91f4a5faa/1795343000000-0a2b3c4d.ndjson", false),
            ("2026-11-25/2d649aef-b94e-5d5a-889a-5ec91f4a5faa/1795343000000-1-0a2b3c4d.ndjson", false),
            ("2026-11-25/0a2b3c4d-b94e-0a2b3c4d-889a-5ec91f4a5faa/1-00000001.ndjson", false),
            ("2026-11-25/2d649aef/1-0a2b3c4d-00000001.part", false),
            ("2026-11-25/2d649aef/1-0a2b3c4e-00000001.ndjson", false),
        ] {
            assert_eq!(run.has(name), is_of_run, "{name}");
        }
        for text in ["", "1", "0A2B3C4D", "+a2b3c4d", "0a2b3c4d5", "*"] {
            assert_eq!(text.parse::<BackupRun>(), Err(NoBackupRun), "{text}");
        }
    }
}
