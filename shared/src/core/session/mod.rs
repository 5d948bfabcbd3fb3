//! Who calls: [`cookies`] finds the token, [`claims`] holds every rule about it, [`origins`] names the sites that may call.
//! [`problems`] says each refusal in words.

pub mod claims;
pub mod cookies;
pub mod origins;
pub mod problems;
