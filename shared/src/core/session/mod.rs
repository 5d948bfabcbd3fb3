//! Authenticates the caller of an HTTP request: [`cookies`] selects the token, [`claims`] has the rules, [`origins`]
//! the allowed origins, [`problems`] the error texts.

pub mod claims;
pub mod cookies;
pub mod origins;
pub mod problems;
