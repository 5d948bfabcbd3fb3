//! Clerk's Backend API: the few calls that Rollcall makes, each answered in the domain's terms.

use std::time::Duration;

use reqwest::{StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use super::tls::HttpsClient;
use crate::core::clerk::{Entity, Membership, Organization, User};
use crate::core::id::EntityId;

/// Where Clerk lives unless told otherwise.
pub const DEFAULT_URL: &str = "https://api.clerk.com";
/// The version whose answers [`crate::core::clerk`] describes.
const API_VERSION: &str = "2026-05-12";
/// A webhook's fetch must leave time for the write that follows.
const TIMEOUT: Duration = Duration::from_secs(3);

/// The Backend API of one instance.
#[derive(Debug)]
pub struct ClerkApi {
    base: Url,
    key: SecretString,
    client: HttpsClient,
}

/// What can go wrong with Clerk. "Not found" is an answer, not an error.
#[derive(Debug, Error)]
pub enum ClerkError {
    /// Unreachable, slow, failing or out of rate.
    #[error("Clerk is unavailable")]
    Unavailable(#[source] Option<reqwest::Error>),
    /// The key was not accepted.
    #[error("Clerk refused the secret key with status {0}: check CLERK_SECRET_KEY")]
    Unauthorized(u16),
    /// An answer that is not Clerk's: a proxy's error page, a body of another shape.
    #[error("Clerk's answer cannot be read (status {0})")]
    Unreadable(u16),
}

impl ClerkApi {
    /// The API at `base` (without `/v1`), with the instance's secret key.
    #[must_use]
    pub fn new(base: Url, key: SecretString) -> ClerkApi {
        ClerkApi { base, key, client: HttpsClient::new(TIMEOUT) }
    }

    /// Fetches one entity; nothing if Clerk says in its own words that it does not exist.
    ///
    /// # Errors
    ///
    /// [`ClerkError`]. 401, 403, 429 and 5xx are never "not found".
    pub async fn fetch(&self, entity: &EntityId) -> Result<Option<Entity>, ClerkError> {
        match entity {
            EntityId::User(user) => {
                let found: Option<User> = self.get(&["users", user.as_str()], &[]).await?;
                about(found, |found| found.id == *user).map(|found| found.map(Entity::User))
            }
            EntityId::Organization(organization) => {
                let found: Option<Organization> = self.get(&["organizations", organization.as_str()], &[]).await?;
                about(found, |found| found.id == *organization).map(|found| found.map(Entity::Organization))
            }
            EntityId::Membership { user, organization } => {
                #[derive(Deserialize)]
                struct Page {
                    data: Vec<Membership>,
                    total_count: u64,
                }
                let path = ["organizations", organization.as_str(), "memberships"];
                let page: Option<Page> = self.get(&path, &[("user_id", user.as_str()), ("limit", "1")]).await?;
                let is_asked = |found: &Membership| {
                    found.public_user_data.user_id == *user && found.organization.id == *organization
                };
                match page {
                    // An organization that does not exist has no members.
                    None => Ok(None),
                    Some(page) if page.total_count == 0 && page.data.is_empty() => Ok(None),
                    // A page that is shorter than it says, or about somebody else, proves nothing.
                    Some(page) => match page.data.into_iter().find(is_asked) {
                        Some(found) => Ok(Some(Entity::Membership(found))),
                        None => Err(NOT_ASKED_FOR),
                    },
                }
            }
        }
    }

    async fn get<T: DeserializeOwned>(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Option<T>, ClerkError> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let client = self.client.get().map_err(|error| ClerkError::Unavailable(Some(error)))?;
        let request = client.get(url).bearer_auth(self.key.expose_secret()).header("Clerk-API-Version", API_VERSION);
        let answer = request.send().await.map_err(|error| ClerkError::Unavailable(Some(error.without_url())))?;
        let status = answer.status();
        let unreadable = || ClerkError::Unreadable(status.as_u16());
        match status {
            StatusCode::OK => answer.json().await.map(Some).map_err(|_| unreadable()),
            // Only with Clerk's own error body: a proxy's 404 proves nothing.
            StatusCode::NOT_FOUND => answer
                .json::<Errors>()
                .await
                .ok()
                .filter(|body| !body.errors.is_empty())
                .map(|_| None)
                .ok_or_else(unreadable),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(ClerkError::Unauthorized(status.as_u16())),
            _ if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                Err(ClerkError::Unavailable(None))
            }
            _ => Err(unreadable()),
        }
    }
}

/// An answer about somebody else, as a confused cache gives it.
const NOT_ASKED_FOR: ClerkError = ClerkError::Unreadable(200);

fn about<T>(found: Option<T>, is_asked: impl FnOnce(&T) -> bool) -> Result<Option<T>, ClerkError> {
    if found.as_ref().is_none_or(is_asked) { Ok(found) } else { Err(NOT_ASKED_FOR) }
}

/// Clerk's error body. Source: schema `ClerkErrors`.
#[derive(Deserialize)]
struct Errors {
    errors: Vec<serde::de::IgnoredAny>,
}
