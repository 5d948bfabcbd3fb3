//! The answers in the three forms that APIs expect.
//!
//! The module has types of its own, because the types of `aws_lambda_events` write null for an absent value, and API
//! Gateway has rejected such answers.

use rollcall::core::account::context::Context;
use serde::Serialize;

use crate::event::Form;

/// The answer to an API: allow or deny. If the function cannot decide, it returns an error instead.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum AuthorizerResponse {
    Simple(Simple),
    Policy(Policy),
    AppSync(AppSync),
}

/// For an HTTP API with simple answers.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Simple {
    is_authorized: bool,
    context: Said,
}

/// For the other APIs of API Gateway.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    principal_id: String,
    policy_document: Document,
    context: Said,
}

/// For AppSync.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AppSync {
    is_authorized: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    resolver_context: Option<Context>,
    /// Seconds for which AppSync may keep this answer, whatever the API's own setting is.
    ttl_override: u32,
}

/// The part of the answer for the API's log and for the functions behind the API.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
enum Said {
    Who(Context),
    /// The code of the refusal, for the API's log and its own error responses.
    Why {
        code: &'static str,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    version: &'static str,
    statement: [Statement; 1],
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    action: &'static str,
    effect: &'static str,
    resource: String,
}

impl AuthorizerResponse {
    pub fn allow(form: Form, context: Context) -> AuthorizerResponse {
        match form {
            Form::Simple => AuthorizerResponse::Simple(Simple { is_authorized: true, context: Said::Who(context) }),
            Form::Policy { resource, .. } => policy(resource, "Allow", context.user_id.clone(), Said::Who(context)),
            Form::AppSync => AuthorizerResponse::AppSync(AppSync {
                is_authorized: true,
                resolver_context: Some(context),
                ttl_override: 0,
            }),
        }
    }

    pub fn deny(form: Form, code: &'static str) -> AuthorizerResponse {
        match form {
            Form::Simple => AuthorizerResponse::Simple(Simple { is_authorized: false, context: Said::Why { code } }),
            Form::Policy { resource, .. } => policy(resource, "Deny", "refused".to_owned(), Said::Why { code }),
            // AppSync does not use the context of a refusal.
            Form::AppSync => {
                AuthorizerResponse::AppSync(AppSync { is_authorized: false, resolver_context: None, ttl_override: 0 })
            }
        }
    }
}

fn policy(resource: String, effect: &'static str, principal_id: String, context: Said) -> AuthorizerResponse {
    let statement = [Statement { action: "execute-api:Invoke", effect, resource }];
    let policy_document = Document { version: "2012-10-17", statement };
    AuthorizerResponse::Policy(Policy { principal_id, policy_document, context })
}
