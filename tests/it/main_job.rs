//! The main job on real input: the `rollcall` command as a process of its own, Clerk's Backend API changed over HTTP,
//! signed webhooks, rows in DynamoDB.

use std::process::Stdio;
use std::time::Duration;

use reqwest::Method;
use rollcall_cli::dev::stack::client;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

struct Running {
    process: Child,
    addresses: Value,
    http: reqwest::Client,
}

fn rollcall() -> Command {
    // Cargo puts the binaries of the workspace beside the tests' folder.
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    let mut command = Command::new(path.join("rollcall"));
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

async fn start(more: &[&str]) -> Running {
    rollcall::adapters::tls::use_ring();
    let mut command = rollcall();
    command
        .args(["dev", "--port", "0", "--clerk-port", "0", "--dynamodb-port", "0", "--json"])
        .args(more)
        .stderr(Stdio::null());
    let mut process = command.spawn().expect("the rollcall binary is built by `make test` before this runs");
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).await.unwrap();
    Running { process, addresses: serde_json::from_str(&line).unwrap(), http: reqwest::Client::new() }
}

impl Running {
    fn address(&self, name: &str) -> &str {
        self.addresses[name].as_str().unwrap()
    }

    async fn clerk(&self, method: Method, path: &str, body: Value) -> Value {
        let url = format!("{}{path}", self.address("clerk"));
        let request = self.http.request(method, &url).bearer_auth(self.address("clerk_secret_key"));
        let answer = if body.is_null() { request } else { request.json(&body) }.send().await.unwrap();
        assert!(answer.status().is_success(), "{url} answered {}", answer.status());
        answer.json().await.unwrap()
    }

    /// Waits until every webhook has been delivered.
    async fn settle(&self) {
        let url = format!("{}/_emulator/settle", self.address("clerk"));
        assert!(self.http.post(url).send().await.unwrap().status().is_success());
    }

    async fn rows(&self) -> Vec<Value> {
        let dynamodb = client(self.address("dynamodb")).await;
        let page = dynamodb.scan().table_name(self.address("directory_table")).send().await.unwrap();
        page.items.unwrap().into_iter().map(|row| serde_dynamo::from_item(row).unwrap()).collect()
    }

    async fn stop(mut self, signal: &str) -> std::process::ExitStatus {
        let pid = self.process.id().unwrap().to_string();
        assert!(Command::new("/bin/kill").args([signal, &pid]).status().await.unwrap().success());
        tokio::time::timeout(Duration::from_secs(20), self.process.wait())
            .await
            .expect("it stops when told to")
            .unwrap()
    }
}

fn find<'a>(rows: &'a [Value], field: &str, value: &Value, sk: &str) -> &'a Value {
    let found = rows.iter().find(|row| row[field] == *value && row["sk"].as_str().unwrap().starts_with(sk));
    found.unwrap_or_else(|| panic!("no row with {field} = {value} and sk {sk}"))
}

#[tokio::test]
async fn changes_in_clerk_arrive_signed_and_are_readable_in_dynamodb() {
    let stack = start(&["--users", "25"]).await;
    let rows = stack.rows().await;
    let users = |rows: &[Value]| rows.iter().filter(|row| row["sk"] == "USER").count();
    assert_eq!(users(&rows), 25, "the sample users are there once it is ready");
    assert!(rows.iter().any(|row| row["sk"] == "ORG") && rows.iter().any(|row| row["user_pk"].is_string()));

    let ada = stack
        .clerk(
            Method::POST,
            "/v1/users",
            json!({ "first_name": "Ada", "last_name": "Lovelace", "email_address": ["ada.l@example.com"] }),
        )
        .await;
    let id = ada["id"].as_str().unwrap();
    let acme = stack.clerk(Method::POST, "/v1/organizations", json!({ "name": "Acme", "created_by": id })).await;
    let acme_id = acme["id"].as_str().unwrap();
    stack.clerk(Method::PATCH, &format!("/v1/users/{id}"), json!({ "last_name": "King" })).await;
    stack
        .clerk(Method::PATCH, &format!("/v1/users/{id}/metadata"), json!({ "public_metadata": { "role": "admin" } }))
        .await;
    stack.clerk(Method::POST, &format!("/v1/users/{id}/ban"), Value::Null).await;
    stack.clerk(Method::PATCH, &format!("/v1/organizations/{acme_id}"), json!({ "name": "Acme Ltd" })).await;
    let bob = stack
        .clerk(Method::POST, "/v1/users", json!({ "first_name": "Bob", "email_address": ["bob.b@example.com"] }))
        .await;
    let members = format!("/v1/organizations/{acme_id}/memberships");
    stack.clerk(Method::POST, &members, json!({ "user_id": bob["id"], "role": "org:member" })).await;
    let bobs = format!("{members}/{}", bob["id"].as_str().unwrap());
    stack.clerk(Method::PATCH, &bobs, json!({ "role": "org:admin" })).await;
    stack.settle().await;

    let rows = stack.rows().await;
    let row = find(&rows, "clerk_user_id", &ada["id"], "USER");
    assert_eq!(
        (&row["name"], &row["email"], &row["role"], &row["banned"]),
        (&json!("Ada King"), &json!("ada.l@example.com"), &json!("admin"), &json!(true))
    );
    assert_eq!(find(&rows, "organization_id", &acme["id"], "ORG")["name"], "Acme Ltd");
    assert_eq!(find(&rows, "clerk_user_id", &bob["id"], "ORG#")["role"], "org:admin");

    stack.clerk(Method::DELETE, &bobs, Value::Null).await;
    stack.clerk(Method::DELETE, &format!("/v1/users/{id}"), Value::Null).await;
    stack.clerk(Method::DELETE, &format!("/v1/organizations/{acme_id}"), Value::Null).await;
    stack.settle().await;
    let rows = stack.rows().await;
    for (field, value, sk) in [
        ("clerk_user_id", &bob["id"], "ORG#"),
        ("clerk_user_id", &ada["id"], "USER"),
        ("organization_id", &acme["id"], "ORG"),
    ] {
        assert!(find(&rows, field, value, sk)["deleted_at"].is_u64(), "{field} {value}");
    }
    assert_eq!(users(&rows), 27, "tombstones stay");
    let deliveries: Value = stack
        .http
        .get(format!("{}/_emulator/deliveries", stack.address("clerk")))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let states: Vec<&Value> = deliveries.as_array().unwrap().iter().map(|delivery| &delivery["state"]).collect();
    assert!(states.iter().all(|state| **state == "delivered"), "{states:?}");
    assert!(stack.stop("-INT").await.success());
}

