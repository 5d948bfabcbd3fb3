//! The checks of the deployment: credentials, the stack, its functions and their settings, its schedule and alarms.

use std::collections::{BTreeMap, BTreeSet};

use heck::ToKebabCase;
use rollcall::core::doctor::alarms::{self, Subscriptions, Topic};
use rollcall::core::doctor::executions::{self, Expected, is_daily};
use rollcall::core::doctor::settings::{self, FunctionSettings};
use rollcall::core::doctor::stack::{self, DeployedFunction};
use rollcall::core::doctor::{Finding, Verdict};
use rollcall::core::millis::Millis;
use rollcall::settings::deletion::OWNED_TABLES;
use rollcall::settings::variables::{
    CLERK_SECRET_KEY, CLERK_WEBHOOK_SECRET, InvalidSettings, Reader, Source, Variable, rate_share,
};

use super::cloud::{self, Resource};
use crate::functions::FUNCTIONS;
use crate::operator::checks::{OURS, is_known};
use crate::operator::deployment::{DeployedStack, Deployment, Place};

/// What is known of the functions of a deployment.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) functions: Vec<FunctionSettings>,
    pub(super) resources: Vec<Resource>,
}

/// The checks that need no table and no Clerk. Also returns what they read of the functions.
pub(super) async fn all(deployment: &Deployment, now: Millis) -> (Vec<Finding>, Known) {
    let (mut findings, mut known) = (vec![credentials(deployment).await], Known::default());
    if let Place::Stack(deployed) = &deployment.place {
        findings.push(stack::status(&deployed.name, &deployed.status));
    }
    let version = deployment.version();
    findings.push(stack::release(version, OURS, version.is_none_or(is_known)));
    match &deployment.place {
        Place::Stack(deployed) => match of_stack(deployment, &deployed.name).await {
            Ok((found, of_stack)) => {
                findings.extend(found);
                known = of_stack;
            }
            Err(error) => findings.push(unread("functions", &error)),
        },
        Place::Function(name) => match cloud::function(&deployment.aws, name).await {
            Ok((mut function, variables)) => {
                function.invalid = invalid("reconcile", &variables.variables);
                findings.extend(stack::functions(&[function], 1));
                findings.extend(settings::environment_size(std::slice::from_ref(&variables)));
                known.functions.push(variables);
            }
            Err(error) => findings.push(unread("functions", &error)),
        },
        Place::Local(record) => {
            let function = |name: &str| DeployedFunction {
                name: name.to_owned(),
                invalid: invalid(name, &record.settings),
                ..DeployedFunction::default()
            };
            findings.extend(stack::functions(&FUNCTIONS.map(|it| function(it.name)), FUNCTIONS.len()));
            let variables = record.settings.clone();
            known.functions.push(FunctionSettings { name: "the local stack".to_owned(), variables, bytes: 0 });
        }
    }
    findings.extend(policies(deployment, &known.functions));
    if !deployment.is_local() {
        let lookup = |name: &str| deployment.setting(name);
        findings.push(settings::rate_share(rate_share(&mut Reader::new(&lookup))));
    }
    if let Place::Stack(deployed) = &deployment.place {
        findings.push(stack::schedule(deployed.parameters.get("ReconcileState").map(String::as_str)));
        findings.extend(executed(deployment, deployed, &known.resources, now).await);
        findings.extend(alarmed(deployment, &known.resources).await);
    }
    (findings, known)
}

/// A check whose facts could not be read. The error says why.
pub(super) fn unread(check: &'static str, error: &anyhow::Error) -> Finding {
    Finding::not_checked(check, format!("{error:#}"))
}

async fn credentials(deployment: &Deployment) -> Finding {
    const CHECK: &str = "credentials";
    if deployment.is_local() {
        return Finding::not_applicable(CHECK, "the local stack needs no AWS credentials");
    }
    let read = async { anyhow::Ok((cloud::region(&deployment.aws)?, cloud::caller(&deployment.aws).await?)) };
    match read.await {
        Ok((region, (account, arn))) => Finding::ok(CHECK, format!("account {account}, region {region}, as {arn}")),
        Err(error) => unread(CHECK, &error),
    }
}

async fn of_stack(deployment: &Deployment, name: &str) -> anyhow::Result<(Vec<Finding>, Known)> {
    let resources = cloud::resources(&deployment.aws, name).await?;
    let (mut deployed, mut functions) = (Vec::new(), Vec::new());
    let mut findings = Vec::new();
    for (logical, physical) in of_kind(&resources, "AWS::Lambda::Function") {
        match cloud::function(&deployment.aws, physical).await {
            Ok((mut function, variables)) => {
                let kind = logical.strip_suffix("Function").unwrap_or(logical).to_kebab_case();
                function.invalid = invalid(&kind, &variables.variables);
                deployed.push(function);
                functions.push(FunctionSettings { name: kind, ..variables });
            }
            Err(error) => findings.push(unread("functions", &error)),
        }
    }
    // A function that cannot be read is not missing.
    findings.extend(stack::functions(&deployed, FUNCTIONS.len() - findings.len().min(FUNCTIONS.len())));
    if findings.iter().any(|finding| finding.result == Verdict::NotChecked) {
        findings.retain(|finding| finding.result != Verdict::Ok);
    }
    let secret = |name: &str| variable(name).is_some_and(|variable| variable.source == Source::Secret);
    let is_ours = |name: &String| variable(name).is_some();
    let ours: Vec<FunctionSettings> = functions
        .iter()
        .map(|function| FunctionSettings {
            variables: function.variables.clone().into_iter().filter(|(name, _)| is_ours(name)).collect(),
            ..function.clone()
        })
        .collect();
    findings.extend(settings::alike(&ours, &secret));
    findings.extend(settings::environment_size(&functions));
    Ok((findings, Known { functions: ours, resources }))
}

