//! Invokes an HTTP function with an event of API Gateway, as Lambda does.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lambda_http::lambda_runtime::Context;
use lambda_http::tower::ServiceExt;
use lambda_http::{LambdaEvent, request::LambdaRequest};
use serde_json::{Value, json};

/// Invokes a function with an event as Lambda does, and converts its response to HTTP.
pub async fn invoke<S>(name: &str, function: S, event: Value) -> Response
where
    S: lambda_http::Service<LambdaEvent<LambdaRequest>, Response: serde::Serialize, Error = lambda_http::Error>,
{
    let failed = || refuse(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error");
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

/// A response of API Gateway itself.
pub(crate) fn refuse(status: StatusCode, message: &str) -> Response {
    (status, axum::Json(json!({ "message": message }))).into_response()
}
