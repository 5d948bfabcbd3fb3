//! Opens the embedded DynamoDB and adds two indexes to its `SQLite` file.
//!
//! For each stream record the engine (dynoxide 3.2.0) searches the greatest sequence number of the table by
//! `MAX(CAST(sequence_number AS INTEGER))`, and it compares the same expression whenever stream records are read.
//! Without an index on that expression each of these statements reads all stream records, so each write takes longer
//! than the one before.

use std::path::Path;

use anyhow::Context;
use dynoxide::Database;
use rusqlite::Connection;

/// The indexes of the stream records: by table and by shard.
const INDEXES: &str = "
    CREATE INDEX IF NOT EXISTS rollcall_stream_by_table
        ON _stream_records (table_name, CAST(sequence_number AS INTEGER));
    CREATE INDEX IF NOT EXISTS rollcall_stream_by_shard
        ON _stream_records (table_name, shard_id, CAST(sequence_number AS INTEGER));
";

/// Opens the database in a file, which is created if it does not exist.
///
/// # Errors
///
/// If the file cannot be used.
pub(super) fn in_file(file: &Path) -> anyhow::Result<Database> {
    let database = Database::new(&file.to_string_lossy())?;
    // The engine does not expose its own connection. It reads the schema again after another connection has changed it.
    let connection = Connection::open(file)?;
    connection.execute_batch(INDEXES).context("creating the indexes of the stream records")?;
    Ok(database)
}

/// Creates the database in memory.
///
/// # Errors
///
/// If no temporary file can be created: another connection cannot open a database in memory, so it starts as a copy of
/// a prepared file.
pub(super) fn in_memory() -> anyhow::Result<Database> {
    let folder = tempfile::Builder::new().prefix("rollcall-database-").tempdir()?;
    let file = folder.path().join("prepared.sqlite");
    drop(in_file(&file)?);
    let database = Database::memory()?;
    database.restore_from(&file.to_string_lossy())?;
    Ok(database)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The version of the engine whose statements are below. With another one, look at `next_stream_sequence_number`,
    /// `stream_records_with_event_ids` and `get_shard_sequence_range` in its `storage.rs`: are these still its
    /// statements, and does it still need the indexes?
    const ENGINE: &str = "3.2.0";

    /// The statements of the engine at each write, at each read of stream records, and when it describes a stream.
    const STATEMENTS: [&str; 3] = [
        "SELECT COALESCE(MAX(CAST(sequence_number AS INTEGER)), 0) + 1 FROM _stream_records WHERE table_name = ?1",
        "SELECT event_name, keys_json, new_image, old_image, sequence_number, created_at, user_identity, event_id
         FROM _stream_records
         WHERE table_name = ?1 AND shard_id = ?2 AND CAST(sequence_number AS INTEGER) > ?3
         ORDER BY CAST(sequence_number AS INTEGER) ASC LIMIT ?4",
        "SELECT MIN(CAST(sequence_number AS INTEGER)), MAX(CAST(sequence_number AS INTEGER)) FROM _stream_records \
         WHERE \
         table_name = ?1 AND shard_id = ?2",
    ];

    /// How `SQLite` would carry each statement out, as one text.
    fn plans(file: &Path) -> Vec<String> {
        let connection = Connection::open(file).unwrap();
        let plan = |statement: &&str| {
            let mut explained = connection.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).unwrap();
            let steps = explained.raw_query().mapped(|row| row.get::<_, String>("detail"));
            steps.collect::<Result<Vec<_>, _>>().unwrap().join("; ")
        };
        STATEMENTS.iter().map(plan).collect()
    }

    #[test]
    fn fault_c9_no_statement_of_the_stream_reads_all_records() {
        let lock = include_str!("../../../Cargo.lock");
        let is_known = lock.contains(&format!("name = \"dynoxide-rs\"\nversion = \"{ENGINE}\""));
        assert!(is_known, "another engine than {ENGINE}: see the comment at ENGINE");

        let folder = tempfile::tempdir().unwrap();
        let (with, without) = (folder.path().join("with.sqlite"), folder.path().join("without.sqlite"));
        drop(in_file(&with).unwrap());
        drop(Database::new(&without.to_string_lossy()).unwrap());
        for plan in plans(&with) {
            assert!(
                plan.starts_with("SEARCH _stream_records USING") && plan.contains("INDEX rollcall_stream_by_"),
                "{plan}"
            );
            assert!(!plan.contains("TEMP B-TREE"), "the records would be sorted: {plan}");
        }
        for plan in plans(&without) {
            assert!(!plan.contains("rollcall"), "{plan}");
        }
    }

    #[test]
    fn fault_c9_a_database_in_memory_has_the_indexes_too() {
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("copy.sqlite");
        in_memory().unwrap().vacuum_into(&copy.to_string_lossy()).unwrap();
        let plans = plans(&copy);
        assert!(plans.iter().all(|plan| plan.contains("INDEX rollcall_stream_by_")), "{plans:?}");
    }
}
