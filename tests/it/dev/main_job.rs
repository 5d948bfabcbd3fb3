//! The main job on real input: the `rollcall` command as a process of its own, Clerk's Backend API changed over HTTP,
//! signed webhooks, rows in DynamoDB.

use std::process::Stdio;
use std::time::Duration;

use reqwest::Method;
use rollcall_cli::dev::stack::client;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
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
    command
        .env_clear()
        .env("XDG_RUNTIME_DIR", rollcall_tests::runtime_folder())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn start(more: &[&str]) -> Running {
    start_with(rollcall(), more).await
}

async fn start_with(mut command: Command, more: &[&str]) -> Running {
    rollcall::adapters::tls::use_ring();
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

    /// The port of the HTTP API.
    fn port(&self) -> &str {
        self.address("api").rsplit(':').next().unwrap()
    }

    async fn clerk(&self, method: Method, path: &str, body: Value) -> Value {
        let url = format!("{}{path}", self.address("clerk"));
        let request = self.http.request(method, &url).bearer_auth(self.address("clerk_secret_key"));
        let answer = if body.is_null() { request } else { request.json(&body) }.send().await.unwrap();
        assert!(answer.status().is_success(), "{url} answered {}", answer.status());
        answer.json().await.unwrap()
    }

    /// Waits until every webhook has been delivered.
    async fn idle(&self) {
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
        // A shell has `kill` built in, on every machine.
        let kill = format!("kill {signal} {pid}");
        assert!(Command::new("sh").args(["-c", &kill]).status().await.unwrap().success());
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
    stack.idle().await;

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
    stack.idle().await;
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
    stack.idle().await;
    assert_eq!(find(&stack.rows().await, "clerk_user_id", user, "USER")["first_name"], "Renamed");
    assert!(stack.stop("-INT").await.success());
}

#[tokio::test]
async fn a_signal_ends_it_while_it_starts_and_while_a_client_hangs() {
    // Thousands of sample users take a while to arrive.
    let mut early = rollcall();
    early.args(["dev", "--port", "0", "--clerk-port", "0", "--dynamodb-port", "0", "--users", "5000"]);
    let mut early = early.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let kill = format!("kill -TERM {}", early.id().unwrap());
    assert!(Command::new("sh").args(["-c", &kill]).status().await.unwrap().success());
    let status = tokio::time::timeout(Duration::from_secs(20), early.wait()).await.expect("it stops while it starts");
    assert!(status.unwrap().success());

    let stack = start(&["--users", "0"]).await;
    let mut hanging = Vec::new();
    for name in ["api", "clerk", "dynamodb"] {
        let address = stack.address(name).trim_start_matches("http://");
        let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
        socket
            .write_all(
                b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: \
                           10\r\n\r\nhalf",
            )
            .await
            .unwrap();
        hanging.push(socket);
    }
    assert!(stack.stop("-TERM").await.success());
}

#[tokio::test]
async fn the_instance_and_several_secrets_come_from_the_environment() {
    let (old, new) = ("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let mut command = rollcall();
    command.env("CLERK_INSTANCE_ID", "ins_mine").env("CLERK_WEBHOOK_SECRET", format!("{new} {old}"));
    let stack = start_with(command, &["--users", "2"]).await;
    assert_eq!((stack.address("clerk_instance_id"), stack.address("webhook_secret")), ("ins_mine", new));
    assert_eq!(stack.rows().await.iter().filter(|row| row["sk"] == "USER").count(), 2, "signed with the first");
    let url = format!("{}/webhooks/clerk", stack.address("api"));
    for (secret, expected) in [(old, 0), (new, 0), ("whsec_MQ==", 1)] {
        let args = ["trigger", "user.created", "--url", &url, "--instance-id", "ins_mine", "--secret", "OLD_SECRET"];
        let sent = rollcall().args(args).env("OLD_SECRET", secret).spawn().unwrap().wait_with_output().await.unwrap();
        assert_eq!(sent.status.code(), Some(expected), "{sent:?}");
    }
    assert!(stack.stop("-INT").await.success());
}

#[tokio::test]
async fn a_body_that_is_no_text_reaches_the_function_in_base64() {
    let stack = start(&["--users", "0"]).await;
    let event = rollcall_tests::sample("organization.updated").to_string().into_bytes();
    // Late, and of nobody that Clerk knows: what matters is that the signature over the bytes holds.
    for (media_type, expected) in [("application/octet-stream", 200), ("application/json", 200), ("image/png", 200)] {
        let now = rollcall::core::millis::Millis::from(machine_time());
        let sent = rollcall_tests::Sent::signed(event.clone(), "msg_binary", stack.address("webhook_secret"), now);
        let mut request = stack.http.post(format!("{}/webhooks/clerk", stack.address("api"))).body(sent.body.clone());
        for (name, value) in sent.with("content-type", Some(media_type)).headers {
            request = request.header(name, value);
        }
        assert_eq!(request.send().await.unwrap().status(), expected, "{media_type}");
    }
    assert!(stack.stop("-TERM").await.success());
}

#[expect(clippy::disallowed_methods, reason = "a process of its own goes by the machine's clock")]
fn machine_time() -> std::time::SystemTime {
    std::time::SystemTime::now()
}

#[tokio::test]
async fn the_tables_are_readable_with_the_aws_cli() {
    let stack = start(&["--users", "4"]).await;
    // `make test` puts the AWS CLI of its own Python environment on the path.
    let scan = Command::new("aws")
        .args([
            "dynamodb",
            "scan",
            "--output",
            "json",
            "--region",
            "us-east-1",
            "--endpoint-url",
            stack.address("dynamodb"),
        ])
        .args(["--table-name", stack.address("directory_table"), "--filter-expression", "sk = :user"])
        .args(["--expression-attribute-values", r#"{":user":{"S":"USER"}}"#])
        .env("AWS_ACCESS_KEY_ID", "local")
        .env("AWS_SECRET_ACCESS_KEY", "local")
        .output();
    let scan = scan.await.expect("the AWS CLI is on the path: run this through `make test`");
    assert!(scan.status.success(), "{}", String::from_utf8_lossy(&scan.stderr));
    let scan: Value = serde_json::from_slice(&scan.stdout).unwrap();
    assert_eq!(scan["Count"], 4);
    assert!(scan["Items"][0]["email"]["S"].is_string() || scan["Items"][0]["name"]["S"].is_string());
    assert!(stack.stop("-TERM").await.success());
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
    assert!(err.contains(&url) && err.contains("check --url"), "{err}");
    for secret in ["whsec_MQ==", "nonsense!", "NOT_SET", ""] {
        let (status, _, err) = output(&["trigger", "user.created", "--url", &url, "--secret", secret]).await;
        assert_eq!(status, Some(64), "{err}");
        assert!(err.contains("--secret") && !err.contains("whsec_MQ") && !err.contains("nonsense"), "{err}");
    }
    // A webhook on another machine stores the invented user.
    for url in ["https://api.example.com/webhooks/clerk", "http://127.0.0.1.example.com", "http://192.0.2.1:1/"] {
        let (status, _, err) = output(&["trigger", "user.created", "--url", url]).await;
        assert_eq!(status, Some(64), "{err}");
        assert!(err.contains("pass --yes") && !err.contains("--dry-run"), "{err}");
    }
    let (status, _, err) = output(&["trigger", "user.created", "--url", "http://localhost:1/", "--yes"]).await;
    assert!(status == Some(1) && err.contains("check --url"), "{err}");
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
    let here = ["--port", stack.port(), "--json"];
    let (status, out, _) = output(&[&["trigger", "user.created", "--id", "user_mine"][..], &here].concat()).await;
    assert_eq!(status, Some(0), "{out}");
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["item"]["clerk_user_id"], "user_mine");
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

/// A port that the stack does not print would be open to every page in the browser: nothing checks names or pages
/// there.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn fault_s17_the_stack_listens_on_three_ports_and_answers_to_the_name_of_a_tunnel() {
    let stack = start(&["--users", "2", "--allow-host", "abc.ngrok-free.app"]).await;
    assert_eq!(stack.rows().await.iter().filter(|row| row["sk"] == "USER").count(), 2, "DynamoDB has been used");
    let mut printed: Vec<u16> = ["api", "clerk", "dynamodb"]
        .map(|name| stack.address(name).rsplit(':').next().unwrap().parse().unwrap())
        .into();
    printed.sort_unstable();
    assert_eq!(listening(stack.process.id().unwrap()), printed);

    let url = format!("{}/webhooks/clerk", stack.address("api"));
    for (host, expected) in [("abc.ngrok-free.app", 400), ("other.ngrok-free.app", 403)] {
        let answer = stack.http.post(&url).header("host", host).body("{}").send().await.unwrap();
        assert_eq!(answer.status(), expected, "{host}");
    }
    assert!(stack.stop("-TERM").await.success());
    let (status, _, error) = output(&["dev", "--allow-host", "https://abc.ngrok-free.app"]).await;
    assert_eq!(status, Some(64), "{error}");
    assert!(error.contains("a host name must have no scheme, port or path"), "{error}");
}

/// The TCP ports that a process listens on, in order, as the kernel knows them.
#[cfg(target_os = "linux")]
fn listening(process: u32) -> Vec<u16> {
    let sockets: Vec<String> = std::fs::read_dir(format!("/proc/{process}/fd"))
        .unwrap()
        .filter_map(|entry| Some(std::fs::read_link(entry.ok()?.path()).ok()?.to_string_lossy().into_owned()))
        .collect();
    let table = std::fs::read_to_string(format!("/proc/{process}/net/tcp")).unwrap();
    let mut ports: Vec<u16> = table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            // State 0A is LISTEN.
            let is_ours = fields[3] == "0A" && sockets.contains(&format!("socket:[{}]", fields[9]));
            is_ours.then(|| u16::from_str_radix(fields[1].rsplit(':').next().unwrap(), 16).unwrap())
        })
        .collect();
    ports.sort_unstable();
    ports
}
