//! `rollcall endpoint status`.

use rollcall::adapters::svix::portal::SvixPortal;
use rollcall::adapters::svix::{ControlError, EndpointControl, Stats};
use rollcall::core::endpoint::cause::{Attempt, Cause, Signs, causes};
use rollcall::core::endpoint::{Endpoint, Wanted};
use serde_json::json;

use super::{StatusArgs, explain, fallback, has_secret, texts, wanted};
use crate::operator::context::OperatorContext;
use crate::operator::deployment::Environment;
use crate::operator::say;
use crate::{Clock, Status};

/// What Svix says of the endpoint.
pub(super) struct Seen {
    pub(super) endpoint: Option<Endpoint>,
    /// Whether the endpoint has the uid of the stack.
    pub(super) is_managed: bool,
    pub(super) attempts: Vec<Attempt>,
    pub(super) stats: Stats,
    pub(super) has_secret: Option<bool>,
    pub(super) causes: Vec<Cause>,
    /// The other endpoints of the application.
    pub(super) others: usize,
}

/// Shows the endpoint.
///
/// # Errors
///
/// If the deployment cannot be read, or Clerk does not answer. The error has advice.
pub(super) async fn run(args: StatusArgs, environment: Environment, clock: Clock) -> anyhow::Result<Status> {
    let context = OperatorContext::open(&args.deployment, environment, clock).await?;
    let wanted = wanted(&context)?;
    let seen = match see(&context, &wanted).await {
        Ok(seen) => seen,
        Err(error @ (ControlError::Unavailable { .. } | ControlError::Forbidden(_))) => {
            return fallback::print(&error, &wanted, args.json);
        }
        Err(error) => return Err(explain(error, &context)),
    };
    if args.json {
        let latest = seen.attempts.first();
        say(json!({
            "url": wanted.url,
            "uid": wanted.uid,
            "endpoint": seen.endpoint.as_ref().map(|endpoint| json!({
                "id": endpoint.id, "url": endpoint.url, "disabled": endpoint.is_disabled, "types": endpoint.types,
                "throttle_rate": endpoint.throttle_rate, "updated_at": endpoint.updated_at,
            })),
            "managed": seen.is_managed,
            "secret_is_stored": seen.has_secret,
            "messages": { "delivered": seen.stats.delivered, "pending": seen.stats.pending, "failed": seen.stats.failed },
            "latest_attempt": latest.map(|attempt| json!({ "at": attempt.at, "status": attempt.status })),
            "other_endpoints": seen.others,
            "causes": seen.causes.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }))?;
    } else {
        say(texts::status(&seen, &wanted, &context.deployment.options))?;
    }
    Ok(if seen.causes.is_empty() { Status::Done } else { Status::Left })
}

async fn see(context: &OperatorContext, wanted: &Wanted) -> Result<Seen, ControlError> {
    let portal = match SvixPortal::open(&context.operator.applier.clerk, false).await {
        Ok(portal) => portal,
        Err(ControlError::NoApplication) => {
            let (attempts, stats) = (Vec::new(), Stats::default());
            let causes = vec![Cause::EndpointMissing];
            return Ok(Seen {
                endpoint: None,
                is_managed: false,
                attempts,
                stats,
                has_secret: None,
                causes,
                others: 0,
            });
        }
        Err(error) => return Err(error),
    };
    let seen = ask(&portal, context, wanted).await;
    portal.close().await;
    seen
}

async fn ask(portal: &impl EndpointControl, context: &OperatorContext, wanted: &Wanted) -> Result<Seen, ControlError> {
    let all = portal.endpoints().await?;
    let managed = all.iter().find(|endpoint| endpoint.uid.as_deref() == Some(wanted.uid.as_str()));
    let endpoint = managed.or_else(|| all.iter().find(|endpoint| endpoint.url == wanted.url)).cloned();
    let is_managed = managed.is_some();
    let (mut attempts, mut stats, mut has, mut has_transformation) = (Vec::new(), Stats::default(), None, false);
    if let Some(endpoint) = &endpoint {
        attempts = portal.attempts(&endpoint.id).await?;
        stats = portal.stats(&endpoint.id).await?;
        // A side question that fails leaves the rest as it was seen.
        has_transformation = portal.has_transformation(&endpoint.id).await.unwrap_or(false);
        has = portal.secret(&endpoint.id).await.ok().map(|secret| has_secret(context, &secret));
    }
    let signs = Signs {
        endpoint: endpoint.as_ref(),
        attempts: &attempts,
        has_secret: has,
        has_transformation,
        pending: stats.pending,
    };
    let causes = causes(&signs, wanted);
    let others = all.len() - usize::from(endpoint.is_some());
    Ok(Seen { endpoint, is_managed, attempts, stats, has_secret: has, causes, others })
}
