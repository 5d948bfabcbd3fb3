//! Client of Clerk's Backend API: the few requests that Rollcall sends, with typed results.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::error::{self, ClerkError};
use super::proof::{Proof, Proofs};
use crate::adapters::clerk::secrets::Secret;
use crate::adapters::lambda::metrics;
use crate::adapters::tls::{HttpsClient, is_on_this_machine};
use crate::core::clerk::objects::{Entity, Membership, Organization, User};
use crate::core::id::{EntityId, InstanceId, OrganizationId, UserId};
use crate::core::reconcile::rate_limiter::RateLimiter;

/// The default URL of the Backend API.
pub const DEFAULT_URL: &str = "https://api.clerk.com";
/// The version of the API whose responses [`crate::core::clerk::objects`] describes.
const API_VERSION: &str = "2026-05-12";
/// Short, because after a fetch the webhook needs time for its write.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Longer, because a page of 500 users takes longer and no caller waits for it.
const PATIENT_TIMEOUT: Duration = Duration::from_secs(20);
/// Maximum number of requests for one response, if no caller waits for it.
const MAX_ATTEMPTS: u32 = 5;
/// The longest wait for one response, whatever `Retry-After` says: the lease of a run must not expire meanwhile.
const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// The wait after the first failure without `Retry-After`; it doubles with each further failure.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// The Backend API of one instance.
#[derive(Debug)]
pub struct ClerkApi {
    base: Url,
    key: Secret,
    client: HttpsClient,
    calls: AtomicU64,
    patience: Option<Patience>,
    /// With a value, only verified keys of one instance are used.
    pub(in crate::adapters) proofs: Option<Proofs>,
}

/// A response of Clerk.
pub(in crate::adapters) struct Heard {
    answer: Response,
    /// The secret key of the request.
    key: SecretString,
    /// The number of responses before this request.
    before: u64,
}

/// How to retry if no caller waits for the response.
#[derive(Debug)]
struct Patience {
    most_attempts: u32,
    rate_limiter: Mutex<RateLimiter>,
    begun: Instant,
}

impl ClerkApi {
    /// The API at `base` (without `/v1`), with the instance's secret key.
    pub fn new(base: Url, key: impl Into<Secret>) -> ClerkApi {
        let (client, calls) = (HttpsClient::of(&base, TIMEOUT), AtomicU64::new(0));
        ClerkApi { base, key: key.into(), client, calls, patience: None, proofs: None }
    }

    /// The same with verified keys only: before its first use, Clerk must confirm that a secret key belongs to this
    /// instance, also after a rotation.
    #[must_use]
    pub fn verified(self, instance: InstanceId) -> ClerkApi {
        ClerkApi { proofs: Some(Proofs::new(instance)), ..self }
    }

    /// The same for work without a waiting caller: it keeps to its share of Clerk's rate limit, obeys `Retry-After`,
    /// and retries after temporary failures.
    #[must_use]
    pub fn patient(self, rate_limiter: RateLimiter) -> ClerkApi {
        let client = HttpsClient::of(&self.base, PATIENT_TIMEOUT);
        ClerkApi { client, ..self.at_rate(rate_limiter, MAX_ATTEMPTS) }
    }

    /// The same for work that is done later if it fails: it keeps to its share, and sends each request once.
    #[must_use]
    pub fn rate_limited(self, rate_limiter: RateLimiter) -> ClerkApi {
        self.at_rate(rate_limiter, 1)
    }

    fn at_rate(self, rate_limiter: RateLimiter, most_attempts: u32) -> ClerkApi {
        ClerkApi {
            patience: Some(Patience { most_attempts, rate_limiter: Mutex::new(rate_limiter), begun: Instant::now() }),
            ..self
        }
    }

    /// Sets another share of Clerk's rate limit.
    pub fn set_rate(&self, rate_limiter: &RateLimiter) {
        if let Some(patience) = &self.patience {
            patience.lock().change(rate_limiter);
        }
    }

    /// Whether the secret key belongs to a production instance, by its prefix. A development instance has lower rate
    /// limits.
    pub async fn has_production_key(&self) -> bool {
        self.key.current().await.expose_secret().starts_with("sk_live_")
    }

    /// The address of an emulator on this machine; nothing for Clerk itself.
    pub(in crate::adapters) fn base_on_this_machine(&self) -> Option<&Url> {
        Some(&self.base).filter(|base| is_on_this_machine(base))
    }

