//! Reads the log groups of a deployed stack by CloudWatch's `FilterLogEvents`. The request is signed here, by AWS's own
//! signer: it is the only request to CloudWatch Logs.

use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, anyhow, bail};
use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials;
use aws_sdk_cloudformation::error::ProvideErrorMetadata;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use rollcall::adapters::tls::HttpsClient;
use rollcall::core::millis::Millis;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Found, Search, entry};
use crate::Clock;
use crate::functions::FUNCTIONS;

const TIMEOUT: Duration = Duration::from_secs(20);
/// Pages of one search at most: a page may be empty while CloudWatch searches on.
const MAX_PAGES: usize = 50;
/// Attempts at a request that CloudWatch throttles: it allows five in a second.
const MAX_ATTEMPTS: u32 = 5;
/// The log groups of Lambda functions.
const OF_LAMBDA: &str = "/aws/lambda/";

/// The log groups of a deployment.
pub(in crate::operator) struct Groups {
    aws: SdkConfig,
    http: HttpsClient,
    clock: Clock,
    groups: Vec<Group>,
}

struct Group {
    name: String,
    /// The function, by its name in the registry.
    function: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    #[serde(default)]
    events: Vec<Event>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    timestamp: i64,
    message: String,
    event_id: Option<String>,
    log_stream_name: Option<String>,
}

/// An error of CloudWatch. Its code may have a prefix.
#[derive(Default, Deserialize)]
struct Failure {
    #[serde(rename = "__type", default)]
    code: String,
}

impl Groups {
    /// The log groups that the stack has made for its functions.
    ///
    /// # Errors
    ///
    /// If the resources of the stack cannot be listed, or none is a log group of a function.
    pub(super) async fn of_stack(aws: &SdkConfig, stack: &str, clock: Clock) -> anyhow::Result<Groups> {
        let client = aws_sdk_cloudformation::Client::new(aws);
        let pages = client.list_stack_resources().stack_name(stack).into_paginator().items().send();
        let resources = pages.collect::<Result<Vec<_>, _>>().await.map_err(|error| {
            let code = error.code().unwrap_or("no answer").to_owned();
            anyhow!(
                "the resources of stack {stack} cannot be listed ({code}): your role needs the permission \
                 cloudformation:ListStackResources"
            )
        })?;
        let is_group = |kind: Option<&str>| kind == Some("AWS::Logs::LogGroup");
        let names = resources.into_iter().filter(|resource| is_group(resource.resource_type()));
        let groups: Vec<Group> = names.filter_map(|resource| group(resource.physical_resource_id?, stack)).collect();
        if groups.is_empty() {
            bail!("stack {stack} has no log group of a function ({OF_LAMBDA}{stack}-…)");
        }
        Ok(Groups { aws: aws.clone(), http: HttpsClient::new(TIMEOUT), clock, groups })
    }

    /// The log group of one function: of a deployment that is no stack of Rollcall, no other is known.
    ///
    /// # Errors
    ///
    /// If the function cannot be described.
    pub(super) async fn of_function(aws: &SdkConfig, function: &str, clock: Clock) -> anyhow::Result<Groups> {
        let client = aws_sdk_lambda::Client::new(aws);
        let described = client.get_function_configuration().function_name(function).send().await;
        let described = described.map_err(|error| {
            anyhow!("function {function} cannot be described ({})", error.code().unwrap_or("no answer"))
        })?;
        let named = described.logging_config().and_then(|logging| logging.log_group()).map(str::to_owned);
        let name = named.unwrap_or_else(|| format!("{OF_LAMBDA}{}", described.function_name().unwrap_or(function)));
        let groups = vec![Group { name, function: reconcile::FUNCTION.name.to_owned() }];
        Ok(Groups { aws: aws.clone(), http: HttpsClient::new(TIMEOUT), clock, groups })
    }

    /// Reads the groups one after another.
    ///
    /// # Errors
    ///
    /// If none can be read.
    pub(super) async fn read(&self, search: &Search) -> anyhow::Result<Found> {
        let mut found = Found::default();
        let wanted = |group: &&Group| search.function.as_ref().is_none_or(|function| group.function == *function);
        let groups: Vec<&Group> = self.groups.iter().filter(wanted).collect();
        if groups.is_empty() {
            bail!("the deployment has no log of the function {}", search.function.as_deref().unwrap_or_default());
        }
        // CloudWatch's patterns can express "one of these", but each on its own is the plainest search.
        let patterns: Vec<Option<&str>> = match &search.terms[..] {
            [] => vec![None],
            terms => terms.iter().map(|term| Some(term.as_str())).collect(),
        };
        let mut failed = 0;
        for group in &groups {
            for pattern in &patterns {
                if let Err(error) = self.search(group, *pattern, search, &mut found).await {
                    found.problems.push(format!("{error:#}"));
                    failed += 1;
                    break;
                }
            }
        }
        if failed == groups.len() {
            bail!("{}", found.problems.swap_remove(0));
        }
        Ok(found)
    }

