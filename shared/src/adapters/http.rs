//! What every HTTP function shares: API Gateway's events in, JSON and problem details out.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_TYPE, HOST};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderValue, Response};
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use lambda_http::ext::RequestExt;
use lambda_http::request::{LambdaRequest, RequestContext};
use lambda_http::{Body, LambdaEvent, Request};
use serde::Serialize;

use crate::core::problem::{MEDIA_TYPE, Problem};

/// Makes an event safe for `lambda_http`, which panics on some that API Gateway never sends but that anybody who may invoke the function can:
/// a body that is no base64 although it says so, a path, a host or a query that make no URL.
///
/// Each of them is emptied. An empty body then fails its signature like every other forgery.
#[must_use]
pub fn tame(mut event: LambdaEvent<LambdaRequest>) -> LambdaEvent<LambdaRequest> {
    if let LambdaRequest::ApiGatewayV2(request) = &mut event.payload {
        tame_body(request);
        tame_url(request);
    }
    event
}

fn tame_body(request: &mut ApiGatewayV2httpRequest) {
    let broken = |body: &String| STANDARD.decode(body).is_err();
    if request.is_base64_encoded && request.body.as_ref().is_some_and(broken) {
        request.body = None;
    }
}

fn tame_url(request: &mut ApiGatewayV2httpRequest) {
    let is_path = |path: &String| path.starts_with('/') && path.parse::<PathAndQuery>().is_ok();
    if !request.raw_path.as_ref().is_some_and(is_path) {
        request.raw_path = Some("/".to_owned());
    }
    let is_query = |query: &String| format!("/?{query}").parse::<PathAndQuery>().is_ok();
    if !request.raw_query_string.as_ref().is_some_and(is_query) {
        request.raw_query_string = None;
    }
    let is_host = |host: &str| !host.contains('@') && host.parse::<Authority>().is_ok();
    if !request.headers.get(HOST).is_none_or(|host| host.to_str().is_ok_and(is_host)) {
        request.headers.remove(HOST);
    }
    if !request.request_context.domain_name.as_deref().is_none_or(is_host) {
        request.request_context.domain_name = None;
    }
    let is_scheme = |scheme: &HeaderValue| scheme == "https" || scheme == "http";
    if !request.headers.get("x-forwarded-proto").is_none_or(is_scheme) {
        request.headers.remove("x-forwarded-proto");
    }
    // The stage becomes a part of the path.
    if !request.request_context.stage.as_ref().is_none_or(|stage| is_path(&format!("/{stage}"))) {
        request.request_context.stage = None;
    }
}

/// The id under which API Gateway logs this request, else Lambda's, else nothing.
#[must_use]
pub fn request_id(request: &Request) -> String {
    let gateway = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV2(context)) => context.request_id.clone(),
        _ => None,
    };
    gateway.or_else(|| request.lambda_context_ref().map(|context| context.request_id.clone())).unwrap_or_default()
}

/// A JSON answer.
#[must_use]
pub fn json(status: u16, body: &impl Serialize) -> Response<Body> {
    answer(status, "application/json", body)
}

/// A problem as an answer (RFC 9457).
#[must_use]
pub fn problem(problem: &Problem, request_id: &str) -> Response<Body> {
    answer(problem.status, MEDIA_TYPE, &problem.body(request_id))
}

fn answer(status: u16, media_type: &'static str, body: &impl Serialize) -> Response<Body> {
    let body = serde_json::to_string(body).unwrap_or_default();
    let mut response = Response::new(Body::Text(body));
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
