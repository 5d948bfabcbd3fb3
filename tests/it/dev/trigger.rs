//! `rollcall trigger`'s samples.

use rollcall::core::millis::Millis;
use rollcall_cli::trigger::{move_to, names, sample};
use serde_json::Value;

#[test]
fn every_documented_event_can_be_sent() {
    let names = names();
    assert_eq!(names.iter().filter(|name| name.matches('.').count() == 1 && *name != "unknown-event-type").count(), 45);
    assert!(sample("user.nonsense").unwrap_err().to_string().contains("rollcall trigger --list"));
}

#[test]
fn times_move_to_now_and_keep_their_distances() {
    let now = Millis::try_from(1_800_000_000_000).unwrap();
    for name in names() {
        let (before, mut after) = (sample(&name).unwrap(), sample(&name).unwrap());
        move_to(&mut after, now);
        assert_eq!(after["timestamp"], now.get(), "{name}");
        let age = |event: &Value| {
            let sent = Millis::from_envelope(event["timestamp"].as_i64().unwrap()).unwrap();
            i128::from(sent.get()) - i128::from(event["data"]["updated_at"].as_u64().unwrap())
        };
        if before["data"]["updated_at"].is_u64() {
            assert_eq!(age(&after), age(&before), "{name}");
        }
    }
}