#[tokio::test]
async fn the_first_line_says_where_everything_is() {
    let stack = start(&["--users", "0", "--memory"]).await;
    for name in ["api", "clerk", "dynamodb"] {
        assert!(stack.address(name).starts_with("http://127.0.0.1:"), "{name}");
    }
    for name in ["clerk_secret_key", "webhook_secret", "directory_table", "profiles_table", "operations_table"] {
        assert!(!stack.address(name).is_empty(), "{name}");
    }
    let answer = stack.http.get(format!("{}/nowhere", stack.address("api"))).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().as_str()), (404, r#"{"message":"Not Found"}"#));
    assert!(stack.stop("-TERM").await.success());
}

#[tokio::test]
async fn a_folder_keeps_the_tables_and_clerk_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("new/folder");
    let options = ["--data", data.to_str().unwrap(), "--users", "3"];
    let stack = start(&options).await;
    let before = stack.rows().await;
    assert!(stack.stop("-TERM").await.success());
    let stack = start(&options).await;
    assert_eq!(stack.rows().await.len(), before.len());
    let user = &before.iter().find(|row| row["sk"] == "USER").unwrap()["clerk_user_id"];
    let path = format!("/v1/users/{}", user.as_str().unwrap());
    stack.clerk(Method::PATCH, &path, json!({ "first_name": "Renamed" })).await;
    stack.settle().await;
    assert_eq!(find(&stack.rows().await, "clerk_user_id", user, "USER")["first_name"], "Renamed");
    assert!(stack.stop("-INT").await.success());
}

async fn output(args: &[&str]) -> (Option<i32>, String, String) {
    let mut process = rollcall().args(args).spawn().unwrap();
    let (mut out, mut err) = (String::new(), String::new());
    process.stdout.take().unwrap().read_to_string(&mut out).await.unwrap();
    process.stderr.take().unwrap().read_to_string(&mut err).await.unwrap();
    (process.wait().await.unwrap().code(), out, err)
}

#[tokio::test]
async fn wrong_usage_and_failures_say_what_to_do() {
    for args in
        [&["frobnicate"][..], &["dev", "--port", "high"], &["dev", "--memory", "--data", "x"], &["trigger"], &[]]
    {
        let (status, out, err) = output(args).await;
        assert_eq!((status, out.as_str()), (Some(64), ""), "{args:?}");
        assert!(err.contains("--help"), "{err}");
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (status, _, err) = output(&["dev", "--port", &port, "--clerk-port", "0", "--dynamodb-port", "0"]).await;
    assert_eq!(status, Some(1));
    assert!(err.contains("--port") && err.contains(&port), "{err}");
    let url = format!("http://127.0.0.1:{port}/webhooks/clerk");
    drop(taken);
    let (status, _, err) = output(&["trigger", "user.created", "--url", &url]).await;
    assert_eq!(status, Some(1));
    assert!(err.contains("rollcall dev"), "{err}");
    let (status, _, err) = output(&["trigger", "user.created", "--secret", "nonsense!"]).await;
    assert_eq!(status, Some(1));
    assert!(err.contains("--secret") && !err.contains("nonsense"), "{err}");
    assert_eq!(output(&["--help"]).await.0, Some(0));
}

#[tokio::test]
async fn trigger_sends_a_sample_and_shows_the_answer() {
    let stack = start(&["--users", "0"]).await;
    let url = format!("{}/webhooks/clerk", stack.address("api"));
    for (event, outcome) in [
        ("user.created", "applied"),
        ("user.deleted", "applied"),
        ("user.updated", "superseded"),
        ("sms.created", "ignored"),
    ] {
        let (status, out, _) = output(&["trigger", event, "--url", &url, "--json"]).await;
        let answer: Value = serde_json::from_str(&out).unwrap();
        assert_eq!((status, &answer["answer"]["outcome"]), (Some(0), &json!(outcome)), "{event}");
    }
    let (status, out, _) = output(&["trigger", "user.created", "--url", &url, "--id", "user_mine", "--json"]).await;
    assert_eq!(status, Some(0), "{out}");
    assert!(stack.rows().await.iter().any(|row| row["clerk_user_id"] == "user_mine"));
    let (status, out, _) =
        output(&["trigger", "user.created", "--url", &url, "--instance-id", "ins_other", "--json"]).await;
    assert_eq!((status, &serde_json::from_str::<Value>(&out).unwrap()["status"]), (Some(1), &json!(403)));
    // What is printed for a Lambda emulator is an event that the function takes.
    let (_, out, _) = output(&["trigger", "user.created", "--print"]).await;
    let event: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&event["version"], &event["routeKey"]), (&json!("2.0"), &json!("POST /webhooks/clerk")));
    assert!(stack.stop("-TERM").await.success());
}
