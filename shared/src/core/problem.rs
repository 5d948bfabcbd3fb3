//! Errors that a client sees: problem details (RFC 9457), which say what to do and leak nothing.

use serde::Serialize;

/// The media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// One kind of error of the HTTP contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Problem {
    pub status: u16,
    /// The name that machines match on.
    pub code: &'static str,
    /// What kind of problem it is.
    pub title: &'static str,
    /// What to do about it.
    pub detail: &'static str,
}

/// The body of the answer.
#[derive(Debug, Serialize)]
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
    /// The body, for one request. `support` is whom to ask, where the problem's detail says that one should.
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
