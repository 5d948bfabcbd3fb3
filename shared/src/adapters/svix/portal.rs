//! The key of Clerk's application at Svix, and the requests with it.
//!
//! **The private step**: Clerk makes a link for its dashboard, whose fragment has a one-time token; the token is exchanged
//! for a key of the application. Neither the fragment nor the exchange is documented. Every surprise in it is
//! [`ControlError::Unavailable`]. The requests with the key are Svix's published ones.
//!
//! The link, the tokens and the secrets are never part of an error.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use reqwest::{Method, Response, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::model;
use super::{ControlError, EndpointControl, Stats};
use crate::adapters::clerk::api::ClerkApi;
use crate::adapters::clerk::error::ClerkError;
use crate::adapters::clerk::signing_secrets;
use crate::adapters::tls::HttpsClient;
use crate::core::endpoint::cause::Attempt;
use crate::core::endpoint::plan::Change;
use crate::core::endpoint::{Endpoint, OWNER, Wanted};

/// Svix's regions. Another one is refused: the name becomes a part of a host.
const REGIONS: [&str; 5] = ["eu", "us", "ca", "au", "in"];
const TIMEOUT: Duration = Duration::from_secs(10);
/// How often a request that changes nothing is sent.
const ATTEMPTS: u32 = 3;
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The rows of a page, and the pages of a list at most.
const PAGE: &str = "100";
const PAGES: usize = 50;

/// The key of one application.
#[derive(Debug)]
pub struct SvixPortal {
    base: Url,
    app: String,
    key: SecretString,
    capabilities: BTreeSet<String>,
    client: HttpsClient,
}

/// What the fragment of a link says.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fragment {
    app_id: String,
    one_time_token: String,
    region: String,
}

#[derive(Deserialize)]
struct Link {
    svix_url: String,
}

#[derive(Deserialize)]
struct Exchanged {
    token: String,
    #[serde(default)]
    capabilities: Option<BTreeSet<String>>,
}

fn unavailable(step: &'static str, reason: impl Into<String>) -> ControlError {
    ControlError::Unavailable { step, reason: reason.into() }
}

impl SvixPortal {
    /// Gets the key of the application of Clerk's instance. With `makes`, the application is made if there is none.
    ///
    /// # Errors
    ///
    /// [`ControlError`].
    pub async fn open(clerk: &ClerkApi, makes: bool) -> Result<SvixPortal, ControlError> {
        let link = match link(clerk, "svix_url").await {
            Err(ControlError::NoApplication) if makes => match link(clerk, "svix").await {
                // Somebody else was faster.
                Err(ControlError::Clerk(ClerkError::Rejected(400, code))) if code.to_string() == "svix_app_exists" => {
                    link(clerk, "svix_url").await?
                }
                made => made?,
            },
            link => link?,
        };
        let fragment = fragment(&link.svix_url)?;
        // A local emulator of Clerk is one of Svix, too. A link of anybody else never leads to this machine.
        let local = clerk.base_on_this_machine();
        let base = match local {
            Some(base) => base.clone(),
            None if REGIONS.contains(&fragment.region.as_str()) => {
                let url = format!("https://api.{}.svix.com", fragment.region);
                Url::parse(&url).map_err(|error| unavailable("region", error.to_string()))?
            }
            None => return Err(unavailable("region", "the region in Clerk's link is not known")),
        };
        let client = HttpsClient::of(&base, TIMEOUT);
        let exchanged = exchange(&client, &base, &fragment, local.is_some()).await?;
        let capabilities = exchanged.capabilities.unwrap_or_default();
        Ok(SvixPortal { base, app: fragment.app_id, key: exchanged.token.into(), capabilities, client })
    }

    fn may(&self, capability: &'static str) -> Result<(), ControlError> {
        // An answer without a list says nothing: the request itself will tell.
        let is_listed = self.capabilities.is_empty() || self.capabilities.contains(capability);
        if is_listed { Ok(()) } else { Err(ControlError::Forbidden(capability)) }
    }

    /// A URL below the application.
    fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1", "app", &self.app]).extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    async fn send(
        &self,
        step: &'static str,
        method: Method,
        url: Url,
        body: Option<&Value>,
    ) -> Result<Response, ControlError> {
        let client = self.client.get().map_err(|error| unavailable(step, error.to_string()))?;
        let request = client.request(method, url).bearer_auth(self.key.expose_secret());
        let request = if let Some(body) = body { request.json(body) } else { request };
        request.send().await.map_err(|error| unavailable(step, told(&error)))
    }

    /// Reads something, again after a failure that may pass.
    async fn get<T: DeserializeOwned>(&self, step: &'static str, url: Url) -> Result<T, ControlError> {
        let mut attempt = 1;
        loop {
            let error = match self.send(step, Method::GET, url.clone(), None).await {
                Ok(answer) if !may_pass(answer.status()) => return read(step, answer).await,
                Ok(answer) => unavailable(step, format!("status {}", answer.status().as_u16())),
                Err(error) => error,
            };
            if attempt == ATTEMPTS {
                return Err(error);
            }
            tokio::time::sleep(FIRST_WAIT * 2_u32.pow(attempt - 1)).await;
            attempt += 1;
        }
    }
}

