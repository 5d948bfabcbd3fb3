//! Errors for clients: problem details (RFC 9457) that say what to do and contain no internals.

use serde::Serialize;

/// The media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// One kind of error of the HTTP API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Problem {
    pub status: u16,
    /// The machine-readable name.
    pub code: &'static str,
    /// The title of the problem.
    pub title: &'static str,
    /// What to do about it.
    pub detail: &'static str,
}

/// The body of the response.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProblemBody<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    support: Option<&'a str>,
}

impl Problem {
    /// The body, for one request. `support` is the contact, for problems whose detail mentions one.
    pub fn body<'a>(&'a self, request_id: &'a str, support: Option<&'a str>) -> ProblemBody<'a> {
        ProblemBody {
            r#type: format!("urn:rollcall:problem:{}", self.code),
            title: self.title,
            status: self.status,
            detail: self.detail,
            code: self.code,
            request_id,
            support,
        }
    }
}
