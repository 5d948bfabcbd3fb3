//! `rollcall doctor`: checks a deployment, and says of each finding what causes it and how to mend it.
//!
//! `stack` and `copy` read the facts, [`rollcall::core::doctor`] judges them, `fix` makes the safe mends. `probe` asks an
//! instance of Clerk what Clerk does not document.

mod cloud;
mod copy;
mod fix;
mod probe;
mod stack;

use std::time::Duration;

use clap::Args;
use rollcall::core::doctor::{Conclusion, Finding, Verdict, conclusion};
use rollcall::settings::variables::OPERATIONS_TABLE;
use serde_json::json;

use self::fix::Fix;
use super::context::lacks_confirmation;
use super::deployment::{Deployment, Environment};
use super::text::{counted, table};
use super::{Screen, say};
use crate::args::DeploymentArgs;
use crate::{Clock, Status};

/// `rollcall doctor`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  rollcall doctor --stack rollcall
  rollcall doctor --fix --stack rollcall
  rollcall doctor --probe --dry-run --local")]
pub struct DoctorArgs {
    /// Make the mends that are safe: release a lease that no run renews
    #[arg(long, conflicts_with = "probe")]
    pub fix: bool,
    /// Ask a development instance of Clerk what Clerk does not document. Creates, changes and removes test users and
    /// organizations named rollcall-probe-…; refuses production instances
    #[arg(long)]
    pub probe: bool,
    /// How long the probe waits for an event or a list, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30, requires = "probe", value_parser = clap::value_parser!(u64).range(1..=600))]
    pub wait: u64,
    /// How long --fix watches a lease before it releases the lease, in seconds. A live run renews its lease every minute
    #[arg(long, value_name = "SECONDS", default_value_t = 180, requires = "fix", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub watch: u64,
    /// With --fix or --probe: show what would be done and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// With --fix or --probe: skip the confirmation prompt
    #[arg(long, short)]
    pub yes: bool,
    /// Print one JSON object; with --fix or --probe requires --yes or --dry-run
    #[arg(long)]
    pub json: bool,
    /// The deployment to work on.
    #[command(flatten)]
    pub deployment: DeploymentArgs,
}

/// Checks a deployment, or probes its instance of Clerk.
///
/// # Errors
///
/// If the deployment cannot be found, or a fix or the probe fails. The error has advice.
pub async fn run(args: DoctorArgs, environment: Environment, clock: Clock, screen: &Screen) -> anyhow::Result<Status> {
    if (args.fix || args.probe) && lacks_confirmation(args.yes, args.dry_run, args.json, screen) {
        return Ok(Status::Usage);
    }
    if args.probe {
        return Box::pin(probe::run(args, environment, clock, screen)).await;
    }
    let deployment = Deployment::find(&args.deployment, environment, false).await?;
    let (mut findings, _) = Box::pin(stack::all(&deployment, clock())).await;
    let (of_copy, lease) = Box::pin(copy::all(&deployment, clock())).await;
    findings.extend(of_copy);
    for mend in findings.iter_mut().filter_map(|finding| finding.mend.as_mut()) {
        *mend = with_options(mend, &deployment.options);
    }
    if !args.fix {
        if args.json {
            say(to_json(&findings, None))?;
        } else {
            say(text(&findings))?;
        }
        return Ok(status(&findings));
    }
    let mut fixes = fix::plan(lease);
    if !args.json {
        say(format_args!("{}\n\n{}", text(&findings), plan(&fixes)))?;
    }
    let asks = !args.dry_run && !args.yes && !fixes.is_empty();
    if asks && !screen.ask_on(&deployment, "Make these changes?")? {
        say("Nothing was changed.")?;
        return Ok(Status::Left);
    }
    if !args.dry_run && !fixes.is_empty() {
        let operations = deployment.setting(OPERATIONS_TABLE.name).unwrap_or_default();
        fix::make(&mut fixes, &deployment, operations, Duration::from_secs(args.watch)).await?;
        if fixes.iter().all(|fix| fix.done) {
            // The lease is the only thing that is mended.
            findings.retain(|finding| finding.check != "lease");
            findings.push(Finding::ok("lease", "the lease was released"));
        }
    }
    if args.json {
        say(to_json(&findings, Some(&fixes)))?;
    } else if !args.dry_run {
        for Fix { fix, done, .. } in &fixes {
            say(if *done { format!("Done: {fix}.") } else { format!("Not done, because a run renewed it: {fix}.") })?;
        }
    }
    Ok(status(&findings))
}

