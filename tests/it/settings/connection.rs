//! The connection to DynamoDB that a function opens before its first invocation.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use rollcall::adapters::dynamo::connection;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The heads of the requests of one connection, each connection a list.
type Heard = Arc<Mutex<Vec<Vec<String>>>>;

async fn listen() -> (Client, Heard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let heard = Heard::default();
    let noted = heard.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let number = {
                let mut noted = noted.lock().unwrap();
                noted.push(Vec::new());
                noted.len() - 1
            };
            tokio::spawn(answer(stream, noted.clone(), number));
        }
    });
    (rollcall_cli::dev::stack::client(&url).await, heard)
}

async fn answer(mut stream: TcpStream, noted: Heard, number: usize) {
    let mut bytes = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut bytes).await {
        let text = String::from_utf8_lossy(&bytes[..read]).into_owned();
        noted.lock().unwrap()[number].push(text);
        let body = r#"{"TableNames":[]}"#;
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

#[tokio::test]
async fn a_function_opens_its_connection_with_a_request_that_says_nothing_and_uses_it_again() {
    let (client, heard) = listen().await;
    connection::open(&client).await;
    client.list_tables().send().await.unwrap();
    let heard = heard.lock().unwrap().clone();
    assert_eq!(heard.len(), 1, "one connection: {heard:?}");
    let [greeting, request] = &heard[0][..] else { panic!("{heard:?}") };
    assert!(greeting.starts_with("GET / HTTP/1.1\r\n") && greeting.ends_with("\r\n\r\n"), "{greeting}");
    assert!(!greeting.to_lowercase().contains("authorization") && !greeting.contains("amz"), "{greeting}");
    assert!(request.starts_with("POST / ") && request.to_lowercase().contains("authorization"), "{request}");
}

#[tokio::test]
async fn a_store_that_is_silent_or_gone_does_not_keep_a_function_from_starting() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let client = rollcall_cli::dev::stack::client(&url).await;
    tokio::time::timeout(Duration::from_secs(10), connection::open(&client)).await.unwrap();
    drop(silent);
    tokio::time::timeout(Duration::from_secs(10), connection::open(&client)).await.unwrap();
}
