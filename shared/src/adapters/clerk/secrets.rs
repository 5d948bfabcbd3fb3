//! Clerk's two secrets: from Secrets Manager when deployed, where they may change while a function runs.
//!
//! AWS's own caching client does the same, but contains a second TLS stack, whose start takes longer than the rest of a
//! cold start.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::ProvideErrorMetadata;
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::adapters::clerk::signing_secrets;
use crate::adapters::lambda::metrics;
use crate::core::millis::Clock;
use crate::core::millis::Millis;
use crate::settings::variables::{
    CLERK_SECRET_KEY, CLERK_WEBHOOK_SECRET, CLERK_WEBHOOK_SIGNING_SECRET, ROLLCALL_SECRET_ARN, Variable, secret_key,
};

/// The secrets are read again after this many ms, so that a withdrawn secret expires.
const LAST: u64 = 5 * 60_000;
/// A rejected value causes another read at most once in this many ms: anybody can send invalid signatures.
const DOUBTED_AFTER: u64 = 60_000;
/// A caller is waiting meanwhile, and the previous value is mostly still right.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why the secret could not be read.
#[derive(Debug, Error)]
pub enum SecretError {
    /// Secrets Manager returned an error, with this code. The response is left out: it could contain the secret.
    #[error(
        "the secret ROLLCALL_SECRET_ARN cannot be read ({0}): check the ARN and the permission \
             secretsmanager:GetSecretValue"
    )]
    Unreadable(String),
    /// The secret has the signing secret under both names, with different values.
    #[error(
        "the secret ROLLCALL_SECRET_ARN has different values for CLERK_WEBHOOK_SECRET and CLERK_WEBHOOK_SIGNING_SECRET"
    )]
    Contradictory,
    /// The secret is not a JSON object of strings. The cause is left out: it could quote the secret.
    #[error("the secret ROLLCALL_SECRET_ARN is not a JSON object with CLERK_SECRET_KEY and CLERK_WEBHOOK_SECRET")]
    Malformed,
    /// Secrets Manager does not take a new value, with this code.
    #[error(
        "the secret ROLLCALL_SECRET_ARN cannot be written ({0}): your role needs the permission \
         secretsmanager:PutSecretValue"
    )]
    Unwritable(String),
    /// A value that was valid before is missing or invalid now.
    #[error("the secret ROLLCALL_SECRET_ARN contains no valid {0}")]
    Unusable(&'static str),
}

/// So many signing secrets are kept, the newest first: a withdrawn one must not be accepted for ever.
const SIGNING_SECRETS: usize = 3;

/// Adds a signing secret before the earlier ones in Secrets Manager. Every other value stays as it is. Adding a secret that
/// is there changes nothing.
///
/// # Errors
///
/// [`SecretError`].
pub async fn add_signing_secret(aws: &SdkConfig, arn: &str, new: &SecretString) -> Result<(), SecretError> {
    let client = Client::new(aws);
    let answer = client.get_secret_value().secret_id(arn).send().await;
    let answer = answer.map_err(|error| SecretError::Unreadable(code(&error)))?;
    let text = answer.secret_string().unwrap_or_default();
    let mut values: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(text).map_err(|_| SecretError::Malformed)?;
    let name = match values.contains_key(CLERK_WEBHOOK_SIGNING_SECRET) {
        true => CLERK_WEBHOOK_SIGNING_SECRET,
        false => CLERK_WEBHOOK_SECRET.name,
    };
    let before = values.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
    let Some(now) = with_signing_secret(before, new.expose_secret()) else { return Ok(()) };
    values.insert(name.to_owned(), now.clone().into());
    if name == CLERK_WEBHOOK_SIGNING_SECRET && values.contains_key(CLERK_WEBHOOK_SECRET.name) {
        values.insert(CLERK_WEBHOOK_SECRET.name.to_owned(), now.into());
    }
    let text = serde_json::Value::Object(values).to_string();
    let written = client.put_secret_value().secret_id(arn).secret_string(text).send().await;
    written.map(drop).map_err(|error| SecretError::Unwritable(code(&error)))
}

/// The list with the new secret; nothing if the list has it and no stand-in.
fn with_signing_secret(before: &str, new: &str) -> Option<String> {
    let is_secret = |one: &&str| signing_secrets::is_usable(one);
    if before.split_whitespace().any(|one| one == new) && before.split_whitespace().all(|one| is_secret(&one)) {
        return None;
    }
    let earlier = before.split_whitespace().filter(is_secret).filter(|one| *one != new);
    let all: Vec<&str> = std::iter::once(new).chain(earlier).take(SIGNING_SECRETS).collect();
    Some(all.join(" "))
}

