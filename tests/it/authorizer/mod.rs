//! The authorizer: which requests may pass to the application's own APIs, and which context their functions get.

mod allowed;
mod events;
mod failures;
mod refused;

use rollcall_tests::World;
use serde_json::{Map, Value, json};

use crate::ensure::profiles::newcomer;

/// An event with this token.
type Event = fn(&str) -> Value;

/// The events as AWS documents them, each with the token in the place where that kind of API has it.
const KINDS: [(&str, Event); 6] = [
    ("HTTP API, payload 2.0", simple),
    ("HTTP API, payload 1.0", payload_1),
    ("REST API, TOKEN", rest_token),
    ("REST API, REQUEST", rest_request),
    ("WebSocket API", websocket),
    ("AppSync", appsync),
];

/// Source: AWS, "Control access to HTTP APIs with AWS Lambda authorizers", payload format 2.0.
pub(crate) fn simple(token: &str) -> Value {
    let bearer = format!("Bearer {token}");
    json!({
        "version": "2.0", "type": "REQUEST",
        "routeArn": "arn:aws:execute-api:us-east-1:123456789012:abcdef123/test/POST/my/path",
        "identitySource": [bearer], "routeKey": "POST /my/path", "rawPath": "/my/path",
        "rawQueryString": "parameter1=value1&parameter1=value2&parameter2=value", "cookies": ["cookie1", "cookie2"],
        "headers": { "header1": "value1", "authorization": bearer },
        "queryStringParameters": { "parameter1": "value1,value2", "parameter2": "value" },
        "requestContext": {
            "accountId": "123456789012", "apiId": "abcdef123",
            "authentication": { "clientCert": { "clientCertPem": "CERT_CONTENT", "serialNumber": "a1:a1" } },
            "domainName": "id.execute-api.us-east-1.amazonaws.com", "domainPrefix": "id",
            "http": { "method": "POST", "path": "/my/path", "protocol": "HTTP/1.1", "sourceIp": "IP", "userAgent": "agent" },
            "requestId": "the-request", "routeKey": "POST /my/path", "stage": "test",
            "time": "12/Mar/2020:19:03:58 +0000", "timeEpoch": 1_583_348_638_390_u64,
        },
        "pathParameters": { "parameter1": "value1" }, "stageVariables": { "stageVariable1": "value1" },
    })
}

/// The same source, payload format 1.0.
pub(crate) fn payload_1(token: &str) -> Value {
    let bearer = format!("Bearer {token}");
    json!({
        "version": "1.0", "type": "REQUEST",
        "methodArn": "arn:aws:execute-api:us-east-1:123456789012:abcdef123/test/POST/request",
        "identitySource": bearer, "authorizationToken": bearer, "resource": "/request", "path": "/request",
        "httpMethod": "POST", "headers": { "X-AMZ-Date": "20170718T062915Z", "Authorization": bearer },
        "queryStringParameters": { "QueryString1": "queryValue1" }, "pathParameters": {},
        "stageVariables": { "StageVar1": "stageValue1" },
        "requestContext": {
            "path": "/request", "accountId": "123456789012", "resourceId": "05c7jb", "stage": "test",
            "requestId": "the-request", "identity": { "apiKey": "...", "sourceIp": "..." }, "resourcePath": "/request",
            "httpMethod": "POST", "apiId": "abcdef123",
        },
    })
}

/// Source: AWS, "Input to an API Gateway Lambda authorizer".
pub(crate) fn rest_token(token: &str) -> Value {
    json!({
        "type": "TOKEN", "authorizationToken": format!("Bearer {token}"),
        "methodArn": "arn:aws:execute-api:us-east-1:123456789012:abcdef123/test/POST/request",
    })
}

/// The same source.
pub(crate) fn rest_request(token: &str) -> Value {
    let bearer = format!("Bearer {token}");
    json!({
        "type": "REQUEST", "methodArn": "arn:aws:execute-api:us-east-1:123456789012:abcdef123/test/POST/request",
        "resource": "/request", "path": "/request", "httpMethod": "POST",
        "headers": { "X-AMZ-Date": "20170718T062915Z", "Accept": "*/*", "Authorization": bearer },
        "multiValueHeaders": { "X-AMZ-Date": ["20170718T062915Z"], "Accept": ["*/*"], "Authorization": [bearer] },
        "queryStringParameters": { "QueryString1": "queryValue1" },
        "multiValueQueryStringParameters": { "QueryString1": ["queryValue1"] },
        "pathParameters": {}, "stageVariables": { "StageVar1": "stageValue1" },
        "requestContext": {
            "path": "/request", "accountId": "123456789012", "resourceId": "05c7jb", "stage": "test",
            "requestId": "the-request", "identity": { "apiKey": "...", "sourceIp": "..." }, "resourcePath": "/request",
            "httpMethod": "POST", "apiId": "abcdef123",
        },
    })
}