    /// The number of requests, with repeats.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Fetches one entity; nothing if Clerk's own error says that it does not exist.
    ///
    /// # Errors
    ///
    /// [`ClerkError`]. 401, 403, 429 and 5xx are never "not found".
    pub async fn fetch(&self, entity: &EntityId) -> Result<Option<Entity>, ClerkError> {
        match entity {
            EntityId::User(user) => {
                let found: Option<User> = self.get(&["users", user.as_str()], &[]).await?;
                about(found, |found| found.id == *user && !found.is_unreadable()).map(|found| found.map(Entity::User))
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
                    // If Clerk does not have the organization, it does not have the membership.
                    None => Ok(None),
                    Some(page) if page.total_count == 0 && page.data.is_empty() => Ok(None),
                    // A page that is shorter than its count, or about another user, proves no absence.
                    Some(page) => match page.data.into_iter().find(is_asked) {
                        Some(found) => Ok(Some(Entity::Membership(found))),
                        None => Err(NOT_ASKED_FOR),
                    },
                }
            }
        }
    }

    /// Gets one document; nothing if Clerk's own error says that it does not exist.
    pub(in crate::adapters) async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Option<T>, ClerkError> {
        let mut url = self.url(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(self.get_with(url, true).await?.0)
    }

    /// Gets the document about the instance of the secret key, and the proof for it.
    pub(in crate::adapters) async fn get_proof<T: DeserializeOwned>(&self) -> Result<(Option<T>, Proof), ClerkError> {
        self.get_with(self.url(&["instance"]), false).await
    }

    async fn get_with<T: DeserializeOwned>(
        &self,
        url: Url,
        is_guarded: bool,
    ) -> Result<(Option<T>, Proof), ClerkError> {
        let mut attempts = 1;
        loop {
            let Some(patience) = &self.patience else {
                let heard = self.send(Method::GET, url, None, is_guarded).await?;
                return Ok((read(heard.answer).await?, Proof::new(heard.key, heard.before)));
            };
            patience.acquire().await;
            let (error, asked_for) = match self.send(Method::GET, url.clone(), None, is_guarded).await {
                Ok(Heard { answer, key, before }) => {
                    let asked_for = retry_after(&answer);
                    match read(answer).await {
                        Err(error @ ClerkError::Unavailable(_)) => (error, asked_for),
                        read => return Ok((read?, Proof::new(key, before))),
                    }
                }
                Err(error @ ClerkError::Unavailable(_)) => (error, None),
                Err(error) => return Err(error),
            };
            let wait = asked_for.unwrap_or(FIRST_WAIT * 2_u32.pow(attempts - 1));
            if asked_for.is_some() {
                patience.pause(wait);
            }
            if attempts == patience.most_attempts || wait > LONGEST_WAIT {
                return Err(error);
            }
            tracing::warn!(
                %error,
                attempts,
                wait_ms = u64::try_from(wait.as_millis()).ok(),
                "retrying a request to Clerk"
            );
            tokio::time::sleep(wait).await;
            attempts += 1;
        }
    }

    /// Merges keys into a user's public metadata; nothing if Clerk does not have the user. Sent once: after a failure
    /// another client may have set them, so they must be read again first.
    ///
    /// # Errors
    ///
    /// [`ClerkError`].
    pub async fn merge_public_metadata(
        &self,
        user: &UserId,
        keys: &Map<String, Value>,
    ) -> Result<Option<()>, ClerkError> {
        let body = json!({ "public_metadata": keys });
        let path = ["users", user.as_str(), "metadata"];
        Ok(self.write::<IgnoredAny>(Method::PATCH, &path, Some(&body)).await?.map(drop))
    }

    /// Changes the role of a membership; nothing if Clerk does not have the membership. Sent once.
    ///
    /// # Errors
    ///
    /// [`ClerkError`]; [`ClerkError::Rejected`] if the instance does not have the role.
    pub async fn set_organization_role(
        &self,
        user: &UserId,
        organization: &OrganizationId,
        role: &str,
    ) -> Result<Option<()>, ClerkError> {
        let path = ["organizations", organization.as_str(), "memberships", user.as_str()];
        let body = json!({ "role": role });
        Ok(self.write::<IgnoredAny>(Method::PATCH, &path, Some(&body)).await?.map(drop))
    }

    /// Deletes a user; nothing if Clerk does not have the user. Sent once: after a failure the caller must ask Clerk
    /// whether the user still exists.
    ///
    /// # Errors
    ///
    /// [`ClerkError`].
    pub async fn delete_user(&self, user: &UserId) -> Result<Option<()>, ClerkError> {
        let path = ["users", user.as_str()];
        Ok(self.write::<IgnoredAny>(Method::DELETE, &path, None).await?.map(drop))
    }

    /// Sends a request that changes something, once; nothing if Clerk does not have the entity.
    pub(in crate::adapters) async fn write<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&Value>,
    ) -> Result<Option<T>, ClerkError> {
        if let Some(patience) = &self.patience {
            patience.acquire().await;
        }
        let answer = self.send(method, self.url(path), body, true).await?.answer;
        if let (Some(patience), Some(wait)) = (&self.patience, retry_after(&answer)) {
            patience.pause(wait);
        }
        read(answer).await
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(path);
        }
        url
    }

    /// Sends a request. If Clerk rejects the secret key and there is a newer one, the request is repeated with it:
    /// Clerk has not carried out a rejected request. This happens once for each rotation, and does not count for the
    /// rate limiter. If only verified keys are allowed, the key is verified first.
    async fn send(
        &self,
        method: Method,
        url: Url,
        body: Option<&Value>,
        is_guarded: bool,
    ) -> Result<Heard, ClerkError> {
        let key = self.key.current().await;
        let heard = self.send_with(&key, &method, &url, body, is_guarded).await?;
        if heard.answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(heard);
        }
        match self.key.after_refusal(&key).await {
            None => Ok(heard),
            Some(newer) => self.send_with(&newer, &method, &url, body, is_guarded).await,
        }
    }

    async fn send_with(
        &self,
        key: &SecretString,
        method: &Method,
        url: &Url,
        body: Option<&Value>,
        is_guarded: bool,
    ) -> Result<Heard, ClerkError> {
        let client = self.client.get().map_err(|error| ClerkError::Unavailable(Some(error)))?;
        if let Some(proofs) = self.proofs.as_ref().filter(|proofs| is_guarded && !proofs.knows(key)) {
            let heard = self.send_once(key, client.get(self.url(&["instance"]))).await?;
            if heard.answer.status() == StatusCode::UNAUTHORIZED {
                // Clerk would reject the request, too.
                return Ok(heard);
            }
            let said = read(heard.answer).await?.ok_or(ClerkError::Unreadable(404))?;
            proofs.keep(said, Proof::new(heard.key, heard.before))?;
        }
        let request = client.request(method.clone(), url.clone());
        self.send_once(key, if let Some(body) = body { request.json(body) } else { request }).await
    }

    async fn send_once(&self, key: &SecretString, request: RequestBuilder) -> Result<Heard, ClerkError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        metrics::clerk_call();
        let before = self.proofs.as_ref().map(Proofs::heard).unwrap_or_default();
        let request = request.bearer_auth(key.expose_secret()).header("Clerk-API-Version", API_VERSION);
        let sent = request.send().await.map_err(|error| ClerkError::Unavailable(Some(error.without_url())));
        if let Some(proofs) = &self.proofs {
            proofs.hear();
        }
        Ok(Heard { answer: sent?, key: key.clone(), before })
    }

    /// The current secret key.
    pub(in crate::adapters) async fn current_key(&self) -> SecretString {
        self.key.current().await
    }
}

