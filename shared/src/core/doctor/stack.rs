//! The deployment: the stack, its functions and its schedule, and the clock of the operator's machine.

use super::Finding;
use crate::core::millis::Millis;

const STACK: &str = "stack";
const RELEASE: &str = "release";
const FUNCTIONS: &str = "functions";
const SCHEDULE: &str = "schedule";
const CLOCK: &str = "clock";

/// Seconds by which two clocks may differ. The time of an answer has no fractions of a second, and is some time old.
const CLOCK_TOLERANCE: u64 = 5;
/// From here on AWS rejects signed requests, and a webhook rejects Svix's, in seconds.
const CLOCK_LIMIT: u64 = 300;

/// Judges CloudFormation's status of the stack.
pub fn status(stack: &str, status: &str) -> Finding {
    match status {
        "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "IMPORT_COMPLETE" => {
            Finding::ok(STACK, format!("stack {stack} is deployed ({status})"))
        }
        "UPDATE_ROLLBACK_COMPLETE" | "IMPORT_ROLLBACK_COMPLETE" => {
            Finding::warning(STACK, format!("the last update of stack {stack} was rolled back ({status})"))
                .cause("the stack runs with the settings before that update")
                .mend("look for the first error in `aws cloudformation describe-stack-events`, and deploy again")
        }
        status if status.ends_with("_IN_PROGRESS") => {
            Finding::warning(STACK, format!("stack {stack} is being changed ({status})"))
                .cause("the functions may have different settings meanwhile")
                .mend("wait until the deployment is complete, then run `rollcall doctor` again")
        }
        "UPDATE_ROLLBACK_FAILED" => Finding::problem(STACK, format!("the rollback of stack {stack} failed ({status})"))
            .cause("some resources are new and others old; no deployment is possible in this state")
            .mend("`aws cloudformation continue-update-rollback`: see docs/runbook.md, Roll back a deployment"),
        _ => Finding::problem(STACK, format!("stack {stack} is not deployed completely ({status})"))
            .cause("a deployment failed")
            .mend("look for the first error in `aws cloudformation describe-stack-events`, and deploy again"),
    }
}

/// Judges the release. `known` says whether this command knows it.
pub fn release(deployed: Option<&str>, ours: &str, known: bool) -> Finding {
    match deployed {
        None => Finding::not_applicable(RELEASE, "the deployment does not say its release"),
        Some(deployed) if !known => {
            Finding::problem(RELEASE, format!("release {deployed} is deployed, and this command is release {ours}"))
                .cause("another release may store other rows, so commands refuse to write")
                .mend(format!("use the command of release {deployed}, or deploy release {ours}"))
        }
        Some(deployed) if deployed != ours => {
            Finding::ok(RELEASE, format!("release {deployed} is deployed; this command is release {ours} and knows it"))
        }
        Some(deployed) => Finding::ok(RELEASE, format!("release {deployed} is deployed")),
    }
}

/// A function, as Lambda describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeployedFunction {
    pub name: String,
    /// Lambda's state, such as `Active`; empty if Lambda does not say it.
    pub state: String,
    /// Lambda's status of the last update, such as `Successful`; empty if Lambda does not say it.
    pub last_update: String,
    pub architecture: String,
    /// What is missing or malformed among its settings, one a line.
    pub invalid: Vec<String>,
}

/// Judges the functions of a stack: all of them must be there, run, and start with their settings. `expected` is the
/// number of functions of this release.
pub fn functions(functions: &[DeployedFunction], expected: usize) -> Vec<Finding> {
    let mut found = Vec::new();
    if functions.len() < expected {
        let number = functions.len();
        found.push(
            Finding::problem(FUNCTIONS, format!("the stack has {number} of {expected} functions"))
                .cause("the deployment is incomplete, or of another release")
                .mend("deploy template.yaml of this release again"),
        );
    }
    for DeployedFunction { name, state, last_update, invalid, .. } in functions {
        let fails = |what: &str| matches!(what, "Failed" | "Inactive");
        if fails(state) || fails(last_update) {
            found.push(
                Finding::problem(FUNCTIONS, format!("{name} does not run (state {state}, last update {last_update})"))
                    .cause("Lambda could not load the last version")
                    .mend("`aws lambda get-function-configuration` says why; deploy again"),
            );
        }
        found.extend(invalid.iter().map(|problem| {
            Finding::problem(FUNCTIONS, format!("{name} does not start: {problem}"))
                .cause("a variable of the function is missing or malformed")
                .mend("correct the parameter of the stack and deploy again: see docs/configuration.md")
        }));
    }
    let mut architectures: Vec<&str> = functions.iter().map(|function| function.architecture.as_str()).collect();
    architectures.sort_unstable();
    architectures.dedup();
    if architectures.len() > 1 {
        found.push(
            Finding::problem(
                FUNCTIONS,
                format!("the functions run on different processors ({})", architectures.join(", ")),
            )
            .cause("a deployment is incomplete")
            .mend("build and deploy all functions again with the same Architecture"),
        );
    }
    if found.is_empty() {
        found.push(Finding::ok(FUNCTIONS, format!("{} functions run and can read their settings", functions.len())));
    }
    found
}

