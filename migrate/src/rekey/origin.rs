//! The migration of users that a map comes from: it must be finished.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::folder::Run;
use crate::ids::MAP;

/// The migration that made a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The Clerk instance.
    pub instance: String,
    /// Of the map, in hexadecimal digits.
    pub sha256: String,
}

/// Why a map cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OriginError {
    #[error(
        "{} is no folder of a migration of users: {problem}. `rollcall migrate metadata` makes one; with --match-only, the \
         command writes nothing to Clerk", path.display()
    )]
    NotThere { path: PathBuf, problem: String },
    #[error(
        "the migration of users in {} is not finished: run `rollcall migrate metadata` without --dry-run to its end first",
        .0.display()
    )]
    Unfinished(PathBuf),
}

impl Origin {
    /// Reads the records in the folder of a migration of users.
    ///
    /// # Errors
    ///
    /// [`OriginError`]: there is none, or it is not finished, as after a dry run that found something to change.
    pub fn of(folder: &Path) -> Result<Origin, OriginError> {
        let not_there = |problem: String| OriginError::NotThere { path: folder.to_owned(), problem };
        let read = |name: &str| std::fs::read(folder.join(name)).map_err(|error| not_there(format!("{name}: {error}")));
        let run: Run = serde_json::from_slice(&read("run.json")?).map_err(|error| not_there(error.to_string()))?;
        if run.command != "metadata" {
            return Err(not_there(format!("it is one of `rollcall migrate {}`", run.command)));
        }
        let is_finished = std::fs::read(folder.join("report.json")).is_ok_and(|report| {
            let report: serde_json::Value = serde_json::from_slice(&report).unwrap_or_default();
            // A plan without a change has nothing to finish.
            let has_plan = report["plan"]["by_result"].is_object();
            !report["done"].is_null() || (has_plan && report["plan"]["by_result"]["changed"].as_u64().unwrap_or(0) == 0)
        });
        if !is_finished {
            return Err(OriginError::Unfinished(folder.to_owned()));
        }
        let sha256 = digest(&folder.join(MAP)).map_err(|error| not_there(format!("{MAP}: {error}")))?;
        Ok(Origin { instance: run.instance, sha256 })
    }
}

fn digest(path: &Path) -> io::Result<String> {
    let (mut file, mut hash, mut buffer) = (std::fs::File::open(path)?, Sha256::new(), vec![0; 64 * 1024]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            read => hash.update(&buffer[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_finished_migration_of_users_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let refused = || Origin::of(folder.path()).unwrap_err().to_string();
        assert!(refused().contains("no folder of a migration of users: run.json"), "{}", refused());
        let run = |command: &str| {
            json!({ "command": command, "version": "0.1.0", "input_sha256": "", "options": "", "instance": "ins_1",
                    "started": "" })
            .to_string()
        };
        write("run.json", &run("rekey"));
        assert!(refused().contains("migrate rekey"), "{}", refused());
        write("run.json", &run("metadata"));
        write(MAP, "");
        for unfinished in [
            String::new(),
            json!({ "dry_run": true, "done": null, "plan": { "by_result": { "changed": 1 } } }).to_string(),
            json!({ "dry_run": false, "done": null, "plan": { "by_result": { "changed": 1 } } }).to_string(),
        ] {
            write("report.json", &unfinished);
            assert!(refused().contains("not finished"), "{unfinished}: {}", refused());
        }
        for finished in [
            json!({ "dry_run": false, "done": { "read": 1 }, "plan": { "by_result": { "changed": 1 } } }),
            json!({ "dry_run": true, "done": null, "plan": { "by_result": { "unchanged": 1 } } }),
        ] {
            write("report.json", &finished.to_string());
            let origin = Origin::of(folder.path()).unwrap();
            assert_eq!(origin.instance, "ins_1");
            assert!(origin.sha256.starts_with("e3b0c442"));
        }
        std::fs::remove_file(folder.path().join(MAP)).unwrap();
        assert!(refused().contains(MAP), "{}", refused());
    }
}
