//! The hot path of react: somebody has come. One record of the Directory's stream, as Lambda hands it over, a record in
//! Profiles, and one event on the bus. (Whoever only changes is told on the bus, and asks DynamoDB nothing: less work.)

use rollcall::core::id::InstanceId;
use rollcall::core::millis::Millis;
use rollcall::core::mirror::item::Item;
use rollcall::core::mirror::roles;
use rollcall::core::write_back;
use serde_json::{Value, json};

use crate::events::INSTANCE;
use crate::hot_path::{Answered, Asked, DIRECTORY_TABLE, HotPath, NOBODY_WAITS, OPERATIONS_TABLE, PROFILES_TABLE};
use crate::rows;

const USER: &str = include_str!("../../../events/user.created.json");

/// DynamoDB has done both, the check and the write.
const DONE: &str = r#"{"ConsumedCapacity":[{"TableName":"rollcall-directory","CapacityUnits":2.0},{"TableName":"rollcall-profiles","CapacityUnits":2.0}]}"#;
/// EventBridge has taken it.
const TAKEN: &str = r#"{"FailedEntryCount":0,"Entries":[{"EventId":"17793124-05d4-b198-2fde-7ededc63b103"}]}"#;

/// The path: one transaction, and one event.
pub(crate) fn hot_path() -> HotPath {
    let settings = [
        ("DIRECTORY_TABLE", DIRECTORY_TABLE),
        ("PROFILES_TABLE", PROFILES_TABLE),
        ("OPERATIONS_TABLE", OPERATIONS_TABLE),
        ("CLERK_INSTANCE_ID", INSTANCE),
        ("CLERK_SECRET_KEY", "sk_test_invented"),
        ("EVENT_BUS", "rollcall-changes"),
        ("BACKUP_BUCKET", "rollcall-backups"),
        ("PROFILE_DEFAULTS", r#"{"level":1,"locale":"en","badges":[],"settings":{"newsletter":false}}"#),
    ];
    HotPath {
        function: "react",
        settings: settings.map(|(name, value)| (name, value.to_owned())).to_vec(),
        limit: NOBODY_WAITS,
        asks: vec![Asked::new("TransactWriteItems", DONE), Asked::new("PutEvents", TAKEN)],
        answer: Answered::Plain(json!({ "batchItemFailures": [] })),
        events,
    }
}

/// Somebody whose metadata say already what the write-back would: it is on, as it is unless told otherwise, and asks nothing.
fn newcomer() -> anyhow::Result<Item> {
    let mut event = rows::sample(USER)?;
    let id = INSTANCE.parse::<InstanceId>()?.internal_id(&rows::user_id(&event)?);
    event["data"]["public_metadata"] = json!({ write_back::ID: id, write_back::ROLE: roles::USER });
    rows::item(&event)
}

/// The record comes again and again, to a table that has nobody.
///
/// Source: AWS, "Process DynamoDB records with Lambda".
fn events(now: Millis, count: usize) -> anyhow::Result<Vec<String>> {
    let row: Value = rows::stored(&newcomer()?.to_attributes())?;
    let event = json!({ "Records": [{
        "eventID": "c4ca4238a0b923820dcc509a6f75849b",
        "eventName": "INSERT",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "dynamodb": {
            "ApproximateCreationDateTime": now.get() / 1000,
            "Keys": { "pk": row["pk"], "sk": row["sk"] },
            "NewImage": row,
            "SequenceNumber": "4421584500000000017450439091",
            "SizeBytes": 650,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
        "eventSourceARN":
            "arn:aws:dynamodb:us-east-1:123456789012:table/rollcall-directory/stream/2026-11-21T09:00:00.000",
    }] });
    Ok(vec![event.to_string(); count])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_has_to_be_written_back_about_the_newcomer() {
        let link = write_back::of_item(&newcomer().unwrap());
        assert!(link.missing.is_empty() && !link.conflicts);
    }
}
