//! Change events on EventBridge: an event that the bus does not accept is sent again; a bus that accepts no event is an
//! error, so that the stream record fails and Lambda delivers it again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use aws_config::Region;
use aws_sdk_dynamodb::config::Credentials;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use rollcall::adapters::aws::event_bus::{Bus, BusError};
use rollcall::core::id::Key;
use rollcall::core::millis::Millis;
use rollcall::core::mirror::change::Change;
use rollcall::core::mirror::item::{Item, Provenance, Writer};
use rollcall::core::mirror::rank::Rank;
use serde_json::{Value, json};

/// How a request is answered: with a status, and by entry whether it is taken.
type Script = VecDeque<(u16, Vec<bool>)>;

#[derive(Clone, Default)]
struct EventBridge {
    script: Arc<Mutex<Script>>,
    asked: Arc<Mutex<Vec<Value>>>,
}

async fn put_events(State(bus): State<EventBridge>, body: Bytes) -> (StatusCode, String) {
    let asked: Value = serde_json::from_slice(&body).unwrap();
    let entries = asked["Entries"].as_array().unwrap().len();
    bus.asked.lock().unwrap().push(asked);
    let (status, taken) = bus.script.lock().unwrap().pop_front().unwrap_or((200, Vec::new()));
    if status != 200 {
        return (StatusCode::from_u16(status).unwrap(), json!({ "__type": "InternalException" }).to_string());
    }
    let results: Vec<Value> = (0..entries)
        .map(|at| match taken.get(at) {
            Some(false) => json!({ "ErrorCode": "ThrottlingException", "ErrorMessage": "slow down" }),
            _ => json!({ "EventId": format!("event-{at}") }),
        })
        .collect();
    let failed = taken.iter().filter(|taken| !**taken).count();
    (StatusCode::OK, json!({ "FailedEntryCount": failed, "Entries": results }).to_string())
}

async fn bus(script: Script) -> (Bus, EventBridge) {
    let bridge = EventBridge { script: Arc::new(Mutex::new(script)), asked: Arc::default() };
    let url = rollcall_tests::serve(axum::Router::new().fallback(put_events).with_state(bridge.clone())).await;
    let config = rollcall::adapters::aws::config::loader()
        .endpoint_url(url)
        .region(Region::from_static("us-east-1"))
        .credentials_provider(Credentials::new("local", "local", None, None, "local"));
    let client = aws_sdk_eventbridge::Client::new(&config.load().await);
    (Bus::EventBridge { client, name: "rollcall-changes".to_owned() }, bridge)
}

fn change(user: &str) -> Change {
    let provenance = Provenance { applied_at: Millis::ZERO, applied_by: Writer::Webhook, delivery_id: None };
    let fields = json!({ "id": user, "name": "Marked" }).as_object().unwrap().clone();
    let item = Item {
        key: Key { pk: format!("USER#{user}"), sk: "USER".to_owned() },
        rank: Rank::live(Millis::ZERO, Millis::ZERO),
        digest: rollcall::core::mirror::digest::Digest::new("user", &fields),
        provenance,
        created_at: None,
        updated_at: None,
        deleted_at: None,
        fields,
    };
    Change::between(None, &item).unwrap()
}

/// The ids of the events of each request.
fn ids(bridge: &EventBridge) -> Vec<Vec<String>> {
    let asked = bridge.asked.lock().unwrap();
    let of = |entry: &Value| {
        let detail: Value = serde_json::from_str(entry["Detail"].as_str().unwrap()).unwrap();
        detail["id"].as_str().unwrap().to_owned()
    };
    asked.iter().map(|asked| asked["Entries"].as_array().unwrap().iter().map(of).collect()).collect()
}

#[tokio::test]
async fn d5_an_event_is_what_rules_match_and_holds_no_value() {
    let (bus, bridge) = bus(Script::new()).await;
    bus.publish(&[&change("7")]).await.unwrap();
    let asked = bridge.asked.lock().unwrap().clone();
    let entry = &asked[0]["Entries"][0];
    assert_eq!(
        (&entry["Source"], &entry["DetailType"], &entry["EventBusName"]),
        (&json!("rollcall"), &json!("user.created"), &json!("rollcall-changes"))
    );
    let detail: Value = serde_json::from_str(entry["Detail"].as_str().unwrap()).unwrap();
    assert_eq!(detail["changed"], json!(["id", "name"]));
    assert!(!asked[0].to_string().contains("Marked"), "{}", asked[0]);
}

#[tokio::test]
async fn what_the_bus_does_not_take_is_sent_again_and_nothing_else() {
    let script = [(200, vec![true, false, true, false]), (500, Vec::new()), (200, vec![false, true])];
    let (bus, bridge) = bus(Script::from(script)).await;
    let changes = ["1", "2", "3", "4"].map(change);
    bus.publish(&changes.each_ref()).await.unwrap();
    assert_eq!(ids(&bridge), [vec!["1", "2", "3", "4"], vec!["2", "4"], vec!["2", "4"], vec!["2"]]);
}

#[tokio::test]
async fn a_bus_that_takes_nothing_is_a_failure() {
    for script in [vec![(200, vec![false]); 5], vec![(500, Vec::new()); 3]] {
        let requests = script.len();
        let (bus, bridge) = bus(Script::from(script)).await;
        let failure = bus.publish(&[&change("1")]).await.unwrap_err();
        assert!(matches!(failure, BusError::EventBridge(..)), "{failure:?}");
        assert_eq!(bridge.asked.lock().unwrap().len(), requests);
    }
}