/// Judges the schedule by the parameter `ReconcileState` of the stack.
pub fn schedule(state: Option<&str>) -> Finding {
    match state {
        Some("ENABLED") => Finding::ok(SCHEDULE, "the nightly run and the hourly purge are scheduled"),
        Some(state) => Finding::warning(SCHEDULE, "neither the nightly run nor the hourly purge is scheduled")
            .cause(format!("the parameter ReconcileState is {state}"))
            .mend("deploy with ReconcileState=ENABLED; until then run `rollcall reconcile` by hand"),
        None => {
            Finding::not_applicable(SCHEDULE, "the stack has no parameter ReconcileState: see the age of the last run")
        }
    }
}

/// Judges the operator's clock against the time in an answer of `server`.
pub fn clock(ours: Millis, theirs: Millis, server: &str) -> Finding {
    let difference = ours.since(theirs).max(theirs.since(ours)) / 1000;
    let direction = if ours > theirs { "ahead of" } else { "behind" };
    let text = format!("the clock of this machine is {difference} s {direction} that of {server}");
    let mend = "set the clock by NTP, such as `timedatectl set-ntp true`";
    if difference > CLOCK_LIMIT {
        Finding::problem(CLOCK, text)
            .cause("AWS rejects requests whose time is more than five minutes off, and a lease that this machine takes is invalid")
            .mend(mend)
    } else if difference > CLOCK_TOLERANCE {
        Finding::warning(CLOCK, text).cause("times that commands store here are wrong by that much").mend(mend)
    } else {
        Finding::ok(CLOCK, format!("the clock of this machine agrees with that of {server}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::doctor::Verdict::{NotApplicable, Ok, Problem, Warning};

    #[test]
    fn a_status_is_judged_by_what_can_be_done_in_it() {
        for (it, expected) in [
            ("UPDATE_COMPLETE", Ok),
            ("CREATE_COMPLETE", Ok),
            ("UPDATE_ROLLBACK_COMPLETE", Warning),
            ("UPDATE_IN_PROGRESS", Warning),
            ("UPDATE_ROLLBACK_FAILED", Problem),
            ("ROLLBACK_COMPLETE", Problem),
            ("DELETE_FAILED", Problem),
        ] {
            assert_eq!(status("rollcall", it).result, expected, "{it}");
        }
        assert_eq!(release(None, "0.1.0", true).result, NotApplicable);
        assert_eq!(release(Some("0.1.3"), "0.1.0", true).result, Ok);
        assert_eq!(release(Some("9.0.0"), "0.1.0", false).result, Problem);
        assert_eq!(schedule(Some("ENABLED")).result, Ok);
        assert_eq!(schedule(Some("DISABLED")).result, Warning);
        assert_eq!(schedule(None).result, NotApplicable);
    }

    #[test]
    fn a_function_that_is_missing_fails_or_does_not_start_is_a_problem() {
        let usual = || DeployedFunction {
            name: "webhook".to_owned(),
            state: "Active".to_owned(),
            last_update: "Successful".to_owned(),
            architecture: "arm64".to_owned(),
            invalid: Vec::new(),
        };
        let of = |changed: DeployedFunction| functions(&[usual(), changed], 2)[0].result;
        assert_eq!(of(usual()), Ok);
        assert_eq!(of(DeployedFunction { state: "Failed".to_owned(), ..usual() }), Problem);
        assert_eq!(of(DeployedFunction { last_update: "Failed".to_owned(), ..usual() }), Problem);
        assert_eq!(of(DeployedFunction { architecture: "x86_64".to_owned(), ..usual() }), Problem);
        assert_eq!(of(DeployedFunction { invalid: vec!["MIRROR is invalid".to_owned()], ..usual() }), Problem);
        assert_eq!(functions(&[usual()], 2)[0].result, Problem);
    }

    #[test]
    fn a_clock_is_judged_in_both_directions() {
        let at = |seconds: i64| Millis::try_from(1_767_225_600_000 + seconds * 1000).unwrap();
        for (seconds, expected) in
            [(0, Ok), (5, Ok), (-5, Ok), (6, Warning), (-300, Warning), (301, Problem), (-301, Problem)]
        {
            assert_eq!(clock(at(seconds), at(0), "Clerk").result, expected, "{seconds}");
        }
        assert!(clock(at(60), at(0), "Clerk").message.contains("60 s ahead of"));
        assert!(clock(at(-60), at(0), "Clerk").message.contains("60 s behind"));
    }
}
