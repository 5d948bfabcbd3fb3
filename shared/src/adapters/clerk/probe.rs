//! The requests of `rollcall doctor --probe`, the deliveries of an emulator, and the time of Clerk's clock.

use std::time::Duration;

use reqwest::header::DATE;
use reqwest::{Method, Url};
use serde::Deserialize;
use serde_json::Value;
use time::PrimitiveDateTime;
use time::format_description::FormatItem;
use time::macros::format_description;

use super::api::ClerkApi;
use super::error::ClerkError;
use crate::adapters::tls::HttpsClient;
use crate::core::millis::Millis;
use crate::core::probe::{Question, Verb};

/// The date in a header. Source: RFC 9110, section 5.6.7.
const HTTP_DATE: &[FormatItem<'_>] =
    format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");
const TIMEOUT: Duration = Duration::from_secs(5);

impl ClerkApi {
    /// Sends a request of the probe; nothing if Clerk does not have the entity. A request that changes something is sent
    /// once.
    ///
    /// # Errors
    ///
    /// [`ClerkError`].
    pub async fn probe(&self, question: &Question) -> Result<Option<Value>, ClerkError> {
        let path: Vec<&str> = question.path.iter().map(String::as_str).collect();
        let method = match question.verb {
            Verb::Get => {
                let query: Vec<(&str, &str)> = question.query.iter().map(|(name, value)| (*name, &**value)).collect();
                return self.get(&path, &query).await;
            }
            Verb::Post => Method::POST,
            Verb::Patch => Method::PATCH,
            Verb::Delete => Method::DELETE,
        };
        self.write(method, &path, (!question.body.is_null()).then_some(&question.body)).await
    }
}

/// One event that an emulator sends or has sent.
#[derive(Clone, Debug, Deserialize)]
pub struct Delivered {
    #[serde(rename = "type")]
    pub kind: String,
    /// The id of the user, the organization or the membership.
    pub entity_id: String,
}

/// The events of the emulator at `base`. Clerk has no such route.
///
/// # Errors
///
/// [`ClerkError`].
pub async fn deliveries(base: &Url) -> Result<Vec<Delivered>, ClerkError> {
    let client = HttpsClient::of(base, TIMEOUT);
    let client = client.get().map_err(|error| ClerkError::Unavailable(Some(error)))?;
    let mut url = base.clone();
    url.set_path("/_emulator/deliveries");
    let failed = |error: reqwest::Error| ClerkError::Unavailable(Some(error.without_url()));
    client.get(url).send().await.map_err(failed)?.json().await.map_err(failed)
}

/// The time of the server at `base` by the header `Date`, to the second; nothing if the answer has none.
///
/// # Errors
///
/// [`ClerkError`].
pub async fn time_at(base: &Url) -> Result<Option<Millis>, ClerkError> {
    let client = HttpsClient::of(base, TIMEOUT);
    let client = client.get().map_err(|error| ClerkError::Unavailable(Some(error)))?;
    // Without the key: every answer has the header.
    let answer = client.get(base.clone()).send().await;
    let answer = answer.map_err(|error| ClerkError::Unavailable(Some(error.without_url())))?;
    let date = answer.headers().get(DATE).and_then(|date| date.to_str().ok());
    Ok(date.and_then(moment))
}

fn moment(date: &str) -> Option<Millis> {
    let at = PrimitiveDateTime::parse(date, HTTP_DATE).ok()?.assume_utc().unix_timestamp();
    Millis::try_from(at.checked_mul(1000)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_of_an_answer_is_read() {
        assert_eq!(moment("Thu, 01 Jan 2026 00:00:00 GMT").map(Millis::get), Some(1_767_225_600_000));
        assert_eq!(moment("yesterday"), None);
    }
}
