//! Reads what AWS says of a deployed stack: who asks, the functions, the alarms and their topics, the executions.

use anyhow::{Context, anyhow};
use aws_config::SdkConfig;
use aws_sdk_cloudformation::error::ProvideErrorMetadata;
use aws_sdk_sfn::types::ExecutionStatus;
use rollcall::core::doctor::alarms::{Alarm, Subscriptions, is_topic};
use rollcall::core::doctor::executions::{Execution, Outcome};
use rollcall::core::doctor::settings::FunctionSettings;
use rollcall::core::doctor::stack::DeployedFunction;
use rollcall::core::millis::Millis;

use crate::operator::deployment::stack::failed;

/// The most alarm names in one request. Source: CloudWatch, `DescribeAlarms`.
const ALARM_NAMES: usize = 100;
/// The latest executions that are judged: more than a nightly run and hourly purges are in 26 hours.
const EXECUTIONS: i32 = 100;

/// The account and the ARN of the caller.
pub(super) async fn caller(aws: &SdkConfig) -> anyhow::Result<(String, String)> {
    let answer = aws_sdk_sts::Client::new(aws).get_caller_identity().send().await;
    let answer = answer.map_err(|error| failed("the identity", "of the caller", "sts:GetCallerIdentity", &error))?;
    Ok((answer.account.unwrap_or_default(), answer.arn.unwrap_or_default()))
}

/// A resource of a stack.
#[derive(Clone, Debug)]
pub(super) struct Resource {
    /// The name in the template.
    pub(super) logical: String,
    pub(super) kind: String,
    /// The name or ARN.
    pub(super) physical: String,
}

/// The resources of a stack.
pub(super) async fn resources(aws: &SdkConfig, stack: &str) -> anyhow::Result<Vec<Resource>> {
    let client = aws_sdk_cloudformation::Client::new(aws);
    let mut pages = client.list_stack_resources().stack_name(stack).into_paginator().send();
    let mut resources = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| failed("stack", stack, "cloudformation:ListStackResources", &error))?;
        let of_page = page.stack_resource_summaries.unwrap_or_default().into_iter();
        resources.extend(of_page.filter_map(|resource| {
            let (logical, kind) = (resource.logical_resource_id?, resource.resource_type?);
            Some(Resource { logical, kind, physical: resource.physical_resource_id? })
        }));
    }
    Ok(resources)
}

/// A function: its state, and its whole environment.
pub(super) async fn function(aws: &SdkConfig, name: &str) -> anyhow::Result<(DeployedFunction, FunctionSettings)> {
    let client = aws_sdk_lambda::Client::new(aws);
    let answer = client.get_function_configuration().function_name(name).send().await;
    let answer = answer.map_err(|error| match error.code() {
        Some("ResourceNotFoundException") => anyhow!("function {name} of the stack does not exist any more"),
        _ => failed("function", name, "lambda:GetFunctionConfiguration", &error),
    })?;
    let architectures = answer.architectures().first().map(|architecture| architecture.as_str().to_owned());
    let environment = answer.environment.and_then(|environment| environment.variables).unwrap_or_default();
    let bytes = environment.iter().map(|(name, value)| name.len() + value.len()).sum();
    let function = DeployedFunction {
        name: name.to_owned(),
        state: answer.state.map(|state| state.as_str().to_owned()).unwrap_or_default(),
        last_update: answer.last_update_status.map(|status| status.as_str().to_owned()).unwrap_or_default(),
        architecture: architectures.unwrap_or_default(),
        invalid: Vec::new(),
    };
    let variables = environment.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    Ok((function, FunctionSettings { name: name.to_owned(), variables, bytes }))
}

/// The alarms of these names.
pub(super) async fn alarms(aws: &SdkConfig, names: &[String]) -> anyhow::Result<Vec<Alarm>> {
    let client = aws_sdk_cloudwatch::Client::new(aws);
    let mut alarms = Vec::new();
    for names in names.chunks(ALARM_NAMES) {
        let request = client.describe_alarms().set_alarm_names(Some(names.to_vec()));
        let answer = request.max_records(100).send().await;
        let answer =
            answer.map_err(|error| failed("the alarms", "of the stack", "cloudwatch:DescribeAlarms", &error))?;
        alarms.extend(answer.metric_alarms.unwrap_or_default().into_iter().map(|alarm| {
            let actions = if alarm.actions_enabled() == Some(true) { alarm.alarm_actions() } else { &[] };
            Alarm {
                has_action: !actions.is_empty(),
                is_on: alarm.state_value() == Some(&aws_sdk_cloudwatch::types::StateValue::Alarm),
                topics: actions.iter().filter(|arn| is_topic(arn)).cloned().collect(),
                name: alarm.alarm_name.unwrap_or_default(),
            }
        }));
    }
    alarms.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(alarms)
}

/// The subscriptions of a topic. Their numbers suffice: a list of them would have addresses of people.
pub(super) async fn subscriptions(aws: &SdkConfig, topic: &str) -> anyhow::Result<Subscriptions> {
    let answer = aws_sdk_sns::Client::new(aws).get_topic_attributes().topic_arn(topic).send().await;
    let answer = match answer {
        Err(error) if error.as_service_error().is_some_and(|it| it.is_not_found_exception()) => {
            return Ok(Subscriptions::NoTopic);
        }
        answer => answer.map_err(|error| failed("topic", topic, "sns:GetTopicAttributes", &error))?,
    };
    let number = |name: &str| {
        let value = answer.attributes.as_ref().and_then(|attributes| attributes.get(name));
        let number = value.and_then(|value| value.parse().ok());
        number.with_context(|| format!("the answer of SNS about topic {topic} has no {name}"))
    };
    Ok(Subscriptions::Counted {
        confirmed: number("SubscriptionsConfirmed")?,
        pending: number("SubscriptionsPending")?,
    })
}

/// The latest executions of a state machine, the latest first; `None` if the state machine does not exist.
pub(super) async fn executions(aws: &SdkConfig, machine: &str) -> anyhow::Result<Option<Vec<Execution>>> {
    let client = aws_sdk_sfn::Client::new(aws);
    let answer = client.list_executions().state_machine_arn(machine).max_results(EXECUTIONS).send().await;
    let answer = match answer {
        Err(error) if error.as_service_error().is_some_and(|it| it.is_state_machine_does_not_exist()) => {
            return Ok(None);
        }
        answer => answer.map_err(|error| failed("state machine", machine, "states:ListExecutions", &error))?,
    };
    let executions = answer.executions.into_iter().filter_map(|execution| {
        let started_at = Millis::try_from(execution.start_date.to_millis().ok()?).ok()?;
        let outcome = match execution.status {
            ExecutionStatus::Succeeded => Outcome::Succeeded,
            ExecutionStatus::Failed | ExecutionStatus::TimedOut => Outcome::Failed,
            _ => Outcome::None,
        };
        Some(Execution { started_at, outcome })
    });
    let mut executions: Vec<Execution> = executions.collect();
    executions.sort_by_key(|execution| std::cmp::Reverse(execution.started_at));
    Ok(Some(executions))
}

/// The region of the configuration.
pub(super) fn region(aws: &SdkConfig) -> anyhow::Result<String> {
    aws.region().map(ToString::to_string).context("no AWS region is configured")
}