fn code<E: ProvideErrorMetadata + std::fmt::Display>(error: &E) -> String {
    error.code().map_or_else(|| error.to_string(), str::to_owned)
}

type Values = HashMap<String, SecretString>;

/// The secrets in Secrets Manager.
pub struct Secrets {
    client: Client,
    arn: String,
    clock: Clock,
    held: Mutex<Read>,
}

struct Read {
    values: Values,
    tried_at: Millis,
}

impl Secrets {
    /// The value that was read in the last five minutes.
    async fn current(&self, name: &str) -> Option<SecretString> {
        self.aged(LAST, name).await
    }

    /// The value that was read in the last minute, if it differs from the rejected one.
    async fn after_refusal(&self, name: &str, refused: &SecretString) -> Option<SecretString> {
        let newer = self.aged(DOUBTED_AFTER, name).await;
        newer.filter(|newer| newer.expose_secret() != refused.expose_secret())
    }

    async fn aged(&self, most: u64, name: &str) -> Option<SecretString> {
        let mut held = self.held.lock().await;
        let now = (self.clock)();
        if now.since(held.tried_at) >= most {
            held.tried_at = now;
            // Boxed: it is seldom needed, and would make every future around it as large as the SDK's.
            let read = timeout(PATIENCE, Box::pin(read(&self.client, &self.arn))).await;
            match read.unwrap_or_else(|_| Err(SecretError::Unreadable("no answer in time".to_owned()))) {
                Ok(values) => match unusable(&held.values, &values) {
                    None => held.values = values,
                    Some(name) => stays(&SecretError::Unusable(name)),
                },
                Err(error) => stays(&error),
            }
        }
        held.values.get(name).cloned()
    }
}

/// Logs that the previous values stay in use: a withdrawn value is still accepted.
fn stays(error: &SecretError) {
    tracing::error!(outcome = "failed", %error, "the secret cannot be refreshed; the previous secret stays in use");
    metrics::failed();
}

/// The name of a value that was valid before and is not any more.
fn unusable(before: &Values, now: &Values) -> Option<&'static str> {
    let is_key = |text: &str| !text.is_empty() && secret_key(text).is_some();
    let is_signing = |text: &str| signing_secrets::read(text).is_ok();
    let good = |name: &str, values: &Values| {
        let value = values.get(name).map_or("", ExposeSecret::expose_secret);
        if name == CLERK_SECRET_KEY.name { is_key(value) } else { is_signing(value) }
    };
    [CLERK_SECRET_KEY.name, CLERK_WEBHOOK_SECRET.name].into_iter().find(|name| good(name, before) && !good(name, now))
}

/// A look-up of variables that takes the two secrets from Secrets Manager if `ROLLCALL_SECRET_ARN` is set. Then the
/// values in the environment are ignored.
///
/// # Errors
///
/// [`SecretError`].
pub async fn lookup<E>(environment: E, aws: &SdkConfig) -> Result<impl Fn(&str) -> Option<String> + use<E>, SecretError>
where
    E: Fn(&str) -> Option<String>,
{
    let values = match arn(&environment) {
        None => None,
        Some(arn) => Some(read(&Client::new(aws), &arn).await?),
    };
    Ok(over(environment, values))
}

/// The same, and the secrets themselves, for a function that reads rotated secrets while it runs.
///
/// # Errors
///
/// [`SecretError`].
pub async fn followed<E>(
    environment: E,
    aws: &SdkConfig,
    clock: Clock,
) -> Result<(impl Fn(&str) -> Option<String> + use<E>, Option<Arc<Secrets>>), SecretError>
where
    E: Fn(&str) -> Option<String>,
{
    let Some(arn) = arn(&environment) else { return Ok((over(environment, None), None)) };
    let client = Client::new(aws);
    let values = read(&client, &arn).await?;
    let held = Mutex::new(Read { values: values.clone(), tried_at: clock() });
    Ok((over(environment, Some(values)), Some(Arc::new(Secrets { client, arn, clock, held }))))
}

fn arn(environment: &impl Fn(&str) -> Option<String>) -> Option<String> {
    environment(ROLLCALL_SECRET_ARN.name).filter(|arn| !arn.is_empty())
}

