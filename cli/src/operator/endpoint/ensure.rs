//! `rollcall endpoint ensure`.

use anyhow::{anyhow, bail};
use rollcall::adapters::clerk::secrets;
use rollcall::adapters::svix::portal::SvixPortal;
use rollcall::adapters::svix::{ControlError, EndpointControl};
use rollcall::core::endpoint::Wanted;
use rollcall::core::endpoint::plan::{Plan, plan};
use rollcall::settings::variables::ROLLCALL_SECRET_ARN;
use secrecy::SecretString;
use serde_json::json;

use super::{EnsureArgs, explain, fallback, has_secret, texts, wanted};
use crate::operator::context::{OperatorContext, lacks_confirmation};
use crate::operator::deployment::{Environment, Place};
use crate::operator::{Screen, say};
use crate::{Clock, Status};

/// Creates or changes the endpoint.
///
/// # Errors
///
/// If the deployment cannot be read, Clerk does not answer, or the endpoint belongs to something else. The error has
/// advice.
pub(super) async fn run(
    args: EnsureArgs,
    environment: Environment,
    clock: Clock,
    screen: &Screen,
) -> anyhow::Result<Status> {
    if lacks_confirmation(args.yes, args.dry_run, args.json, screen) {
        return Ok(Status::Usage);
    }
    let context = OperatorContext::open(&args.deployment, environment, clock).await?;
    let wanted = wanted(&context)?;
    let work = Work { args: &args, context: &context, wanted: &wanted, screen };
    match work.ensure().await {
        Err(Failure::Control(error @ (ControlError::Unavailable { .. } | ControlError::Forbidden(_)))) => {
            fallback::print(&error, &wanted, args.json)
        }
        Err(Failure::Control(error)) => Err(explain(error, &context)),
        Err(Failure::Other(error)) => Err(error),
        Ok(status) => Ok(status),
    }
}

enum Failure {
    Control(ControlError),
    Other(anyhow::Error),
}

impl From<ControlError> for Failure {
    fn from(error: ControlError) -> Failure {
        Failure::Control(error)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Failure {
        Failure::Other(error)
    }
}

struct Work<'a> {
    args: &'a EnsureArgs,
    context: &'a OperatorContext,
    wanted: &'a Wanted,
    screen: &'a Screen,
}

