//! Users by what old rows name: Clerk's id, an external id, or an e-mail address.

use super::api::ClerkApi;
use super::lists::{MAX_IDS, PAGE};
use crate::adapters::clerk::error::ClerkError;
use crate::core::clerk::identifications::IdentifiedUser;

/// The filter of `GET /users` by which users are looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookUp {
    Id,
    ExternalId,
    Address,
}

impl ClerkApi {
    /// The users that have one of these values, [`MAX_IDS`] at most. A value without a user is left out: absence from a
    /// list is no proof.
    ///
    /// # Errors
    ///
    /// [`ClerkError`]; [`ClerkError::Unreadable`] if Clerk returned as many users as it can, because there may be more.
    pub async fn identified(&self, by: LookUp, values: &[&str]) -> Result<Vec<IdentifiedUser>, ClerkError> {
        debug_assert!(!values.is_empty() && values.len() <= MAX_IDS, "no filter at all would list everybody");
        // The default is ten rows, however many values are given.
        let limit = PAGE.to_string();
        let (name, sign) = match by {
            // A sign before an id includes or excludes, and ids of other systems may begin with one.
            LookUp::Id => ("user_id", "+"),
            LookUp::ExternalId => ("external_id", "+"),
            LookUp::Address => ("email_address", ""),
        };
        let signed: Vec<String> = values.iter().map(|value| format!("{sign}{value}")).collect();
        let mut query = vec![("limit", limit.as_str())];
        query.extend(signed.iter().map(|value| (name, value.as_str())));
        let users: Vec<IdentifiedUser> = self.get(&["users"], &query).await?.ok_or(ClerkError::Unreadable(404))?;
        if users.len() >= PAGE { Err(ClerkError::Unreadable(200)) } else { Ok(users) }
    }
}
