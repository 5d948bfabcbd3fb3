//! Clerk's two secrets, from Secrets Manager when deployed.

use std::collections::HashMap;

use aws_config::SdkConfig;
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

use crate::core::settings::{CLERK_SECRET_KEY, CLERK_WEBHOOK_SECRET, ROLLCALL_SECRET_ARN};

/// Why the secret could not be read.
#[derive(Debug, Error)]
pub enum SecretError {
    /// Secrets Manager did not give it.
    #[error("the secret of ROLLCALL_SECRET_ARN cannot be read: check the ARN and secretsmanager:GetSecretValue")]
    Unreadable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It is not a JSON object of strings. The cause is left out: it could quote the secret.
    #[error(
        "the secret that ROLLCALL_SECRET_ARN names is not a JSON object with CLERK_SECRET_KEY and CLERK_WEBHOOK_SECRET"
    )]
    Malformed,
}

/// A look-up over the environment in which the two secrets come from Secrets Manager, if `ROLLCALL_SECRET_ARN` is set.
/// Then nothing else counts: a value left behind in the environment is not used.
///
/// # Errors
///
/// [`SecretError`].
pub async fn lookup<E>(environment: E, aws: &SdkConfig) -> Result<impl Fn(&str) -> Option<String> + use<E>, SecretError>
where
    E: Fn(&str) -> Option<String>,
{
    let secrets = match environment(ROLLCALL_SECRET_ARN.name).filter(|arn| !arn.is_empty()) {
        None => None,
        Some(arn) => Some(read(&arn, aws).await?),
    };
    Ok(move |name: &str| match &secrets {
        Some(secrets) if [CLERK_SECRET_KEY.name, CLERK_WEBHOOK_SECRET.name].contains(&name) => {
            secrets.get(name).map(|secret| secret.expose_secret().to_owned())
        }
        _ => environment(name),
    })
}

async fn read(arn: &str, aws: &SdkConfig) -> Result<HashMap<String, SecretString>, SecretError> {
    let answer = aws_sdk_secretsmanager::Client::new(aws).get_secret_value().secret_id(arn).send().await;
    let answer = answer.map_err(|error| SecretError::Unreadable(error.into()))?;
    let values: HashMap<String, String> =
        serde_json::from_str(answer.secret_string().unwrap_or_default()).map_err(|_| SecretError::Malformed)?;
    Ok(values.into_iter().map(|(name, value)| (name, SecretString::from(value))).collect())
}
