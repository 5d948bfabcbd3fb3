//! Clerk's error object: `{"errors":[{message, long_message, code, meta?}], "clerk_trace_id"}`.
//!
//! Codes and texts are those in Clerk's published SDKs and localizations; where none is published, the nearest.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use serde_json::json;

/// An error in Clerk's form.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    long_message: String,
    /// The parameter that caused the error.
    parameter: Option<String>,
    retry_after_seconds: Option<u64>,
}

impl ApiError {
    fn new(status: StatusCode, code: &'static str, message: &str, long_message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.to_owned(),
            long_message: long_message.into(),
            parameter: None,
            retry_after_seconds: None,
        }
    }

    fn about(mut self, parameter: &str) -> Self {
        self.parameter = Some(parameter.to_owned());
        self
    }

    pub(crate) fn not_found(kind: &str, id: &str) -> Self {
        let long = format!("No {kind} was found with id {id}");
        Self::new(StatusCode::NOT_FOUND, "resource_not_found", "not found", long)
    }

    pub(crate) fn no_route(method: &str, path: &str) -> Self {
        let long = format!("The emulator does not implement {method} {path}");
        Self::new(StatusCode::NOT_FOUND, "resource_not_found", "not found", long)
    }

    pub(crate) fn method_not_allowed(method: &str) -> Self {
        let long = format!("This path does not support {method}");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "method not allowed", long)
    }

    pub(crate) fn unauthorized() -> Self {
        let long = "The provided Clerk Secret Key is invalid. Make sure that your Clerk Secret Key is correct.";
        Self::new(StatusCode::UNAUTHORIZED, "clerk_key_invalid", "The provided Clerk Secret Key is invalid", long)
    }

    pub(crate) fn missing_authorization() -> Self {
        let message = "Invalid Authorization header format";
        let long = "Invalid Authorization header format. Must be 'Bearer <YOUR_API_KEY>'";
        Self::new(StatusCode::UNAUTHORIZED, "authorization_header_format_invalid", message, long)
    }

    pub(crate) fn too_many_requests(retry_after_seconds: u64) -> Self {
        let long = "Too many requests, retry later";
        let refused = Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", "Too many requests", long);
        Self { retry_after_seconds: Some(retry_after_seconds), ..refused }
    }

    pub(crate) fn svix_app_exists() -> Self {
        let long = "Only one Svix app is allowed per instance.";
        Self::new(StatusCode::BAD_REQUEST, "svix_app_exists", "Svix app already exists", long)
    }

    pub(crate) fn svix_app_missing() -> Self {
        let long = "No Svix apps are associated with the current instance.";
        Self::new(StatusCode::BAD_REQUEST, "svix_app_missing", "Svix app is missing", long)
    }

    pub(crate) fn internal() -> Self {
        let long = "There was an internal error on our servers. We've been notified and are working on fixing it.";
        let message = "Oops, an unexpected error occurred";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_clerk_error", message, long)
    }

    pub(crate) fn organizations_off() -> Self {
        let message = "The organizations feature is not enabled for this instance";
        let long = "You can enable Organizations in the dashboard.";
        Self::new(StatusCode::FORBIDDEN, "organization_not_enabled_in_instance", message, long)
    }

    pub(crate) fn invalid_body(reason: &str) -> Self {
        let long = format!("The request body is invalid: {reason}");
        Self::new(StatusCode::BAD_REQUEST, "request_body_invalid", "Request body invalid", long)
    }

    pub(crate) fn unknown_parameter(name: &str) -> Self {
        let long = format!("{name} is not a valid parameter for this request.");
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "form_param_unknown", "is unknown", long).about(name)
    }

    pub(crate) fn missing_parameter(name: &str) -> Self {
        let long = format!("{name} must be included.");
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "form_param_missing", "is missing", long).about(name)
    }

    pub(crate) fn malformed_parameter(name: &str, expected: &str) -> Self {
        let long = format!("{name} must be {expected}.");
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "form_param_format_invalid", "is invalid", long).about(name)
    }

    pub(crate) fn refused_value(name: &str, reason: &str) -> Self {
        let long = format!("{name} {reason}.");
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "form_param_value_invalid", "is invalid", long).about(name)
    }

    /// Clerk publishes the code; the text is the emulator's.
    pub(crate) fn too_large(name: &str, limit_bytes: usize) -> Self {
        let (message, long) =
            ("exceeds allowed size", format!("{name} exceeds the allowed size of {limit_bytes} bytes."));
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "form_param_exceeds_allowed_size", message, long).about(name)
    }

    pub(crate) fn taken(name: &str) -> Self {
        let long = format!("That {} is taken. Please try another.", name.replace('_', " "));
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "form_identifier_exists", "is taken", long).about(name)
    }

    pub(crate) fn no_identifier() -> Self {
        let long = "A user needs an email address, a phone number or a username, or skip_user_requirement.";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "form_data_missing", "missing data", long)
    }

    pub(crate) fn already_a_member(user_id: &str) -> Self {
        let long = format!("{user_id} is already a member of the organization.");
        let (status, code) = (StatusCode::BAD_REQUEST, "already_a_member_in_organization");
        Self::new(status, code, "already a member", long).about("user_id")
    }

    /// For a token of an ended session. The text is that of the Frontend API.
    pub(crate) fn no_active_session() -> Self {
        let long = "Unable to authenticate the request, you need to supply an active session";
        Self::new(StatusCode::UNAUTHORIZED, "authentication_invalid", "Invalid authentication", long)
    }

    pub(crate) fn banned() -> Self {
        let long = "The user is banned and cannot have a session.";
        Self::new(StatusCode::BAD_REQUEST, "user_banned", "user is banned", long).about("user_id")
    }

    pub(crate) fn membership_quota(limit: i64) -> Self {
        let long = format!("You have reached your limit of {limit} organization memberships.");
        let message = "organization membership quota exceeded";
        Self::new(StatusCode::FORBIDDEN, "organization_membership_quota_exceeded", message, long)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut error = json!({"message": self.message, "long_message": self.long_message, "code": self.code});
        if let Some(parameter) = self.parameter {
            error["meta"] = json!({"param_name": parameter});
        }
        let body = json!({"errors": [error], "clerk_trace_id": trace_id()});
        let mut response = (self.status, Json(body)).into_response();
        if let Some(seconds) = self.retry_after_seconds {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// A counter instead of a random id: a trace must only differ from the next one.
fn trace_id() -> String {
    static REFUSALS: AtomicU64 = AtomicU64::new(1);
    format!("{:032x}", REFUSALS.fetch_add(1, Ordering::Relaxed))
}
