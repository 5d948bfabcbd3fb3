//! `rollcall fix-profiles`: creates the missing records of live users and memberships in Profiles.

use anyhow::bail;
use clap::Args;
use rollcall::services::operator::fix_profiles::Records;
use serde_json::json;

use super::context::{OperatorContext, lacks_confirmation};
use super::deployment::Environment;
use super::fix::{FixArgs, INCOMPLETE, consents, until_stopped};
use super::progress::Progress;
use super::text::{count, counted};
use super::{Screen, say};
use crate::args::DeploymentArgs;
use crate::{Clock, Status};

/// `rollcall fix-profiles`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  rollcall fix-profiles --dry-run --stack rollcall")]
pub struct FixProfilesArgs {
    /// Whether the command asks, writes, and how it prints.
    #[command(flatten)]
    pub fix: FixArgs,
    /// The deployment to work on.
    #[command(flatten)]
    pub deployment: DeploymentArgs,
}

/// Creates the missing records.
///
/// # Errors
///
/// If the command fails. The error has advice.
pub async fn run(
    args: FixProfilesArgs,
    environment: Environment,
    clock: Clock,
    screen: &Screen,
) -> anyhow::Result<Status> {
    let fix = args.fix;
    if lacks_confirmation(fix.yes, fix.dry_run, fix.json, screen) {
        return Ok(Status::Usage);
    }
    let context = OperatorContext::open(&args.deployment, environment, clock).await?;
    if !context.operator.mirror {
        bail!(
            "MIRROR=off: live users and memberships are not stored, so missing records cannot be found; the next \
             request of each user creates them"
        );
    }
    context.operator.check_instance().await.map_err(|error| context.explain(error))?;
    let shows = !fix.json;
    let mut plan = Records::default();
    if until_stopped(Box::pin(records(&context, &mut plan, screen, shows, false))).await?.is_none() {
        return Ok(Status::Left);
    }
    if !fix.json {
        say(plan_text(&plan))?;
    }
    let is_empty = plan.missing() == 0;
    if is_empty || !consents(fix, &context, screen, "Create these records?")? {
        if fix.json {
            let mut json = json(&plan, fix.dry_run, None);
            if context.is_forbidden() {
                json["forbidden_by_policy"] = true.into();
            }
            say(json)?;
        }
        return Ok(if is_empty && plan.unreadable == 0 { Status::Done } else { Status::Left });
    }
    let mut done = Records::default();
    let ended = until_stopped(Box::pin(records(&context, &mut done, screen, shows, true))).await;
    let is_complete = matches!(ended, Ok(Some(())));
    if fix.json {
        say(json(&done, false, Some(is_complete)))?;
    } else {
        say(done_text(&done))?;
        if !is_complete {
            say(INCOMPLETE)?;
        }
    }
    ended?;
    Ok(if is_complete && done.unreadable == 0 { Status::Done } else { Status::Left })
}

/// Reads the whole Directory and finds the missing records; creates them if `creates`. Adds to `records` what is done.
pub(super) async fn records(
    context: &OperatorContext,
    records: &mut Records,
    screen: &Screen,
    shows: bool,
    creates: bool,
) -> anyhow::Result<()> {
    let progress = Progress::start(screen, shows);
    let step = if creates { "creating records" } else { "looking for missing records" };
    let mut from = None;
    loop {
        let page = context.operator.fix_records(from.as_ref(), creates).await;
        let page = page.map_err(|error| context.explain(error))?;
        records.add(&page);
        let so_far = if creates { records.created } else { records.missing() };
        progress.say(step, &format!("{}, {} so far", counted(records.rows, "row"), count(so_far)));
        from = page.next;
        if from.is_none() {
            return Ok(());
        }
    }
}

/// The plan, or the result, as JSON.
fn json(records: &Records, dry_run: bool, is_complete: Option<bool>) -> serde_json::Value {
    let mut json = json!(records);
    json["dry_run"] = dry_run.into();
    if let Some(is_complete) = is_complete {
        json["complete"] = is_complete.into();
    }
    json
}

/// The rows that cannot be read, as a sentence; nothing if there are none.
fn unreadable(records: &Records) -> String {
    match records.unreadable {
        0 => String::new(),
        rows => format!(
            " {} of the Directory cannot be read, so whether their records are missing is unknown: see the log.",
            counted(rows, "row")
        ),
    }
}

/// The plan as text.
pub(super) fn plan_text(records: &Records) -> String {
    let text = match records.missing() {
        0 => "No record is missing in Profiles.".to_owned(),
        _ => format!(
            "Live, but without a record in Profiles: {}, {}. Their records are created with your default values \
             (PROFILE_DEFAULTS, MEMBERSHIP_PROFILE_DEFAULTS); existing records are not changed.",
            counted(records.users, "user"),
            counted(records.memberships, "membership"),
        ),
    };
    text + &unreadable(records)
}

/// The result as text.
pub(super) fn done_text(records: &Records) -> String {
    let created = counted(records.created, "record");
    let text = match records.missing().saturating_sub(records.created) {
        0 => format!("Created {created} in Profiles."),
        others => format!(
            "Created {created} in Profiles. {} created meanwhile by other processes, or not needed any more.",
            counted(others, "record"),
        ),
    };
    text + &unreadable(records)
}