    async fn search(
        &self,
        group: &Group,
        term: Option<&str>,
        search: &Search,
        found: &mut Found,
    ) -> anyhow::Result<()> {
        let (mut token, before) = (None::<String>, found.entries.len());
        for _ in 0..MAX_PAGES {
            let mut input = json!({ "logGroupName": group.name, "startTime": search.since.get() });
            if let Some(term) = term {
                // A quoted term: ids have hyphens, which exclude otherwise.
                input["filterPattern"] = format!("\"{term}\"").into();
            }
            if let Some(token) = token.take() {
                input["nextToken"] = token.into();
            }
            let page: Page = self.ask(&group.name, &input).await?;
            for event in page.events {
                if found.entries.len() - before >= search.most {
                    found.is_cut = true;
                    return Ok(());
                }
                let Event { timestamp, message, event_id, log_stream_name } = event;
                let key = event_id.unwrap_or_else(|| {
                    format!("{} {} {timestamp} {message}", group.name, log_stream_name.unwrap_or_default())
                });
                let at = Millis::try_from(timestamp).ok();
                found.entries.extend(entry(&message, at, Some(&group.function), key));
            }
            token = page.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(());
            }
        }
        found.is_cut = true;
        Ok(())
    }

    /// Sends a request, again while CloudWatch throttles.
    async fn ask(&self, group: &str, input: &Value) -> anyhow::Result<Page> {
        let body = input.to_string();
        for attempt in 1.. {
            let answer =
                self.send(&body).await.with_context(|| format!("CloudWatch Logs cannot be reached for {group}"))?;
            let (status, text) = (answer.status(), answer.bytes().await?);
            if status.is_success() {
                return serde_json::from_slice(&text)
                    .with_context(|| format!("the answer about {group} cannot be read"));
            }
            let failure: Failure = serde_json::from_slice(&text).unwrap_or_default();
            let code = failure.code.rsplit('#').next().unwrap_or_default().to_owned();
            let is_temporary = status.is_server_error() || code.contains("Throttl");
            match code.as_str() {
                _ if is_temporary && attempt < MAX_ATTEMPTS => {
                    tokio::time::sleep(Duration::from_millis(200 << attempt)).await;
                }
                "ResourceNotFoundException" => bail!("the log group {group} does not exist"),
                "AccessDeniedException" => {
                    bail!("the log group {group} cannot be read: your role needs the permission logs:FilterLogEvents")
                }
                _ => bail!("the log group {group} cannot be read (status {}, {code})", status.as_u16()),
            }
        }
        unreachable!("the last attempt ends the loop")
    }

    async fn send(&self, body: &str) -> anyhow::Result<reqwest::Response> {
        let region = self.aws.region().map(ToString::to_string).context("no AWS region is configured")?;
        let url = self.aws.endpoint_url().map_or_else(|| endpoint(&region, self.aws.use_fips()), str::to_owned);
        let url = format!("{}/", url.trim_end_matches('/'));
        let headers =
            [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", "Logs_20140328.FilterLogEvents")];
        let provider = self.aws.credentials_provider().context("no AWS credentials are configured")?;
        let identity = provider.provide_credentials().await?.into();
        let time = UNIX_EPOCH + Duration::from_millis((self.clock)().get());
        let params = SigningParams::builder().identity(&identity).region(&region).name("logs").time(time);
        let params = params.settings(SigningSettings::default()).build()?.into();
        let signable = SignableRequest::new("POST", &url, headers.into_iter(), SignableBody::Bytes(body.as_bytes()))?;
        let (signed, _) = sign(signable, &params)?.into_parts();
        let mut request = self.http.get()?.post(&url).body(body.to_owned());
        for (name, value) in headers.into_iter().chain(signed.headers()) {
            request = request.header(name, value);
        }
        Ok(request.send().await?)
    }
}

/// The group of a function, by the name that template.yaml gives it.
fn group(name: String, stack: &str) -> Option<Group> {
    let function = name.strip_prefix(OF_LAMBDA)?.strip_prefix(stack)?.strip_prefix('-')?;
    let function = FUNCTIONS.iter().find(|known| known.name == function)?.name.to_owned();
    Some(Group { name, function })
}

/// The endpoint of CloudWatch Logs. Source: AWS General Reference, "Amazon CloudWatch Logs endpoints and quotas".
fn endpoint(region: &str, fips: Option<bool>) -> String {
    let service = if fips == Some(true) { "logs-fips" } else { "logs" };
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("https://{service}.{region}.{domain}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template;

    /// The names in template.yaml are those by which the groups are found.
    #[test]
    fn every_function_of_the_template_has_a_group_that_is_found() {
        let template = template::read().unwrap();
        let text = serde_yaml_ng::to_string(&template).unwrap();
        for function in FUNCTIONS {
            assert!(text.contains(&format!("/aws/lambda/${{AWS::StackName}}-{}", function.name)), "{}", function.name);
            let found = group(format!("/aws/lambda/my-stack-{}", function.name), "my-stack").unwrap();
            assert_eq!(found.function, function.name);
        }
        assert!(group("/aws/vendedlogs/my-stack-api".to_owned(), "my-stack").is_none());
        assert!(group("/aws/lambda/my-stack-other".to_owned(), "my-stack").is_none());
    }

    #[test]
    fn the_endpoint_is_that_of_the_region() {
        assert_eq!(endpoint("eu-west-1", None), "https://logs.eu-west-1.amazonaws.com");
        assert_eq!(endpoint("us-gov-west-1", Some(true)), "https://logs-fips.us-gov-west-1.amazonaws.com");
        assert_eq!(endpoint("cn-north-1", Some(false)), "https://logs.cn-north-1.amazonaws.com.cn");
    }
}
