//! The executions of the state machine, which the schedule starts.

use super::Finding;
use super::condition::{OVERDUE, ago};
use crate::core::millis::Millis;

const EXECUTIONS: &str = "executions";

/// How an execution ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Succeeded,
    /// Failed, or exceeded the limit of the state machine.
    Failed,
    /// It has not ended, or an operator stopped it.
    None,
}

/// An execution of the state machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Execution {
    pub started_at: Millis,
    pub outcome: Outcome,
}

/// When the schedule should start executions, by the parameters of the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Whether the schedule is enabled, and starts at least one execution a day.
    pub is_daily: bool,
    /// When the stack was changed last: an earlier schedule may have been another one.
    pub since: Millis,
}

/// Whether a schedule expression of EventBridge Scheduler surely starts at least one execution a day. An expression that
/// names days does not.
pub fn is_daily(expression: &str) -> bool {
    let of = |kind: &str| expression.strip_prefix(kind)?.strip_prefix('(')?.strip_suffix(')');
    if let Some(rate) = of("rate") {
        let (number, unit) = rate.split_once(' ').unwrap_or_default();
        let minutes = match unit.trim_end_matches('s') {
            "minute" => 1,
            "hour" => 60,
            "day" => 24 * 60,
            _ => return false,
        };
        return number.parse::<u64>().is_ok_and(|number| number.saturating_mul(minutes) <= 24 * 60);
    }
    let fields: Vec<&str> = of("cron").unwrap_or_default().split(' ').collect();
    matches!(fields[..], [_, _, "*" | "?", "*", "*" | "?", "*"])
}

/// Judges the latest executions, the latest first. `None` says that the state machine does not exist.
pub fn executions(latest: Option<&[Execution]>, expected: Expected, now: Millis) -> Vec<Finding> {
    let Some(latest) = latest else {
        return vec![
            Finding::problem(EXECUTIONS, "the state machine of the stack does not exist, so nothing starts reconcile")
                .cause("the state machine was deleted by hand, or another template than template.yaml was deployed")
                .mend("deploy template.yaml again; until then run `rollcall reconcile` by hand"),
        ];
    };
    let mut found = Vec::new();
    let begun = latest.first().map(|execution| execution.started_at);
    if expected.is_daily && now.since(expected.since.max(begun.unwrap_or(Millis::ZERO))) > OVERDUE {
        let last = begun.map_or("no execution has started yet".to_owned(), |at| {
            format!("the last execution of the state machine started {}", ago(now.since(at)))
        });
        found.push(
            Finding::problem(EXECUTIONS, format!("{last}, although the schedule is enabled"))
                .cause("the schedule was changed or deleted by hand, or its role may not start the state machine")
                .mend("see docs/runbook.md, No run has finished; deploy again, and run `rollcall reconcile` now"),
        );
    }
    let recent: Vec<&Execution> =
        latest.iter().filter(|execution| now.since(execution.started_at) <= OVERDUE).collect();
    // The one that ended last is not always the one that started last, but two seldom overlap.
    let last = latest.iter().find(|execution| execution.outcome != Outcome::None);
    let failed = recent.iter().filter(|execution| execution.outcome == Outcome::Failed).count();
    if let Some(last) = last.filter(|last| last.outcome == Outcome::Failed) {
        let age = ago(now.since(last.started_at));
        found.push(
            Finding::problem(EXECUTIONS, format!("the last execution of the state machine failed; it started {age}"))
                .cause("reconcile failed five times in succession, or did not finish; the log of reconcile says why")
                .mend(
                    "see docs/runbook.md, Runs were given up: correct the cause, then start an execution with `aws \
                     stepfunctions start-execution`",
                ),
        );
    } else if failed > 0 {
        found.push(
            Finding::warning(
                EXECUTIONS,
                format!("{failed} of {} executions of the last 26 hours failed; the last one succeeded", recent.len()),
            )
            .cause("reconcile failed or did not finish; a successful hourly purge does not replace a failed run")
            .mend("see docs/runbook.md, Runs were given up, and the check `last-run`"),
        );
    }
    if found.is_empty() {
        found.push(Finding::ok(
            EXECUTIONS,
            begun.map_or("the state machine has not been executed yet".to_owned(), |at| {
                format!("no execution of the last 26 hours failed; the last one started {}", ago(now.since(at)))
            }),
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::doctor::Verdict::{self, Ok, Problem, Warning};

    fn at(hours: i64) -> Millis {
        Millis::try_from(1_767_225_600_000 + hours * 3_600_000).unwrap()
    }

    fn execution(hours: i64, outcome: Outcome) -> Execution {
        Execution { started_at: at(hours), outcome }
    }

    fn judged(latest: &[Execution], expected: Expected) -> Vec<Verdict> {
        executions(Some(latest), expected, at(100)).iter().map(|finding| finding.result).collect()
    }

    const UNEXPECTED: Expected = Expected { is_daily: false, since: Millis::ZERO };

    #[test]
    fn a_state_machine_that_does_not_exist_is_a_problem() {
        assert_eq!(executions(None, UNEXPECTED, at(0))[0].result, Problem);
    }

    #[test]
    fn a_daily_schedule_that_starts_nothing_for_26_hours_is_found_counted_from_the_last_deployment() {
        let daily = |since| Expected { is_daily: true, since: at(since) };
        let done = |hours| execution(hours, Outcome::Succeeded);
        assert_eq!(judged(&[done(74)], daily(0)), [Ok]);
        assert_eq!(judged(&[done(73)], daily(0)), [Problem]);
        // The schedule was enabled an hour ago.
        assert_eq!(judged(&[done(0)], daily(99)), [Ok]);
        assert_eq!((judged(&[], daily(99)), judged(&[], daily(73))), (vec![Ok], vec![Problem]));
        // The schedule is disabled, or not daily.
        assert_eq!((judged(&[done(0)], UNEXPECTED), judged(&[], UNEXPECTED)), (vec![Ok], vec![Ok]));
    }

    #[test]
    fn failed_executions_are_found_and_those_that_run_or_were_stopped_are_not() {
        use Outcome::{Failed, None, Succeeded};
        let of = |outcomes: &[Outcome]| {
            let hours = (0..).map(|ago| 99 - ago);
            judged(&outcomes.iter().zip(hours).map(|(it, at)| execution(at, *it)).collect::<Vec<_>>(), UNEXPECTED)
        };
        assert_eq!(of(&[Succeeded, Succeeded]), [Ok]);
        assert_eq!(of(&[Failed, Succeeded]), [Problem]);
        assert_eq!(of(&[None, Failed]), [Problem]);
        assert_eq!(of(&[Succeeded, Failed]), [Warning]);
        assert_eq!(of(&[None, None]), [Ok]);
        // An old failure after which executions succeeded is over; one that was the last is not.
        assert_eq!(judged(&[execution(99, Succeeded), execution(50, Failed)], UNEXPECTED), [Ok]);
        assert_eq!(judged(&[execution(50, Failed)], UNEXPECTED), [Problem]);
    }

    #[test]
    fn an_expression_that_may_leave_out_a_day_is_not_daily() {
        for daily in
            ["cron(0 3 * * ? *)", "cron(*/5 1,2 ? * * *)", "rate(12 hours)", "rate(1 day)", "rate(1440 minutes)"]
        {
            assert!(is_daily(daily), "{daily}");
        }
        for other in
            ["cron(0 3 ? * MON *)", "cron(0 3 1 * ? *)", "cron(0 3 * 1 ? *)", "rate(2 days)", "rate(25 hours)", ""]
        {
            assert!(!is_daily(other), "{other}");
        }
    }
}