impl Patience {
    /// Waits until the rate limiter allows another request.
    async fn acquire(&self) {
        loop {
            let turn = self.lock().acquire(self.begun.elapsed());
            let Err(wait) = turn else { return };
            tokio::time::sleep(wait).await;
        }
    }

    /// Stops all requests of this client until the time in `Retry-After` is over: Clerk limits the whole instance.
    fn pause(&self, wait: Duration) {
        self.lock().pause(self.begun.elapsed(), wait.min(LONGEST_WAIT));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, RateLimiter> {
        // A panic elsewhere leaves the rate limiter in a valid state.
        self.rate_limiter.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// `Retry-After` in whole seconds, the only form that Clerk uses.
fn retry_after(answer: &Response) -> Option<Duration> {
    let seconds = answer.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

async fn read<T: DeserializeOwned>(answer: Response) -> Result<Option<T>, ClerkError> {
    let status = answer.status();
    // A connection that breaks off is an outage, not an unreadable response.
    let body = answer.bytes().await.map_err(|error| ClerkError::Unavailable(Some(error.without_url())))?;
    let unreadable = || ClerkError::Unreadable(status.as_u16());
    // A 404 of a proxy proves nothing: only Clerk's own error body says that an entity does not exist.
    let errors = || serde_json::from_slice::<Errors>(&body).ok().filter(|body| !body.errors.is_empty());
    match status {
        StatusCode::OK => serde_json::from_slice(&body).map(Some).map_err(|_| unreadable()),
        StatusCode::NOT_FOUND => errors().map(|_| None).ok_or_else(unreadable),
        StatusCode::FORBIDDEN if errors().is_some_and(|errors| errors.says(WITHOUT_ORGANIZATIONS)) => {
            Err(ClerkError::SwitchedOff)
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(ClerkError::Unauthorized(status.as_u16())),
        _ if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => Err(ClerkError::Unavailable(None)),
        _ if status.is_client_error() => match errors() {
            Some(errors) => Err(ClerkError::Rejected(status.as_u16(), errors.code())),
            None => Err(unreadable()),
        },
        _ => Err(unreadable()),
    }
}

/// A response about another entity, as a faulty cache could return.
const NOT_ASKED_FOR: ClerkError = ClerkError::Unreadable(200);

fn about<T>(found: Option<T>, is_asked: impl FnOnce(&T) -> bool) -> Result<Option<T>, ClerkError> {
    if found.as_ref().is_none_or(is_asked) { Ok(found) } else { Err(NOT_ASKED_FOR) }
}

/// The error code of Clerk's 403 if organizations are disabled in the instance.
const WITHOUT_ORGANIZATIONS: &str = "organization_not_enabled_in_instance";

/// Clerk's error body. Source: schema `ClerkErrors`.
#[derive(Deserialize)]
struct Errors {
    errors: Vec<ErrorCode>,
}

#[derive(Deserialize)]
struct ErrorCode {
    code: Option<String>,
}

impl Errors {
    fn code(self) -> error::ErrorCode {
        self.errors.into_iter().find_map(|error| error::ErrorCode::new(error.code?)).unwrap_or_default()
    }

    fn says(&self, code: &str) -> bool {
        self.errors.iter().any(|error| error.code.as_deref() == Some(code))
    }
}
