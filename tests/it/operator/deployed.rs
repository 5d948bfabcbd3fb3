//! I16 for a deployment in AWS: every command with a stack in another region, a function of another kind, and endpoints
//! that the shell sets. CloudFormation and Lambda are played by a server; the tables are those of a world.

use std::collections::BTreeMap;

use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use rollcall_tests::serve;
use serde_json::json;

use super::every_command::{CALLS, Call, Office, failed};
use crate::operator::commands::{self, Evidence, binary, finish};

/// An office, and an AWS with its stack `rollcall` and the functions `reconcile` and `webhook`.
struct Aws {
    office: Office,
    url: String,
}

impl Aws {
    async fn start() -> Aws {
        let office = Office::open().await;
        let record = commands::record(&office.world);
        let dynamodb = record.addresses.dynamodb.clone();
        let answer = move |request: Request| answer(request, record.settings.clone(), dynamodb.clone());
        let url = serve(axum::Router::new().fallback(answer)).await;
        Aws { office, url }
    }

    /// Runs a command with some variables in the shell.
    async fn run(&self, call: &Call, options: &[&str], shell: &[(&str, &str)]) -> Evidence {
        let mut command = commands::command(binary().to_str().unwrap(), &[]);
        command.args(self.office.args(call)).args(options);
        command.env("AWS_REGION", "eu-north-1").env("AWS_ENDPOINT_URL", &self.url);
        command.env("AWS_ACCESS_KEY_ID", "local").env("AWS_SECRET_ACCESS_KEY", "local");
        command.envs(shell.iter().copied());
        finish(command).await
    }
}

async fn answer(request: Request, mut settings: BTreeMap<String, String>, dynamodb: String) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    if parts.headers.contains_key("x-amz-target") {
        let request = reqwest::Client::new().post(dynamodb).headers(parts.headers).body(body).send().await.unwrap();
        let (status, headers) = (request.status(), request.headers().clone());
        return (status, headers, request.bytes().await.unwrap()).into_response();
    }
    if let Some(name) = parts.uri.path().strip_prefix("/2015-03-31/functions/") {
        let host = parts.headers["host"].to_str().unwrap().replace("localhost", "127.0.0.1");
        settings.insert("AWS_ENDPOINT_URL".to_owned(), format!("http://{host}"));
        for (name, usual) in [("RECONCILE_POLICY", "repair"), ("MIRROR", "on"), ("ROLES", "user,admin")] {
            settings.entry(name.to_owned()).or_insert_with(|| usual.to_owned());
        }
        if name.starts_with("webhook") {
            settings.remove("RECONCILE_POLICY");
        }
        return axum::Json(json!({ "Environment": { "Variables": settings } })).into_response();
    }
    let xml = HeaderMap::from_iter([("content-type".parse().unwrap(), "text/xml".parse().unwrap())]);
    let asked = String::from_utf8_lossy(&body).into_owned();
    if !asked.contains("StackName=rollcall") {
        let error = "<ErrorResponse><Error><Type>Sender</Type><Code>ValidationError</Code>\
                     <Message>Stack does not exist</Message></Error></ErrorResponse>";
        return (StatusCode::BAD_REQUEST, xml, error).into_response();
    }
    let pair = |kind: &str, name: &str, value: &str| {
        format!("<member><{kind}Key>{name}</{kind}Key><{kind}Value>{value}</{kind}Value></member>")
    };
    let outputs =
        pair("Output", "ReconcileFunction", "reconcile") + &pair("Output", "Version", env!("CARGO_PKG_VERSION"));
    let parameters = pair("Parameter", "RolePointer", "/app/role");
    let stack = format!(
        "<DescribeStacksResponse><DescribeStacksResult><Stacks><member><StackName>rollcall</StackName>\
         <CreationTime>2026-01-01T00:00:00Z</CreationTime><StackStatus>UPDATE_COMPLETE</StackStatus>\
         <Outputs>{outputs}</Outputs><Parameters>{parameters}</Parameters></member></Stacks></DescribeStacksResult>\
         </DescribeStacksResponse>"
    );
    (xml, stack).into_response()
}

