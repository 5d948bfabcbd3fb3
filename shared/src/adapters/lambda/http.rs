//! Shared code of the HTTP functions: parses API Gateway's events, builds JSON and problem details.

use std::time::Duration;

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_TYPE, COOKIE, HOST};
use http::{HeaderMap, HeaderValue, Response, Uri};
use lambda_http::ext::RequestExt;
use lambda_http::request::{LambdaRequest, RequestContext};
use lambda_http::tower::{Service, ServiceBuilder};
use lambda_http::{Adapter, Body, Error, IntoResponse, LambdaEvent, Request, service_fn};
use serde::Serialize;
use serde_json::{Map, Value};
use tracing::{Instrument, info_span};
use url::Url;

use super::metrics;
use crate::core::millis::Millis;
use crate::core::problem::{MEDIA_TYPE, Problem, ProblemBody};

/// Makes an event safe for `lambda_http`, which panics on some events that API Gateway never sends, but that any caller
/// with permission to invoke the function can send: a body that is marked as base64 and is not, or a path, host or
/// query that is not part of a valid URL.
///
/// Each such part is replaced by an empty one. An empty body then fails the check of its signature.
pub fn sanitize_event(mut event: LambdaEvent<LambdaRequest>) -> LambdaEvent<LambdaRequest> {
    if let LambdaRequest::ApiGatewayV2(request) = &mut event.payload {
        sanitize_body(request);
        sanitize_cookies(request);
        sanitize_url(request);
    }
    event
}

fn sanitize_body(request: &mut ApiGatewayV2httpRequest) {
    let broken = |body: &String| STANDARD.decode(body).is_err();
    if request.is_base64_encoded && request.body.as_ref().is_some_and(broken) {
        request.body = None;
    }
}

/// `lambda_http` joins all cookies into one header and drops that header if one cookie is not valid in it, such as one
/// with an umlaut. Such a cookie, which another site may have set, must not remove the others.
fn sanitize_cookies(request: &mut ApiGatewayV2httpRequest) {
    let is_fit = |pair: &&str| pair.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    let fit = |cookie: String| cookie.split(';').filter(is_fit).collect::<Vec<_>>().join(";");
    request.cookies = request.cookies.take().map(|cookies| cookies.into_iter().map(fit).collect());
}

fn sanitize_url(request: &mut ApiGatewayV2httpRequest) {
    // The stage becomes a part of the path.
    let in_a_stage = |byte: u8| byte.is_ascii_alphanumeric() || b"$-_".contains(&byte);
    if !request.request_context.stage.as_ref().is_none_or(|stage| !stage.is_empty() && stage.bytes().all(in_a_stage)) {
        request.request_context.stage = None;
    }
    let path = request.raw_path.take().unwrap_or_default();
    let path = if path.starts_with('/') && makes_uri("http", "localhost", &path) { path } else { "/".to_owned() };
    let scheme = request.headers.get("x-forwarded-proto").map_or(Some("https"), |scheme| scheme.to_str().ok());
    let host = request.headers.get(HOST).map(|host| host.to_str().unwrap_or_default());
    let host = host.or(request.request_context.domain_name.as_deref());
    let is_http = scheme.is_some_and(|scheme| scheme == "https" || scheme == "http");
    if !(is_http && host.is_none_or(|host| makes_uri("https", host, &path))) {
        request.headers.remove("x-forwarded-proto");
        request.headers.remove(HOST);
        request.request_context.domain_name = None;
    }
    request.raw_path = Some(path);
    let is_query = |query: &String| format!("/?{query}").parse::<Uri>().is_ok();
    if !request.raw_query_string.as_ref().is_some_and(is_query) {
        request.raw_query_string = None;
    }
}

/// Whether `lambda_http` can build a URI from these: it parses them as a URL and the result as a URI.
fn makes_uri(scheme: &str, host: &str, path: &str) -> bool {
    let url = (!host.is_empty()).then(|| Url::parse(&format!("{scheme}://{host}{path}")));
    url.and_then(Result::ok).is_some_and(|url| url.as_str().parse::<Uri>().is_ok() && url.path().parse::<Uri>().is_ok())
}

/// The id of this request in API Gateway's access log, else Lambda's request id, else empty.
pub fn request_id(request: &Request) -> String {
    let gateway = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV2(context)) => context.request_id.clone(),
        _ => None,
    };
    gateway.or_else(|| request.lambda_context_ref().map(|context| context.request_id.clone())).unwrap_or_default()
}

