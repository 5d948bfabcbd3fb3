//! Settings of deletions: the policy, the grace period, owned tables and backups.

use super::tables::Tables;
use super::variables::{DELETION_POLICY, Reader, Variable, deletion_policy, variable};
use crate::core::deletion::owned::{OwnedTable, owned_tables};
use crate::core::deletion::purge::{DEFAULT_BACKUP_DAYS, DEFAULT_GRACE_HOURS, MAX_GRACE_HOURS};
use crate::core::mirror::tombstone::DeletionPolicy;
use crate::core::tables::bare_table_name;

pub const PURGE_AFTER_HOURS: Variable = variable(
    "PURGE_AFTER_HOURS",
    "the grace period: for how many whole hours, from 0 to 8760, a deletion can be undone before data are removed; `0` \
     removes data at once",
    "the grace period in whole hours, from 0 (data are removed at once) to 8760; by default 24",
)
.with_default("24");
pub const OWNED_TABLES: Variable = variable(
    "OWNED_TABLES",
    r#"your own tables with rows of users, which a purge removes under `DELETION_POLICY=purge`; a JSON list: `[{"table":"tasks","key":"user_id","sort_key":"task_id","index":null,"id":"clerk","unique_per_user":false}]`. `table`: name or ARN. `key`: the partition key of the table or of the index; it contains the user's id. `id`: which id that is, `clerk` or `internal`. `index`: the index by user, or null. `sort_key`: optional, only checked against the table's keys. `unique_per_user`: optional, has no effect; a note for readers: true if a user has at most one row. For a list of more than 1,200 characters, use `rollcall owned-tables`: see [Many owned tables](operations.md#many-owned-tables) in docs/operations.md"#,
    r#"a JSON list such as [{"table":"tasks","key":"user_id","sort_key":"task_id","index":null,"id":"clerk","unique_per_user":false}], or the value that `rollcall owned-tables FILE` prints (@operations/…); by default []"#,
)
.with_default("[]");
pub const BACKUP_BUCKET: Variable = variable(
    "BACKUP_BUCKET",
    "the name of the S3 bucket, or the absolute path of the folder, for backups; required unless \
     `DELETION_POLICY=retain`",
    "the name of an S3 bucket, or the absolute path of a folder; required unless DELETION_POLICY is retain",
);
pub const BACKUP_DAYS: Variable = variable(
    "BACKUP_DAYS",
    "for how many days, from 1 to 3650, backups are kept. Rollcall removes expired backups only from a folder. For a \
     bucket, set a lifecycle rule; the template sets one",
    "the number of days, from 1 to 3650, after which Rollcall deletes backups in a folder; by default 30. Ignored for \
     a bucket",
)
.with_default("30");

/// What happens to the data of a deleted user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// The deletion policy.
    pub policy: DeletionPolicy,
    /// The grace period in hours.
    pub grace_hours: u64,
    /// The owned tables.
    pub owned: Vec<OwnedTable>,
    /// The place of backups; nothing if nothing is ever removed.
    pub backups: Option<BackupPlace>,
    /// How long backups stay, in days.
    pub backup_days: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackupPlace {
    /// An S3 bucket, by its name.
    Bucket(String),
    /// A folder, by its absolute path.
    Folder(String),
}

impl Removal {
    pub const VARIABLES: [Variable; 5] = [DELETION_POLICY, PURGE_AFTER_HOURS, OWNED_TABLES, BACKUP_BUCKET, BACKUP_DAYS];

    /// Reads the five settings. `ours` are the tables that cannot be owned tables.
    pub fn read(reader: &mut Reader<'_>, ours: Option<&Tables>) -> Removal {
        let policy = reader.read(&DELETION_POLICY, deletion_policy).unwrap_or(DeletionPolicy::Redact);
        let grace_hours =
            reader.read(&PURGE_AFTER_HOURS, |text| whole(text, 0, MAX_GRACE_HOURS)).unwrap_or(DEFAULT_GRACE_HOURS);
        let owned = Removal::read_owned(reader, ours);
        let bucket = BACKUP_BUCKET.required_if(policy != DeletionPolicy::Retain);
        let backups = reader.read(&bucket, backup_place);
        let backup_days = reader.read(&BACKUP_DAYS, |text| whole(text, 1, 3650)).unwrap_or(DEFAULT_BACKUP_DAYS);
        Removal { policy, grace_hours, owned, backups, backup_days }
    }

    /// Reads only the list of owned tables. `ours` are the tables that cannot be owned tables, under any name.
    pub fn read_owned(reader: &mut Reader<'_>, ours: Option<&Tables>) -> Vec<OwnedTable> {
        let owned = reader.read(&OWNED_TABLES, owned_tables).unwrap_or_default();
        let is_ours = |owned: &OwnedTable| {
            let mut names = ours.into_iter().flat_map(Tables::names);
            names.any(|ours| bare_table_name(ours) == bare_table_name(&owned.table))
        };
        if owned.iter().any(is_ours) {
            reader.contradicts(&OWNED_TABLES, "names one of Rollcall's own tables");
        }
        owned
    }
}

/// A bucket's name, or an absolute path. Source: AWS, "General purpose bucket naming rules".
pub fn backup_place(text: &str) -> Option<BackupPlace> {
    if text.starts_with('/') {
        return Some(BackupPlace::Folder(text.to_owned()));
    }
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    ((3..=63).contains(&text.len()) && text.bytes().all(allowed)).then(|| BackupPlace::Bucket(text.to_owned()))
}

fn whole(text: &str, least: u64, most: u64) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| (least..=most).contains(number) && number.to_string() == text)
}