/// The options that name the reconcile function.
fn function<'a>(call: &Call, name: &'a str) -> Vec<&'a str> {
    let pointer = if call.args[0] == "set-role" { &["--override", "ROLE_POINTER=/role"][..] } else { &[] };
    [&["--function", name], pointer].concat()
}

#[tokio::test]
async fn i16_every_command_refuses_another_region_and_a_function_that_is_not_reconcile() {
    let aws = Aws::start().await;
    let before = aws.office.stored().await;
    for call in &CALLS {
        let said = aws.run(call, &["--stack", "elsewhere"], &[]).await;
        failed(call, &said, 1, "stack elsewhere does not exist in region eu-north-1");
        let said = aws.run(call, &function(call, "webhook"), &[]).await;
        failed(call, &said, 1, "function webhook is not a reconcile function of Rollcall: it has no RECONCILE_POLICY");
    }
    assert_eq!(aws.office.stored().await, before);
}

#[tokio::test]
async fn i16_every_command_refuses_an_endpoint_that_is_not_that_of_the_deployment() {
    let aws = Aws::start().await;
    let before = aws.office.stored().await;
    for (at, call) in CALLS.iter().enumerate() {
        let services =
            ["DYNAMODB", "CLOUDFORMATION", "LAMBDA", "SECRETS_MANAGER", "S3", "CLOUDWATCH", "CLOUDWATCH_LOGS", "STS"];
        // All services with the first command, one with each other.
        for service in services.iter().skip(if at == 0 { 0 } else { at % 8 }).take(if at == 0 { 8 } else { 1 }) {
            let name = format!("AWS_ENDPOINT_URL_{service}");
            for options in [vec!["--stack", "rollcall"], function(call, "reconcile")] {
                let said = aws.run(call, &options, &[(&name, &aws.url)]).await;
                failed(call, &said, 64, &format!("is not at the endpoint that this shell sets. Unset {name}"));
            }
        }
        let other = aws.url.replace("127.0.0.1", "localhost");
        let said = aws.run(call, &["--stack", "rollcall"], &[("AWS_ENDPOINT_URL", &other)]).await;
        failed(call, &said, 64, "Unset AWS_ENDPOINT_URL (or endpoint_url in the AWS configuration)");
    }
    assert_eq!(aws.office.stored().await, before);
}

#[tokio::test]
async fn i16_the_parameters_of_the_stack_count_as_settings() {
    let aws = Aws::start().await;
    let status = CALLS.iter().find(|call| call.args == ["status"]).unwrap();
    let said = aws.run(status, &["--stack", "rollcall"], &[("ROLE_POINTER", "/app/role")]).await;
    assert!(matches!(said.status, Some(0 | 2)), "{}", said.err);
    let said = aws.run(status, &["--stack", "rollcall"], &[("ROLE_POINTER", "/role")]).await;
    failed(status, &said, 64, "ROLE_POINTER: the shell says /role, the deployment says /app/role");
    // The reconcile function does not say it.
    let said = aws.run(status, &["--function", "reconcile"], &[("ROLE_POINTER", "/other")]).await;
    assert!(matches!(said.status, Some(0 | 2)), "{}", said.err);
    let role = CALLS.iter().find(|call| call.args[0] == "set-role").unwrap();
    for (options, at) in [(vec!["--stack", "rollcall"], "/app/role"), (function(role, "reconcile"), "/role")] {
        let said = aws.run(role, &options, &[]).await;
        assert_eq!(said.status, Some(0), "{}", said.err);
        let users = aws.office.world.clerk("GET", "/users?limit=100", serde_json::Value::Null).await;
        let metadata: Vec<_> = users.as_array().unwrap().iter().map(|user| &user["public_metadata"]).collect();
        assert!(metadata.iter().any(|metadata| metadata.pointer(at).is_some()), "{at}: {metadata:?}");
    }
}