/// Whether a later request may succeed.
fn may_pass(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

/// The error without its URL, which may have a token.
fn told(error: &reqwest::Error) -> String {
    let kind = if error.is_timeout() { "no answer in time" } else { "no answer" };
    kind.to_owned()
}

async fn read<T: DeserializeOwned>(step: &'static str, answer: Response) -> Result<T, ControlError> {
    let status = answer.status();
    if !status.is_success() {
        return Err(unavailable(step, format!("status {}", status.as_u16())));
    }
    let body = answer.bytes().await.map_err(|error| unavailable(step, told(&error)))?;
    // The text of serde may quote the answer, which may have a secret.
    serde_json::from_slice(&body).map_err(|_| unavailable(step, "the answer has another form than expected"))
}

/// A link of Clerk's dashboard to Svix.
async fn link(clerk: &ClerkApi, route: &str) -> Result<Link, ControlError> {
    match clerk.write::<Link>(Method::POST, &["webhooks", route], Some(&json!({}))).await {
        Ok(Some(link)) => Ok(link),
        Ok(None) => Err(unavailable("link", "Clerk has no such route")),
        Err(ClerkError::Rejected(400, code)) if code.to_string() == "svix_app_missing" => {
            Err(ControlError::NoApplication)
        }
        Err(error @ (ClerkError::Unreadable(_) | ClerkError::SwitchedOff)) => {
            Err(unavailable("link", error.to_string()))
        }
        Err(error) => Err(ControlError::Clerk(error)),
    }
}

/// Reads the fragment, in either alphabet and with or without padding.
fn fragment(link: &str) -> Result<Fragment, ControlError> {
    let text = link.split_once("#key=").map(|(_, key)| key.replace('-', "+").replace('_', "/"));
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let engine = GeneralPurpose::new(&STANDARD, config);
    let bytes = text.and_then(|text| engine.decode(text.trim()).ok());
    let fragment = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    fragment.ok_or_else(|| unavailable("link", "Clerk's link has another form than expected"))
}

/// Exchanges the one-time token.
async fn exchange(
    client: &HttpsClient,
    base: &Url,
    fragment: &Fragment,
    is_local: bool,
) -> Result<Exchanged, ControlError> {
    const STEP: &str = "exchange";
    let client = client.get().map_err(|error| unavailable(STEP, error.to_string()))?;
    let body = json!({ "oneTimeToken": fragment.one_time_token });
    let ours = base.join("api/v1/auth/one-time-token").map_err(|error| unavailable(STEP, error.to_string()))?;
    let answer = client.post(ours).json(&body).send().await.map_err(|error| unavailable(STEP, told(&error)))?;
    if answer.status() != StatusCode::NOT_FOUND || is_local {
        return read(STEP, answer).await;
    }
    // The way of the portal's own page.
    let theirs = format!("https://app.svix.com/api/{}/api/v1/auth/one-time-token", fragment.region);
    let answer = client.post(theirs).bearer_auth("unused").json(&body).send().await;
    read(STEP, answer.map_err(|error| unavailable(STEP, told(&error)))?).await
}

/// What an endpoint is set to.
fn body(wanted: &Wanted) -> Value {
    json!({
        "uid": wanted.uid,
        "url": wanted.url,
        "description": wanted.description,
        "eventTypes": Wanted::types(),
        "metadata": { "owner": OWNER },
    })
}

impl EndpointControl for SvixPortal {
    async fn endpoints(&self) -> Result<Vec<Endpoint>, ControlError> {
        self.may("ViewBase")?;
        let (mut all, mut from): (Vec<Endpoint>, Option<String>) = (Vec::new(), None);
        for _ in 0..PAGES {
            let mut query = vec![("limit", PAGE)];
            if let Some(from) = &from {
                query.push(("iterator", from));
            }
            let page: model::Page<model::Endpoint> = self.get("endpoints", self.url(&["endpoint"], &query)).await?;
            all.extend(page.data.into_iter().map(Endpoint::from));
            match page.iterator {
                Some(next) if !page.done => from = Some(next),
                _ => return Ok(all),
            }
        }
        Err(unavailable("endpoints", "the list has no end"))
    }

    async fn create(&self, wanted: &Wanted, secret: Option<&SecretString>) -> Result<Endpoint, ControlError> {
        self.may("ManageEndpoint")?;
        let mut body = body(wanted);
        if let Some(secret) = secret {
            body["secret"] = secret.expose_secret().into();
        }
        // Sent once. Whatever the answer, the list tells whether the endpoint is there.
        let sent = self.send("create", Method::POST, self.url(&["endpoint"], &[]), Some(&body)).await;
        let made = self.endpoints().await?.into_iter().find(|it| it.uid.as_deref() == Some(wanted.uid.as_str()));
        match (made, sent) {
            (Some(made), _) => Ok(made),
            (None, Ok(answer)) => Err(unavailable("create", format!("status {}", answer.status().as_u16()))),
            (None, Err(error)) => Err(error),
        }
    }

    async fn change(&self, id: &str, wanted: &Wanted, changes: &[Change]) -> Result<(), ControlError> {
        self.may("ManageEndpoint")?;
        let mut patch = json!({});
        for change in changes {
            match change {
                Change::Adopt => {
                    patch["uid"] = wanted.uid.as_str().into();
                    patch["metadata"] = json!({ "owner": OWNER });
                }
                Change::Url { .. } => patch["url"] = wanted.url.as_str().into(),
                Change::Enable => patch["disabled"] = false.into(),
                Change::Types { types, .. } => patch["eventTypes"] = json!(types),
                Change::Channels => patch["channels"] = Value::Null,
                Change::Throttle { .. } => patch["throttleRate"] = Value::Null,
            }
        }
        let answer = self.send("change", Method::PATCH, self.url(&["endpoint", id], &[]), Some(&patch)).await?;
        read::<serde::de::IgnoredAny>("change", answer).await.map(drop)
    }

    async fn secret(&self, id: &str) -> Result<SecretString, ControlError> {
        self.may("ViewEndpointSecret")?;
        let secret: model::Secret = self.get("secret", self.url(&["endpoint", id, "secret"], &[])).await?;
        // A secret of another form in the list would refuse the whole list, and no function would start.
        if !signing_secrets::is_usable(&secret.key) {
            return Err(unavailable("secret", "the signing secret has another form than expected"));
        }
        Ok(secret.key.into())
    }

    async fn rotate(&self, id: &str, grace_s: u32) -> Result<(), ControlError> {
        self.may("ManageEndpointSecret")?;
        let url = self.url(&["endpoint", id, "secret", "rotate"], &[]);
        let answer = self.send("rotate", Method::POST, url, Some(&json!({ "gracePeriodSeconds": grace_s }))).await?;
        // The answer is empty or has the secret; the caller reads it again.
        let status = answer.status();
        if status.is_success() { Ok(()) } else { Err(unavailable("rotate", format!("status {}", status.as_u16()))) }
    }

    async fn attempts(&self, id: &str) -> Result<Vec<Attempt>, ControlError> {
        self.may("ViewBase")?;
        let url = self.url(&["attempt", "endpoint", id], &[("limit", "20"), ("with_content", "true")]);
        let page: model::Page<model::Attempt> = self.get("attempts", url).await?;
        Ok(page.data.into_iter().map(Attempt::from).collect())
    }

    async fn stats(&self, id: &str) -> Result<Stats, ControlError> {
        self.may("ViewBase")?;
        let stats: model::Stats = self.get("stats", self.url(&["endpoint", id, "stats"], &[])).await?;
        Ok(Stats { delivered: stats.success, pending: stats.pending + stats.sending, failed: stats.fail })
    }

    async fn has_transformation(&self, id: &str) -> Result<bool, ControlError> {
        self.may("ViewBase")?;
        let url = self.url(&["endpoint", id, "transformation"], &[]);
        let found: model::Transformation = self.get("transformation", url).await?;
        Ok(found.code.is_some_and(|code| !code.is_empty()) && found.enabled.unwrap_or(false))
    }

    async fn close(&self) {
        let mut url = self.base.clone();
        url.set_path("/api/v1/auth/logout");
        let _ = self.send("logout", Method::POST, url, Some(&json!({}))).await;
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD as PADDED, URL_SAFE_NO_PAD};

    use super::*;

    #[test]
    fn the_fragment_is_read_in_both_alphabets_and_nothing_of_it_is_in_an_error() {
        let text = json!({ "appId": "app_1", "oneTimeToken": "s3cr?t>>>", "region": "eu", "further": 1 }).to_string();
        for key in [PADDED.encode(&text), URL_SAFE_NO_PAD.encode(&text)] {
            let read = fragment(&format!("https://app.svix.com/login#key={key}")).unwrap();
            let read = (read.app_id.as_str(), read.one_time_token.as_str(), read.region.as_str());
            assert_eq!(read, ("app_1", "s3cr?t>>>", "eu"));
        }
        for wrong in ["https://app.svix.com/login", "https://x/#key=s3cr", "https://x/#key=e30", "https://x/#key=!!"] {
            let error = fragment(wrong).err().unwrap().to_string();
            assert!(error.contains("another form") && !error.contains("s3cr"), "{error}");
        }
    }
}
