//! Svix's errors: `{code, detail}`, and a list of places for an invalid body.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

/// An error in Svix's form. The codes are those of the open-source server.
#[derive(Debug)]
pub(crate) struct SvixError {
    status: StatusCode,
    body: Value,
}

impl SvixError {
    fn new(status: StatusCode, code: &str, detail: &str) -> Self {
        Self { status, body: json!({ "code": code, "detail": detail }) }
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "authentication_failed", "Invalid token")
    }

    pub(super) fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "insufficient access", "Insufficient access for this operation")
    }

    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "Entity not found")
    }

    pub(super) fn conflict() -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", "Entity already exists")
    }

    pub(super) fn bad_request(code: &str, detail: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    pub(super) fn too_many_requests() -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", "Too many requests")
    }

    pub(super) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "Internal server error")
    }

    /// A field of the body or of the query is invalid.
    pub(super) fn invalid(place: &[&str], message: &str) -> Self {
        let detail = json!([{ "loc": place, "msg": message, "type": "value_error" }]);
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, body: json!({ "detail": detail }) }
    }
}

impl IntoResponse for SvixError {
    fn into_response(self) -> Response {
        (self.status, Json(self.body)).into_response()
    }
}
