//! Clients that are in the middle of something when the emulator ends.

use std::time::{Duration, Instant};

use clerk_emulator::{ApiFaults, Config, Faults, STOP_GRACE};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{Clerk, read};

const HALF_A_HEAD: &str = "GET /v1/users HTTP/1.1\r\nHost: 127.0.0.1";
const HALF_A_BODY: &str = "PUT /_emulator/faults HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"api\"";
const WAITING_FOR_AN_ANSWER: &str = "POST /_emulator/settle HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n";

/// Connections on which so much was sent and nothing more will be. The emulator has read it all.
async fn connections(clerk: &Clerk, sent: &[&str]) -> Vec<TcpStream> {
    let address = clerk.emulator.url().strip_prefix("http://").unwrap();
    let mut connections = Vec::new();
    for text in sent {
        let mut connection = TcpStream::connect(address).await.unwrap();
        connection.write_all(text.as_bytes()).await.unwrap();
        connections.push(connection);
    }
    // Connections are accepted in their order: whoever is answered after them knows that they were.
    clerk.get("/v1/users").await.ok();
    tokio::time::sleep(Duration::from_millis(100)).await;
    connections
}

/// Waits for the other side to close, without an answer.
async fn closed(mut connection: TcpStream) {
    let mut answer = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(1), connection.read_to_end(&mut answer)).await;
    // A reset is an end, too.
    let _ = end.expect("the connection is closed when the emulator has ended");
    assert_eq!(String::from_utf8_lossy(&answer), "");
}

/// An emulator with a delivery that stays pending, so that nobody who waits for its end is answered.
async fn never_settled() -> Clerk {
    let webhook_url = Some("http://127.0.0.1:1/".to_owned());
    let retry_schedule = vec![Duration::ZERO, Duration::from_hours(1)];
    let clerk = Clerk::start(Config { webhook_url, retry_schedule, ..Config::default() }).await;
    clerk.create_user("ada").await;
    clerk
}

#[tokio::test]
async fn half_a_request_holds_up_a_stop_for_no_longer_than_its_grace() {
    let clerk = never_settled().await;
    let open = connections(&clerk, &[HALF_A_HEAD, HALF_A_BODY, WAITING_FOR_AN_ANSWER]).await;
    let begun = Instant::now();
    clerk.emulator.stop().await.unwrap();
    assert!(begun.elapsed() < STOP_GRACE + Duration::from_secs(1), "{:?}", begun.elapsed());
    for connection in open {
        closed(connection).await;
    }
}

#[tokio::test]
async fn a_connection_without_a_request_holds_up_no_stop_at_all() {
    let clerk = Clerk::start(Config::default()).await;
    let silent = connections(&clerk, &[""]).await.remove(0);
    let begun = Instant::now();
    clerk.emulator.stop().await.unwrap();
    assert!(begun.elapsed() < STOP_GRACE / 2, "{:?}", begun.elapsed());
    closed(silent).await;
}

#[tokio::test]
async fn a_request_under_way_is_answered_before_the_end() {
    let api = ApiFaults { slow_ms: 300, ..ApiFaults::default() };
    let clerk = Clerk::start(Config { faults: Faults { api, ..Faults::default() }, ..Config::default() }).await;
    let url = format!("{}/v1/users", clerk.emulator.url());
    let request = clerk.client.post(url).bearer_auth(clerk.emulator.secret_key());
    let answer = tokio::spawn(read(request.json(&json!({"username": "ada"}))));
    tokio::time::sleep(Duration::from_millis(100)).await;
    clerk.emulator.stop().await.unwrap();
    assert_eq!(answer.await.unwrap().ok()["username"], "ada");
}

#[tokio::test]
async fn a_dropped_emulator_leaves_no_connection_open() {
    let clerk = never_settled().await;
    let open = connections(&clerk, &["", HALF_A_HEAD, HALF_A_BODY, WAITING_FOR_AN_ANSWER]).await;
    drop(clerk);
    for connection in open {
        closed(connection).await;
    }
}
