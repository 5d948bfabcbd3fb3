//! Errors of requests to Clerk, by what the caller does about them.

use std::fmt;

use thiserror::Error;

use crate::core::explain::reason::Reason;
use crate::core::id::InstanceId;

/// Why a request to Clerk failed. "Not found" is a result, not an error.
#[derive(Debug, Error)]
pub enum ClerkError {
    /// Unreachable, slow, failing, or over the rate limit.
    #[error("Clerk is unavailable")]
    Unavailable(#[source] Option<reqwest::Error>),
    /// Clerk rejected the secret key.
    #[error("Clerk rejected the secret key with status {0}: check CLERK_SECRET_KEY")]
    Unauthorized(u16),
    /// The feature is disabled in the instance, such as organizations.
    #[error("organizations are disabled in the Clerk instance")]
    SwitchedOff,
    /// Clerk rejected the request, such as a cursor whose user is deleted. With Clerk's error code, if there is one.
    #[error("Clerk rejected the request with status {0} ({1})")]
    Rejected(u16, ErrorCode),
    /// Not a response of Clerk: a proxy's error page, or a body in another format.
    #[error("Clerk's response cannot be read (status {0})")]
    Unreadable(u16),
    /// The secret key belongs to another instance.
    #[error("the secret key belongs to another Clerk instance ({0}): check CLERK_SECRET_KEY and CLERK_INSTANCE_ID")]
    Foreign(InstanceId),
}

/// The code in Clerk's error body, such as `form_param_value_invalid`; empty if the body has none in that form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorCode(String);

/// The longest error code that is shown.
const LONGEST_CODE: usize = 64;

impl ErrorCode {
    /// Takes a code in the form of Clerk's codes. Another text may be the answer of a proxy, and is not shown.
    pub(super) fn new(code: String) -> Option<ErrorCode> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        (code.len() <= LONGEST_CODE && code.bytes().all(is_allowed)).then_some(ErrorCode(code))
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(if self.0.is_empty() { "no error code" } else { &self.0 })
    }
}

impl ClerkError {
    /// The error in the log and in explanations.
    pub fn reason(&self) -> Reason {
        match self {
            ClerkError::Unavailable(_) => Reason::ClerkUnavailable,
            ClerkError::Unauthorized(_) => Reason::ClerkUnauthorized,
            ClerkError::SwitchedOff => Reason::OrganizationsOff,
            ClerkError::Rejected(..) => Reason::ClerkRejected,
            ClerkError::Unreadable(_) => Reason::ClerkUnreadable,
            ClerkError::Foreign(_) => Reason::ClerkForeign,
        }
    }

    /// Whether the error concerns only this entity, so that requests about others may succeed.
    #[must_use]
    pub fn concerns_one(&self) -> bool {
        matches!(self, ClerkError::Unreadable(_) | ClerkError::Rejected(..))
    }
}