fn over<E: Fn(&str) -> Option<String>>(environment: E, values: Option<Values>) -> impl Fn(&str) -> Option<String> {
    move |name: &str| match &values {
        Some(values)
            if [CLERK_SECRET_KEY.name, CLERK_WEBHOOK_SECRET.name, CLERK_WEBHOOK_SIGNING_SECRET].contains(&name) =>
        {
            values.get(name).map(|secret| secret.expose_secret().to_owned())
        }
        _ => environment(name),
    }
}

async fn read(client: &Client, arn: &str) -> Result<Values, SecretError> {
    let answer = client.get_secret_value().secret_id(arn).send().await;
    let answer = answer.map_err(|error| SecretError::Unreadable(code(&error)))?;
    let mut values: HashMap<String, String> =
        serde_json::from_str(answer.secret_string().unwrap_or_default()).map_err(|_| SecretError::Malformed)?;
    if let Some(clerks) = values.remove(CLERK_WEBHOOK_SIGNING_SECRET)
        && values.entry(CLERK_WEBHOOK_SECRET.name.to_owned()).or_insert_with(|| clerks.clone()) != &clerks
    {
        return Err(SecretError::Contradictory);
    }
    Ok(values.into_iter().map(|(name, value)| (name, SecretString::from(value))).collect())
}

/// One of the two secrets: a fixed value, or the current value in Secrets Manager.
#[derive(Clone)]
pub struct Secret {
    first: SecretString,
    followed: Option<(Arc<Secrets>, &'static str)>,
}

impl From<SecretString> for Secret {
    fn from(first: SecretString) -> Secret {
        Secret { first, followed: None }
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.first.fmt(out)
    }
}

impl Secret {
    /// Uses the value in Secrets Manager from now on, if the function reads its secrets there.
    pub fn follow(&mut self, secrets: Option<&Arc<Secrets>>, variable: &Variable) {
        self.followed = secrets.map(|secrets| (secrets.clone(), variable.name));
    }

    pub async fn current(&self) -> SecretString {
        let now = match &self.followed {
            None => None,
            Some((secrets, name)) => secrets.current(name).await,
        };
        now.unwrap_or_else(|| self.first.clone())
    }

    /// The new value after a rotation, if the rejected value has been replaced.
    pub async fn after_refusal(&self, refused: &SecretString) -> Option<SecretString> {
        let (secrets, name) = self.followed.as_ref()?;
        secrets.after_refusal(name, refused).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: &str = "whsec_bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3";
    const STAND_IN: &str = "whsec_c3RhbmQtaW4=";
    const FIRST: &str = "whsec_Zmlyc3RmaXJzdGZpcnN0Zmlyc3RmaXJz";
    const SECOND: &str = "whsec_c2Vjb25kc2Vjb25kc2Vjb25kc2Vjb25k";
    const THIRD: &str = "whsec_dGhpcmR0aGlyZHRoaXJkdGhpcmR0aGly";

    #[test]
    fn a_new_signing_secret_is_the_first_and_of_the_earlier_ones_two_stay() {
        for (before, now) in [
            (String::new(), NEW.to_owned()),
            (FIRST.to_owned(), format!("{NEW} {FIRST}")),
            (format!("{FIRST} {SECOND}"), format!("{NEW} {FIRST} {SECOND}")),
            (format!("{FIRST} {SECOND} {THIRD}"), format!("{NEW} {FIRST} {SECOND}")),
            (format!("  {FIRST}\n{SECOND}\t"), format!("{NEW} {FIRST} {SECOND}")),
        ] {
            assert_eq!(with_signing_secret(&before, NEW), Some(now), "{before:?}");
        }
    }

    #[test]
    fn a_signing_secret_that_is_there_changes_nothing_wherever_it_is() {
        for before in [NEW.to_owned(), format!("{NEW} {FIRST}"), format!("{FIRST} {SECOND} {THIRD} {NEW}")] {
            assert_eq!(with_signing_secret(&before, NEW), None, "{before}");
        }
    }

    #[test]
    fn what_is_no_signing_secret_is_left_out_and_takes_no_place() {
        let before = format!("replace-me {FIRST} whsec_?! {SECOND}");
        assert_eq!(with_signing_secret(&before, NEW), Some(format!("{NEW} {FIRST} {SECOND}")));
        assert_eq!(with_signing_secret("replace-me", NEW), Some(NEW.to_owned()));
        // That of the README, also beside the right one: anybody could sign with it.
        for before in [STAND_IN.to_owned(), format!("{NEW} {STAND_IN}")] {
            assert_eq!(with_signing_secret(&before, NEW), Some(NEW.to_owned()));
        }
    }
}