/// Source: aws-lambda-rust-runtime, `example-apigw-v2-custom-authorizer-websocket-request.json`.
pub(crate) fn websocket(token: &str) -> Value {
    let bearer = format!("Bearer {token}");
    json!({
        "version": "$LATEST", "type": "REQUEST",
        "methodArn": "arn:aws:execute-api:eu-west-1:123456789012:abcdef123/test/$connect",
        "headers": { "Header1": "value1", "Authorization": bearer },
        "multiValueHeaders": { "Header1": ["value1"], "Authorization": [bearer] },
        "multiValueQueryStringParameters": {}, "queryStringParameters": { "parameter1": "value1" },
        "requestContext": {
            "apiId": "abcdef123", "connectedAt": 1_655_103_417_248_u64, "connectionId": "connection-id",
            "domainName": "example.com", "eventType": "CONNECT", "messageDirection": "IN", "requestId": "the-request",
            "routeKey": "$connect", "stage": "test",
        },
        "stageVariables": {},
    })
}

/// Source: AWS AppSync, "Configuring authorization and authentication to secure your GraphQL APIs". Its clients send the
/// token alone.
pub(crate) fn appsync(token: &str) -> Value {
    json!({
        "authorizationToken": token,
        "requestContext": {
            "apiId": "aaaaaa123123123example123", "accountId": "111122223333", "requestId": "the-request",
            "queryString": "mutation CreateEvent {...}\n\nquery MyQuery {...}\n", "operationName": "MyQuery", "variables": {},
        },
    })
}

/// The decision and the context of an answer, for all forms. Fails if the API would not accept the answer.
fn read(answer: &Value) -> (bool, Map<String, Value>) {
    assert!(!answer.to_string().contains("null"), "{answer}");
    let context = ["context", "resolverContext"].iter().find_map(|name| answer.get(*name));
    let context = context.map_or_else(Map::new, |context| context.as_object().unwrap().clone());
    assert!(context.values().all(Value::is_string), "{answer}");
    if let Some(is_authorized) = answer.get("isAuthorized") {
        return (is_authorized.as_bool().unwrap(), context);
    }
    let statement = &answer["policyDocument"]["Statement"];
    assert_eq!(statement.as_array().unwrap().len(), 1, "{answer}");
    assert_eq!(answer["policyDocument"]["Version"], "2012-10-17");
    assert_eq!(statement[0]["Action"], "execute-api:Invoke");
    assert!(statement[0]["Resource"].as_str().unwrap().ends_with(":abcdef123/test/*"), "{answer}");
    assert!(!answer["principalId"].as_str().unwrap().is_empty());
    let effect = statement[0]["Effect"].as_str().unwrap();
    assert!(["Allow", "Deny"].contains(&effect), "{answer}");
    (effect == "Allow", context)
}

/// The context of a request that must be allowed.
async fn context(world: &World, event: Value) -> Value {
    let answer = world.authorize(event.clone()).await.unwrap_or_else(|error| panic!("{error}: {event}"));
    let (is_allowed, context) = read(&answer);
    assert!(is_allowed, "{answer} for {event}");
    Value::Object(context)
}

/// The code of a refusal, or the error. An answer to AppSync has no code.
async fn refusal(world: &World, event: Value) -> String {
    match world.authorize(event.clone()).await {
        Ok(answer) => {
            let (is_allowed, context) = read(&answer);
            assert!(!is_allowed, "{answer} for {event}");
            context.get("code").and_then(Value::as_str).unwrap_or("refused").to_owned()
        }
        Err(error) => error,
    }
}

/// A world with a user who is an administrator of an organization. Both are in the Directory.
async fn with_ada() -> (World, String, String) {
    let world = World::start().await;
    let (ada, acme) = newcomer(&world).await;
    world.reconcile().await;
    let _ = world.wire.take();
    (world, ada, acme)
}
