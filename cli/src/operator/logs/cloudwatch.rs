//! Reads the log groups of a deployed stack by CloudWatch's `FilterLogEvents`.

use std::time::Duration;

use anyhow::{anyhow, bail};
use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_cloudformation::error::ProvideErrorMetadata;
use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::config::Builder;
use rollcall::core::millis::Millis;

use super::{Found, Search, entry};
use crate::functions::FUNCTIONS;

/// The time limit of a page, with retries: CloudWatch searches on while it is asked.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Pages of one search at most: a page may be empty while CloudWatch searches on.
const MAX_PAGES: usize = 50;
/// Attempts at a request that CloudWatch throttles: it allows five in a second.
const MAX_ATTEMPTS: u32 = 6;
/// The log groups of Lambda functions.
const OF_LAMBDA: &str = "/aws/lambda/";

/// The log groups of a deployment.
pub(in crate::operator) struct Groups {
    logs: Client,
    groups: Vec<Group>,
}

struct Group {
    name: String,
    /// The function, by its name in the registry.
    function: String,
}

fn logs(aws: &SdkConfig) -> Client {
    let limits = TimeoutConfig::builder().operation_timeout(TIMEOUT).build();
    let retries = RetryConfig::standard().with_max_attempts(MAX_ATTEMPTS);
    Client::from_conf(Builder::from(aws).timeout_config(limits).retry_config(retries).build())
}

impl Groups {
    /// The log groups that the stack has made for its functions.
    ///
    /// # Errors
    ///
    /// If the resources of the stack cannot be listed, or none is a log group of a function.
    pub(super) async fn of_stack(aws: &SdkConfig, stack: &str) -> anyhow::Result<Groups> {
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
        Ok(Groups { logs: logs(aws), groups })
    }

    /// The log group of one function: of a deployment that is no stack of Rollcall, no other is known.
    ///
    /// # Errors
    ///
    /// If the function cannot be described.
    pub(super) async fn of_function(aws: &SdkConfig, function: &str) -> anyhow::Result<Groups> {
        let client = aws_sdk_lambda::Client::new(aws);
        let described = client.get_function_configuration().function_name(function).send().await;
        let described = described.map_err(|error| {
            anyhow!("function {function} cannot be described ({})", error.code().unwrap_or("no answer"))
        })?;
        let named = described.logging_config().and_then(|logging| logging.log_group()).map(str::to_owned);
        let name = named.unwrap_or_else(|| format!("{OF_LAMBDA}{}", described.function_name().unwrap_or(function)));
        let groups = vec![Group { name, function: reconcile::FUNCTION.name.to_owned() }];
        Ok(Groups { logs: logs(aws), groups })
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
        let (mut token, before, mut until) = (None::<String>, found.entries.len(), None);
        for _ in 0..MAX_PAGES {
            let request = self.logs.filter_log_events().log_group_name(&group.name).set_next_token(token.take());
            let request = request.start_time(i64::try_from(search.since.get()).unwrap_or(i64::MAX));
            // A quoted term: ids have hyphens, which exclude otherwise.
            let request = request.set_filter_pattern(term.map(|term| format!("\"{term}\"")));
            let page = request.send().await.map_err(|error| unread(&group.name, error.code()))?;
            for event in page.events.unwrap_or_default() {
                if found.entries.len() - before >= search.most {
                    found.cut(until);
                    return Ok(());
                }
                let (timestamp, message) = (event.timestamp.unwrap_or_default(), event.message.unwrap_or_default());
                let key = event.event_id.unwrap_or_else(|| {
                    format!("{} {} {timestamp} {message}", group.name, event.log_stream_name.unwrap_or_default())
                });
                let at = Millis::try_from(timestamp).ok();
                // The oldest lines come first.
                until = at.or(until);
                found.entries.extend(entry(&message, at, Some(&group.function), key));
            }
            token = page.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(());
            }
        }
        found.cut(until);
        Ok(())
    }
}

/// Why a group cannot be read, with what to do.
fn unread(group: &str, code: Option<&str>) -> anyhow::Error {
    match code {
        Some("ResourceNotFoundException") => anyhow!("the log group {group} does not exist"),
        Some("AccessDeniedException") => {
            anyhow!("the log group {group} cannot be read: your role needs the permission logs:FilterLogEvents")
        }
        Some(code) => anyhow!("the log group {group} cannot be read ({code})"),
        None => anyhow!("the log group {group} cannot be read: CloudWatch Logs does not answer"),
    }
}

/// The group of a function, by the name that template.yaml gives it.
fn group(name: String, stack: &str) -> Option<Group> {
    let function = name.strip_prefix(OF_LAMBDA)?.strip_prefix(stack)?.strip_prefix('-')?;
    let function = FUNCTIONS.iter().find(|known| known.name == function)?.name.to_owned();
    Some(Group { name, function })
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
}
