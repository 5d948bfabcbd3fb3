//! Reads the settings of a deployed stack: CloudFormation names the reconcile function, whose environment has them.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;

use anyhow::{Context, anyhow, bail};
use aws_config::SdkConfig;
use aws_sdk_cloudformation::error::{ProvideErrorMetadata, SdkError};
use heck::ToUpperCamelCase;
use rollcall::core::millis::Millis;

/// The outputs of template.yaml that name the reconcile function and the release.
const FUNCTION: &str = "ReconcileFunction";
const VERSION: &str = "Version";

/// A deployed stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeployedStack {
    pub name: String,
    /// CloudFormation's status, such as `UPDATE_COMPLETE`.
    pub status: String,
    /// When it was created or updated last.
    pub changed_at: Millis,
    /// The outputs by name.
    pub outputs: BTreeMap<String, String>,
    /// The parameters by name.
    pub parameters: BTreeMap<String, String>,
}

impl DeployedStack {
    /// The release of Rollcall that is deployed.
    pub fn version(&self) -> Option<&str> {
        self.outputs.get(VERSION).map(String::as_str)
    }

    /// The parameter that sets a variable, such as `RolePointer` for `ROLE_POINTER`.
    pub(super) fn parameter(&self, variable: &str) -> Option<&str> {
        let value = self.parameters.get(&variable.to_upper_camel_case()).map(String::as_str);
        value.filter(|value| !value.is_empty())
    }

    /// The name of the reconcile function.
    ///
    /// # Errors
    ///
    /// If the stack does not name one: it is no stack of Rollcall, or of an earlier release.
    pub(super) fn function(&self) -> anyhow::Result<&str> {
        let function = self.outputs.get(FUNCTION).map(String::as_str);
        function.ok_or_else(|| {
            let name = &self.name;
            anyhow!(
                "stack {name} has no output {FUNCTION}: it is not a stack of Rollcall, or of an earlier release. Deploy \
                 this release, or name the reconcile function with --function"
            )
        })
    }
}

/// Reads a stack.
///
/// # Errors
///
/// If it does not exist, or cannot be read.
pub(super) async fn describe(aws: &SdkConfig, name: &str) -> anyhow::Result<DeployedStack> {
    let client = aws_sdk_cloudformation::Client::new(aws);
    let answer = client.describe_stacks().stack_name(name).send().await;
    let answer = answer.map_err(|error| match error.code() {
        // CloudFormation has no code of its own for a stack that does not exist.
        Some("ValidationError") => {
            let region = aws.region().map(ToString::to_string).unwrap_or_default();
            anyhow!(
                "stack {name} does not exist in region {region}, or its name is invalid: check --stack, AWS_REGION and \
                 AWS_PROFILE"
            )
        }
        _ => failed("stack", name, "cloudformation:DescribeStacks", &error),
    })?;
    let Some(stack) = answer.stacks.unwrap_or_default().into_iter().next() else {
        bail!("stack {name} does not exist: check --stack, AWS_REGION and AWS_PROFILE");
    };
    let changed_at = stack.last_updated_time.or(stack.creation_time);
    let outputs = stack.outputs.unwrap_or_default().into_iter();
    let parameters = stack.parameters.unwrap_or_default().into_iter();
    Ok(DeployedStack {
        name: name.to_owned(),
        status: stack.stack_status.map(|status| status.as_str().to_owned()).unwrap_or_default(),
        changed_at: changed_at.and_then(|at| Millis::try_from(at.to_millis().ok()?).ok()).unwrap_or(Millis::ZERO),
        outputs: outputs.filter_map(|output| Some((output.output_key?, output.output_value?))).collect(),
        parameters: parameters.filter_map(|it| Some((it.parameter_key?, it.parameter_value?))).collect(),
    })
}

/// Reads the environment of a function.
///
/// # Errors
///
/// If the function does not exist, or its environment cannot be read.
pub(super) async fn environment(aws: &SdkConfig, function: &str) -> anyhow::Result<HashMap<String, String>> {
    let client = aws_sdk_lambda::Client::new(aws);
    let answer = client.get_function_configuration().function_name(function).send().await;
    let answer = answer.map_err(|error| match error.code() {
        Some("ResourceNotFoundException") => {
            anyhow!("function {function} does not exist: check --function or --stack, AWS_REGION and AWS_PROFILE")
        }
        _ => failed("function", function, "lambda:GetFunctionConfiguration", &error),
    })?;
    let environment = answer.environment.with_context(|| {
        format!(
            "function {function} has no settings in its environment: check that it is Rollcall's reconcile function"
        )
    })?;
    if let Some(error) = environment.error {
        let code = error.error_code.unwrap_or_default();
        bail!("the environment of function {function} cannot be decrypted ({code}): check the permission kms:Decrypt");
    }
    Ok(environment.variables.unwrap_or_default())
}

/// The error of a request to AWS, with the permission that it needs.
pub(in crate::operator) fn failed<E, R>(
    kind: &str,
    name: &str,
    permission: &str,
    error: &SdkError<E, R>,
) -> anyhow::Error
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug,
{
    match error.as_service_error().and_then(ProvideErrorMetadata::code) {
        // The last code is that of SNS.
        Some(code @ ("AccessDenied" | "AccessDeniedException" | "AuthorizationError")) => {
            anyhow!("{kind} {name} cannot be read ({code}): your role needs the permission {permission}")
        }
        Some(code) => anyhow!("{kind} {name} cannot be read ({code})"),
        None => anyhow!(
            "{kind} {name} cannot be read, because AWS did not answer ({}): check that AWS_REGION names a region, the AWS \
             credentials and the network connection",
            innermost(error)
        ),
    }
}

/// The last cause of an error: the errors around it only say that a request failed.
fn innermost(error: &dyn Error) -> String {
    error.source().map_or_else(|| error.to_string(), innermost)
}