/// A mend whose commands work on this deployment: `options` follow each command of Rollcall.
fn with_options(mend: &str, options: &str) -> String {
    let complete = |(place, part): (usize, &str)| {
        let is_command = place % 2 == 1 && part.starts_with("rollcall ");
        if is_command { format!("{part}{options}") } else { part.to_owned() }
    };
    mend.split('`').enumerate().map(complete).collect::<Vec<_>>().join("`")
}

/// The exit status: findings count more than checks that could not look.
fn status(findings: &[Finding]) -> Status {
    match conclusion(findings) {
        Conclusion::Sound => Status::Done,
        Conclusion::Found => Status::Left,
        Conclusion::Unseen => Status::Failure,
    }
}

fn number(findings: &[Finding], result: Verdict) -> u64 {
    findings.iter().filter(|finding| finding.result == result).count() as u64
}

fn to_json(findings: &[Finding], fixes: Option<&[Fix]>) -> serde_json::Value {
    let mut json = json!({
        "problems": number(findings, Verdict::Problem),
        "warnings": number(findings, Verdict::Warning),
        "not_checked": number(findings, Verdict::NotChecked),
        "findings": findings,
    });
    if let Some(fixes) = fixes {
        json["fixes"] = json!(fixes);
    }
    json
}

fn text(findings: &[Finding]) -> String {
    let row = |finding: &Finding| {
        let result = match finding.result {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Problem => "PROBLEM",
            Verdict::NotChecked => "not checked",
            Verdict::NotApplicable => "–",
        };
        let further = |label: &str, text: &Option<String>| text.as_ref().map(|text| format!("{label}: {text}"));
        let lines = [Some(finding.message.clone()), further("cause", &finding.cause), further("mend", &finding.mend)];
        let lines: Vec<String> = lines.into_iter().flatten().collect();
        vec![result.to_owned(), finding.check.to_owned(), lines.join("\n")]
    };
    let rows: Vec<Vec<String>> = findings.iter().map(row).collect();
    let [problems, warnings, unseen] =
        [Verdict::Problem, Verdict::Warning, Verdict::NotChecked].map(|result| number(findings, result));
    let found: Vec<String> = [
        (problems > 0).then(|| counted(problems, "problem")),
        (warnings > 0).then(|| counted(warnings, "warning")),
        (unseen > 0).then(|| format!("{} not done", counted(unseen, "check"))),
    ]
    .into_iter()
    .flatten()
    .collect();
    let end = if found.is_empty() { "Nothing to mend.".to_owned() } else { format!("{}.", found.join(", ")) };
    format!("{}\n\n{end}", table(&[], &rows, 3))
}

fn plan(fixes: &[Fix]) -> String {
    if fixes.is_empty() {
        return "Nothing can be mended by --fix. Each finding has its mend above.".to_owned();
    }
    let lines = fixes.iter().map(|fix| format!("\n  {}", fix.fix));
    format!("--fix would:{}", lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_of_a_mend_name_the_deployment() {
        let mend = "`aws s3 ls` first, then `rollcall reconcile`, as under `report`; `rollcall status`";
        let expected =
            "`aws s3 ls` first, then `rollcall reconcile --stack x`, as under `report`; `rollcall status --stack x`";
        assert_eq!(with_options(mend, " --stack x"), expected);
    }
}