/// The route key by which API Gateway chose the function, such as `POST /profiles/ensure`: as the template names the
/// route, independent of a stage or a custom domain. Empty if the event has none.
pub fn route_key(request: &Request) -> &str {
    match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV2(context)) => context.route_key.as_deref().unwrap_or_default(),
        _ => "",
    }
}

/// A function as a service for Lambda's events, for Lambda, the local stack and tests. Each invocation reads `clock`
/// once.
pub fn service<C, H, F>(
    clock: C,
    handle: H,
) -> impl Service<LambdaEvent<LambdaRequest>, Response: Serialize, Error = Error, Future: Send> + Clone
where
    C: Fn() -> Millis + Clone + Send + 'static,
    H: Fn(Request, Millis) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let handler = service_fn(move |request: Request| {
        let answer = handle(request, clock());
        async move { Ok::<_, Error>(answer.await.into_response().await) }
    });
    ServiceBuilder::new().map_request(sanitize_event).service(Adapter::from(handler))
}

/// The function's response within its time limit, with the request id in every log line; `late` if it takes longer.
pub async fn in_time<A>(request_id: &str, limit: Duration, answer: impl Future<Output = A>, late: A) -> A {
    // Boxed: the future contains the SDK's futures and is too large to be moved.
    let answer = Box::pin(answer);
    let answer = async {
        tokio::time::timeout(limit, answer).await.unwrap_or_else(|_| {
            tracing::error!(outcome = "deadline", "the function did not finish within its time limit and answered 503");
            late
        })
    };
    answer.instrument(info_span!("request", request_id)).await
}

/// The cookies of a request, as names and values (RFC 6265, section 5.4). Each is parsed separately, as bytes: an
/// invalid cookie does not affect the others.
pub fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let pairs = headers.get_all(COOKIE).iter().flat_map(|cookies| cookies.as_bytes().split(|byte| *byte == b';'));
    let texts = pairs.filter_map(|pair| std::str::from_utf8(pair).ok()).filter_map(|pair| pair.split_once('='));
    texts.map(|(name, value)| {
        let value = value.trim();
        let unquoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        (name.trim(), unquoted.unwrap_or(value))
    })
}

pub fn json(status: u16, body: &impl Serialize) -> Response<Body> {
    answer(status, "application/json", body)
}

/// A response with problem details (RFC 9457).
pub fn problem(problem: &Problem, request_id: &str) -> Response<Body> {
    problem_with_support(problem, request_id, None)
}

/// A response with problem details and the support contact. All forms of a problem are counted as metrics.
pub fn problem_with_support(problem: &Problem, request_id: &str, support: Option<&str>) -> Response<Body> {
    metrics::problem(problem);
    answer(problem.status, MEDIA_TYPE, &problem.body(request_id, support))
}

/// A problem with further members in its body, such as where in the request the problem is.
pub fn problem_with_members(
    problem: &Problem,
    request_id: &str,
    support: Option<&str>,
    members: Map<String, Value>,
) -> Response<Body> {
    metrics::problem(problem);
    answer(problem.status, MEDIA_TYPE, &WithMembers { body: problem.body(request_id, support), members })
}

#[derive(Serialize)]
struct WithMembers<'a> {
    #[serde(flatten)]
    body: ProblemBody<'a>,
    #[serde(flatten)]
    members: Map<String, Value>,
}

/// A problem as an HTML page, for a person in a browser.
pub fn problem_page(problem: &Problem, request_id: &str, support: Option<&str>) -> Response<Body> {
    metrics::problem(problem);
    let Problem { status, title, detail, .. } = problem;
    let [title, detail, request_id] = [title, detail, request_id].map(html_escape::encode_text);
    let support = support.map(html_escape::encode_text);
    let support = support.map(|support| format!("<p>Support: {support}</p>")).unwrap_or_default();
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>{title}</title><style>body{{font:16px/1.5 \
         system-ui;max-width:36em;margin:4em auto;padding:0 1em}}</style>\n<h1>{title}</h1><p>{detail}</p>{support}\
         <p><small>Request {request_id}</small></p></html>"
    );
    respond(*status, "text/html; charset=utf-8", page)
}

fn answer(status: u16, media_type: &'static str, body: &impl Serialize) -> Response<Body> {
    respond(status, media_type, serde_json::to_string(body).unwrap_or_default())
}

fn respond(status: u16, media_type: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Body::Text(body));
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
