//! `rollcall set-role`: changes the role of a user or of a membership in Clerk; the row follows.

use anyhow::{anyhow, bail};
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use rollcall::core::account::authorization::Pointer;
use rollcall::core::deletion::subject::Subject;
use rollcall::core::id::EntityId;
use rollcall::core::mirror::item::Item;
use rollcall::services::operator::set_role::RoleError;
use rollcall::settings::account::ROLE_POINTER;
use serde_json::{Value, json};

use super::context::{OperatorContext, lacks_confirmation};
use super::deployment::Environment;
use super::{Screen, say};
use crate::args::DeploymentArgs;
use crate::{Clock, Status, Usage};

/// `rollcall set-role`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  rollcall set-role user_2nNG9rEYQoliquKw5eHQ9eFeurU admin --stack rollcall
  rollcall set-role org_2nyiGxAxOOuSJqJjeif62e4qZfa/user_2nNG9rEYQoliquKw5eHQ9eFeurU org:admin --stack rollcall")]
pub struct SetRoleArgs {
    /// Clerk id or internal id of a user, or a membership as org_…/user_…
    pub id: Subject,
    /// A user's role in the application, one of ROLES; or a membership's role in Clerk, such as org:admin
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub role: String,
    /// Show the change and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Skip the confirmation prompt
    #[arg(long, short)]
    pub yes: bool,
    /// Print one JSON object; requires --yes or --dry-run
    #[arg(long)]
    pub json: bool,
    /// The deployment to work on.
    #[command(flatten)]
    pub deployment: DeploymentArgs,
}

/// Changes a role.
///
/// # Errors
///
/// If Clerk refuses the role, or the change fails. The error has advice.
pub async fn run(args: SetRoleArgs, environment: Environment, clock: Clock, screen: &Screen) -> anyhow::Result<Status> {
    if lacks_confirmation(args.yes, args.dry_run, args.json, screen) {
        return Ok(Status::Usage);
    }
    let is_user = !matches!(args.id, Subject::Entity(EntityId::Membership { .. }));
    let mut overrides = args.deployment.overrides.iter();
    if let (Some(function), true) = (&args.deployment.function, is_user)
        && overrides.all(|given| given.name() != ROLE_POINTER.name)
    {
        bail!(Usage(format!(
            "function {function} does not know where your application reads the role of a user: pass --override \
             ROLE_POINTER=/role, or the pointer that your application uses"
        )));
    }
    let context = OperatorContext::open(&args.deployment, environment, clock).await?;
    let place = context.deployment.setting(ROLE_POINTER.name).unwrap_or_else(|| "/role".to_owned());
    let Some(place) = Pointer::parse(&place) else { bail!("ROLE_POINTER={place} is no JSON pointer") };
    let explain = |error| match error {
        RoleError::Operator(error) => context.explain(error),
        error => anyhow!(error),
    };
    let plan = context.operator.can_set_role(&args.id, &args.role, &place).await.map_err(explain)?;
    let (kind, entity) = (plan.entity.kind().name(), &plan.entity);
    let is_new = plan.before.as_ref() != Some(&plan.after);
    let mut json = json!({
        "dry_run": args.dry_run, "id": entity.to_string(), "kind": kind, "before": plan.before, "after": plan.after,
    });
    if !args.json {
        let before = plan.before.as_ref().map_or_else(|| "no role".to_owned(), |role| format!("the role {role}"));
        let after = if is_new { format!("; it becomes {}", plan.after) } else { String::new() };
        say(format_args!("{kind} {entity} has {before} in Clerk{after}."))?;
    }
    if args.dry_run {
        say(if args.json { json.to_string() } else { "Nothing was changed.".to_owned() })?;
        return Ok(if is_new { Status::Left } else { Status::Done });
    }
    if is_new && !args.yes && !screen.ask_on(&context.deployment, "Change the role in Clerk?")? {
        say("Nothing was changed.")?;
        return Ok(Status::Left);
    }
    let row = context.operator.set_role(&plan, &place).await.map_err(explain)?;
    // Clerk has the role, but a deletion is final: the tombstone has none.
    let is_deleted = row.as_ref().is_some_and(Item::is_deleted);
    let status = if is_deleted { Status::Left } else { Status::Done };
    if args.json {
        json["followed"] = (!is_deleted).into();
        say(json)?;
        return Ok(status);
    }
    match row {
        Some(_) if is_deleted => say(format_args!(
            "The role is changed in Clerk. The Directory has a tombstone of {kind} {entity}, so the row did not follow: see \
             `rollcall explain {entity}{}`.",
            context.deployment.options
        ))?,
        Some(row) => {
            let row = serde_json::to_string_pretty(&Value::Object(row.to_attributes()))?;
            say(format_args!("The Directory row is now\n{row}"))?;
        }
        None => say("The role is changed in Clerk. MIRROR=off keeps no row.")?,
    }
    Ok(status)
}
