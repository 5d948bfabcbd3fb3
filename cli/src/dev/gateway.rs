//! Emulates API Gateway's HTTP API on a local port: converts each request to the invocation event of Lambda (payload
//! format 2.0), and the function's response to an HTTP response.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::LengthLimitError;
use rollcall::core::millis::Millis;
use serde_json::{Map, Value, json};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::functions::{self, Functions};
use crate::invocation::refuse;

/// The maximum size of a body in API Gateway, in bytes. Source: AWS, "Quotas for HTTP APIs".
const MAX_BODY: usize = 10 * 1024 * 1024;

/// As in template.yaml: the headers of the client, and those that Sentry and OpenTelemetry add to requests of a page.
const ALLOWED_HEADERS: [&str; 8] = [
    "authorization",
    "content-type",
    "if-match",
    "if-none-match",
    "baggage",
    "sentry-trace",
    "traceparent",
    "tracestate",
];

/// The API as an axum router, with the CORS configuration of template.yaml.
pub fn router(functions: Functions) -> axum::Router {
    let origins = functions.ensure_profile.origins().clone();
    let allows = move |origin: &HeaderValue, _: &Parts| origin.to_str().is_ok_and(|origin| origins.allow(origin));
    let cors = CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(allows))
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers(ALLOWED_HEADERS.map(HeaderName::from_static))
        .allow_credentials(true)
        .expose_headers([header::ETAG, header::RETRY_AFTER, HeaderName::from_static("accept-patch")])
        .max_age(Duration::from_hours(2));
    axum::Router::new().fallback(handle).with_state(functions).layer(cors)
}

async fn handle(State(functions): State<Functions>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = match to_bytes(body, MAX_BODY).await {
        Ok(body) => body,
        Err(error) if error.source().is_some_and(|source| source.is::<LengthLimitError>()) => {
            return refuse(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
        }
        // The client closed the connection too early, or its chunks are malformed.
        Err(_) => return refuse(StatusCode::BAD_REQUEST, "Bad Request"),
    };
    let event = event(&parts, &body, (functions.clock)());
    let answer = match functions::route(parts.method.as_str(), parts.uri.path()) {
        Some((function, _)) => functions.invoke(function.name, event).await,
        None => None,
    };
    answer.unwrap_or_else(|| refuse(StatusCode::NOT_FOUND, "Not Found"))
}

/// The invocation event of one request. Source: AWS, "AWS Lambda integration payload format", version 2.0.
pub fn event(parts: &Parts, body: &[u8], now: Millis) -> Value {
    let (method, path) = (parts.method.as_str(), parts.uri.path());
    let route = functions::route(method, path).map_or("$default", |(_, key)| key);
    let parameters: BTreeMap<_, _> = functions::path_parameters(route, path).collect();
    // An event is JSON and holds text alone. AWS does not document what becomes of bytes that claim to be text and are none:
    // in base64 they reach the function as they are, so that it can refuse them.
    let (text, base64) = match std::str::from_utf8(body) {
        Ok(text) if is_text(&parts.headers) => (text.to_owned(), false),
        _ => (STANDARD.encode(body), true),
    };
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    // What is no text becomes U+FFFD.
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

/// Names in lower case, several values of one name joined by commas, cookies apart.
fn headers(headers: &HeaderMap) -> Map<String, Value> {
    let mut joined = Map::new();
    for name in headers.keys().filter(|name| *name != header::COOKIE) {
        let values: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
        joined.insert(name.as_str().to_owned(), values.join(",").into());
    }
    joined
}

/// API Gateway hands text over as it is and everything else in base64.
fn is_text(headers: &HeaderMap) -> bool {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media_type.starts_with("text/")
        || ["application/json", "application/javascript", "application/xml"].contains(&media_type.as_str())
}
