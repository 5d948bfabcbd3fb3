//! The hot path of reconcile: an hour in which nothing is due. (A run over a whole instance is measured by [`crate::reconcile`].)

use rollcall::core::deletion::purge;
use rollcall::core::millis::Millis;
use serde_json::json;

use crate::events::INSTANCE;
use crate::hot_path::{Answered, Asked, DIRECTORY_TABLE, HotPath, OPERATIONS_TABLE, PROFILES_TABLE};
use crate::reconcile::LIMIT;

const NOTHING_DUE: &str = r#"{"Items":[],"Count":0,"ScannedCount":0}"#;

/// The path: a question for each hour of the last day, each after the other.
pub(crate) fn hot_path(now: Millis) -> HotPath {
    let settings = [
        ("DIRECTORY_TABLE", DIRECTORY_TABLE),
        ("PROFILES_TABLE", PROFILES_TABLE),
        ("OPERATIONS_TABLE", OPERATIONS_TABLE),
        ("CLERK_INSTANCE_ID", INSTANCE),
        ("CLERK_SECRET_KEY", "sk_test_invented"),
        ("BACKUP_BUCKET", "rollcall-backups"),
    ];
    let settled = json!({
        "purged": 0, "rows": 0, "restored": 0, "obsolete": 0, "failed": 0, "out_of_time": false, "missing_tables": [], "expired_backups": 0,
    });
    HotPath {
        function: "reconcile",
        settings: settings.map(|(name, value)| (name, value.to_owned())).to_vec(),
        limit: LIMIT,
        asks: purge::partitions(now).iter().map(|_| Asked::new("Query", NOTHING_DUE)).collect(),
        answer: Answered::Plain(json!({ "state": "done", "purges": settled })),
        events: |_, count| Ok(vec![json!({ "order": "purge_due" }).to_string(); count]),
    }
}
