//! Emulates API Gateway's HTTP API on a local port: converts each request to the invocation event of Lambda (payload
//! format 2.0), and the function's response to an HTTP response.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ensure_profile::EnsureProfile;
use lambda_http::lambda_runtime::Context;
use lambda_http::tower::ServiceExt;
use lambda_http::{LambdaEvent, request::LambdaRequest};
use rollcall::adapters::lambda::function::Function;
use rollcall::core::millis::Millis;
use serde_json::{Map, Value, json};
use tower_http::cors::{AllowOrigin, CorsLayer};
use webhook::Webhook;

use crate::{Clock, functions};

/// The maximum size of a body in API Gateway, in bytes. Source: AWS, "Quotas for HTTP APIs".
const MAX_BODY: usize = 10 * 1024 * 1024;

/// As in template.yaml: the headers of the client, and those that Sentry and OpenTelemetry add to requests of a page.
const ALLOWED_HEADERS: [&str; 6] =
    ["authorization", "content-type", "baggage", "sentry-trace", "traceparent", "tracestate"];

/// The functions behind the API.
#[derive(Clone)]
pub struct Functions {
    /// The function that receives Clerk's events.
    pub webhook: Arc<Webhook>,
    /// The function that front ends and browsers call.
    pub ensure_profile: Arc<EnsureProfile>,
    /// The clock of the functions.
    pub clock: Clock,
}

/// The API as an axum router, with the CORS configuration of template.yaml.
pub fn router(functions: Functions) -> axum::Router {
    let origins = functions.ensure_profile.origins().clone();
    let allows = move |origin: &HeaderValue, _: &Parts| origin.to_str().is_ok_and(|origin| origins.allow(origin));
    let cors = CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(allows))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers(ALLOWED_HEADERS.map(HeaderName::from_static))
        .allow_credentials(true)
        .expose_headers([header::RETRY_AFTER])
        .max_age(Duration::from_mins(10));
    axum::Router::new().fallback(handle).with_state(functions).layer(cors)
}

async fn handle(State(functions): State<Functions>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
    };
    let event = event(&parts, &body, (functions.clock)());
    let clock = move || (functions.clock)();
    match functions::route(parts.method.as_str(), parts.uri.path()).map(|(function, _)| function.name) {
        Some("webhook") => invoke(webhook::service(functions.webhook, clock), event).await,
        Some("ensure-profile") => invoke(ensure_profile::service(functions.ensure_profile, clock), event).await,
        _ => refuse(StatusCode::NOT_FOUND, "Not Found"),
    }
}

/// The invocation event of one request. Source: AWS, "AWS Lambda integration payload format", version 2.0.
pub fn event(parts: &Parts, body: &[u8], now: Millis) -> Value {
    let (method, path) = (parts.method.as_str(), parts.uri.path());
    let route = functions::route(method, path).map_or("$default", |(_, key)| key);
    let parameters: BTreeMap<_, _> = functions::path_parameters(route, path).collect();
    let base64 = !is_text(&parts.headers);
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let text = if base64 { STANDARD.encode(body) } else { String::from_utf8_lossy(body).into_owned() };
    // JSON contains text only: other bytes become U+FFFD.
    let cookies = parts.headers.get_all(header::COOKIE).iter().map(|cookie| String::from_utf8_lossy(cookie.as_bytes()));
    let cookies: Vec<String> = cookies.flat_map(|all| all.split("; ").map(str::to_owned).collect::<Vec<_>>()).collect();
    let mut event = json!({
        "version": "2.0",
        "routeKey": route,
        "rawPath": path,
        "rawQueryString": parts.uri.query().unwrap_or_default(),
        "headers": headers(&parts.headers),
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "local",
            "domainName": host,
            "domainPrefix": host.split('.').next(),
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": "",
            },
            "requestId": format!("{:016x}", fastrand::u64(..)),
            "routeKey": route,
            "stage": "$default",
            "timeEpoch": now,
        },
        "isBase64Encoded": base64,
    });
    if !parameters.is_empty() {
        event["pathParameters"] = json!(parameters);
    }
    if !body.is_empty() {
        event["body"] = text.into();
    }
    if !cookies.is_empty() {
        event["cookies"] = cookies.into();
    }
    event
}

/// Names in lower case, several values of one name joined by commas, without cookies.
fn headers(headers: &HeaderMap) -> Map<String, Value> {
    let mut joined = Map::new();
    for name in headers.keys().filter(|name| *name != header::COOKIE) {
        let values: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
        joined.insert(name.as_str().to_owned(), values.join(",").into());
    }
    joined
}

/// API Gateway passes text unchanged and everything else in base64.
fn is_text(headers: &HeaderMap) -> bool {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media_type.starts_with("text/")
        || ["application/json", "application/javascript", "application/xml"].contains(&media_type.as_str())
}

/// Invokes a function with an event as Lambda does, and converts its response to HTTP.
pub async fn invoke<S>(function: S, event: Value) -> Response
where
    S: lambda_http::Service<LambdaEvent<LambdaRequest>, Response: serde::Serialize, Error = lambda_http::Error>,
{
    let failed = || refuse(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error");
    let route = event["routeKey"].as_str().unwrap_or_default();
    let has_route = |function: &&Function| function.routes.contains(&route);
    let name = functions::FUNCTIONS.iter().find(has_route).map_or("unknown", |function| function.name);
    let Ok(request) = serde_json::from_str::<LambdaRequest>(&event.to_string()) else {
        return failed();
    };
    match function.oneshot(LambdaEvent::new(request, Context::default())).await {
        Ok(answer) => serde_json::to_value(answer).ok().and_then(|answer| response(&answer)).unwrap_or_else(failed),
        Err(error) => {
            tracing::error!(function = name, %error, "the function returned an error");
            failed()
        }
    }
}

fn response(answer: &Value) -> Option<Response> {
    let status = StatusCode::from_u16(u16::try_from(answer["statusCode"].as_u64()?).ok()?).ok()?;
    let body = answer["body"].as_str().unwrap_or_default();
    let body = if answer["isBase64Encoded"] == true { STANDARD.decode(body).ok()? } else { body.as_bytes().to_vec() };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    for (name, value) in answer["headers"].as_object().into_iter().flatten() {
        response.headers_mut().insert(name.parse::<HeaderName>().ok()?, value.as_str()?.parse::<HeaderValue>().ok()?);
    }
    for cookie in answer["cookies"].as_array().into_iter().flatten() {
        response.headers_mut().append(header::SET_COOKIE, cookie.as_str()?.parse().ok()?);
    }
    Some(response)
}

fn refuse(status: StatusCode, message: &str) -> Response {
    (status, axum::Json(json!({ "message": message }))).into_response()
}
