//! Who calls: [`cookies`] finds the token, [`claims`] holds every rule about it, [`origins`] names the sites that may call,
//! [`admission`] is the one gate for users who are refused. [`problems`] says each refusal in words.

pub mod admission;
pub mod claims;
pub mod cookies;
pub mod origins;
pub mod problems;