/// The names in the template and the physical names of the resources of a kind.
fn of_kind<'a>(resources: &'a [Resource], kind: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let of_kind = resources.iter().filter(move |resource| resource.kind == kind);
    of_kind.map(|resource| (resource.logical.as_str(), resource.physical.as_str()))
}

/// The description of a variable of any function.
fn variable(name: &str) -> Option<&'static Variable> {
    FUNCTIONS.iter().flat_map(|function| function.variables()).find(|variable| variable.name == name)
}

/// What is missing or malformed among the settings of a function. The secrets are checked elsewhere.
fn invalid(function: &str, settings: &BTreeMap<String, String>) -> Vec<String> {
    let lookup = |name: &str| {
        let value = settings.get(name).cloned();
        match name {
            _ if name == CLERK_SECRET_KEY.name => Some("sk_test_x".to_owned()),
            _ if name == CLERK_WEBHOOK_SECRET.name => Some("whsec_c2VjcmV0".to_owned()),
            // The function reads the list from the Operations table.
            _ if name == OWNED_TABLES.name => value.filter(|list| !list.starts_with('@')),
            _ => value,
        }
    };
    let lines = |read: Option<InvalidSettings>| read.map(|invalid| invalid.lines()).unwrap_or_default();
    match function {
        "webhook" => lines(webhook::settings::Settings::read(&lookup).err()),
        "ensure-profile" => lines(ensure_profile::settings::Settings::read(&lookup).err()),
        "authorizer" => lines(authorizer::settings::Settings::read(&lookup).err()),
        "account" => lines(account::settings::Settings::read(&lookup).err()),
        "react" => lines(react::settings::Settings::read(&lookup).err()),
        "reconcile" => lines(::reconcile::settings::Settings::read(&lookup).err()),
        _ => Vec::new(),
    }
}

/// The policies of all functions together; what the command overrides counts first.
fn policies(deployment: &Deployment, functions: &[FunctionSettings]) -> Vec<Finding> {
    settings::policies(&|name: &str| {
        let of_functions = || functions.iter().find_map(|function| function.variables.get(name).cloned());
        let default = || variable(name).and_then(|variable| variable.default).map(str::to_owned);
        deployment.setting(name).or_else(of_functions).or_else(default)
    })
}

/// The executions of the state machine.
async fn executed(deployment: &Deployment, stack: &DeployedStack, of: &[Resource], now: Millis) -> Vec<Finding> {
    const CHECK: &str = "executions";
    if of.is_empty() {
        // The reason is said already.
        return vec![Finding::not_checked(CHECK, "the resources of the stack cannot be read")];
    }
    let latest = match of_kind(of, "AWS::StepFunctions::StateMachine").next() {
        Some((_, machine)) => cloud::executions(&deployment.aws, machine).await,
        None => Ok(None),
    };
    let parameter = |name: &str| stack.parameters.get(name).map(String::as_str).unwrap_or_default();
    let expected = Expected {
        is_daily: parameter("ReconcileState") == "ENABLED" && is_daily(parameter("ReconcileSchedule")),
        since: stack.changed_at,
    };
    match latest {
        Ok(latest) => executions::executions(latest.as_deref(), expected, now),
        Err(error) => vec![unread(CHECK, &error)],
    }
}

/// The alarms and the topics that they notify.
async fn alarmed(deployment: &Deployment, resources: &[Resource]) -> Vec<Finding> {
    const TOPICS: &str = "alarm-topics";
    let names: Vec<String> = of_kind(resources, "AWS::CloudWatch::Alarm").map(|(_, name)| name.to_owned()).collect();
    let no_topics = || Finding::not_checked(TOPICS, "the alarms cannot be read");
    if resources.is_empty() {
        return vec![Finding::not_checked("alarms", "the resources of the stack cannot be read"), no_topics()];
    }
    let found = match cloud::alarms(&deployment.aws, &names).await {
        Ok(found) => found,
        Err(error) => return vec![unread("alarms", &error), no_topics()],
    };
    let mut findings = alarms::alarms(&found);
    let arns: BTreeSet<String> = found.into_iter().flat_map(|alarm| alarm.topics).collect();
    let mut topics = Vec::new();
    for arn in arns {
        let subscriptions = cloud::subscriptions(&deployment.aws, &arn).await;
        let subscriptions = subscriptions.unwrap_or_else(|error| Subscriptions::NotRead(format!("{error:#}")));
        topics.push(Topic { arn, subscriptions });
    }
    findings.extend(alarms::topics(&topics));
    findings
}
