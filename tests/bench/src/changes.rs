//! The hot path of react: somebody's name has changed. One record of the Directory's stream, as Lambda hands it over, and one
//! event on the bus.

use rollcall::core::digest::Digest;
use rollcall::core::millis::Millis;
use serde_json::{Value, json};

use crate::callers::{self, Caller};
use crate::events::INSTANCE;
use crate::hot_path::{Answered, DIRECTORY_TABLE, HotPath, OPERATIONS_TABLE, PROFILES_TABLE};

/// EventBridge has taken it.
const TAKEN: &str = r#"{"FailedEntryCount":0,"Entries":[{"EventId":"17793124-05d4-b198-2fde-7ededc63b103"}]}"#;

/// The path: one request to EventBridge, and none to DynamoDB.
pub(crate) fn hot_path() -> HotPath {
    let settings = [
        ("DIRECTORY_TABLE", DIRECTORY_TABLE),
        ("PROFILES_TABLE", PROFILES_TABLE),
        ("OPERATIONS_TABLE", OPERATIONS_TABLE),
        ("CLERK_INSTANCE_ID", INSTANCE),
        ("EVENT_BUS", "rollcall-changes"),
        ("BACKUP_BUCKET", "rollcall-backups"),
        ("METADATA_WRITEBACK", "off"),
    ];
    HotPath {
        function: "react",
        settings: settings.map(|(name, value)| (name, value.to_owned())).to_vec(),
        operation: "PutEvents",
        times: 1,
        stored: TAKEN.to_owned(),
        answer: Answered::Plain(json!({ "batchItemFailures": [] })),
        events,
    }
}

/// The record comes again and again: each time it is told.
fn events(now: Millis, count: usize) -> anyhow::Result<Vec<String>> {
    let caller = Caller::of_samples()?;
    let row = |name: &str| -> anyhow::Result<Value> {
        let mut user = caller.user.clone();
        user.fields.insert("name".to_owned(), name.into());
        user.digest = Digest::of("user", &user.fields);
        Ok(json!(callers::row(&user.to_attributes())?))
    };
    let (old, new) = (row("Ada Example")?, row("Ada Lovelace")?);
    let event = json!({ "Records": [{
        "eventID": "c4ca4238a0b923820dcc509a6f75849b",
        "eventName": "MODIFY",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "dynamodb": {
            "ApproximateCreationDateTime": now.get() / 1000,
            "Keys": { "pk": new["pk"], "sk": new["sk"] },
            "NewImage": new,
            "OldImage": old,
            "SequenceNumber": "4421584500000000017450439091",
            "SizeBytes": 1300,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
        "eventSourceARN":
            "arn:aws:dynamodb:us-east-1:123456789012:table/rollcall-directory/stream/2026-11-21T09:00:00.000",
    }] });
    Ok(vec![event.to_string(); count])
}