impl Work<'_> {
    async fn ensure(&self) -> Result<Status, Failure> {
        let clerk = &self.context.operator.applier.clerk;
        let portal = match SvixPortal::open(clerk, false).await {
            Ok(portal) => Some(portal),
            Err(ControlError::NoApplication) => None,
            Err(error) => return Err(error.into()),
        };
        let (planned, is_stored) = match &portal {
            None => (Plan::Create, false),
            Some(portal) => match self.plan(portal).await {
                Ok(planned) => planned,
                Err(failure) => {
                    close(Some(portal)).await;
                    return Err(failure);
                }
            },
        };
        // A question may stay open for long, and the key of the plan can do everything.
        close(portal.as_ref()).await;
        let is_complete = matches!(planned, Plan::Nothing { .. }) && is_stored;
        if !self.args.json {
            say(texts::plan(&planned, is_stored, self.wanted)).map_err(anyhow::Error::from)?;
        }
        if self.args.dry_run || is_complete {
            return Ok(self.finish(&planned, is_stored, None)?);
        }
        if !self.args.yes && !self.screen.ask_on(&self.context.deployment, "Change the endpoint?")? {
            say("Nothing was changed.").map_err(anyhow::Error::from)?;
            return Ok(Status::Left);
        }
        let portal = SvixPortal::open(clerk, true).await?;
        let done = self.act(&portal, &planned).await;
        close(Some(&portal)).await;
        let id = done?;
        Ok(self.finish(&planned, is_stored, Some(&id))?)
    }

    /// The changes that are necessary, and whether the stack has the endpoint's secret.
    async fn plan(&self, portal: &impl EndpointControl) -> Result<(Plan, bool), Failure> {
        let all = portal.endpoints().await?;
        let planned = plan(&all, self.wanted, self.args.adopt.as_deref()).map_err(anyhow::Error::from)?;
        let is_stored = match &planned {
            Plan::Create => false,
            Plan::Change { id, .. } | Plan::Nothing { id } => self.is_stored(&portal.secret(id).await?),
        };
        Ok((planned, is_stored))
    }

    /// Makes the endpoint what it should be, and stores its secret. The id of the endpoint.
    async fn act(&self, portal: &impl EndpointControl, shown: &Plan) -> Result<String, Failure> {
        // Somebody else may have changed the endpoint since the plan was shown.
        let (now, _) = self.plan(portal).await?;
        if now != *shown && !matches!(now, Plan::Nothing { .. }) {
            return Err(anyhow!("the endpoint changed while this command waited: run the command again").into());
        }
        let id = match &now {
            Plan::Create => portal.create(self.wanted, self.local_secret().as_ref()).await?.id,
            Plan::Change { id, changes } => {
                portal.change(id, self.wanted, changes).await?;
                id.clone()
            }
            Plan::Nothing { id } => id.clone(),
        };
        let secret = portal.secret(&id).await?;
        if !self.is_stored(&secret) {
            self.store(&id, &secret).await?;
        }
        Ok(id)
    }

    /// A local stack knows one secret, which the endpoint gets.
    fn local_secret(&self) -> Option<SecretString> {
        match &self.context.deployment.place {
            Place::Local(record) => Some(record.addresses.webhook_secret.clone().into()),
            Place::Stack(_) | Place::Function(_) => None,
        }
    }

    fn is_stored(&self, secret: &SecretString) -> bool {
        has_secret(self.context, secret)
    }

    async fn store(&self, id: &str, secret: &SecretString) -> anyhow::Result<()> {
        let deployment = &self.context.deployment;
        if deployment.is_local() {
            bail!(
                "the endpoint signs with another secret than the local stack has. Delete the endpoint, or start `rollcall \
                 dev` with its secret in CLERK_WEBHOOK_SECRET"
            );
        }
        let arn = deployment.setting(ROLLCALL_SECRET_ARN.name).filter(|arn| !arn.is_empty()).ok_or_else(|| {
            anyhow!(
                "the deployment reads its secrets from its environment, which this command does not change: store the \
                 signing secret of the endpoint in CLERK_WEBHOOK_SECRET yourself"
            )
        })?;
        // The endpoint sends already, and what it sends is refused.
        let left = |error| {
            anyhow!(
                "{error}. Endpoint {id} exists, but the stack refuses its events without the secret: mend this, then run \
                 the command again"
            )
        };
        secrets::add_signing_secret(&deployment.aws, &arn, secret).await.map_err(left)
    }

    fn finish(&self, planned: &Plan, was_stored: bool, done: Option<&str>) -> anyhow::Result<Status> {
        let is_complete = matches!(planned, Plan::Nothing { .. }) && was_stored;
        if self.args.json {
            let (action, id) = match planned {
                Plan::Create => ("create", done),
                Plan::Change { id, .. } => ("change", Some(id.as_str())),
                Plan::Nothing { id } => ("nothing", Some(id.as_str())),
            };
            say(json!({
                "dry_run": self.args.dry_run, "action": action, "endpoint": id, "uid": self.wanted.uid,
                "url": self.wanted.url, "stores_secret": !was_stored, "changes": texts::changes(planned),
                "done": done.is_some() || is_complete,
            }))?;
        } else if let Some(id) = done {
            say(format_args!("Done: Clerk sends its events to endpoint {id}."))?;
        } else if self.args.dry_run {
            say("Nothing was changed.")?;
        }
        Ok(if done.is_some() || is_complete { Status::Done } else { Status::Left })
    }
}

async fn close(portal: Option<&SvixPortal>) {
    if let Some(portal) = portal {
        portal.close().await;
    }
}
